//! TLS for `https` URLs if the builder has none: an error, because the feature `tls-platform-roots` is off.

use crate::io::ClientHandshake;
use crate::status::Status;

/// Returns the error of an `https` URL without TLS on the builder.
///
/// # Errors
///
/// Always INVALID_ARGUMENT.
pub(super) fn default_handshake() -> Result<ClientHandshake, Status> {
    Err(Status::invalid_argument(
        "https needs TLS: call .tls(ClientTls::new(authorities)) on the builder (feature `tls`), or turn on the feature \
         `tls-platform-roots` to trust the authorities of the operating system",
    ))
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn https_without_authorities_names_the_remedy() {
        let status = crate::Client::builder().connect("https://localhost:1").await.unwrap_err();
        assert_eq!(status.code(), crate::Code::InvalidArgument);
        for part in [".tls(ClientTls::new(authorities))", "`tls-platform-roots`"] {
            assert!(status.message().contains(part), "{status}");
        }
    }
}
