//! `seawall import`: an image from another registry, with its digest (S4-9, B.8-8). This machine copies it: see decision 25.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::arguments::{Common, secret};
use super::exec::child::Signals;
use super::failure::Failure;
use super::passes::{Desk, in_docker, registry_or_server};
use crate::cli::output;
use crate::client::copy::{self, CopyError, Event, Place};
use crate::client::exchange::Credential;
use crate::client::registry::{ImageName, Registry, RegistryError, Transfer};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::secret::Secret;

/// Where the password of `--username` may be, instead of in the list of processes.
pub(super) const SOURCE_PASSWORD: &str = "SEAWALL_SOURCE_PASSWORD";
/// How often the terminal is told how far it is.
const TICK: Duration = Duration::from_millis(200);

/// `import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The registry that gets the image: its name, or its login server.
    #[arg(short, long, value_name = "NAME", value_parser = registry_or_server)]
    name: String,
    /// The image to copy: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST, such as docker.io/library/node:15-alpine.
    #[arg(long, value_name = "IMAGE")]
    source: String,
    /// What it is called there, REPOSITORY:TAG; may be repeated. Without, it keeps its name.
    #[arg(short = 't', long, value_name = "IMAGE")]
    image: Vec<String>,
    /// A repository that gets it without a tag, known by its digest only; may be repeated.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Vec<String>,
    /// The registry that --source is in, when --source does not say it.
    #[arg(short, long, value_name = "NAME", value_parser = registry_or_server)]
    registry: Option<String>,
    /// The user name for the registry that it comes from. Without, Docker's configuration is asked.
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password for it.
    #[arg(short, long, env = SOURCE_PASSWORD, hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
    /// Move a tag that is there already.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// Prints nothing when all is well, as `az acr import` does.
pub(super) fn run(arguments: &Import) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async { Signals::new()?.unless_stopped(import(arguments)).await }),
        Err(error) => Err(Failure::new(format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

async fn import(arguments: &Import) -> Result<(), Failure> {
    let source = arguments.source()?;
    let targets = arguments.targets(&source)?;
    let reference = source.reference().map_err(|error| Failure::usage(error.to_string()))?;
    let desk = Desk::new(&arguments.common)?;
    let from = arguments.from(&desk, &source).await?;
    let to = desk.reached(&desk.login_server(&arguments.name).await?).await?;
    let credential = known(&desk, to.server()).await?;
    let to = desk.registry(to, credential);
    let screen = Screen::new();
    for (repository, tag) in &targets {
        let source = Place { registry: &from, repository: &source.repository };
        let target = Place { registry: &to, repository };
        let digest = one(source, &reference, target, tag.as_ref(), arguments.force, &screen).await?;
        if arguments.common.global.verbose || arguments.common.global.debug {
            output::complain(format_args!("INFO: {}/{repository} has {digest}", to.address()));
        }
    }
    Ok(())
}

async fn one(
    source: Place<'_>,
    reference: &Reference,
    target: Place<'_>,
    tag: Option<&Tag>,
    force: bool,
    screen: &Screen,
) -> Result<Digest, Failure> {
    let tell = |event: Event<'_>| screen.tell(event);
    let copied = copy::copy(source, reference, target, tag, force, &tell).await;
    screen.clear();
    copied.map_err(|error| {
        let failure = Failure::new(match &error {
            CopyError::Exists(_) => format!("(Conflict) {error}"),
            _ => error.to_string(),
        });
        match &error {
            CopyError::Exists(_) => failure.hint("--force moves it."),
            CopyError::Registry(error) if is_refusal(error) => failure.hint(
                "Log in first, with `seawall login` or `docker login`; for the registry that the image comes from there are \
                 --username and --password, too.",
            ),
            _ => failure,
        }
    })
}

fn is_refusal(error: &RegistryError) -> bool {
    error.is_refusal()
}

impl Import {
    fn source(&self) -> Result<ImageName, Failure> {
        let source = ImageName::parse(&self.source).map_err(|error| Failure::usage(error.to_string()))?;
        match (&source.registry, &self.registry) {
            (None, None) => Err(Failure::usage(
                "which registry is the image in? Write it before the repository, or give --registry",
            )),
            (Some(_), Some(_)) => Err(Failure::usage("--source names a registry already, and so does --registry")),
            _ => Ok(source),
        }
    }

    /// Repositories with their tags.
    fn targets(&self, source: &ImageName) -> Result<Vec<(RepositoryName, Option<Tag>)>, Failure> {
        let usage = |error: String| Failure::usage(error);
        let mut targets = Vec::new();
        for image in &self.image {
            let name = ImageName::parse(image).map_err(|error| usage(error.to_string()))?;
            if name.registry.is_some() || name.digest.is_some() {
                return Err(usage(format!("{image} is not REPOSITORY:TAG: the registry is said by --name")));
            }
            let tag = name.tag.or_else(|| Tag::parse("latest").ok());
            targets.push((name.repository, tag));
        }
        for repository in &self.repository {
            let name = RepositoryName::parse(repository).map_err(|error| usage(format!("{repository}: {error}")))?;
            targets.push((name, None));
        }
        if targets.is_empty() {
            let tag = source.tag.clone().or_else(|| Tag::parse("latest").ok().filter(|_| source.digest.is_none()));
            targets.push((source.repository.clone(), tag));
        }
        Ok(targets)
    }

    /// The registry that it comes from, with the credential that is given, else Docker's, else none.
    async fn from(&self, desk: &Desk<'_>, source: &ImageName) -> Result<Registry, Failure> {
        let server = match (&source.registry, &self.registry) {
            (Some(server), _) => server.clone(),
            (None, Some(registry)) => desk.login_server(registry).await?,
            (None, None) => return Err(Failure::usage("which registry is the image in?")),
        };
        let address = desk.reached(&server).await?;
        let credential = match (&self.username, &self.password) {
            (Some(user), Some(password)) => Credential::Password { user: user.clone(), password: password.clone() },
            (Some(_), None) => {
                return Err(Failure::usage(format!("--username needs a --password, or {SOURCE_PASSWORD}")));
            }
            // The environment may hold it for other imports.
            (None, Some(_)) if env::var_os(SOURCE_PASSWORD).is_none() => {
                return Err(Failure::usage("--password needs a --username"));
            }
            (None, _) => known(desk, address.server()).await?,
        };
        Ok(desk.registry(address, credential))
    }
}

/// What Docker's configuration knows of a registry, else what `seawall login` has kept.
async fn known(desk: &Desk<'_>, server: &str) -> Result<Credential, Failure> {
    if let Some(credential) = in_docker(server)? {
        return Ok(credential);
    }
    Ok(desk.kept(server).await?.unwrap_or(Credential::None))
}

/// The line that says how far it is, where somebody looks at it.
struct Screen {
    shown: bool,
}

impl Screen {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    fn tell(&self, event: Event<'_>) {
        if !self.shown {
            return;
        }
        match event {
            Event::Planned { manifests, blobs, bytes } => {
                self.line(&format!("{manifests} manifests and {blobs} blobs, {} to look at", amount(bytes)));
            }
            Event::Present(blob) => self.line(&format!("{} is there already", blob.digest)),
            Event::Sending(blob, transfer) => {
                let (digest, size, transfer) = (blob.digest.clone(), blob.size, Arc::clone(transfer));
                tokio::spawn(watch(digest, size, transfer));
            }
            Event::Sent(blob) => self.line(&format!("{} done", blob.digest)),
        }
    }

    fn line(&self, text: &str) {
        if self.shown {
            // Nobody is left to tell when standard error is gone.
            let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
        }
    }

    fn clear(&self) {
        self.line("");
    }
}

/// Until nobody else holds the transfer.
async fn watch(digest: Digest, size: u64, transfer: Arc<Transfer>) {
    let screen = Screen { shown: true };
    while Arc::strong_count(&transfer) > 1 && transfer.sent() < size {
        screen.line(&format!("{digest} {} of {}", amount(transfer.sent()), amount(size)));
        tokio::time::sleep(TICK).await;
    }
}

fn amount(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    let unit = UNITS.iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(name, size)| format!("{}.{} {name}", bytes / size, bytes % size * 10 / size),
    )
}
