//! The limits of a whole server: the connections that it holds, the calls that it runs, and the time until it stops accepting.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::encoding::encode_varint;

use crate::limits::CALL_RETRY_DELAY;
use crate::status::Status;

/// Returns true if a server with this many open connections may accept another. `most` is
/// [`ServerOptions::max_connections`](super::ServerOptions::max_connections).
pub(super) fn has_room(most: usize, connections: usize) -> bool {
    most == 0 || connections < most
}

/// Waits until a server stops accepting: until `shutdown` is ready, and then for `lame_duck`.
pub(super) async fn end_of_accepting(shutdown: impl Future<Output = ()>, lame_duck: Duration) {
    shutdown.await;
    if !lame_duck.is_zero() {
        tokio::time::sleep(lame_duck).await;
    }
}

/// The calls of a server, and the limit of their number.
pub(super) struct CallLimit {
    /// [`ServerOptions::max_concurrent_calls`](super::ServerOptions::max_concurrent_calls); 0 is unlimited.
    most: usize,
    /// The calls in progress; not counted without a limit.
    calls: Arc<AtomicUsize>,
}

/// A call that counts against the limit, until it is dropped.
pub(super) struct CountedCall(Arc<AtomicUsize>);

impl CallLimit {
    pub(super) fn new(most: usize) -> CallLimit {
        CallLimit { most, calls: Arc::default() }
    }

    /// Counts a call; returns `None` if the call is exempt or calls are unlimited.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED with a `google.rpc.RetryInfo` if the limit is reached.
    pub(super) fn admit(&self, is_exempt: bool) -> Result<Option<CountedCall>, Status> {
        if self.most == 0 || is_exempt {
            return Ok(None);
        }
        let more = |calls| (calls < self.most).then_some(calls + 1);
        match self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Some(CountedCall(self.calls.clone()))),
            Err(_) => Err(refusal(self.most)),
        }
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the status of a call beyond the limit.
fn refusal(most: usize) -> Status {
    let message = format!("the server runs {most} calls, its limit (max_concurrent_calls): try again later");
    let status = Status::resource_exhausted(message);
    let details = retry_details(&status, CALL_RETRY_DELAY);
    status.with_details(details)
}

/// Returns a `google.rpc.Status` (google/rpc/status.proto) with the code and message of this status and a `RetryInfo`
/// (google/rpc/error_details.proto). Written by hand, because the types are in the feature `error-details`.
fn retry_details(status: &Status, delay: Duration) -> Bytes {
    // google.protobuf.Duration: seconds = 1, nanos = 2.
    let duration = [number(1, delay.as_secs()), number(2, delay.subsec_nanos().into())].concat();
    // RetryInfo: retry_delay = 1.
    let retry = field(1, &duration);
    // google.protobuf.Any: type_url = 1, value = 2.
    let any = [field(1, b"type.googleapis.com/google.rpc.RetryInfo"), field(2, &retry)].concat();
    // google.rpc.Status: code = 1, message = 2, details = 3.
    [number(1, status.number().unsigned_abs().into()), field(2, status.message().as_bytes()), field(3, &any)]
        .concat()
        .into()
}

/// Encodes a number; nothing if it is 0, the default of proto3.
fn number(tag: u8, value: u64) -> Vec<u8> {
    let mut encoded = Vec::new();
    if value != 0 {
        encoded.push(tag << 3);
        encode_varint(value, &mut encoded);
    }
    encoded
}

/// Encodes a string or a message.
fn field(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag << 3 | 2];
    encode_varint(value.len() as u64, &mut encoded);
    encoded.extend_from_slice(value);
    encoded
}

/// Returns true if an error of accepting concerns only the peer that would have been accepted.
pub(super) fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_calls_give_their_place_back() {
        let limit = CallLimit::new(2);
        let (first, second) = (limit.admit(false).unwrap(), limit.admit(false).unwrap());
        assert!(first.is_some() && second.is_some());
        let status = limit.admit(false).err().unwrap();
        assert_eq!(status.number(), 8);
        assert_eq!(status.message(), "the server runs 2 calls, its limit (max_concurrent_calls): try again later");
        assert!(limit.admit(true).unwrap().is_none(), "an exempt call is neither refused nor counted");
        drop(first);
        let third = limit.admit(false).unwrap();
        assert!(limit.admit(false).is_err());
        drop((second, third));
        assert_eq!(limit.calls.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn zero_is_unlimited() {
        assert!(CallLimit::new(0).admit(false).unwrap().is_none());
        assert!(has_room(0, usize::MAX) && has_room(1, 0) && !has_room(1, 1));
    }

    #[test]
    fn details_are_a_status_with_retry_info() {
        let expected = [
            &b"\x08\x08\x12\x02hi\x1a\x32\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x06\x0a\x04\x08\x02\x10"
                [..],
            b"\x03",
        ]
        .concat();
        assert_eq!(retry_details(&Status::resource_exhausted("hi"), Duration::new(2, 3)), expected);
        assert!(
            retry_details(&Status::resource_exhausted("hi"), CALL_RETRY_DELAY).ends_with(b"\x12\x04\x0a\x02\x08\x01")
        );
    }
}
