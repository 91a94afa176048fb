//! gRPC over HTTP/2 with nothing hidden: message framing, trailers, status codes and routing, written by hand on [`h2`]
//! streams.
//!
//! # One call, byte by byte
//!
//! A client asks a route guide for the feature at latitude 40.9146138°, longitude −74.6188906°. On the HTTP/2
//! connection that is three frames one way and three the other:
//!
//! ```text
//! client → server   HEADERS  :method POST, :scheme http, :path /routeguide.RouteGuide/GetFeature,
//!                            :authority localhost:50051, te trailers, content-type application/grpc
//!                   DATA     one message, END_STREAM: the client sends nothing more
//! server → client   HEADERS  :status 200, content-type application/grpc
//!                   DATA     one message
//!                   HEADERS  grpc-status 0, END_STREAM: the trailers with the status of the call
//! ```
//!
//! A message is five bytes of prefix and then a Protocol Buffer. The one in the request:
//!
//! ```
//! use barewire::wire::message::{EncodedMessage, MessageDecoder};
//! use bytes::Bytes;
//!
//! #[rustfmt::skip]
//! let data = Bytes::from_static(&[
//!     0x00,                                                       // not compressed
//!     0x00, 0x00, 0x00, 0x11,                                     // 17 bytes follow, big-endian
//!     0x08, 0x9a, 0xa6, 0x8c, 0xc3, 0x01,                         // field 1, a varint: 409146138
//!     0x10, 0x96, 0x9f, 0x98, 0x9c, 0xfd, 0xff, 0xff, 0xff, 0xff, 0x01, // field 2, a varint: -746188906
//! ]);
//!
//! let mut decoder = MessageDecoder::new(4 * 1024 * 1024);
//! decoder.push(data.clone());
//! let EncodedMessage { compressed, payload } = decoder.next()?.expect("all of it was pushed");
//! assert!(!compressed);
//! assert_eq!(payload, data.slice(5..));
//! decoder.finish()?;
//! # Ok::<(), barewire::wire::ProtocolError>(())
//! ```
//!
//! That is all of gRPC's framing; `docs/wire-format.md` shows every byte of two calls, HTTP/2 included.
//!
//! # The layers
//!
//! Each layer uses only those below it; a test checks this.
//!
//! | layer | contents |
//! |---|---|
//! | [`services`], [`transport`], … | optional modules that plug into the layers below |
//! | [`server`], [`client`] | one connection, one call, top to bottom |
//! | [`call`] | one RPC on one HTTP/2 stream, shared by both sides |
//! | [`io`] | the byte stream under HTTP/2 |
//! | [`wire`] | pure functions over bytes and header maps; below it [`Status`], [`Metadata`], [`Method`], [`Code`] |
//!
//! # Where to read
//!
//! Down the path of a unary call on the server: `server/connection.rs` (a stream arrives), `server/call.rs` (the call from
//! headers to trailers), `wire/request.rs` (the headers), `server/router.rs` (path to handler), `call/unary.rs`,
//! `call/body.rs` and `wire/message.rs` (DATA to message), `call/send.rs` (DATA and trailers out), `wire/response.rs` (the
//! trailers). `docs/reading-order.md` is a longer tour.
//!
//! # Your own service
//!
//! ```
//! use barewire::{Client, Inbound, Method, Outbound, Request, Response, Router, Server, Status, transport};
//! use barewire::{BidiStreaming, Unary};
//!
//! #[derive(Clone, PartialEq, prost::Message)]
//! struct Text {
//!     #[prost(string, tag = "1")]
//!     text: String,
//! }
//!
//! const SHOUT: Method<Text, Text, Unary> = Method::new("/words.Words/Shout");
//! const ECHO: Method<Text, Text, BidiStreaming> = Method::new("/words.Words/Echo");
//!
//! struct Words;
//!
//! impl Words {
//!     async fn shout(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
//!         Ok(Response::new(Text { text: request.text.to_uppercase() }))
//!     }
//!
//!     async fn echo(&self, mut words: Inbound<Text>, mut out: Outbound<Text>) -> Result<(), Status> {
//!         while let Some(word) = words.recv().await? {
//!             out.send(word).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router = Router::new(Words).unary(SHOUT, Words::shout).bidi_streaming(ECHO, Words::echo);
//! let listener = transport::tcp::listen("127.0.0.1:0").await?;
//! let address = listener.local_addr()?.to_string();
//! tokio::spawn(Server::new(router).serve(listener));
//!
//! let client = Client::connect(transport::tcp::connect(&address)).await?;
//! let loud = client.unary(SHOUT, Text { text: "hello".into() }).await?;
//! assert_eq!(loud.text, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # Questions
//!
//! **How do I use my `.proto` files?** Messages are [prost](https://docs.rs/prost) structs: write them as above, or let
//! `prost-build` make them in a `build.rs`. The crate `barewire-build` also makes the [`Method`] constants.
//!
//! **How do I set a deadline?** [`CallOptions::timeout`], for the calls of a client or, by [`Client::with`], for one call. It
//! is sent to the server. A handler reads it from [`Request::deadline`] and is dropped when it passes.
//!
//! **How do I send metadata?** [`CallOptions::header`] on a client, [`Response::initial_metadata_mut`] or
//! [`Outbound::set_initial_metadata`] on a server; the trailing metadata is beside them. An error carries
//! [`Status::with_trailing_metadata`]. Handlers read [`Request::metadata`] and [`Inbound::metadata`].
//!
//! ```
//! # use barewire::{Client, Method, Request, Response, Router, Status, Unary, testing};
//! use std::time::Duration;
//!
//! use barewire::CallOptions;
//!
//! # const SHOUT: Method<String, String, Unary> = Method::new("/words.Words/Shout");
//! # async fn shout(_: &(), request: Request<String>) -> Result<Response<String>, Status> {
//! #     let mut response = Response::new(request.to_uppercase());
//! #     response.trailing_metadata_mut().insert("tenant", request.metadata().get("tenant").unwrap())?;
//! #     Ok(response)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Status> {
//! # let client = testing::client(Router::new(()).unary(SHOUT, shout)).await;
//! let client = client.with(CallOptions::new().timeout(Duration::from_secs(5)).header("tenant", "blue"));
//! let loud = client.unary(SHOUT, "hello".to_owned()).await?;
//! assert_eq!(loud.trailing_metadata().get("tenant"), Some("blue"));
//! # Ok(())
//! # }
//! ```
//!
//! **How do I add authentication, logging or metrics?** [`Server::intercept`] and [`Client::intercept`] take a function that sees
//! each call, may refuse it, and may call [`on_end`](server::CallStart::on_end) to learn its status, time and reason. Handlers read
//! the values that it attaches from [`Request::extensions`] or [`Inbound::context`].
//!
//! **How do I use TLS?** `transport::tls` (feature `tls`) wraps any listener and any connector, for the server's certificate
//! and for the client's. The examples `tls` and `mtls` are complete.
//!
//! **What are the limits?** [`Limits`], [`ServerOptions`] and [`ClientOptions`] have them, each with its default;
//! `docs/security.md` lists all, with the effect of exceeding each one. Some that an application may meet:
//!
//! | limit | default | beyond it |
//! |---|---|---|
//! | [`Limits::max_receive_message_size`] | 4 MiB | RESOURCE_EXHAUSTED |
//! | [`Limits::max_metadata_size`] | 64 KiB | RESOURCE_EXHAUSTED |
//! | [`Limits::stream_window`] | 1 MiB | [`Outbound::send`] waits until the peer reads |
//! | [`ServerOptions::max_concurrent_streams`], calls in progress on a connection | 1,000 | the client's call waits |
//!
//! The server announces `max_concurrent_streams` in its SETTINGS (MAX_CONCURRENT_STREAMS). A client opens a further call at
//! once, and sends it when another call of the connection has ended; its deadline runs meanwhile. If a client does not obey,
//! the server resets the stream with REFUSED_STREAM, and the call is UNAVAILABLE. A second [`Client::connect`] has a
//! connection, and so a limit, of its own.
//!
//! **How do I test a handler?** The module [`testing`] calls it directly, or through a client over a connection in memory.
//!
//! **Why did my call fail?** [`Status::code`] and [`Status::message`]. [`Status::cause`] tells what happened on the wire, and
//! `{:#}` prints both.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tls` (default) | `transport::tls`: TLS for both sides, by rustls |
//! | `compression` | `compression` with all algorithms: `gzip`, `deflate`, `zstd`, `brotli`, `snappy`; each is also a feature |
//! | `route-guide` | `services::route_guide`: the service of gRPC's tutorial |
//! | `tls-platform-roots` | TLS that trusts the certificate authorities of the operating system |
//! | `health`, `reflection` | `services::health` and `services::reflection`: gRPC's services for operators |
//! | `error-details` | `error_details`: details of errors as types |
//! | `inspector` | `inspector`: explains recorded bytes |
//! | `properties` | what the fuzz targets check; not for other users |
//!
//! Without default features the library is the core, with TCP, Unix sockets and connections in memory.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod call;
pub mod client;
mod code;
#[cfg(any(feature = "gzip", feature = "deflate", feature = "zstd", feature = "brotli", feature = "snappy"))]
pub mod compression;
#[cfg(feature = "error-details")]
pub mod error_details;
#[cfg(feature = "inspector")]
pub mod inspector;
pub mod io;
mod limits;
pub mod metadata;
pub mod method;
#[cfg(any(all(test, feature = "compression", feature = "inspector"), feature = "properties"))]
#[doc(hidden)]
pub mod properties;
mod protocol;
pub mod server;
pub mod services;
pub mod status;
pub mod testing;
pub mod transport;
pub mod wire;

pub use call::{Compressor, Compressors, Context, DecompressError, Inbound, Outbound, Request, Response};
pub use client::{CallOptions, Client, ClientBuilder, ClientOptions};
pub use limits::Limits;
pub use metadata::Metadata;
pub use method::{BidiStreaming, ClientStreaming, Method, ServerStreaming, Unary};
pub use server::{Router, Server, ServerBuilder, ServerOptions};
pub use status::{Code, Status};
