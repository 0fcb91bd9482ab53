//! The source address from `X-Forwarded-For` or `Forwarded` (RFC 7239), believed as far as trusted proxies vouch.
//!
//! Each proxy appends the address it saw on the right, so the right end was written by our own proxy and the left end
//! by whoever sent the request. The walk goes from the right and ends at the first address that no trusted proxy
//! stands behind; nothing left of it is read, so nothing that a stranger wrote can move it. For the same reason
//! elements are cut from the right: an unbalanced quote on the left cannot swallow what our proxy appended.

use std::net::{IpAddr, Ipv6Addr};

use schemars::JsonSchema;
use serde::Deserialize;

use super::TrustedProxies;
use crate::policy::network::SourceAddress;

/// More hops than any real chain has.
const MAX_HOPS: usize = 100;
/// More bytes than any real chain needs.
const MAX_BYTES: usize = 16 * 1024;

/// Which header the trusted proxies write. One only: they pass the other through as the client sent it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ForwardedHeader {
    #[default]
    #[serde(rename = "X-Forwarded-For")]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// The header's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The source of a request that came from `peer` with these `lines` of `header`, in the order received.
///
/// An untrusted peer is the source itself, whatever it says. Otherwise the source is the rightmost address that is not
/// a trusted proxy, or the leftmost address when all are trusted. A hop that is not an address (`unknown`, `_hidden`,
/// a host name, a zone id, a bad port, nothing), a hop after 100 others or after 16 KiB ends the walk: the source is then
/// the last proxy that was read, the one that vouched for what we cannot use.
pub fn source_address<'a>(
    peer: IpAddr,
    header: ForwardedHeader,
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &TrustedProxies,
) -> SourceAddress {
    let mut source = peer;
    let mut bytes = 0_usize;
    for element in lines.rev().flat_map(|line| PartsFromRight::elements(header, line)).take(MAX_HOPS) {
        bytes = bytes.saturating_add(element.len() + 1);
        if bytes > MAX_BYTES || !trusted.contains(source) {
            break;
        }
        match hop(header, element) {
            Some(address) => source = address,
            None => break,
        }
    }
    SourceAddress::new(source)
}

/// The parts of a text between separators, from the right. An empty text has one empty part.
struct PartsFromRight<'a> {
    separator: u8,
    quoting: bool,
    rest: Option<&'a [u8]>,
}

impl<'a> PartsFromRight<'a> {
    fn elements(header: ForwardedHeader, line: &'a [u8]) -> Self {
        // `X-Forwarded-For` has no quotes: to believe in them would let a quote hide a comma.
        Self { separator: b',', quoting: header == ForwardedHeader::Forwarded, rest: Some(line) }
    }

    fn parameters(element: &'a [u8]) -> Self {
        Self { separator: b';', quoting: true, rest: Some(element) }
    }

    fn last_separator(&self, text: &[u8]) -> Option<usize> {
        let mut quoted = false;
        for (at, byte) in text.iter().enumerate().rev() {
            match byte {
                // Inside a quoted string `\"` is text; its backslash stands on the left, not read yet.
                b'"' if quoted => quoted = escaped(text, at),
                b'"' => quoted = self.quoting,
                _ if *byte == self.separator && !quoted => return Some(at),
                _ => {}
            }
        }
        None
    }
}

impl<'a> Iterator for PartsFromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (before, part) = match self.last_separator(rest) {
            Some(at) => (rest.get(..at), rest.get(at + 1..)),
            None => (None, Some(rest)),
        };
        self.rest = before;
        part
    }
}

/// Whether an odd number of backslashes stands directly before `at`.
fn escaped(line: &[u8], at: usize) -> bool {
    line.iter().take(at).rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The address in one element.
fn hop(header: ForwardedHeader, element: &[u8]) -> Option<IpAddr> {
    match header {
        ForwardedHeader::XForwardedFor => node(text(element)?),
        ForwardedHeader::Forwarded => forwarded_for(element),
    }
}

/// The address in the `for` parameter of a `Forwarded` element; `None` unless there is exactly one.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    for parameter in PartsFromRight::parameters(element) {
        let parameter = text(parameter)?;
        if parameter.is_empty() {
            continue;
        }
        let (name, value) = parameter.split_once('=')?;
        if !name.eq_ignore_ascii_case("for") {
            continue;
        }
        // RFC 7239 section 4: no parameter occurs twice. Two readers would choose differently, so neither counts.
        if found.replace(node(unquoted(value)?)?).is_some() {
            return None;
        }
    }
    found
}

/// The text of a token or of a quoted string without escapes, which no address needs.
fn unquoted(value: &str) -> Option<&str> {
    let text = match value.strip_prefix('"') {
        Some(open) => open.strip_suffix('"')?,
        None => value,
    };
    (!text.contains(['"', '\\'])).then_some(text)
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
///
/// RFC 7239 asks for quotes and brackets around IPv6 addresses; many proxies leave out one or the other, and nothing
/// else can be meant.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        return (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(address.into());
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    let address = IpAddr::V4(address.parse().ok()?);
    is_port(port).then_some(address)
}

fn is_port(digits: &str) -> bool {
    digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 5 && digits.parse::<u16>().is_ok()
}

/// `bytes` as text, without the white space that RFC 9110 allows around list elements: spaces and tabs only.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().map(|text| text.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests;
