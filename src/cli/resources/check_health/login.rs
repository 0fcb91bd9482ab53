//! The way of a client to a registry: name, challenge, access token.
//!
//! A password goes only to the host that was asked, and in clear text to this machine only.

use std::net::IpAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::WWW_AUTHENTICATE;
use regex::Regex;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::trouble::Trouble;
use crate::management::client::{causes, http_client, is_loopback};
use crate::policy::action::Action;
use crate::policy::address::LoginServer;
use crate::secret::Secret;

const CHALLENGE: &str = "CONNECTIVITY_CHALLENGE_ERROR";
const ACCESS_TOKEN: &str = "CONNECTIVITY_ACCESS_TOKEN_ERROR";

/// Who logs in.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: Secret,
}

/// A registry as its clients see it.
pub(super) struct Registry {
    url: Url,
    server: LoginServer,
    client: Client,
}

/// What a registry asks of whoever comes without a credential.
#[derive(Debug)]
pub(super) struct Challenge {
    /// Where it was asked.
    pub(super) asked: Url,
    realm: Url,
    service: String,
}

#[derive(Deserialize)]
struct Issued {
    access_token: Option<String>,
    token: Option<String>,
}

impl Registry {
    /// `authorities` are trusted instead of the system's.
    pub(super) fn new(server: &LoginServer, authorities: Option<&Path>) -> Result<Self, Trouble> {
        let url = format!("https://{server}/v2/").parse::<Url>();
        let url = url.map_err(|error| Trouble::new("LOGIN_SERVER_ERROR", format!("{server}: {error}")))?;
        let builder = http_client(authorities).map_err(|error| Trouble::unexpected(error.to_string()))?;
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| Trouble::unexpected(causes(&error)))?;
        Ok(Self { url, server: server.clone(), client })
    }

    /// The first of its addresses.
    pub(super) async fn address(&self) -> Result<IpAddr, Trouble> {
        let (host, port) = (self.server.host(), self.url.port_or_known_default().unwrap_or(443));
        let failed = |what: String| {
            let text =
                format!("Failed to resolve {}: {what}. Is the name right, and does it stand in the DNS?", self.server);
            Trouble::new("CONNECTIVITY_DNS_ERROR", text)
        };
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await;
        let mut found = found.map_err(|error| failed(error.to_string()))?;
        found.next().map(|address| address.ip()).ok_or_else(|| failed("it has no address".to_owned()))
    }

    /// Asks `/v2/` without a credential. As Docker does, plain HTTP is tried on this machine where TLS does not succeed.
    pub(super) async fn challenge(&self) -> Result<Challenge, Trouble> {
        let mut asked = self.url.clone();
        let mut answer = self.client.get(asked.clone()).send().await;
        if answer.is_err() && is_loopback(&self.url) && asked.set_scheme("http").is_ok() {
            answer = self.client.get(asked.clone()).send().await;
        }
        let answer = answer.map_err(|error| unreachable(&asked, &error))?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::FORBIDDEN => return Err(forbidden(answer).await),
            StatusCode::TOO_MANY_REQUESTS => return Err(too_many(&asked)),
            status => {
                let text = format!(
                    "{asked} answered {status}, and not 401 with a challenge. Is it a registry, and the right one?"
                );
                return Err(Trouble::new(CHALLENGE, text));
            }
        }
        let header = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let header =
            header.ok_or_else(|| Trouble::new(CHALLENGE, format!("{asked} answered 401 without a challenge.")))?;
        let (realm, service) = self.read(header)?;
        Ok(Challenge { asked, realm, service })
    }

    fn read(&self, header: &str) -> Result<(Url, String), Trouble> {
        let Some((_, parameters)) = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        else {
            let text = format!("The challenge is not a Bearer challenge: {header}");
            return Err(Trouble::new("CONNECTIVITY_AAD_LOGIN_ERROR", text));
        };
        let malformed =
            |what: &str| Trouble::new("CONNECTIVITY_WWW_AUTHENTICATE_ERROR", format!("The challenge {what}: {header}"));
        let service = parameter(parameters, "service").ok_or_else(|| malformed("names no service"))?;
        let realm = parameter(parameters, "realm").and_then(|realm| realm.parse::<Url>().ok());
        let realm = realm.ok_or_else(|| malformed("has no URL as its realm"))?;
        if realm.host_str() != self.url.host_str() {
            return Err(malformed("leads to another host, which gets no password"));
        }
        if realm.scheme() != "https" && !is_loopback(&realm) {
            return Err(malformed(
                "would have the password sent in clear text; set externalUrl, or give the listener tls",
            ));
        }
        Ok((realm, service))
    }

    /// Gets an access token, for all actions on `repository` if one is named.
    pub(super) async fn log_in(
        &self,
        challenge: &Challenge,
        credentials: &Credentials,
        repository: Option<&str>,
    ) -> Result<(), Trouble> {
        let mut url = challenge.realm.clone();
        url.query_pairs_mut().append_pair("service", &challenge.service);
        if let Some(repository) = repository {
            url.query_pairs_mut().append_pair("scope", &format!("repository:{repository}:{}", wanted().join(",")));
        }
        let request =
            self.client.get(url.clone()).basic_auth(&credentials.username, Some(credentials.password.expose()));
        let answer = request.send().await.map_err(|error| unreachable(&challenge.realm, &error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(forbidden(answer).await),
            StatusCode::TOO_MANY_REQUESTS => return Err(too_many(&challenge.realm)),
            StatusCode::UNAUTHORIZED => {
                let text = format!(
                    "The registry does not accept '{}' with this password. Is the token (or the admin account) enabled, \
                     and the password neither replaced nor expired?",
                    credentials.username
                );
                return Err(Trouble::new(ACCESS_TOKEN, text));
            }
            status => {
                let text = format!("{} answered {status}: {}", challenge.realm, message(answer).await);
                return Err(Trouble::new(ACCESS_TOKEN, text));
            }
        }
        let issued = answer.json::<Issued>().await.ok().and_then(|issued| issued.access_token.or(issued.token));
        let token = issued.ok_or_else(|| Trouble::new(ACCESS_TOKEN, "The answer holds no access token."))?;
        repository.map_or(Ok(()), |repository| permitted(&token, repository))
    }
}

/// All actions, as scopes call them.
fn wanted() -> [&'static str; 5] {
    ["pull", "push", "metadata_write", "metadata_read", "delete"]
}

/// Whether the access token holds every action. Its signature is not our business: who issued it was asked directly.
fn permitted(token: &str, repository: &str) -> Result<(), Trouble> {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let claims = claims.ok_or_else(|| Trouble::new(ACCESS_TOKEN, "The access token cannot be read."))?;
    let access = claims.get("access").and_then(Value::as_array).into_iter().flatten();
    let granted: Vec<&str> = access
        .filter(|entry| {
            entry.get("type") == Some(&"repository".into()) && entry.get("name") == Some(&repository.into())
        })
        .filter_map(|entry| entry.get("actions")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let lacking: Vec<_> = wanted().into_iter().filter(|action| !granted.contains(action)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let text = format!(
        "The user lacks these permissions on repository '{repository}': {}. Granted are: {}.",
        named(&lacking),
        if granted.is_empty() { "none".to_owned() } else { named(&granted) }
    );
    Err(Trouble::new(ACCESS_TOKEN, text))
}

/// Scopes' names of actions with those of scope maps, which is where they are changed.
fn named(actions: &[&str]) -> String {
    let both = |name: &&str| {
        let action = Action::ALL.into_iter().find(|action| action.scope_name() == *name);
        action.map_or_else(|| (*name).to_owned(), |action| format!("{name} ({})", action.name()))
    };
    actions.iter().map(both).collect::<Vec<_>>().join(", ")
}

fn parameter(parameters: &str, name: &str) -> Option<String> {
    let pairs = Regex::new(r#"(\w+)="([^"]*)""#).ok()?;
    let mut found = pairs.captures_iter(parameters).filter(|pair| pair.get(1).is_some_and(|key| key.as_str() == name));
    found.next()?.get(2).map(|value| value.as_str().to_owned())
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Trouble {
    let cause = causes(error);
    // There is no type for it behind this client.
    let certificate = ["certificate", "tls", "handshake"].iter().any(|word| cause.to_ascii_lowercase().contains(word));
    if certificate {
        let text = format!("TLS with {url} failed: {cause}. --ca names the certificate authorities to trust.");
        return Trouble::new("CONNECTIVITY_SSL_ERROR", text);
    }
    Trouble::new(CHALLENGE, format!("{url} cannot be reached: {cause}"))
}

async fn forbidden(answer: Response) -> Trouble {
    let text = format!("Looks like the registry does not admit this machine's address: {}", message(answer).await);
    Trouble::new("CONNECTIVITY_FORBIDDEN_ERROR", text)
}

fn too_many(url: &Url) -> Trouble {
    Trouble::new("CONNECTIVITY_TOOMANYREQUESTS_ERROR", format!("{url} was asked too often. Wait, then try again."))
}

/// What the body of an error says, as registries write it.
async fn message(answer: Response) -> String {
    let body = answer.json::<Value>().await.unwrap_or_default();
    let message = body.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("it does not say why");
    message.chars().take(500).filter(|one| !one.is_control()).collect()
}
