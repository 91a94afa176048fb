//! Parses the addresses in flags.

/// Checks the syntax of an address, without resolving its host.
pub(in crate::tool) fn address(text: &str) -> Result<String, &'static str> {
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    match port.parse::<u16>() {
        _ if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) => Err("must be host:port or a port"),
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("invalid port, the largest is 65535"),
    }
}

/// Parses the optional value of a flag. Refuses anything but an address, because it may be the next positional argument.
pub(in crate::tool) fn optional_address(text: &str) -> Result<String, String> {
    address(text).map_err(|why| format!("{why}; put a file before this flag"))
}
