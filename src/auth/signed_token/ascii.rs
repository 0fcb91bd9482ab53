//! JSON whose base64url text contains neither `-` nor `_` (interoperability rule R6).
//!
//! Microsoft's clients for Go, Java and Python decode the payload of a refresh token as standard base64, which knows
//! neither of the two. They stand for the sextets 62 and 63. In bytes below 0x80 such a sextet can only be the last of
//! a group of three bytes, where it is the lower six bits of `>`, `?`, `~` or DEL; so none of these may be written.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The JSON text of `value`, with every character that could cause `-` or `_` escaped.
pub(super) fn to_vec<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut json = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut json, Base64Safe))?;
    Ok(json)
}

struct Base64Safe;

impl Formatter for Base64Safe {
    /// Everything outside of texts (punctuation, numbers, names of literals) is safe as it is.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for run in fragment.split_inclusive(is_unsafe) {
            let last = run.chars().next_back().filter(|last| is_unsafe(*last));
            let safe = run.len() - last.map_or(0, char::len_utf8);
            writer.write_all(run.as_bytes().get(..safe).unwrap_or_default())?;
            for unit in last.iter().flat_map(|last| last.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

fn is_unsafe(character: char) -> bool {
    !character.is_ascii() || matches!(character, '>' | '?' | '~' | '\u{7f}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(to_vec(value).expect("written"))
    }

    #[test]
    fn each_character_that_causes_trouble_is_escaped_wherever_it_stands() {
        for character in ['>', '?', '~', '\u{7f}', 'ÿ', '\u{ffff}', '😀'] {
            let texts = ["", "a", "aa"].map(|before| format!("{before}{character}b{character}{character}"));
            let as_they_are = texts.each_ref().map(|text| URL_SAFE_NO_PAD.encode(text));
            assert!(as_they_are.iter().any(|text| text.contains(['-', '_'])), "{character:?} causes no trouble");
            assert!(texts.iter().all(|text| !encoded(text).contains(['-', '_'])), "{character:?}");
        }
    }

    #[test]
    fn other_characters_stay_as_they_are() {
        assert_eq!(to_vec(&"ci-push_1 \"\\\n@/:=<").expect("written"), br#""ci-push_1 \"\\\n@/:=<""#);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        // Half of the characters are of the kind that causes trouble.
        let text = proptest::collection::vec(prop_oneof![any::<char>(), Just('>'), Just('?'), Just('~')], 0..24)
            .prop_map(String::from_iter)
            .boxed();
        let leaf = prop_oneof![
            text.clone().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<bool>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(3, 48, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(text.clone(), inner, 0..6)
                    .prop_map(|members: BTreeMap<_, _>| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_is_encoded_with_a_dash_or_an_underscore(value in any_json()) {
            let text = encoded(&value);
            prop_assert!(!text.contains(['-', '_']), "{}", text);
            // What such clients do: standard base64. They read what they would have read without the escapes.
            let decoded = STANDARD_NO_PAD.decode(&text).expect("standard base64");
            let read: serde_json::Value = serde_json::from_slice(&decoded).expect("json");
            let unescaped: serde_json::Value = serde_json::from_str(&value.to_string()).expect("json");
            prop_assert_eq!(read, unescaped);
        }
    }
}
