//! What the two endpoints of OAuth are sent: a form, or a query, of which each field is given once.

use std::time::Duration;

use http::{HeaderMap, header};

use super::journey::{denied, failed};
use super::reject::Refusal;
use crate::auth::limits::Claim;
use crate::auth::{Authenticator, Failure};
use crate::clock::Timestamp;
use crate::oci::{ErrorCode, Method, Scope, query};
use crate::policy::limits::Category;
use crate::policy::network::{Admitted, SourceAddress};
use crate::policy::{Caller, Denial, Registry};
use crate::secret::Secret;

/// Largest form, in bytes.
pub(crate) const FORM_LIMIT: usize = 64 * 1024;

/// A request to one of them.
#[derive(Debug)]
pub(crate) struct OAuthRequest<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) admitted: &'a Admitted,
    pub(crate) method: Method,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) form: &'a [u8],
    pub(crate) tls: bool,
    pub(crate) now: Timestamp,
    /// The same moment in ticks of the clock.
    pub(crate) ticks: Duration,
    /// Known to whoever got here.
    pub(crate) source: Option<SourceAddress>,
}

impl OAuthRequest<'_> {
    /// Does `attempt` to log in as `user`, or with a token, unless too many have failed.
    pub(super) async fn guard<T>(
        &self,
        authenticator: &Authenticator,
        user: Option<&str>,
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Refusal> {
        let source = self.source.ok_or(Refusal::NoSource)?;
        let claim = Claim { source, registry: Some(&self.registry.name), user, now: self.ticks };
        authenticator.logins().guard(claim, attempt).await.map_err(|failure| fail(self, failure))
    }

    /// Counts a token that `caller` is about to get.
    pub(super) fn spend(&self, authenticator: &Authenticator, caller: &Caller) -> Result<(), Refusal> {
        let within = authenticator.rates().spend(self.registry, &caller.principal, &[Category::Login], self.ticks);
        within.map_err(Refusal::RateLimited)
    }
}

/// The fields that matter, wherever they stood.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) service: Option<String>,
    pub(super) scopes: Vec<Scope>,
    pub(super) grant_type: Option<String>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
    pub(super) access_token: Option<Secret>,
}

/// The fields of a request that is meant for its registry.
pub(super) fn fields(request: &OAuthRequest<'_>) -> Result<Fields, Refusal> {
    let text = match request.method {
        Method::Post if is_form(request.headers) => {
            std::str::from_utf8(request.form).map_err(|_| bad_request("the form is not text"))?
        }
        Method::Post => return Err(bad_request("the body is not a form")),
        Method::Get | Method::Head | Method::Put | Method::Patch | Method::Delete => request.query,
    };
    let mut fields = Fields::default();
    let mut scopes = Vec::new();
    for (key, value) in query::pairs(text)? {
        match key.as_str() {
            "service" => once(&mut fields.service, value)?,
            "grant_type" => once(&mut fields.grant_type, value)?,
            "username" => once(&mut fields.username, value)?,
            "password" => once(&mut fields.password, Secret::new(value))?,
            "refresh_token" => once(&mut fields.refresh_token, Secret::new(value))?,
            "access_token" => once(&mut fields.access_token, Secret::new(value))?,
            "scope" => scopes.push(value),
            _ => {}
        }
    }
    // Together, so that the limits of a list hold for all of them.
    let scopes = Scope::parse_list(&scopes.join(" ")).map_err(|_| bad_request("a scope is malformed"))?;
    fields.scopes = Scope::merge(scopes);
    if fields.service.as_ref().is_some_and(|service| service != request.registry.login_server.as_str()) {
        return Err(bad_request("the service is not this registry"));
    }
    Ok(fields)
}

/// Two values for one field would be read differently by different readers: refused.
fn once<T>(field: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad_request("a field is given twice")),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(super) fn fail(request: &OAuthRequest<'_>, failure: Failure) -> Refusal {
    failed(failure, |denial| deny(request, denial))
}

pub(super) fn deny(request: &OAuthRequest<'_>, denial: Denial) -> Refusal {
    denied(request.registry, request.tls, denial, Vec::new(), false)
}

pub(super) const fn bad_request(reason: &'static str) -> Refusal {
    Refusal::BadRequest { code: ErrorCode::Unsupported, status: 400, reason }
}
