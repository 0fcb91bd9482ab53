//! Short-lived credentials for several registries, obtained and proved before anything is done with them (S4-1, S4-27).

mod directory;
mod wallet;

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::{Value, json};

pub(super) use self::directory::PrivateDirectory;
pub(super) use self::wallet::{Wallet, withhold};
use super::arguments::Common;
use super::failure::Failure;
use super::session::Session;
use crate::client::address::RegistryAddress;
use crate::client::docker_config::DockerConfig;
use crate::client::exchange::{Credential, NULL_GUID, exchange};
use crate::client::http::Http;
use crate::client::registry::Registry;
use crate::client::sign_in::{Kept, SignInError, SignIns};
use crate::clock::SystemClock;
use crate::secret::Secret;

/// Whose credentials are wanted.
#[derive(Debug, Clone)]
pub(super) enum Bearer {
    /// A managed identity of the installation, by its name: the server vouches for it.
    Identity(String),
    /// Whoever an identity provider's token is about.
    ProviderToken(Secret),
    /// A service principal, a token or the admin account, with a password.
    Account { user: String, password: Secret },
    /// Whoever is signed in at each registry (`seawall login`).
    SignedIn,
}

/// What one registry is used with.
#[derive(Debug)]
pub(super) struct Pass {
    /// As it is reached.
    pub(super) address: RegistryAddress,
    pub(super) user: String,
    pub(super) password: Secret,
    credential: Credential,
}

/// A registry as somebody wrote it: by its name here, or by its login server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// `None` for one that is not of this installation, or was not looked for.
    pub(super) name: Option<String>,
    pub(super) login_server: String,
}

/// Where passes are obtained; it asks the management API only when that is needed.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    common: &'a Common,
    session: OnceCell<Session>,
    http: Http,
}

impl<'a> Desk<'a> {
    pub(super) fn new(common: &'a Common) -> Result<Self, Failure> {
        let http = Http::new(common.server.authorities()).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self { common, session: OnceCell::new(), http })
    }

    /// The way to every registry.
    pub(super) const fn http(&self) -> &Http {
        &self.http
    }

    /// The way to the management API.
    pub(super) fn session(&self) -> Result<&Session, Failure> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let session = Session::open(self.common)?;
        Ok(self.session.get_or_init(|| session))
    }

    /// The login server of a registry that is written by its name or by its login server.
    pub(super) async fn login_server(&self, written: &str) -> Result<String, Failure> {
        if is_login_server(written) {
            return Ok(written.to_owned());
        }
        let session = self.session()?;
        login_server(&session.get(&session.registry(written)).await?)
    }

    /// The same, with the registry's name in this installation, which has to be known.
    pub(super) async fn known(&self, written: &str) -> Result<Known, Failure> {
        let session = self.session()?;
        if !is_login_server(written) {
            let registry = session.get(&session.registry(written)).await?;
            let login_server = login_server(&registry)?;
            return Ok(Known { name: name_of(&registry), login_server });
        }
        let wanted = address(written)?;
        for registry in session.list(&session.registries()).await? {
            let login_server = login_server(&registry)?;
            if address(&login_server).is_ok_and(|address| address == wanted) {
                return Ok(Known { name: name_of(&registry), login_server });
            }
        }
        Err(Failure::new(format!("{written} is not the login server of a registry here"))
            .hint("An identity is known in its own installation only. `seawall list` prints the registries."))
    }

    /// A pass for `registry`, which was tried there.
    pub(super) async fn pass(&self, registry: &str, bearer: &Bearer) -> Result<Pass, Failure> {
        match bearer {
            Bearer::Identity(identity) => {
                let known = self.known(registry).await?;
                let name = known.name.unwrap_or_default();
                let path = format!("/seawall/v1/identities/{identity}/tokens");
                let answer = self.session()?.post(&path, Some(&json!({ "registry": name }))).await?;
                let refresh = answer.get("refreshToken").and_then(Value::as_str);
                let refresh = refresh.ok_or_else(|| Failure::new("the server answered without a refresh token"))?;
                let address = self.reached(&known.login_server).await?;
                self.proved(address, Credential::RefreshToken(Secret::new(refresh))).await
            }
            Bearer::ProviderToken(token) => {
                let address = self.reached(&self.login_server(registry).await?).await?;
                let refresh = exchange(&self.http, &address, token).await;
                let refresh = refresh.map_err(|error| Failure::new(error.to_string()))?;
                self.proved(address, Credential::RefreshToken(refresh)).await
            }
            Bearer::Account { user, password } => {
                let address = self.reached(&self.login_server(registry).await?).await?;
                let (user, password) = (user.clone(), password.clone());
                self.proved(address, Credential::Password { user, password }).await
            }
            Bearer::SignedIn => {
                let address = self.reached(&self.login_server(registry).await?).await?;
                let kept = self.kept(address.server()).await?;
                let credential =
                    kept.map_or_else(|| in_docker(address.server()), |kept| Ok(Some(kept)))?.ok_or_else(|| {
                        Failure::new(format!("nobody is signed in at {address}"))
                            .hint("Give --identity, --identity-token or --username, or run `seawall login` first.")
                    })?;
                self.proved(address, credential).await
            }
        }
    }

    /// What `seawall login` has kept for a registry, renewed where that is due.
    pub(super) async fn kept(&self, server: &str) -> Result<Option<Credential>, Failure> {
        let failed = |error: SignInError| Failure::new(error.to_string());
        let Ok(directory) = SignIns::default_directory() else { return Ok(None) };
        if !directory.exists() {
            return Ok(None);
        }
        let kept = SignIns::new(directory).kept(server, &SystemClock).await.map_err(failed)?;
        Ok(kept.map(Kept::credential))
    }

    /// S4-27: a credential without any use fails here, and not in the middle of the work.
    async fn proved(&self, address: RegistryAddress, credential: Credential) -> Result<Pass, Failure> {
        let (user, password) = match &credential {
            Credential::RefreshToken(token) => (NULL_GUID.to_owned(), token.clone()),
            Credential::Password { user, password } => (user.clone(), password.clone()),
            Credential::None => (String::new(), Secret::new("")),
        };
        let registry = self.registry(address.clone(), credential.clone());
        registry.log_in().await.map_err(|error| Failure::new(error.to_string()))?;
        Ok(Pass { address, user, password, credential })
    }

    /// Where a login server is.
    pub(super) async fn reached(&self, login_server: &str) -> Result<RegistryAddress, Failure> {
        let reached = address(login_server)?.reached(&self.http).await;
        reached.map_err(|error| Failure::new(error.to_string()))
    }

    /// A registry as this caller uses it.
    pub(super) fn registry(&self, address: RegistryAddress, credential: Credential) -> Registry {
        Registry::new(self.http.clone(), address, credential, Arc::new(SystemClock))
    }

    /// The registry that a pass is for.
    pub(super) fn registry_of(&self, pass: &Pass) -> Registry {
        self.registry(pass.address.clone(), pass.credential.clone())
    }
}

/// What Docker's configuration knows of a registry: `docker login`, `seawall login` with a user name.
pub(super) fn in_docker(server: &str) -> Result<Option<Credential>, Failure> {
    let Ok(directory) = DockerConfig::default_directory() else { return Ok(None) };
    Ok(DockerConfig::open(&directory)?.credential(server)?)
}

/// Names of registries have neither dots nor colons (ACR's rule), hosts have one.
pub(super) fn is_login_server(text: &str) -> bool {
    text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost")
}

fn address(login_server: &str) -> Result<RegistryAddress, Failure> {
    RegistryAddress::parse(login_server).map_err(|error| Failure::usage(error.to_string()))
}

fn login_server(registry: &Value) -> Result<String, Failure> {
    let found = registry.pointer("/properties/loginServer").and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| Failure::new("the server names no login server for the registry"))
}

fn name_of(registry: &Value) -> Option<String> {
    registry.get("name").and_then(Value::as_str).map(str::to_owned)
}

/// `--registry`: a name, or a login server.
pub(super) fn registry_or_server(text: &str) -> Result<String, String> {
    if is_login_server(text) {
        let address = RegistryAddress::parse(text).map_err(|error| error.to_string())?;
        return Ok(address.server().to_owned());
    }
    super::arguments::name(text)
}
