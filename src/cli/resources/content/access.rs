//! Who asks a registry, and asking it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::{env, fmt};

use clap::Args;
use reqwest::Method;
use rpassword::prompt_password;
use serde_json::Value;

use crate::cli::resources::arguments::{Common, secret};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::login_server;
use crate::cli::resources::passes::{Desk, in_docker};
use crate::cli::{output, visible};
use crate::client::address::RegistryAddress;
use crate::client::exchange::{Credential, ExchangeError};
use crate::client::http::{HttpError, quoted};
use crate::client::registry::{AskError, Ids, Manifest, Question, Refusal, Registry, RegistryError, Wanted};
use crate::oci::{Reference, RepositoryName, Scope};
use crate::secret::Secret;

const PASSWORD: &str = "SEAWALL_PASSWORD";
const NOBODY_TO_ASK: &str = "Please specify both username and password in non-interactive mode.";

/// As whom the registry is asked.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// The token, service principal or admin account to log in as. Default: who is logged in there (`seawall login`, `docker login`).
    #[arg(short, long)]
    username: Option<String>,
    /// The password. It is asked for when this is left out.
    #[arg(short, long, env = PASSWORD, hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
    /// Accepted because az has it: the registry's login server is known without.
    #[arg(long, value_name = "SUFFIX")]
    suffix: Option<String>,
}

impl Access {
    async fn credential(&self, desk: &Desk<'_>, server: &str) -> Result<Credential, Failure> {
        if let Some(user) = &self.username {
            return password_of(user.clone(), self.password.clone());
        }
        if let Some(kept) = desk.kept(server).await? {
            return Ok(kept);
        }
        if let Some(known) = in_docker(server)? {
            return Ok(known);
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::new(format!(
                "Unable to authenticate: nobody is logged in at {server}. {NOBODY_TO_ASK}"
            ))
            .hint("Or log in first, with `seawall login` or `docker login`."));
        }
        let user =
            asked("Username: ").map_err(|error| Failure::new(format!("cannot ask for the user name: {error}")))?;
        password_of(user, None)
    }
}

fn password_of(user: String, given: Option<Secret>) -> Result<Credential, Failure> {
    let password = match given {
        Some(password) => password,
        None => Secret::new(prompt_password("Password: ").map_err(|_| Failure::new(NOBODY_TO_ASK))?),
    };
    Ok(Credential::Password { user, password })
}

fn asked(prompt: &str) -> io::Result<String> {
    let mut screen = io::stderr().lock();
    write!(screen, "{prompt}")?;
    screen.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// A registry with what is in it.
#[derive(Debug)]
pub(super) struct Content {
    registry: Registry,
    /// As it was written.
    name: String,
    /// Whether it is a user name's password that is used.
    by_password: bool,
    warns: bool,
    traces: bool,
}

impl Content {
    /// Finds the registry that is `written`, by its name or its login server, and the credential; asks nothing of it yet.
    pub(super) async fn open(access: &Access, written: &str, common: &Common) -> Result<Self, Failure> {
        // The environment may hold it for other commands.
        if access.username.is_none() && access.password.is_some() && env::var_os(PASSWORD).is_none() {
            return Err(Failure::new("Please also specify username if password is specified."));
        }
        let desk = Desk::new(common)?;
        let server = if login_server::is_one(written) {
            written.to_owned()
        } else {
            login_server::find(written, common).await?
        };
        let warns = !common.global.only_show_errors;
        if let Some(suffix) = access.suffix.as_ref().filter(|_| warns) {
            warn(format!(
                "Obtained registry login server '{server}' from service. The specified suffix '{suffix}' is ignored."
            ));
        }
        let address = RegistryAddress::parse(&server)?;
        let server = address.server().to_owned();
        let address = address.reached(desk.http()).await.map_err(|error| unreachable(&server, written, &error))?;
        let credential = access.credential(&desk, address.server()).await?;
        let by_password = matches!(credential, Credential::Password { .. });
        let registry = desk.registry(address, credential);
        Ok(Self { registry, name: written.to_owned(), by_password, warns, traces: common.global.debug })
    }

    /// What the registry answers about the repository of `scope`.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        scope: (&RepositoryName, &[&str]),
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let scope = repository(scope);
        let question = Question { body, ..Question::new(method.clone(), path, &scope) };
        let answer = self.registry.ask(&question).await;
        self.trace(&method, path, answer.as_ref().err());
        answer.map_err(|error| self.failure(error))
    }

    /// All items of a listing about the repository of `scope`.
    pub(super) async fn list(
        &self,
        path: &str,
        scope: (&RepositoryName, &[&str]),
        wanted: Wanted<'_>,
    ) -> Result<Vec<Value>, Failure> {
        self.listed(path, &repository(scope), wanted).await
    }

    /// The names of the repositories.
    pub(super) async fn catalogue(&self, top: Option<usize>) -> Result<Vec<Value>, Failure> {
        let scope = Scope::new("registry", "catalog", ["*"]);
        self.listed("/v2/_catalog", &scope, Wanted::paged("repositories", top, None)).await
    }

    async fn listed(&self, path: &str, scope: &Scope, wanted: Wanted<'_>) -> Result<Vec<Value>, Failure> {
        let items = self.registry.list(path, scope, wanted).await;
        self.trace(&Method::GET, path, items.as_ref().err());
        items.map_err(|error| self.failure(error))
    }

    /// The manifest itself, byte by byte.
    pub(super) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, Failure> {
        let manifest = self.registry.manifest(repository, reference).await.map_err(AskError::from);
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.trace(&Method::GET, &path, manifest.as_ref().err());
        manifest.map_err(|error| self.failure(error))
    }

    /// What the person should know though nothing failed.
    pub(super) fn warn(&self, text: &str) {
        if self.warns {
            warn(text);
        }
    }

    fn trace(&self, method: &Method, path: &str, error: Option<&AskError>) {
        if self.traces {
            let end = error.map_or_else(|| "done".to_owned(), ToString::to_string);
            output::complain(format_args!("DEBUG: {}", visible::line(&format!("{method} {path}: {end}"))));
        }
    }

    fn failure(&self, error: AskError) -> Failure {
        match error {
            AskError::Refused(refusal) => refused(&refusal),
            AskError::Registry(
                RegistryError::Http(error @ HttpError::Unreachable { .. })
                | RegistryError::Login(ExchangeError::Http(error @ HttpError::Unreachable { .. })),
            ) => unreachable(self.registry.address().server(), &self.name, &error),
            AskError::Registry(RegistryError::Login(error @ ExchangeError::Refused { .. })) if self.by_password => {
                Failure::answered(&error, Some(401))
                    .hint("Are the user name and the password right, and not expired or disabled?")
            }
            AskError::Registry(RegistryError::Login(error)) => error.into(),
            AskError::Registry(error) => other(&error),
        }
    }
}

/// What a 401 after a login means.
const LACKS: &str = "Whoever this is may not do that there. It takes content/read to pull, content/delete to delete, metadata/read to list \
                     and show, metadata/write to update and untag; tokens may not list repositories.";

fn refused(refusal: &Refusal) -> Failure {
    let failure = Failure::answered(refusal, Some(refusal.status));
    let failure = if refusal.status == 401 { failure.hint(LACKS) } else { failure };
    explainable(failure, &refusal.ids)
}

fn other(error: &RegistryError) -> Failure {
    let RegistryError::Refused { status, ids, .. } = error else { return Failure::new(error.to_string()) };
    let told = match (&ids.correlation, error.to_string()) {
        (Some(id), text) => format!("{}. Correlation ID: {id}.", text.trim_end_matches('.')),
        (None, text) => text,
    };
    let failure = Failure::answered(told, Some(*status));
    explainable(if error.is_refusal() { failure.hint(LACKS) } else { failure }, ids)
}

fn explainable(failure: Failure, ids: &Ids) -> Failure {
    match &ids.denial {
        Some(id) => failure.hint(format!("`seawall explain --denial {id}` says why, on the server.")),
        None => failure,
    }
}

fn repository((name, actions): (&RepositoryName, &[&str])) -> Scope {
    Scope::new("repository", name.as_str(), actions.iter().copied())
}

/// B.10, to the letter, and what is behind it.
fn unreachable(server: &str, name: &str, error: &HttpError) -> Failure {
    Failure::new(format!(
        "Could not connect to the registry login server '{server}'. Please verify that the registry exists and the URL \
         'https://{server}/v2/' is reachable from your environment."
    ))
    .hint(quoted(&error.to_string()))
    .hint(format!("Try running 'seawall check-health -n {name} --yes' to diagnose this issue."))
}

fn warn(text: impl fmt::Display) {
    output::complain(format_args!("WARNING: {}", visible::line(&text.to_string())));
}
