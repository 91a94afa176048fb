//! Large calls one after the other, on one connection or on one each, with limits for time and failures.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::outcome::{Failure, failure, ok};
use super::settings::{Settings, Soak};
use super::target::Target;
use super::unary::check_payload;
use crate::interop::client::TestServiceClient;
use crate::interop::messages::SimpleRequest;
use crate::interop::payload::zeros;
use barewire::io::Connector;

/// Calls `service`, or opens a connection for each call if it is `None`.
pub(super) async fn soak<C: Connector + 'static>(
    target: &Target<C>,
    service: Option<TestServiceClient>,
    settings: &Settings,
) -> Result<(), Failure> {
    let Settings { soak, progress, .. } = settings;
    let mut workers = JoinSet::new();
    let count = soak.workers.max(1);
    for number in 0..count {
        // If the iterations can't be divided evenly, the first workers make one more.
        let iterations = soak.iterations / count + u32::from(number < soak.iterations % count);
        let worker = Worker {
            number,
            target: target.clone(),
            service: service.clone(),
            soak: soak.clone(),
            progress: progress.clone(),
        };
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
        progress(&format!(
            "{} of {} calls succeeded; latency {least:?} to {most:?}, median {median:?}",
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
    progress: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<C: Connector> Worker<C> {
    /// Makes the calls, and returns the latencies of those that succeeded.
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
            (self.progress)(&format!("worker {} call {iteration} after {latency:?}: {ended}", self.number));
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
