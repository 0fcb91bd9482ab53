//! Listeners that take certificates of clients: for which names their connections are, and who a certificate says is there.
//!
//! Whoever has got a connection by one name must not use it for another (threat class O): clients that reuse a connection for
//! whatever its certificate names, and names that are read differently in the handshake and in the request, would otherwise
//! meet a rule that was not meant for them. So on these listeners every request is for the name of its handshake.
//!
//! The certificate is the connection's, never a header's: nothing that a client or a proxy writes about certificates is read.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::listener::{ClientCertificate, Connection};
use super::reject::Refusal;
use crate::clock::Timestamp;
use crate::policy::identity::{Assertion, CERTIFICATE_PROVIDER};

/// What is known of a connection on a listener that takes certificates of clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MutualTls<'a> {
    /// The name of the handshake (SNI), in lower case.
    pub(crate) server_name: Option<&'a str>,
    /// What the client showed, if it is good now.
    pub(crate) certificate: Option<&'a ClientCertificate>,
    /// Whether nobody is served without one.
    pub(crate) required: bool,
}

impl<'a> MutualTls<'a> {
    /// `None` on any other listener.
    pub(crate) fn of(connection: &'a Connection, now: Timestamp) -> Option<Self> {
        let authorities = connection.client_authorities()?;
        Some(Self {
            server_name: connection.server_name(),
            certificate: connection.client_certificate(now),
            required: authorities.are_required(),
        })
    }

    /// Whether a request for `host` may come on this connection.
    ///
    /// # Errors
    /// [`Refusal::Misdirected`] for another name than the handshake's; [`Refusal::ClientCertificate`] where a certificate is
    /// required, and the one that was shown has ended or was revoked since.
    pub(crate) fn check(self, host: &str) -> Result<(), Refusal> {
        if !is_for(host, self.server_name) {
            return Err(Refusal::Misdirected);
        }
        if self.required && self.certificate.is_none() {
            return Err(Refusal::ClientCertificate);
        }
        Ok(())
    }
}

/// Whether a Host means the name of a handshake. An address is never such a name (RFC 6066 3), so whoever dials one sends none.
fn is_for(host: &str, server_name: Option<&str>) -> bool {
    let Some(host) = name_of(host) else { return false };
    match server_name {
        Some(name) => without_dot(name).eq_ignore_ascii_case(without_dot(host)),
        None => is_address(host),
    }
}

/// A Host without its port. `None` when it is not clear which part is the port.
fn name_of(host: &str) -> Option<&str> {
    if host.starts_with('[') {
        let (address, port) = host.split_at(host.find(']')? + 1);
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(address);
    }
    match host.split_once(':') {
        Some((name, port)) => is_port(port).then_some(name),
        None => Some(host),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The final dot of a name says that it is whole; both spellings are one name (RFC 6066 3: it is not sent).
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_address(host: &str) -> bool {
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok() || inside.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// What a certificate says of whoever shows it, in `CERTIFICATE_CLAIMS`. `None`: it must not be taken for anybody's.
///
/// A certificate with a SPIFFE id has no other URI; one that has is to be rejected (SPIFFE X509-SVID 2).
pub(crate) fn assertion(certificate: &ClientCertificate) -> Option<Assertion> {
    let ClientCertificate { sha256, subject, dns_names, uris, serial, issuer, not_after: _ } = certificate;
    let is_spiffe = |uri: &String| uri.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"));
    if uris.iter().any(is_spiffe) && uris.len() > 1 {
        return None;
    }
    let claims: [(&str, Value); 6] = [
        ("sha256", json!(sha256)),
        ("subject", json!(subject)),
        ("dns", json!(dns_names)),
        ("uri", json!(uris)),
        ("issuer", json!(issuer)),
        ("serial", json!(serial)),
    ];
    Some(Assertion {
        provider: CERTIFICATE_PROVIDER.into(),
        issuer: CERTIFICATE_PROVIDER.into(),
        subject: sha256.clone(),
        claims: Map::from_iter(claims.map(|(name, value)| (name.to_owned(), value))),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::identity::CERTIFICATE_CLAIMS;

    #[test]
    fn a_request_is_for_the_name_of_its_handshake() {
        let table = [
            ("registry.test", Some("registry.test"), true),
            ("Registry.TEST:8443", Some("registry.test"), true),
            ("registry.test.", Some("registry.test"), true),
            ("registry.test.:443", Some("registry.test"), true),
            ("registry.test..", Some("registry.test"), false),
            ("registry.test:8443:1", Some("registry.test"), false),
            ("registry.test:x", Some("registry.test"), false),
            ("other.test", Some("registry.test"), false),
            ("a.registry.test", Some("registry.test"), false),
            ("a.registry.test", Some("*.registry.test"), false),
            ("registry.test", Some("registry.tes"), false),
            ("127.0.0.1", Some("registry.test"), false),
            ("", Some("registry.test"), false),
            ("registry.test", None, false),
            ("", None, false),
            ("127.0.0.1:8443", None, true),
            ("[::1]:8443", None, true),
            ("[::1]", None, true),
            ("::1", None, false),
            ("[::1]x", None, false),
            ("[registry.test]", None, false),
            ("127.0.0.1.", None, false),
            ("0x7f.1", None, false),
        ];
        for (host, name, expected) in table {
            assert_eq!(is_for(host, name), expected, "{host:?} on a connection for {name:?}");
        }
    }

    #[test]
    fn a_required_certificate_must_be_good_at_every_request() {
        let certificate = certificate(&[]);
        let on = |certificate, required| MutualTls { server_name: Some("registry.test"), certificate, required };
        assert!(on(None, false).check("registry.test").is_ok());
        assert!(on(Some(&certificate), true).check("registry.test").is_ok());
        assert!(matches!(on(None, true).check("registry.test"), Err(Refusal::ClientCertificate)));
        assert!(matches!(on(None, true).check("other.test"), Err(Refusal::Misdirected)));
    }

    #[test]
    fn a_spiffe_id_stands_alone() {
        let of = |uris: &[&str]| assertion(&certificate(uris)).map(|said| said.claims["uri"].clone());
        assert_eq!(of(&[]), Some(json!([])));
        assert_eq!(of(&["spiffe://corp/a"]), Some(json!(["spiffe://corp/a"])));
        assert_eq!(of(&["https://corp/a", "urn:b"]), Some(json!(["https://corp/a", "urn:b"])));
        for several in [["spiffe://corp/a", "spiffe://corp/b"], ["https://corp/a", "SPIFFE://corp/b"]] {
            assert_eq!(of(&several), None, "{several:?}");
        }
        let said = assertion(&certificate(&[])).unwrap();
        let names: BTreeSet<&str> = said.claims.keys().map(String::as_str).collect();
        assert_eq!(names, CERTIFICATE_CLAIMS.into(), "these are the ones that rules may name");
        assert_eq!((&*said.provider, &*said.issuer, &*said.subject), ("certificate", "certificate", "ab01"));
    }

    fn certificate(uris: &[&str]) -> ClientCertificate {
        ClientCertificate {
            sha256: "ab01".to_owned(),
            subject: "CN=scanner".to_owned(),
            dns_names: vec!["scanner.test".to_owned()],
            uris: uris.iter().map(|&uri| uri.to_owned()).collect(),
            serial: "01".to_owned(),
            issuer: "CN=corp".to_owned(),
            not_after: Timestamp::MAX,
        }
    }
}
