//! Where people sign in: the identity providers that this installation believes, as far as a program that signs somebody in
//! must know them. There is no secret in it, and it is said to whomever the network rules admit.

use http::{StatusCode, header};
use serde::Serialize;

use super::answer::Answer;
use super::reject::Refusal;
use crate::policy::Registry;
use crate::policy::identity::{IdentityProvider, SignIn};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description<'a> {
    login_server: &'a str,
    providers: Vec<ProviderDescription<'a>>,
}

#[derive(Serialize)]
struct ProviderDescription<'a> {
    name: &'a str,
    issuer: &'a str,
    #[serde(flatten)]
    sign_in: &'a SignIn,
}

/// The providers with a `signIn`; the others vouch for machines.
pub(super) fn answer<'p>(
    registry: &Registry,
    providers: impl Iterator<Item = &'p IdentityProvider>,
) -> Result<Answer, Refusal> {
    let described = |provider: &'p IdentityProvider| {
        let sign_in = provider.sign_in.as_ref()?;
        Some(ProviderDescription { name: &provider.name, issuer: &provider.issuer, sign_in })
    };
    let description = Description {
        login_server: registry.login_server.as_str(),
        providers: providers.filter_map(described).collect(),
    };
    let body = serde_json::to_string(&description).map_err(|_| Refusal::Internal("the answer could not be written"))?;
    Ok(Answer::json(StatusCode::OK, body).with(header::CACHE_CONTROL, "no-store"))
}
