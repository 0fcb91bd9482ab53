//! Percent-encoding (RFC 3986 §2.1), decoded exactly once and strictly.
//!
//! Lenient decoders pass a broken escape on as it stands; whoever reads it next may understand another text, so here a
//! broken escape is an error. Nothing else of the crate decodes a path or a query: the management API uses it too.

use std::borrow::Cow;

use thiserror::Error;

/// Why an encoded text has no meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PercentError {
    /// A `%` that two hexadecimal digits do not follow.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Escape,
    /// The decoded bytes are no UTF-8.
    #[error("the decoded text is not UTF-8")]
    Utf8,
    /// The decoded text holds a control character, NUL among them.
    #[error("the decoded text holds a control character")]
    Control,
}

/// What a `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plus {
    /// Itself, as in a path.
    Literal,
    /// A space, as in `application/x-www-form-urlencoded`, by whose rules Go reads queries too.
    Space,
}

/// The text that `raw` encodes.
pub fn decode(raw: &str, plus: Plus) -> Result<Cow<'_, str>, PercentError> {
    // Nearly always it encodes itself. To the end in any case, so that many bytes are looked at in one step.
    let other = if plus == Plus::Space { b'+' } else { b'%' };
    if raw.bytes().fold(true, |plain, byte| plain & is_itself(byte, other)) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                high << 4 | low
            }
            b'+' if plus == Plus::Space => b' ',
            other => other,
        });
    }
    let text = String::from_utf8(decoded).map_err(|_| PercentError::Utf8)?;
    if text.chars().any(char::is_control) { Err(PercentError::Control) } else { Ok(Cow::Owned(text)) }
}

/// Whether a byte stands for itself, where `other` is a second one that does not.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_itself(byte: u8, other: u8) -> bool {
    (byte >= b' ') & (byte <= b'~') & (byte != b'%') & (byte != other)
}

fn digit(byte: Option<u8>) -> Result<u8, PercentError> {
    match byte {
        Some(byte @ b'0'..=b'9') => Ok(byte - b'0'),
        Some(byte @ b'a'..=b'f') => Ok(byte - b'a' + 10),
        Some(byte @ b'A'..=b'F') => Ok(byte - b'A' + 10),
        _ => Err(PercentError::Escape),
    }
}

/// Appends `text` to `to`, everything but RFC 3986's unreserved characters and `:` and `/` encoded.
///
/// Those two need no escape in a query (§3.4) and keep digests and names readable in an upstream's log.
pub fn encode(to: &mut String, text: &str) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/') {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.extend(HEX.get(usize::from(byte >> 4)));
            to.extend(HEX.get(usize::from(byte & 15)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_exactly_once() {
        for (raw, text) in [("", ""), ("a%2Fb", "a/b"), ("%252f", "%2f"), ("a+b", "a+b"), ("%c3%A9", "é"), ("%20", " ")]
        {
            assert_eq!(decode(raw, Plus::Literal).as_deref(), Ok(text), "{raw}");
        }
        assert_eq!(decode("a+b%2B", Plus::Space).as_deref(), Ok("a b+"));
        assert_eq!(decode("a+b", Plus::Space).as_deref(), Ok("a b"));
    }

    #[test]
    fn refuses_what_a_lenient_decoder_lets_through() {
        for (raw, why) in [
            ("%", PercentError::Escape),
            ("%4", PercentError::Escape),
            ("%zz", PercentError::Escape),
            ("%-1", PercentError::Escape),
            ("%+1", PercentError::Escape),
            ("%%31", PercentError::Escape),
            ("%u0041", PercentError::Escape),
            ("%ff", PercentError::Utf8),
            ("%c0%af", PercentError::Utf8),
            ("%ed%a0%80", PercentError::Utf8),
            ("%00", PercentError::Control),
            ("a%0d%0aB", PercentError::Control),
            ("%7f", PercentError::Control),
            ("%c2%80", PercentError::Control),
        ] {
            assert_eq!(decode(raw, Plus::Literal), Err(why), "{raw}");
        }
    }

    #[test]
    fn a_visible_character_is_itself_but_for_the_percent_sign_and_a_plus_in_a_query() {
        for byte in 0..=u8::MAX {
            let visible = byte == b' ' || byte.is_ascii_graphic();
            assert_eq!(is_itself(byte, b'%'), visible && byte != b'%', "{byte}");
            assert_eq!(is_itself(byte, b'+'), visible && byte != b'%' && byte != b'+', "{byte}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in "\\PC*") {
            let mut raw = String::new();
            encode(&mut raw, &text);
            prop_assert!(raw.bytes().all(|byte| byte.is_ascii_graphic()));
            for plus in [Plus::Literal, Plus::Space] {
                prop_assert_eq!(decode(&raw, plus).map(Cow::into_owned), Ok(text.clone()));
            }
        }
    }
}
