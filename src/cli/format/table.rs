//! `--output table`: left-aligned columns under their names and a rule, two spaces apart, like `az`.

use serde_json::Value;

use super::{line, properties, scalar};
use crate::cli::visible;

/// The cells of one line, with the names of their columns.
pub(in crate::cli) type Row = Vec<(String, String)>;

/// How a command makes a table of its result.
pub(in crate::cli) type Columns = fn(&Value) -> Vec<Row>;

/// A column is at least this much wider than its name.
const BREATH: usize = 2;
/// Properties that an automatic table leaves out: they are long, and the same for all.
const LEFT_OUT: [&str; 3] = ["id", "type", "etag"];

/// The table of `rows`. An empty list is an empty line.
///
/// `None`: there are rows, but no columns.
pub(super) fn text(rows: &[Row]) -> Option<String> {
    if rows.is_empty() {
        return Some("\n".to_owned());
    }
    let rows: Vec<Row> = rows.iter().map(harmless).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return None;
    }
    let cell = |row: &'_ Row, name: &str| -> String {
        row.iter().find(|(column, _)| column == name).map(|(_, cell)| cell.clone()).unwrap_or_default()
    };
    let cells: Vec<Vec<String>> = rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect()).collect();
    let widths: Vec<usize> = (0..names.len())
        .map(|column| {
            let name = names.get(column).map_or(0, |name| width(name) + BREATH);
            cells.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0).max(name)
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut table = String::new();
    for row in [names.iter().map(|name| (*name).to_owned()).collect(), rule].iter().chain(&cells) {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(&mut table, padded.join("  ").trim_end());
    }
    Some(table)
}

/// A row on one line. The names of its columns may be anybody's words as well, as those of tags are.
fn harmless(row: &Row) -> Row {
    let shown = |text: &str| visible::line(text.trim()).into_owned();
    row.iter().map(|(name, cell)| (shown(name), shown(cell))).collect()
}

/// In characters, as `format!` pads.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// The rows of a value for which nobody chose columns.
pub(super) fn automatic(value: &Value, order: &[String]) -> Vec<Row> {
    match value {
        Value::Array(elements) => elements.iter().map(|element| automatic_row(element, order)).collect(),
        one => vec![automatic_row(one, order)],
    }
}

fn automatic_row(value: &Value, order: &[String]) -> Row {
    match value {
        Value::Object(object) => properties(object, order)
            .into_iter()
            .filter(|(name, value)| {
                !LEFT_OUT.contains(name) && !matches!(value, Value::Null | Value::Array(_) | Value::Object(_))
            })
            .map(|(name, value)| (capitalized(name), scalar(value)))
            .collect(),
        Value::Array(elements) => {
            let columns = elements.iter().enumerate();
            columns.map(|(index, value)| (format!("Column{}", index + 1), cell(value))).collect()
        }
        value => vec![("Result".to_owned(), scalar(value))],
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        value => scalar(value),
    }
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
