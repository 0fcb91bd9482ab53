//! Properties of ACR's registries that have one value here: shown, and refused when somebody asks for another one.
//!
//! Ignoring such a wish would let people believe in a protection that they have not got.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::models::Word;
use crate::policy::document::ExportStatus;

/// What every registry shows (requirements B.15).
pub(super) fn properties() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("encryption", json!({ "status": "disabled" })),
        (
            "policies",
            json!({
                "azureADAuthenticationAsArmPolicy": { "status": "enabled" },
                "quarantinePolicy": { "status": "disabled" },
                "retentionPolicy": { "days": 7, "status": "disabled" },
                "softDeletePolicy": { "retentionDays": 7, "status": "disabled" },
                "trustPolicy": { "type": "Notary", "status": "disabled" },
            }),
        ),
        ("roleAssignmentMode", json!("LegacyRegistryPermissions")),
        ("zoneRedundancy", json!("Disabled")),
    ])
}

/// The same with the one policy that has several values.
pub(super) fn shown(export: ExportStatus) -> BTreeMap<&'static str, Value> {
    let mut properties = properties();
    if let Some(Value::Object(policies)) = properties.get_mut("policies") {
        policies.insert("exportPolicy".to_owned(), json!({ "status": Word(export) }));
    }
    properties
}

/// Whether what was sent asks for nothing that cannot be.
///
/// # Errors
/// 400, naming the property.
pub(super) fn check(sent: &Value) -> Result<(), ApiError> {
    let only: Map<String, Value> = properties().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    compare(sent, &json!({ "properties": only, "identity": { "type": "None" } }), &mut Vec::new())
}

fn compare<'a>(sent: &'a Value, only: &Value, path: &mut Vec<&'a str>) -> Result<(), ApiError> {
    match (sent, only) {
        (Value::Null, _) => Ok(()),
        (Value::Object(sent), Value::Object(only)) => {
            for (name, sent) in sent {
                let Some(only) = only.get(name) else { continue };
                path.push(name);
                compare(sent, only, path)?;
                path.pop();
            }
            Ok(())
        }
        (Value::String(sent), Value::String(only)) if sent.eq_ignore_ascii_case(only) => Ok(()),
        (sent, only) if sent == only => Ok(()),
        (_, only) => {
            let path = path.join(".");
            Err(ApiError::invalid(&path, format!("{path}: only {only} is available in this version")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_may_be_sent_back_and_nothing_else() {
        check(&json!({ "properties": shown(ExportStatus::Disabled) })).unwrap();
        let harmless = json!({
            "tags": { "a": "b" },
            "properties": {
                "zoneRedundancy": "disabled",
                "encryption": null,
                "policies": { "exportPolicy": { "status": "Enabled", "lastUpdatedTime": "2026-01-01T00:00:00Z" } },
                "networkRuleSet": { "defaultAction": "Deny", "virtualNetworkRules": [] },
                "somethingNew": true,
            },
        });
        check(&harmless).unwrap();
        for (sent, target) in [
            (
                json!({ "policies": { "quarantinePolicy": { "status": "enabled" } } }),
                "policies.quarantinePolicy.status",
            ),
            (json!({ "zoneRedundancy": "Enabled" }), "zoneRedundancy"),
            (json!({ "policies": true }), "policies"),
        ] {
            let error = check(&json!({ "properties": sent })).unwrap_err();
            assert_eq!(error.error.target, Some(format!("properties.{target}")));
        }
    }
}
