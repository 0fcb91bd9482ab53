//! Logins for managed identities: the installation itself vouches for them, to whom its owners trust to act as them.

use http::StatusCode;
use jiff::SignedDuration;

use super::call::{Answer, Call};
use super::error::ApiError;
use super::models::{IssueToken, IssuedToken, Moment};
use super::principals::not_found;
use crate::auth::Failure;

/// The user name that goes with every refresh token (wire contract 2.2).
const NULL_USER: &str = "00000000-0000-0000-0000-000000000000";

/// A refresh token for one registry. It dies with the identity, with its roles and when it is disabled.
pub(super) async fn issue(call: &Call) -> Result<Answer, ApiError> {
    let name = call.parameter("identityName");
    let IssueToken { registry } = call.json()?;
    let snapshot = call.snapshot()?;
    let identity = snapshot.identities().named(name).ok_or_else(|| not_found(name))?;
    if !identity.kind.is_managed() {
        let message = format!(
            "'{name}' is a {:?}: only managed identities (UserAssigned, SystemAssigned) are vouched for by seawall itself",
            identity.kind
        );
        return Err(ApiError::conflict("NotAManagedIdentity", message));
    }
    let registry = snapshot
        .registry_named(&registry)
        .ok_or_else(|| ApiError::invalid("registry", format!("there is no registry '{registry}'")))?;
    let signed_in = call.parts.authenticator.vouch_for(registry, identity, call.now);
    let signed_in = signed_in.map_err(|failure| refused(failure, name, &registry.name))?;
    let minted = call.parts.authenticator.issue_refresh(registry, &signed_in, call.now).await;
    let minted = minted.map_err(|error| ApiError::internal(&error))?;
    let minted = minted.ok_or_else(|| ApiError::internal(&"nobody in particular gets no refresh token"))?;
    let end = call.now.checked_add(SignedDuration::from_secs(minted.expires_in.into()));
    let issued = IssuedToken {
        login_server: registry.login_server.to_string(),
        username: NULL_USER,
        refresh_token: minted.token.expose().to_owned(),
        expires_on: Moment(end.map_err(|error| ApiError::internal(&error))?),
    };
    Ok(Answer::ok(&issued)?.changed([format!("identities/{name}"), format!("registries/{}", registry.name)]))
}

fn refused(failure: Failure, identity: &str, registry: &str) -> ApiError {
    match failure {
        Failure::Denied(denial) => {
            let message = format!("identity '{identity}' may not log in at registry '{registry}': {denial}");
            ApiError::new(StatusCode::FORBIDDEN, "IdentityNotAllowed", message)
        }
        Failure::Busy | Failure::Unavailable(_) | Failure::Locked(_) => {
            ApiError::internal(&"a login without a password was not decided")
        }
    }
}
