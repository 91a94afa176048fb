//! Compiles the messages of `proto/` where the feature `messages` asks for them. No `protoc`, no generated services.

#[cfg(feature = "messages")]
#[path = "build/messages.rs"]
mod messages;

#[cfg(not(feature = "messages"))]
mod messages {
    /// The lean core has no messages.
    pub fn compile() {}
}

fn main() {
    messages::compile();
}
