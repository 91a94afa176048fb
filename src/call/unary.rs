//! One message by itself: the only one of a request or of an answer. prost turns payloads into messages here and nowhere else.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

use super::body::Receive;
use super::budget::{Admission, Budget, Charge, Kind};
use super::compress::Packing;
use super::payload::Payload;
use crate::limits::CALL_ALLOWANCE;
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::message::PREFIX_LENGTH;

/// Exactly one message, with whether it was compressed, and then the end: with none or a second nobody gets any.
pub(crate) async fn only<T: Message + Default>(source: &mut impl Receive) -> Result<(T, bool), Status> {
    source.body().expect_one();
    // What can't be decoded fails the call when the rest of it is known.
    let read = |compressed, payload: &mut Payload<'_>| Ok((decode(payload), compressed));
    let (message, compressed) = poll_fn(|cx| source.poll_message(cx, read)).await?.ok_or(ProtocolError::NoMessage)?;
    match poll_fn(|cx| source.poll_message(cx, |_, _| Ok(()))).await? {
        None => Ok((message?, compressed)),
        Some(()) => Err(ProtocolError::TooManyMessages.into_status()),
    }
}

/// A payload to a message.
pub(super) fn decode<T: Message + Default>(payload: impl Buf) -> Result<T, Status> {
    T::decode(payload).map_err(|error| ProtocolError::UndecodableMessage { reason: error.to_string() }.into_status())
}

/// A message to a Length-Prefixed-Message, in one buffer of just its size.
pub(crate) fn encode<T: Message>(message: &T, packing: &Packing, compress: bool) -> Result<BytesMut, Status> {
    let mut buffer = BytesMut::new();
    packing.append(&mut buffer, message.encoded_len(), compress, |buffer| message.encode_raw(buffer))?;
    Ok(buffer)
}

/// Tells if a message is part of what every call may hold: it asks no budget.
pub(crate) fn is_small<T: Message>(message: &T) -> bool {
    PREFIX_LENGTH + message.encoded_len() <= CALL_ALLOWANCE
}

/// Encodes a message like [`encode`], once the budget of the connection has room for it; it is charged until it has left.
pub(crate) async fn encode_within<T: Message>(
    budget: Arc<Budget>,
    message: &T,
    packing: &Packing,
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
