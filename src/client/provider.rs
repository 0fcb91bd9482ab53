//! An identity provider as a program meets it that signs somebody in: discovery (OpenID Connect Discovery 1.0), device
//! authorization (RFC 8628), and renewal by a refresh token (RFC 6749, section 6).
//!
//! The client is a public one: it has an id and no secret.

use std::time::Duration;

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::exchange::with_form;
use super::http::{Answer, Http, HttpError, ask, is_loopback, quoted};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Between two questions, and how much longer after `slow_down` (RFC 8628, sections 3.2 and 3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// Nobody is waited for longer, whatever the provider says.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How long a token is used that does not say how long it is good.
const DEFAULT_LIFE: Duration = Duration::from_mins(5);

/// Why nobody is signed in. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{issuer} is not an identity provider that can be used: {what}")]
    Unusable { issuer: String, what: String },
    #[error("the identity provider {issuer} knows no device authorization")]
    NoDeviceAuthorization { issuer: String },
    #[error("the sign-in was refused at the identity provider")]
    Denied,
    #[error("nobody signed in while the code was good")]
    Expired,
    /// The refresh token is good no more.
    #[error("the sign-in has ended")]
    Ended,
    #[error("the identity provider answered {status}: {message}")]
    Refused { status: u16, message: String },
}

/// As whom a provider knows this program, and for what it asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    pub issuer: String,
    pub client_id: String,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// What a person must do.
#[derive(Debug, Clone)]
pub struct DeviceAuthorization {
    device_code: Secret,
    pub user_code: String,
    pub verification_uri: String,
    life: Duration,
    interval: Duration,
}

/// What a provider gives to who has signed in.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access_token: Secret,
    pub id_token: Option<Secret>,
    /// Good for one renewal or for many: the newest one counts.
    pub refresh_token: Option<Secret>,
    pub expires: Timestamp,
}

impl Tokens {
    /// What registries may accept, the likelier first: access tokens that are JWTs, then the ID token.
    pub fn presentable(&self) -> impl Iterator<Item = &Secret> {
        let is_jwt = |token: &&Secret| token.expose().split('.').count() == 3;
        Some(&self.access_token).filter(is_jwt).into_iter().chain(&self.id_token)
    }
}

/// A provider's endpoints.
#[derive(Debug, Clone)]
pub struct Provider {
    issuer: String,
    token: Url,
    device_authorization: Option<Url>,
}

impl Provider {
    /// Reads the discovery document of `issuer`.
    pub async fn discover(http: &Http, issuer: &str) -> Result<Self, ProviderError> {
        let unusable = |what: String| ProviderError::Unusable { issuer: quoted(issuer), what };
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let url = Url::parse(&format!("{base}/.well-known/openid-configuration"));
        let url = url.map_err(|error| unusable(error.to_string()))?;
        let near = is_loopback(&url);
        let answer = ask(http.question(Method::GET, url)?).await?;
        if !answer.status.is_success() {
            return Err(unusable(format!("its discovery document answers {}", answer.status)));
        }
        let document = answer.json();
        let stated = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if stated != issuer {
            return Err(unusable(format!("its discovery document is of the issuer {:?}", quoted(stated))));
        }
        let endpoint = |name: &str| {
            let url = document.get(name).and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
            // A provider elsewhere does not lead to a service on this machine.
            url.filter(|url| if is_loopback(url) { near } else { url.scheme() == "https" })
        };
        let token = endpoint("token_endpoint").ok_or_else(|| unusable("it names no token endpoint".to_owned()))?;
        Ok(Self { issuer: issuer.to_owned(), token, device_authorization: endpoint("device_authorization_endpoint") })
    }

    /// Signs somebody in on another device, or in a browser on this one: `show` tells what to do, and then the provider is
    /// asked until it is done.
    pub async fn sign_in(
        &self,
        http: &Http,
        application: &Application,
        clock: &dyn Clock,
        show: impl FnOnce(&DeviceAuthorization),
    ) -> Result<Tokens, ProviderError> {
        let authorization = self.authorize_device(http, application).await?;
        show(&authorization);
        let (began, mut interval) = (clock.ticks(), authorization.interval);
        let form = [
            ("grant_type", DEVICE_CODE),
            ("device_code", authorization.device_code.expose()),
            ("client_id", &application.client_id),
        ];
        loop {
            tokio::time::sleep(interval).await;
            if clock.ticks().saturating_sub(began) > authorization.life {
                return Err(ProviderError::Expired);
            }
            let answer = match ask(with_form(http.question(Method::POST, self.token.clone())?, &form)).await {
                // RFC 8628, section 3.5: less often, but on.
                Err(HttpError::Unreachable { .. }) => {
                    interval += INTERVAL;
                    continue;
                }
                answer => answer?,
            };
            if answer.status.is_success() {
                return self.tokens(&answer, None, clock);
            }
            match answer.json().get("error").and_then(Value::as_str) {
                Some("authorization_pending") => {}
                Some("slow_down") => interval += INTERVAL,
                Some("access_denied") => return Err(ProviderError::Denied),
                Some("expired_token") => return Err(ProviderError::Expired),
                _ => return Err(refused(&answer)),
            }
        }
    }

    async fn authorize_device(
        &self,
        http: &Http,
        application: &Application,
    ) -> Result<DeviceAuthorization, ProviderError> {
        let missing = || ProviderError::NoDeviceAuthorization { issuer: self.issuer.clone() };
        let url = self.device_authorization.clone().ok_or_else(missing)?;
        let form = with_targets(vec![("client_id", &application.client_id)], application);
        let scope = application.scopes.join(" ");
        let form: Vec<_> = form.into_iter().chain([("scope", scope.as_str())]).collect();
        let answer = ask(with_form(http.question(Method::POST, url)?, &form)).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let body = answer.json();
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let seconds = |name: &str| body.get(name).and_then(Value::as_u64).map(Duration::from_secs);
        let (Some(device_code), Some(user_code), Some(uri)) =
            (text("device_code"), text("user_code"), text("verification_uri").or_else(|| text("verification_url")))
        else {
            let what = "its device authorization lacks a code or an address".to_owned();
            return Err(ProviderError::Unusable { issuer: self.issuer.clone(), what });
        };
        Ok(DeviceAuthorization {
            device_code: Secret::new(device_code),
            user_code: quoted(user_code),
            verification_uri: quoted(uri),
            life: seconds("expires_in").unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT),
            interval: seconds("interval").unwrap_or(INTERVAL).clamp(Duration::from_secs(1), LONGEST_WAIT),
        })
    }

    /// New tokens for a refresh token, which may be good no more afterwards.
    ///
    /// # Errors
    /// [`ProviderError::Ended`] when somebody must sign in again.
    pub async fn refresh(
        &self,
        http: &Http,
        application: &Application,
        refresh_token: &Secret,
        clock: &dyn Clock,
    ) -> Result<Tokens, ProviderError> {
        let form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose()),
            ("client_id", &*application.client_id),
        ];
        let form = with_targets(form, application);
        let answer = ask(with_form(http.question(Method::POST, self.token.clone())?, &form)).await?;
        if answer.status.is_success() {
            return self.tokens(&answer, Some(refresh_token), clock);
        }
        match answer.json().get("error").and_then(Value::as_str) {
            Some("invalid_grant") => Err(ProviderError::Ended),
            _ => Err(refused(&answer)),
        }
    }

    fn tokens(&self, answer: &Answer, before: Option<&Secret>, clock: &dyn Clock) -> Result<Tokens, ProviderError> {
        let body = answer.json();
        let token =
            |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Secret::new);
        let life = body.get("expires_in").and_then(Value::as_u64).map_or(DEFAULT_LIFE, Duration::from_secs);
        let unusable = || {
            let what = "there is no access token in its answer".to_owned();
            ProviderError::Unusable { issuer: self.issuer.clone(), what }
        };
        Ok(Tokens {
            access_token: token("access_token").ok_or_else(unusable)?,
            id_token: token("id_token"),
            refresh_token: token("refresh_token").or_else(|| before.cloned()),
            expires: clock.now().saturating_add(life).unwrap_or(Timestamp::MAX),
        })
    }
}

/// The fields by which providers choose for whom a token is.
fn with_targets<'a>(mut form: Vec<(&'a str, &'a str)>, application: &'a Application) -> Vec<(&'a str, &'a str)> {
    form.extend(application.audience.as_deref().map(|audience| ("audience", audience)));
    form.extend(application.resource.as_deref().map(|resource| ("resource", resource)));
    form
}

fn refused(answer: &Answer) -> ProviderError {
    ProviderError::Refused { status: answer.status.as_u16(), message: answer.message() }
}
