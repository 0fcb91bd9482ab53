//! The `Authorization` header: what the caller presented, read strictly.
//!
//! A malformed header is an error, never "no credential": a caller who meant to sign in must not be served as
//! anonymous, and no upstream may read a credential where we read none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::secret::Secret;

/// The longest header value, in bytes. An access token with many scopes fits.
pub const MAX_VALUE: usize = 16 * 1024 + 16;

/// What the caller presented. Nothing of it is verified.
#[derive(Clone, Debug)]
pub enum Credential {
    /// RFC 7617. The user may be empty; neither part holds a control character.
    Basic { user: String, password: Secret },
    /// RFC 6750. A `token68`, not necessarily a JWT.
    Bearer(Secret),
}

/// Why an `Authorization` header is no credential. The reason never quotes the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MalformedCredential {
    /// Which of two lines counts is a matter of taste, so neither does.
    #[error("more than one Authorization header")]
    Repeated,
    /// Over 16 KiB.
    #[error("the Authorization header is too long")]
    TooLong,
    /// Neither `Basic` nor `Bearer`, or nothing after it.
    #[error("the Authorization header is neither `Basic` nor `Bearer` with a value")]
    Scheme,
    /// Not `user:password` in padded standard base64 and UTF-8, without control characters.
    #[error("the Basic credential is not `user:password` in base64")]
    Basic,
    /// Not in the `token68` grammar.
    #[error("the Bearer credential holds a character that no token may hold")]
    Bearer,
}

/// The credential in the lines of the `Authorization` header; `None` only when there is no such line.
pub fn credential<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Credential>, MalformedCredential> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => parse(value).map(Some),
        (Some(_), Some(_)) => Err(MalformedCredential::Repeated),
    }
}

fn parse(value: &[u8]) -> Result<Credential, MalformedCredential> {
    if value.len() > MAX_VALUE {
        return Err(MalformedCredential::TooLong);
    }
    let value = std::str::from_utf8(value).map_err(|_| MalformedCredential::Scheme)?;
    let (scheme, rest) = value.trim_matches([' ', '\t']).split_once(' ').ok_or(MalformedCredential::Scheme)?;
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("basic") {
        basic(rest).ok_or(MalformedCredential::Basic)
    } else if scheme.eq_ignore_ascii_case("bearer") {
        bearer(rest).ok_or(MalformedCredential::Bearer)
    } else {
        Err(MalformedCredential::Scheme)
    }
}

fn basic(encoded: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let clean = !text.chars().any(char::is_control);
    clean.then(|| Credential::Basic { user: user.to_owned(), password: Secret::new(password) })
}

/// Whether a byte may stand in a `token68`. Without a branch, so that many bytes are looked at in one step.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_token68(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.` and `/` come right before the digits.
    let is_digit_or_mark = byte.wrapping_sub(b'-') < 13;
    let is_mark = (byte == b'_') | (byte == b'~') | (byte == b'+');
    is_letter | is_digit_or_mark | is_mark
}

/// RFC 9110's `token68`: letters, digits and `-._~+/`, at least one, then any number of `=`.
fn bearer(text: &str) -> Option<Credential> {
    let body = text.trim_end_matches('=');
    // To the end in any case: that is faster than to stop at the first one that may not.
    let is_clean = body.bytes().fold(true, |clean, byte| clean & is_token68(byte));
    (!body.is_empty() && is_clean).then(|| Credential::Bearer(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The credential in one header line, as text that a table can compare.
    fn read(value: &[u8]) -> Result<String, MalformedCredential> {
        credential(std::iter::once(value)).map(|credential| match credential {
            Some(Credential::Basic { user, password }) => format!("{user}|{}", password.expose()),
            Some(Credential::Bearer(token)) => token.expose().to_owned(),
            None => "none".to_owned(),
        })
    }

    fn basic_of(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn a_token68_is_of_letters_digits_and_six_marks() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token68(byte), expected, "{byte}");
        }
    }

    #[test]
    fn only_a_missing_header_is_no_credential() {
        assert!(matches!(credential(std::iter::empty()), Ok(None)));
        assert_eq!(read(b""), Err(MalformedCredential::Scheme));
    }

    #[test]
    fn reads_what_clients_send() {
        for (value, expected) in [
            (basic_of("user:pass"), "user|pass"),
            (basic_of("robot$a+b:p:a:ss"), "robot$a+b|p:a:ss"),
            (basic_of("user:"), "user|"),
            (basic_of(":pass"), "|pass"),
            (basic_of("üser:pässword"), "üser|pässword"),
            (basic_of("user:pass").replacen("Basic", "bASIC", 1), "user|pass"),
            (basic_of("user:pass").replacen(' ', "   ", 1), "user|pass"),
            (format!(" {}\t", basic_of("user:pass")), "user|pass"),
            ("Bearer abc.DEF-_~+/1==".to_owned(), "abc.DEF-_~+/1=="),
            ("BEARER x".to_owned(), "x"),
        ] {
            assert_eq!(read(value.as_bytes()).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn malformed_is_never_anonymous() {
        use MalformedCredential::{Basic, Bearer, Scheme, TooLong};
        for (value, expected) in [
            ("Basic".to_owned(), Scheme),
            ("Basic ".to_owned(), Scheme),
            ("Bearer".to_owned(), Scheme),
            ("Bearer\tabc".to_owned(), Scheme),
            ("Digest username=\"x\"".to_owned(), Scheme),
            ("Negotiate abc".to_owned(), Scheme),
            ("Basicdx dTpw".to_owned(), Scheme),
            ("dXNlcjpwYXNz".to_owned(), Scheme),
            ("Basic dXNlcjpw!".to_owned(), Basic),
            ("Basic dTpwYQ".to_owned(), Basic),
            ("Basic dTpwYQ=".to_owned(), Basic),
            ("Basic dTpwYR==".to_owned(), Basic),
            ("Basic dTpwYQ===".to_owned(), Basic),
            ("Basic dTpw YQ==".to_owned(), Basic),
            ("Basic dTpw, Bearer x".to_owned(), Basic),
            ("Basic dTo_Pz8_".to_owned(), Basic),
            (basic_of("no colon"), Basic),
            (basic_of(b"u:\xff"), Basic),
            (basic_of("u:p\0"), Basic),
            (basic_of("u\n:p"), Basic),
            (basic_of("u:p\u{7f}"), Basic),
            (basic_of("u:p\u{85}"), Basic),
            ("Bearer =".to_owned(), Bearer),
            ("Bearer a=b".to_owned(), Bearer),
            ("Bearer a b".to_owned(), Bearer),
            ("Bearer a,b".to_owned(), Bearer),
            ("Bearer \"a\"".to_owned(), Bearer),
            ("Bearer \u{e9}".to_owned(), Bearer),
            (format!("Bearer {}", "a".repeat(MAX_VALUE)), TooLong),
        ] {
            assert_eq!(read(value.as_bytes()), Err(expected), "{value}");
        }
        assert_eq!(read(b"Bearer \xff"), Err(Scheme));
    }

    #[test]
    fn two_lines_are_refused_even_when_they_agree() {
        let lines: [&[u8]; 2] = [b"Bearer a", b"Bearer a"];
        assert_eq!(credential(lines.into_iter()).unwrap_err(), MalformedCredential::Repeated);
    }

    proptest! {
        #[test]
        fn any_user_and_password_arrive_whole(user in "[^:\\pC]{0,20}", password in "[^\\pC]{0,40}") {
            prop_assert_eq!(read(basic_of(format!("{user}:{password}")).as_bytes()), Ok(format!("{user}|{password}")));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(text) = read(&value) {
                prop_assert_ne!(text, "none");
            }
        }
    }
}
