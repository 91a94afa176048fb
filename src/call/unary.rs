//! Reads and writes single messages. All decoding of payloads by prost happens here.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use super::body::Receive;
use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::MessageEncoder;
use super::failure::undecodable;
use super::payload::Payload;
use crate::limits::CALL_ALLOWANCE;
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::message::PREFIX_LENGTH;

/// Reads exactly one message and the end of the stream. Returns the message, and true if it was compressed. Fails
/// without a message and after a second one. `path` returns the path of the method, which the error of an undecodable message
/// names.
pub(crate) async fn only<'a, T: Message + Default>(
    source: &mut impl Receive,
    path: impl Fn() -> &'a str,
) -> Result<(T, bool), Status> {
    source.body().expect_one();
    // An undecodable message fails the call only after the rest of the stream was read.
    let read = |compressed, payload: &mut Payload<'_>| Ok((decode(payload, &path), compressed));
    let (message, compressed) = poll_fn(|cx| source.poll_message(cx, read)).await?.ok_or(ProtocolError::NoMessage)?;
    match poll_fn(|cx| source.poll_message(cx, |_, _| Ok(()))).await? {
        None => Ok((message?, compressed)),
        Some(()) => Err(ProtocolError::TooManyMessages.into_status()),
    }
}

/// Decodes a payload. `path` returns the path of the method, for the error.
#[inline]
pub(super) fn decode<'a, T: Message + Default>(payload: impl Buf, path: impl Fn() -> &'a str) -> Result<T, Status> {
    T::decode(payload).map_err(|error| undecodable(&error, path()))
}

/// Encodes a message as a Length-Prefixed-Message, in one buffer of exactly its size.
pub(crate) fn encode<T: Message>(message: &T, packing: &MessageEncoder, compress: bool) -> Result<BytesMut, Status> {
    let mut buffer = BytesMut::new();
    packing.append(&mut buffer, message.encoded_len(), compress, |buffer| message.encode_raw(buffer))?;
    Ok(buffer)
}

/// Returns true if a message fits the allowance of every call and need not ask the budget.
pub(crate) fn is_small<T: Message>(message: &T) -> bool {
    PREFIX_LENGTH + message.encoded_len() <= CALL_ALLOWANCE
}

/// Encodes a message like [`encode`], after waiting for the connection's budget. The message is charged until it was sent.
pub(crate) async fn encode_within<T: Message>(
    budget: Arc<Budget>,
    message: &T,
    packing: &MessageEncoder,
    compress: bool,
) -> Result<Bytes, Status> {
    let mut admission = Admission::new(budget, Kind::Outgoing);
    let mut waits = Charge::default();
    poll_fn(|cx| admission.poll_with(cx, true, &mut waits, message.encoded_len())).await?;
    let mut charge = Charge::default();
    let message = if compress && packing.compresses_off_worker(message.encoded_len()) {
        let mut plain = BytesMut::with_capacity(message.encoded_len());
        message.encode_raw(&mut plain);
        admission.charge(&mut charge, plain.capacity());
        packing.pack_off_worker(std::mem::take(&mut charge).bind(plain)).await?
    } else {
        encode(message, packing, compress)?
    };
    admission.charge(&mut charge, message.capacity());
    Ok(charge.bind(message))
}
