//! The head of an upstream's answer, in the one way in which all read it alike: HTTP/1.1, and at most one length, of digits.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use super::has_body;
use crate::proxy::forward::declared_length;

/// The most headers that an answer may have.
const MOST_HEADERS: usize = 64;

/// What an answer begins with.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Box<ResponseHeader>,
    /// Bytes of the head itself.
    pub(super) length: usize,
    /// Bytes of the body.
    pub(super) body: u64,
    /// Whether the connection may be used again after it.
    pub(super) stays: bool,
}

/// What has come so far.
#[derive(Debug)]
pub(super) enum Parsed {
    Whole(Head),
    Partial,
    /// It is not plain.
    Odd,
}

/// Reads the head of the answer to a request, which was a `HEAD` or not.
pub(super) fn parse(bytes: &[u8], is_head: bool) -> Parsed {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut lines);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => whole(&answer, length, is_head).map_or(Parsed::Odd, Parsed::Whole),
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Odd,
    }
}

fn whole(answer: &httparse::Response<'_, '_>, length: usize, is_head: bool) -> Option<Head> {
    let status = StatusCode::from_u16(answer.code?).ok().filter(|status| !status.is_informational())?;
    if answer.version != Some(1) {
        return None;
    }
    // Room for what is added to it.
    let mut response = ResponseHeader::build_no_case(status, Some(answer.headers.len() + 8)).ok()?;
    for line in answer.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        response.append_header(name, HeaderValue::from_bytes(line.value).ok()?).ok()?;
    }
    let headers = &response.headers;
    if headers.contains_key(header::TRANSFER_ENCODING) || headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return None;
    }
    let declared = match headers.get(header::CONTENT_LENGTH) {
        Some(_) => Some(declared_length(headers)?),
        None => None,
    };
    let body = if is_head || !has_body(status) { 0 } else { declared? };
    Some(Head { stays: stays(headers), response: Box::new(response), length, body })
}

/// Whether the upstream leaves the connection open (RFC 9112 9.3).
fn stays(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::CONNECTION).iter();
    lines.all(|line| line.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";

    fn read(text: &str) -> Option<Head> {
        match parse(text.as_bytes(), false) {
            Parsed::Whole(head) => Some(head),
            Parsed::Partial | Parsed::Odd => None,
        }
    }

    #[test]
    fn a_plain_head_is_read() {
        let head = read(&format!("{PLAIN}hello")).unwrap();
        assert_eq!((head.length, head.body, head.stays), (PLAIN.len(), 5, true));
        assert_eq!(head.response.status, StatusCode::OK);
        assert_eq!(head.response.headers[header::CONTENT_TYPE], "text/plain");
    }

    #[test]
    fn a_part_of_a_head_is_none() {
        for end in 0..PLAIN.len() {
            assert!(matches!(parse(&PLAIN.as_bytes()[..end], false), Parsed::Partial), "{end}");
        }
    }

    /// Where two readers could find the end of the answer in two places, pingora is asked, on a connection of its own.
    #[test]
    fn what_is_not_plain_is_odd() {
        let lines = [
            "",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 5\r\n",
            "Content-Length: 5\r\n folded\r\n",
            "Content-Length: 5\r\nA: \0\r\n",
            "Content-Length: 5\r\nno colon\r\n",
        ];
        for lines in lines {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\nhello");
            assert!(matches!(parse(text.as_bytes(), false), Parsed::Odd), "{lines:?}");
        }
        for first in ["HTTP/1.0 200 OK", "HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching Protocols", "HTTP/2 200", "ICY 200 OK"] {
            let text = format!("{first}\r\nContent-Length: 5\r\n\r\nhello");
            assert!(matches!(parse(text.as_bytes(), false), Parsed::Odd), "{first}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MOST_HEADERS + 1));
        assert!(matches!(parse(many.as_bytes(), false), Parsed::Odd));
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let body = |text: &str, is_head| match parse(text.as_bytes(), is_head) {
            Parsed::Whole(head) => Some(head.body),
            Parsed::Partial | Parsed::Odd => None,
        };
        assert_eq!(body(PLAIN, true), Some(0));
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", true), Some(0));
        assert_eq!(body("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false), Some(0));
        assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n", false), Some(0));
        assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true), None);
    }

    #[test]
    fn a_connection_stays_unless_the_upstream_says_something_else() {
        let stays = |line: &str| read(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n")).unwrap().stays;
        assert!(stays("") && stays("Connection: Keep-Alive\r\n"));
        assert!(!stays("Connection: close\r\n") && !stays("Connection: keep-alive, close\r\n"));
        assert!(!stays("Connection: keep-alive\r\nConnection: close\r\n"));
    }
}
