//! Fake upstreams, for what a real registry cannot be made to do: they keep every byte they are sent, and answer as a
//! test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Counted from 0 in the order of arrival.
    pub(crate) connection: usize,
    /// The request line, or whatever stood where one should.
    pub(crate) line: String,
    /// In their order, as they were written.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What a connection is for once a request on it was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    KeepOpen,
    Close,
}

/// A server of one test. It ends with the test.
pub(crate) struct Fake {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
}

impl Fake {
    /// Gives each connection, with its number, to `serve` in a thread of its own.
    pub(crate) fn raw(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        Self::with(Arc::default(), serve)
    }

    /// Reads whole requests, keeps them, and lets `answer` write to the connection.
    pub(crate) fn answering(answer: impl Fn(&Seen, &mut TcpStream) -> Then + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        Self::with(seen, move |connection, stream| {
            let mut reader = BufReader::new(stream);
            while let Some(mut request) = read_head(&mut reader) {
                request.connection = connection;
                request.body = read_body(&mut reader, &request).unwrap_or_default();
                kept.lock().unwrap().push(request.clone());
                if answer(&request, reader.get_mut()) == Then::Close {
                    return;
                }
            }
        })
    }

    /// Answers everything with these bytes.
    pub(crate) fn always(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::answering(move |_, stream| {
            let _ = stream.write_all(&answer);
            Then::KeepOpen
        })
    }

    /// Passes every byte on to another server and back; what is seen is one entry for each connection.
    pub(crate) fn relaying(to: SocketAddr) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        Self::with(seen, move |connection, mut stream| {
            kept.lock().unwrap().push(Seen { connection, ..Seen::default() });
            let Ok(mut server) = TcpStream::connect(to) else { return };
            let (mut back, mut forth) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
            let answers = thread::spawn(move || {
                let _ = std::io::copy(&mut back, &mut forth);
                let _ = forth.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut stream, &mut server);
            let _ = server.shutdown(Shutdown::Both);
            let _ = answers.join();
        })
    }

    fn with(seen: Arc<Mutex<Vec<Seen>>>, serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(number, stream));
            }
        });
        Self { address, seen, ended }
    }

    /// For `upstream.url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Those that clients made: not those by which seawall itself learns what became of others.
    pub(crate) fn of_clients(&self) -> Vec<Seen> {
        let own = |(name, value): &(String, String)| name.eq_ignore_ascii_case("user-agent") && value == "seawall";
        let all = self.seen.lock().unwrap();
        all.iter().filter(|request| !request.headers.iter().any(own)).cloned().collect()
    }

    /// The request lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.line).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the listener up, so that it sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// An answer with a body of this type.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// The next request's head; `None` at the end of the connection.
pub(crate) fn read_head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut request = Seen { line: line(reader)?, ..Seen::default() };
    loop {
        let text = line(reader)?;
        if text.is_empty() {
            return Some(request);
        }
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
    while line.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

fn read_body(reader: &mut impl BufRead, request: &Seen) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding").is_none() {
        let length: u64 = request.header("content-length")?.parse().ok()?;
        reader.by_ref().take(length).read_to_end(&mut body).ok()?;
        return Some(body);
    }
    loop {
        let size = u64::from_str_radix(line(reader)?.trim(), 16).ok()?;
        reader.by_ref().take(size).read_to_end(&mut body).ok()?;
        line(reader)?;
        if size == 0 {
            return Some(body);
        }
    }
}
