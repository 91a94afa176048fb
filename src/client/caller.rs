//! [`Caller`]: what every call of a client begins with.

use std::sync::Arc;

use http::header::HeaderValue;

use super::invoke::Invoke;
use super::options::{CallOptions, ClientOptions};
use crate::call::compress::SendingOptions;
use crate::status::Status;
use crate::wire::encoding::EncodingSet;

/// Where calls begin, what all calls of a client share, and the options of those that come next.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) shared: Arc<Shared>,
    pub(super) options: CallOptions,
}

/// What all calls of a client share.
pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) user_agent: HeaderValue,
    pub(super) sending: Arc<SendingOptions>,
    /// Those of the compressors, and identity.
    pub(super) encodings: EncodingSet,
}

impl Caller {
    /// Prepares what the calls share.
    ///
    /// # Errors
    ///
    /// INTERNAL for a user agent that can't stand in a header.
    pub(super) fn new(invoke: Arc<dyn Invoke>, options: ClientOptions) -> Result<Caller, Status> {
        let user_agent = options.user_agent()?;
        let encodings = options.compressors.encodings();
        let sending = Arc::new(SendingOptions {
            max_message_size: options.limits.max_send_message_size,
            min_compress_size: options.limits.min_compress_size,
            compressors: options.compressors.clone(),
        });
        let shared = Arc::new(Shared { options, user_agent, sending, encodings });
        Ok(Caller { invoke, shared, options: CallOptions::new() })
    }
}
