//! pajamax 0.4: unary calls with a thread for each connection, on its own HTTP/2, which implements only a small part. A lower
//! bound for comparison, not a complete gRPC. The code of its generator is written by hand.

use std::net::TcpListener;
use std::process::ExitCode;

use barewire_instructions::announce;
use barewire_peers::{Peer, exit_code, to_text};
use clap::Parser;
use guide::Guide;
use pajamax::{Config, PajamaxService, local_build_response};
use prost::Message;

fn main() -> ExitCode {
    exit_code(match Peer::parse() {
        Peer::Serve(flags) => serve(flags.repeat),
        Peer::Call(_) => Err("pajamax is a server only".to_owned()),
    })
}

fn serve(repeat: usize) -> Result<(), String> {
    let guide = Guide::published(repeat).map_err(to_text)?;
    // pajamax binds its port itself and does not return it, so this picks one that was free a moment ago.
    let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).map_err(to_text)?;
    announce(free.port());
    Config::new().max_concurrent_connections(10_000).add_service(Service(guide)).serve(free).map_err(to_text)
}

struct Service(Guide);

impl PajamaxService for Service {
    fn is_dispatch_mode(&self) -> bool {
        false
    }

    fn route(&self, path: &[u8]) -> Option<usize> {
        match path {
            b"/routeguide.RouteGuide/GetFeature" => Some(0),
            b"/bench.Blobs/Answer" => Some(1),
            _ => None,
        }
    }

    fn handle(&self, method: usize, message: &[u8], stream: u32) -> Result<(), pajamax::error::Error> {
        let numbers = Numbers::decode(message)?;
        match method {
            0 => {
                let found = self.0.feature(guide::Point { latitude: numbers.one, longitude: numbers.other });
                let location = found.location.map(|at| Numbers { one: at.latitude, other: at.longitude });
                local_build_response(stream, Ok(Feature { name: found.name, location }))
            }
            _ => {
                let value = guide::zeros(numbers.one).value;
                local_build_response(stream, Ok(Blob { value }))
            }
        }
    }
}

/// `routeguide.Point` and `bench.Ask`, for the prost that pajamax uses.
#[derive(Clone, Copy, PartialEq, Message)]
struct Numbers {
    #[prost(int32, tag = "1")]
    one: i32,
    #[prost(int32, tag = "2")]
    other: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Feature {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    location: Option<Numbers>,
}

#[derive(Clone, PartialEq, Message)]
struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    value: bytes::Bytes,
}
