//! Which server a command talks to, and with what credential.
//!
//! `--endpoint` says it; else the configuration file of the server, on whose own machine nothing more is needed: the file
//! names the address and where the server wrote the owner's credential. That credential goes to that address only.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use crate::config::{self, Config, ManagementAddress, Reading};
use crate::management::client::{Endpoint, Settings};
use crate::secret::Secret;

/// Where a package puts the file.
const CONFIG: &str = "/etc/seawall/seawall.yaml";
/// The owner's credential itself.
const CREDENTIAL: &str = "SEAWALL_CREDENTIAL";
/// Names that every server accepts.
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const RESOURCE_GROUP: &str = "seawall";

/// The server, on the command line or in the environment.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// The management API: https://HOST[:PORT], http:// on this machine, or unix:/path. Default: what --config says.
    #[arg(long, env = "SEAWALL_ENDPOINT", value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// The server's configuration file, on its own machine. Default: /etc/seawall/seawall.yaml, if it is there.
    #[arg(long, env = "SEAWALL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with the owner's credential; SEAWALL_CREDENTIAL gives the credential itself. Default: what --config says.
    #[arg(long, env = "SEAWALL_CREDENTIAL_FILE", value_name = "FILE")]
    credential_file: Option<PathBuf>,
    /// A PEM file with the certificate authorities to trust. Default: the system's.
    #[arg(long, env = "SEAWALL_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Accepted because az has it: every name will do, as there is one subscription.
    #[arg(long, value_name = "NAME", default_value = SUBSCRIPTION, hide_default_value = true, value_parser = super::arguments::name)]
    pub(super) subscription: String,
    /// Accepted because az has it: every name will do, as there is one resource group.
    #[arg(short = 'g', long, value_name = "NAME", default_value = RESOURCE_GROUP, hide_default_value = true, value_parser = super::arguments::name)]
    pub(super) resource_group: String,
}

impl Server {
    /// Everything that a client needs.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let given = self.given_credential()?;
        if let Some(endpoint) = &self.endpoint {
            return Ok(Settings { endpoint: endpoint.clone(), credential: given, ca: self.ca.clone() });
        }
        let configured = configured(self.file()?)?;
        let credential = match (given, &configured.endpoint) {
            // The socket's mode says who may.
            (None, Endpoint::Unix(_)) => None,
            (None, Endpoint::Url(_)) => Some(credential(&configured.credential_file)?),
            (given, _) => given,
        };
        Ok(Settings { endpoint: configured.endpoint, credential, ca: self.ca.clone() })
    }

    fn given_credential(&self) -> Result<Option<Secret>, Failure> {
        match env::var_os(CREDENTIAL).as_deref().map(OsStr::to_str) {
            Some(Some(value)) if !value.is_empty() => Ok(Some(Secret::new(value))),
            Some(None) => Err(Failure::new(format!("{CREDENTIAL} is not text"))),
            Some(Some(_)) | None => self.credential_file.as_deref().map(credential).transpose(),
        }
    }

    fn file(&self) -> Result<&Path, Failure> {
        let file = self.config.as_deref().or_else(|| Some(Path::new(CONFIG)).filter(|file| file.exists()));
        file.ok_or_else(|| {
            Failure::new("which server? Neither an endpoint nor a configuration file is known")
                .hint("Give --endpoint (SEAWALL_ENDPOINT), or on the server's own machine --config (SEAWALL_CONFIG).")
        })
    }
}

/// What a configuration file says about its server.
struct Configured {
    endpoint: Endpoint,
    credential_file: PathBuf,
}

fn configured(file: &Path) -> Result<Configured, Failure> {
    let Reading { config, .. } = config::read(file);
    let Some(Config { management, .. }) = config else {
        let shown = file.display();
        return Err(Failure::new(format!("the configuration file {shown} cannot be used"))
            .hint(format!("`seawall check {shown}` says what is wrong with it.")));
    };
    let endpoint = match management.address {
        ManagementAddress::Unix(path) => Endpoint::Unix(path),
        ManagementAddress::Tcp { address, tls } => {
            let scheme = if tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", reachable(address)).parse().map_err(|error: String| Failure::new(error))?
        }
        ManagementAddress::None => {
            let message = format!("{} switches the management API off (management.address: none)", file.display());
            return Err(Failure::new(message));
        }
    };
    Ok(Configured { endpoint, credential_file: management.credential_file })
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

/// The first line of the file.
fn credential(file: &Path) -> Result<Secret, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        let failure = Failure::new(format!("cannot read the owner's credential in {shown}: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint("The server writes it when it starts. Has it been started?"),
            io::ErrorKind::PermissionDenied => {
                failure.hint("It is for the user that seawall runs as. Run as that user, or set SEAWALL_CREDENTIAL.")
            }
            _ => failure,
        }
    })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::new(format!("the credential file {shown} is empty"))),
        credential => Ok(Secret::new(credential)),
    }
}
