//! The calls of the bare client, made with barewire's: typed messages in and out, every answer compared.

const INTERCEPTS: bool = false;

include!("../barewire_client.rs");
