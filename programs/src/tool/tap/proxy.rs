//! Forwards one connection of the tap: bytes from one socket to the other, both ways, unchanged.
//!
//! ```text
//! client ──▶ │ read, report to observers, write │ ──▶ server        half-close → half-close
//! client ◀── │                                  │ ◀── server        reset      → reset
//! ```
//!
//! Each direction has one buffer, and reads again only after writing all of it. So a side that does not read stops the other,
//! as without a proxy. A side that has not read for [`STALL`] is reported as stalled.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hints::Hints;
use crate::cli;
use crate::tool::feed::{EventKind, Witness};
use crate::tool::together::both;
use barewire::inspector::Direction;

/// Size of the buffer of a direction, in bytes.
const BUFFER: usize = 64 << 10;

/// Time without progress after which a stalled side is reported.
pub(super) const STALL: Duration = Duration::from_secs(2);

/// A byte stream that can be reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes dropping the stream reset the connection.
    fn reset(&self);
}

impl Socket for TcpStream {
    fn reset(&self) {
        // Fails only for a closed socket, which needs no reset.
        let _: io::Result<()> = self.set_zero_linger();
    }
}

/// The witnesses of both directions of a connection.
pub(super) struct Witnesses {
    pub(super) to_server: Witness,
    pub(super) to_client: Witness,
}

/// Forwards bytes until both directions have ended or one side has reset the connection.
pub(super) async fn forward(client: impl Socket, server: impl Socket, mut witnesses: Witnesses, hints: &Hints) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let request = pump(Direction::ToServer, &mut from_client, &mut to_server, &mut witnesses.to_server, hints);
    let answer = pump(Direction::ToClient, &mut from_server, &mut to_client, &mut witnesses.to_client, hints);
    let ended = both(request, answer).await;
    let reset = !matches!(ended, Ok((DirectionEnd::Ended, DirectionEnd::Ended)));
    // Reports the end before the sockets are closed: a peer that sees the end can rely on the report.
    witnesses.to_server.over();
    witnesses.to_client.over();
    witnesses.to_server.report(&EventKind::Closed { reset });
    if reset {
        unsplit(from_client, to_client).reset();
        unsplit(from_server, to_server).reset();
    }
}

fn unsplit<S: Socket>(read: ReadHalf<S>, write: WriteHalf<S>) -> S {
    read.unsplit(write)
}

/// The end of a direction.
enum DirectionEnd {
    /// The sender has half-closed, and the half-close was forwarded.
    Ended,
    /// The receiver accepts no more bytes. The other direction continues.
    Unwanted,
}

/// Forwards one direction. An error means that the sender has reset the connection.
async fn pump(
    direction: Direction,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    witness: &mut Witness,
    hints: &Hints,
) -> io::Result<DirectionEnd> {
    let (mut buffer, mut begun) = (vec![0; BUFFER], false);
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(read) => read,
            // Treats a TLS session without a closing alert as ended.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => {
                let kind = error.kind();
                let silent = || if begun { None } else { hints.is_silent(direction) };
                say(hints.fails(direction, error).or_else(silent), witness);
                witness.ended();
                return Err(kind.into());
            }
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            say(if begun { None } else { hints.is_silent(direction) }, witness);
            witness.ended();
            // Fails only if the receiver has already gone.
            let _: io::Result<()> = to.shutdown().await;
            return Ok(DirectionEnd::Ended);
        }
        if !std::mem::replace(&mut begun, true) {
            say(hints.begins(direction, bytes), witness);
        }
        witness.passed(bytes);
        if write(direction, to, bytes, witness).await.is_err() {
            witness.ended();
            return Ok(DirectionEnd::Unwanted);
        }
    }
}

/// Says a hint on stderr and in the views.
fn say(hint: Option<String>, witness: &Witness) {
    if let Some(hint) = hint {
        cli::log(&hint);
        witness.report(&EventKind::Note(hint));
    }
}

/// Writes all bytes, and reports if that takes long.
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
    witness.report(&EventKind::Note(format!("the {reader} has not read for {seconds} s; bytes are waiting for it")));
    write.await?;
    let seconds = began.elapsed().as_secs_f64();
    witness.report(&EventKind::Note(format!("the {reader} reads again, after {seconds:.1} s")));
    Ok(())
}
