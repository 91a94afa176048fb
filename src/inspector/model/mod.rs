//! The inspector's data: frames, the annotation tree of each frame, and the names from a schema.

pub(super) mod annotation;
pub(super) mod descriptor;
pub(super) mod fields;
pub(super) mod frame;
pub(super) mod limits;
pub(super) mod redaction;
pub(super) mod schema;
pub(super) mod text;
pub(super) mod tree;
