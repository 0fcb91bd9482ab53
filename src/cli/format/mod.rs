//! How a result is printed: `--output` and `--query`, with the conventions of `az`.
//!
//! Pure: a value goes in, a text comes out. A result of `null` prints nothing.

mod color;
mod query;
mod table;
mod tsv;

use std::fmt::Write;

use clap::ValueEnum;
use serde_json::Value;

use super::visible;
pub(super) use query::Query;
pub(super) use table::{Columns, Row};

/// What `--output` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Json,
    /// JSON with colors, on a terminal.
    Jsonc,
    Yaml,
    /// YAML with colors, on a terminal.
    Yamlc,
    Table,
    Tsv,
    None,
}

/// What a command has to say.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) value: Value,
    /// The columns of the table; without, they are the properties that are neither lists nor objects.
    pub(super) columns: Option<Columns>,
}

impl Outcome {
    /// Nothing to say.
    pub(super) const NOTHING: Self = Self { value: Value::Null, columns: None };

    /// A value that has a table of its own.
    pub(super) const fn table(value: Value, columns: Columns) -> Self {
        Self { value, columns: Some(columns) }
    }
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self { value, columns: None }
    }
}

/// The text of `outcome`, with its line breaks.
///
/// # Errors
/// What is wrong with the query for this value, or that there is nothing to make a table of.
pub(super) fn text(outcome: Outcome, query: Option<&Query>, output: Output, colored: bool) -> Result<String, String> {
    let value = match query {
        Some(query) => query.search(outcome.value)?,
        None => outcome.value,
    };
    if value.is_null() {
        return Ok(String::new());
    }
    let order = query.map_or(&[][..], Query::order);
    Ok(match output {
        Output::None => String::new(),
        Output::Jsonc if colored => visible::json(&color::json(&value)).into_owned(),
        Output::Json | Output::Jsonc => format!("{}\n", visible::json(&format!("{value:#}"))),
        Output::Yamlc if colored => color::yaml(&yaml(&value)?),
        Output::Yaml | Output::Yamlc => yaml(&value)?,
        Output::Tsv => tsv::text(&value, order),
        Output::Table => match outcome.columns.filter(|_| query.is_none()) {
            Some(columns) => table::text(&columns(&value)),
            None => table::text(&table::automatic(&value, order)),
        }
        .ok_or("Table output unavailable. Use the --query option to specify an appropriate query.")?,
    })
}

fn yaml(value: &Value) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

/// A scalar as Python writes it, which is how `az` prints it in tables and in rows; empty for lists and objects.
fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// The properties of an object: in `order` when these are its properties, as after a query that names them, else sorted.
fn properties<'a>(object: &'a serde_json::Map<String, Value>, order: &'a [String]) -> Vec<(&'a str, &'a Value)> {
    let ordered: Option<Vec<_>> = order.iter().map(|key| object.get(key).map(|value| (key.as_str(), value))).collect();
    match ordered {
        Some(ordered) if ordered.len() == object.len() => ordered,
        _ => object.iter().map(|(key, value)| (key.as_str(), value)).collect(),
    }
}

/// Adds a line; writing to a `String` cannot fail.
fn line(text: &mut String, content: &str) {
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests;
