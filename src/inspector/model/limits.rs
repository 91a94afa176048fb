//! How much the inspector keeps of what it is shown.

/// The bounds on a conversation's memory.
///
/// A conversation keeps at most one frame of each direction that is not yet complete (16 MiB, the most that HTTP/2's
/// length field can say, and only as many bytes as were really pushed), and besides it what these limits allow.
/// Whatever is over a limit is still annotated, as bytes without further meaning, and said to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one header block, gathered over its frames. Default 256 KiB.
    pub header_block: usize,
    /// Bytes of names and values shown for one header block. Default 64 KiB.
    pub header_list: usize,
    /// Bytes of an HPACK dynamic table, as RFC 7541, section 4.1 counts them. Default 64 KiB.
    pub header_table: usize,
    /// Bytes of one message, gathered over its frames to be decoded. Default 4 MiB.
    pub message: usize,
    /// Annotations for the messages that end in one frame, after which what is left is not told apart any more.
    /// Default 16,384.
    pub annotations: usize,
    /// Messages within messages. Default 32.
    pub depth: usize,
    /// Calls followed at the same time; beyond, the oldest is forgotten. Default 1,024.
    pub calls: usize,
    /// Bytes of all messages together that wait for their end. Default 64 MiB.
    pub waiting: usize,
    /// Cost of the frames kept, annotations included; beyond, the oldest are dropped. Default 256 MiB.
    pub frames: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_block: 256 << 10,
            header_list: 64 << 10,
            header_table: 64 << 10,
            message: 4 << 20,
            annotations: 16_384,
            depth: 32,
            calls: 1_024,
            waiting: 64 << 20,
            frames: 256 << 20,
        }
    }
}
