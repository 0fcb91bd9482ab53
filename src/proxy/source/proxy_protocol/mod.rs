//! The PROXY protocol header, version 1 and 2, as a balancer sends it before anything else on a connection.
//!
//! Nothing is read here: [`progress`] tells the reader how many bytes it may take from the connection next, never
//! more than belong to the header, so that the TLS or HTTP bytes behind it stay where they are. The reader appends
//! what it got to its buffer and asks again (a short read is fine), with a deadline of its own:
//!
//! ```text
//! while let Progress::Read(count) = progress(&buffer)? { read at most `count` bytes into buffer }
//! let header = parse(&buffer)?;
//! ```
//!
//! Call it only on listeners where the header is required, and only for peers that are trusted proxies: whoever may
//! send it chooses the source address (threat class N). A header that is absent or wrong ends the connection.
//!
//! Source: the PROXY protocol specification, sections 2.1 and 2.2.

use std::net::SocketAddr;

use ppp::{v1, v2};
use thiserror::Error;

/// The longest line of version 1, with its line break (section 2.1).
const V1_MAX: usize = 107;
/// The shortest header of either version: `PROXY UNKNOWN` and a line break.
const SHORTEST: usize = 15;
/// Signature, version and command, family and protocol, length (section 2.2).
const V2_FIXED: usize = 16;
/// Version 2, command LOCAL.
const V2_LOCAL: u8 = 0x20;
/// Far more than addresses and the usual TLVs need; version 2 itself would allow 64 KiB.
const V2_MAX: usize = 4096;

/// What a balancer says about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The balancer speaks for itself (a health check) or does not know: the socket's own address stays the source.
    Local,
    /// The balancer passes on a connection of somebody else's.
    Proxied { source: SocketAddr, destination: SocketAddr, tlvs: Vec<Tlv> },
}

/// An extension of version 2, uninterpreted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlv {
    pub kind: u8,
    pub value: Vec<u8>,
}

/// What the reader does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Take at least one and at most this many bytes more from the connection.
    Read(usize),
    /// The bytes are one whole header: [`parse`] them.
    Complete,
}

/// Why the first bytes of a connection are no header that we accept.
#[derive(Debug, PartialEq, Error)]
pub enum ProxyHeaderError {
    #[error("the connection does not begin with a PROXY protocol header")]
    Absent,
    #[error("the PROXY protocol header is longer than {0} bytes")]
    TooLong(usize),
    #[error("malformed PROXY protocol header of version 1: {0}")]
    Version1(v1::BinaryParseError),
    #[error("malformed PROXY protocol header of version 2: {0}")]
    Version2(v2::ParseError),
    #[error("the PROXY protocol header passes on something other than TCP over IPv4 or IPv6")]
    NotTcp,
    #[error("the bytes end before or after the end of the PROXY protocol header")]
    Length,
}

/// How far the bytes `received` so far have come. Never asks for a byte beyond the header's end.
pub fn progress(received: &[u8]) -> Result<Progress, ProxyHeaderError> {
    let total = if begins(received, v2::PROTOCOL_PREFIX) {
        v2_length(received)?
    } else if begins(received, v1::PROTOCOL_PREFIX.as_bytes()) {
        v1_length(received)?
    } else {
        return Err(ProxyHeaderError::Absent);
    };
    match total.checked_sub(received.len()) {
        Some(0) => Ok(Progress::Complete),
        Some(missing) => Ok(Progress::Read(missing)),
        None => Err(ProxyHeaderError::Length),
    }
}

/// Reads a whole header: exactly the bytes for which [`progress`] answered `Complete`.
pub fn parse(header: &[u8]) -> Result<Header, ProxyHeaderError> {
    match progress(header)? {
        Progress::Complete if header.starts_with(v2::PROTOCOL_PREFIX) => parse_v2(header),
        Progress::Complete => parse_v1(header),
        Progress::Read(_) => Err(ProxyHeaderError::Length),
    }
}

/// Whether `received` may still become, or is, a text that begins with `signature`.
fn begins(received: &[u8], signature: &[u8]) -> bool {
    received.iter().zip(signature).all(|(received, expected)| received == expected)
}

/// The header's length, or the least it can be as far as we know yet.
fn v2_length(received: &[u8]) -> Result<usize, ProxyHeaderError> {
    // Until it is clear which version this is, both are possible and the shorter one rules.
    if received.is_empty() {
        return Ok(SHORTEST);
    }
    let Some([high, low]) = received.get(V2_FIXED - 2..V2_FIXED) else { return Ok(V2_FIXED) };
    let total = V2_FIXED + usize::from(u16::from_be_bytes([*high, *low]));
    if total > V2_MAX { Err(ProxyHeaderError::TooLong(V2_MAX)) } else { Ok(total) }
}

/// The line's length, or the least it can be: a line break is still to come.
fn v1_length(received: &[u8]) -> Result<usize, ProxyHeaderError> {
    let least = match received.iter().position(|byte| *byte == b'\r') {
        Some(carriage_return) => carriage_return + 2,
        None => SHORTEST.max(received.len() + 2),
    };
    if least > V1_MAX { Err(ProxyHeaderError::TooLong(V1_MAX)) } else { Ok(least) }
}

fn parse_v1(header: &[u8]) -> Result<Header, ProxyHeaderError> {
    let (source, destination) = match v1::Header::try_from(header).map_err(ProxyHeaderError::Version1)?.addresses {
        v1::Addresses::Unknown => return Ok(Header::Local),
        v1::Addresses::Tcp4(tcp) => v4(&tcp),
        v1::Addresses::Tcp6(tcp) => v6(&tcp),
    };
    Ok(Header::Proxied { source, destination, tlvs: Vec::new() })
}

fn parse_v2(bytes: &[u8]) -> Result<Header, ProxyHeaderError> {
    // Section 2.2: of a LOCAL header everything but the length is ignored, the family too.
    if bytes.get(v2::PROTOCOL_PREFIX.len()) == Some(&V2_LOCAL) {
        return Ok(Header::Local);
    }
    let header = v2::Header::try_from(bytes).map_err(ProxyHeaderError::Version2)?;
    let (source, destination) = match (header.protocol, header.addresses) {
        (v2::Protocol::Unspecified, v2::Addresses::Unspecified) => return Ok(Header::Local),
        (v2::Protocol::Stream, v2::Addresses::IPv4(tcp)) => v4(&tcp),
        (v2::Protocol::Stream, v2::Addresses::IPv6(tcp)) => v6(&tcp),
        // Section 2.2: other combinations must be rejected; a UNIX socket or a datagram has no business here.
        _ => return Err(ProxyHeaderError::NotTcp),
    };
    let tlvs = header.tlvs().map(|tlv| {
        let tlv = tlv.map_err(ProxyHeaderError::Version2)?;
        Ok(Tlv { kind: tlv.kind, value: tlv.value.into_owned() })
    });
    Ok(Header::Proxied { source, destination, tlvs: tlvs.collect::<Result<_, _>>()? })
}

fn v4(tcp: &v2::IPv4) -> (SocketAddr, SocketAddr) {
    ((tcp.source_address, tcp.source_port).into(), (tcp.destination_address, tcp.destination_port).into())
}

fn v6(tcp: &v2::IPv6) -> (SocketAddr, SocketAddr) {
    ((tcp.source_address, tcp.source_port).into(), (tcp.destination_address, tcp.destination_port).into())
}

#[cfg(test)]
mod tests;
