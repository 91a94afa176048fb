//! Addresses that a flag names.

/// An address, as far as can be said without asking for its host.
pub(in crate::tool) fn address(text: &str) -> Result<String, &'static str> {
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    match port.parse::<u16>() {
        _ if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("it is neither host:port nor a port")
        }
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("a port is 65535 at most"),
    }
}

/// An address that a flag may have and need not: what is none may be the word behind, which was meant to stand alone.
pub(in crate::tool) fn optional_address(text: &str) -> Result<String, String> {
    address(text).map_err(|why| format!("{why}; a file goes before this flag"))
}
