//! Load reports (Open Request Cost Aggregation): in the trailers of a call, and out of band on a stream of their own.
//!
//! ```text
//! a call's trailers   endpoint-load-metrics-bin: base64 of xds.data.orca.v3.OrcaLoadReport
//! out of band         xds.service.orca.v3.OpenRcaService/StreamCoreMetrics: a report at each interval
//! ```
//!
//! gRFC A51: <https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md>.

pub use messages::{OrcaLoadReport, OrcaLoadReportRequest};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost::Message;

use super::messages::TestOrcaReport;
use barewire::{Metadata, Method, Outbound, Request, Router, ServerStreaming, Status};

#[allow(missing_docs)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/xds.data.orca.v3.rs"));
    include!(concat!(env!("OUT_DIR"), "/xds.service.orca.v3.rs"));
}

/// Key of a load report in trailing metadata.
pub const REPORT: &str = "endpoint-load-metrics-bin";

/// Server streaming: sends the server's load again and again.
pub const STREAM_CORE_METRICS: Method<OrcaLoadReportRequest, OrcaLoadReport, ServerStreaming> =
    Method::new("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics");

/// Minimum interval of load reports, whatever the client asks for, unless the server configures another one (gRFC A51).
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);

/// Adds a load report to trailing metadata.
pub(super) fn attach(report: &OrcaLoadReport, trailers: &mut Metadata) -> Result<(), Status> {
    Ok(trailers.insert_bin(REPORT, &report.encode_to_vec())?)
}

/// Returns the load report in trailing metadata, if any.
///
/// # Errors
///
/// INTERNAL if it can't be decoded, or if there are several.
pub fn report(trailers: &Metadata) -> Result<Option<OrcaLoadReport>, Status> {
    let mut reports = trailers.get_all_bin(REPORT);
    let Some(report) = reports.next() else { return Ok(None) };
    if reports.next().is_some() {
        return Err(Status::internal(format!("the trailers have several values of {REPORT}")));
    }
    let report = OrcaLoadReport::decode(report?.as_slice());
    report.map(Some).map_err(|error| Status::internal(format!("{REPORT} is not a valid load report: {error}")))
}

/// Converts the test suite's message to the one that servers report.
impl From<TestOrcaReport> for OrcaLoadReport {
    fn from(report: TestOrcaReport) -> OrcaLoadReport {
        OrcaLoadReport {
            cpu_utilization: report.cpu_utilization,
            mem_utilization: report.memory_utilization,
            request_cost: report.request_cost,
            utilization: report.utilization,
            ..OrcaLoadReport::default()
        }
    }
}

/// The current load of a server; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Load(Arc<Mutex<OrcaLoadReport>>);

impl Load {
    /// Replaces the load.
    pub fn set(&self, report: OrcaLoadReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// Returns the load.
    pub fn get(&self) -> OrcaLoadReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The service that reports a load out of band.
#[derive(Clone, Debug)]
pub struct OpenRca {
    load: Load,
    shortest_interval: Duration,
}

impl OpenRca {
    /// Reports this load at most every 30 s.
    pub fn new(load: Load) -> OpenRca {
        OpenRca { load, shortest_interval: SHORTEST_INTERVAL }
    }

    /// Sets the minimum interval, which also applies if the client asks for none.
    #[must_use]
    pub fn shortest_interval(mut self, interval: Duration) -> OpenRca {
        self.shortest_interval = interval;
        self
    }

    /// Returns a router with the method of the service.
    pub fn router(self) -> Router<OpenRca> {
        Router::new(self).server_streaming(STREAM_CORE_METRICS, OpenRca::stream_core_metrics)
    }

    /// Runs until the client cancels, which drops the handler.
    async fn stream_core_metrics(
        &self,
        request: Request<OrcaLoadReportRequest>,
        mut reports: Outbound<OrcaLoadReport>,
    ) -> Result<(), Status> {
        let wanted = request.report_interval.and_then(|interval| Duration::try_from(interval).ok());
        let interval = wanted.unwrap_or_default().max(self.shortest_interval);
        loop {
            reports.send(self.load.get()).await?;
            tokio::time::sleep(interval).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use barewire::{Client, Server, transport};

    fn busy(cpu_utilization: f64) -> OrcaLoadReport {
        OrcaLoadReport { cpu_utilization, ..OrcaLoadReport::default() }
    }

    #[test]
    fn trailers_carry_a_load_report() {
        let mut trailers = Metadata::new();
        assert_eq!(report(&trailers).unwrap(), None);
        attach(&busy(0.5), &mut trailers).unwrap();
        assert_eq!(report(&trailers).unwrap(), Some(busy(0.5)));
        trailers.append_bin(REPORT, &[]).unwrap();
        assert!(report(&trailers).is_err(), "two reports");
        trailers.insert_bin(REPORT, b"\xff").unwrap();
        assert!(report(&trailers).is_err(), "not a report");
    }

    #[tokio::test(start_paused = true)]
    async fn reports_come_at_the_requested_interval_but_not_below_the_minimum() {
        let load = Load::default();
        let (listener, connector) = transport::memory::pair();
        let service = OpenRca::new(load.clone()).shortest_interval(Duration::from_secs(2));
        tokio::spawn(Server::new(service.router()).serve(listener));
        let client = Client::connect(connector).await.unwrap();
        for (wanted, expected) in [(None, 2), (Some(1), 2), (Some(5), 5)] {
            let report_interval = wanted.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
            let request = OrcaLoadReportRequest { report_interval, ..OrcaLoadReportRequest::default() };
            load.set(busy(0.25));
            let mut reports = client.server_streaming(STREAM_CORE_METRICS, request).await.unwrap();
            assert_eq!(reports.recv().await.unwrap(), Some(busy(0.25)));
            load.set(busy(0.75));
            let begin = tokio::time::Instant::now();
            assert_eq!(reports.recv().await.unwrap(), Some(busy(0.75)));
            assert_eq!(begin.elapsed().as_secs(), expected);
        }
    }
}
