//! Whether seawall can be passed by: an upstream that answers whoever asks is open to everybody who reaches it.
//!
//! It is looked at once, at the start, and only told: how an upstream is protected (a network, a password) is the
//! operator's choice. Upstreams on this machine's loopback are left out, and so are those with TLS, which would need a
//! whole client for one question; the log says so.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;
use crate::policy::PolicySnapshot;
use crate::policy::address::UpstreamTarget;

/// For one upstream, from connecting to the first bytes of its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `HTTP/1.1 200`: nothing behind the status is read.
const STATUS_LINE: usize = 12;

/// How an upstream takes a request without any credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// It serves it.
    Served,
    /// It asks for a credential, or answers with an error.
    Refused,
    /// It speaks TLS: nobody asked.
    NotAsked,
}

/// Warns, from a thread of its own, of every upstream in `policy` that others than seawall can use. Returns at once.
///
/// # Errors
/// When there is no thread to be had.
pub fn warn_of_open_upstreams(policy: Arc<PolicySnapshot>, clock: Arc<dyn Clock>) -> io::Result<()> {
    let look = move || {
        for registry in policy.registries() {
            let target = &registry.upstream;
            if !target.is_loopback() {
                tell(&registry.name, target, ask_as_a_stranger(target, PATIENCE, clock.as_ref()));
            }
        }
    };
    thread::Builder::new().name("upstream check".to_owned()).spawn(look)?;
    Ok(())
}

fn tell(registry: &str, target: &UpstreamTarget, answer: io::Result<Strangers>) {
    let upstream = target.host_header();
    match answer {
        Ok(Strangers::Served) => tracing::warn!(
            registry,
            upstream,
            "the upstream answers without credentials: whoever reaches it passes seawall by"
        ),
        Ok(Strangers::Refused) => tracing::debug!(registry, upstream, "the upstream refuses strangers"),
        Ok(Strangers::NotAsked) => {
            tracing::info!(registry, upstream, "whether this upstream with TLS answers strangers was not checked");
        }
        Err(error) => {
            tracing::info!(registry, upstream, %error, "whether this upstream answers strangers could not be checked");
        }
    }
}

/// Asks for the registry's base without a credential, for at most `patience`.
///
/// # Errors
/// When the upstream cannot be reached or does not answer in HTTP in that time.
pub fn ask_as_a_stranger(target: &UpstreamTarget, patience: Duration, clock: &dyn Clock) -> io::Result<Strangers> {
    if target.tls.is_some() {
        return Ok(Strangers::NotAsked);
    }
    let until = clock.ticks() + patience;
    let mut stream = connect(target, until, clock)?;
    stream.set_write_timeout(Some(left(until, clock)?))?;
    let host = target.host_header();
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: {host}\r\nUser-Agent: seawall\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; STATUS_LINE];
    let mut rest = answer.as_mut_slice();
    while !rest.is_empty() {
        stream.set_read_timeout(Some(left(until, clock)?))?;
        let read = stream.read(rest)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rest = rest.get_mut(read..).unwrap_or_default();
    }
    status(&answer)
}

/// The first of the upstream's addresses that takes the connection.
fn connect(target: &UpstreamTarget, until: Duration, clock: &dyn Clock) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::NotFound.into();
    for address in (&*target.host, target.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(until, clock)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn left(until: Duration, clock: &dyn Clock) -> io::Result<Duration> {
    let left = until.saturating_sub(clock.ticks());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// `HTTP/1.1 200`: a success is an answer, everything else refuses.
fn status(line: &[u8; STATUS_LINE]) -> io::Result<Strangers> {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', class, _, _] => {
            Ok(if *class == b'2' { Strangers::Served } else { Strangers::Refused })
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};
    use std::sync::mpsc;

    use super::*;
    use crate::clock::SystemClock;

    /// An upstream that answers its only request with these bytes; and what it was asked.
    fn upstream(answer: &'static [u8]) -> (UpstreamTarget, mpsc::Receiver<String>) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (heard, asked) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = socket.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            heard.send(String::from_utf8(request).unwrap()).unwrap();
            stream.write_all(answer).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        (UpstreamTarget::parse(&url).unwrap(), asked)
    }

    fn ask(target: &UpstreamTarget) -> io::Result<Strangers> {
        ask_as_a_stranger(target, Duration::from_secs(10), &SystemClock)
    }

    #[test]
    fn an_open_upstream_is_told_from_a_closed_one() {
        for (answer, expected) in [
            (b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), Strangers::Served),
            (b"HTTP/1.0 204 No Content\r\n\r\n", Strangers::Served),
            (b"HTTP/1.1 401 Unauthorized\r\n\r\n", Strangers::Refused),
            (b"HTTP/1.1 301 Moved\r\n\r\n", Strangers::Refused),
            (b"HTTP/1.1 500 Oh\r\n\r\n", Strangers::Refused),
        ] {
            let (target, asked) = upstream(answer);
            assert_eq!(ask(&target).unwrap(), expected, "{}", String::from_utf8_lossy(answer));
            let asked = asked.recv().unwrap();
            assert!(asked.starts_with("GET /v2/ HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains(&format!("\r\nHost: {}\r\n", target.host_header())), "{asked}");
        }
    }

    #[test]
    fn what_is_not_http_or_not_there_is_no_answer() {
        assert_eq!(ask(&upstream(b"SSH-2.0-OpenSSH\r\n").0).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(ask(&upstream(b"HTTP/1.1").0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let closed = UpstreamTarget::parse(&format!("http://{closed}")).unwrap();
        assert_eq!(ask(&closed).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_silent_upstream_costs_no_more_than_the_time_it_is_given() {
        // It takes connections, in its backlog, and never answers.
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = UpstreamTarget::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
        let before = SystemClock.ticks();
        let error = ask_as_a_stranger(&target, Duration::from_millis(100), &SystemClock).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
        assert!(SystemClock.ticks() < before + Duration::from_secs(5));
    }

    #[test]
    fn an_upstream_with_tls_is_not_asked() {
        let target = UpstreamTarget::parse("https://registry.invalid").unwrap();
        assert_eq!(ask(&target).unwrap(), Strangers::NotAsked);
    }
}
