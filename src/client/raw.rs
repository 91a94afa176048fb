//! [`Client::raw`]: a call of a method that is known only by its path.

use std::borrow::Cow;

use super::{Client, call};
use crate::call::{Inbound, Outbound, Raw};
use crate::method;
use crate::status::Status;

impl Client {
    /// Opens a call of the method at `path`, which is `/package.Service/Method`, with messages as bytes in both directions. It
    /// serves for all four kinds: the half-close after one message, and one response before the status, make a unary call.
    ///
    /// ```
    /// use barewire::{Client, Method, Raw, Request, Router, Status, Unary, testing};
    ///
    /// const SHOUT: Method<String, String, Unary> = Method::new("/words.Words/Shout");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Status> {
    /// let router = Router::new(()).unary(SHOUT, |_: &(), request: Request<String>| async move {
    ///     Ok::<_, Status>(request.to_uppercase())
    /// });
    /// let client = testing::client(router).await;
    ///
    /// let (mut requests, mut responses) = client.raw(format!("/{}/{}", "words.Words", "Shout")).await?;
    /// requests.send(Raw::from(&b"\x0a\x05hello"[..])).await?;
    /// requests.finish().await?;
    /// assert_eq!(responses.recv().await?, Some(Raw::from("\x0a\x05HELLO")));
    /// assert_eq!(responses.recv().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// INTERNAL if the path is not of that form; otherwise the reason why the call could not begin. [`Inbound::recv`] returns
    /// how it ends.
    pub async fn raw(&self, path: impl Into<Cow<'static, str>>) -> Result<(Outbound<Raw>, Inbound<Raw>), Status> {
        let path = path.into();
        if !method::is_method_path(path.as_bytes()) {
            return Err(Status::internal(format!(
                "invalid method path {path:?}: use the form /package.Service/Method"
            )));
        }
        call::streaming(&self.0, path, false).await
    }
}
