//! [`Call`]: the attributes and options of a call that a test makes up, and the handles for its handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::time::Instant;

use super::receiver::Receiver;
use super::sender::Sender;
use crate::call::batch::Batch;
use crate::call::body::Body;
use crate::call::budget::Budget;
use crate::call::compress::{MessageEncoder, SendingOptions};
use crate::call::inbox::{Inbox, Source};
use crate::call::link::{Link, Side};
use crate::call::typed::Origin;
use crate::call::{Context, Inbound, Outbound, Request};
use crate::io::{ConnectionInfo, HeaderBlocks, Peer};
use crate::server::ServerOptions;
use crate::wire::encoding::{Encoding, EncodingSet};

/// A call that a test makes up, for calling its handler directly: metadata, peer, deadline, extensions, limits and compression.
///
/// [`testing::inbound`](super::inbound), [`testing::inbound_channel`](super::inbound_channel) and
/// [`testing::outbound`](super::outbound) are short for the methods of `Call::default()`.
///
/// ```
/// use std::time::Duration;
///
/// use barewire::testing::Call;
///
/// #[derive(Clone, Debug, PartialEq)]
/// struct User(&'static str);
///
/// let call = Call::new("/words.Words/Shout").header("tenant", "blue").extension(User("ann"));
/// let request = call.request(String::from("hello"));
/// assert_eq!(request.metadata().get("tenant"), Some("blue"));
/// assert_eq!(request.extensions().get(), Some(&User("ann")));
///
/// let inbound = call.inbound([String::from("one")]);
/// assert_eq!(inbound.metadata().get("tenant"), Some("blue"));
/// assert_eq!(inbound.context().unwrap().path(), "/words.Words/Shout");
/// ```
#[derive(Clone, Default)]
pub struct Call {
    context: Context,
    options: ServerOptions,
    encoding: Encoding,
    window: Option<usize>,
}

impl Call {
    /// Creates a call to this path, as if it came from this process. `Call::default()` has the path `/`.
    ///
    /// # Panics
    ///
    /// Panics if the path is not a valid URI path, as `/package.Service/Method` is.
    pub fn new(path: &'static str) -> Call {
        Call::from(Context::new(path))
    }

    /// Adds a text entry to the initial metadata. For binary entries build a [`Context`], and convert it to a call.
    ///
    /// # Panics
    ///
    /// Panics if the key or the value is invalid.
    #[must_use]
    pub fn header(mut self, key: &str, value: &str) -> Call {
        if let Err(error) = self.context.metadata.append(key, value) {
            panic!("{error}");
        }
        self
    }

    /// Replaces the peer, and with it the connection.
    #[must_use]
    pub fn peer(self, peer: Peer) -> Call {
        self.connection(ConnectionInfo::new(peer))
    }

    /// Replaces the connection: its peer and the values attached to it.
    #[must_use]
    pub fn connection(mut self, connection: impl Into<Arc<ConnectionInfo>>) -> Call {
        self.context = self.context.with_connection(connection);
        self
    }

    /// Sets the deadline to this time from now. Nothing ends a handler that is called directly when it passes. A time too long to
    /// represent means no deadline.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Call {
        self.context.deadline = Instant::now().checked_add(timeout);
        self
    }

    /// Attaches a value to the call, as an interceptor does.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Call {
        self.context.extensions.insert(value);
        self
    }

    /// Replaces the options of the server. These have an effect: the sizes of messages, the smallest message that is
    /// compressed and the memory in [`ServerOptions::limits`], [`ServerOptions::compressors`], and [`ServerOptions::encoding`].
    #[must_use]
    pub fn options(mut self, options: ServerOptions) -> Call {
        self.options = options;
        self
    }

    /// Sets the encoding of the request's messages, one of [`ServerOptions::compressors`].
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Call {
        self.encoding = encoding;
        self
    }

    /// Sets the encodings that the client accepts. Identity alone by default.
    #[must_use]
    pub fn accept_encoding(mut self, encodings: EncodingSet) -> Call {
        self.context.accept_encoding = encodings;
        self
    }

    /// Limits the bytes of messages, prefixes included, that the handler can send before the test reads them: sending and
    /// flushing wait as they do for a client's flow-control window. A handler's batch of up to 16 KiB waits in addition. By
    /// default there is a window for any number of bytes.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Call {
        self.window = Some(bytes);
        self
    }

    /// Returns the request of a unary or server streaming call. The message is not encoded:
    /// [`Request::was_compressed`] is false.
    pub fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(message, self.context.clone())
    }

    /// Returns an [`Inbound`] that receives these messages, and then the client's half-close.
    ///
    /// # Panics
    ///
    /// As [`Call::inbound_channel`].
    pub fn inbound<T: Message + Default>(&self, messages: impl IntoIterator<Item = T>) -> Inbound<T> {
        let (mut sender, inbound) = self.inbound_channel();
        for message in messages {
            sender.send(message);
        }
        inbound
    }

    /// Returns an [`Inbound`], and the client's end of it.
    ///
    /// # Panics
    ///
    /// Panics if the options have no compressor for [`Call::encoding`]. On a connection such a call does not reach its handler.
    pub fn inbound_channel<T: Message + Default>(&self) -> (Sender<T>, Inbound<T>) {
        let Call { options, encoding, .. } = self;
        let mut body = Body::new(None, options.limits.max_receive_message_size, self.link());
        body.set_compressor(options.compressors.get(*encoding).cloned());
        // A client has limits of its own for what it sends.
        let mut packing = self.packing(usize::MAX, options.compressors.encodings());
        packing.choose(*encoding);
        assert!(packing.encoding() == *encoding, "no compressor for {encoding}: add one to ServerOptions::compressors");
        let inbox = Inbox::new(Source::Request(body));
        let inbound = Inbound::new(inbox.clone(), Origin::Server(Box::new(self.context.clone())));
        (Sender::new(inbox, packing), inbound)
    }

    /// Returns an [`Outbound`], and the client's end of it. Spawns a task, which ends when the stream does.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime.
    pub fn outbound<T: Message>(&self) -> (Outbound<T>, Receiver<T>) {
        let Call { options, context, .. } = self;
        let mut packing = self.packing(options.limits.max_send_message_size, context.accept_encoding);
        packing.choose(options.encoding.unwrap_or_default());
        let batch = Batch::answer(packing, self.link().budget.clone());
        let receiver = Receiver::new(batch.clone(), self.window.unwrap_or(usize::MAX), options.compressors.clone());
        (Outbound::new(batch), receiver)
    }

    fn packing(&self, max_message_size: usize, accepted: EncodingSet) -> MessageEncoder {
        let (limits, compressors) = (&self.options.limits, self.options.compressors.clone());
        let sending = SendingOptions { max_message_size, min_compress_size: limits.min_compress_size, compressors };
        MessageEncoder::new(Arc::new(sending), accepted)
    }

    /// Returns the state of a connection that has only this call.
    fn link(&self) -> Arc<Link> {
        let limits = &self.options.limits;
        Arc::new(Link {
            side: Side::Server,
            connection: self.context.connection.clone(),
            budget: Budget::new(limits.max_connection_memory, limits.peer_timeout),
            blocks: Arc::new(HeaderBlocks::new(limits.max_metadata_size)),
            witness: None,
            keepalive: None,
        })
    }
}

/// Makes a call with the attributes of a context.
impl From<Context> for Call {
    fn from(context: Context) -> Call {
        Call { context, ..Call::default() }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("context", &self.context).field("options", &self.options).finish_non_exhaustive()
    }
}
