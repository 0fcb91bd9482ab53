//! Whom one registry trusts, and whether somebody is such a one.

use std::fmt;
use std::sync::Arc;

use super::catalogue::{IMPORT, TASKS};
use super::{Catalogue, ServiceIdentity, TrustedInstanceDocuments, TrustedService};
use crate::policy::conditions::OutOfNetworks;
use crate::policy::document::{ExportStatus, NetworkRuleBypassOptions};
use crate::policy::identities::Identities;
use crate::policy::identity::{Guid, Identity};
use crate::policy::names;
use crate::policy::network::Place;
use crate::policy::origin::Origin;
use crate::policy::principal::Principal;
use crate::policy::problem::{Problem, Problems};
use crate::policy::registry::Registry;
use crate::policy::stored::StoredTrustedService;

/// How many instances a registry trusts at most.
pub const MOST_INSTANCES: usize = 200;

/// An identity that is trusted as a service (S2-13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedInstance {
    pub service: Arc<TrustedService>,
    /// The principal id of the identity: one that is made again under its name is another.
    pub principal_id: Guid,
    pub origin: Origin,
}

impl fmt::Display for TrustedInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trusted service {} ({})", self.service.name, self.origin)
    }
}

/// All that one registry trusts. None where it cannot be read.
#[derive(Debug, Clone, Default)]
pub struct TrustedServices(Arc<[Arc<TrustedInstance>]>);

impl TrustedServices {
    /// Compiles what a file says.
    pub(in crate::policy) fn compile(
        documents: &TrustedInstanceDocuments,
        catalogue: &Catalogue,
        (known, identities): (&[&str], &Identities),
        problems: &mut Problems,
    ) -> Self {
        if let Some(beyond) = documents.get(MOST_INSTANCES) {
            let what = format!("a registry has at most {MOST_INSTANCES} trusted services");
            problems.push(Problem::new(&beyond.origin, what));
        }
        let mut instances: Vec<Arc<TrustedInstance>> = Vec::new();
        for document in &documents.value {
            let service = catalogue.named(&document.service);
            if service.is_none() {
                let what = format!("there is no service `{}` in the catalogue", names::shortened(&document.service));
                problems.push(Problem::new(&document.service.origin, what).hint(catalogue.hint(&document.service)));
            }
            if !known.contains(&document.identity.as_str()) {
                let otherwise = "declare it under `identities`";
                let known = known.iter().copied();
                problems.push(crate::policy::compile::missing("identity", &document.identity, known, otherwise));
            }
            let Some((service, identity)) = service.zip(identities.named(&document.identity)) else { continue };
            if !service.identity.takes(identity.kind) {
                problems.push(Problem::new(&document.identity.origin, wrong_kind(service, identity)).hint(
                    "give the identity the type `SystemAssigned`, or trust it as a service with `identity: any`",
                ));
            }
            let same = |other: &&Arc<TrustedInstance>| {
                other.service.name == service.name && other.principal_id == identity.principal_id
            };
            if let Some(first) = instances.iter().find(same) {
                let what = format!("`{}` is trusted as `{}` already", identity.name, service.name);
                problems.push(Problem::new(&document.origin, what).hint(format!("the other is at {}", first.origin)));
            }
            instances.push(Arc::new(TrustedInstance {
                service: Arc::clone(service),
                principal_id: identity.principal_id.clone(),
                origin: document.origin.clone(),
            }));
        }
        Self(instances.into())
    }

    /// What the API has set. A service that no file declares any more is no reason to trust anybody.
    pub(in crate::policy) fn of_stored(stored: &[StoredTrustedService], catalogue: &Catalogue) -> Self {
        let instance = |one: &StoredTrustedService| {
            Some(Arc::new(TrustedInstance {
                service: Arc::clone(catalogue.named(&one.service)?),
                principal_id: one.principal_id.clone(),
                origin: Origin::store(),
            }))
        };
        Self(stored.iter().filter_map(instance).collect())
    }

    /// As the API shows them.
    pub(in crate::policy) fn written(&self) -> Arc<[StoredTrustedService]> {
        let written = |one: &Arc<TrustedInstance>| StoredTrustedService {
            service: one.service.name.to_string(),
            principal_id: one.principal_id.clone(),
        };
        self.0.iter().map(written).collect()
    }

    /// The instances.
    pub fn instances(&self) -> &[Arc<TrustedInstance>] {
        &self.0
    }
}

/// Why somebody does not pass as a trusted service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// The registry trusts nobody.
    Nobody,
    /// `networkRuleBypassOptions` is `None` (S2-22, S2-38).
    SwitchedOff,
    /// With virtual network rules the bypass has no effect (S2-6).
    VirtualNetworks,
    /// `networkRuleBypassAllowedForTasks` is off (E-5).
    NotForTasks,
    /// `exportPolicy` is `disabled`: nothing is imported from here (B.4-13).
    NotExported,
    /// Nobody vouches for him: he has a password, or no name.
    Unvouched,
    /// He is somebody else.
    Stranger,
    /// He is not who he is from there.
    OutOfNetworks(Box<OutOfNetworks>),
    /// The catalogue wants another kind of identity for this service.
    WrongKind(Arc<TrustedService>),
    /// It is not known who it is: what was presented says nothing, or nothing was.
    Unproven(&'static str),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("the registry has no trusted services"),
            Self::SwitchedOff => f.write_str("trusted services do not pass: networkRuleBypassOptions is None"),
            Self::VirtualNetworks => f.write_str("trusted services do not pass where there are virtual network rules"),
            Self::NotExported => f.write_str("imports do not pass: exportPolicy is disabled"),
            Self::OutOfNetworks(out) => write!(f, "he {out}"),
            Self::NotForTasks => f.write_str("tasks do not pass: networkRuleBypassAllowedForTasks is false"),
            Self::Unvouched => f.write_str("only whom an identity provider vouches for can be a trusted service"),
            Self::Stranger => f.write_str("none of its identities is a trusted service of this registry"),
            Self::WrongKind(service) => {
                write!(f, "trusted service {} takes a {} identity only", service.name, service.identity)
            }
            Self::Unproven(code) => write!(f, "no trusted service proved itself ({code})"),
        }
    }
}

impl Registry {
    /// The same, with the reason.
    ///
    /// # Errors
    /// The condition that is not met.
    pub fn trust(&self, principal: &Principal, place: &Place) -> Result<&Arc<TrustedInstance>, Distrust> {
        self.trusts_anybody()?;
        let Principal::Identity(held) = principal else { return Err(Distrust::Unvouched) };
        if held.subject().is_none() {
            return Err(Distrust::Unvouched);
        }
        let mut why = Distrust::Stranger;
        for identity in held.identities.iter().filter_map(|name| self.identities().named(name)) {
            if let Err(out) = held.counts_as(&identity.name, place) {
                why = Distrust::OutOfNetworks(Box::new(out));
                continue;
            }
            for instance in self.instances_of(identity) {
                match self.takes(instance, identity) {
                    Ok(()) => return Ok(instance),
                    Err(distrust) => why = distrust,
                }
            }
        }
        Err(why)
    }

    /// Whether anybody could be trusted here, whoever he is.
    ///
    /// # Errors
    /// The condition that is not met.
    pub fn trusts_anybody(&self) -> Result<(), Distrust> {
        let options = self.properties().network_rule_bypass_options.value;
        match options {
            _ if self.trusted_services().instances().is_empty() => Err(Distrust::Nobody),
            NetworkRuleBypassOptions::None => Err(Distrust::SwitchedOff),
            NetworkRuleBypassOptions::AzureServices if self.has_virtual_network_rules() => {
                Err(Distrust::VirtualNetworks)
            }
            NetworkRuleBypassOptions::AzureServices => Ok(()),
        }
    }

    /// As what these identities are trusted and may do something without a role. They must be vouched for, and enabled.
    pub(in crate::policy) fn permits_of(&self, identities: &[&Arc<Identity>]) -> Vec<Arc<TrustedInstance>> {
        if self.trusts_anybody().is_err() {
            return Vec::new();
        }
        let trusted = |identity: &Identity| {
            let instances = self.instances_of(identity).filter(|one| !one.service.permit.is_empty());
            instances.filter(|one| self.takes(one, identity).is_ok()).map(Arc::clone).collect::<Vec<_>>()
        };
        identities.iter().flat_map(|identity| trusted(identity)).collect()
    }

    fn instances_of(&self, identity: &Identity) -> impl Iterator<Item = &Arc<TrustedInstance>> {
        self.trusted_services().instances().iter().filter(move |one| one.principal_id == identity.principal_id)
    }

    fn takes(&self, instance: &TrustedInstance, identity: &Identity) -> Result<(), Distrust> {
        let service = &instance.service;
        if !identity.is_enabled() {
            return Err(Distrust::Stranger);
        }
        if !service.identity.takes(identity.kind) {
            return Err(Distrust::WrongKind(Arc::clone(service)));
        }
        if &*service.name == TASKS && !self.properties().network_rule_bypass_allowed_for_tasks.value.0 {
            return Err(Distrust::NotForTasks);
        }
        if &*service.name == IMPORT && self.properties().export_policy.value == ExportStatus::Disabled {
            return Err(Distrust::NotExported);
        }
        Ok(())
    }
}

fn wrong_kind(service: &TrustedService, identity: &Identity) -> String {
    let wanted = match service.identity {
        ServiceIdentity::SystemAssigned => "a system-assigned identity",
        ServiceIdentity::None | ServiceIdentity::Any => "another identity",
    };
    format!("service `{}` takes {wanted}, which `{}` is not", service.name, identity.name)
}
