//! Where a registry says that its people sign in: `GET /oauth2/sign-in`, which is seawall's own.

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::address::RegistryAddress;
use super::exchange::ExchangeError;
use super::http::{Http, ask, is_loopback, quoted};
use super::provider::Application;

/// An identity provider that a registry believes.
#[derive(Debug, Clone, Deserialize)]
pub struct Described {
    pub name: String,
    #[serde(flatten)]
    pub application: Application,
}

#[derive(Deserialize)]
struct Description {
    providers: Vec<Described>,
}

/// The providers where people sign in for this registry; none where it knows of none.
pub async fn providers(http: &Http, address: &RegistryAddress) -> Result<Vec<Described>, ExchangeError> {
    let answer = ask(http.question(Method::GET, address.url("/oauth2/sign-in"))?).await?;
    let registry = address.to_string();
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Vec::new()),
        StatusCode::FORBIDDEN => return Err(ExchangeError::Forbidden { registry, message: answer.message() }),
        status => return Err(ExchangeError::NoRegistry { registry, status: status.as_u16() }),
    }
    let failed = |message: String| ExchangeError::Failed { registry: registry.clone(), status: 200, message };
    let description = serde_json::from_slice::<Description>(&answer.body);
    let providers = description.map_err(|error| failed(quoted(&error.to_string())))?.providers;
    match providers.iter().find(|one| misleads(one, address)) {
        Some(one) => Err(failed(format!("it names {}, which is on this machine", quoted(&one.application.issuer)))),
        None => Ok(providers),
    }
}

/// A registry elsewhere does not lead to a service on this machine.
fn misleads(described: &Described, address: &RegistryAddress) -> bool {
    let is_near = Url::parse(&described.application.issuer).is_ok_and(|issuer| is_loopback(&issuer));
    is_near && !address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_elsewhere_names_no_provider_on_this_machine() {
        let named = |issuer: &str| {
            let described = serde_json::json!({ "name": "x", "issuer": issuer, "clientId": "c", "scopes": [] });
            serde_json::from_value::<Described>(described).unwrap()
        };
        let table = [
            ("registry.example.com", "http://127.0.0.1:631/?", true),
            ("registry.example.com", "https://localhost/", true),
            ("registry.example.com", "https://corp.example", false),
            ("127.0.0.1:5000", "http://127.0.0.1:631", false),
        ];
        for (server, issuer, expected) in table {
            let address = RegistryAddress::parse(server).unwrap();
            assert_eq!(misleads(&named(issuer), &address), expected, "{server} {issuer}");
        }
    }
}
