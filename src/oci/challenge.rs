//! The invitation of a 401: where to get an access token, and for which scope.
//!
//! Clients parse it with string searches, so the form is fixed to the byte (rules R1 to R4 of the wire contract): one
//! header value, `Bearer` and never `Basic` beside it, no space after a comma, every value quoted, the order realm,
//! service, scope, error.

use super::scope::Scope;

/// Why a presented access token was not enough (RFC 6750 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChallengeError {
    /// It is expired, revoked, not ours, or not readable.
    InvalidToken,
    /// It is good, but not for this.
    InsufficientScope,
}

impl ChallengeError {
    /// The error as it is written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

/// The value of the one `WWW-Authenticate` header, made by [`Challenge::text`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Challenge<'a> {
    /// The URL of the token endpoint.
    pub realm: &'a str,
    /// The login server.
    pub service: &'a str,
    /// What the request needs. Empty, and then not printed, for `GET /v2/` only: elsewhere SDKs fail without it (R3).
    pub scopes: &'a [Scope],
    /// Only when an access token was presented and refused.
    pub error: Option<ChallengeError>,
}

impl Challenge<'_> {
    /// The text of the header.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(256);
        quoted(&mut text, "Bearer realm=", [self.realm]);
        quoted(&mut text, ",service=", [self.service]);
        if !self.scopes.is_empty() {
            let pieces = self.scopes.iter().enumerate().flat_map(|(at, scope)| {
                let space = if at > 0 { " " } else { "" };
                std::iter::once(space).chain(scope.pieces())
            });
            quoted(&mut text, ",scope=", pieces);
        }
        if let Some(error) = self.error {
            quoted(&mut text, ",error=", [error.as_str()]);
        }
        text
    }
}

/// Whether a byte stands for itself in a quoted-string. Without a branch, so that many are looked at in one step.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') < 0x5f) & (byte != b'"') & (byte != b'\\')
}

/// Appends `before`, and the pieces as one quoted-string (RFC 9110 §5.6.4). What no header may hold becomes `?`, so that no value
/// splits the response.
fn quoted<'a>(text: &mut String, before: &str, pieces: impl IntoIterator<Item = &'a str>) {
    text.push_str(before);
    text.push('"');
    for piece in pieces {
        // Nearly always: then in one piece.
        if piece.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            text.push_str(piece);
            continue;
        }
        for character in piece.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                ' '..='~' => text.push(character),
                _ => text.push('?'),
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Challenge<'static> = Challenge {
        realm: "https://registry.example.com/oauth2/token",
        service: "registry.example.com",
        scopes: &[],
        error: None,
    };

    #[test]
    fn the_base_endpoint_has_no_scope() {
        assert_eq!(
            PLAIN.text(),
            r#"Bearer realm="https://registry.example.com/oauth2/token",service="registry.example.com""#
        );
    }

    #[test]
    fn order_and_punctuation_are_what_sdks_search_for() {
        let scopes = Scope::parse_list("repository:a/b:pull,push repository:c:pull").unwrap();
        for (error, text) in
            [(ChallengeError::InvalidToken, "invalid_token"), (ChallengeError::InsufficientScope, "insufficient_scope")]
        {
            assert_eq!(
                Challenge { scopes: &scopes, error: Some(error), ..PLAIN }.text(),
                format!(
                    r#"Bearer realm="https://registry.example.com/oauth2/token",service="registry.example.com",scope="repository:a/b:pull,push repository:c:pull",error="{text}""#
                )
            );
        }
    }

    #[test]
    fn no_value_ends_its_quotes_or_the_header() {
        let hostile = Challenge { realm: "a\"b\\c\r\nSet-Cookie: x\0é", ..PLAIN };
        assert_eq!(hostile.text(), r#"Bearer realm="a\"b\\c??Set-Cookie: x??",service="registry.example.com""#);
    }

    /// Reads a challenge as the Go SDK does: cut at `",`, then each piece at its first `="`.
    fn read_as_go_does(challenge: &str) -> Vec<(String, String)> {
        let parameters = challenge.strip_prefix("Bearer ").unwrap().strip_suffix('"').unwrap();
        let pieces = parameters.split("\",").map(|piece| piece.split_once("=\"").unwrap());
        pieces.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    proptest! {
        #[test]
        fn a_client_reads_back_every_value(
            realm in "https://[a-z.:/0-9]{1,30}",
            service in "[a-z.:0-9-]{1,30}",
            names in proptest::collection::vec("[a-z/0-9]{1,9}", 1..4),
        ) {
            let scopes: Vec<_> = names.iter().map(|name| Scope::new("repository", name, ["pull", "push"])).collect();
            let error = Some(ChallengeError::InsufficientScope);
            let text = Challenge { realm: &realm, service: &service, scopes: &scopes, error }.text();
            let read = read_as_go_does(&text);
            let keys: Vec<_> = read.iter().map(|(key, _)| key.as_str()).collect();
            prop_assert_eq!(keys, ["realm", "service", "scope", "error"]);
            prop_assert_eq!(&read[0].1, &realm);
            prop_assert_eq!(&read[1].1, &service);
            prop_assert_eq!(Scope::parse_list(&read[2].1), Ok(scopes));
        }
    }
}
