//! Building blocks of the tests' conversations.
//!
//! * [`attack`]: measures the cost of a hostile client for our server
//! * [`cpu`]: CPU time, for tests that limit how long something computes
//! * [`frames`]: HTTP/2 frames, valid or not
//! * [`installed`]: checks that an external program is installed
//! * [`peer`]: the far end of a connection, played frame by frame: a client to our server, a server to our client
//! * [`pipe`]: connections in memory that record every write
//! * [`service`]: a small service with all four kinds of call, which reports events to a test
//! * [`server`]: our server with that service, and ways to reach it
//!
//! Nothing here uses the kernel, so every test runs on the paused clock. Time passes only when all tasks are idle. So a wait that
//! never ends fails at once, and a test can prove that nothing arrives.

#![allow(dead_code, unused_imports)] // Each test program uses a part.

pub mod attack;
pub mod cpu;
pub mod frames;
pub mod hpack;
pub mod installed;
pub mod peer;
pub mod pipe;
pub mod server;
pub mod service;

use std::future::Future;
use std::time::Duration;

/// The longest wait for anything, on a clock that advances only while all tasks are idle.
const PATIENCE: Duration = Duration::from_secs(600);

/// The most bytes of outgoing messages of a call in addition to the window: one batch being sent, one being filled.
pub const BATCHES: u64 = 2 * 16_384;

/// Returns the output of a future that should be ready soon; panics if it is not.
#[track_caller]
pub fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("waited in vain for {what}, at {place}"),
        }
    }
}

/// Runs all tasks until they are idle.
pub async fn quiet() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

/// The two halves of a bidirectional call on a client.
pub type Streaming = (barewire::Outbound<service::Note>, barewire::Inbound<service::Note>);
