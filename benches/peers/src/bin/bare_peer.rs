//! The upper bound: bare h2 that answers with fixed bytes (`benches/instructions/src/ceiling.rs`), with TLS and any runtime.
//! Its client is the load itself.

use std::process::ExitCode;

use barewire_instructions::{Kind, Load, announce, ceiling, load};
use barewire_peers::{Call, Method, Serve, main as run, to_text, tls};
use tokio::net::{TcpListener, TcpStream};

fn main() -> ExitCode {
    run(serve, call)
}

async fn serve(flags: Serve) -> Result<(), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(to_text)?;
    let features = 100 * flags.repeat;
    let acceptor = flags.identity().map(|(cert, key)| tls::acceptor(cert, key)).transpose()?;
    announce(listener.local_addr().map_err(to_text)?.port());
    let Some(acceptor) = acceptor else { return ceiling::accept(listener, features).await.map_err(to_text) };
    loop {
        let (stream, _) = listener.accept().await.map_err(to_text)?;
        stream.set_nodelay(true).map_err(to_text)?;
        let accepting = acceptor.accept(stream);
        tokio::spawn(async move {
            if let Ok(stream) = accepting.await {
                let _client_is_gone = ceiling::serve(stream, features).await;
            }
        });
    }
}

async fn call(flags: Call) -> Result<(), String> {
    let stream = TcpStream::connect(("127.0.0.1", flags.port)).await.map_err(to_text)?;
    stream.set_nodelay(true).map_err(to_text)?;
    let (requests, driver) = load::connect(stream).await?;
    let (kind, calls, messages) = match flags.method {
        Method::Unary => (Kind::Unary, flags.count, 1),
        Method::List => (Kind::List, flags.calls, flags.count),
        Method::Record => (Kind::Record, flags.calls, flags.count),
    };
    let wanted = Load { kind, messages, port: flags.port, calls, in_flight: flags.in_flight, deadline: false };
    load::run(wanted, requests).await?;
    driver.await.map_err(to_text)?.map_err(to_text)
}
