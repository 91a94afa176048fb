//! Tests of a service: its handlers one by one, and the whole of it over a connection in memory.
//!
//! The tests are at the end. `run` calls the service over the connection in memory and writes the answers.
//!
//! ```console
//! $ cargo test --example testing
//! $ cargo run --example testing
//! 3 is odd
//! 4 counts down: 3 2 1 0
//! the sum of 1, 2 and 3 is 6
//! running sums of 1, 2 and 3: 1 3 6
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use barewire::{
    BidiStreaming, ClientStreaming, Inbound, Method, Outbound, Request, Response, Router, ServerStreaming, Status,
    Unary, testing,
};

const IS_ODD: Method<i32, bool, Unary> = Method::new("/numbers.Numbers/IsOdd");
const COUNT_DOWN: Method<i32, i32, ServerStreaming> = Method::new("/numbers.Numbers/CountDown");
const SUM: Method<i32, i64, ClientStreaming> = Method::new("/numbers.Numbers/Sum");
const SUMS: Method<i32, i64, BidiStreaming> = Method::new("/numbers.Numbers/Sums");

struct Numbers;

impl Numbers {
    /// Answers callers with a tenant, and tells them how it was asked.
    async fn is_odd(&self, request: Request<i32>) -> Result<Response<bool>, Status> {
        let tenant =
            request.metadata().get("tenant").ok_or_else(|| Status::unauthenticated("metadata tenant is missing"))?;
        let mut response = Response::new(*request % 2 != 0);
        response.initial_metadata_mut().insert("answered-for", tenant)?;
        Ok(response)
    }

    /// Sends the numbers below the one in the request, one each second.
    async fn count_down(&self, request: Request<i32>, mut out: Outbound<i32>) -> Result<(), Status> {
        for number in (0..*request).rev() {
            out.send(number).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }

    async fn sum(&self, mut numbers: Inbound<i32>) -> Result<i64, Status> {
        let mut sum = 0;
        while let Some(number) = numbers.recv().await? {
            sum += i64::from(number);
        }
        Ok(sum)
    }

    /// Sends the sum so far after each number.
    async fn sums(&self, mut numbers: Inbound<i32>, mut out: Outbound<i64>) -> Result<(), Status> {
        let mut sum = 0;
        while let Some(number) = numbers.recv().await? {
            sum += i64::from(number);
            out.send(sum).await?;
        }
        Ok(())
    }
}

fn router() -> Router<Numbers> {
    Router::new(Numbers)
        .unary(IS_ODD, Numbers::is_odd)
        .server_streaming(COUNT_DOWN, Numbers::count_down)
        .client_streaming(SUM, Numbers::sum)
        .bidi_streaming(SUMS, Numbers::sums)
}

/// Calls the service over a connection in memory, and writes the answers.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let client = testing::client(router()).await.with(barewire::CallOptions::new().header("tenant", "blue"));
    let is_odd = client.unary(IS_ODD, 3).await?;
    writeln!(out, "3 is {}", if *is_odd { "odd" } else { "even" })?;

    write!(out, "4 counts down:")?;
    let mut numbers = client.server_streaming(COUNT_DOWN, 4).await?;
    while let Some(number) = numbers.recv().await? {
        write!(out, " {number}")?;
    }

    let (mut numbers, sum) = client.client_streaming(SUM).await?;
    for number in 1..=3 {
        numbers.send(number).await?;
    }
    numbers.finish().await?;
    writeln!(out, "\nthe sum of 1, 2 and 3 is {}", *sum.await?)?;

    write!(out, "running sums of 1, 2 and 3:")?;
    let (mut numbers, mut sums) = client.bidi_streaming(SUMS).await?;
    for number in 1..=3 {
        numbers.send(number).await?;
        write!(out, " {}", sums.recv().await?.ok_or("the sums have ended")?)?;
    }
    writeln!(out)?;
    Ok(())
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}

#[cfg(test)]
mod tests {
    use barewire::testing::Call;
    use barewire::{CallOptions, Code};

    use super::*;

    #[tokio::test]
    async fn unary_handler_answers_its_tenant() {
        let call = Call::new(IS_ODD.path()).header("tenant", "blue");
        let response = Numbers.is_odd(call.request(4)).await.unwrap();
        assert!(!*response);
        assert_eq!(response.initial_metadata().get("answered-for"), Some("blue"));
    }

    #[tokio::test]
    async fn unary_handler_refuses_caller_without_tenant() {
        let status = Numbers.is_odd(Request::new(4)).await.unwrap_err();
        assert_eq!(status, Status::unauthenticated("metadata tenant is missing"));
    }

    /// On the paused clock the seconds between the numbers pass at once.
    #[tokio::test(start_paused = true)]
    async fn server_streaming_handler_counts_down() {
        let (out, mut receiver) = testing::outbound();
        Numbers.count_down(Request::new(3), out).await.unwrap();
        assert_eq!(receiver.messages().await, [2, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn server_streaming_handler_stops_when_its_client_is_gone() {
        let (out, mut receiver) = testing::outbound();
        let handler = tokio::spawn(async { Numbers.count_down(Request::new(3), out).await });
        assert_eq!(receiver.recv().await, Some(2));
        drop(receiver);
        assert_eq!(handler.await.unwrap().unwrap_err().code(), Code::Cancelled);
    }

    #[tokio::test]
    async fn client_streaming_handler_adds_all_messages() {
        assert_eq!(Numbers.sum(testing::inbound([1, 2, 3])).await, Ok(6));
        assert_eq!(Numbers.sum(testing::inbound([])).await, Ok(0));
    }

    #[tokio::test]
    async fn client_streaming_handler_fails_if_its_client_cancels() {
        let (mut sender, numbers) = testing::inbound_channel();
        sender.send(1);
        sender.cancel();
        assert_eq!(Numbers.sum(numbers).await.unwrap_err().code(), Code::Cancelled);
    }

    #[tokio::test]
    async fn bidirectional_handler_answers_each_message() {
        let (mut sender, numbers) = testing::inbound_channel();
        let (out, mut receiver) = testing::outbound();
        let handler = tokio::spawn(async { Numbers.sums(numbers, out).await });
        for (number, sum) in [(1, 1), (2, 3), (3, 6)] {
            sender.send(number);
            assert_eq!(receiver.recv().await, Some(sum));
        }
        sender.finish();
        assert_eq!(handler.await.unwrap(), Ok(()));
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_ends_the_call_over_a_connection() {
        let client = testing::client(router()).await.with(CallOptions::new().timeout(Duration::from_secs(5)));
        let mut numbers = client.server_streaming(COUNT_DOWN, 100).await.unwrap();
        let status = loop {
            if let Err(status) = numbers.recv().await {
                break status;
            }
        };
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}
