//! Document → process configuration: defaults filled in, texts understood, contradictions refused.
//!
//! Every function adds to the problems and goes on, so that one run names all of them.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::document::{
    AuditDocument, File, LimitsDocument, LogDocument, LoginLimitsDocument, MetricsDocument, SigningDocument,
};
use super::listener::listeners;
use super::settings::{Config, Limits, Log, Signing};
use super::{management, metadata, store};
use crate::policy::limits::LoginLimits;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};
use crate::policy::quantity;
use crate::telemetry::audit::AuditSink;

const VERSION: u16 = 1;
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
const SIGNING_DIRECTORY: &str = "/var/lib/seawall/keys";
const ISSUER: &str = "seawall";
const GRACE: Duration = Duration::from_mins(5);
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
const MOST_THREADS: usize = 1024;
const MOST_FAILURES: u32 = 100_000;

/// Resolves `file`. `None` when that added to `problems`.
pub(super) fn resolve(file: &File, problems: &mut Problems) -> Option<Config> {
    let before = problems.len();
    version(&file.version, problems);
    let metrics = metrics(&file.metrics, problems);
    let signing = signing(&file.signing, problems);
    let store = store::resolve(file.store.as_ref(), problems);
    let management = management::resolve(&file.management, &store.location, &signing.directory, problems);
    let others = [("metrics", Some(metrics.clone())), ("management", management.tcp)];
    let others: Vec<_> = others.into_iter().filter_map(|(section, address)| Some((section, address?))).collect();
    let config = Config {
        listeners: listeners(&file.listeners, &others, problems),
        metrics: metrics.value,
        encryption_key: store::encryption_key(file, &store.location, &signing.directory, problems),
        store,
        management: management.settings,
        signing,
        audit: audit(&file.audit, problems),
        log: log(&file.log),
        shutdown_grace: duration(file.shutdown.grace.as_ref(), GRACE, problems),
        limits: limits(&file.limits, problems),
        login_limits: login_limits(&file.login_limits, problems),
        region: file.region.as_ref().map(|region| named(region, problems)),
        metadata: metadata::resolve(&file.metadata, problems),
        threads: file.threads.as_ref().and_then(|number| threads(number, problems)),
    };
    (problems.len() == before).then_some(config)
}

fn version(version: &At<u16>, problems: &mut Problems) {
    if version.value != VERSION {
        let problem = Problem::new(&version.origin, format!("version {} is not supported", version.value));
        problems.push(problem.hint(format!("this seawall reads version {VERSION}")));
    }
}

fn metrics(document: &MetricsDocument, problems: &mut Problems) -> At<SocketAddr> {
    let Some(written) = &document.address else { return At::new(METRICS, Origin::built_in()) };
    At::new(address(written, problems).unwrap_or(METRICS), written.origin.clone())
}

fn signing(document: &SigningDocument, problems: &mut Problems) -> Signing {
    let directory = document.directory.as_ref().map(|directory| path(directory, problems));
    let issuer = document.issuer.as_ref().map(|issuer| named(issuer, problems));
    Signing {
        directory: directory.unwrap_or_else(|| SIGNING_DIRECTORY.into()),
        algorithm: document.algorithm,
        issuer: issuer.unwrap_or_else(|| ISSUER.into()),
    }
}

fn audit(document: &AuditDocument, problems: &mut Problems) -> AuditSink {
    let Some(output) = &document.output else { return AuditSink::Stdout };
    match (output.as_str(), output.strip_prefix("file:")) {
        (_, Some(file)) => AuditSink::File(path(&At::new(file.to_owned(), output.origin.clone()), problems)),
        ("stdout", None) => AuditSink::Stdout,
        (_, None) => {
            let problem = Problem::new(&output.origin, format!("{:?} is not an audit output", output.value));
            problems.push(problem.hint("write stdout, or file: and a path such as file:/var/log/seawall/audit.log"));
            AuditSink::Stdout
        }
    }
}

fn log(document: &LogDocument) -> Log {
    Log { level: document.level, format: document.format }
}

fn limits(document: &LimitsDocument, problems: &mut Problems) -> Limits {
    let mut timeout = |written, default| longer_than_zero("a timeout", written, default, problems);
    Limits {
        head_timeout: timeout(document.head_timeout.as_ref(), HEAD_TIMEOUT),
        idle_timeout: timeout(document.idle_timeout.as_ref(), IDLE_TIMEOUT),
        stall_timeout: timeout(document.stall_timeout.as_ref(), STALL_TIMEOUT),
    }
}

fn login_limits(document: &LoginLimitsDocument, problems: &mut Problems) -> LoginLimits {
    let mut time = |written, default| longer_than_zero("a time of limits", written, default, problems);
    let within = time(document.within.as_ref(), LoginLimits::DEFAULT.within);
    let lockout = time(document.lockout.as_ref(), LoginLimits::DEFAULT.lockout);
    let mut number = |written: Option<&At<u32>>, default| {
        let Some(written) = written else { return default };
        if written.value > MOST_FAILURES {
            problems
                .push(Problem::new(&written.origin, format!("must be at most {MOST_FAILURES}; 0 is without limit")));
        }
        written.value
    };
    let per_source = number(document.per_source.as_ref(), LoginLimits::DEFAULT.per_source);
    let per_principal = number(document.per_principal.as_ref(), LoginLimits::DEFAULT.per_principal);
    LoginLimits { per_source, per_principal, within, lockout }
}

fn longer_than_zero(what: &str, written: Option<&At<String>>, default: Duration, problems: &mut Problems) -> Duration {
    let time = duration(written, default, problems);
    if let Some(written) = written.filter(|_| time.is_zero()) {
        problems.push(Problem::new(&written.origin, format!("{what} must be longer than zero")));
    }
    time
}

fn threads(number: &At<u16>, problems: &mut Problems) -> Option<NonZeroUsize> {
    let threads = NonZeroUsize::new(number.value.into()).filter(|threads| threads.get() <= MOST_THREADS);
    if threads.is_none() {
        problems.push(Problem::new(&number.origin, format!("threads must be from 1 to {MOST_THREADS}")));
    }
    threads
}

pub(super) fn duration(written: Option<&At<String>>, default: Duration, problems: &mut Problems) -> Duration {
    let Some(written) = written else { return default };
    quantity::duration(written).unwrap_or_else(|what| {
        problems.push(Problem::new(&written.origin, what));
        default
    })
}

/// An IP address with a port.
pub(super) fn address(written: &At<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let address = written.parse().ok();
    if address.is_none() {
        let problem = Problem::new(&written.origin, format!("{:?} is not an IP address with a port", written.value));
        let port = written.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("8443");
        problems.push(problem.hint(format!("such as 127.0.0.1:{port}, 0.0.0.0:{port} or [::]:{port}")));
    }
    address
}

/// A path, relative to the file that names it.
pub(super) fn path(written: &At<String>, problems: &mut Problems) -> PathBuf {
    if written.is_empty() {
        problems.push(Problem::new(&written.origin, "the path is empty"));
    }
    written.origin.beside(written)
}

/// A text that ends up in logs, metrics or tokens: it must say something, in printable characters.
pub(super) fn named(written: &At<String>, problems: &mut Problems) -> String {
    let legible = !written.is_empty() && written.len() <= 255 && !written.contains(char::is_control);
    if !legible {
        problems.push(Problem::new(&written.origin, "must have 1 to 255 characters, none of them a control character"));
    }
    written.value.clone()
}
