//! Every limit that a peer can meet, in one place: the defaults of [`ServerOptions`](crate::ServerOptions) and
//! [`ClientOptions`](crate::ClientOptions), and the fixed limits. `docs/security.md` lists them in a table, with the effect of
//! exceeding each one; a test compares the two.

use std::time::Duration;

/// Limits and timeouts that apply to a connection on both sides: part of [`ServerOptions`](crate::ServerOptions) and of
/// [`ClientOptions`](crate::ClientOptions).
///
/// ```
/// use std::time::Duration;
///
/// let mut options = barewire::ServerOptions::default();
/// assert_eq!(options.limits.max_receive_message_size, 4 << 20);
/// options.limits.max_receive_message_size = 16 << 20;
/// options.limits.peer_timeout = Duration::from_secs(5);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Largest message that the peer may send, in bytes. A larger one ends the call with RESOURCE_EXHAUSTED. 4 MiB by default.
    pub max_receive_message_size: usize,
    /// Largest message that this side may send, in bytes. Unlimited by default.
    pub max_send_message_size: usize,
    /// Largest list of metadata that the peer may send at once, in bytes as RFC 9113 section 6.5.2 counts them (name + value +
    /// 32 for each field). Announced to the peer in SETTINGS. A list may also have at most 512 fields. A larger list ends the
    /// call with RESOURCE_EXHAUSTED; a server answers one more than three times as large with HTTP 431. 64 KiB by default.
    pub max_metadata_size: u32,
    /// Flow-control window of a stream, in bytes: the most data that may arrive on it before the application reads it. 1 MiB by
    /// default.
    pub stream_window: u32,
    /// Flow-control window of the connection, in bytes: the most data that may arrive on all its streams together before the
    /// application reads it. 16 MiB by default, so that even sixteen readers that stopped don't block the other calls.
    pub connection_window: u32,
    /// Largest amount of memory that the calls of a connection may make this side hold beyond the bytes that the peer sent, in
    /// bytes: messages that wait for the peer's windows, the growth of messages when they are decompressed and decoded, metadata.
    /// Calls that need more wait; if no memory is released for [`Limits::peer_timeout`], they end with RESOURCE_EXHAUSTED. One
    /// incoming and one outgoing message are always allowed, whatever their size. 16 MiB by default.
    pub max_connection_memory: usize,
    /// Smallest message that is compressed, in bytes. 0 by default.
    pub min_compress_size: usize,
    /// Longest time that the peer may take for each thing that HTTP/2 requires at once: to complete a frame or a header block
    /// that it began, to acknowledge SETTINGS and PING, to read some of the data in its socket. After it the connection ends; on
    /// a client the calls on it are UNAVAILABLE. Closed flow-control windows and pauses between messages don't count. 20 s by
    /// default.
    pub peer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_receive_message_size: MAX_RECEIVE_MESSAGE_SIZE,
            max_send_message_size: usize::MAX,
            max_metadata_size: MAX_METADATA_SIZE,
            stream_window: STREAM_WINDOW,
            connection_window: CONNECTION_WINDOW,
            max_connection_memory: MAX_CONNECTION_MEMORY,
            min_compress_size: 0,
            peer_timeout: PEER_TIMEOUT,
        }
    }
}

// Defaults of options.

/// Largest message that is received, in bytes.
pub(crate) const MAX_RECEIVE_MESSAGE_SIZE: usize = 4 << 20;
/// Largest metadata of a request or a response, in bytes as RFC 9113 section 6.5.2 counts them.
pub(crate) const MAX_METADATA_SIZE: u32 = 64 << 10;
/// Number of calls that a connection may have in progress.
pub(crate) const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// Number of connections that a server may hold; 0 is unlimited.
pub(crate) const MAX_CONNECTIONS: usize = 0;
/// Number of calls that all connections of a server together may have in progress; 0 is unlimited.
pub(crate) const MAX_CONCURRENT_CALLS: usize = 0;
/// Flow-control window of a stream, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// Flow-control window of a connection, in bytes.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// Memory that the calls of a connection may use beyond the bytes that the peer sent, in bytes.
pub(crate) const MAX_CONNECTION_MEMORY: usize = 16 << 20;
/// Longest time for setting up HTTP/2 on a byte stream: TLS, preface and the first SETTINGS; for a client also the time to
/// connect.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time for what HTTP/2 requires of the peer at once: to complete a frame or header block, to acknowledge SETTINGS and
/// PING, to read what is written.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(20);
/// Time without any byte from the client after which a server sends a keepalive PING (gRFC A9).
pub(crate) const KEEPALIVE_TIME: Duration = Duration::from_secs(2 * 60 * 60);
/// Shortest time between the PINGs of a client that has calls in progress (gRFC A8).
pub(crate) const MIN_PING_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Time for which a server that shuts down still accepts connections and calls.
pub(crate) const LAME_DUCK: Duration = Duration::ZERO;
/// Longest time from the end of accepting to the end of a server's last call.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

// Fixed.

/// Number of metadata fields in a request or a response. HPACK can expand one octet to a field of up to 4 KiB, and each field
/// costs some 100 bytes of memory, whatever its size.
pub(crate) const MAX_METADATA_FIELDS: usize = 512;
/// Factor from `max_metadata_size` to the limit of a server's h2. Up to there a request is refused with a gRPC status.
pub(crate) const SERVER_METADATA_FACTOR: u32 = 3;
/// Factor from `max_metadata_size` to the limit of a client's h2. Beyond it h2 resets the stream without giving the reason.
pub(crate) const CLIENT_METADATA_FACTOR: u32 = 8;
/// Number of streams remembered because a header block of theirs was over `max_metadata_size`.
pub(crate) const LONG_BLOCKS: usize = 256;
/// Number of informational responses (1xx) before the final response of a call.
pub(crate) const MAX_INFORMATIONAL: u32 = 16;
/// Header blocks that are read before the calls process the fields in them, in bytes. A field can take as little as one byte.
pub(crate) const HEADERS_IN_TURN: usize = 8 << 10;
/// Pause in a client's reading after [`HEADERS_IN_TURN`], on a connection with informational responses, so that its calls see
/// each of them.
pub(crate) const INFORMATIONAL_PAUSE: Duration = Duration::from_millis(1);
/// Shortest time between the PINGs of a client without calls (gRFC A8).
pub(crate) const MIN_IDLE_PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
/// Time by which a client's PING may arrive early, at most a tenth of the allowed interval: a second is precise enough for a
/// server's clock (gRFC A8), and the network's jitter is less.
pub(crate) const PING_SLACK: Duration = Duration::from_secs(1);
/// Number of PINGs that may arrive too soon (gRFC A8).
pub(crate) const MAX_PING_STRIKES: u32 = 2;
/// Shortest keepalive time of a client (gRFC A8).
pub(crate) const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(10);
/// Budget of h2 for DATA frames that were not read yet, in bytes as h2 counts them (it charges a small frame up to 256). Calls
/// read DATA as it arrives, so only a burst within one read of the socket counts. h2's default, half the connection window, ends
/// connections of well-behaved peers that send small messages.
pub(crate) const DATA_FRAME_BUDGET: usize = 36 << 20;
/// Time for which a stream that this side reset is remembered. Frames that the peer sent before it received the reset are
/// ignored (RFC 9113 section 5.1). On a forgotten stream they count as errors of the peer; a thousand errors end the connection.
pub(crate) const RESET_MEMORY: Duration = Duration::from_secs(10);
/// Number of streams that a client may reset before the server accepts them; the number of concurrent calls if that is more, up
/// to [`RESETS_REMEMBERED`]; h2's own limit is 20.
pub(crate) const PENDING_RESETS: usize = 1000;
/// Number of streams reset by this side that a client remembers, at a few hundred bytes each; h2's own limit is 50.
pub(crate) const RESETS_REMEMBERED: usize = 10_000;
/// Size of the buffer for bytes to be written to a socket, in bytes.
pub(crate) const BACKLOG: usize = 64 << 10;
/// Size of a read from a socket that has much data, in bytes; h2 reads half a frame at a time.
pub(crate) const READ_AHEAD: usize = 64 << 10;
/// DATA of all calls of a connection that h2 holds and the socket has not accepted, in bytes. Larger than a socket's buffer, so
/// that a peer that reads never waits because of this limit.
pub(crate) const UNSENT: usize = 4 << 20;
/// Share of [`UNSENT`] for one call, in bytes: a message of 1 MiB and what is sent with it. With h2's own limit of 400 KiB such
/// a message waits twice.
pub(crate) const UNSENT_OF_CALL: usize = (1 << 20) + BATCH;
/// Largest piece of a message passed to h2 at once, in bytes. [`UNSENT`] may be exceeded by this much.
pub(crate) const PIECE: usize = 256 << 10;
/// Charge against [`UNSENT`] for each piece on top of its length, in bytes: the memory that h2 uses for a queued DATA frame.
pub(crate) const PIECE_COST: usize = 320;
/// Data that a call gathers into one DATA frame, in bytes; larger messages are sent as they are.
pub(crate) const BATCH: usize = 16 << 10;
/// First batch of a call, in bytes. The size doubles up to [`BATCH`] with each batch that the peer's window allows.
pub(crate) const FIRST_BATCH: usize = 4 << 10;
/// Charge against [`MAX_CONNECTION_MEMORY`] for each call, in bytes: its stream, its task, its handler, and the memory that it
/// may use without a charge of its own.
pub(crate) const CALL_COST: usize = 6 << 10;
/// Largest messages and metadata that [`CALL_COST`] already covers, in bytes of memory.
pub(crate) const CALL_ALLOWANCE: usize = 1 << 10;
/// Largest incoming message, in bytes without compression, whose growth by decoding is not charged.
pub(crate) const DECODED_FREELY: usize = 256;
/// Charge against [`MAX_CONNECTION_MEMORY`] for the memory of one decoded element of a message, in bytes.
pub(crate) const ELEMENT_COST: usize = 32;
/// Size to which the compressed messages of a connection may be decompressed whatever their compressed size, in bytes.
pub(crate) const RESTORED_FREELY: usize = 64 << 20;
/// Decompressed bytes allowed beyond that for each byte received: decompression costs the CPU about a nanosecond a byte.
pub(crate) const RESTORED_PER_BYTE: usize = 256;
/// Bytes that a connection reads from its socket in one turn, before other connections have theirs.
pub(crate) const READ_TURN: usize = 128 << 10;
/// Time for which a connection runs its calls in one turn. Then their responses are written, and other connections run.
pub(crate) const TURN: Duration = Duration::from_millis(1);
/// Number of calls that a connection starts in one turn.
pub(crate) const TURN_CALLS: u32 = 64;
/// Smallest message that is compressed on tokio's blocking pool, in bytes: compressing a smaller one in place takes at most a few
/// milliseconds.
pub(crate) const INLINE_COMPRESSION: usize = 256 << 10;
/// Part of a non-gRPC response body that an error message quotes, in bytes.
pub(crate) const BODY_EXCERPT: usize = 256;
/// Time for which a connection is still read after it ended, so that its last frames reach the peer.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// Longest time for reading the rest of a non-gRPC request before it is answered.
pub(crate) const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);
/// Longest time for sending trailers when a shutdown ends calls.
pub(crate) const CUT_PATIENCE: Duration = Duration::from_secs(1);
/// Time after which a call beyond `max_concurrent_calls` may be tried again, as its status tells the client.
pub(crate) const CALL_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Pause of a server before it accepts again after an error, such as running out of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
