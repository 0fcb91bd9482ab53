//! The line of a record: what serde_json makes of it, made by hand, for every request has one.
//!
//! A test holds both against each other. Whatever few records have goes through serde_json here, too.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::record::{AuditRecord, Bounded, PrincipalRecord};

/// Writes the record's JSON, with a line break after it. `false`: it cannot be written.
pub(super) fn write(line: &mut Vec<u8>, record: &AuditRecord<'_>) -> bool {
    let AuditRecord { time, request_id, listener, operation, method, decision, reason, .. } = record;
    line.extend_from_slice(br#"{"time":""#);
    shown(line, format_args!("{time:.6}"));
    line.push(b'"');
    text(line, "requestId", request_id);
    text_if(line, "registry", record.registry.as_deref());
    text_if(line, "dataEndpoint", record.data_endpoint.as_deref());
    text(line, "listener", listener);
    if let Some(peer) = record.peer_address {
        key(line, "peerAddress");
        line.push(b'"');
        socket_address(line, peer);
        line.push(b'"');
    }
    if let Some(source) = record.source_address {
        key(line, "sourceAddress");
        line.push(b'"');
        address(line, source.ip());
        line.push(b'"');
    }
    let rare = json_if(line, "network", record.network.as_ref())
        && json_if(line, "shadow", record.shadow.as_ref())
        && record.principal.as_ref().is_none_or(|principal| write_principal(line, principal));
    text_if(line, "credential", record.credential.as_deref());
    text_if(line, "clientCertificate", record.client_certificate.as_deref());
    word(line, "operation", operation.as_str());
    word(line, "method", method);
    text_if(line, "repository", record.repository.as_deref());
    text_if(line, "reference", record.reference.as_deref());
    text_if(line, "changed", record.changed.as_deref());
    word(line, "decision", decision.as_str());
    word(line, "reason", reason);
    text_if(line, "rule", record.rule.as_deref());
    let numbers = json(line, "policyVersion", &record.policy_version)
        && json(line, "status", &record.status)
        && json(line, "requestBytes", &record.request_bytes)
        && json(line, "responseBytes", &record.response_bytes)
        && json(line, "durationMs", &record.duration_ms)
        && json_if(line, "upstreamMs", record.upstream_ms.as_ref());
    text_if(line, "servedFrom", record.served_from);
    text_if(line, "userAgent", record.user_agent.as_ref().map(Bounded::as_str));
    text_if(line, "denialId", record.denial_id.as_deref());
    line.extend_from_slice(b"}\n");
    rare && numbers
}

/// Whom a provider vouched for goes through serde_json.
fn write_principal(line: &mut Vec<u8>, principal: &PrincipalRecord) -> bool {
    let PrincipalRecord { kind, name, provider, subject, identities } = principal;
    if provider.is_some() || subject.is_some() || !identities.is_empty() {
        return json(line, "principal", principal);
    }
    line.extend_from_slice(br#","principal":{"kind":""#);
    line.extend_from_slice(kind.as_bytes());
    line.push(b'"');
    text_if(line, "name", name.as_deref());
    line.push(b'}');
    true
}

fn key(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

fn text_if(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(line, name, value);
    }
}

/// A word of ours, in which nothing has to be escaped.
fn word(line: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(value.bytes().all(is_plain), "{value} is no word");
    for piece in [",\"", name, "\":\"", value, "\""] {
        line.extend_from_slice(piece.as_bytes());
    }
}

fn text(line: &mut Vec<u8>, name: &str, value: &str) {
    key(line, name);
    // To the end in any case, so that many bytes are looked at in one step.
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        line.push(b'"');
        line.extend_from_slice(value.as_bytes());
        line.push(b'"');
    } else if serde_json::to_writer(&mut *line, value).is_err() {
        // Text can always be written.
        line.extend_from_slice(b"null");
    }
}

fn json_if(line: &mut Vec<u8>, name: &str, value: Option<&impl Serialize>) -> bool {
    value.is_none_or(|value| json(line, name, value))
}

fn json(line: &mut Vec<u8>, name: &str, value: &impl Serialize) -> bool {
    key(line, name);
    serde_json::to_writer(line, value).is_ok()
}

/// Whether a byte stands for itself in a JSON string.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_plain(byte: u8) -> bool {
    (byte >= b' ') & (byte != b'"') & (byte != b'\\')
}

/// Text in which nothing has to be escaped.
fn shown(line: &mut Vec<u8>, value: impl Display) {
    // Writing to memory cannot fail.
    let _ = write!(line, "{value}");
}

fn socket_address(line: &mut Vec<u8>, socket: SocketAddr) {
    match socket {
        SocketAddr::V4(socket) => {
            address(line, IpAddr::V4(*socket.ip()));
            line.push(b':');
            decimal(line, socket.port());
        }
        SocketAddr::V6(socket) => shown(line, socket),
    }
}

fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            small(line, first);
            for number in rest {
                line.push(b'.');
                small(line, number);
            }
        }
        IpAddr::V6(address) => shown(line, address),
    }
}

fn small(line: &mut Vec<u8>, number: u8) {
    if number >= 100 {
        line.push(number / 100 + b'0');
    }
    if number >= 10 {
        line.push(number / 10 % 10 + b'0');
    }
    line.push(number % 10 + b'0');
}

/// `fmt` takes ten times as long.
fn decimal(line: &mut Vec<u8>, number: u16) {
    let mut power = [10_000, 1_000, 100, 10].into_iter().skip_while(|power| number < *power);
    let digit = |number: u16| u8::try_from(number % 10).unwrap_or_default() + b'0';
    line.extend(power.by_ref().map(|power| digit(number / power)));
    line.push(digit(number));
}
