//! Which server a command talks to, and with what credential.
//!
//! `--endpoint` says it; else the configuration file of the server, on whose own machine nothing more is needed: the file
//! names the address and where the server wrote the owner's credential. That credential goes to that address only.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::failure::Failure;
use super::listener;
use crate::config::{self, Config, ManagementAddress, ManagementSettings, Reading};
use crate::management::client::{Endpoint, Settings};
use crate::secret::Secret;

/// Where a package puts the file.
const CONFIG: &str = "/etc/seawall/seawall.yaml";
/// The owner's credential itself, or a token of an identity provider.
const CREDENTIAL: &str = "SEAWALL_CREDENTIAL";
/// What helps whoever may not read the server's files.
const PERMISSION: &str = "It is for the user that seawall runs as: run the command as that user, such as with sudo.";
/// Names that every server accepts.
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const RESOURCE_GROUP: &str = "seawall";

/// The server, on the command line or in the environment.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    // Before the others: clap takes what it has read away.
    #[command(flatten)]
    typed: Typed,
    /// The management API: https://HOST[:PORT], http:// on this machine, or unix:/path. Default: what --config says.
    #[arg(long, env = "SEAWALL_ENDPOINT", hide_env_values = true, value_name = "URL")]
    endpoint: Option<String>,
    /// The server's configuration file, on its own machine. Default: /etc/seawall/seawall.yaml, if it is there.
    #[arg(long, env = "SEAWALL_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the owner's credential; SEAWALL_CREDENTIAL gives the credential itself. Default: what --config says.
    #[arg(long, env = "SEAWALL_CREDENTIAL_FILE", hide_env_values = true, value_name = "FILE")]
    credential_file: Option<PathBuf>,
    /// A PEM file with the certificate authorities to trust. Default: the system's.
    #[arg(long, env = "SEAWALL_CA", hide_env_values = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Accepted because az has it: every name will do, as there is one subscription.
    #[arg(long, value_name = "NAME", default_value = SUBSCRIPTION, hide_default_value = true, value_parser = super::arguments::name)]
    pub(super) subscription: String,
    /// Accepted because az has it: every name will do, as there is one resource group.
    #[arg(short = 'g', long, value_name = "NAME", default_value = RESOURCE_GROUP, hide_default_value = true, value_parser = super::arguments::name)]
    pub(super) resource_group: String,
}

/// The ids of the options that stand on the command line; a value may come from the environment as well.
#[derive(Debug, Clone)]
struct Typed(Vec<String>);

impl Typed {
    fn has(&self, id: &str) -> bool {
        self.0.iter().any(|typed| typed == id)
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let ids = matches.ids().map(clap::Id::as_str);
        let typed = ids.filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine));
        Ok(Self(typed.map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// It adds no options of its own.
impl Args for Typed {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl Server {
    /// Everything that a client needs.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let given = self.given_credential()?;
        let (server, credential) = match self.endpoint.as_ref().filter(|_| !self.is_elsewhere()) {
            Some(endpoint) => {
                let endpoint = endpoint.parse().map_err(|error: String| Failure::usage(error))?;
                (Settings::new(endpoint), given)
            }
            None => self.configured(given)?,
        };
        if let Some(Credential { file: Some((file, owner)), .. }) = &credential {
            listener::check(&server.endpoint, file, *owner)?;
        }
        let ca = self.ca.clone().filter(|_| self.typed.has("ca") || !self.is_elsewhere());
        Ok(Settings { credential: credential.map(|one| one.secret), ca, ..server })
    }

    /// The server of the configuration file, and the credential it wrote unless another is given.
    fn configured(&self, given: Option<Credential>) -> Result<(Settings, Option<Credential>), Failure> {
        let management = configured(self.file()?)?;
        let server = settings(management.address)?;
        let credential = match (given, &server.endpoint) {
            // The socket's mode says who may.
            (None, Endpoint::Unix(_)) => None,
            (None, Endpoint::Url(_)) => Some(Credential::read(&management.credential_file)?),
            (given, _) => given,
        };
        Ok((server, credential))
    }

    /// The configuration file, if it stands on the command line.
    pub(super) fn typed_config(&self) -> Option<&Path> {
        self.config.as_deref().filter(|_| self.typed.has("config"))
    }

    /// The certificate authorities to trust instead of the system's.
    pub(super) fn authorities(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// What the configuration file, if one is known, declares for a registry.
    pub(super) fn declared_login_server(&self, registry: &str) -> Option<String> {
        let policy = config::read(self.file().ok()?).policy?;
        let mut declared = policy.examine().registries.iter().filter(|(name, _)| name.eq_ignore_ascii_case(registry));
        declared.next().map(|(_, document)| document.login_server.value.clone())
    }

    /// Whether the environment speaks of another server than the command line does.
    fn is_elsewhere(&self) -> bool {
        self.typed.has("config") && !self.typed.has("endpoint") && self.endpoint.is_some()
    }

    /// The credential on the command line, else that of the environment, unless it belongs to another server.
    fn given_credential(&self) -> Result<Option<Credential>, Failure> {
        if self.typed.has("credential_file") {
            return self.credential_file.as_deref().map(Credential::read).transpose();
        }
        if self.is_elsewhere() {
            return Ok(None);
        }
        match env::var_os(CREDENTIAL).as_deref().map(OsStr::to_str) {
            Some(Some(value)) if !value.is_empty() => Ok(Some(Credential { secret: Secret::new(value), file: None })),
            Some(None) => Err(Failure::new(format!("{CREDENTIAL} is not text"))),
            Some(Some(_)) | None => self.credential_file.as_deref().map(Credential::read).transpose(),
        }
    }

    fn file(&self) -> Result<&Path, Failure> {
        // Whoever may not look whether it is there is told so when it is read.
        let usual = || Some(Path::new(CONFIG)).filter(|file| file.try_exists().unwrap_or(true));
        self.config.as_deref().or_else(usual).ok_or_else(|| {
            Failure::new(format!(
                "it is not known which server is meant: there is neither --endpoint nor --config, and no {CONFIG}"
            ))
            .hint("Give --endpoint (SEAWALL_ENDPOINT), or on the server's own machine --config (SEAWALL_CONFIG).")
        })
    }
}

/// What a configuration file says about the management API.
fn configured(file: &Path) -> Result<ManagementSettings, Failure> {
    let shown = file.display();
    fs::read(file).map_err(|error| {
        let failure = Failure::new(format!("cannot read the configuration file {shown}: {error}"));
        match error.kind() {
            io::ErrorKind::PermissionDenied => failure.hint(PERMISSION),
            _ => failure,
        }
    })?;
    let Reading { config, .. } = config::read(file);
    let Some(Config { management, .. }) = config else {
        return Err(Failure::new(format!("the configuration file {shown} has problems"))
            .hint(format!("`seawall check {shown}` says what is wrong with it.")));
    };
    if management.address == ManagementAddress::None {
        return Err(Failure::new(format!("{shown} switches the management API off (management.address: none)")));
    }
    Ok(management)
}

/// How to talk to a server on this machine.
fn settings(address: ManagementAddress) -> Result<Settings, Failure> {
    let url = |text: String| text.parse().map(Settings::new).map_err(|error: String| Failure::new(error));
    match address {
        ManagementAddress::Unix(path) => Ok(Settings::new(Endpoint::Unix(path))),
        ManagementAddress::None => Err(Failure::new("the management API is switched off")),
        ManagementAddress::Tcp { address, tls: None } => url(format!("http://{}", reachable(address))),
        ManagementAddress::Tcp { address, tls: Some(tls) } => {
            let address = reachable(address);
            let file = tls.certificates.first().map(|files| files.certificate.value.clone());
            match file.as_deref().and_then(certified_name) {
                // The name in the certificate, but no other machine.
                Some(name) => {
                    let server = url(format!("https://{name}:{}", address.port()))?;
                    Ok(Settings { address: Some(address), certificate: file, ..server })
                }
                None => url(format!("https://{address}")),
            }
        }
    }
}

/// The first DNS name of a certificate; any that fits, where it has a wildcard. Without one, or when the file cannot be read, the address has to do.
fn certified_name(file: &Path) -> Option<String> {
    let pem = fs::read(file).ok()?;
    let certificate = Pem::iter_from_buffer(&pem).next()?.ok()?;
    let certificate = certificate.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => {
            Some(name.strip_prefix("*.").map_or_else(|| (*name).to_owned(), |rest| format!("seawall.{rest}")))
        }
        _ => None,
    })
}

/// A server that listens everywhere is reached on its own machine by the loopback address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

/// The owner's credential, and where it was found.
#[derive(Debug)]
struct Credential {
    secret: Secret,
    /// The file with the user it belongs to, if it was in one.
    file: Option<(PathBuf, u32)>,
}

impl Credential {
    /// The first line of the file.
    fn read(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let (text, owner) = text_and_owner(file).map_err(|error| {
            let failure = Failure::new(format!("cannot read the owner's credential in {shown}: {error}"));
            match error.kind() {
                io::ErrorKind::NotFound => failure.hint("The server writes it when it starts. Has it been started?"),
                io::ErrorKind::PermissionDenied => failure.hint(PERMISSION),
                _ => failure,
            }
        })?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(Failure::new(format!("the credential file {shown} is empty"))),
            credential => Ok(Self { secret: Secret::new(credential), file: Some((file.to_owned(), owner)) }),
        }
    }
}

/// Both of the same file, whatever is put in its place meanwhile.
fn text_and_owner(file: &Path) -> io::Result<(String, u32)> {
    let mut file = File::open(file)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, file.metadata()?.uid()))
}
