//! Callers that are known by a token: an interceptor of the client adds it to each call, and one of the server looks up the user.
//! The handlers find the user in the extensions of the call.
//!
//! ```console
//! $ cargo run --example auth
//! ann: Hello, ann!
//! without a token: UNAUTHENTICATED: a Bearer token is required
//! with another token: UNAUTHENTICATED: unknown token
//! bob: Hello, bob!
//! bob resets the counter: PERMISSION_DENIED: bob is not an administrator
//! ann resets the counter: 2 greetings
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use std::sync::atomic::{AtomicU64, Ordering};

use barewire::server::CallStart;
use barewire::{Client, Method, Request, Router, Server, Status, Unary, transport};

const GREET: Method<(), String, Unary> = Method::new("/hello.Greeter/Greet");
const RESET: Method<(), u64, Unary> = Method::new("/hello.Greeter/Reset");

/// The user who makes a call.
#[derive(Clone)]
struct User {
    name: &'static str,
    is_administrator: bool,
}

/// Returns the user of a token.
fn user_of(token: &str) -> Result<User, Status> {
    // A service would compare hashes, or check a signature. To ask another service: `CallStart::wait_for`.
    match token {
        "sesame" => Ok(User { name: "ann", is_administrator: true }),
        "barley" => Ok(User { name: "bob", is_administrator: false }),
        _ => Err(Status::unauthenticated("unknown token")),
    }
}

/// Refuses calls without a valid token, before their messages are read, and attaches the user to all others.
fn authenticate(call: &mut CallStart<'_>) -> Result<(), Status> {
    let authorization = call.metadata().get("authorization").unwrap_or_default();
    let token = authorization.strip_prefix("Bearer ");
    let user = user_of(token.ok_or_else(|| Status::unauthenticated("a Bearer token is required"))?)?;
    call.extensions_mut().insert(user);
    Ok(())
}

/// Returns the user that `authenticate` has attached to the call.
fn caller<T>(request: &Request<T>) -> Result<&User, Status> {
    request.extensions().get::<User>().ok_or_else(|| Status::internal("the server does not authenticate its callers"))
}

struct Greeter {
    greetings: AtomicU64,
}

impl Greeter {
    async fn greet(&self, request: Request<()>) -> Result<String, Status> {
        self.greetings.fetch_add(1, Ordering::Relaxed);
        Ok(format!("Hello, {}!", caller(&request)?.name))
    }

    async fn reset(&self, request: Request<()>) -> Result<u64, Status> {
        match caller(&request)? {
            User { is_administrator: true, .. } => Ok(self.greetings.swap(0, Ordering::Relaxed)),
            User { name, .. } => Err(Status::permission_denied(format!("{name} is not an administrator"))),
        }
    }
}

/// Returns a client that adds this token to each call.
fn with_token(client: &Client, token: &'static str) -> Client {
    // `CallStart::wait_for` adds a token that has to be fetched first.
    client.intercept(move |call| {
        call.metadata_mut().insert("authorization", &format!("Bearer {token}"))?;
        Ok(())
    })
}

/// Starts the server, calls it with and without a token, and writes the answers.
pub async fn run(out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let router = Router::new(Greeter { greetings: AtomicU64::new(0) });
    let router = router.unary(GREET, Greeter::greet).unary(RESET, Greeter::reset);
    let listener = transport::tcp::listen("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(router).intercept(authenticate).serve(listener));

    // A token is a secret: on a network, use TLS, as in the example `tls`.
    let client = Client::connect(transport::tcp::connect(&address)).await?;
    let (ann, bob) = (with_token(&client, "sesame"), with_token(&client, "barley"));
    writeln!(out, "ann: {}", ann.unary(GREET, ()).await?.message())?;
    if let Err(status) = client.unary(GREET, ()).await {
        writeln!(out, "without a token: {status}")?;
    }
    if let Err(status) = with_token(&client, "rye").unary(GREET, ()).await {
        writeln!(out, "with another token: {status}")?;
    }
    writeln!(out, "bob: {}", bob.unary(GREET, ()).await?.message())?;
    if let Err(status) = bob.unary(RESET, ()).await {
        writeln!(out, "bob resets the counter: {status}")?;
    }
    writeln!(out, "ann resets the counter: {} greetings", ann.unary(RESET, ()).await?.message())?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    run(&mut stdout()).await
}
