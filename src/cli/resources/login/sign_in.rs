//! Signing in at an identity provider, or going on with a sign-in that was made before.

use super::{Desk, Login};
use crate::cli::resources::failure::Failure;
use crate::cli::{output, visible};
use crate::client::described::{Described, providers};
use crate::client::exchange::ExchangeError;
use crate::client::provider::{Application, DeviceAuthorization, Provider};
use crate::client::sign_in::SignInError;
use crate::clock::SystemClock;
use crate::secret::Secret;

/// What is asked for with `--issuer`: who it is, and a sign-in that can be renewed.
const SCOPES: [&str; 2] = ["openid", "offline_access"];

/// The registry's refresh token for whoever is signed in, or signs in now.
pub(super) async fn refresh_token(desk: &Desk, login: &Login) -> Result<Secret, Failure> {
    let application = application(desk, login).await?;
    let (http, address, ca) = (&desk.http, &desk.address, desk.ca.as_deref());
    let silently = desk.sign_ins.silently(http, address, &application, ca, &SystemClock).await;
    // It would be the same person again at every try.
    let as_another = |error| match error {
        SignInError::Exchange(ExchangeError::Refused { .. }) => {
            Failure::from(error).hint("To sign in as somebody else, run `seawall logout` first.")
        }
        error => error.into(),
    };
    if let Some(token) = silently.map_err(as_another)? {
        return Ok(token);
    }
    let provider = Provider::discover(http, &application.issuer).await?;
    let tokens = provider.sign_in(http, &application, &SystemClock, show).await?;
    Ok(desk.sign_ins.keep(http, address, (&application, &tokens), ca, &SystemClock).await?)
}

async fn application(desk: &Desk, login: &Login) -> Result<Application, Failure> {
    if let (Some(issuer), Some(client_id)) = (&login.issuer, &login.client_id) {
        let scopes = SCOPES.map(str::to_owned).into();
        let (issuer, client_id) = (issuer.clone(), client_id.clone());
        return Ok(Application { issuer, client_id, scopes, audience: None, resource: None });
    }
    let described = providers(&desk.http, &desk.address).await?;
    chosen(described, login.provider.as_deref(), desk.address.server()).map(|provider| provider.application)
}

fn chosen(described: Vec<Described>, wanted: Option<&str>, server: &str) -> Result<Described, Failure> {
    let names = described.iter().map(|one| format!("'{}'", visible::line(&one.name))).collect::<Vec<_>>().join(", ");
    let among = || if names.is_empty() { "it names none".to_owned() } else { format!("it names {names}") };
    let mut fitting = described.into_iter().filter(|one| wanted.is_none_or(|wanted| one.name == wanted));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "{server} believes several identity providers: {}. Choose one with --provider.",
            among()
        ))),
        (None, _) => {
            let what = wanted.map_or_else(String::new, |wanted| format!(" '{wanted}'"));
            let failure =
                Failure::new(format!("{server} names no identity provider{what} where people sign in ({}).", among()));
            Err(failure.hint(
                "The server's file says so with `signIn`. Without it: --issuer and --client-id, --identity-token, or --username.",
            ))
        }
    }
}

/// Beside standard output, where `--expose-token` prints.
fn show(authorization: &DeviceAuthorization) {
    let DeviceAuthorization { verification_uri, user_code, .. } = authorization;
    let text =
        format!("To sign in, use a web browser to open the page {verification_uri} and enter the code {user_code}.");
    output::complain(visible::line(&text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(names: &[&str]) -> Vec<Described> {
        let application = |name: &str| Application {
            issuer: format!("https://{name}.example"),
            client_id: "cli".to_owned(),
            scopes: Vec::new(),
            audience: None,
            resource: None,
        };
        names.iter().map(|name| Described { name: (*name).to_owned(), application: application(name) }).collect()
    }

    #[test]
    fn the_provider_is_the_only_one_or_the_one_that_is_named() {
        let name = |names: &[&str], wanted| {
            chosen(described(names), wanted, "r").map(|one| one.name).map_err(|error| error.to_string())
        };
        assert_eq!(name(&["corp"], None).unwrap(), "corp");
        assert_eq!(name(&["corp", "other"], Some("other")).unwrap(), "other");
        assert!(name(&["corp", "other"], None).unwrap_err().contains("--provider"));
        assert!(name(&["corp"], Some("Corp")).unwrap_err().contains("it names 'corp'"));
        assert!(name(&[], None).unwrap_err().contains("it names none"));
    }
}
