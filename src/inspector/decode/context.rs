//! The properties of a call that are needed to decode its messages.

use std::sync::Arc;

use crate::call::Compressors;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::Schema;

/// The properties of one direction's messages, and the memory limits for them.
pub(super) struct Context<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) limits: &'a Limits,
    pub(crate) type_name: Option<Arc<str>>,
    /// `grpc-encoding`.
    pub(crate) encoding: Option<&'a str>,
    /// The compressors that decompress messages.
    pub(super) compressors: &'a Compressors,
    /// Bytes that the messages that end in this frame may have when they are decompressed.
    pub(super) restorable: usize,
    /// Bytes that may be buffered, besides those that this direction buffers already.
    pub(crate) room: usize,
}
