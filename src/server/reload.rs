//! Reloading while serving: on SIGHUP and when a file changes. A mistake is told and changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::start::StartError;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Config, Reading};
use crate::current::Current;
use crate::policy::problem::Problems;
use crate::provider::reader::Draft;
use crate::provider::watch::Watcher;
use crate::provider::{Described, PolicyProvider, Published, Refused};
use crate::proxy::listener::Certificates;
use crate::secret::HashKey;
use crate::telemetry::Reload;
use crate::telemetry::metrics::Metrics;

/// The policy from the files, read anew at each reload. A change of the process part is told, not made.
pub(super) fn provider(
    path: &Path,
    config: &Config,
    hash_key: HashKey,
    current: &Arc<Current>,
    clock: &Arc<dyn Clock>,
) -> Arc<PolicyProvider> {
    let (path, started): (PathBuf, Config) = (path.to_owned(), config.clone());
    let read = move || {
        let Reading { config, policy, files, problems } = config::read(&path);
        let document = policy.and_then(Draft::whole);
        let (Some(config), Some(document), false) = (config, document, problems.are_fatal()) else {
            // As many as `seawall check` would name; the file may have been mended since it was read.
            let all = super::check(&path);
            return Err(Refused { problems: if all.are_fatal() { all } else { problems }, files });
        };
        if config != started {
            let changed = started.differences(&config).join(", ");
            tracing::warn!(changed, "the process configuration changed: restart to apply it; the policy is reloaded");
        }
        Ok(Described { document, files })
    };
    Arc::new(PolicyProvider::new(Box::new(read), hash_key, Arc::clone(current), Arc::clone(clock)))
}

/// A handle on the reloading of one process.
pub(super) struct Reloader(Arc<Reloading>);

struct Reloading {
    provider: Arc<PolicyProvider>,
    certificates: Vec<Arc<Certificates>>,
    /// Watched whatever happens, so that a broken or missing file is noticed when it is mended.
    path: PathBuf,
    metrics: Arc<Metrics>,
    watcher: Mutex<Option<Watcher>>,
    /// Held for a whole reload, so that what is watched, counted and in force is always of the same one.
    turn: Mutex<()>,
}

impl Reloader {
    /// Begins to watch `files`, then publishes the first policy: in this order, so that no change falls between.
    ///
    /// # Errors
    /// What keeps the first policy from being published.
    pub(super) fn start(
        provider: Arc<PolicyProvider>,
        certificates: Vec<Arc<Certificates>>,
        path: &Path,
        files: &[PathBuf],
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let reloading = Arc::new(Reloading {
            provider,
            certificates,
            path: path.to_owned(),
            metrics,
            watcher: Mutex::default(),
            turn: Mutex::default(),
        });
        let handle = Arc::downgrade(&reloading);
        let watcher = Watcher::start(reloading.paths(files), move || {
            if let Some(reloading) = handle.upgrade() {
                reloading.reload();
            }
        })?;
        *reloading.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
        reloading.first()?;
        Ok(Self(reloading))
    }

    /// Reloads soon, on a thread of its own: whoever asks must go on listening for signals.
    pub(super) fn request(&self) {
        let reloading = Arc::clone(&self.0);
        let started = thread::Builder::new().name("reload".to_owned()).spawn(move || reloading.reload());
        if let Err(error) = started {
            tracing::error!(%error, "cannot reload");
        }
    }
}

impl Reloading {
    fn first(&self) -> Result<(), StartError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let published = self.provider.reload().map_err(|refused| StartError::Configuration(refused.problems))?;
        self.told(&published);
        self.watch(&published.files);
        Ok(())
    }

    fn reload(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload_certificates();
        match self.provider.reload() {
            Ok(published) => {
                self.told(&published);
                self.watch(&published.files);
            }
            Err(refused) => {
                self.metrics.reloaded(Reload::Failed, SystemClock.now());
                self.watch(&refused.files);
                tell(&refused.problems);
                tracing::error!("the policy was not reloaded: the one in force stays");
            }
        }
    }

    fn watch(&self, files: &[PathBuf]) {
        if let Some(watcher) = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            watcher.set_paths(self.paths(files));
        }
    }

    fn told(&self, published: &Published) {
        tell(&published.warnings);
        self.metrics.reloaded(Reload::Ok, SystemClock.now());
        tracing::info!(version = published.version, "policy published");
    }

    fn reload_certificates(&self) {
        for certificates in &self.certificates {
            match certificates.reload(SystemClock.now()) {
                Ok(warnings) => warnings.iter().for_each(|warning| tracing::warn!("{warning}")),
                Err(errors) => {
                    for error in errors {
                        tracing::error!(%error, "the certificates in use stay");
                    }
                }
            }
        }
    }

    fn paths(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let certificates = self.certificates.iter().flat_map(|certificates| certificates.paths().map(Path::to_owned));
        std::iter::once(self.path.clone()).chain(files.iter().cloned()).chain(certificates).collect()
    }
}

/// Logs `problems`, in the order of their places.
pub(super) fn tell(problems: &Problems) {
    for problem in problems.clone().sorted() {
        if problem.warning {
            tracing::warn!("{problem}");
        } else {
            tracing::error!("{problem}");
        }
    }
}
