//! Callers from several addresses of the loopback, requests in every shape, and what the audit log says of them.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::http::{Connection, Response};
use super::seawall::Seawall;
use super::wait_until;

/// A connection that comes from `source`, an address of this machine.
pub(crate) fn connect(source: &str, to: SocketAddr) -> TcpStream {
    let source: IpAddr = source.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = if to.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() };
        let socket = socket.unwrap();
        socket.bind((source, 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// A request as bytes. `headers` are all there are but the body's length.
pub(crate) fn message(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !matches!(method, "GET" | "HEAD") || !body.is_empty() {
        head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// One request from `source`; `None` when the connection was closed without an answer.
pub(crate) fn ask(
    source: &str,
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut connection = Connection::over(connect(source, to));
    connection.send(&message(method, target, headers, body));
    connection.answer(method)
}

/// The one audit record of this answer.
pub(crate) fn record_of(seawall: &Seawall, answer: &Response) -> Value {
    let id = answer.expect_header("X-Ms-Correlation-Request-Id").to_owned();
    let mut found = Vec::new();
    wait_until("the audit record is written", || {
        found = seawall.audit().into_iter().filter(|record| record["requestId"] == *id).collect();
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}
