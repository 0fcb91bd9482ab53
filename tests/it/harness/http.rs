//! HTTP/1.1 by hand: exactly the bytes a test wants to send, and one answer at a time.
//!
//! A client library would repair what a test about smuggling wants to break. `request` is the ordinary case.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// In the order and with the case in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of a header that has to be there.
    pub(crate) fn expect_header(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no header `{name}` in {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// Goes on only with this status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}: {}", self.headers, self.text());
        self
    }
}

/// An open connection, over a socket or over TLS.
pub(crate) struct Connection<S = TcpStream> {
    stream: BufReader<S>,
}

impl Connection {
    /// A connection on which nothing was sent yet. Reading from it gives up after 30 s without a byte.
    pub(crate) fn open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self::over(stream))
    }
}

impl<S: Read + Write> Connection<S> {
    /// A connection on which nothing was sent yet.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// What carries the connection; only between answers.
    pub(crate) fn stream(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    /// Sends these bytes and nothing else. A peer that has closed already is no failure: its answer may be waiting.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// The next answer, also an interim one (1xx); `None` when the connection ends before a whole head came.
    pub(crate) fn answer(&mut self, method: &str) -> Option<Response> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if method != "HEAD" && status >= 200 && status != 204 && status != 304 {
            response.body = self.body(&response)?;
        }
        Some(response)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\n")?;
        Some(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
    }

    fn body(&mut self, response: &Response) -> Option<Vec<u8>> {
        if response.header("transfer-encoding").is_some() {
            return self.chunks();
        }
        let mut body = Vec::new();
        if let Some(length) = response.header("content-length") {
            let length = length.parse().ok()?;
            self.stream.by_ref().take(length).read_to_end(&mut body).ok()?;
            return (u64::try_from(body.len()) == Ok(length)).then_some(body);
        }
        self.stream.read_to_end(&mut body).ok()?;
        Some(body)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(body);
            }
            self.stream.by_ref().take(size).read_to_end(&mut body).ok()?;
            self.line()?;
        }
    }
}

/// One request on a connection of its own; `None` when there was no whole answer.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    request_to(address, &address.to_string(), method, path, headers, body)
}

/// The same, to `address` under the name `host`.
pub(crate) fn request_to(
    address: SocketAddr,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Response> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !matches!(method, "GET" | "HEAD") || !body.is_empty() {
        head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    let mut connection = Connection::open(address)?;
    connection.send(&[head.as_bytes(), body].concat());
    connection.answer(method)
}

/// An ordinary GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<Response> {
    request(address, "GET", path, &[], b"")
}
