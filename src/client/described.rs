//! Where a registry says that its people sign in: `GET /oauth2/sign-in`, which is seawall's own.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::address::RegistryAddress;
use super::exchange::ExchangeError;
use super::http::{Http, ask, quoted};
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
    let description = serde_json::from_slice::<Description>(&answer.body);
    description.map(|description| description.providers).map_err(|error| ExchangeError::Failed {
        registry,
        status: 200,
        message: quoted(&error.to_string()),
    })
}
