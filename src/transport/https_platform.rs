//! TLS for `https` URLs if the builder has none: the authorities of the operating system.

use crate::io::ClientHandshake;
use crate::status::Status;
use crate::transport::tls::ClientTls;

/// Returns a handshake that trusts the authorities of the operating system.
///
/// # Errors
///
/// INVALID_ARGUMENT if the system has none.
pub(super) fn default_handshake() -> Result<ClientHandshake, Status> {
    let tls = ClientTls::platform_roots().map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(tls.handshake())
}
