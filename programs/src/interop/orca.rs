//! Load reports (Open Request Cost Aggregation): with a call, in its trailers, and out of band, as a stream of their own.
//!
//! ```text
//! a call's trailers   endpoint-load-metrics-bin: base64 of xds.data.orca.v3.OrcaLoadReport
//! out of band         xds.service.orca.v3.OpenRcaService/StreamCoreMetrics: a report now and then
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

/// The key of a report in trailing metadata.
pub const REPORT: &str = "endpoint-load-metrics-bin";

/// Server streaming: the server's load, again and again.
pub const STREAM_CORE_METRICS: Method<OrcaLoadReportRequest, OrcaLoadReport, ServerStreaming> =
    Method::new("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics");

/// The time between two reports that no client can make shorter, unless the server is told so (gRFC A51).
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);

/// Adds a report to trailing metadata.
pub(super) fn attach(report: &OrcaLoadReport, trailers: &mut Metadata) -> Result<(), Status> {
    Ok(trailers.insert_bin(REPORT, &report.encode_to_vec())?)
}

/// The report in trailing metadata, if there is one.
///
/// # Errors
///
/// INTERNAL for one that can't be decoded, or where there are several.
pub fn report(trailers: &Metadata) -> Result<Option<OrcaLoadReport>, Status> {
    let mut reports = trailers.get_all_bin(REPORT);
    let Some(report) = reports.next() else { return Ok(None) };
    if reports.next().is_some() {
        return Err(Status::internal(format!("the trailers have several {REPORT}")));
    }
    let report = OrcaLoadReport::decode(report?.as_slice());
    report.map(Some).map_err(|error| Status::internal(format!("{REPORT} is no load report: {error}")))
}

/// What the test service was told to report.
impl From<TestOrcaReport> for OrcaLoadReport {
    fn from(told: TestOrcaReport) -> OrcaLoadReport {
        OrcaLoadReport {
            cpu_utilization: told.cpu_utilization,
            mem_utilization: told.memory_utilization,
            request_cost: told.request_cost,
            utilization: told.utilization,
            ..OrcaLoadReport::default()
        }
    }
}

/// The load of a server at the moment; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Load(Arc<Mutex<OrcaLoadReport>>);

impl Load {
    /// Replaces what is reported.
    pub fn set(&self, report: OrcaLoadReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// What is reported.
    pub fn get(&self) -> OrcaLoadReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reports a load out of band.
#[derive(Clone, Debug)]
pub struct OpenRca {
    load: Load,
    shortest_interval: Duration,
}

impl OpenRca {
    /// Reports this load, every 30 s or less often.
    pub fn new(load: Load) -> OpenRca {
        OpenRca { load, shortest_interval: SHORTEST_INTERVAL }
    }

    /// How often it reports to a client that wants to hear more often, or does not say how often.
    #[must_use]
    pub fn shortest_interval(mut self, interval: Duration) -> OpenRca {
        self.shortest_interval = interval;
        self
    }

    /// The service.
    pub fn router(self) -> Router<OpenRca> {
        Router::new(self).server_streaming(STREAM_CORE_METRICS, OpenRca::stream_core_metrics)
    }

    /// Ends with the client's interest: the handler is dropped then.
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
    fn a_report_travels_in_trailers() {
        let mut trailers = Metadata::new();
        assert_eq!(report(&trailers).unwrap(), None);
        attach(&busy(0.5), &mut trailers).unwrap();
        assert_eq!(report(&trailers).unwrap(), Some(busy(0.5)));
        trailers.append_bin(REPORT, &[]).unwrap();
        assert!(report(&trailers).is_err(), "two of them");
        trailers.insert_bin(REPORT, b"\xff").unwrap();
        assert!(report(&trailers).is_err(), "not a report");
    }

    #[tokio::test(start_paused = true)]
    async fn reports_come_at_the_interval_but_not_more_often_than_the_server_likes() {
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
