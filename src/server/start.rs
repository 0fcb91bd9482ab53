//! `serve`: from a file to a running server. Whatever can fail fails before anything is served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::{io, num::NonZeroUsize};

use pingora::server::Server;
use thiserror::Error;

use super::bindings::Bindings;
use super::defects;
use super::keys::StartKeysError;
use super::lifecycle::Lifecycle;
use super::management::ManagementError;
use super::observed;
use super::plane::ControlPlane;
use super::probes::{Probes, Readiness, Status};
use super::reload::Reloader;
use super::store::OpenError;
use crate::auth::Authenticator;
use crate::auth::keys::KeysError;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Loaded};
use crate::content::Content;
use crate::observed::Observed;
use crate::policy::problem::{Problem, Problems};
use crate::proxy::listener::{CertificateError, InFlight, ListenError, Serving, server_configuration, services};
use crate::proxy::{Gate, Minter, Shared};
use crate::store::StoreError;
use crate::telemetry::audit::{AuditError, AuditLog};
use crate::telemetry::log::{self, LogError};
use crate::telemetry::metrics::{Metrics, MetricsError};
use crate::upstream::{Calls, Credentials, warn_of_open_upstreams};

/// Why a server could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot be used; every problem is in it.
    #[error("the configuration has problems")]
    Configuration(Problems),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error("cannot read the store: {0}")]
    Reading(#[source] StoreError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    StoredKeys(#[from] StartKeysError),
    #[error("{}", list(.0))]
    Certificates(Vec<CertificateError>),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Management(#[from] ManagementError),
    #[error("cannot listen on {address} for metrics: {source}")]
    Metrics { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Counting(#[from] MetricsError),
    #[error("cannot start a thread or hear signals: {0}")]
    Machine(#[from] io::Error),
}

impl StartError {
    /// A single one.
    pub(super) fn problem(problem: Problem) -> Self {
        let mut problems = Problems::new();
        problems.push(problem);
        Self::Configuration(problems)
    }
}

fn list(errors: &[CertificateError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Serves what the file at `path` describes. Returns when a drain has ended.
pub fn serve(path: &Path) -> Result<(), StartError> {
    let (Loaded { config, .. }, files) = load(path)?;
    log::install(config.log.level, config.log.format)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new()?);
    defects::count(&metrics);
    let audit = AuditLog::open(config.audit.clone(), Arc::clone(&metrics), Arc::clone(&clock))?;
    let mut plane = ControlPlane::open(path, &config, &metrics, &clock)?;

    let in_flight = InFlight::default();
    let life = Lifecycle::new(in_flight.clone(), config.shutdown_grace);
    let threads = config.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let idle_timeout = config.limits.idle_timeout;
    let serving = Serving { in_flight, stop: life.stop_watch(), threads, idle_timeout };
    let Bindings { listeners, management, certificates } = Bindings::bind(&config, &metrics, clock.as_ref())?;
    let probes =
        Probes::bind(config.metrics).map_err(|source| StartError::Metrics { address: config.metrics, source })?;

    let keyring = Arc::clone(plane.keyring());
    let (observed, observations) = Observed::channel(observed::NOTED);
    let authenticator = Authenticator::new(keyring, &config.signing.issuer, Arc::clone(&metrics));
    let authenticator = Arc::new(authenticator.with_login_limits(config.login_limits));
    plane.keep_providers(&authenticator);
    let minter = Minter { authenticator: Arc::clone(&authenticator), clock: Arc::clone(&clock) };
    let credentials = Arc::new(Credentials::new(Arc::new(minter)));
    let content = Content::new(Arc::clone(&metrics));
    let metadata = plane.metadata(Calls::new(Arc::clone(&credentials)), content.clone(), config.metadata);
    let shared = Shared {
        metadata,
        content: content.clone(),
        current: Arc::clone(plane.current()),
        authenticator: Arc::clone(&authenticator),
        metrics: Arc::clone(&metrics),
        audit: audit.clone(),
        clock,
        observed,
        stall_timeout: config.limits.stall_timeout,
        maximum_policy_age: config.store.maximum_age,
        region: config.region.clone(),
    };
    let mut server = Server::new_with_opt_and_conf(None, server_configuration());
    for service in services(&server.configuration, &Gate::new(shared, credentials), listeners, &serving)? {
        server.add_boxed_service(service);
    }
    let provider = Arc::clone(plane.provider());
    let reloader = Reloader::start(provider, certificates, path, &files, Arc::clone(&metrics))?;
    life.listen_for_signals(move || reloader.request())?;
    start_probes(probes, (&metrics, content.clone()), &plane, &life)?;
    plane.run(observations, &audit);
    if let Some(listener) = management {
        plane.manage(listener, &authenticator, &config, &audit, life.stop_watch());
    }
    if let Some(policy) = plane.current().load() {
        content.follow(&policy);
        warn_of_open_upstreams(policy, Arc::new(SystemClock))?;
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), threads, "seawall is ready");
    let ending = life.run(server);
    plane.end();
    tracing::info!(?ending, "seawall has ended");
    audit.close();
    Ok(())
}

/// The configuration, and every file that it and the policy come from.
fn load(path: &Path) -> Result<(Loaded, Vec<PathBuf>), StartError> {
    let (problems, files) = super::examine(path);
    if problems.are_fatal() {
        return Err(StartError::Configuration(problems));
    }
    Ok((config::load(path).map_err(StartError::Configuration)?, files))
}

fn start_probes(
    probes: Probes,
    (metrics, content): (&Arc<Metrics>, Content),
    plane: &ControlPlane,
    life: &Lifecycle,
) -> Result<(), StartError> {
    let (current, store, life) = (Arc::clone(plane.current()), plane.store_state().clone(), life.clone());
    let readiness = move || {
        let policy_version = current.load().map(|policy| policy.version());
        let (status, reason) = match policy_version {
            _ if life.is_draining() => (Status::Draining, None),
            None => (Status::Starting, None),
            Some(_) => store.trouble().map_or((Status::Ready, None), |reason| (Status::Degraded, Some(reason))),
        };
        Readiness { status, policy_version, reason }
    };
    let (current, metrics) = (Arc::clone(plane.current()), Arc::clone(metrics));
    let render = move || {
        if let Some(policy) = current.load() {
            metrics.policy_in_force(policy.version(), policy.stored_revision());
            content.follow(&policy);
        }
        content.measure();
        metrics.render().unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be written");
            String::new()
        })
    };
    Ok(probes.start(render, readiness)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::current::Current;
    use crate::secret::HashKey;
    use crate::server::reload::provider;

    const FILE: &str = "version: 1
listeners: [ { name: public, address: 127.0.0.1:0 } ]
registries:
  myregistry:
    loginServer: registry.example.com
    upstream: { url: http://127.0.0.1:5000 }
    networkRuleSet: { defaultAction: Deny }
    scopeMaps: { samples: { repositories: { a/b: [content/read] } } }
";

    /// A mistake of the reader does not hide those that only the compiler finds.
    #[test]
    fn a_start_and_a_reload_name_every_problem_that_check_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seawall.yaml");
        std::fs::write(&path, FILE).unwrap();
        let config = load(&path).unwrap().0.config;
        let (current, clock): (_, Arc<dyn Clock>) = (Arc::new(Current::new()), Arc::new(SystemClock));
        let provider = provider(&path, &config, HashKey::from_bytes([0; 32]), &current, &clock);
        assert_eq!(provider.reload().unwrap().version, 1);

        let broken = FILE.replace("defaultAction", "defautAction").replace("content/read", "content/raed");
        std::fs::write(&path, broken).unwrap();
        let texts = |problems: Problems| problems.sorted().iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = texts(crate::server::check(&path));
        assert_eq!(expected.len(), 2, "{expected:?}");
        assert_eq!(texts(provider.reload().unwrap_err().problems), expected);
        let Err(StartError::Configuration(problems)) = load(&path) else { panic!("it started") };
        assert_eq!(texts(problems), expected);
        assert_eq!(current.load().unwrap().version(), 1, "the policy in force stays");
    }
}
