//! The trusted services of a registry: shown by the names of their identities, and set.

use std::sync::Arc;

use super::error::ApiError;
use super::models::{RegistryUpdateProperties, TrustedInstance};
use super::registries::{in_force, set};
use crate::policy::Registry;
use crate::policy::identity::{Guid, Identity};
use crate::policy::stored::{StoredRegistry, StoredTrustedService};
use crate::policy::trusted::MOST_INSTANCES;

const PROPERTY: &str = "properties.trustedServices";

pub(super) fn shown(registry: &Registry, stored: &StoredRegistry) -> Vec<TrustedInstance> {
    let name = |id: &Guid| registry.identities().with_principal_id(id).map(|one| one.name.to_string());
    let one = |one: &StoredTrustedService| TrustedInstance {
        service: one.service.clone(),
        identity: name(&one.principal_id),
        principal_id: Some(one.principal_id.to_string()),
    };
    all(registry, stored).iter().map(one).collect()
}

fn all(registry: &Registry, stored: &StoredRegistry) -> Arc<[StoredTrustedService]> {
    let set: Option<Arc<[_]>> = stored.trusted_services.as_deref().map(Arc::from);
    in_force(&registry.properties().trusted_services, set.as_ref())
}

/// Sets the whole list, of which every new one is checked as in a file. What is in it already may be sent again, whatever has
/// become of its service and its identity.
pub(super) fn apply(
    registry: &Registry,
    sent: &RegistryUpdateProperties,
    stored: &mut StoredRegistry,
) -> Result<(), ApiError> {
    let Some(sent) = &sent.trusted_services else { return Ok(()) };
    if sent.len() > MOST_INSTANCES {
        return Err(ApiError::invalid(PROPERTY, format!("a registry has at most {MOST_INSTANCES} trusted services")));
    }
    let before = all(registry, stored);
    let mut read: Vec<StoredTrustedService> = Vec::with_capacity(sent.len());
    for (position, one) in sent.iter().enumerate() {
        let instance = read_one(registry, &before, one, position)?;
        if read.contains(&instance) {
            let message = format!("the identity is trusted as '{}' twice", instance.service);
            return Err(ApiError::invalid(&format!("{PROPERTY}[{position}]"), message));
        }
        read.push(instance);
    }
    let mut kept = None;
    set("trustedServices", &registry.properties().trusted_services, Some(Arc::from(read)), &mut kept)?;
    if let Some(kept) = kept {
        stored.trusted_services = Some(kept.to_vec());
    }
    Ok(())
}

fn read_one(
    registry: &Registry,
    before: &[StoredTrustedService],
    sent: &TrustedInstance,
    position: usize,
) -> Result<StoredTrustedService, ApiError> {
    let target = |part: &str| format!("{PROPERTY}[{position}].{part}");
    let same = |known: &&StoredTrustedService| {
        known.service == sent.service && sent.principal_id.as_deref() == Some(known.principal_id.as_str())
    };
    if let Some(known) = before.iter().find(same) {
        return Ok(known.clone());
    }
    let catalogue = registry.trusted_catalogue();
    let service = catalogue.named(&sent.service).ok_or_else(|| {
        let message =
            format!("there is no service '{}' in the catalogue; {}", sent.service, catalogue.hint(&sent.service));
        ApiError::invalid(&target("service"), message)
    })?;
    let (identity, part) = identity(registry, sent);
    let identity = identity.ok_or_else(|| {
        let named = sent.principal_id.as_ref().or(sent.identity.as_ref()).map_or("", String::as_str);
        ApiError::invalid(&target(part), format!("there is no identity '{named}'"))
    })?;
    if !service.identity.takes(identity.kind) {
        let message = format!(
            "service '{}' takes a {} identity only, which '{}' is not",
            service.name, service.identity, identity.name
        );
        return Err(ApiError::invalid(&target(part), message));
    }
    Ok(StoredTrustedService { service: service.name.to_string(), principal_id: identity.principal_id.clone() })
}

/// The identity that is meant, and by which property it is: by a principal id, a name, or a principal id as the name.
fn identity<'r>(registry: &'r Registry, sent: &TrustedInstance) -> (Option<&'r Arc<Identity>>, &'static str) {
    let identities = registry.identities();
    let by_id = |id: &str| identities.with_principal_id(&Guid::parse(id)?);
    match (&sent.principal_id, &sent.identity) {
        (Some(id), _) => (by_id(id), "principalId"),
        (None, Some(name)) => (identities.named(name).or_else(|| by_id(name)), "identity"),
        (None, None) => (None, "identity"),
    }
}
