//! The floor that h2 gives: a server that answers every request with the same bytes and decodes nothing.
//!
//! It does on the connection's own task what every gRPC server on h2 must do for a unary call: take the stream, read
//! the request to its end, send HEADERS, one DATA and the trailers. What a library needs above this number is its own.

use std::future::poll_fn;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};

use barewire_instructions::{ANSWER, GRPC, GRPC_STATUS, announce, run, server_settings, told_to_end};
use bytes::Bytes;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};

fn main() -> ExitCode {
    run(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        announce(listener.local_addr()?.port());
        tokio::select! {
            ended = accept(listener) => ended,
            told = told_to_end() => told,
        }
    })
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async {
            if let Err(error) = serve(stream).await {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

/// One connection: accepts all streams that have arrived before it answers any, so that the answers leave in one write.
async fn serve(stream: TcpStream) -> Result<(), h2::Error> {
    let mut connection = server_settings().handshake(stream).await?;
    let mut calls: Vec<Call> = Vec::new();
    poll_fn(|cx| {
        loop {
            while let Poll::Ready(arrived) = connection.poll_accept(cx) {
                match arrived {
                    Some(stream) => calls.push(Call::new(stream?)),
                    None => return Poll::Ready(Ok(())),
                }
            }
            let unanswered = calls.len();
            calls.retain_mut(|call| call.poll(cx).is_pending());
            if calls.len() == unanswered {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A request that has not been answered yet.
struct Call {
    request: h2::RecvStream,
    respond: SendResponse<Bytes>,
}

impl Call {
    fn new((request, respond): (Request<h2::RecvStream>, SendResponse<Bytes>)) -> Call {
        Call { request: request.into_body(), respond }
    }

    /// Ready once the answer is with h2, or the peer has reset the stream.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.request.is_end_stream() {
            match ready!(self.request.poll_data(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Poll::Ready(()),
                None => break,
            }
        }
        let _peer_is_gone = self.answer();
        Poll::Ready(())
    }

    fn answer(&mut self) -> Result<(), h2::Error> {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        let mut stream = self.respond.send_response(response, false)?;
        stream.send_data(Bytes::from_static(ANSWER), false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        stream.send_trailers(trailers)
    }
}
