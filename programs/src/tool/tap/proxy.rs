//! One connection of the tap: bytes from one socket to the other, both ways, as they are.
//!
//! ```text
//! client ──▶ │ read, tell the listeners, write │ ──▶ server        half-close → half-close
//! client ◀── │                                 │ ◀── server        reset      → reset
//! ```
//!
//! Each direction holds one buffer and reads again only when all of it was taken, so a side that does not read stops the other
//! as it would without a proxy between them. One that has not read for [`STALL`] is said to be stalled.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tool::feed::{What, Witness};
use crate::tool::together::both;
use barewire::inspector::Direction;

/// What is read at once.
const BUFFER: usize = 64 << 10;

/// How long a side may let bytes wait before that is worth a line.
pub(super) const STALL: Duration = Duration::from_secs(2);

/// A byte stream that can be ended by a reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Lets the stream end with a reset when it is dropped.
    fn reset(&self);
}

impl Socket for TcpStream {
    fn reset(&self) {
        // A socket that is gone already needs no reset.
        let _: io::Result<()> = self.set_zero_linger();
    }
}

/// The witnesses of a connection.
pub(super) struct Witnesses {
    pub(super) to_server: Witness,
    pub(super) to_client: Witness,
}

/// Forwards until both sides have ended or one has reset the connection.
pub(super) async fn forward(client: impl Socket, server: impl Socket, mut witnesses: Witnesses) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let request = pump(Direction::ToServer, &mut from_client, &mut to_server, &mut witnesses.to_server);
    let answer = pump(Direction::ToClient, &mut from_server, &mut to_client, &mut witnesses.to_client);
    let ended = both(request, answer).await;
    let reset = !matches!(ended, Ok((DirectionEnd::Ended, DirectionEnd::Ended)));
    // Told before the sockets are gone, so that whoever sees the end can rely on its being told.
    witnesses.to_server.over();
    witnesses.to_client.over();
    witnesses.to_server.tell(&What::Closed { reset });
    if reset {
        unsplit(from_client, to_client).reset();
        unsplit(from_server, to_server).reset();
    }
}

fn unsplit<S: Socket>(read: ReadHalf<S>, write: WriteHalf<S>) -> S {
    read.unsplit(write)
}

/// How a direction came to its end.
enum DirectionEnd {
    /// Its sender had no more to say, and its receiver knows.
    Ended,
    /// Its receiver takes no more. What it still says is heard to its end.
    Unwanted,
}

/// Forwards one direction. An error is its sender's: a reset.
async fn pump(
    direction: Direction,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    witness: &mut Witness,
) -> io::Result<DirectionEnd> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(read) => read,
            // A TLS session without its closing alert ends all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => {
                witness.ended();
                return Err(error);
            }
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            witness.ended();
            // A receiver that is gone needs no end.
            let _: io::Result<()> = to.shutdown().await;
            return Ok(DirectionEnd::Ended);
        }
        witness.passed(bytes);
        if write(direction, to, bytes, witness).await.is_err() {
            witness.ended();
            return Ok(DirectionEnd::Unwanted);
        }
    }
}

/// Writes all bytes, and says so when that takes long.
async fn write(
    direction: Direction,
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    witness: &Witness,
) -> io::Result<()> {
    let began = Instant::now();
    let mut write = std::pin::pin!(async {
        to.write_all(bytes).await?;
        to.flush().await
    });
    if let Ok(written) = timeout(STALL, &mut write).await {
        return written;
    }
    let reader = match direction {
        Direction::ToServer => "server",
        Direction::ToClient => "client",
    };
    let seconds = STALL.as_secs();
    witness.tell(&What::Said(format!("the {reader} has not read for {seconds} s: bytes wait for it")));
    write.await?;
    let seconds = began.elapsed().as_secs_f64();
    witness.tell(&What::Said(format!("the {reader} reads again, after {seconds:.1} s")));
    Ok(())
}
