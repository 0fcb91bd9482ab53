//! The head of a request in the one way in which all read it alike: a `GET` or `HEAD` of a path over HTTP/1.1, for one host,
//! without a body.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Version, header};

use crate::proxy::http1::{MOST_HEADERS, is_clean};

/// What a plain request begins with, and all of it.
#[derive(Debug)]
pub(super) struct Head {
    /// Its method and headers; not what it is for.
    pub(super) parts: Parts,
    /// What it is for, byte for byte.
    pub(super) target: Bytes,
    /// Whether its connection may be used again after it.
    pub(super) stays: bool,
}

/// Reads a head, if it is whole, plain, and nothing has come after it.
pub(super) fn parse(bytes: &Bytes) -> Option<Head> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    if !is_clean(bytes) || !is_all(request.parse(bytes), bytes.len()) || request.version != Some(1) {
        return None;
    }
    let target = request.path.filter(|target| is_path(target.as_bytes()))?;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = match request.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    parts.version = Version::HTTP_11;
    parts.headers.reserve(request.headers.len());
    let (mut hosts, mut stays) = (0, true);
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        match name {
            header::HOST if !is_host(line.value) => return None,
            header::HOST => hosts += 1,
            // RFC 9112 9.3.
            header::CONNECTION if line.value.eq_ignore_ascii_case(b"close") => stays = false,
            header::CONNECTION if !line.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::EXPECT | header::UPGRADE => return None,
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        parts.headers.try_append(name, value).ok()?;
    }
    (hosts == 1).then(|| Head { parts, target: bytes.slice_ref(target.as_bytes()), stays })
}

fn is_all(parsed: httparse::Result<usize>, length: usize) -> bool {
    matches!(parsed, Ok(httparse::Status::Complete(end)) if end == length)
}

/// Whether a target is a path with perhaps a query, of characters that stand for themselves in both (RFC 3986 3.3): not a URL,
/// nothing that some would cut off or escape.
fn is_path(target: &[u8]) -> bool {
    // To the end in any case, so that many bytes are looked at in one step.
    target.starts_with(b"/") && target.iter().fold(true, |usual, byte| usual & is_of_paths(*byte))
}

/// Whether a byte is visible, and none of ``"#<>[\]^`{|}``.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_of_paths(byte: u8) -> bool {
    let is_odd = (byte == b'"') | (byte == b'#') | (byte == b'<') | (byte == b'>') | (byte == b'`');
    let is_bracket = (byte.wrapping_sub(b'[') < 4) | (byte.wrapping_sub(b'{') < 3);
    byte.is_ascii_graphic() & !is_odd & !is_bracket
}

/// Whether a `Host` is a name or an address, perhaps with a port.
fn is_host(value: &[u8]) -> bool {
    let is_usual = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    !value.is_empty() && value.iter().all(is_usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "GET /v2/a/manifests/1?n=2 HTTP/1.1\r\nHost: r.example.com:8443\r\nAccept: a\r\nAccept: b\r\n\r\n";

    fn head(text: &str) -> Option<Head> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_plain_head_is_read() {
        let Head { parts, target, stays } = head(PLAIN).unwrap();
        assert_eq!((parts.method, &*target, stays), (Method::GET, &b"/v2/a/manifests/1?n=2"[..], true));
        let values: Vec<_> = parts.headers.get_all("accept").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, ["a", "b"]);
        assert_eq!(head(&PLAIN.replace("GET", "HEAD")).unwrap().parts.method, Method::HEAD);
    }

    #[test]
    fn a_connection_ends_when_the_client_says_so() {
        let stays = |line: &str| head(&PLAIN.replace("Accept: a", line)).map(|head| head.stays);
        assert_eq!(stays("Connection: close"), Some(false));
        assert_eq!(stays("connection: Keep-Alive"), Some(true));
        assert_eq!(stays("Connection: keep-alive\r\nConnection: close"), Some(false));
        assert_eq!(stays("Connection: close, te"), None);
        assert_eq!(stays("Connection: upgrade"), None);
    }

    #[test]
    fn a_path_is_of_characters_that_stand_for_themselves() {
        for byte in 0..=u8::MAX {
            let usual = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
            assert_eq!(is_of_paths(byte), usual, "{byte}");
        }
    }

    /// Whatever readers could disagree about is left to the one that has always read it.
    #[test]
    fn nothing_else_is_plain() {
        for first in [
            "POST /v2/ HTTP/1.1",
            "get /v2/ HTTP/1.1",
            "GET http://r.example.com/v2/ HTTP/1.1",
            "GET * HTTP/1.1",
            "GET /v2/#fragment HTTP/1.1",
            "GET /v2/\\ HTTP/1.1",
            "GET /v2/\"<[{|}]>^` HTTP/1.1",
            "GET /v2/\u{e9} HTTP/1.1",
            "GET /v2/ HTTP/1.0",
            "GET /v2/  HTTP/1.1",
            "GET  /v2/ HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            assert!(head(&PLAIN.replace("GET /v2/a/manifests/1?n=2 HTTP/1.1", first)).is_none(), "{first}");
        }
        for line in [
            "Content-Length: 0",
            "Content-Length: 5",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "Upgrade: websocket",
            "Host: other.example.com",
            "Host : r.example.com",
            "Accept: a\r\n folded",
            "Accept: \0",
            "no colon",
        ] {
            assert!(head(&PLAIN.replace("Accept: a", line)).is_none(), "{line:?}");
        }
        for host in ["", "a b", "user@r.example.com", "r.example.com/", "a,b"] {
            assert!(head(&PLAIN.replace("r.example.com:8443", host)).is_none(), "{host}");
        }
        assert!(head(&PLAIN.replace("Host: r.example.com:8443\r\n", "")).is_none());
        assert!(head(&PLAIN.replace("Accept: a\r\n", &"A: b\r\n".repeat(MOST_HEADERS))).is_none());
        assert!(head(&PLAIN.replace("\r\n", "\n")).is_none());
        assert!(head(&PLAIN.replacen("\r\n", "\n", 1)).is_none());
        assert!(head(&PLAIN.replace("Accept: a\r\n", "Accept: a\n")).is_none());
        assert!(head(&PLAIN[..PLAIN.len() - 2]).is_none());
        assert!(head(&format!("{PLAIN}GET")).is_none() && head(&format!("{PLAIN}{PLAIN}")).is_none());
        assert!(head(&format!("\r\n{PLAIN}")).is_some_and(|head| head.stays));
    }
}
