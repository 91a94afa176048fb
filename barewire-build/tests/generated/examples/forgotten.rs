//! A service without one of its methods. It does not compile: `tests/forgotten.rs` reads the compiler's error.

use barewire::{Inbound, Outbound, Request, Response, Status};
use barewire_build_generated::proto::Text;
use barewire_build_generated::proto::words::{Words, router};

struct Forgetful;

impl Words for Forgetful {
    async fn shout(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        Ok(request.into_message().into())
    }

    async fn spell(&self, _request: Request<Text>, _responses: Outbound<Text>) -> Result<(), Status> {
        Ok(())
    }

    async fn echo(&self, _requests: Inbound<Text>, _responses: Outbound<Text>) -> Result<(), Status> {
        Ok(())
    }
}

fn main() {
    router(Forgetful);
}
