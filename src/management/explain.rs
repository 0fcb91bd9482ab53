//! Why a request is decided as it is, by the policy in force: of one that might come, and of one that was denied.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::call::{Answer, Call};
use super::error::ApiError;
use crate::policy::explain::{Explanation, Recorded, Request, explain as explained};
use crate::policy::manage::ManagementAction;

/// A denial, and what the same request would get now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExplainedDenial {
    /// The line of the audit log.
    #[schema(value_type = Object)]
    record: Value,
    /// By the policy in force now.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
    /// Why there is no explanation.
    #[serde(skip_serializing_if = "Option::is_none")]
    unexplained: Option<String>,
}

/// Explains what a request would get. Whoever may not read the registry is told what he would be told if there were none.
pub(super) fn explain(call: &Call) -> Result<Answer, ApiError> {
    let request: Request = call.json()?;
    if !call.may(Some(&request.registry), ManagementAction::Read)? {
        return Err(ApiError::not_found(&format!("registries/{}", request.registry)));
    }
    let snapshot = call.snapshot()?;
    if snapshot.registry_named(&request.registry).is_none() {
        return Err(ApiError::not_found(&format!("registries/{}", request.registry)));
    }
    let question = request.question().map_err(ApiError::bad_request)?;
    let explanation = explained(&snapshot, &request.registry, &question, call.now);
    let absent = |text| ApiError::new(StatusCode::NOT_FOUND, "ResourceNotFound", text);
    Answer::ok(&explanation.map_err(absent)?)
}

/// Resolves the id of a denial, as long as it is remembered. One of a registry that the caller may not read does not exist.
pub(super) fn denial(call: &Call) -> Result<Answer, ApiError> {
    let id = call.parameter("denialId");
    let unknown = || {
        let message = format!("no denial with the id '{id}' is remembered; the audit log has every one of them");
        ApiError::new(StatusCode::NOT_FOUND, "DenialNotFound", message)
    };
    let line = call.parts.audit.denial(&id.to_ascii_lowercase()).ok_or_else(unknown)?;
    let record: Value = serde_json::from_str(&line)?;
    if !call.may(record.get("registry").and_then(Value::as_str), ManagementAction::Read)? {
        return Err(unknown());
    }
    let recorded: Recorded = serde_json::from_value(record.clone())?;
    let snapshot = call.snapshot()?;
    let explanation =
        recorded.explainable().and_then(|(registry, question)| explained(&snapshot, registry, &question, call.now));
    let (explanation, unexplained) = match explanation {
        Ok(explanation) => (Some(explanation), None),
        Err(reason) => (None, Some(reason)),
    };
    Answer::ok(&ExplainedDenial { record, explanation, unexplained })
}
