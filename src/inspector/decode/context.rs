//! What must be known of a call to read its messages.

use std::sync::Arc;

use crate::call::Compressors;
use crate::inspector::model::limits::Limits;
use crate::inspector::model::schema::Schema;

/// What the call tells about the messages of one direction, and how much may be kept of them.
pub(super) struct Context<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) limits: &'a Limits,
    pub(crate) type_name: Option<Arc<str>>,
    /// `grpc-encoding`.
    pub(crate) encoding: Option<&'a str>,
    /// What restores compressed messages.
    pub(super) compressors: &'a Compressors,
    /// Bytes that may be held, besides what this direction holds already.
    pub(crate) room: usize,
}
