//! The control plane: store, keys, the policy's provider and feed, the management API. Opened before anything is served;
//! afterwards pulls need none of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::control::Control;
use super::effects::Effects;
use super::expiry::ExpiryWatch;
use super::keys::{self, KeysInForce};
use super::management::Management;
use super::observed::{LastUses, PendingEndpoints};
use super::providers::keep_fresh;
use super::reload::provider;
use super::start::StartError;
use super::store;
use super::store_state::StoreState;
use crate::auth::Authenticator;
use crate::auth::keys::Keyring;
use crate::clock::Clock;
use crate::config::{Config, EncryptionKeySource, ManagementAddress};
use crate::content::Content;
use crate::current::Current;
use crate::management::{Api, Parts, Settings};
use crate::metadata::{self, Metadata};
use crate::observed::Observations;
use crate::provider::PolicyProvider;
use crate::provider::feed::{Feed, POLL};
use crate::secret::EncryptionKey;
use crate::store::index::Index;
use crate::store::{Database, Store};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Calls;

/// How long the end waits for requests to the management API and for the last uses of passwords.
const FINISH: Duration = Duration::from_secs(15);

/// Everything of it that runs or is about to.
pub(super) struct ControlPlane {
    control: Control,
    store: Arc<dyn Store>,
    /// In the same database.
    index: Arc<dyn Index>,
    encryption: EncryptionKey,
    current: Arc<Current>,
    provider: Arc<PolicyProvider>,
    effects: Arc<Effects>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Has read the store once. Taken by the task that follows it.
    feed: Option<Feed>,
    /// Turns true when no request is left.
    over: watch::Sender<bool>,
}

impl ControlPlane {
    /// Opens the store, puts its keys into force, and reads once what it has; nothing is published before the files are
    /// read too.
    ///
    /// # Errors
    /// A store or keys that cannot be used.
    pub(super) fn open(
        path: &Path,
        config: &Config,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let control = Control::start()?;
        let database = control.wait(store::open(&config.store))?;
        let (store, index): (Arc<dyn Store>, Arc<dyn Index>) = (Arc::<Database>::clone(&database), database);
        let (encryption, keys) = control.wait(open_keys(config, store.as_ref(), clock))?;
        let current = Arc::new(Current::new());
        let provider = provider(path, config, keys.keyring().hash_key().clone(), &current, clock);
        let state = StoreState::new(Arc::clone(metrics));
        let effects = Arc::new(Effects { keys, state, metrics: Arc::clone(metrics) });
        let mut plane = Self {
            control,
            store,
            index,
            encryption,
            current,
            provider,
            effects,
            metrics: Arc::clone(metrics),
            clock: Arc::clone(clock),
            feed: None,
            over: watch::Sender::new(false),
        };
        let mut feed = plane.feed();
        plane.control.wait(feed.first()).map_err(StartError::Reading)?;
        plane.feed = Some(feed);
        Ok(plane)
    }

    pub(super) fn current(&self) -> &Arc<Current> {
        &self.current
    }

    pub(super) fn provider(&self) -> &Arc<PolicyProvider> {
        &self.provider
    }

    pub(super) fn keyring(&self) -> &Arc<Keyring> {
        self.effects.keys.keyring()
    }

    pub(super) fn store_state(&self) -> &StoreState {
        &self.effects.state
    }

    /// Follows the store, keeps `observations`, watches for passwords that expire.
    pub(super) fn run(&mut self, observations: Observations, audit: &AuditLog) {
        let (anew, first) = (self.feeds(), Mutex::new(self.feed.take()));
        self.control.keep("feed", move || {
            let read = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            read.unwrap_or_else(&anew).follow(POLL)
        });
        let (current, metrics, clock) = (Arc::clone(&self.current), Arc::clone(&self.metrics), Arc::clone(&self.clock));
        let audit = audit.clone();
        self.control.keep("expiry", move || {
            ExpiryWatch::new(Arc::clone(&current), audit.clone(), Arc::clone(&metrics), Arc::clone(&clock)).run()
        });
        let (store, current, clock) = (Arc::clone(&self.store), Arc::clone(&self.current), Arc::clone(&self.clock));
        let pending = PendingEndpoints::new(Arc::clone(&store), current, clock);
        let uses = LastUses::new(observations, store, Arc::clone(&self.metrics), pending);
        let mut over = self.over.subscribe();
        self.control.close_with(uses.run(async move {
            // Without a sender there is no request either.
            let _ = over.wait_for(|over| *over).await;
        }));
    }

    /// Keeps the keys of identity providers at hand.
    pub(super) fn keep_providers(&mut self, authenticator: &Arc<Authenticator>) {
        let (authenticator, current) = (Arc::clone(authenticator), Arc::clone(&self.current));
        let clock = Arc::clone(&self.clock);
        self.control.keep("identity providers", move || {
            keep_fresh(Arc::clone(&authenticator), Arc::clone(&current), Arc::clone(&clock))
        });
    }

    /// What is known of the upstreams' contents, kept up to date here; `calls` ask them.
    pub(super) fn metadata(&self, calls: Calls, content: Content, settings: metadata::Settings) -> Metadata {
        let metadata = Metadata::new(metadata::Parts {
            index: Arc::clone(&self.index),
            store: Arc::clone(&self.store),
            calls,
            content,
            current: Arc::clone(&self.current),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            runtime: self.control.handle(),
            settings,
        });
        let kept = metadata.clone();
        self.control.keep("metadata", move || kept.clone().run());
        metadata
    }

    /// Serves the API on `listener` until `stop` turns true.
    pub(super) fn manage(
        &mut self,
        listener: Management,
        authenticator: &Arc<Authenticator>,
        config: &Config,
        audit: &AuditLog,
        stop: watch::Receiver<bool>,
    ) {
        let settings = Settings {
            subscription: config.management.subscription.clone(),
            resource_group: config.management.resource_group.clone(),
            tls: matches!(config.management.address, ManagementAddress::Tcp { tls: Some(_), .. }),
            enforced_tier: config.management.enforced_tier,
            signing_algorithm: config.signing.algorithm,
        };
        let api = Api::new(Parts {
            current: Arc::clone(&self.current),
            store: Arc::clone(&self.store),
            encryption: self.encryption.clone(),
            hash_key: self.keyring().hash_key().clone(),
            owner: self.effects.keys.owner().clone(),
            authenticator: Arc::clone(authenticator),
            audit: audit.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
            settings,
        });
        self.control.close_with(async move {
            if let Err(error) = listener.serve(api.router(), stop).await {
                tracing::error!(%error, "the management API ended");
            }
        });
    }

    /// Finishes what has begun, and ends.
    pub(super) fn end(self) {
        self.over.send_replace(true);
        self.control.end(FINISH);
    }

    fn feed(&self) -> Feed {
        self.feeds()()
    }

    /// Makes feeds that have read nothing yet.
    fn feeds(&self) -> impl Fn() -> Feed + Send + 'static {
        let (store, provider, current) =
            (Arc::clone(&self.store), Arc::clone(&self.provider), Arc::clone(&self.current));
        let (effects, clock) = (Arc::clone(&self.effects), Arc::clone(&self.clock));
        move || {
            Feed::new(
                Arc::clone(&store),
                Arc::clone(&provider),
                effects.clone(),
                Arc::clone(&current),
                Arc::clone(&clock),
            )
        }
    }
}

/// The key that seals the others, and those in force.
async fn open_keys(
    config: &Config,
    store: &dyn Store,
    clock: &Arc<dyn Clock>,
) -> Result<(EncryptionKey, KeysInForce), StartError> {
    let directory = &config.signing.directory;
    let encryption = match &config.encryption_key {
        EncryptionKeySource::Made(path) => keys::own_encryption_key(path, store).await?,
        EncryptionKeySource::Given(source) => source.encryption_key().map_err(StartError::problem)?,
    };
    let opened = keys::open(store, &encryption, directory, config.signing.algorithm, clock.now()).await?;
    let credential_file = config.management.credential_file.clone();
    let keys = KeysInForce::new(&opened, encryption.clone(), credential_file, directory, Arc::clone(clock))?;
    Ok((encryption, keys))
}
