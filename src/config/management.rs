//! The management API of a document: where it listens, who may reach it, and the names in its answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::document::ManagementDocument;
use super::listener::tls;
use super::resolve::{address, path};
use super::settings::{ManagementAddress, ManagementSettings, StoreLocation};
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8444);
const CREDENTIAL_FILE: &str = "management.credential";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const RESOURCE_GROUP: &str = "seawall";
/// Of a resource group, in Azure.
const LONGEST_NAME: usize = 90;
/// What the address of a Unix socket has room for in Linux, less its final zero.
const LONGEST_SOCKET_PATH: usize = 107;

/// The settings, and the TCP address among them with the place where it was written.
pub(super) struct Resolved {
    pub(super) settings: ManagementSettings,
    pub(super) tcp: Option<At<SocketAddr>>,
}

/// Resolves `document`; its credential is kept beside what else belongs to this machine.
pub(super) fn resolve(
    document: &ManagementDocument,
    store: &StoreLocation,
    signing_directory: &Path,
    problems: &mut Problems,
) -> Resolved {
    let (address, tcp) = listening(document, problems);
    let beside = match store {
        StoreLocation::Sqlite(file) => file.parent().unwrap_or(Path::new("")),
        StoreLocation::Postgres { .. } => signing_directory,
    };
    let credential_file = document.credential_file.as_ref().map(|file| path(file, problems));
    let settings = ManagementSettings {
        address,
        credential_file: credential_file.unwrap_or_else(|| beside.join(CREDENTIAL_FILE)),
        subscription: name(document.subscription.as_ref(), SUBSCRIPTION, problems),
        resource_group: name(document.resource_group.as_ref(), RESOURCE_GROUP, problems),
        enforced_tier: document.enforced_tier,
    };
    Resolved { settings, tcp }
}

fn listening(document: &ManagementDocument, problems: &mut Problems) -> (ManagementAddress, Option<At<SocketAddr>>) {
    let written = document.address.as_ref();
    let local = match written.map(|written| (written, written.strip_prefix("unix:"))) {
        Some((written, Some(socket))) => Some(unix(&At::new(socket.to_owned(), written.origin.clone()), problems)),
        Some((written, None)) if written.as_str() == "none" => Some(ManagementAddress::None),
        _ => None,
    };
    if let Some(local) = local {
        if let Some(tls) = &document.tls {
            let problem = Problem::new(&tls.origin, "TLS is for addresses with a port");
            problems.push(problem.hint("remove tls, or give an address such as 0.0.0.0:8444"));
        }
        return (local, None);
    }
    let origin = written.map_or_else(Origin::built_in, |written| written.origin.clone());
    let address = match written {
        Some(written) => address(written, problems),
        None => Some(ADDRESS),
    };
    let tls = document.tls.as_ref().map(|document| tls(document, problems));
    if let Some(clients) = document.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref()) {
        let problem = Problem::new(&clients.origin, "the management API takes no certificates of clients");
        problems.push(problem.hint("remove clientCertificates: it knows credentials and tokens of identity providers"));
    }
    if let Some(address) = address.filter(|address| tls.is_none() && !address.ip().is_loopback()) {
        let problem = Problem::new(&origin, format!("the management API at {address} needs tls"));
        problems.push(problem.hint("give management.tls, or an address of this machine: 127.0.0.1:8444 or unix:/path"));
    }
    let tcp = address.map(|address| At::new(address, origin));
    (ManagementAddress::Tcp { address: address.unwrap_or(ADDRESS), tls }, tcp)
}

fn unix(written: &At<String>, problems: &mut Problems) -> ManagementAddress {
    let socket = path(written, problems);
    if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
        let what = format!("the path of a socket has at most {LONGEST_SOCKET_PATH} bytes");
        problems.push(Problem::new(&written.origin, what).hint("such as unix:/run/seawall/management.sock"));
    }
    ManagementAddress::Unix(socket)
}

/// A segment of the paths in answers.
fn name(written: Option<&At<String>>, default: &str, problems: &mut Problems) -> String {
    let Some(written) = written else { return default.to_owned() };
    let fits = |one: char| one.is_ascii_alphanumeric() || "-_.()".contains(one);
    let usable = (1..=LONGEST_NAME).contains(&written.len()) && written.chars().all(fits) && !written.ends_with('.');
    if !usable {
        let what = format!(
            "this name must have 1 to {LONGEST_NAME} letters, digits, `-`, `_`, `.`, `(` and `)`, and no `.` at its end"
        );
        problems.push(Problem::new(&written.origin, what));
    }
    written.value.clone()
}
