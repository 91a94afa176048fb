//! [`Caller`]: the state from which every call of a client begins.

use std::sync::Arc;

use http::header::HeaderValue;
use tokio::time::Instant;

use super::interceptor::Interceptors;
use super::invoke::Invoke;
use super::options::{CallOptions, ClientOptions};
use crate::call::EndReason;
use crate::call::compress::SendingOptions;
use crate::call::watch::Watch;
use crate::status::Status;
use crate::wire::encoding::EncodingSet;

/// Begins calls: holds the connection or channel, the state that all calls of a client share, and the options of the next
/// calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) shared: Arc<Shared>,
    pub(super) options: CallOptions,
    pub(super) interceptors: Interceptors,
}

/// The state that all calls of a client share.
pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) user_agent: HeaderValue,
    pub(super) sending: Arc<SendingOptions>,
    /// The encodings of the compressors, and identity.
    pub(super) encodings: EncodingSet,
}

impl Caller {
    /// Prepares the shared state.
    ///
    /// # Errors
    ///
    /// INTERNAL if the user agent contains anything but printable ASCII.
    pub(super) fn new(invoke: Arc<dyn Invoke>, options: ClientOptions) -> Result<Caller, Status> {
        let user_agent = options.user_agent()?;
        let encodings = options.compressors.encodings();
        let sending = Arc::new(SendingOptions {
            max_message_size: options.limits.max_send_message_size,
            min_compress_size: options.limits.min_compress_size,
            compressors: options.compressors.clone(),
        });
        let shared = Arc::new(Shared { options, user_agent, sending, encodings });
        Ok(Caller { invoke, shared, options: CallOptions::new(), interceptors: Interceptors::default() })
    }

    /// Begins to watch a call, if the client has interceptors.
    #[inline]
    pub(super) fn watch(&self) -> Option<Watch> {
        let watches = !self.interceptors.is_empty();
        watches.then(|| Watch::new(Instant::now(), EndReason::Cancelled))
    }
}
