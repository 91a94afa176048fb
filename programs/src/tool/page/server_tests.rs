//! The page's server: events, who may read them, and browsers that do not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Returns the server's response to a request line with these headers, up to `until` or to the end.
async fn ask(handle: Handle, line: &str, headers: &str, until: &str) -> String {
    let line = line.replacen(" /", &format!(" /{}/", handle.token), 1);
    send(handle.address(), &line, headers, until).await
}

async fn send(address: SocketAddr, line: &str, headers: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut piece = [0; 4096];
    while until.is_empty() || !answer.contains(until) {
        let read = stream.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    answer
}

#[tokio::test]
async fn lines_are_sent_as_events_and_a_reader_can_resume() {
    let mut handle = serve("0", 1 << 20, None).await.unwrap();
    assert!(handle.address().ip().is_loopback(), "a port alone means the loopback interface");
    handle.line("{\"a\":1}\n").unwrap();
    handle.line("{\"b\":2}\n").unwrap();
    let seen = ask(handle.clone(), "GET /events", "host: localhost\r\n", "{\"b\":2}\n\n").await;
    assert!(seen.contains("content-type: text/event-stream") && seen.contains("event: begin\n"), "{seen}");
    let (_, id) = seen.rsplit_once("id: ").unwrap();
    let last = format!("host: localhost\r\nlast-event-id: {}\r\n", id.lines().next().unwrap());
    handle.line("{\"c\":3}\n").unwrap();
    handle.end().unwrap();
    let seen = ask(handle.clone(), "GET /events", &last, "").await;
    assert!(seen.contains("data: {\"c\":3}\n\n") && seen.contains("event: over\n"), "{seen}");
    assert!(!seen.contains("{\"b\":2}") && !seen.contains("event: begin"), "{seen}");
    let stranger = ask(handle, "GET /events", "host: localhost\r\nlast-event-id: other.7\r\n", "").await;
    assert!(stranger.contains("{\"a\":1}") && stranger.contains("event: begin"), "{stranger}");
}

#[tokio::test]
async fn late_reader_gets_the_number_of_missed_lines() {
    let tap = SocketAddr::from(([127, 0, 0, 1], 50052));
    let mut handle = serve("127.0.0.1:0", 100, Some(tap)).await.unwrap();
    for line in ["first", "second", "third"] {
        handle.line(&line.repeat(10)).unwrap();
    }
    handle.end().unwrap();
    let seen = ask(handle, "GET /events", "host: localhost\r\n", "").await;
    assert!(
        seen.contains("event: missed\ndata: 2\n\n") && !seen.contains("second") && seen.contains("third"),
        "{seen}"
    );
    assert!(seen.contains("event: listening\ndata: 127.0.0.1:50052\n\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_of_a_tap_waits_for_its_readers() {
    let mut handle = serve("0", 1 << 20, Some(SocketAddr::from(([127, 0, 0, 1], 50052)))).await.unwrap();
    handle.line("{\"a\":1}").unwrap();
    let reader = tokio::spawn(ask(handle.clone(), "GET /events", "host: localhost\r\n", ""));
    while *handle.readers.count.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    handle.end().unwrap();
    assert_eq!(*handle.readers.count.lock().unwrap(), 0);
    assert!(reader.await.unwrap().contains("event: over"));
}

#[tokio::test]
async fn other_hosts_and_other_origins_are_refused() {
    let handle = serve(":0", 1 << 20, None).await.unwrap();
    for (line, headers, status) in [
        ("GET /", "host: evil.example\r\n", "421"),
        ("GET /events", "host: evil.example\r\n", "421"),
        ("GET /", "", "421"),
        ("GET /", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "200"),
        ("GET /events", "host: 127.0.0.1\r\nsec-fetch-site: cross-site\r\n", "403"),
        ("GET /page.js", "host: 127.0.0.1\r\nsec-fetch-site: same-origin\r\n", "200"),
        ("POST /", "host: 127.0.0.1\r\n", "405"),
        ("GET /page", "host: 127.0.0.1\r\n", "404"),
    ] {
        let answer = ask(handle.clone(), line, headers, "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line} {headers}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        assert!(!answer.contains("access-control"), "{answer}");
    }
}

#[tokio::test]
async fn nothing_is_served_without_the_token() {
    let handle = serve("0", 1 << 20, None).await.unwrap();
    let other = serve("0", 1 << 20, None).await.unwrap();
    assert_eq!(handle.url(), format!("http://{}/{}/", handle.address(), handle.token));
    assert!(handle.token.len() == 32 && handle.token != other.token, "{}", handle.token);
    let wrong = handle.token.replace(|c| c != '0', "0");
    for path in
        ["/", "/events", "/page.js", "/page.css", &format!("/{wrong}/events"), &format!("/{}", &handle.token[1..])]
    {
        let answer = send(handle.address(), &format!("GET {path}"), "host: localhost\r\n", "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let page = ask(handle.clone(), "GET /", "host: localhost\r\n", "").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && !page.contains(&*handle.token), "the page's own links are relative");
}

/// Browsers that do not read, and connections without a request, don't keep others out.
#[tokio::test]
async fn new_browser_replaces_the_oldest_one() {
    let mut handle = serve("0", 1 << 20, None).await.unwrap();
    handle.line("{\"a\":1}").unwrap();
    let mut idle = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(handle.address()).await.unwrap();
        if number % 2 == 0 {
            let request = format!("GET /{}/events HTTP/1.1\r\nhost: localhost\r\n\r\n", handle.token);
            stream.write_all(request.as_bytes()).await.unwrap();
            // The answer has begun: the server knows it as a browser.
            stream.read_exact(&mut [0; 8]).await.unwrap();
        }
        idle.push(stream);
    }
    for _ in 0..2 * CONNECTIONS {
        let seen = ask(handle.clone(), "GET /events", "host: localhost\r\n", "{\"a\":1}").await;
        assert!(seen.contains("{\"a\":1}"), "{seen}");
    }
    // A stranger lost its place; a browser that got its events did not.
    let mut space = [0; 4096];
    assert_eq!(idle[1].read(&mut space).await.unwrap_or(0), 0);
    let read = idle[0].read(&mut space).await.unwrap();
    assert!(String::from_utf8_lossy(&space[..read]).contains("{\"a\":1}"));
}

#[test]
fn hosts() {
    for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "192.0.2.7:1"] {
        assert!(is_local_name(host), "{host}");
    }
    for host in
        ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:port", "[localhost]"]
    {
        assert!(!is_local_name(host), "{host}");
    }
}

#[tokio::test]
async fn error_names_the_address_in_use() {
    let taken = serve("0", 1, None).await.unwrap().address().to_string();
    let error = serve(&taken, 1, None).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("can't listen on {taken}: ")), "{error}");
}
