//! Connections in memory that record every write.

use std::future::{Ready, pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready as done};

use barewire::io::{Address, ByteStream, Connector, Listener, Peer};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

use super::frames::PREFACE;

/// The size of a pipe's buffer for each direction: about that of a socket.
const CAPACITY: usize = 64 * 1024;

/// Creates a pipe: the end of the side under test, which records its writes, and the far end.
pub fn pipe() -> (RecordingPipe, DuplexStream) {
    let (near, far) = tokio::io::duplex(CAPACITY);
    (RecordingPipe { io: near, writes: Writes::default() }, far)
}

/// An end of a pipe that records its writes.
pub struct RecordingPipe {
    io: DuplexStream,
    pub writes: Writes,
}

/// The bytes written, one entry for each write.
#[derive(Clone, Default)]
pub struct Writes(Arc<Mutex<Vec<Bytes>>>);

impl Writes {
    /// Takes the bytes written since the last call.
    pub fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Returns the number of bytes written since the last call.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().iter().map(Bytes::len).sum()
    }
}

/// Returns the number of frames of each kind in one write.
pub fn kinds(write: &Bytes) -> Vec<u8> {
    let mut rest = write.strip_prefix(PREFACE).unwrap_or(write);
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, tail @ ..] = rest {
        kinds.push(*kind);
        rest = &tail[u32::from_be_bytes([0, *a, *b, *c]) as usize..];
    }
    kinds
}

impl AsyncRead for RecordingPipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for RecordingPipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = done!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.writes.0.lock().unwrap().push(Bytes::copy_from_slice(&buf[..count]));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A listener that accepts the connections sent to its channel.
pub struct PipeListener(pub mpsc::UnboundedReceiver<ByteStream>);

impl Listener for PipeListener {
    type Handshake = Ready<io::Result<ByteStream>>;

    async fn accept(&mut self) -> io::Result<Self::Handshake> {
        match self.0.recv().await {
            Some(connected) => Ok(ready(Ok(connected))),
            None => pending().await,
        }
    }
}

/// A connector that can connect once.
pub struct PipeConnector(Mutex<Option<ByteStream>>);

impl PipeConnector {
    pub fn new(io: impl barewire::io::Io) -> PipeConnector {
        PipeConnector(Mutex::new(Some(connected(io))))
    }
}

impl Connector for PipeConnector {
    async fn connect(&self) -> io::Result<ByteStream> {
        self.0.lock().unwrap().take().ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    fn authority(&self) -> &str {
        "test"
    }

    fn scheme(&self) -> &'static str {
        "http"
    }
}

/// Wraps an in-memory byte stream.
pub fn connected(io: impl barewire::io::Io) -> ByteStream {
    ByteStream::new(io, Peer::plain(Address::Memory))
}
