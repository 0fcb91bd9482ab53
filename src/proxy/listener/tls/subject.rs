//! Distinguished names as text, of which no two different names have the same (RFC 4514).
//!
//! Rules compare this text. A name that is joined without escapes could say `CN=a,O=Corp` with a common name that has a
//! comma in it, and so be taken for another.

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

/// The name, last part first, as `openssl x509 -nameopt RFC2253` writes it.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name.iter_rdn().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn part(part: &RelativeDistinguishedName<'_>) -> String {
    part.iter().map(attribute).collect::<Vec<_>>().join("+")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    match (short_name(&kind), attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escaped(value)),
        // Of the others nobody knows what is in them: the bytes (section 2.4).
        (short, _) => format!("{}=#{}", short.unwrap_or(&kind), hex(attribute.as_slice())),
    }
}

/// The types of section 3.
fn short_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// Section 2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, one) in value.chars().enumerate() {
        match one {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', one]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            _ => text.push(one),
        }
    }
    text
}

/// Lower-case digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn text_of(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        text(X509Certificate::from_der(made.der()).unwrap().1.subject())
    }

    #[test]
    fn what_a_part_says_is_no_other_part() {
        let (name, organization) = (DnType::CommonName, DnType::OrganizationName);
        let two = text_of(&[(organization.clone(), "Corp"), (name.clone(), "scanner")]);
        assert_eq!(two, "CN=scanner,O=Corp");
        assert_eq!(text_of(&[(name.clone(), "scanner,O=Corp")]), "CN=scanner\\,O=Corp");
        assert_eq!(text_of(&[(name.clone(), " #a+\"b\\ ")]), "CN=\\ #a\\+\\\"b\\\\\\ ");
        assert_eq!(text_of(&[(name, "#1"), (DnType::CustomDnType(vec![1, 2, 3]), "x")]), "1.2.3=#78,CN=\\#1");
    }
}
