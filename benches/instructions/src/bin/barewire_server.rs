//! barewire's route guide server, as a user would write it: the same transport as the bare server, and everything that
//! gRPC requires between the stream and the handler. Only RecordRoute does less than the guide: it counts the points, because
//! computing distances costs more than receiving points.

const INTERCEPTS: bool = false;

include!("../barewire_server.rs");
