//! Messages between the runner and a program: each has its length in front.
//!
//! ```text
//! Delimited-Message → Length Message
//! Length            → 4 bytes, big-endian
//! ```
//!
//! From the suite's documentation, "Interacting with the test runner".

use std::io::{self, Read, Write};

use prost::Message;

/// Size limit of a message from the runner, in bytes.
const LARGEST: u32 = 64 << 20;

/// Reads one message; returns `None` at the end of the input.
///
/// # Errors
///
/// Fails if reading fails; [`io::ErrorKind::InvalidData`] if the input is not such a message.
pub fn read<M: Message + Default>(input: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    if input.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[1..])?;
    let length = u32::from_be_bytes(length);
    if length > LARGEST {
        return Err(invalid(format!(
            "message length {length} is over the limit of {LARGEST} bytes: is this the conformance runner?"
        )));
    }
    let mut message = Vec::new();
    input.take(length.into()).read_to_end(&mut message)?;
    if message.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(&*message).map(Some).map_err(|error| invalid(error.to_string()))
}

/// Writes one message.
///
/// # Errors
///
/// Fails if writing fails; [`io::ErrorKind::InvalidData`] for a message of more than 4 GiB.
pub fn write(output: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).map_err(|_| invalid("message of more than 4 GiB".to_owned()))?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(&message)?;
    output.flush()
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::messages::ClientErrorResult;

    fn message(text: &str) -> ClientErrorResult {
        ClientErrorResult { message: text.to_owned() }
    }

    #[test]
    fn messages_are_written_and_read() {
        let mut bytes = Vec::new();
        for text in ["", "one", "two"] {
            write(&mut bytes, &message(text)).unwrap();
        }
        assert_eq!(bytes[..14], *b"\0\0\0\0\0\0\0\x05\x0a\x03one\0");
        let mut input = &bytes[..];
        for text in ["", "one", "two"] {
            assert_eq!(read(&mut input).unwrap(), Some(message(text)));
        }
        assert_eq!(read::<ClientErrorResult>(&mut input).unwrap(), None);
    }

    #[test]
    fn truncated_and_invalid_messages_are_errors() {
        for (bytes, kind) in [
            (&b"\0"[..], io::ErrorKind::UnexpectedEof),
            (b"\0\0\0\x05\x0a", io::ErrorKind::UnexpectedEof),
            (b"\0\0\0\x01\x0a", io::ErrorKind::InvalidData),
            (b"GET / HTTP/1.1\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read::<ClientErrorResult>(&mut &bytes[..]).unwrap_err().kind(), kind, "{bytes:?}");
        }
    }
}
