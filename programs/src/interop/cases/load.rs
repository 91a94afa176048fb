//! Load reports as a load balancer receives them: in the trailers of a call, and out of band.

use std::collections::BTreeMap;
use std::time::Duration;

use super::outcome::{Failure, equal, failure, ok, some};
use super::streaming::parameters;
use crate::interop::client::TestServiceClient;
use crate::interop::messages::{SimpleRequest, StreamingOutputCallRequest, TestOrcaReport};
use crate::interop::orca::{self, OrcaLoadReport, OrcaLoadReportRequest};
use barewire::{CallOptions, Inbound};

/// Timeout of a case.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Interval of out-of-band reports.
const INTERVAL: prost_types::Duration = prost_types::Duration { seconds: 1, nanos: 0 };

pub(super) async fn orca_per_rpc(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().timeout(TIMEOUT));
    let expected = TestOrcaReport {
        cpu_utilization: 0.8210,
        memory_utilization: 0.5847,
        request_cost: BTreeMap::from([("cost".to_owned(), 3456.32)]),
        utilization: BTreeMap::from([("util".to_owned(), 0.30499)]),
    };
    let request = SimpleRequest { orca_per_query_report: Some(expected.clone()), ..SimpleRequest::default() };
    let answer = ok("UnaryCall", service.unary_call(request).await)?;
    let report = ok("the load report", orca::report(answer.trailing_metadata()))?;
    equal("the load report", report, Some(expected.into()))
}

pub(super) async fn orca_oob(service: &TestServiceClient) -> Result<(), Failure> {
    let service = service.with(CallOptions::new().timeout(TIMEOUT));
    let request = OrcaLoadReportRequest { report_interval: Some(INTERVAL), ..OrcaLoadReportRequest::default() };
    let mut reports = ok("StreamCoreMetrics", service.stream_core_metrics(request).await)?;
    let (mut requests, mut answers) = ok("FullDuplexCall", service.full_duplex_call().await)?;
    for (cpu_utilization, memory_utilization, utilization) in [(0.8210, 0.5847, 0.30499), (0.29309, 0.2, 0.2039)] {
        let expected = TestOrcaReport {
            cpu_utilization,
            memory_utilization,
            utilization: BTreeMap::from([("util".to_owned(), utilization)]),
            ..TestOrcaReport::default()
        };
        let request = StreamingOutputCallRequest {
            orca_oob_report: Some(expected.clone()),
            response_parameters: vec![parameters(1)],
            ..StreamingOutputCallRequest::default()
        };
        ok("sending", requests.send(request).await)?;
        some("FullDuplexCall", answers.recv().await)?;
        wait_for(&mut reports, expected.into()).await?;
    }
    Ok(())
}

/// Waits for the expected report, and ignores those that were sent before the server set it.
async fn wait_for(reports: &mut Inbound<OrcaLoadReport>, expected: OrcaLoadReport) -> Result<(), Failure> {
    let mut last = None;
    loop {
        match reports.recv().await {
            Ok(Some(report)) if report == expected => return Ok(()),
            Ok(Some(report)) => last = Some(report),
            end => {
                let received = format!("{last:?}, then {end:?}");
                return Err(failure("load reports", format_args!("{expected:?}"), received));
            }
        }
    }
}
