//! Everything that listens, bound before anything is served: a port that is taken ends the start.

use std::path::PathBuf;
use std::sync::Arc;

use super::management::{Management, ManagementError};
use super::start::StartError;
use crate::clock::Clock;
use crate::config::{self, ClientCertificates, Config, ListenerNetwork, ManagementAddress, Source, Tls};
use crate::policy::network::{EndpointMark, Network};
use crate::policy::origin::At;
use crate::proxy::listener::{
    AuthorityFiles, Bound, CertificateFiles, CertificateWarning, Certificates, ClientAuthorities, Listener, Refusal,
    SourceMode,
};
use crate::telemetry::RefusedConnection;
use crate::telemetry::metrics::Metrics;

/// What is bound, but does not answer yet.
pub(super) struct Bindings {
    pub(super) listeners: Vec<Bound>,
    /// `None`: the API is nowhere.
    pub(super) management: Option<Management>,
    /// Of all listeners, for being reloaded.
    pub(super) certificates: Vec<Arc<Certificates>>,
}

impl Bindings {
    /// Takes the addresses of `config`, and reads the certificates.
    ///
    /// # Errors
    /// What cannot be bound or read.
    pub(super) fn bind(config: &Config, metrics: &Arc<Metrics>, clock: &dyn Clock) -> Result<Self, StartError> {
        let mut bindings = Self { listeners: Vec::new(), management: None, certificates: Vec::new() };
        for listener in &config.listeners {
            let tls = bindings.certificates(listener.tls.as_ref(), clock)?;
            let counted = Arc::clone(metrics);
            bindings.listeners.push(Bound::bind(Listener {
                name: listener.name.as_str().into(),
                network: network(listener),
                address: listener.address,
                tls,
                h2c: listener.h2c,
                source: source(&listener.source),
                head_timeout: config.limits.head_timeout,
                on_refusal: Arc::new(move |refusal| count(&counted, refusal)),
            })?);
        }
        bindings.management = bindings.management(&config.management.address, clock)?;
        Ok(bindings)
    }

    fn management(&mut self, address: &ManagementAddress, clock: &dyn Clock) -> Result<Option<Management>, StartError> {
        let bound: Result<_, ManagementError> = match address {
            ManagementAddress::Tcp { address, tls } => {
                Management::tcp(*address, self.certificates(tls.as_ref(), clock)?)
            }
            ManagementAddress::Unix(path) => Management::unix(path),
            ManagementAddress::None => return Ok(None),
        };
        Ok(Some(bound?))
    }

    fn certificates(&mut self, tls: Option<&Tls>, clock: &dyn Clock) -> Result<Option<Arc<Certificates>>, StartError> {
        let Some(tls) = tls else { return Ok(None) };
        let files = tls.certificates.iter().map(|files| CertificateFiles {
            certificate: files.certificate.value.clone(),
            key: files.key.value.clone(),
        });
        let (mut certificates, warnings) =
            Certificates::load(files.collect(), clock.now()).map_err(StartError::Certificates)?;
        tell(&warnings);
        if let Some(clients) = &tls.clients {
            let (authorities, warnings) =
                ClientAuthorities::load(authority_files(clients), clock.now()).map_err(StartError::Certificates)?;
            tell(&warnings);
            certificates = certificates.with_clients(authorities);
        }
        let certificates = Arc::new(certificates);
        self.certificates.push(Arc::clone(&certificates));
        Ok(Some(certificates))
    }
}

fn authority_files(clients: &ClientCertificates) -> AuthorityFiles {
    let paths = |files: &[At<PathBuf>]| files.iter().map(|file| file.value.clone()).collect();
    AuthorityFiles {
        authorities: paths(&clients.authorities),
        revocation_lists: paths(&clients.revocation_lists),
        required: clients.required,
    }
}

fn tell(warnings: &[CertificateWarning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
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
        Refusal::ClientCertificate => RefusedConnection::ClientCertificate,
    });
}

fn network(listener: &config::Listener) -> Network {
    match listener.network {
        ListenerNetwork::Public => Network::Public,
        ListenerNetwork::Private => Network::PrivateEndpoint(EndpointMark::Listener(listener.name.as_str().into())),
    }
}

fn source(source: &Source) -> SourceMode {
    match source {
        Source::Peer => SourceMode::Peer,
        Source::ProxyProtocol { trusted, private_endpoint } => SourceMode::ProxyProtocol {
            trusted: trusted.iter().copied().collect(),
            private_endpoint: *private_endpoint,
        },
        Source::Forwarded { header, trusted } => {
            SourceMode::Forwarded { header: *header, trusted: trusted.iter().copied().collect() }
        }
    }
}
