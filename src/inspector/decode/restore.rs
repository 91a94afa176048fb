//! Decompresses messages within the limits. The result is stored beside the bytes of the wire.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/compression.md>: every message is compressed on its own. On the wire
//! it stays one leaf, so that leaves still tile the wire's bytes; the decompressed bytes have their own tree.

use bytes::BytesMut;

use super::context::Context;
use super::protobuf;
use crate::call::DecompressError;
use crate::inspector::model::frame::Restored;
use crate::inspector::model::tree::Tree;
use crate::wire::encoding::Encoding;

/// The result of decompressing a message.
pub(super) enum Outcome {
    /// It was decompressed.
    Restored(Restored),
    /// It was not decompressed, for this reason, which is not an error of the message.
    Left(String),
    /// It is corrupt, for this reason.
    Broken(String),
}

/// Decompresses a message into at most `room` bytes. Subtracts the result's size from `room` and its annotations from
/// `budget`.
pub(crate) fn restore(content: &[u8], context: &Context<'_>, room: &mut usize, budget: &mut usize) -> Outcome {
    let Some(name) = context.encoding else { return Outcome::Left("compressed".to_owned()) };
    let compressor = Encoding::from_name(name.as_bytes()).and_then(|encoding| context.compressors.get(encoding));
    let Some(compressor) = compressor else {
        return Outcome::Left("compressed with an unsupported encoding".to_owned());
    };
    let mut bytes = BytesMut::new();
    // Zero bytes are an empty message with every algorithm.
    let outcome = if content.is_empty() { Ok(()) } else { compressor.decompress(content, *room, &mut bytes) };
    match outcome {
        Ok(()) => {}
        Err(DecompressError::TooLarge) => {
            let limit = if context.restorable < context.limits.message { "restored" } else { "message" };
            let over = format!("compressed, over {room} bytes when decompressed: over --limit {limit}");
            // Finding that out costs as much time as a message of this size.
            *room = 0;
            return Outcome::Left(over);
        }
        Err(DecompressError::Corrupt(why)) => {
            return Outcome::Broken(format!("can't be decompressed with {name}: {why}"));
        }
    }
    *room -= bytes.len().min(*room);
    let (message, depth) = (context.type_name.as_deref(), context.limits.depth);
    let mut annotations = Tree::default();
    protobuf::annotate(&mut annotations, &bytes, 0..bytes.len(), message, context.schema, budget, depth);
    Outcome::Restored(Restored { bytes: bytes.into(), annotations })
}
