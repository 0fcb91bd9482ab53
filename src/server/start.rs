//! `serve`: from a file to a running server. Whatever can fail fails before anything is served.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::{io, num::NonZeroUsize};

use pingora::server::Server;
use thiserror::Error;

use super::defects;
use super::lifecycle::Lifecycle;
use super::observed::QUEUE;
use super::probes::{Probes, Readiness, Status};
use super::reload::Reloader;
use crate::auth::Authenticator;
use crate::auth::keys::{
    FormerKeys, KeyMaterial, Keyring, KeysError, SigningAlgorithm, former_keys, parse_hash_key, random_key,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::config::{self, Config, Loaded, Reading, Source, Tls};
use crate::current::Current;
use crate::observed::Observed;
use crate::policy::problem::Problems;
use crate::provider::reader::Draft;
use crate::provider::{Described, PolicyProvider, Refused};
use crate::proxy::listener::{
    Bound, CertificateError, CertificateFiles, Certificates, InFlight, ListenError, Listener, Refusal, Serving,
    SourceMode, server_configuration, services,
};
use crate::proxy::{Gate, Shared};
use crate::telemetry::RefusedConnection;
use crate::telemetry::audit::{AuditError, AuditLog};
use crate::telemetry::log::{self, LogError};
use crate::telemetry::metrics::{Metrics, MetricsError};
use crate::upstream::warn_of_open_upstreams;

/// Why a server could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot be used; every problem is in it.
    #[error("the configuration has problems")]
    Configuration(Problems),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("{}", list(.0))]
    Certificates(Vec<CertificateError>),
    #[error(transparent)]
    Listen(#[from] ListenError),
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

fn list(errors: &[CertificateError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Serves what the file at `path` describes. Returns when a drain has ended.
pub fn serve(path: &Path) -> Result<(), StartError> {
    let (Loaded { config, .. }, files) = load(path)?;
    log::install(config.log.level, config.log.format)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Arc::new(keys(&config.signing.directory, config.signing.algorithm, clock.now())?);
    let metrics = Arc::new(Metrics::new()?);
    defects::count(&metrics);
    let audit = AuditLog::open(config.audit.clone(), Arc::clone(&metrics), Arc::clone(&clock))?;
    let current = Arc::new(Current::new());
    let provider = provider(path, &config, &keys, &current, &clock);

    let in_flight = InFlight::default();
    let life = Lifecycle::new(in_flight.clone(), config.shutdown_grace);
    let threads = config.threads.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let idle_timeout = config.limits.idle_timeout;
    let serving = Serving { in_flight, stop: life.stop_watch(), threads, idle_timeout };
    let (listeners, certificates) = listeners(&config, &metrics, clock.as_ref())?;
    let probes =
        Probes::bind(config.metrics).map_err(|source| StartError::Metrics { address: config.metrics, source })?;

    let authenticator = Arc::new(Authenticator::new(keys, &config.signing.issuer, Arc::clone(&metrics)));
    let (observed, _observations) = Observed::channel(QUEUE);
    let shared = Shared {
        current: Arc::clone(&current),
        authenticator,
        metrics: Arc::clone(&metrics),
        audit,
        clock,
        observed,
        stall_timeout: config.limits.stall_timeout,
    };
    let audit = shared.audit.clone();
    let mut server = Server::new_with_opt_and_conf(None, server_configuration(threads));
    for service in services(&server.configuration, Gate::new(shared), listeners, &serving)? {
        server.add_boxed_service(service);
    }
    let reloader = Reloader::start(provider, certificates, path, &files, Arc::clone(&metrics))?;
    life.listen_for_signals(move || reloader.request())?;
    start_probes(probes, &metrics, &current, &life)?;
    if let Some(policy) = current.load() {
        warn_of_open_upstreams(policy, Arc::new(SystemClock))?;
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), threads, "seawall is ready");
    let ending = life.run(server);
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

/// The keys that lie in the directory; those that are missing are made for the life of this process.
fn keys(directory: &Path, algorithm: SigningAlgorithm, now: Timestamp) -> Result<Keyring, KeysError> {
    let FormerKeys { mut signing, hash_key } = former_keys(directory, algorithm, now)?;
    if signing.is_empty() {
        signing.push(KeyMaterial::generate(algorithm, now)?);
    }
    let hash_key = parse_hash_key(&hash_key.map_or_else(random_key, Ok)?).ok_or(KeysError::NoSigningKey)?;
    Keyring::new(&signing, hash_key)
}

/// The policy from the files, read anew at each reload. A change of the process part is told, not made.
fn provider(
    path: &Path,
    config: &Config,
    keys: &Keyring,
    current: &Arc<Current>,
    clock: &Arc<dyn Clock>,
) -> PolicyProvider {
    let (path, started): (PathBuf, Config) = (path.to_owned(), config.clone());
    let read = move || {
        let Reading { config, registries, files, problems } = config::read(&path);
        let registries = registries.and_then(Draft::whole);
        let (Some(config), Some(registries), false) = (config, registries, problems.are_fatal()) else {
            // As many as `seawall check` would name; the file may have been mended since it was read.
            let all = super::check(&path);
            return Err(Refused { problems: if all.are_fatal() { all } else { problems }, files });
        };
        if config != started {
            let changed = started.differences(&config).join(", ");
            tracing::warn!(changed, "the process configuration changed: restart to apply it; the policy is reloaded");
        }
        Ok(Described { registries, files })
    };
    PolicyProvider::new(Box::new(read), keys.hash_key().clone(), Arc::clone(current), Arc::clone(clock))
}

type Bindings = (Vec<Bound>, Vec<Arc<Certificates>>);

fn listeners(config: &Config, metrics: &Arc<Metrics>, clock: &dyn Clock) -> Result<Bindings, StartError> {
    let mut bound = Vec::new();
    let mut all = Vec::new();
    for listener in &config.listeners {
        let tls = listener.tls.as_ref().map(|tls| certificates(tls, clock)).transpose()?;
        all.extend(tls.clone());
        let counted = Arc::clone(metrics);
        bound.push(Bound::bind(Listener {
            name: listener.name.clone(),
            address: listener.address,
            tls,
            source: source(&listener.source),
            head_timeout: config.limits.head_timeout,
            on_refusal: Arc::new(move |refusal| count(&counted, refusal)),
        })?);
    }
    Ok((bound, all))
}

fn certificates(tls: &Tls, clock: &dyn Clock) -> Result<Arc<Certificates>, StartError> {
    let files = tls
        .certificates
        .iter()
        .map(|files| CertificateFiles { certificate: files.certificate.value.clone(), key: files.key.value.clone() });
    let (certificates, warnings) =
        Certificates::load(files.collect(), clock.now()).map_err(StartError::Certificates)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(certificates))
}

fn count(metrics: &Metrics, refusal: Refusal) {
    metrics.connection_refused(match refusal {
        Refusal::MalformedHead => return metrics.request_malformed(),
        Refusal::NoPeerAddress => RefusedConnection::NoPeerAddress,
        Refusal::UntrustedPeer => RefusedConnection::UntrustedPeer,
        Refusal::MalformedProxyHeader => RefusedConnection::MalformedProxyHeader,
        Refusal::LateProxyHeader => RefusedConnection::LateProxyHeader,
        Refusal::LateHead => RefusedConnection::LateHead,
        Refusal::LargeHead => RefusedConnection::LargeHead,
    });
}

fn source(source: &Source) -> SourceMode {
    match source {
        Source::Peer => SourceMode::Peer,
        Source::ProxyProtocol { trusted } => SourceMode::ProxyProtocol { trusted: trusted.iter().copied().collect() },
        Source::Forwarded { header, trusted } => {
            SourceMode::Forwarded { header: *header, trusted: trusted.iter().copied().collect() }
        }
    }
}

fn start_probes(
    probes: Probes,
    metrics: &Arc<Metrics>,
    current: &Arc<Current>,
    life: &Lifecycle,
) -> Result<(), StartError> {
    let (metrics, current, life) = (Arc::clone(metrics), Arc::clone(current), life.clone());
    let readiness = move || {
        let policy_version = current.load().map(|policy| policy.version());
        let status = match policy_version {
            _ if life.is_draining() => Status::Draining,
            None => Status::Starting,
            Some(_) => Status::Ready,
        };
        Readiness { status, policy_version, reason: None }
    };
    let render = move || {
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
        let keys = keys(&folder.path().join("keys"), SigningAlgorithm::Es256, SystemClock.now());
        let (current, clock): (_, Arc<dyn Clock>) = (Arc::new(Current::new()), Arc::new(SystemClock));
        let provider = provider(&path, &config, &keys.unwrap(), &current, &clock);
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
