//! Sign-ins that were made once and are used again (S1-14, S1-17): at identity providers, and what registries gave for them.
//!
//! They lie in one file, readable by its owner only, which is replaced as a whole. Whoever uses or changes it holds a lock:
//! many providers let a refresh token be used once.

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use super::address::{AddressError, RegistryAddress};
use super::docker_config::TOKEN_USER;
use super::exchange::{Credential, ExchangeError, exchange};
use super::file;
use super::http::{Http, HttpError};
use super::provider::{Application, Provider, ProviderError, Tokens};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

const FILE: &str = "sign-ins.json";
const LOCK: &str = "sign-ins.lock";
const VERSION: u32 = 1;
/// How long another process is waited for, and how often it is looked.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A provider's token is used while it is good for so long.
const TOKEN_LEFT: Duration = Duration::from_mins(1);
/// A registry's refresh token is handed out while it is good for so long: what it is for may take its time.
const LOGIN_LEFT: Duration = Duration::from_hours(1);

/// Why a saved sign-in cannot be used. No text holds a secret.
#[derive(Debug, Error)]
pub enum SignInError {
    #[error("there is no home directory to keep sign-ins in; set SEAWALL_HOME")]
    NoHome,
    #[error("the sign-ins in {path} cannot be {verb}: {cause}", path = path.display())]
    File { path: PathBuf, verb: &'static str, cause: io::Error },
    #[error("the sign-ins in {path} cannot be read: line {line}, column {column}", path = path.display())]
    Malformed { path: PathBuf, line: usize, column: usize },
    #[error("another process is using the sign-ins in {path}", path = path.display())]
    Busy { path: PathBuf },
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Renewing needs a person.
    #[error("the sign-in for {server} has ended; run `seawall login --name {server}`")]
    Ended { server: String },
}

/// What is kept for a registry.
#[derive(Debug, Clone)]
pub enum Kept {
    /// A refresh token of the registry.
    RefreshToken(Secret),
    /// What a program stored with the credential helper.
    Password { user: String, password: Secret },
}

impl Kept {
    /// What a registry is used with. Docker and its like store a refresh token as the password of [`TOKEN_USER`].
    pub fn credential(self) -> Credential {
        match self {
            Self::RefreshToken(token) => Credential::RefreshToken(token),
            Self::Password { user, password } if user == TOKEN_USER => Credential::RefreshToken(password),
            Self::Password { user, password } => Credential::Password { user, password },
        }
    }
}

/// The sign-ins of one person on one machine.
#[derive(Debug, Clone)]
pub struct SignIns {
    directory: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    version: u32,
    sessions: Vec<Session>,
    /// By login server.
    registries: BTreeMap<String, Entry>,
}

/// At a provider.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    application: Application,
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    access_token: Option<Secret>,
    #[serde(serialize_with = "expose", deserialize_with = "hide", default)]
    id_token: Option<Secret>,
    #[serde(serialize_with = "expose", deserialize_with = "hide", default)]
    refresh_token: Option<Secret>,
    expires: Timestamp,
}

/// At a registry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Entry {
    #[serde(rename_all = "camelCase")]
    SignIn {
        application: Application,
        /// Certificate authorities to trust besides the system's.
        ca: Option<PathBuf>,
        #[serde(serialize_with = "expose", deserialize_with = "hide", default)]
        refresh_token: Option<Secret>,
        expires: Option<Timestamp>,
    },
    Password {
        user: String,
        #[serde(serialize_with = "expose", deserialize_with = "hide")]
        password: Option<Secret>,
    },
}

impl SignIns {
    /// Kept in this directory, which is made when it is needed.
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// `SEAWALL_HOME`, else `seawall` in `XDG_CONFIG_HOME`, else `~/.config/seawall`.
    pub fn default_directory() -> Result<PathBuf, SignInError> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let configuration = || set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        set("SEAWALL_HOME").or_else(|| configuration().map(|one| one.join("seawall"))).ok_or(SignInError::NoHome)
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Logs in at a registry by what is saved of `application`, without asking anybody. `None` when somebody must sign in.
    pub async fn silently(
        &self,
        http: &Http,
        address: &RegistryAddress,
        application: &Application,
        ca: Option<&Path>,
        clock: &dyn Clock,
    ) -> Result<Option<Secret>, SignInError> {
        let mut book = self.open(clock).await?;
        let renewed = book.renewed(http, address, application, ca, clock).await;
        // A provider's refresh token may be a new one, whatever the registry said.
        book.save()?;
        renewed
    }

    /// Logs in at a registry as who has just signed in, and keeps both.
    pub async fn keep(
        &self,
        http: &Http,
        address: &RegistryAddress,
        (application, tokens): (&Application, &Tokens),
        ca: Option<&Path>,
        clock: &dyn Clock,
    ) -> Result<Secret, SignInError> {
        let mut book = self.open(clock).await?;
        book.put_session(application, tokens);
        let entered = book.enter(http, address, (application, tokens), ca).await;
        book.save()?;
        entered
    }

    /// What is kept for a registry, renewed where that is due; `None` when there is nothing.
    ///
    /// # Errors
    /// [`SignInError::Ended`] when somebody must sign in again.
    pub async fn kept(&self, server: &str, clock: &dyn Clock) -> Result<Option<Kept>, SignInError> {
        let mut book = self.open(clock).await?;
        let (application, ca, before) = match book.saved.registries.get(server) {
            None => return Ok(None),
            Some(Entry::Password { user, password }) => {
                let password = password.clone();
                return Ok(password.map(|password| Kept::Password { user: user.clone(), password }));
            }
            Some(Entry::SignIn { application, ca, refresh_token, expires }) => {
                (application.clone(), ca.clone(), refresh_token.clone().zip(*expires))
            }
        };
        let good_for =
            |left| before.clone().filter(|(_, expires)| lasts(*expires, left, clock)).map(|(token, _)| token);
        if let Some(token) = good_for(LOGIN_LEFT) {
            return Ok(Some(Kept::RefreshToken(token)));
        }
        let http = Http::new(ca.as_deref())?;
        let address = RegistryAddress::parse(server)?.reached(&http).await?;
        let renewed = book.renewed(&http, &address, &application, ca.as_deref(), clock).await;
        book.save()?;
        let still_good = good_for(TOKEN_LEFT);
        let token = match renewed {
            // Who was refused is refused; a provider that is away for a while is no reason to be locked out.
            Err(SignInError::Provider(_)) | Ok(None) if still_good.is_some() => still_good,
            renewed => renewed?,
        };
        let ended = || SignInError::Ended { server: server.to_owned() };
        token.map(|token| Some(Kept::RefreshToken(token))).ok_or_else(ended)
    }

    /// Keeps a user name and a password, instead of whatever was kept for the registry.
    pub async fn put_password(
        &self,
        server: &str,
        user: &str,
        password: Secret,
        clock: &dyn Clock,
    ) -> Result<(), SignInError> {
        let mut book = self.open(clock).await?;
        let entry = Entry::Password { user: user.to_owned(), password: Some(password) };
        book.saved.registries.insert(server.to_owned(), entry);
        book.save()
    }

    /// Forgets what is kept for a registry. Who is signed in at a provider stays so.
    pub async fn remove(&self, server: &str, clock: &dyn Clock) -> Result<bool, SignInError> {
        let mut book = self.open(clock).await?;
        let found = book.saved.registries.remove(server).is_some();
        if found {
            book.save()?;
        }
        Ok(found)
    }

    /// Forgets everything; the registries that it was about.
    pub async fn remove_all(&self, clock: &dyn Clock) -> Result<Vec<String>, SignInError> {
        let mut book = self.open(clock).await?;
        let saved = std::mem::take(&mut book.saved);
        book.save()?;
        Ok(saved.registries.into_keys().collect())
    }

    /// The registries with the user names that stand for what is kept.
    pub async fn list(&self, clock: &dyn Clock) -> Result<BTreeMap<String, String>, SignInError> {
        let user = |entry: Entry| match entry {
            Entry::SignIn { .. } => super::exchange::NULL_GUID.to_owned(),
            Entry::Password { user, .. } => user,
        };
        let saved = self.open(clock).await?.saved;
        Ok(saved.registries.into_iter().map(|(server, entry)| (server, user(entry))).collect())
    }

    async fn open(&self, clock: &dyn Clock) -> Result<Book, SignInError> {
        let path = self.directory.join(FILE);
        let failed = |verb| {
            let path = path.clone();
            move |cause| SignInError::File { path, verb, cause }
        };
        file::make_directory(&self.directory).map_err(failed("kept"))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(self.directory.join(LOCK)).map_err(failed("locked"))?;
        let began = clock.ticks();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(cause)) => return Err(failed("locked")(cause)),
                Err(TryLockError::WouldBlock) if clock.ticks().saturating_sub(began) > LONGEST_WAIT => {
                    return Err(SignInError::Busy { path });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        let text = file::read(&path).map_err(failed("read"))?;
        let saved = text.map_or_else(|| Ok(Saved::default()), |text| serde_json::from_str(&text));
        // The error of the parser could repeat a secret, its place cannot.
        let saved = saved.map_err(|error| SignInError::Malformed {
            path: path.clone(),
            line: error.line(),
            column: error.column(),
        })?;
        Ok(Book { path, saved, _lock: lock })
    }
}

/// The file, while it is ours.
struct Book {
    path: PathBuf,
    saved: Saved,
    _lock: File,
}

impl Book {
    fn save(&mut self) -> Result<(), SignInError> {
        self.saved.version = VERSION;
        let failed = |cause| SignInError::File { path: self.path.clone(), verb: "written", cause };
        let text = serde_json::to_string_pretty(&self.saved).map_err(|error| failed(error.into()))?;
        file::replace(&self.path, &text).map_err(failed)
    }

    /// Logs in by the saved session, which is renewed at its provider where that is due.
    async fn renewed(
        &mut self,
        http: &Http,
        address: &RegistryAddress,
        application: &Application,
        ca: Option<&Path>,
        clock: &dyn Clock,
    ) -> Result<Option<Secret>, SignInError> {
        let Some(tokens) = self.session(application) else { return Ok(None) };
        let tokens = if lasts(tokens.expires, TOKEN_LEFT, clock) {
            tokens
        } else {
            let Some(refresh_token) = &tokens.refresh_token else { return Ok(None) };
            let provider = Provider::discover(http, &application.issuer).await?;
            match provider.refresh(http, application, refresh_token, clock).await {
                Err(ProviderError::Ended) => {
                    self.saved.sessions.retain(|session| session.application != *application);
                    return Ok(None);
                }
                tokens => tokens?,
            }
        };
        self.put_session(application, &tokens);
        self.enter(http, address, (application, &tokens), ca).await.map(Some)
    }

    /// Exchanges the first of the tokens that the registry accepts.
    async fn enter(
        &mut self,
        http: &Http,
        address: &RegistryAddress,
        (application, tokens): (&Application, &Tokens),
        ca: Option<&Path>,
    ) -> Result<Secret, SignInError> {
        let mut refused = None;
        for token in tokens.presentable() {
            match exchange(http, address, token).await {
                Ok(refresh_token) => {
                    let entry = Entry::SignIn {
                        application: application.clone(),
                        ca: ca.map(Path::to_owned),
                        expires: expiry(&refresh_token),
                        refresh_token: Some(refresh_token.clone()),
                    };
                    self.saved.registries.insert(address.server().to_owned(), entry);
                    return Ok(refresh_token);
                }
                Err(error @ ExchangeError::Refused { .. }) => refused = refused.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused.map_or_else(
            || {
                let what = "its tokens are not JWTs, which registries could verify".to_owned();
                ProviderError::Unusable { issuer: application.issuer.clone(), what }.into()
            },
            SignInError::from,
        ))
    }

    fn session(&self, application: &Application) -> Option<Tokens> {
        let session = self.saved.sessions.iter().find(|session| session.application == *application)?;
        Some(Tokens {
            access_token: session.access_token.clone()?,
            id_token: session.id_token.clone(),
            refresh_token: session.refresh_token.clone(),
            expires: session.expires,
        })
    }

    fn put_session(&mut self, application: &Application, tokens: &Tokens) {
        self.saved.sessions.retain(|session| session.application != *application);
        self.saved.sessions.push(Session {
            application: application.clone(),
            access_token: Some(tokens.access_token.clone()),
            id_token: tokens.id_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            expires: tokens.expires,
        });
    }
}

/// Whether there is more than `left` until `expires`.
fn lasts(expires: Timestamp, left: Duration, clock: &dyn Clock) -> bool {
    clock.now().saturating_add(left).is_ok_and(|then| then < expires)
}

/// When a refresh token ends, as it says itself. Its signature is not our business: who issued it was asked directly.
fn expiry(token: &Secret) -> Option<Timestamp> {
    let payload = token.expose().split('.').nth(1)?;
    let claims = STANDARD_NO_PAD.decode(payload).or_else(|_| URL_SAFE_NO_PAD.decode(payload)).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    Timestamp::from_second(claims.get("exp")?.as_i64()?).ok()
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
fn expose<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

fn hide<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}

#[cfg(test)]
mod tests;
