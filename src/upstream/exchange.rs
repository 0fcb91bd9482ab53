//! The token exchange with an upstream: ask it where its tokens come from, and get one there (Distribution
//! `docs/spec/auth/token.md`).
//!
//! The password goes to the upstream's own origin or to one that the operator allows, over TLS or on this machine; no
//! redirect is followed and no proxy of the environment is used. Answers are bounded in size and in time.

use std::time::Duration;

use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::client::{self, bounded, cause};
use crate::oci::Scope;
use crate::oci::asked::{Asked, Bearer, asked};
use crate::policy::address::{UpstreamTarget, UrlOrigin};
use crate::policy::upstream_credential::TokenService;
use crate::secret::Secret;

/// For one question, from connecting to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer of a token service, in bytes: tokens are at most some KiB.
const LIMIT: usize = 128 * 1024;
/// How long a token is good that does not say it (Distribution's specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// No token is used for longer, whatever it says.
const LONGEST_LIFE: Duration = Duration::from_hours(1);

/// Why there is no token. The texts are for the operator and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ExchangeError {
    #[error("the token service {realm} does not accept the user name and password (status {status})")]
    Rejected { realm: String, status: u16 },
    #[error("{place} cannot be reached: {cause}")]
    Unreachable { place: String, cause: String },
    #[error(
        "the challenge leads to {realm}, which is neither the upstream's origin nor in `upstream.credential.realms`"
    )]
    Elsewhere { realm: String },
    #[error("the challenge leads to {realm}, which is not https: the password is not sent there")]
    ClearText { realm: String },
    #[error("the upstream asks for a user name and password with every request: set `type: basic`")]
    WantsBasic,
    #[error("the upstream answers {status} without a challenge that can be followed")]
    NoChallenge { status: u16 },
    #[error("{place} answered with something that is no token (status {status})")]
    NoToken { place: String, status: u16 },
    #[error("the client for token services cannot be made: {0}")]
    Client(String),
}

/// A token, and how long to use it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) token: Secret,
    pub(super) life: Duration,
}

/// A client for the token service of `target`: with its certificate authorities, and under its server name.
pub(super) fn client(target: &UpstreamTarget, service: &TokenService) -> Result<Client, ExchangeError> {
    let failed = |error: reqwest::Error| ExchangeError::Client(cause(&error));
    let builder = client::builder(target, service.realms.iter().any(UrlOrigin::is_tls)).map_err(failed)?;
    // Questions are rare, and a kept connection would belong to the runtime of whoever asked first.
    builder.pool_max_idle_per_host(0).timeout(PATIENCE).build().map_err(failed)
}

/// One upstream and its token service.
pub(super) struct Exchange<'a> {
    pub(super) http: &'a Client,
    pub(super) target: &'a UpstreamTarget,
    pub(super) service: &'a TokenService,
}

impl Exchange<'_> {
    /// Where the upstream says that its tokens come from; `None` when it answers without any.
    pub(super) async fn ask(&self) -> Result<Option<Bearer>, ExchangeError> {
        let place = self.target.origin().to_string();
        let url = Url::parse(&format!("{place}/v2/")).map_err(|error| ExchangeError::Client(error.to_string()))?;
        let answer = self.get(url).send().await.map_err(|error| unreachable(place, &error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(None);
        }
        match asked(answer.headers().get_all(WWW_AUTHENTICATE).iter().map(reqwest::header::HeaderValue::as_bytes)) {
            Asked::Bearer(bearer) if status == reqwest::StatusCode::UNAUTHORIZED => Ok(Some(bearer)),
            Asked::Basic if status == reqwest::StatusCode::UNAUTHORIZED => Err(ExchangeError::WantsBasic),
            _ => Err(ExchangeError::NoChallenge { status: status.as_u16() }),
        }
    }

    /// A token for `scopes`.
    pub(super) async fn fetch(&self, bearer: &Bearer, scopes: &[Scope]) -> Result<Fetched, ExchangeError> {
        let (mut url, origin) = self.realm(&bearer.realm)?;
        let place = format!("{origin}{}", url.path());
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(bearer.service.iter().map(|service| ("service", service)));
            query.extend_pairs(scopes.iter().map(|scope| ("scope", scope.to_string())));
        }
        let mut request = self.get(url).header(ACCEPT, "application/json");
        if let Some(account) = &self.service.account {
            request = request.basic_auth(&account.username, Some(account.password.expose()));
        }
        let answer = request.send().await.map_err(|error| unreachable(place.clone(), &error))?;
        let status = answer.status().as_u16();
        if matches!(status, 401 | 403) {
            return Err(ExchangeError::Rejected { realm: place, status });
        }
        let body = bounded(answer, LIMIT).await.map_err(|error| unreachable(place.clone(), &error))?;
        let token = (status == 200).then(|| body.and_then(|body| token(&body))).flatten();
        token.ok_or(ExchangeError::NoToken { place, status })
    }

    /// The URL of the token service, if the password may go there.
    fn realm(&self, text: &str) -> Result<(Url, UrlOrigin), ExchangeError> {
        // Of a URL that is refused only the beginning is told: the rest is the upstream's, and may be anything.
        let elsewhere = |realm: String| ExchangeError::Elsewhere { realm };
        let shown = || text.chars().filter(|one| !one.is_control()).take(100).collect::<String>();
        let url = Url::parse(text).map_err(|_| elsewhere(shown()))?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(elsewhere(shown())),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(elsewhere(shown()));
        };
        let origin = UrlOrigin::new(tls, host, port);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(elsewhere(origin.to_string()));
        }
        if origin != self.target.origin() && !self.service.realms.contains(&origin) {
            return Err(elsewhere(origin.to_string()));
        }
        if !origin.is_private() {
            return Err(ExchangeError::ClearText { realm: origin.to_string() });
        }
        Ok((url, origin))
    }

    fn get(&self, url: Url) -> RequestBuilder {
        client::request(self.http, self.target, Method::GET, url)
    }
}

fn unreachable(place: String, error: &reqwest::Error) -> ExchangeError {
    ExchangeError::Unreachable { place, cause: cause(error) }
}

/// What a token service answers. Some write only one of the two names.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    /// Seconds; whatever is no such number counts as left out.
    #[serde(default)]
    expires_in: Value,
}

fn token(body: &[u8]) -> Option<Fetched> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = [answer.token, answer.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    let life = answer.expires_in.as_u64().map_or(DEFAULT_LIFE, Duration::from_secs);
    Some(Fetched { token: Secret::new(token), life: used_for(life) })
}

/// How long a token that is good for `life` is used: until a quarter of it, at most a minute, is left.
pub(super) fn used_for(life: Duration) -> Duration {
    let life = life.min(LONGEST_LIFE);
    life.saturating_sub((life / 4).min(Duration::from_mins(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::HashKey;

    fn service(realms: &[&str]) -> TokenService {
        let realms = realms.iter().map(|realm| UrlOrigin::parse(realm).unwrap()).collect();
        TokenService { account: None, realms, identity: HashKey::from_bytes([0; 32]).digest("test", &[]) }
    }

    fn allowed(upstream: &str, realms: &[&str], realm: &str) -> Result<String, ExchangeError> {
        let target = UpstreamTarget::parse(upstream).unwrap();
        let service = service(realms);
        let http = client(&target, &service).unwrap();
        let exchange = Exchange { http: &http, target: &target, service: &service };
        exchange.realm(realm).map(|(url, _)| url.to_string())
    }

    #[test]
    fn the_password_goes_to_the_upstream_itself_and_to_whom_the_operator_allows() {
        let upstream = "https://registry.example.com";
        for realm in [
            "https://registry.example.com/service/token",
            "https://REGISTRY.example.com:443/token?x=1",
            "https://auth.example.com/token",
        ] {
            assert!(allowed(upstream, &["https://auth.example.com"], realm).is_ok(), "{realm}");
        }
        for realm in [
            "https://auth.example.com/token",
            "https://registry.example.com.evil.test/token",
            "https://registry.example.com:8443/token",
            "https://registry.example.com@evil.test/token",
            "https://user:hunter2@registry.example.com/token",
            "http://registry.example.com/token",
            "ftp://registry.example.com/token",
            "/token",
            "",
        ] {
            let refused = allowed(upstream, &[], realm).unwrap_err();
            assert!(matches!(refused, ExchangeError::Elsewhere { .. }), "{realm}: {refused}");
            assert!(!refused.to_string().contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn no_password_goes_over_plain_http_but_on_this_machine() {
        let refused = allowed("http://registry.internal:5000", &[], "http://registry.internal:5000/token");
        assert_eq!(refused, Err(ExchangeError::ClearText { realm: "http://registry.internal:5000".to_owned() }));
        for own in ["http://127.0.0.1:5000", "http://[::1]:5000", "http://localhost:5000"] {
            assert!(allowed(own, &[], &format!("{own}/token")).is_ok(), "{own}");
        }
    }

    #[test]
    fn a_token_is_used_until_early_before_its_end() {
        let read = |body: &str| {
            token(body.as_bytes()).map(|fetched| (fetched.token.expose().to_owned(), fetched.life.as_secs()))
        };
        let named = |token: &str, life| Some((token.to_owned(), life));
        assert_eq!(read(r#"{"token":"a","expires_in":300}"#), named("a", 240));
        assert_eq!(read(r#"{"access_token":"a","token":"","expires_in":1800,"issued_at":"x"}"#), named("a", 1740));
        assert_eq!(read(r#"{"token":"a"}"#), named("a", 45));
        assert_eq!(read(r#"{"token":"a","expires_in":"3600"}"#), named("a", 45));
        assert_eq!(read(r#"{"token":"a","expires_in":999999999}"#), named("a", 3540));
        assert_eq!(read(r#"{"token":"a","expires_in":0}"#), named("a", 0));
        for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":7}"#] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
