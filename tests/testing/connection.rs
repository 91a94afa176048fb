//! A client and a server over a connection in memory.

use std::time::Duration;

use barewire::testing;
use barewire::{
    BidiStreaming, CallOptions, ClientOptions, ClientStreaming, Code, Inbound, Method, Outbound, Request, Router,
    Server, ServerOptions, ServerStreaming, Status, Unary,
};
use tokio::time::Instant;

const SLEEP: Method<u64, u64, Unary> = Method::new("/test.Test/Sleep");
const COUNT: Method<u64, u64, ServerStreaming> = Method::new("/test.Test/Count");
const SUM: Method<u64, u64, ClientStreaming> = Method::new("/test.Test/Sum");
const ECHO: Method<u64, u64, BidiStreaming> = Method::new("/test.Test/Echo");

struct Service;

impl Service {
    async fn sleep(&self, request: Request<u64>) -> Result<u64, Status> {
        tokio::time::sleep(Duration::from_secs(*request)).await;
        Ok(request.into_message())
    }

    async fn count(&self, request: Request<u64>, mut out: Outbound<u64>) -> Result<(), Status> {
        for number in 0..*request {
            out.send(number).await?;
        }
        Ok(())
    }

    async fn sum(&self, mut inbound: Inbound<u64>) -> Result<u64, Status> {
        let mut sum = 0;
        while let Some(number) = inbound.recv().await? {
            sum += number;
        }
        Ok(sum)
    }

    async fn echo(&self, mut inbound: Inbound<u64>, mut out: Outbound<u64>) -> Result<(), Status> {
        while let Some(number) = inbound.recv().await? {
            out.send(number).await?;
        }
        Ok(())
    }
}

fn router() -> Router<Service> {
    Router::new(Service)
        .unary(SLEEP, Service::sleep)
        .server_streaming(COUNT, Service::count)
        .client_streaming(SUM, Service::sum)
        .bidi_streaming(ECHO, Service::echo)
}

#[tokio::test(start_paused = true)]
async fn all_four_kinds_are_called() {
    let client = testing::client(router()).await;
    assert_eq!(*client.unary(SLEEP, 5).await.unwrap(), 5);
    let mut counted = client.server_streaming(COUNT, 2).await.unwrap();
    assert_eq!((counted.recv().await, counted.recv().await), (Ok(Some(0)), Ok(Some(1))));
    assert_eq!(counted.recv().await, Ok(None));
    let (mut out, sum) = client.client_streaming(SUM).await.unwrap();
    out.send(3).await.unwrap();
    out.send(4).await.unwrap();
    out.finish().await.unwrap();
    assert_eq!(*sum.await.unwrap(), 7);
    let (mut out, mut echoed) = client.bidi_streaming(ECHO).await.unwrap();
    out.send(9).await.unwrap();
    assert_eq!(echoed.recv().await, Ok(Some(9)));
    out.finish().await.unwrap();
    assert_eq!(echoed.recv().await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn deadlines_run_on_the_paused_clock() {
    let client = testing::client(router()).await.with(CallOptions::new().timeout(Duration::from_secs(60)));
    let begun = Instant::now();
    assert_eq!(*client.unary(SLEEP, 59).await.unwrap(), 59);
    assert_eq!(begun.elapsed().as_secs(), 59);
    let status = client.unary(SLEEP, 61).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(begun.elapsed().as_secs(), 59 + 60);
}

/// The front page of the documentation says so.
#[tokio::test(start_paused = true)]
async fn call_beyond_max_concurrent_streams_waits() {
    let mut options = ServerOptions::default();
    options.max_concurrent_streams = 1;
    let server = Server::new(router()).with_options(options);
    let client = testing::client_with(server, ClientOptions::default()).await.unwrap();
    let begun = Instant::now();
    let hurried = client.with(CallOptions::new().timeout(Duration::from_secs(5)));
    let (first, second, third) =
        tokio::join!(client.unary(SLEEP, 10), client.unary(SLEEP, 20), hurried.unary(SLEEP, 0));
    assert_eq!((*first.unwrap(), *second.unwrap()), (10, 20));
    assert_eq!(third.unwrap_err().code(), Code::DeadlineExceeded, "its deadline passes while it waits");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn refused_connection_is_unavailable() {
    let server = Server::new(router()).on_accept(|_| false);
    let status = testing::client_with(server, ClientOptions::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn invalid_user_agent_is_internal() {
    let mut options = ClientOptions::default();
    options.user_agent = "line\nbreak".into();
    let status = testing::client_with(Server::new(router()), options).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
}
