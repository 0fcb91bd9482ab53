//! Asks a provider whether a client's secret is right: by a client credentials request (RFC 6749, section 4.4), whose
//! answer is a token of the client itself.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use reqwest::Url;
use serde_json::Value;

use super::fetch::{body, client, endpoint_of, sent, shortened};
use super::json;
use crate::policy::identity::{IdentityProvider, TokenRequest};
use crate::secret::Secret;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undecided {
    /// It is decided: the provider refuses the client or its secret.
    Wrong,
    /// The provider did not say, for this reason.
    Unavailable(String),
}

impl From<String> for Undecided {
    fn from(cause: String) -> Self {
        Self::Unavailable(cause)
    }
}

/// Where `provider` gives tokens.
pub(super) async fn endpoint(provider: &Arc<IdentityProvider>) -> Result<Url, Undecided> {
    Ok(endpoint_of(&client(provider).await?, &provider.issuer, "token_endpoint").await?)
}

/// The token that `provider` gives its client for this secret.
pub(super) async fn ask(
    provider: &Arc<IdentityProvider>,
    endpoint: Url,
    client_id: &str,
    secret: &Secret,
) -> Result<Secret, Undecided> {
    let request = client(provider).await?.post(endpoint.clone());
    let request = request
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(AUTHORIZATION, basic(client_id, secret)?)
        .body(form(&fields(&provider.client_credentials)));
    let answer = sent(request, &endpoint).await?;
    let status = answer.status();
    if !matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return Err(format!("{endpoint}: it answered {status}").into());
    }
    let said = json::object(&body(answer, &endpoint).await?).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
    match (status, text("access_token"), text("error")) {
        (StatusCode::OK, "", _) => Err(format!("{endpoint}: there is no access token in its answer").into()),
        (StatusCode::OK, token, _) => Ok(Secret::new(token)),
        // Section 5.2; what error it names with 401 differs between providers.
        (StatusCode::UNAUTHORIZED, ..) | (_, _, "invalid_client" | "unauthorized_client") => Err(Undecided::Wrong),
        // It does not like what is asked for: that says nothing of the secret.
        (_, _, error) => Err(format!("{endpoint}: it answered {status} {:?}", shortened(error)).into()),
    }
}

fn fields(asked: &TokenRequest) -> Vec<(&str, String)> {
    let mut fields = vec![("grant_type", "client_credentials".to_owned())];
    if !asked.scopes.is_empty() {
        fields.push(("scope", asked.scopes.join(" ")));
    }
    let targets = [("audience", &asked.audience), ("resource", &asked.resource)];
    fields.extend(targets.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?.to_owned()))));
    fields
}

/// Both parts are encoded as in a form before they are joined (section 2.3.1).
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, String> {
    let [client_id, secret] = [client_id, secret.expose()].map(|part| form(&[("", part)]).split_off(1));
    let value = format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}")));
    let mut value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, impl AsRef<str>)]) -> String {
    let mut url = Url::parse("form:").ok();
    let encoded = url.as_mut().map(|url| {
        url.query_pairs_mut().extend_pairs(fields);
        url.query().unwrap_or_default().to_owned()
    });
    encoded.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_basic_are_encoded_as_in_a_form() {
        let decoded = |client_id: &str, secret: &str| {
            let value = basic(client_id, &Secret::new(secret)).expect("a header");
            assert!(value.is_sensitive());
            let text = value.to_str().expect("text").strip_prefix("Basic ").map(|text| STANDARD.decode(text));
            String::from_utf8(text.expect("Basic").expect("Base64")).expect("UTF-8")
        };
        assert_eq!(decoded("6f9619ff", "p-w_d.*"), "6f9619ff:p-w_d.*");
        assert_eq!(decoded("a:b", "100% sure & é+=:"), "a%3Ab:100%25+sure+%26+%C3%A9%2B%3D%3A");
    }

    #[test]
    fn only_what_is_set_is_asked_for() {
        assert_eq!(form(&fields(&TokenRequest::default())), "grant_type=client_credentials");
        let asked = TokenRequest {
            scopes: ["a".into(), "b/.default".into()].into(),
            audience: Some("https://registry.example.com".into()),
            resource: Some("urn:x".into()),
        };
        assert_eq!(
            form(&fields(&asked)),
            "grant_type=client_credentials&scope=a+b%2F.default&audience=https%3A%2F%2Fregistry.example.com&resource=urn%3Ax"
        );
    }
}
