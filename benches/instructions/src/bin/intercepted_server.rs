//! [`barewire_server`](../barewire_server/index.html) with an interceptor, which reads a header and the final status of each call.

const INTERCEPTS: bool = true;

include!("../barewire_server.rs");
