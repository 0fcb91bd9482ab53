//! The exchange: what an identity provider says of somebody becomes a refresh token for one registry (wire contract 2.2).
//!
//! A function of a parsed request and a bounded body, like the token endpoint.

use http::{StatusCode, header};
use serde::Serialize;

use super::answer::Answer;
use super::form::{self, Fields, OAuthRequest, bad_request, deny};
use super::reject::Refusal;
use super::token_endpoint::unminted;
use super::trail::Trail;
use crate::auth::{Authenticator, SignIn};
use crate::policy::Denial;
use crate::policy::network::Admitted;
use crate::secret::Secret;

/// What is presented for a refresh token.
enum Presented {
    /// A token of an identity provider.
    Provided(Secret),
    /// A refresh token of ours, which is answered with itself: it does not last longer by being exchanged.
    RefreshToken(Secret),
}

/// Answers one request.
pub(crate) async fn answer(
    authenticator: &Authenticator,
    request: &OAuthRequest<'_>,
    trail: &mut Trail,
) -> Result<Answer, Refusal> {
    let fields = form::fields(request)?;
    if fields.service.is_none() {
        return Err(bad_request("the service is missing"));
    }
    let tell = |refusal| request.door.tell(refusal);
    let (admitted, refresh_token) = match presented(request, fields).map_err(tell)? {
        Presented::Provided(token) => {
            let attempt = async {
                let sign_in = authenticator.by_provider_token(request.registry, &token, request.now).await?;
                sign_in.located(request.door.place())
            };
            let sign_in = request.guard(authenticator, None, attempt).await.map_err(tell)?;
            let admitted = request.enter(authenticator, &sign_in.caller, trail)?;
            (admitted, mint(authenticator, request, &sign_in).await?)
        }
        Presented::RefreshToken(token) => {
            let attempt = async {
                authenticator.by_refresh_token(request.registry, &token, request.now)?.located(request.door.place())
            };
            let sign_in = request.guard(authenticator, None, attempt).await.map_err(tell)?;
            (request.enter(authenticator, &sign_in.caller, trail)?, token)
        }
    };
    respond(&admitted, &refresh_token)
}

/// The three grants that clients send (wire contract 2.2, R12).
fn presented(request: &OAuthRequest<'_>, fields: Fields) -> Result<Presented, Refusal> {
    let present = |token: Option<Secret>| {
        let token = token.filter(|token| !token.expose().is_empty());
        token.ok_or_else(|| deny(request, Denial::CredentialMalformed))
    };
    match fields.grant_type.as_deref() {
        // The Kubernetes provider of Azure sends the same token twice under the second name.
        Some("access_token" | "access_token_refresh_token") => present(fields.access_token).map(Presented::Provided),
        Some("refresh_token") => present(fields.refresh_token).map(Presented::RefreshToken),
        Some(_) => Err(bad_request("the grant type is not known")),
        None => Err(bad_request("the grant type is missing")),
    }
}

async fn mint(authenticator: &Authenticator, request: &OAuthRequest<'_>, sign_in: &SignIn) -> Result<Secret, Refusal> {
    let minted = authenticator.issue_refresh(request.registry, sign_in, request.now).await;
    let minted = minted.map_err(|error| unminted(&error))?;
    let minted = minted.ok_or(Refusal::Internal("nobody in particular gets no refresh token"))?;
    Ok(minted.token)
}

#[derive(Serialize)]
struct ExchangeAnswer<'a> {
    refresh_token: &'a str,
}

/// Whoever is not let in has no answer.
fn respond(_: &Admitted, token: &Secret) -> Result<Answer, Refusal> {
    let body = serde_json::to_string(&ExchangeAnswer { refresh_token: token.expose() });
    let body = body.map_err(|_| Refusal::Internal("the answer could not be written"))?;
    Ok(Answer::json(StatusCode::OK, body).with(header::CACHE_CONTROL, "no-store"))
}
