//! The virtual network rules of a registry, as its properties show and take them.

use super::error::ApiError;
use super::models::{VirtualNetworkRule, Word};
use crate::policy::document::NetworkAction;
use crate::policy::network::VirtualNetworks;
use crate::policy::stored::{StoredVirtualNetworkMatch, StoredVirtualNetworkRule};

const PLACE: &str = "properties.networkRuleSet.virtualNetworkRules";
/// The longest name of a rule that nobody has named.
const LONGEST_NAME: usize = 80;

/// As the API shows it.
pub(super) fn shown(rule: StoredVirtualNetworkRule) -> VirtualNetworkRule {
    let StoredVirtualNetworkRule { name, id, matches } = rule;
    VirtualNetworkRule { action: Word(NetworkAction::Allow), id, name: Some(name), matches: Some(matches) }
}

/// The rules that were sent, checked. Clients that know ARM's `id` and `action` only send rules back without the rest: each
/// keeps what the `known` one of its id or name has.
///
/// # Errors
/// 400, for what no file could say either.
pub(super) fn checked(
    sent: Vec<VirtualNetworkRule>,
    known: &[StoredVirtualNetworkRule],
) -> Result<Vec<StoredVirtualNetworkRule>, ApiError> {
    let completed = sent.into_iter().enumerate().map(|(position, rule)| completed(position, rule, known));
    let rules: Vec<_> = completed.collect::<Result<_, _>>()?;
    VirtualNetworks::of_stored(&rules).map_err(|error| ApiError::invalid(PLACE, error))?;
    Ok(rules)
}

fn completed(
    position: usize,
    rule: VirtualNetworkRule,
    known: &[StoredVirtualNetworkRule],
) -> Result<StoredVirtualNetworkRule, ApiError> {
    let invalid = |part: &str, message: &str| Err(ApiError::invalid(&format!("{PLACE}[{position}].{part}"), message));
    let VirtualNetworkRule { action, id, name, matches } = rule;
    if action.0 != NetworkAction::Allow {
        return invalid("action", "a virtual network rule allows; write an IP rule to deny");
    }
    let same_id = |one: &&StoredVirtualNetworkRule| match (&one.id, &id) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        _ => name.is_some() && Some(&one.name) == name.as_ref(),
    };
    let same = known.iter().find(same_id);
    let Some(matches) = matches.or_else(|| Some(same?.matches.clone())) else {
        return invalid("match", "who comes from it? write `match`, with `sourceNetwork` or `listener`");
    };
    let name = name.filter(|name| !name.is_empty()).or_else(|| Some(same?.name.clone()));
    let name = name.unwrap_or_else(|| usual_name(id.as_deref(), &matches));
    Ok(StoredVirtualNetworkRule { name, id, matches })
}

/// The name of the network and the subnet, else what the rule matches.
fn usual_name(id: Option<&str>, matches: &StoredVirtualNetworkMatch) -> String {
    let of_id = |id: &str| {
        let mut segments = id.rsplit('/').step_by(2);
        let (subnet, network) = (segments.next()?, segments.next()?);
        Some(format!("{network}-{subnet}"))
    };
    let text = id.and_then(of_id).unwrap_or_else(|| match matches {
        StoredVirtualNetworkMatch::SourceNetwork(network) => network.clone(),
        StoredVirtualNetworkMatch::Listener(name) => format!("listener-{name}"),
    });
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    text.chars().map(allowed).take(LONGEST_NAME).collect()
}
