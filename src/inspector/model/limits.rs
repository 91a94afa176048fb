//! Limits on the memory that the inspector uses.

/// The bounds on a conversation's memory.
///
/// A conversation keeps at most one incomplete frame of each direction: up to 16 MiB, the most that HTTP/2's length
/// field can declare, and only the bytes that were pushed. Everything else is bounded by these limits. Bytes over a
/// limit are still annotated, but not decoded, and the annotation names the limit as the flag `--limit` of the program
/// does.
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
    /// Bytes of decompressed messages; beyond this, [`Self::RESTORED_PER_BYTE`] more for each byte of DATA. Default
    /// 4 MiB.
    pub restored: usize,
    /// Annotations for the messages that end in one frame; the rest of the frame is then not decoded further. Default
    /// 16,384.
    pub annotations: usize,
    /// Depth of messages nested in messages. Default 32.
    pub depth: usize,
    /// Calls followed at the same time; beyond this, the oldest call is forgotten. Default 1,024.
    pub calls: usize,
    /// Bytes of all incomplete messages together. Default 64 MiB.
    pub waiting: usize,
    /// Cost of the stored frames, annotations included; beyond this, the oldest frames are dropped. Default 256 MiB.
    pub frames: usize,
}

/// The names of the limits, as [`Limits::set`] takes them.
pub const LIMIT_NAMES: [&str; 10] = [
    "annotations",
    "calls",
    "depth",
    "frames",
    "header-block",
    "header-list",
    "header-table",
    "message",
    "restored",
    "waiting",
];

/// The deepest nesting that can be allowed, so that decoding needs little stack.
const DEEPEST: usize = 200;

impl Limits {
    /// Decompressed bytes for each received byte of DATA that may be compressed, in addition to [`Self::restored`].
    pub const RESTORED_PER_BYTE: usize = 32;

    /// Sets a limit by its name, one of [`LIMIT_NAMES`]: those of the fields, with `-` for `_`. These names stand in the
    /// texts of what a limit hides.
    ///
    /// # Errors
    ///
    /// A sentence if the name is unknown, or the value too large: `depth` is at most 200.
    ///
    /// ```
    /// let mut limits = barewire::inspector::Limits::default();
    /// limits.set("header-list", 1 << 20).unwrap();
    /// assert_eq!(limits.header_list, 1 << 20);
    /// assert!(limits.set("fields", 1).unwrap_err().contains("annotations, calls, depth"));
    /// ```
    pub fn set(&mut self, name: &str, value: usize) -> Result<(), String> {
        let limit = match name {
            "annotations" => &mut self.annotations,
            "calls" => &mut self.calls,
            "depth" if value > DEEPEST => return Err(format!("depth is at most {DEEPEST}")),
            "depth" => &mut self.depth,
            "frames" => &mut self.frames,
            "header-block" => &mut self.header_block,
            "header-list" => &mut self.header_list,
            "header-table" => &mut self.header_table,
            "message" => &mut self.message,
            "restored" => &mut self.restored,
            "waiting" => &mut self.waiting,
            _ => return Err(format!("no limit {name:?}, only {}", LIMIT_NAMES.join(", "))),
        };
        *limit = value;
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_block: 256 << 10,
            header_list: 64 << 10,
            header_table: 64 << 10,
            message: 4 << 20,
            restored: 4 << 20,
            annotations: 16_384,
            depth: 32,
            calls: 1_024,
            waiting: 64 << 20,
            frames: 256 << 20,
        }
    }
}
