//! `barewire::testing`: the handles that it makes behave as those of a call over HTTP/2.

mod connection;
mod inbound;
mod outbound;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use barewire::wire::encoding::{Encoding, EncodingSet};
use barewire::{Compressor, Compressors, DecompressError, ServerOptions};
use bytes::BytesMut;

/// Returns the output of a future that should be ready without time passing.
async fn at_once<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_nanos(1), future).await.expect("the future is ready at once")
}

/// Asserts that a future waits.
async fn assert_waits(future: impl Future) {
    assert!(tokio::time::timeout(Duration::from_secs(600), future).await.is_err(), "the future is ready");
}

/// Reverses the bytes of a message, in the name of gzip; refuses a message that ends with `!`.
struct Reverse;

impl Compressor for Reverse {
    fn encoding(&self) -> Encoding {
        Encoding::Gzip
    }

    fn compress(&self, message: &[u8], out: &mut BytesMut) -> io::Result<()> {
        out.extend(message.iter().rev());
        Ok(())
    }

    fn decompress(&self, message: &[u8], limit: usize, out: &mut BytesMut) -> Result<(), DecompressError> {
        if message.len() > limit {
            return Err(DecompressError::TooLarge);
        }
        if message.ends_with(b"!") {
            return Err(DecompressError::Corrupt("ends with !".into()));
        }
        out.extend(message.iter().rev());
        Ok(())
    }
}

const GZIP: EncodingSet = EncodingSet::IDENTITY.with(Encoding::Gzip);

/// Returns options with [`Reverse`].
fn compressing() -> ServerOptions {
    let mut options = ServerOptions::default();
    options.compressors = Compressors::new([Arc::new(Reverse) as Arc<dyn Compressor>]);
    options
}
