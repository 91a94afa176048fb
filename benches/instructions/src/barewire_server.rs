// barewire's route guide server, as a user would write it: the same transport as the bare server, and everything that
// gRPC requires between the stream and the handler. Only RecordRoute does less than the guide: it counts the points, because
// computing distances costs more than receiving points.
//
// Included by two programs: `INTERCEPTS` adds an interceptor that reads a header and the final status.

use std::process::ExitCode;
use std::time::Duration;

use barewire::services::route_guide::messages::{Feature, Point, RouteSummary};
use barewire::services::route_guide::{Features, GET_FEATURE, Guide, LIST_FEATURES, RECORD_ROUTE, RouteGuide};
use barewire::{Inbound, Response, Router, Server, ServerOptions, Status, transport};
use barewire_instructions::{announce, run_server, termination};

fn main() -> ExitCode {
    run_server(async |features| {
        let listener = transport::tcp::listen("127.0.0.1:0").await?;
        announce(listener.local_addr()?.port());
        let mut options = ServerOptions::default();
        // Under callgrind everything takes fifty times as long; handlers must not be treated as slow because of it.
        options.inline_limit = Duration::from_secs(60);
        let termination = async {
            // Without the signal handler the server would be killed before its instructions are reported, so it ends at once.
            let _: std::io::Result<()> = termination().await;
        };
        let published: Vec<Feature> = Features::published().iter().cloned().collect();
        let guide = Guide::new(Features::new(published.into_iter().cycle().take(features).collect()));
        let router = Router::new(guide)
            .unary(GET_FEATURE, Guide::get_feature)
            .server_streaming(LIST_FEATURES, Guide::list_features)
            .client_streaming(RECORD_ROUTE, count);
        let mut server = Server::new(router).with_options(options);
        if INTERCEPTS {
            server = server.intercept(|call| {
                std::hint::black_box(call.metadata().get("user-agent"));
                call.on_end(|end| {
                    std::hint::black_box(end.code());
                });
                Ok(())
            });
        }
        server.serve_until(listener, termination).await
    })
}

/// RecordRoute that only counts its points.
async fn count(_: &Guide, mut points: Inbound<Point>) -> Result<Response<RouteSummary>, Status> {
    let mut summary = RouteSummary::default();
    while points.recv().await?.is_some() {
        summary.point_count += 1;
    }
    Ok(summary.into())
}
