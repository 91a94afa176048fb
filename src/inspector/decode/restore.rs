//! Compressed messages as they were before: restored within the limits, beside the bytes of the wire.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/compression.md>: every message is compressed by itself. On the wire it stays
//! one leaf, so that leaves go on tiling the wire's bytes; what it was has a tree of its own, over bytes of its own.

use bytes::BytesMut;

use super::context::Context;
use super::protobuf;
use crate::call::DecompressError;
use crate::inspector::model::frame::Restored;
use crate::inspector::model::tree::Tree;
use crate::wire::encoding::Encoding;

/// What became of a compressed message.
pub(super) enum Outcome {
    /// It was restored.
    Restored(Restored),
    /// It was not, and is not to blame: why, for a person.
    Left(String),
    /// It can't be.
    Broken(String),
}

/// Restores a message, in at most `room` bytes, which are taken from it; annotations are taken from `budget`.
pub(crate) fn restore(content: &[u8], context: &Context<'_>, room: &mut usize, budget: &mut usize) -> Outcome {
    let Some(name) = context.encoding else { return Outcome::Left("compressed".to_owned()) };
    let compressor = Encoding::from_name(name.as_bytes()).and_then(|encoding| context.compressors.get(encoding));
    let Some(compressor) = compressor else {
        return Outcome::Left("compressed in a way that is not known here".to_owned());
    };
    let mut bytes = BytesMut::new();
    // No bytes are an empty message, whatever the algorithm makes of them.
    let outcome = if content.is_empty() { Ok(()) } else { compressor.decompress(content, *room, &mut bytes) };
    match outcome {
        Ok(()) => {}
        Err(DecompressError::TooLarge) => {
            return Outcome::Left(format!("compressed, over {room} bytes when restored: over the limit"));
        }
        Err(DecompressError::Corrupt(why)) => return Outcome::Broken(format!("can't be restored with {name}: {why}")),
    }
    *room -= bytes.len().min(*room);
    let (message, depth) = (context.type_name.as_deref(), context.limits.depth);
    let mut annotations = Tree::default();
    protobuf::annotate(&mut annotations, &bytes, 0..bytes.len(), message, context.schema, budget, depth);
    Outcome::Restored(Restored { bytes: bytes.into(), annotations })
}
