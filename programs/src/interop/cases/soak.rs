//! Large calls one after the other, over one connection or over one each, with limits for time and failures.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::unary::check_payload;
use super::{Failure, Settings, Target, failure, ok};
use crate::interop::messages::SimpleRequest;
use crate::interop::{TestServiceClient, zeros};
use barewire::io::Connector;

/// How much `rpc_soak` and `channel_soak` do, and what they put up with. The defaults are grpc-go's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Soak {
    /// How many calls, on all workers together. 10 by default.
    pub iterations: u32,
    /// How many of them may fail or take too long. 0 by default.
    pub max_failures: u32,
    /// How long a call may take, connecting included. 1 s by default.
    pub max_latency: Duration,
    /// How long the whole case may take. 10 s by default.
    pub overall_timeout: Duration,
    /// The time from the beginning of a call to that of the worker's next, at least. 0 by default.
    pub min_time_between: Duration,
    /// The payload of a request, in bytes. 271,828 by default.
    pub request_size: usize,
    /// The payload of an answer, in bytes. 314,159 by default.
    pub response_size: usize,
    /// How many calls there are at a time; each makes its part of the iterations. 1 by default.
    pub workers: u32,
}

impl Default for Soak {
    fn default() -> Self {
        Soak {
            iterations: 10,
            max_failures: 0,
            max_latency: Duration::from_secs(1),
            overall_timeout: Duration::from_secs(10),
            min_time_between: Duration::ZERO,
            request_size: super::unary::LARGE_REQUEST,
            response_size: super::unary::LARGE_ANSWER,
            workers: 1,
        }
    }
}

/// Calls one service, or one over a connection of its own each time.
pub(super) async fn soak<C: Connector + 'static>(
    target: &Target<C>,
    service: Option<TestServiceClient>,
    settings: &Settings,
) -> Result<(), Failure> {
    let Settings { soak, hear, .. } = settings;
    let mut workers = JoinSet::new();
    let count = soak.workers.max(1);
    for number in 0..count {
        // The first workers make one more where the iterations can't be parted evenly.
        let iterations = soak.iterations / count + u32::from(number < soak.iterations % count);
        let worker =
            Worker { number, target: target.clone(), service: service.clone(), soak: soak.clone(), hear: hear.clone() };
        workers.spawn(worker.run(iterations));
    }
    let all = async {
        let mut latencies = Vec::new();
        while let Some(worker) = workers.join_next().await {
            latencies.extend(worker.unwrap_or_default());
        }
        latencies
    };
    let mut latencies = tokio::time::timeout(soak.overall_timeout, all).await.map_err(|_| {
        failure("the soak", format_args!("{} calls within {:?}", soak.iterations, soak.overall_timeout), "fewer")
    })?;
    latencies.sort_unstable();
    let failures = soak.iterations - latencies.len() as u32;
    if let (Some(least), Some(most)) = (latencies.first(), latencies.last()) {
        let median = latencies.get(latencies.len() / 2).unwrap_or(most);
        hear(&format!(
            "{} of {} calls succeeded, in {least:?} to {most:?}, half of them within {median:?}",
            latencies.len(),
            soak.iterations
        ));
    }
    match failures <= soak.max_failures {
        true => Ok(()),
        false => Err(failure("the soak", format_args!("at most {} failures", soak.max_failures), failures)),
    }
}

struct Worker<C> {
    number: u32,
    target: Target<C>,
    service: Option<TestServiceClient>,
    soak: Soak,
    hear: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<C: Connector> Worker<C> {
    /// Gives the latencies of the calls that succeeded.
    async fn run(self, iterations: u32) -> Vec<Duration> {
        let mut latencies = Vec::new();
        for iteration in 0..iterations {
            let begin = Instant::now();
            let outcome = self.call().await;
            let latency = begin.elapsed();
            let outcome = outcome.and_then(|()| match latency <= self.soak.max_latency {
                true => Ok(()),
                false => Err(failure(
                    "latency",
                    format_args!("at most {:?}", self.soak.max_latency),
                    format_args!("{latency:?}"),
                )),
            });
            let ended = outcome.as_ref().map_or_else(ToString::to_string, |()| "succeeded".to_owned());
            (self.hear)(&format!("worker {} call {iteration} after {latency:?}: {ended}", self.number));
            latencies.extend(outcome.is_ok().then_some(latency));
            tokio::time::sleep_until(begin + self.soak.min_time_between).await;
        }
        latencies
    }

    async fn call(&self) -> Result<(), Failure> {
        let service = match &self.service {
            Some(service) => service.clone(),
            None => self.target.service().await?,
        };
        let Soak { request_size, response_size, .. } = self.soak;
        let request = SimpleRequest {
            response_size: i32::try_from(response_size).unwrap_or(i32::MAX),
            payload: Some(zeros(request_size)),
            ..SimpleRequest::default()
        };
        let answer = ok("UnaryCall", service.unary_call(request).await)?;
        check_payload("the answer", answer.payload.as_ref(), response_size)
    }
}
