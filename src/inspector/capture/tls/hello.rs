//! Reads the result of the negotiation from the hellos (RFC 8446, sections 4.1.2, 4.1.3 and 4.2; RFC 5246, section
//! 7.4.1).
//!
//! ```text
//! ClientHello         → version(16) random(256) …
//! ServerHello         → version(16) random(256) session<8> suite(16) compression(8) extensions<16>
//! EncryptedExtensions → extensions<16>
//! extension           → type(16) data<16>
//! ```

use super::super::cursor::Cursor;
use super::key_log::Random;
use super::record::{vector8, vector16};

/// The random that marks a ServerHello as a HelloRetryRequest (RFC 8446, section 4.1.3).
const RETRY: Random = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// The choices of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerHello {
    pub(super) random: Random,
    /// 0x0303 for TLS 1.2, 0x0304 for TLS 1.3.
    pub(super) version: u16,
    pub(super) suite: u16,
    /// The application protocol (ALPN), if TLS 1.2 negotiated one.
    pub(super) alpn: Option<String>,
}

/// Returns the random of a ClientHello. A second ClientHello, after a HelloRetryRequest, has the same.
pub(super) fn client(kind: u8, body: &[u8]) -> Option<Random> {
    let mut body = Cursor::network(body);
    (kind == 1).then(|| body.u16().and_then(|_| body.array()))?
}

/// Returns a ServerHello; `None` for a HelloRetryRequest.
pub(super) fn server(kind: u8, body: &[u8]) -> Option<ServerHello> {
    let mut body = Cursor::network(body);
    let (legacy, random) = (body.u16()?, body.array()?);
    vector8(&mut body)?;
    let suite = body.u16()?;
    body.u8()?;
    let chosen = extension(body.rest, SUPPORTED_VERSIONS).and_then(|version| Cursor::network(version).u16());
    let hello = ServerHello { random, version: chosen.unwrap_or(legacy), suite, alpn: alpn(body.rest) };
    (kind == 2 && random != RETRY).then_some(hello)
}

/// Returns the negotiated protocol (RFC 7301, section 3.1) from a list of extensions.
pub(super) fn alpn(extensions: &[u8]) -> Option<String> {
    let names = vector16(&mut Cursor::network(extension(extensions, ALPN)?))?;
    let name = vector8(&mut Cursor::network(names))?;
    Some(name.escape_ascii().to_string())
}

fn extension(list: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut list = Cursor::network(vector16(&mut Cursor::network(list))?);
    while let (Some(kind), Some(data)) = (list.u16(), vector16(&mut list)) {
        if kind == wanted {
            return Some(data);
        }
    }
    None
}
