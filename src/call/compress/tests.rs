//! Tests which messages are compressed off the worker, and that they are the same wherever they are compressed. These tests
//! bring their own compressors: this module has none.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::ThreadId;
use std::time::Duration;

use super::*;
use crate::wire::message::Prefix;

const LIMIT: usize = 4 << 20;

/// A compressor that replaces trailing zeros by their count, in eight bytes. It can wait at a gate in between.
struct Trim(Option<Arc<Gate>>);

/// A gate that reports which thread waits at it.
struct Gate {
    ends: Mutex<(Sender<ThreadId>, Receiver<()>)>,
    /// The number of threads at the gate now, and the most so far.
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        let inside = 1 + self.inside.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(inside, Ordering::SeqCst);
        let (waits, go) = &*self.ends.lock().unwrap();
        waits.send(std::thread::current().id()).unwrap();
        go.recv().unwrap();
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Compressor for Trim {
    fn encoding(&self) -> Encoding {
        Encoding::Gzip
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> std::io::Result<()> {
        if let Some(gate) = &self.0 {
            gate.pass();
        }
        let rest = message.len() - message.iter().rev().take_while(|&&byte| byte == 0).count();
        if rest > 0 && message[0] == b'!' {
            return Err(std::io::Error::other("as it should"));
        }
        assert!(rest == 0 || message[0] != b'?', "as it should");
        out.extend_from_slice(&(message.len() as u64).to_be_bytes());
        out.extend_from_slice(&message[..rest]);
        Ok(())
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        let Some((length, rest)) = message.split_first_chunk::<8>() else {
            return Err(DecompressError::Corrupt("short".to_owned()));
        };
        let length = u64::from_be_bytes(*length) as usize;
        if length > limit {
            return Err(DecompressError::TooLarge);
        }
        out.extend_from_slice(rest);
        out.resize(length, 0);
        Ok(())
    }
}

fn trim() -> Arc<dyn Compressor> {
    Arc::new(Trim(None))
}

fn packing(compressor: Arc<dyn Compressor>) -> MessageEncoder {
    let options =
        SendingOptions { max_message_size: LIMIT, min_compress_size: 10, compressors: Compressors::new([compressor]) };
    let mut packing = MessageEncoder::new(Arc::new(options), EncodingSet::IDENTITY.with(Encoding::Gzip));
    packing.choose(Encoding::Gzip);
    packing
}

fn zeros(length: usize) -> Bytes {
    Bytes::from(vec![0; length])
}

#[tokio::test]
async fn large_messages_are_compressed_off_the_worker() {
    let chosen = packing(trim());
    for (length, expected) in
        [(0, false), (INLINE_COMPRESSION - 1, false), (INLINE_COMPRESSION, true), (LIMIT, true), (LIMIT + 1, false)]
    {
        assert_eq!(chosen.compresses_off_worker(length), expected, "{length}");
    }
    let options =
        SendingOptions { max_message_size: LIMIT, min_compress_size: 0, compressors: Compressors::new([trim()]) };
    assert!(
        !MessageEncoder::new(Arc::new(options), EncodingSet::IDENTITY).compresses_off_worker(LIMIT),
        "none is chosen"
    );
}

#[test]
fn without_a_runtime_messages_are_compressed_inline() {
    assert!(!packing(trim()).compresses_off_worker(LIMIT));
}

#[tokio::test]
async fn message_is_the_same_compressed_inline_or_off_the_worker() {
    let packing = packing(trim());
    let broken = Bytes::from([&b"!"[..], &[0; INLINE_COMPRESSION]].concat());
    for plain in [zeros(5), zeros(LIMIT), Bytes::from(vec![7; LIMIT]), broken, zeros(LIMIT + 1)] {
        let mut inline = BytesMut::new();
        let outcome = packing.append(&mut inline, plain.len(), true, |buffer| buffer.extend_from_slice(&plain));
        let off_worker = packing.pack_off_worker(plain.clone()).await;
        match outcome {
            Ok(()) => assert!(off_worker.unwrap() == inline, "{} bytes", plain.len()),
            Err(status) => assert_eq!(off_worker.unwrap_err().to_string(), status.to_string()),
        }
    }
    let packed = packing.pack_off_worker(zeros(LIMIT)).await.unwrap();
    assert_eq!(packed[..5], Prefix { compressed: true, length: 8 }.encode());
}

#[tokio::test]
async fn worker_stays_free_and_few_messages_are_compressed_at_once() {
    let ((waits, waiting), (go, going)) = (channel(), channel());
    let gate = Gate { ends: Mutex::new((waits, going)), inside: AtomicUsize::new(0), most: AtomicUsize::new(0) };
    let gate = Arc::new(gate);
    let packing = packing(Arc::new(Trim(Some(gate.clone()))));
    // One job waits at the gate and holds its lock; the others wait for the lock or for their turn.
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(packing.pack_off_worker(zeros(LIMIT)))).collect();
    let first = loop {
        // The only worker of this runtime is free.
        tokio::task::yield_now().await;
        if let Ok(thread) = waiting.try_recv() {
            break thread;
        }
    };
    assert_ne!(first, std::thread::current().id());
    // A job that is dropped before its turn does not take a turn.
    for call in calls.iter().skip(50) {
        call.abort();
    }
    for _ in 0..100 {
        go.send(()).unwrap();
    }
    for call in calls.into_iter().take(50) {
        assert_eq!(call.await.unwrap().unwrap().len(), 5 + 8);
    }
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let most = gate.most.load(Ordering::SeqCst);
    assert!((1..=cores).contains(&most), "{most} at once on {cores} cores");
}

#[tokio::test]
async fn panic_of_a_compressor_reaches_the_waiting_task() {
    let message = Bytes::from([&b"?"[..], &[0; INLINE_COMPRESSION]].concat());
    let packing = packing(trim());
    let failed = tokio::spawn(packing.pack_off_worker(message)).await.unwrap_err();
    assert!(failed.is_panic());
    let packed = tokio::time::timeout(Duration::from_secs(60), packing.pack_off_worker(zeros(LIMIT))).await;
    assert!(packed.expect("its turn came back").is_ok());
}
