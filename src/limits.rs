//! Every limit that a peer can meet, in one place: the defaults of [`ServerOptions`](crate::ServerOptions) and
//! [`ClientOptions`](crate::ClientOptions), and what is fixed. `docs/security.md` has them in a table, with what happens
//! beyond each; a test holds the two together.

use std::time::Duration;

/// The limits of a connection that both sides have, and how long each waits for the other: a part of
/// [`ServerOptions`](crate::ServerOptions) and of [`ClientOptions`](crate::ClientOptions).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message that the peer may send, in bytes; beyond it the call is RESOURCE_EXHAUSTED. 4 MiB by default.
    pub max_receive_message_size: usize,
    /// The largest message that this side may send, in bytes. Unlimited by default.
    pub max_send_message_size: usize,
    /// The size of the metadata that the peer may send at once, in bytes as RFC 9113 section 6.5.2 counts them (name + value + 32
    /// each). The peer is told; it may send 512 fields at most, besides. Beyond it the call is RESOURCE_EXHAUSTED, on a server
    /// beyond three times as much HTTP 431. 64 KiB by default.
    pub max_metadata_size: u32,
    /// The flow-control window of a stream, in bytes: how much the peer may send that nobody has taken. 1 MiB by default.
    pub stream_window: u32,
    /// The flow-control window of the connection, in bytes: how much all its streams together may hold that nobody has taken.
    /// 16 MiB by default, so that sixteen readers that stopped still hold nobody up.
    pub connection_window: u32,
    /// What the calls of a connection may make this side hold beside what the peer sent, in bytes: messages that wait for the
    /// peer's windows, messages that grew when they were restored and decoded, metadata. Calls that want more wait; where
    /// nothing is given back for [`Limits::peer_timeout`], they end with RESOURCE_EXHAUSTED. One message on its way in and one
    /// on its way out may always be held, whatever their size. 16 MiB by default.
    pub max_connection_memory: usize,
    /// Messages shorter than this, in bytes, are not compressed. 0 by default.
    pub min_compress_size: usize,
    /// How long the peer may take over what HTTP/2 has it do at once: end a frame or a header block that it has begun,
    /// acknowledge SETTINGS and PING, take from its socket some of what is there. Beyond it the connection ends, and calls on it
    /// are UNAVAILABLE to a client. Windows that the peer does not open and messages that it does not go on with count for
    /// nothing. 20 s by default.
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

/// The largest message that is received, in bytes.
pub(crate) const MAX_RECEIVE_MESSAGE_SIZE: usize = 4 << 20;
/// The metadata of a request or an answer, in bytes as RFC 9113 section 6.5.2 counts them.
pub(crate) const MAX_METADATA_SIZE: u32 = 64 << 10;
/// The calls that a connection may have in progress.
pub(crate) const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// What a stream may bring that nobody has taken, in bytes.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// What the streams of a connection together may bring that nobody has taken, in bytes.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// What the calls of a connection may hold for the peer beside what it sent, in bytes.
pub(crate) const MAX_CONNECTION_MEMORY: usize = 16 << 20;
/// From a byte stream to HTTP/2: TLS, preface and the first SETTINGS, for a client its connecting too.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// What a peer has to do at once: end a frame or header block, acknowledge SETTINGS and PING, take what is written.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(20);
/// After so long a silence of a client a server asks by PING whether it is there (gRFC A9).
pub(crate) const KEEPALIVE_TIME: Duration = Duration::from_secs(2 * 60 * 60);
/// How often a client may send PINGs while it has calls (gRFC A8).
pub(crate) const MIN_PING_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// From the shutdown of a server to the end of its last call.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

// Fixed.

/// The fields of the metadata of a request or an answer. HPACK makes a field of up to 4 KiB out of one octet, and each costs
/// some 100 bytes of memory, whatever its size.
pub(crate) const MAX_METADATA_FIELDS: usize = 512;
/// How many times `max_metadata_size` a server's h2 takes: a request up to there is refused by gRPC's means.
pub(crate) const SERVER_METADATA_FACTOR: u32 = 3;
/// How many times `max_metadata_size` a client's h2 takes. Beyond it h2 resets the stream and does not say why.
pub(crate) const CLIENT_METADATA_FACTOR: u32 = 8;
/// How many streams with a header block over `max_metadata_size` are remembered.
pub(crate) const LONG_BLOCKS: usize = 256;
/// The informational responses (1xx) that may come before an answer.
pub(crate) const MAX_INFORMATIONAL: u32 = 16;
/// Header blocks that are read before the calls take what came of them, in bytes. A field may be one of these bytes.
pub(crate) const HEADERS_IN_TURN: usize = 8 << 10;
/// The pause of a client after so many header blocks, on a connection with informational responses: its calls see each.
pub(crate) const INFORMATIONAL_PAUSE: Duration = Duration::from_millis(1);
/// How often a client may send PINGs while it has no calls (gRFC A8).
pub(crate) const MIN_IDLE_PING_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
/// How many PINGs may come too soon (gRFC A8).
pub(crate) const MAX_PING_STRIKES: u32 = 2;
/// The shortest interval at which a client asks by PING whether its server is there (gRFC A8).
pub(crate) const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(10);
/// What h2 may spend on DATA frames that were not taken out yet, in bytes by its own count (it charges a small frame up to
/// 256). Calls take DATA out as it arrives, so that only a burst within one read of the socket counts; the default, half the
/// connection window, ends connections of well-behaved peers that send small messages.
pub(crate) const DATA_FRAME_BUDGET: usize = 36 << 20;
/// For how long a stream that this side reset is remembered: what the peer sent before it knew is passed over (RFC 9113
/// section 5.1). On a stream that is forgotten it counts as an error of the peer, and a thousand of those end the connection.
pub(crate) const RESET_MEMORY: Duration = Duration::from_secs(10);
/// How many calls may have been given up before they were looked at, where no more than these may be in progress at once;
/// h2's own limit is 20.
pub(crate) const PENDING_RESETS: usize = 1000;
/// How many streams that this side reset a client remembers, a few hundred bytes each; h2's own limit is 50.
pub(crate) const RESETS_REMEMBERED: usize = 10_000;
/// What waits to be written to a socket, in bytes.
pub(crate) const BACKLOG: usize = 64 << 10;
/// What is read from a socket at once where much has come, in bytes; h2 takes it by the half of a frame.
pub(crate) const READ_AHEAD: usize = 64 << 10;
/// DATA of all calls of a connection that h2 has taken and the socket has not, in bytes. More than a socket's buffer, so that
/// it is never what a peer that reads has to wait for.
pub(crate) const UNSENT: usize = 4 << 20;
/// The part of [`UNSENT`] that one call may have, in bytes: a message of a MiB and what else leaves with it. h2's own limit is
/// 400 KiB, for which such a message waits twice.
pub(crate) const UNSENT_OF_CALL: usize = (1 << 20) + BATCH;
/// The largest piece of a message that h2 is given at once, in bytes: by so much may [`UNSENT`] be exceeded.
pub(crate) const PIECE: usize = 256 << 10;
/// What [`UNSENT`] is charged for each piece beside its bytes: h2 keeps so much for a DATA frame that waits.
pub(crate) const PIECE_COST: usize = 320;
/// What a call gathers before it leaves in one DATA frame, in bytes; larger messages leave as they are.
pub(crate) const BATCH: usize = 16 << 10;
/// The first batch of a call, in bytes. It doubles up to [`BATCH`] with each batch that the peer's window lets go.
pub(crate) const FIRST_BATCH: usize = 4 << 10;
/// What [`MAX_CONNECTION_MEMORY`] is charged for a call by itself, in bytes: its stream, its task, its handler, and what it may
/// hold without asking.
pub(crate) const CALL_COST: usize = 6 << 10;
/// Messages and metadata that take no more memory than this, in bytes, are part of [`CALL_COST`].
pub(crate) const CALL_ALLOWANCE: usize = 1 << 10;
/// Messages that came in and have no more bytes than this, uncompressed, are not charged for what decoding adds to them.
pub(crate) const DECODED_FREELY: usize = 256;
/// The memory that one element of a message may take when it is decoded, in bytes, by which [`MAX_CONNECTION_MEMORY`] is charged.
pub(crate) const ELEMENT_COST: usize = 32;
/// The bytes that a connection's compressed messages may be restored to, whatever their size.
pub(crate) const RESTORED_FREELY: usize = 64 << 20;
/// The bytes that they may be restored to beyond that, for each byte that came: restoring costs the CPU about a nanosecond a byte.
pub(crate) const RESTORED_PER_BYTE: usize = 256;
/// The bytes that are read from a socket in one turn of its connection; then others have their turn.
pub(crate) const READ_TURN: usize = 128 << 10;
/// For how long a connection runs calls in one turn; then what they answered leaves, and others have their turn.
pub(crate) const TURN: Duration = Duration::from_millis(1);
/// How many calls a connection begins in one turn.
pub(crate) const TURN_CALLS: u32 = 64;
/// From this size on a message is compressed on tokio's blocking pool, in bytes: smaller ones cost less than a few milliseconds
/// where they are.
pub(crate) const INLINE_COMPRESSION: usize = 256 << 10;
/// How much of a body that is not gRPC's is kept for an error's message, in bytes.
pub(crate) const BODY_EXCERPT: usize = 256;
/// How long a connection that has ended is read from, so that its last words arrive.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// How long the rest of a request that is not gRPC's is read before it is answered.
pub(crate) const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);
/// How long trailers have to leave when calls are cut off by a shutdown.
pub(crate) const CUT_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before a server tries to accept again when it can't, as when descriptors have run out.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
