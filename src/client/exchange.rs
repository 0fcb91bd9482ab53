//! How a credential becomes a token of a registry: the challenge of `/v2/`, `/oauth2/exchange` for the token of an identity
//! provider (wire contract 2.2), the token endpoint for access tokens (Distribution's `docs/spec/auth/token.md`).

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use thiserror::Error;

use super::address::RegistryAddress;
use super::http::{Answer, Http, HttpError, ask, quoted};
use crate::oci::Scope;
use crate::oci::asked::{Asked, Bearer, asked};
use crate::secret::Secret;

/// The user name that says that the password is a token (S1-31).
pub const NULL_GUID: &str = "00000000-0000-0000-0000-000000000000";
/// How long an access token is good that does not say it (Distribution's specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// How this client calls itself to token services that ask for it.
const CLIENT_ID: &str = "seawall";

/// Who a client is to a registry.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nobody.
    None,
    Password {
        user: String,
        password: Secret,
    },
    /// What Docker calls an identity token.
    RefreshToken(Secret),
}

/// What goes into the `Authorization` of requests to a registry.
#[derive(Debug, Clone)]
pub enum Authorization {
    /// The registry asks for nothing.
    None,
    Bearer(Secret),
    /// The registry has no token service.
    Basic {
        user: String,
        password: Secret,
    },
}

/// An authorization and for how long to use it.
#[derive(Debug, Clone)]
pub struct Access {
    pub authorization: Authorization,
    /// From now; `None` when it does not end.
    pub life: Option<Duration>,
}

/// Why there is no token. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExchangeError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{registry} answered {status} to a request without a credential. Is it a registry, and the right one?")]
    NoRegistry { registry: String, status: u16 },
    #[error("the challenge of {registry} leads to {realm}, which gets no credential")]
    Elsewhere { registry: String, realm: String },
    #[error("{registry} does not exchange tokens of identity providers: its challenge is not one of a token service")]
    NoExchange { registry: String },
    /// 401: the credential is wrong, or has no role there.
    #[error("{registry} does not accept the credential: {message}")]
    Refused { registry: String, message: String },
    /// 403: this machine's address, in most cases.
    #[error("{registry} does not admit this machine: {message}")]
    Forbidden { registry: String, message: String },
    #[error("{registry} was asked too often; wait, then try again")]
    TooOften { registry: String },
    /// Anything else, such as a server in trouble.
    #[error("the token service of {registry} answered {status}: {message}")]
    Failed { registry: String, status: u16, message: String },
}

impl Authorization {
    /// The header, marked as a secret.
    pub fn header(&self) -> Option<HeaderValue> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let text = match self {
            Self::None => return None,
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
            Self::Basic { user, password } => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
            }
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// A registry's refresh token for what an identity provider says in `provider_token`. It goes to the registry's own host
/// only.
///
/// # Errors
/// [`ExchangeError::Refused`] when the token means nobody there, or somebody without a role.
pub async fn exchange(
    http: &Http,
    address: &RegistryAddress,
    provider_token: &Secret,
) -> Result<Secret, ExchangeError> {
    let no_exchange = || ExchangeError::NoExchange { registry: address.to_string() };
    let Challenge::Bearer { mut realm, service } = challenge(http, address).await? else { return Err(no_exchange()) };
    if !address.is_origin_of(&realm) {
        return Err(elsewhere(address, &realm));
    }
    realm.set_query(None);
    realm.set_path("/oauth2/exchange");
    let service = service.unwrap_or_else(|| address.server().to_owned());
    let form = [("grant_type", "access_token"), ("service", &*service), ("access_token", provider_token.expose())];
    let answer = ask(with_form(http.question(Method::POST, realm)?, &form)).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Err(no_exchange());
    }
    token(address, &answer, &["refresh_token"])
}

/// What to send with requests that need `scopes`; without any, whether the credential is good for anything at all.
///
/// A password goes where the registry's challenge leads, over TLS or on this machine, as with every Docker client.
pub async fn access_token(
    http: &Http,
    address: &RegistryAddress,
    credential: &Credential,
    scopes: &[Scope],
) -> Result<Access, ExchangeError> {
    let (realm, service) = match (challenge(http, address).await?, credential) {
        (Challenge::Bearer { realm, service }, _) => (realm, service),
        (Challenge::None, _) => return Ok(Access { authorization: Authorization::None, life: None }),
        (Challenge::Basic, Credential::Password { user, password }) => {
            return basic(http, address, user, password).await;
        }
        (Challenge::Basic, Credential::None | Credential::RefreshToken(_)) => {
            let message = "it asks for a user name and a password".to_owned();
            return Err(ExchangeError::Refused { registry: address.to_string(), message });
        }
    };
    let scope = scopes.iter().map(ToString::to_string);
    let parameters: Vec<_> =
        service.map(|service| ("service", service)).into_iter().chain(scope.map(|scope| ("scope", scope))).collect();
    let question = match credential {
        Credential::RefreshToken(refresh) => {
            let own = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", refresh.expose())];
            let given = parameters.iter().map(|(name, value)| (*name, value.as_str()));
            with_form(http.question(Method::POST, realm)?, &own.into_iter().chain(given).collect::<Vec<_>>())
        }
        Credential::None => http.question(Method::GET, with_query(realm, &parameters))?,
        Credential::Password { user, password } => {
            let question = http.question(Method::GET, with_query(realm, &parameters))?;
            question.basic_auth(user, Some(password.expose()))
        }
    };
    let answer = ask(question).await?;
    let token = token(address, &answer, &["token", "access_token"])?;
    let life = answer.json().get("expires_in").and_then(Value::as_u64).map_or(DEFAULT_LIFE, Duration::from_secs);
    Ok(Access { authorization: Authorization::Bearer(token), life: Some(life) })
}

/// A password is proved by asking with it.
async fn basic(http: &Http, address: &RegistryAddress, user: &str, password: &Secret) -> Result<Access, ExchangeError> {
    let authorization = Authorization::Basic { user: user.to_owned(), password: password.clone() };
    let question = http.question(Method::GET, address.url("/v2/"))?;
    let question = authorization.header().into_iter().fold(question, |asked, value| asked.header(AUTHORIZATION, value));
    let answer = ask(question).await?;
    if answer.status.is_success() {
        return Ok(Access { authorization, life: None });
    }
    Err(refusal(address, &answer))
}

/// What a registry asks of whoever comes without a credential.
enum Challenge {
    None,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

async fn challenge(http: &Http, address: &RegistryAddress) -> Result<Challenge, ExchangeError> {
    let answer = ask(http.question(Method::GET, address.url("/v2/"))?).await?;
    let registry = || address.to_string();
    match answer.status {
        status if status.is_success() => return Ok(Challenge::None),
        StatusCode::UNAUTHORIZED => {}
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => return Err(refusal(address, &answer)),
        status => return Err(ExchangeError::NoRegistry { registry: registry(), status: status.as_u16() }),
    }
    match asked(answer.headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes)) {
        Asked::Basic => Ok(Challenge::Basic),
        Asked::Unknown => Err(ExchangeError::NoRegistry { registry: registry(), status: 401 }),
        Asked::Bearer(Bearer { realm, service }) => {
            let elsewhere = || ExchangeError::Elsewhere { registry: registry(), realm: quoted(&realm) };
            let realm = Url::parse(&realm).map_err(|_| elsewhere())?;
            let bare = realm.username().is_empty() && realm.password().is_none();
            // A registry elsewhere does not lead to a service on this machine.
            let near = super::http::is_loopback(&realm) && address.is_loopback();
            let safe = (realm.scheme() == "https" && !super::http::is_loopback(&realm)) || near;
            if bare && safe { Ok(Challenge::Bearer { realm, service }) } else { Err(self::elsewhere(address, &realm)) }
        }
    }
}

fn elsewhere(address: &RegistryAddress, realm: &Url) -> ExchangeError {
    ExchangeError::Elsewhere { registry: address.to_string(), realm: quoted(&super::http::place(realm)) }
}

/// The first token under one of `names`.
fn token(address: &RegistryAddress, answer: &Answer, names: &[&str]) -> Result<Secret, ExchangeError> {
    if answer.status != StatusCode::OK {
        return Err(refusal(address, answer));
    }
    let body = answer.json();
    let found = names.iter().filter_map(|name| body.get(*name)?.as_str()).find(|token| !token.is_empty());
    found.map(Secret::new).ok_or_else(|| ExchangeError::Failed {
        registry: address.to_string(),
        status: 200,
        message: "there is no token in the answer".to_owned(),
    })
}

fn refusal(address: &RegistryAddress, answer: &Answer) -> ExchangeError {
    let (registry, message) = (address.to_string(), answer.message());
    match answer.status {
        StatusCode::UNAUTHORIZED => ExchangeError::Refused { registry, message },
        StatusCode::FORBIDDEN => ExchangeError::Forbidden { registry, message },
        StatusCode::TOO_MANY_REQUESTS => ExchangeError::TooOften { registry },
        status => ExchangeError::Failed { registry, status: status.as_u16(), message },
    }
}

fn with_query(mut url: Url, parameters: &[(&str, String)]) -> Url {
    if !parameters.is_empty() {
        url.query_pairs_mut().extend_pairs(parameters);
    }
    url
}

/// A body as `application/x-www-form-urlencoded`.
pub(super) fn with_form(question: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let mut body = Url::parse("form:").ok();
    let encoded = body.as_mut().map(|url| {
        url.query_pairs_mut().extend_pairs(fields);
        url.query().unwrap_or_default().to_owned()
    });
    question
        .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(reqwest::header::ACCEPT, "application/json")
        .body(encoded.unwrap_or_default())
}
