//! What others wrote, made harmless for a terminal: descriptions, names and messages may hold control characters, with which
//! their author could move the cursor, hide what stands there, or add lines of his own.

use std::borrow::Cow;

/// Characters that a terminal obeys rather than shows: C0, DEL and C1, and those that turn the direction of writing
/// (U+202A–202E, U+2066–2069).
fn is_command(one: char) -> bool {
    one.is_control() || turns(one)
}

fn turns(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` on one line: `\t`, `\r` and `\n` for these, `\u{1b}` and the like for the rest. All other characters stay as they are,
/// the backslash too.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_command, |one| one.escape_default().to_string())
}

/// The same for a text of several lines.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |one| one != '\n' && is_command(one), |one| one.escape_default().to_string())
}

/// JSON that means the same: its writer has escaped C0, and all that is left stands within strings.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    let is_left = |one: char| (one >= '\u{7f}' && one.is_control()) || turns(one);
    escaped(text, is_left, |one| format!("\\u{:04x}", u32::from(one)))
}

fn escaped(text: &str, is_meant: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(&is_meant) {
        return text.into();
    }
    text.chars().map(|one| if is_meant(one) { escape(one) } else { one.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        let table = [
            ("plain é 漢 \\ '\"", "plain é 漢 \\ '\"", "plain é 漢 \\ '\""),
            ("a\tb\rc\nd", "a\\tb\\rc\\nd", "a\\tb\\rc\nd"),
            ("\u{0}\u{1b}[31m", "\\u{0}\\u{1b}[31m", "\\u{0}\\u{1b}[31m"),
            ("\u{7f}\u{80}\u{9b}", "\\u{7f}\\u{80}\\u{9b}", "\\u{7f}\\u{80}\\u{9b}"),
            (
                "\u{202a}\u{202e}\u{2066}\u{2069}",
                "\\u{202a}\\u{202e}\\u{2066}\\u{2069}",
                "\\u{202a}\\u{202e}\\u{2066}\\u{2069}",
            ),
            (
                "\u{2029}\u{202f}\u{2065}\u{206a}\u{a0}",
                "\u{2029}\u{202f}\u{2065}\u{206a}\u{a0}",
                "\u{2029}\u{202f}\u{2065}\u{206a}\u{a0}",
            ),
        ];
        for (text, one, several) in table {
            assert_eq!(line(text), one);
            assert_eq!(lines(text), several);
        }
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "\u{9b}name": "é\u{1b}\n\u{7f}\u{85}\u{202e}\\" });
        let written = format!("{value:#}");
        let harmless = json(&written);
        assert!(!harmless.chars().any(|one| one != '\n' && is_command(one)), "{harmless}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&harmless).unwrap(), value);
        assert!(harmless.contains("\\u009bname"), "{harmless}");
    }
}
