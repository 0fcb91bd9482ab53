//! Who may use the management API, besides the owner: identities whose roles say so (S1-39, requirements B.5).

use std::sync::Arc;

use super::conditions::NetworkCondition;
use super::identity::{Assertion, Identity};
use super::network::{NetworkClass, Place, SourceAddress};
use super::principal::Subject;
pub use super::role::ManagementAction;
use super::role::RoleAssignment;
use super::snapshot::PolicySnapshot;

/// Somebody who manages, if his roles let him. To be asked for anew with every request: it is what he is in one snapshot.
#[derive(Debug, Clone)]
pub struct Manager {
    /// How the audit log calls him: as his provider does; a service principal by its own name.
    pub name: Arc<str>,
    /// Whom a provider vouched for, in its own words; `None` for a service principal by its secret.
    pub subject: Option<Subject>,
    /// The enabled identities that he is. At least one.
    pub identities: Arc<[Arc<Identity>]>,
    /// Where he comes from. Unless it is known, an identity with a network condition does not count.
    place: Option<Place>,
}

impl Manager {
    /// The same, coming from this address, which is nobody's private one.
    #[must_use]
    pub fn at(self, address: SourceAddress) -> Self {
        Self { place: Some(Place { address, class: NetworkClass::Public }), ..self }
    }

    /// Whether any of his identities counts where he is. To be asked before his secret is called right.
    pub fn counts_somewhere(&self) -> bool {
        self.identities.iter().any(|identity| self.counts_as(identity))
    }

    /// Whether `identity` counts where he is.
    fn counts_as(&self, identity: &Identity) -> bool {
        let held = |networks: &Arc<NetworkCondition>| self.place.as_ref().is_some_and(|at| networks.check(at).is_ok());
        identity.networks.as_ref().is_none_or(held)
    }
}

impl PolicySnapshot {
    /// Whom `assertion` means; `None` when it means no identity, or one that is disabled.
    pub fn manager_asserted(&self, assertion: &Assertion) -> Option<Manager> {
        let identities: Arc<[_]> = self.identities().meant_by(assertion).into_iter().cloned().collect();
        let subject = Subject { provider: Arc::clone(&assertion.provider), subject: assertion.subject.as_str().into() };
        let name = self.identities().subject_name(assertion);
        (!identities.is_empty()).then_some(Manager { name, subject: Some(subject), identities, place: None })
    }

    /// The enabled service principal with this client id, in any case, and the identity that has its secrets: who calls
    /// has yet to present one of them.
    pub fn manager_named(&self, client_id: &str) -> Option<(Manager, Arc<Identity>)> {
        let identity = self.identities().service_principal(client_id).filter(|identity| identity.is_enabled())?;
        let name = Arc::clone(&identity.name);
        let manager = Manager { name, subject: None, identities: [Arc::clone(identity)].into(), place: None };
        Some((manager, Arc::clone(identity)))
    }

    /// The assignment by which `manager` may do `action`: on the registry of this name, or, with `None`, on the whole
    /// installation, for which only what is assigned on all registries counts. So it does for a registry that does not
    /// exist.
    pub fn may_manage(
        &self,
        manager: &Manager,
        registry: Option<&str>,
        action: ManagementAction,
    ) -> Option<Arc<RoleAssignment>> {
        let registry = registry.and_then(|name| self.registry_named(name));
        let allows = |assignment: &Arc<RoleAssignment>| assignment.manages(action);
        // Also when he was found in an earlier snapshot.
        let counts = |one: &&Arc<Identity>| {
            let now = self.identities().named(&one.name).filter(|now| now.id == one.id && now.is_enabled());
            now.is_some_and(|now| manager.counts_as(now))
        };
        manager.identities.iter().filter(counts).find_map(|identity| match registry {
            Some(registry) => registry.assignments(identity).iter().find(|one| allows(one)).cloned(),
            None => self.assignments_everywhere(identity).find(allows),
        })
    }
}
