//! The services for operators of the server programs: flags, the admin listener, and health checks at the end.

#![cfg(unix)] // The tests send signals.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use barewire::services::health::messages::{HealthCheckRequest, HealthCheckResponse, ServingStatus};
use barewire::services::health::{CHECK, WATCH};
use barewire::services::reflection::SERVER_REFLECTION_INFO;
use barewire::services::reflection::messages::{MessageRequest, MessageResponse, ServerReflectionRequest};
use barewire::transport::tcp;
use barewire::{Client, Code, Inbound, Status};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};

pub const ROUTE_GUIDE: &str = env!("CARGO_BIN_EXE_route_guide_server");
pub const INTEROP: &str = env!("CARGO_BIN_EXE_interop_server");
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

pub struct Running {
    pub child: Child,
    pub stderr: BufReader<ChildStderr>,
    pub address: String,
}

impl Running {
    pub async fn start(program: &str, flags: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(["-port", "0"]).args(flags).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut running = Running { child, stderr, address: String::new() };
        running.address = running.announced("listening on ").await;
        running
    }

    /// Returns the address in the next line of stderr.
    pub async fn announced(&mut self, words: &str) -> String {
        let mut line = String::new();
        soon("the announcement", self.stderr.read_line(&mut line)).await.expect("a line");
        line.trim_end().strip_prefix(words).unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// Sends SIGTERM, and returns a future of the exit status.
    pub async fn terminate(&mut self) -> impl Future<Output = Option<i32>> + '_ {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
        async { soon("the end", self.child.wait()).await.expect("it ended").code() }
    }
}

pub async fn client(address: &str) -> Client {
    soon("a connection", Client::connect(tcp::connect(address))).await.expect("it connects")
}

fn named(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

pub async fn check(client: &Client, service: &str) -> Result<ServingStatus, Code> {
    let answer = soon("an answer", client.unary(CHECK, named(service))).await;
    answer.map(|answer| answer.status()).map_err(|status| status.code())
}

/// Returns the services that reflection lists.
async fn services(client: &Client) -> Result<Vec<String>, Status> {
    let (mut questions, mut answers) = client.bidi_streaming(SERVER_REFLECTION_INFO).await?;
    let message_request = Some(MessageRequest::ListServices(String::new()));
    // If the call has failed, receiving returns the reason.
    let _: Result<(), Status> = questions.send(ServerReflectionRequest { host: String::new(), message_request }).await;
    match soon("an answer", answers.recv()).await?.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

const OWN: [&str; 3] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

#[tokio::test]
async fn health_and_reflection_are_served_beside_the_service() {
    for (program, served) in [
        (ROUTE_GUIDE, &["routeguide.RouteGuide"][..]),
        (INTEROP, &["grpc.testing.TestService", "xds.service.orca.v3.OpenRcaService"]),
    ] {
        let server = Running::start(program, &[]).await;
        let client = client(&server.address).await;
        assert_eq!(services(&client).await.expect("an answer"), [&OWN, served].concat());
        for service in served.iter().chain(&[""]) {
            assert_eq!(check(&client, service).await, Ok(ServingStatus::Serving), "{service:?}");
        }
        assert_eq!(check(&client, "no.Such").await, Err(Code::NotFound));
    }
}

#[tokio::test]
async fn flags_turn_health_and_reflection_off() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let server = Running::start(program, &["-health=false", "--reflection=false"]).await;
        let client = client(&server.address).await;
        assert_eq!(check(&client, "").await, Err(Code::Unimplemented));
        assert_eq!(services(&client).await.expect_err("no reflection").code(), Code::Unimplemented);
    }
    let server = Running::start(ROUTE_GUIDE, &["-health=false", "-reflection"]).await;
    let listed = services(&client(&server.address).await).await.expect("an answer");
    assert_eq!(listed, [OWN[1], OWN[2], "routeguide.RouteGuide"]);
}

#[tokio::test]
async fn admin_listener_has_health_and_reflection_alone_whatever_the_port_has() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let mut server =
            Running::start(program, &["-health=false", "-reflection=false", "-admin_addr", "127.0.0.1:0"]).await;
        let admin = server.announced("admin listening on ").await;
        assert_ne!(admin, server.address);
        let client = client(&admin).await;
        assert_eq!(services(&client).await.expect("an answer"), OWN);
        assert_eq!(check(&client, "").await, Ok(ServingStatus::Serving));
    }
}

#[tokio::test]
async fn admin_address_that_is_taken_or_invalid_is_one_line_and_exit_status_2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = listener.local_addr().expect("its address").to_string();
    for program in [ROUTE_GUIDE, INTEROP] {
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).expect("a name");
        for (address, words) in [(&*taken, "already in use"), ("nowhere", "use host:port"), ("", "")] {
            let mut command = Command::new(program);
            command.args(["-port", "0", "-admin_addr", address]).kill_on_drop(true);
            let output = soon("the end", command.output()).await.expect("it runs");
            let stderr = String::from_utf8(output.stderr).expect("text");
            assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
            let start = format!("{name}: -admin_addr: ");
            assert!(stderr.starts_with(&start) && stderr.contains(address) && stderr.contains(words), "{stderr}");
        }
    }
    drop(listener);
}

#[tokio::test]
async fn duration_that_does_not_parse_is_one_line_and_exit_status_2() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).expect("a name");
        for (flag, value) in [("-max_connection_idle", "5"), ("-max_connection_age", "soon"), ("-keepalive_time", "0")]
        {
            let mut command = Command::new(program);
            command.args(["-port", "0", flag, value]).kill_on_drop(true);
            let output = soon("the end", command.output()).await.expect("it runs");
            let stderr = String::from_utf8(output.stderr).expect("text");
            assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
            assert!(stderr.starts_with(&format!("{name}: invalid value '{value}' for '{flag} <D>': ")), "{stderr}");
        }
    }
}

#[tokio::test]
async fn flags_end_an_idle_connection() {
    for program in [ROUTE_GUIDE, INTEROP] {
        let flags = ["-max_connection_idle", "10ms", "--keepalive_timeout=100ms", "-keepalive_min_time=1h30m"];
        let server = Running::start(program, &flags).await;
        let mut client = TcpStream::connect(&server.address).await.expect("it listens");
        // The preface, SETTINGS, and the acknowledgement of the server's; but none of the PING behind its GOAWAY.
        let greeting =
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]];
        client.write_all(&greeting.concat()).await.expect("it is open");
        let mut received = Vec::new();
        soon("the end", client.read_to_end(&mut received)).await.expect("the connection ends");
        let holds = |words: &[u8]| received.windows(words.len()).any(|window| window == words);
        assert!(holds(b"max_idle") && holds(b"a PING was not acknowledged in time"), "{}", received.escape_ascii());
    }
}

/// Returns the first status that Watch sends, and the rest.
pub async fn watch(client: &Client) -> (ServingStatus, Inbound<HealthCheckResponse>) {
    let mut changes = client.server_streaming(WATCH, named("")).await.expect("it begins");
    let first = soon("a status", changes.recv()).await.expect("the call goes on").expect("a status").status();
    (first, changes)
}

#[tokio::test]
async fn signal_sends_not_serving_to_watchers_and_they_do_not_hold_up_the_end() {
    let mut server = Running::start(ROUTE_GUIDE, &["-admin_addr", "127.0.0.1:0"]).await;
    let admin = server.announced("admin listening on ").await;
    let mut watchers = Vec::new();
    for address in [&server.address, &admin] {
        let client = client(address).await;
        // The client stays, as a load balancer's would.
        let (first, changes) = watch(&client).await;
        assert_eq!(first, ServingStatus::Serving);
        watchers.push((client, changes));
    }
    let began = std::time::Instant::now();
    assert_eq!(server.terminate().await.await, Some(0));
    // The shutdown timeout, which the watchers would have used up, is 10 s.
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    for (_client, mut changes) in watchers {
        let last = changes.recv().await.expect("the last status").expect("a status");
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert_eq!(changes.recv().await.expect_err("the end").code(), Code::Unavailable);
    }
}

#[tokio::test]
async fn admin_listener_answers_not_serving_until_the_last_call_has_ended() {
    use barewire::services::route_guide::{ROUTE_CHAT, messages::RouteNote};
    let mut server = Running::start(ROUTE_GUIDE, &["-admin_addr", "127.0.0.1:0"]).await;
    let admin = client(&server.announced("admin listening on ").await).await;
    let main = client(&server.address).await;
    let (mut notes, mut answers) = main.bidi_streaming(ROUTE_CHAT).await.expect("it begins");
    notes.send(RouteNote::default()).await.expect("it is sent");
    soon("an answer", answers.recv()).await.expect("the call goes on");
    let (_, mut changes) = watch(&admin).await;
    let ended = server.terminate().await;
    let told = soon("a status", changes.recv()).await.expect("the call goes on").expect("a status");
    assert_eq!(told.status(), ServingStatus::NotServing);
    assert_eq!(check(&admin, "routeguide.RouteGuide").await, Ok(ServingStatus::NotServing));
    notes.finish().await.expect("it ends");
    assert_eq!(soon("the end of the call", answers.recv()).await.expect("OK"), None);
    assert_eq!(ended.await, Some(0));
}
