//! `seawall login`: the twin of `az acr login`, without a daemon (S1-13, S1-14, S1-25 … S1-31).
//!
//! Who signs in does so at an identity provider, once; the registry exchanges what the provider says for a refresh token of
//! its own, and that is what Docker's configuration holds, or what `docker-credential-seawall` hands out.

mod docker;
pub(in crate::cli) mod helper;
mod logout;
mod sign_in;

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use clap::Args;
use rpassword::prompt_password;
use serde_json::json;

use super::arguments::{Common, Global, name, secret};
use super::failure::Failure;
use super::{finish, login_server};
use crate::cli::format::Outcome;
use crate::cli::{output, visible};
use crate::client::address::{AddressError, RegistryAddress};
use crate::client::docker_config::DockerConfigError;
use crate::client::exchange::{self, Credential, ExchangeError, NULL_GUID, access_token};
use crate::client::http::{Http, HttpError};
use crate::client::provider::ProviderError;
use crate::client::sign_in::{SignInError, SignIns};
use crate::secret::Secret;

pub(super) use logout::Logout;

/// The longest password and the longest token that are read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// `login`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Login {
    /// The registry: its name, or its login server such as registry.example.com:8443.
    #[arg(short, long, value_name = "NAME", value_parser = place, visible_short_alias = 'r', visible_alias = "registry")]
    name: String,
    /// Print a token to log in with instead of logging Docker in.
    #[arg(short = 't', long, conflicts_with_all = ["username", "credential_helper"])]
    expose_token: bool,
    /// Log in as this token, service principal or admin account instead of signing in.
    #[arg(short, long, conflicts_with_all = ["provider", "issuer", "identity_token"])]
    username: Option<String>,
    /// The password. It is asked for when this is left out.
    #[arg(short, long, env = "SEAWALL_PASSWORD", hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
    /// Read the password from standard input.
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// The identity provider, where the registry believes several.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["issuer", "identity_token"])]
    provider: Option<String>,
    /// Sign in at this issuer, whatever the registry says.
    #[arg(long, value_name = "URL", requires = "client_id", conflicts_with = "identity_token")]
    issuer: Option<String>,
    /// With --issuer: the id of a public client there.
    #[arg(long, value_name = "ID", requires = "issuer")]
    client_id: Option<String>,
    /// Log in with the token of an identity provider that is in this file; `-` reads it from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "credential_helper")]
    identity_token: Option<PathBuf>,
    /// Let Docker ask docker-credential-seawall, which renews the login, instead of writing the login down.
    #[arg(long)]
    credential_helper: bool,
    #[command(flatten)]
    common: Common,
}

/// A name or a login server.
fn place(text: &str) -> Result<String, String> {
    if login_server::is_one(text) { Ok(text.to_owned()) } else { name(text) }
}

/// Runs it.
pub(super) fn run(login: &Login) -> ExitCode {
    finish(&login.common.global, log_in(login))
}

/// Runs `logout`.
pub(super) fn run_logout(logout: &Logout) -> ExitCode {
    finish(&logout.common.global, logout.run())
}

/// What is known of a login from the beginning.
struct Desk {
    http: Http,
    address: RegistryAddress,
    sign_ins: SignIns,
    ca: Option<PathBuf>,
}

async fn log_in(login: &Login) -> Result<Outcome, Failure> {
    // The environment may hold it for other commands.
    if login.username.is_none() && login.password.is_some() && env::var_os("SEAWALL_PASSWORD").is_none() {
        return Err(Failure::usage("--password needs a --username"));
    }
    let desk = Desk::open(login).await?;
    if login.credential_helper {
        docker::require_helper()?;
    }
    if !login.expose_token {
        // Before anybody signs in for nothing.
        docker::configuration()?;
    }
    if let Some(user) = &login.username {
        let password = password(login)?;
        desk.prove(user, &password).await?;
        docker::keep_password(&desk, user, &password, login.credential_helper).await?;
        return Ok(succeeded());
    }
    let token = match &login.identity_token {
        Some(file) => exchange::exchange(&desk.http, &desk.address, &identity_token(file)?).await?,
        None => sign_in::refresh_token(&desk, login).await?,
    };
    if login.expose_token {
        return Ok(exposed(&desk.address, &token, &login.common.global));
    }
    let renews = login.identity_token.is_none();
    docker::keep_refresh_token(&desk, &token, renews, login.credential_helper).await?;
    Ok(succeeded())
}

impl Desk {
    async fn open(login: &Login) -> Result<Self, Failure> {
        let server = if login_server::is_one(&login.name) {
            login.name.clone()
        } else {
            login_server::find(&login.name, &login.common).await?
        };
        if login.name.chars().any(|one| one.is_ascii_uppercase()) {
            warn(
                &login.common.global,
                "Uppercase characters are detected in the registry name. When using its server url in docker commands, to \
                 avoid authentication errors, use all lowercase.",
            );
        }
        let ca = login.common.server.authorities().map(fs::canonicalize).transpose();
        let ca = ca.map_err(|error| Failure::new(format!("the file of --ca cannot be used: {error}")))?;
        let http = Http::new(ca.as_deref())?;
        let address = RegistryAddress::parse(&server)?.reached(&http).await?;
        Ok(Self { http, address, sign_ins: SignIns::new(SignIns::default_directory()?), ca })
    }

    /// Asks the registry whether it accepts the password, before it is written anywhere.
    async fn prove(&self, user: &str, password: &Secret) -> Result<(), Failure> {
        let credential = Credential::Password { user: user.to_owned(), password: password.clone() };
        match access_token(&self.http, &self.address, &credential, &[]).await {
            Ok(_) => Ok(()),
            Err(error @ ExchangeError::Refused { .. }) => Err(Failure::new(error.to_string())
                .hint("Are the user name and the password right, and not expired or disabled?")),
            Err(error) => Err(error.into()),
        }
    }
}

fn password(login: &Login) -> Result<Secret, Failure> {
    if login.password_stdin {
        return read(io::stdin(), "the password");
    }
    if let Some(password) = &login.password {
        return Ok(password.clone());
    }
    prompt_password("Password: ")
        .map(Secret::new)
        .map_err(|_| Failure::usage("give the password with --password-stdin"))
}

fn identity_token(file: &std::path::Path) -> Result<Secret, Failure> {
    if file == std::path::Path::new("-") {
        return read(io::stdin(), "the identity token");
    }
    let failed = |error| Failure::new(format!("cannot read the identity token in {}: {error}", file.display()));
    read(fs::File::open(file).map_err(failed)?, "the identity token")
}

/// A secret of one line.
fn read(input: impl Read, what: &str) -> Result<Secret, Failure> {
    let mut text = String::new();
    let read = input.take(LIMIT + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("cannot read {what}: {error}")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::new(format!("{what} is empty"))),
        text if text.len() as u64 > LIMIT => Err(Failure::new(format!("{what} is over 64 KiB"))),
        text => Ok(Secret::new(text)),
    }
}

/// What Docker says, on standard output like it.
fn succeeded() -> Outcome {
    output::line("Login Succeeded");
    Outcome::NOTHING
}

/// B.6-5: both tokens are the registry's refresh token.
fn exposed(address: &RegistryAddress, token: &Secret, global: &Global) -> Outcome {
    warn(
        global,
        "The token in both the accessToken and refreshToken fields is a refresh token of the registry, not an access token. \
         The registry's token endpoint exchanges it for access tokens, with which images are pushed and pulled.",
    );
    warn(
        global,
        &format!(
            "You can perform manual login using the provided refresh token below, for example: \
             'docker login loginServer -u {NULL_GUID} -p refreshToken'"
        ),
    );
    Outcome::from(json!({
        "accessToken": token.expose(),
        "loginServer": address.server(),
        "refreshToken": token.expose(),
        "username": NULL_GUID,
    }))
}

fn warn(global: &Global, text: &str) {
    if !global.only_show_errors {
        output::complain(format_args!("WARNING: {}", visible::line(text)));
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            HttpError::Unreachable { .. } => {
                failure.hint("Is the name right? --ca names certificate authorities to trust besides the system's.")
            }
            _ => failure,
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        let failure = match &error {
            ExchangeError::Http(error) => return error.clone().into(),
            error => Self::new(error.to_string()),
        };
        match error {
            ExchangeError::Refused { .. } => failure.hint(
                "Who signs in needs a role on the registry. The server's audit log says who it was, and why it was refused.",
            ),
            _ => failure,
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Http(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<SignInError> for Failure {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::Address(error) => error.into(),
            SignInError::Http(error) => error.into(),
            SignInError::Provider(error) => error.into(),
            SignInError::Exchange(error) => error.into(),
            error => Self::new(error.to_string()),
        }
    }
}

impl From<DockerConfigError> for Failure {
    fn from(error: DockerConfigError) -> Self {
        Self::new(error.to_string())
    }
}
