//! One request from its arrival to its answer: who, what, carried out, in force, on record.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONNECTION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE};
use http::request::Parts as Head;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use uuid::Uuid;

use super::access::{self, Caller};
use super::call::{Answer, Call};
use super::endpoints::{Operation, Target};
use super::error::{ApiError, ErrorResponse};
use super::{
    Connection, Parts, endpoint_connections, explain, identities, identity_tokens, keys, openapi, passwords,
    registries, role_assignments, role_definitions, scope_maps, service_principals, tokens, usages,
};
use crate::clock::Timestamp;
use crate::current::Current;
use crate::store::Revision;
use crate::telemetry::audit::{Bounded, ManagementRecord};

/// How long an answer waits for the policy to hold what was written. It takes milliseconds, unless something is wrong.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");

/// What is known about a request by its end.
struct Trail {
    began: Timestamp,
    request_id: String,
    method: &'static str,
    path: Bounded,
    user_agent: Option<Bounded>,
    connection: Option<Connection>,
    caller: Option<Caller>,
    operation: Option<Operation>,
    changes: Vec<String>,
}

/// Answers a request, counts it, and records it if it could change something or show a secret.
pub(super) async fn answer(parts: Arc<Parts>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut trail = Trail::begin(&head, parts.clock.now());
    let call = match receive(&parts, &head, body, &mut trail).await {
        Ok(call) => call,
        Err(error) => return trail.end(&parts, Err(error)),
    };
    let carrier = Arc::clone(&parts);
    // Apart from the connection: whoever goes away, or has waited too long, still leaves a whole change and its record.
    let carried_out = tokio::spawn(async move {
        let outcome = carry_out(&call, &mut trail).await;
        trail.end(&carrier, outcome)
    });
    // What a defect ended is counted and recorded, too, as far as it is still known.
    carried_out
        .await
        .unwrap_or_else(|error| Trail::begin(&head, parts.clock.now()).end(&parts, Err(ApiError::internal(&error))))
}

async fn receive(parts: &Arc<Parts>, head: &Head, body: Body, trail: &mut Trail) -> Result<Call, ApiError> {
    let target = Target::find(&head.method, head.uri.path());
    trail.operation = target.as_ref().ok().map(|target| target.operation);
    let connection =
        trail.connection.ok_or_else(|| ApiError::internal(&"a listener did not say how a request came in"))?;
    let caller = access::authenticate(parts, connection, &head.headers, trail.began).await?;
    trail.caller = Some(caller.clone());
    let target = target?;
    caller.authorize(parts, &target)?;
    Call::read(parts, target, caller, head, body, trail.began).await
}

async fn carry_out(call: &Call, trail: &mut Trail) -> Result<Answer, ApiError> {
    let mut answer = perform(call).await?;
    trail.changes = std::mem::take(&mut answer.changes);
    if let Some(revision) = answer.written {
        in_force(&call.parts.current, revision, IN_FORCE_WITHIN).await?;
    }
    Ok(answer)
}

async fn perform(call: &Call) -> Result<Answer, ApiError> {
    match call.target.operation {
        Operation::ListResources => registries::list_resources(call).await,
        Operation::ListRegistries => registries::list(call).await,
        Operation::CheckName => registries::check_name(call),
        Operation::GetRegistry => registries::get(call).await,
        Operation::UpdateRegistry => registries::update(call).await,
        Operation::CreateRegistry | Operation::DeleteRegistry => registries::declared_only(call),
        Operation::ListCredentials => super::admin::list(call).await,
        Operation::RegenerateCredential => super::admin::regenerate(call).await,
        Operation::GenerateCredentials => passwords::generate(call).await,
        Operation::ListUsages => usages::list(call).await,
        Operation::ListScopeMaps => scope_maps::list(call).await,
        Operation::GetScopeMap => scope_maps::get(call).await,
        Operation::PutScopeMap => scope_maps::put(call).await,
        Operation::UpdateScopeMap => scope_maps::update(call).await,
        Operation::DeleteScopeMap => scope_maps::delete(call).await,
        Operation::ListTokens => tokens::list(call).await,
        Operation::GetToken => tokens::get(call).await,
        Operation::PutToken => tokens::put(call).await,
        Operation::UpdateToken => tokens::update(call).await,
        Operation::DeleteToken => tokens::delete(call).await,
        Operation::ListEndpointConnections => endpoint_connections::list(call).await,
        Operation::GetEndpointConnection => endpoint_connections::get(call).await,
        Operation::PutEndpointConnection => endpoint_connections::put(call).await,
        Operation::DeleteEndpointConnection => endpoint_connections::delete(call).await,
        Operation::ListKeys => keys::list(call).await,
        Operation::RotateSigningKey => keys::rotate_signing(call).await,
        Operation::RotateManagementKey => keys::rotate_management(call).await,
        Operation::RevokeKey => keys::revoke(call).await,
        Operation::ListRoleAssignments => role_assignments::list(call).await,
        Operation::GetRoleAssignment => role_assignments::get(call).await,
        Operation::PutRoleAssignment => role_assignments::put(call).await,
        Operation::DeleteRoleAssignment => role_assignments::delete(call).await,
        Operation::ListRoleDefinitions => role_definitions::list(call),
        Operation::GetRoleDefinition => role_definitions::get(call),
        Operation::ListIdentities => identities::list(call).await,
        Operation::GetIdentity => identities::get(call).await,
        Operation::PutIdentity => identities::put(call).await,
        Operation::UpdateIdentity => identities::update(call).await,
        Operation::DeleteIdentity => identities::delete(call).await,
        Operation::IssueIdentityToken => identity_tokens::issue(call).await,
        Operation::ListServicePrincipals => service_principals::list(call).await,
        Operation::GetServicePrincipal => service_principals::get(call).await,
        Operation::PutServicePrincipal => service_principals::put(call).await,
        Operation::UpdateServicePrincipal => service_principals::update(call).await,
        Operation::DeleteServicePrincipal => service_principals::delete(call).await,
        Operation::GenerateSecret => service_principals::generate(call).await,
        Operation::DeleteSecret => service_principals::delete_secret(call).await,
        Operation::Explain => explain::explain(call),
        Operation::GetDenial => explain::denial(call),
        Operation::Describe => Answer::ok(&openapi::document()),
    }
}

/// Waits until requests to the registries are decided by what was written.
async fn in_force(current: &Current, revision: Revision, within: Duration) -> Result<(), ApiError> {
    let held = tokio::time::timeout(within, current.holds(revision.0)).await;
    held.map_err(|_| {
        let message = format!("written, as revision {}, but not yet in force here", revision.0);
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, "NotYetInForce", message)
    })
}

impl Trail {
    fn begin(head: &Head, now: Timestamp) -> Self {
        Self {
            began: now,
            request_id: Uuid::new_v4().to_string(),
            method: known(&head.method),
            path: Bounded::new(head.uri.path().as_bytes()),
            user_agent: head.headers.get(USER_AGENT).map(|agent| Bounded::new(agent.as_bytes())),
            connection: head.extensions.get().copied(),
            caller: None,
            operation: None,
            changes: Vec::new(),
        }
    }

    fn end(self, parts: &Parts, outcome: Result<Answer, ApiError>) -> Response {
        let reason = outcome.as_ref().err().map(|error| error.error.code);
        let mut response = match outcome {
            Ok(answer) => answer.into_response(),
            Err(error) => self.refuse(&error),
        };
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let status = response.status();
        let operation = self.operation.map_or("unknown", Operation::name);
        parts.metrics.management_request(operation, status.as_u16());
        let is_audited = self.operation.is_some_and(Operation::is_audited) || status == StatusCode::FORBIDDEN;
        if is_audited || self.caller.is_none() {
            parts.audit.management(&self.record(operation, status, reason));
        }
        response
    }

    fn refuse(&self, error: &ApiError) -> Response {
        if let Some(internal) = &error.internal {
            tracing::error!(request_id = self.request_id, reason = internal, "a management request failed");
        }
        let body = serde_json::to_vec(&ErrorResponse { error: &error.error }).unwrap_or_default();
        let mut response =
            (error.status, [(http::header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = error.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = error.allow.as_deref().and_then(|methods| methods.parse().ok()) {
            headers.insert(ALLOW, allow);
        }
        if error.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"seawall management\""));
            // Connections are few: a stranger keeps none.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn record(self, operation: &'static str, status: StatusCode, reason: Option<&'static str>) -> ManagementRecord {
        ManagementRecord {
            time: self.began,
            request_id: self.request_id,
            actor: self.caller.map_or_else(|| "unknown".to_owned(), |caller| caller.to_string()),
            source_address: match self.connection {
                Some(Connection::Tcp(address)) => Some(address),
                Some(Connection::Unix { .. }) | None => None,
            },
            operation,
            method: self.method,
            target: self.path,
            status: status.as_u16(),
            reason,
            changes: self.changes,
            user_agent: self.user_agent,
        }
    }
}

/// As in the audit records of requests: `OTHER` for a method of which there is no operation.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_come_into_force_in_time_is_told_so() {
        let error = in_force(&Current::new(), Revision(7), Duration::from_millis(1)).await.unwrap_err();
        assert_eq!((error.status, error.error.code), (StatusCode::GATEWAY_TIMEOUT, "NotYetInForce"));
        assert_eq!(error.error.message, "written, as revision 7, but not yet in force here");
    }
}
