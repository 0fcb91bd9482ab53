//! The colors of `jsonc` and `yamlc`, for terminals: names, texts, and everything else.

use serde_json::Value;

const NAME: &str = "\u{1b}[94m";
const TEXT: &str = "\u{1b}[33m";
const OTHER: &str = "\u{1b}[34m";
const PLAIN: &str = "\u{1b}[39;49;00m";

/// Indented JSON.
pub(super) fn json(value: &Value) -> String {
    let mut text = String::new();
    add(&mut text, value, 0);
    text.push('\n');
    text
}

fn add(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(elements) if !elements.is_empty() => {
            let elements = elements.iter().map(|element| (None, element));
            block(text, ('[', ']'), elements, depth);
        }
        Value::Object(properties) if !properties.is_empty() => {
            let properties = properties.iter().map(|(name, value)| (Some(name.as_str()), value));
            block(text, ('{', '}'), properties, depth);
        }
        Value::Array(_) | Value::Object(_) => text.push_str(&value.to_string()),
        Value::String(_) => paint(text, TEXT, &value.to_string()),
        other => paint(text, OTHER, &other.to_string()),
    }
}

fn block<'a>(
    text: &mut String,
    (open, close): (char, char),
    entries: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
) {
    text.push(open);
    for (index, (name, value)) in entries.enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        if let Some(name) = name {
            paint(text, NAME, &Value::from(name).to_string());
            text.push_str(": ");
        }
        add(text, value, depth + 1);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

fn paint(text: &mut String, color: &str, word: &str) {
    text.extend([color, word, PLAIN]);
}

/// YAML whose names are colored, line by line.
pub(super) fn yaml(plain: &str) -> String {
    let mut text = String::new();
    for line in plain.lines() {
        let start = line.find(|one: char| !matches!(one, ' ' | '-')).unwrap_or(line.len());
        let (indent, rest) = line.split_at(start);
        text.push_str(indent);
        match rest.split_once(':').filter(|(name, _)| name.chars().all(char::is_alphanumeric)) {
            Some((name, value)) => {
                paint(&mut text, NAME, name);
                text.push(':');
                text.push_str(value);
            }
            None => text.push_str(rest),
        }
        text.push('\n');
    }
    text
}
