//! Tests of handlers: each alone, or a whole service over a connection in memory.
//!
//! # A handler alone
//!
//! A handler is an `async fn`, so a test can call it. This module makes the arguments and reads the results:
//!
//! | the handler | the test |
//! |---|---|
//! | takes a [`Request`] | [`Request::new`], or [`Call::request`] with metadata, peer, deadline, extensions |
//! | takes an [`Inbound`] | [`inbound`] with a list of messages, or [`inbound_channel`] to send them one after the other |
//! | takes an [`Outbound`] | [`outbound`], and reads the messages from the [`Receiver`] |
//! | returns a [`Response`], or the message itself | reads it |
//! | returns a [`Status`] | compares it |
//!
//! [`Request`]: crate::Request
//! [`Request::new`]: crate::Request::new
//! [`Response`]: crate::Response
//! [`Status`]: crate::Status
//!
//! The handles are the real ones: messages are encoded and decoded, and the limits and compression of a server apply
//! ([`Call::options`]). Only HTTP/2 is missing. So nothing drops a handler when its deadline passes or its client is gone:
//! a test drops the handler's future itself, or uses a connection.
//!
//! All four kinds:
//!
//! ```
//! use barewire::{Code, Inbound, Outbound, Request, Response, Status, testing};
//!
//! struct Words;
//!
//! impl Words {
//!     /// Unary.
//!     async fn shout(&self, request: Request<String>) -> Result<Response<String>, Status> {
//!         match request.is_empty() {
//!             true => Err(Status::invalid_argument("nothing to shout")),
//!             false => Ok(Response::new(request.to_uppercase())),
//!         }
//!     }
//!
//!     /// Server streaming.
//!     async fn split(&self, request: Request<String>, mut out: Outbound<String>) -> Result<(), Status> {
//!         for word in request.split(' ') {
//!             out.send(word.to_owned()).await?;
//!         }
//!         Ok(())
//!     }
//!
//!     /// Client streaming.
//!     async fn join(&self, mut words: Inbound<String>) -> Result<String, Status> {
//!         let mut joined = Vec::new();
//!         while let Some(word) = words.recv().await? {
//!             joined.push(word);
//!         }
//!         Ok(joined.join(" "))
//!     }
//!
//!     /// Bidirectional streaming.
//!     async fn echo(&self, mut words: Inbound<String>, mut out: Outbound<String>) -> Result<(), Status> {
//!         while let Some(word) = words.recv().await? {
//!             out.send(word).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Status> {
//! let loud = Words.shout(Request::new("hello".into())).await?;
//! assert_eq!(loud.message(), "HELLO");
//! let refused = Words.shout(Request::new("".into())).await.unwrap_err();
//! assert_eq!(refused.code(), Code::InvalidArgument);
//!
//! let (out, mut receiver) = testing::outbound();
//! Words.split(Request::new("one two".into()), out).await?;
//! assert_eq!(receiver.messages().await, ["one", "two"]);
//!
//! let words = testing::inbound(["one".into(), "two".into()]);
//! assert_eq!(Words.join(words).await?, "one two");
//!
//! // Turn by turn: the handler and the test run side by side.
//! let (mut sender, words) = testing::inbound_channel();
//! let (out, mut receiver) = testing::outbound();
//! let call = tokio::spawn(async move { Words.echo(words, out).await });
//! for word in ["one", "two"] {
//!     sender.send(word.to_owned());
//!     assert_eq!(receiver.recv().await.as_deref(), Some(word));
//! }
//! sender.finish();
//! assert_eq!(receiver.recv().await, None);
//! assert_eq!(call.await.unwrap(), Ok(()));
//! # Ok(())
//! # }
//! ```
//!
//! # A service over a connection
//!
//! [`client`] connects a client to a router over an in-memory connection, with HTTP/2 between them. It uses no sockets, and time
//! only through tokio: on a paused clock (`#[tokio::test(start_paused = true)]`) an hour passes at once, as soon as all tasks
//! wait.
//!
//! ```
//! use std::time::Duration;
//!
//! use barewire::{CallOptions, Code, Method, Request, Router, Status, Unary, testing};
//!
//! const SLEEP: Method<String, String, Unary> = Method::new("/words.Words/Sleep");
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let router = Router::new(()).unary(SLEEP, |_: &(), _: Request<String>| async {
//!     tokio::time::sleep(Duration::from_secs(3600)).await;
//!     Ok::<_, Status>("awake".to_owned())
//! });
//! let client = testing::client(router).await;
//! assert_eq!(client.unary(SLEEP, "".to_owned()).await.unwrap().message(), "awake");
//!
//! let hurried = client.with(CallOptions::new().timeout(Duration::from_secs(60)));
//! assert_eq!(hurried.unary(SLEEP, "".to_owned()).await.unwrap_err().code(), Code::DeadlineExceeded);
//! # }
//! ```
//!
//! [`client_with`] takes a server and options for both sides. For more, such as several connections or a shutdown, use
//! [`transport::memory`](crate::transport::memory): `Server::serve_until` and `Client::connect` work over it as they do over TCP.
//!
//! # Why not behind a feature
//!
//! The module needs no further dependency, and a program that does not use it does not contain it. With a feature, every
//! service would have to list the library once more in its `[dev-dependencies]`.

mod call;
mod connect;
mod receiver;
mod sender;

use prost::Message;

pub use call::Call;
pub use connect::{client, client_with};
pub use receiver::Receiver;
pub use sender::Sender;

use crate::call::{Inbound, Outbound};

/// Returns an [`Inbound`] that receives these messages, and then the client's half-close: short for [`Call::inbound`].
///
/// ```
/// use barewire::testing;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), barewire::Status> {
/// let mut inbound = testing::inbound([1_i32, 2]);
/// assert_eq!(inbound.recv().await?, Some(1));
/// assert_eq!(inbound.recv().await?, Some(2));
/// assert_eq!(inbound.recv().await?, None);
/// # Ok(())
/// # }
/// ```
pub fn inbound<T: Message + Default>(messages: impl IntoIterator<Item = T>) -> Inbound<T> {
    Call::default().inbound(messages)
}

/// Returns an [`Inbound`], and the client's end of it: short for [`Call::inbound_channel`].
///
/// A stream that fails after its first message, as if the client had reset it:
///
/// ```
/// use barewire::{Code, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (mut sender, mut inbound) = testing::inbound_channel();
/// sender.send(1_i32);
/// sender.cancel();
/// assert_eq!(inbound.recv().await, Ok(Some(1)));
/// assert_eq!(inbound.recv().await.unwrap_err().code(), Code::Cancelled);
/// # }
/// ```
pub fn inbound_channel<T: Message + Default>() -> (Sender<T>, Inbound<T>) {
    Call::default().inbound_channel()
}

/// Returns an [`Outbound`], and the client's end of it: short for [`Call::outbound`].
///
/// A client that is gone:
///
/// ```
/// use barewire::{Code, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (mut out, receiver) = testing::outbound();
/// receiver.cancel();
/// assert_eq!(out.send(1_i32).await.unwrap_err().code(), Code::Cancelled);
/// # }
/// ```
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub fn outbound<T: Message>() -> (Outbound<T>, Receiver<T>) {
    Call::default().outbound()
}
