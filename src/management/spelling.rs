//! Names of properties in another case.
//!
//! ARM does not tell them apart; here each has one spelling. A name that differs from a known one in case only is refused:
//! to ignore it would ignore a wish, such as a token's `Status`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::error::ApiError;
use super::{fixed, openapi};

/// The names in them are the client's own, or a provider's.
const FREE: [&str; 2] = ["tags", "claims"];

/// Each name of a property, by the name in lower case.
static NAMES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    for (name, value) in fixed::properties() {
        add(&mut names, name);
        add_keys(&mut names, &value);
    }
    if let Ok(document) = serde_json::to_value(openapi::document()) {
        add_described(&mut names, &document);
    }
    names
});

/// Whether every name in `body` that is known in some spelling is spelled so.
///
/// # Errors
/// 400, with the path of the first that is not.
pub(super) fn check(body: &Value) -> Result<(), ApiError> {
    check_below(body, &mut Vec::new())
}

fn check_below<'a>(value: &'a Value, path: &mut Vec<&'a str>) -> Result<(), ApiError> {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                path.push(name);
                if let Some(known) = NAMES.get(&name.to_ascii_lowercase()).filter(|known| *known != name) {
                    return Err(ApiError::invalid(&path.join("."), format!("write `{known}`, not `{name}`")));
                }
                if !FREE.contains(&name.as_str()) {
                    check_below(value, path)?;
                }
                path.pop();
            }
            Ok(())
        }
        Value::Array(elements) => elements.iter().try_for_each(|element| check_below(element, path)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn add(names: &mut HashMap<String, String>, name: &str) {
    names.insert(name.to_ascii_lowercase(), name.to_owned());
}

/// The names of all members at any depth.
fn add_keys(names: &mut HashMap<String, String>, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        add(names, name);
        add_keys(names, value);
    }
}

/// The names that a JSON Schema at any depth describes.
fn add_described(names: &mut HashMap<String, String>, schema: &Value) {
    for (name, value) in schema.as_object().into_iter().flatten() {
        if name == "properties" {
            value.as_object().into_iter().flatten().for_each(|(name, _)| add(names, name));
        }
        add_described(names, value);
    }
    schema.as_array().into_iter().flatten().for_each(|element| add_described(names, element));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_name_has_one_spelling() {
        for (body, path) in [
            (json!({"Properties": {}}), "Properties"),
            (json!({"properties": {"Status": "disabled"}}), "properties.Status"),
            (
                json!({"properties": {"networkRuleSet": {"ipRules": [{"Action": "Deny"}]}}}),
                "properties.networkRuleSet.ipRules.Action",
            ),
            (json!({"properties": {"policies": {"ExportPolicy": {}}}}), "properties.policies.ExportPolicy"),
            (json!({"TokenId": ""}), "TokenId"),
        ] {
            let error = check(&body).unwrap_err();
            assert_eq!(error.error.target.as_deref(), Some(path), "{body}");
        }
        for body in [
            json!({"properties": {"status": "disabled", "unknown": {"Unknown": 1}}}),
            json!({"tags": {"Status": "x"}}),
            json!({"properties": {"matches": [{"provider": "corp", "claims": {"Name": "x"}}]}}),
            json!([1, null, "Status"]),
        ] {
            assert!(check(&body).is_ok(), "{body}");
        }
    }
}
