//! `--output tsv`: one line per element, tabs between its values, nothing else: for scripts.
//!
//! As in `az`, a list inside a line is its length and an object is empty, so that columns stay where they are.

use serde_json::Value;

use super::{line, properties, scalar};
use crate::cli::visible;

/// The lines of `value`.
pub(super) fn text(value: &Value, order: &[String]) -> String {
    let mut text = String::new();
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| line(&mut text, &row(element, order))),
        one => line(&mut text, &row(one, order)),
    }
    text
}

fn row(value: &Value, order: &[String]) -> String {
    let cells: Vec<String> = match value {
        Value::Array(elements) => elements.iter().map(cell).collect(),
        Value::Object(object) => properties(object, order).into_iter().map(|(_, value)| cell(value)).collect(),
        // On a line of its own a boolean is JSON's, so that a script can compare it.
        Value::Bool(one) => vec![one.to_string()],
        one => vec![cell(one)],
    };
    cells.join("\t")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Array(elements) => elements.len().to_string(),
        // A tab or a line break within a value would make two of it.
        value => visible::line(&scalar(value)).into_owned(),
    }
}
