//! Whether what policies say about listeners can ever be met by the listeners that there are.
//!
//! Here, because listeners are process configuration and the policy does not know them.

use crate::config::{Config, Listener, ListenerNetwork, Source};
use crate::policy::document::{
    EndpointMatchDocument, IdentityDocuments, RegistryDocuments, VirtualNetworkMatchDocument,
};
use crate::policy::identity::CERTIFICATE_PROVIDER;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::proxy::source::EndpointKind;

/// Warns of private endpoint connections and virtual network rules that no connection can match.
pub(super) fn unmet(config: &Config, registries: &RegistryDocuments, problems: &mut Problems) {
    let listeners = Listeners(&config.listeners);
    for document in registries.values() {
        for connection in &document.private_endpoint_connections {
            listeners.check_endpoint(&connection.matches, problems);
        }
        for rule in document.network_rule_set.virtual_network_rules.iter().flat_map(|rules| &rules.value) {
            listeners.check_virtual_network(&rule.matches, problems);
        }
    }
}

/// Warns of identities that only a certificate can make, where no listener takes any.
pub(super) fn no_certificates(config: &Config, identities: &IdentityDocuments, problems: &mut Problems) {
    let takes = |listener: &Listener| listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    if config.listeners.iter().any(takes) {
        return;
    }
    let rules = identities.values().flat_map(|identity| &identity.matches);
    for rule in rules.filter(|rule| rule.provider.value == CERTIFICATE_PROVIDER) {
        let what = "no listener takes certificates of clients, so nothing matches";
        let hint = "give a listener `tls: { clientCertificates: { authorities: [ca.pem] } }`";
        problems.push(Problem::warning(&rule.provider.origin, what).hint(hint));
    }
}

struct Listeners<'a>(&'a [Listener]);

impl Listeners<'_> {
    fn check_endpoint(&self, matches: &EndpointMatchDocument, problems: &mut Problems) {
        let EndpointMatchDocument { vpc_endpoint_id, link_id, psc_connection_id, listener, source_network } = matches;
        let told = [
            (vpc_endpoint_id.as_ref().map(|at| &at.origin), EndpointKind::Aws, "aws"),
            (link_id.as_ref().map(|at| &at.origin), EndpointKind::Azure, "azure"),
            (psc_connection_id.as_ref().map(|at| &at.origin), EndpointKind::Google, "google"),
        ];
        for (origin, kind, word) in told {
            if let Some(origin) = origin.filter(|_| !self.0.iter().any(|listener| believes(listener, kind))) {
                let what = "no listener reads these marks, so nothing matches";
                let hint = format!(
                    "give a listener `source: {{ mode: proxyProtocol, trusted: […], privateEndpoint: {word} }}`"
                );
                problems.push(Problem::warning(origin, what).hint(hint));
            }
        }
        if let Some(name) = listener {
            self.check_name(name, ListenerNetwork::Private, problems);
        }
        if let Some(At { origin, .. }) = source_network.as_ref().filter(|_| !self.any(ListenerNetwork::Private)) {
            let what = "no listener is private, so nothing matches";
            problems.push(Problem::warning(origin, what).hint("give one `network: private`"));
        }
    }

    fn check_virtual_network(&self, matches: &VirtualNetworkMatchDocument, problems: &mut Problems) {
        if let Some(name) = &matches.listener {
            self.check_name(name, ListenerNetwork::Public, problems);
        }
    }

    fn check_name(&self, name: &At<String>, wanted: ListenerNetwork, problems: &mut Problems) {
        let found = self.0.iter().find(|listener| listener.name == name.value);
        let problem = match (found.map(|listener| listener.network), wanted) {
            (None, _) => {
                let what = format!("there is no listener {:?}, so nothing matches", name.value);
                Problem::warning(&name.origin, what).hint("write the name of one of `listeners`")
            }
            (Some(ListenerNetwork::Public), ListenerNetwork::Private) => {
                let what = format!("listener {:?} is public, so nothing matches", name.value);
                Problem::warning(&name.origin, what).hint("give it `network: private`")
            }
            (Some(ListenerNetwork::Private), ListenerNetwork::Public) => {
                let what = format!("listener {:?} is private, so nothing matches", name.value);
                Problem::warning(&name.origin, what).hint("approve it with `privateEndpointConnections` instead")
            }
            _ => return,
        };
        problems.push(problem);
    }

    fn any(&self, network: ListenerNetwork) -> bool {
        self.0.iter().any(|listener| listener.network == network)
    }
}

fn believes(listener: &Listener, wanted: EndpointKind) -> bool {
    matches!(&listener.source, Source::ProxyProtocol { private_endpoint: Some(kind), .. } if *kind == wanted)
}
