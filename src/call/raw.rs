//! [`Raw`]: a message as its bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::{DecodeContext, WireType, encode_key, skip_field};
use prost::{DecodeError, Message};

/// A message as the bytes between the prefixes of the wire, after decompression. Nothing reads or checks them.
///
/// It stands for the message of any type: in [`Router::fallback`](crate::Router::fallback) and
/// [`Client::raw`](crate::Client::raw), and as the message type of a [`Method`](crate::Method). So it is also the place for a
/// codec other than Protocol Buffers: the handler and the caller convert the bytes. On the wire, the `content-type` of such a
/// call is `application/grpc` all the same: a server refuses `application/grpc+json` with HTTP 415, and a client does not send
/// it, so both sides must know by the method which codec it uses.
///
/// ```
/// use barewire::{Client, Method, Raw, Request, Router, Status, Unary, testing};
///
/// /// The messages of this method are JSON.
/// const ADD: Method<Raw, Raw, Unary> = Method::new("/numbers.Numbers/Add");
///
/// async fn add(_: &(), request: Request<Raw>) -> Result<Raw, Status> {
///     let numbers: Vec<i64> =
///         serde_json::from_slice(&request.0).map_err(|error| Status::invalid_argument(error.to_string()))?;
///     Ok(Raw::from(numbers.iter().sum::<i64>().to_string()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Status> {
/// let client = testing::client(Router::new(()).unary(ADD, add)).await;
/// let sum = client.unary(ADD, Raw::from("[1, 2, 3]")).await?;
/// assert_eq!(sum.0, "6");
/// # Ok(())
/// # }
/// ```
///
/// A received message shares the memory in which it arrived, which may hold other messages too; `Bytes::copy_from_slice` makes a
/// copy to keep for long.
///
/// As a field of another [prost](https://docs.rs/prost) message, it keeps the bytes of an embedded message unread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Raw(pub Bytes);

impl<B: Into<Bytes>> From<B> for Raw {
    fn from(bytes: B) -> Raw {
        Raw(bytes.into())
    }
}

impl Message for Raw {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    /// Takes all bytes; never fails.
    fn decode(mut buf: impl Buf) -> Result<Raw, DecodeError> {
        Ok(Raw(buf.copy_to_bytes(buf.remaining())))
    }

    /// Appends all bytes: the concatenation of two messages in Protocol Buffers is their merger. Never fails.
    fn merge(&mut self, mut buf: impl Buf) -> Result<(), DecodeError> {
        let mut bytes = self.take();
        bytes.put(&mut buf);
        self.0 = bytes.freeze();
        Ok(())
    }

    /// Appends a field of an embedded message.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut bytes = self.take();
        encode_key(tag, wire_type, &mut bytes);
        let skipped = skip_field(wire_type, tag, &mut Recorder { from: buf, to: &mut bytes }, ctx);
        self.0 = bytes.freeze();
        skipped
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Raw {
    /// Takes the bytes for changes.
    fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.0).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]))
    }
}

/// Copies the bytes that are read from a buffer.
struct Recorder<'a, B> {
    from: &'a mut B,
    to: &'a mut BytesMut,
}

impl<B: Buf> Buf for Recorder<'_, B> {
    fn remaining(&self) -> usize {
        self.from.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.from.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.to.put((&mut *self.from).take(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::payload::Payload;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Inner {
        #[prost(string, tag = "1")]
        text: String,
        #[prost(fixed64, tag = "2")]
        long: u64,
        #[prost(fixed32, tag = "3")]
        short: u32,
        #[prost(uint64, tag = "300")]
        number: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct Outer {
        #[prost(uint32, tag = "1")]
        before: u32,
        #[prost(message, optional, tag = "2")]
        inner: Option<Inner>,
        #[prost(uint32, tag = "3")]
        after: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    struct RawOuter {
        #[prost(uint32, tag = "1")]
        before: u32,
        #[prost(message, optional, tag = "2")]
        inner: Option<Raw>,
        #[prost(uint32, tag = "3")]
        after: u32,
    }

    fn inner() -> Inner {
        Inner { text: "hello".into(), long: 7, short: 8, number: u64::MAX }
    }

    #[test]
    fn any_bytes_are_a_raw_message() {
        for bytes in [&b""[..], b"{\"a\": 1}", &[0xff; 20]] {
            let raw = Raw::decode(bytes).unwrap();
            assert_eq!(raw.0, bytes);
            assert_eq!(raw.encode_to_vec(), bytes);
            assert_eq!(raw.encoded_len(), bytes.len());
        }
    }

    #[test]
    fn received_bytes_are_not_copied() {
        let bytes = Bytes::from(vec![1; 100]);
        let mut rest = bytes.clone();
        assert_eq!(Raw::decode(Payload::new(Buf::take(&mut rest, 60))).unwrap().0.as_ptr(), bytes.as_ptr());
        assert_eq!(rest.len(), 40);
    }

    #[test]
    fn embedded_message_is_kept_unread() {
        let outer = Outer { before: 1, inner: Some(inner()), after: 2 };
        let raw = RawOuter::decode(&outer.encode_to_vec()[..]).unwrap();
        assert_eq!(raw.inner, Some(Raw::from(inner().encode_to_vec())));
        assert_eq!(Outer::decode(&raw.encode_to_vec()[..]).unwrap(), outer);
        // A group: field 1, which contains field 2, a varint.
        let group = [0x0b, 0x10, 0x96, 0x01, 0x0c];
        let field = [&[0x12, group.len() as u8], &group[..]].concat();
        assert_eq!(RawOuter::decode(&field[..]).unwrap().inner, Some(Raw::from(group.to_vec())));
        assert!(RawOuter::decode(&[0x12, 2, 0x0a, 5][..]).is_err(), "a field longer than its message");
    }

    #[test]
    fn merged_bytes_are_the_merged_message() {
        let mut raw = Raw::from(Inner { number: 0, ..inner() }.encode_to_vec());
        let shared = raw.clone();
        raw.merge(&Inner { number: 9, ..Inner::default() }.encode_to_vec()[..]).unwrap();
        assert_eq!(Inner::decode(raw.0.clone()).unwrap(), Inner { number: 9, ..inner() });
        assert_ne!(raw, shared);
        raw.clear();
        assert_eq!(raw, Raw::default());
    }
}
