//! The head of an upstream's answer, in the one way in which all read it alike: HTTP/1.1, and at most one length, of digits.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use crate::proxy::forward::length;
use crate::proxy::http1::{MOST_HEADERS, has_body, is_clean};
use crate::proxy::rewrite;

/// What an answer begins with.
#[derive(Debug)]
pub(super) struct Head {
    /// With the headers that matter, and no others.
    pub(super) response: Box<ResponseHeader>,
    /// Bytes of the body.
    pub(super) body: u64,
    /// Whether the connection may be used again after it.
    pub(super) stays: bool,
}

/// What has come so far.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A head, and what has come after it.
    Whole(Head, Bytes),
    /// A part of one.
    Partial(BytesMut),
    /// It is not plain.
    Odd,
}

/// Reads the head of the answer to a request, which was a `HEAD` or not.
pub(super) fn parse(read: BytesMut, is_head: bool) -> Parsed {
    let bytes = read.freeze();
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut lines);
    match answer.parse(&bytes) {
        Ok(httparse::Status::Complete(length)) => {
            let head = if bytes.get(..length).is_some_and(is_clean) { whole(&bytes, &answer, is_head) } else { None };
            head.map_or(Parsed::Odd, |head| Parsed::Whole(head, bytes.slice(length..)))
        }
        Ok(httparse::Status::Partial) => {
            Parsed::Partial(bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared)))
        }
        Err(_) => Parsed::Odd,
    }
}

fn whole(bytes: &Bytes, answer: &httparse::Response<'_, '_>, is_head: bool) -> Option<Head> {
    if answer.version != Some(1) {
        return None;
    }
    let status = StatusCode::from_u16(answer.code?).ok().filter(|status| !status.is_informational())?;
    let (mut response, ()) = http::Response::new(()).into_parts();
    response.status = status;
    response.headers.reserve(answer.headers.len());
    let (mut declared, mut stays) = (None, true);
    for line in answer.headers.iter() {
        if line.name.eq_ignore_ascii_case(header::CONNECTION.as_str()) {
            // RFC 9112 9.3.
            stays &= line.value.eq_ignore_ascii_case(b"keep-alive");
            continue;
        }
        let Some(name) = rewrite::looked_at(line.name) else { continue };
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        match name {
            header::TRANSFER_ENCODING => return None,
            header::CONTENT_LENGTH if declared.is_some() || is_padded(&value) => return None,
            header::CONTENT_LENGTH => declared = Some(length(&value)?),
            _ => {}
        }
        response.headers.try_append(name, value).ok()?;
    }
    let body = if is_head || !has_body(status) { 0 } else { declared? };
    Some(Head { response: Box::new(response.into()), body, stays })
}

/// Whether a length begins with a zero that means nothing: some read such a number in another way.
fn is_padded(length: &HeaderValue) -> bool {
    length.len() > 1 && length.as_bytes().starts_with(b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";

    fn head(text: &str, is_head: bool) -> Option<Head> {
        match parse(text.into(), is_head) {
            Parsed::Whole(head, _) => Some(head),
            Parsed::Partial(_) | Parsed::Odd => None,
        }
    }

    fn is_odd(text: &str) -> bool {
        matches!(parse(text.into(), false), Parsed::Odd)
    }

    #[test]
    fn a_plain_head_is_read() {
        let Parsed::Whole(head, rest) = parse(format!("{PLAIN}hello").as_str().into(), false) else {
            panic!("not plain")
        };
        assert_eq!((&rest[..], head.body, head.stays), (&b"hello"[..], 5, true));
        assert_eq!(head.response.status, StatusCode::OK);
        assert_eq!(head.response.headers[header::CONTENT_TYPE], "text/plain");
    }

    #[test]
    fn a_part_of_a_head_is_none() {
        for end in 0..PLAIN.len() {
            let Parsed::Partial(read) = parse(PLAIN[..end].into(), false) else { panic!("{end}") };
            assert_eq!(read, PLAIN[..end]);
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
            "Content-Length: 05\r\n",
            "Content-Length: 00\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 5\r\n",
            "Content-Length: 5\r\n folded\r\n",
            "Content-Length: 5\r\nA: \0\r\n",
            "Content-Length: 5\r\nno colon\r\n",
        ];
        for lines in lines {
            assert!(is_odd(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nhello")), "{lines:?}");
        }
        for first in
            ["HTTP/1.0 200 OK", "HTTP/1.1 100 Continue", "HTTP/1.1 101 Switching Protocols", "HTTP/2 200", "ICY 200 OK"]
        {
            assert!(is_odd(&format!("{first}\r\nContent-Length: 5\r\n\r\nhello")), "{first}");
        }
        assert!(is_odd(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MOST_HEADERS + 1))));
        for bare in [
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "HTTP/1.1 200 OK\r\nDate: x\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\n\nhi\r\n\r\n",
        ] {
            assert!(is_odd(bare), "{bare:?}");
        }
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let body = |text: &str, is_head| head(text, is_head).map(|head| head.body);
        assert_eq!(body(PLAIN, true), Some(0));
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n", true), Some(0));
        assert_eq!(body("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false), Some(0));
        assert_eq!(body("HTTP/1.1 204 No Content\r\n\r\n", false), Some(0));
        assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true), None);
    }

    #[test]
    fn a_connection_stays_unless_the_upstream_says_something_else() {
        let stays =
            |line: &str| head(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n"), false).unwrap().stays;
        assert!(stays("") && stays("Connection: Keep-Alive\r\n"));
        assert!(!stays("Connection: close\r\n") && !stays("Connection: keep-alive, close\r\n"));
        assert!(!stays("Connection: keep-alive\r\nConnection: close\r\n"));
    }
}
