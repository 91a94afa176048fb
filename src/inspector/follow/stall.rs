//! A wait of a sender for a window, in words.

use std::fmt;
use std::time::Duration;

use crate::inspector::model::frame::Direction;
use crate::inspector::model::text;
use crate::wire::http2::FrameType;

/// A wait of this length is worth a note of the lint rules.
pub(super) const LONG: Duration = Duration::from_secs(1);

/// A wait of a sender for a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The direction of the DATA that could not be sent.
    pub direction: Direction,
    /// The stream that waited.
    pub stream: u32,
    /// The windows that were used up. Of an open wait, those that still are.
    pub windows: UsedUp,
    /// The number of the frame after which the window was used up.
    pub frame: u64,
    /// The time of that frame.
    pub begun: Duration,
    /// The time of the end; `None` while the sender waits.
    pub ended: Option<Duration>,
    /// The way in which the wait ended.
    pub end: StallEnd,
    /// The duration of the wait; of an open one, up to the last known time.
    pub waited: Duration,
    /// Bytes of DATA that the stream had sent before, with padding.
    pub sent: u64,
    /// The bytes that the sender could not send.
    pub unsent: Unsent,
    /// The type and the direction of the frame.
    pub(crate) cause: (FrameType, Direction),
    /// True if the lint rules have reported this wait before.
    pub(crate) told: bool,
}

/// The windows that kept a sender from sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedUp {
    /// The window of the stream.
    Stream,
    /// The window of the connection.
    Connection,
    /// Both windows.
    Both,
}

/// The way in which a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallEnd {
    /// The sender still waits.
    Open,
    /// WINDOW_UPDATE, or SETTINGS, opened the window.
    Opened,
    /// RST_STREAM, sent in this direction.
    Reset(Direction),
    /// The server ended the call while its client waited.
    Answered,
    /// The sender ended its stream inside the message.
    GivenUp,
    /// The server's GOAWAY, which excludes the stream.
    GoAway,
    /// The end of the connection.
    Closed,
}

/// The part that a waiting sender has not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// This many bytes of a message.
    Message(u64),
    /// The rest of a message's prefix, and the message.
    Prefix,
    /// The next message, which followed as soon as the window opened.
    Next,
    /// Everything after the headers, if there is more.
    All,
    /// Unknown, because the DATA are not messages of gRPC.
    Unknown,
}

impl Stall {
    /// Returns true if the sender certainly had more to send.
    pub fn is_certain(&self) -> bool {
        matches!(self.unsent, Unsent::Message(_) | Unsent::Prefix | Unsent::Next)
    }

    pub(crate) fn is_long(&self) -> bool {
        self.waited >= LONG
    }

    fn receiver(&self) -> &'static str {
        if self.direction == Direction::ToServer { "server" } else { "client" }
    }

    /// Returns the wait as part of the line of its call: "waited 5 s for the client's WINDOW_UPDATE on stream 5".
    pub(crate) fn of_call(&self) -> String {
        let stream = self.stream;
        let whose = match self.windows {
            UsedUp::Stream => format!("stream {stream}"),
            UsedUp::Connection => "the connection".to_owned(),
            UsedUp::Both => format!("stream {stream} and the connection"),
        };
        self.sentence(&format!("on {whose}"))
    }

    /// Returns the circumstances: the beginning, the bytes before and after it, and the end.
    pub fn details(&self) -> String {
        let begun = format!("since {} (frame {})", text::time(self.begun), self.frame);
        let sent = match self.sent {
            0 => "before any DATA".to_owned(),
            sent => format!("after {} of DATA", text::count(sent, "byte")),
        };
        let unsent = match self.unsent {
            Unsent::Message(1) => "; 1 byte of the message is left".to_owned(),
            Unsent::Message(left) => format!("; {left} bytes of the message are left"),
            Unsent::Prefix => "; it stopped inside the prefix of a message".to_owned(),
            Unsent::Next => String::new(),
            Unsent::All => "; whether it has anything to send is unknown".to_owned(),
            Unsent::Unknown => "; the DATA are not gRPC, so whether more is to come is unknown".to_owned(),
        };
        let sender = if self.direction == Direction::ToServer { "client" } else { "server" };
        let end = match self.end {
            StallEnd::Open | StallEnd::Opened => String::new(),
            StallEnd::Reset(Direction::ToServer) => "; until the client's RST_STREAM".to_owned(),
            StallEnd::Reset(Direction::ToClient) => "; until the server's RST_STREAM".to_owned(),
            StallEnd::Answered => "; until the server ended the call".to_owned(),
            StallEnd::GivenUp => format!("; until the {sender} ended the stream inside the message"),
            StallEnd::GoAway => "; until the server's GOAWAY".to_owned(),
            StallEnd::Closed => "; until the connection's end".to_owned(),
        };
        format!("{begun}, {sent}{unsent}{end}")
    }

    /// Returns the sentence without its subject; `whose` names the windows.
    fn sentence(&self, whose: &str) -> String {
        let (receiver, waited) = (self.receiver(), text::time(self.waited));
        match (self.is_certain(), self.end) {
            (true, StallEnd::Open) => format!("still waits after {waited} for the {receiver}'s WINDOW_UPDATE {whose}"),
            (true, _) => format!("waited {waited} for the {receiver}'s WINDOW_UPDATE {whose}"),
            (false, StallEnd::Open) => {
                format!("still has no window after {waited} without the {receiver}'s WINDOW_UPDATE {whose}")
            }
            (false, _) => format!("had no window for {waited} without the {receiver}'s WINDOW_UPDATE {whose}"),
        }
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.windows {
            UsedUp::Stream => "of the stream",
            UsedUp::Connection => "of the connection",
            UsedUp::Both => "of both windows",
        };
        write!(f, "stream {} to the {} {}", self.stream, self.receiver(), self.sentence(whose))
    }
}
