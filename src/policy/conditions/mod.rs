//! Network conditions: from where a token, an identity, a scope map or a role assignment counts (D15).
//!
//! They come after the network rules and can only take away: whoever the rules refuse is never asked about here. A
//! condition is judged by where the rules say that a source is, so that requests and explanations have one answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use thiserror::Error;

use super::document::NetworkConditionDocument;
use super::network::{NetworkClass, NetworkTable, Place, parse_network};
use super::origin::{At, Origin};
use super::problem::{Problem, Problems};
use super::stored::StoredNetworks;

/// In front of a connection's name.
pub(super) const PRIVATE_ENDPOINT: &str = "private endpoint ";
/// Every approved connection.
const ANY_PRIVATE_ENDPOINT: &str = "any private endpoint";
/// In front of a rule's name.
pub(super) const VIRTUAL_NETWORK: &str = "virtual network ";

/// Which network an entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Means {
    /// Sources that are public or of a virtual network. Behind a private endpoint an address is one of somebody's private
    /// network, so it never holds there.
    Addresses(IpNet),
    /// By the connection's name.
    PrivateEndpoint(Box<str>),
    AnyPrivateEndpoint,
    /// By the rule's name; whoever that rule admitted.
    VirtualNetwork(Box<str>),
}

impl Means {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty()).map(Box::from);
        if text == ANY_PRIVATE_ENDPOINT {
            return Ok(Self::AnyPrivateEndpoint);
        }
        if let Some(name) = named(PRIVATE_ENDPOINT) {
            return Ok(Self::PrivateEndpoint(name));
        }
        if let Some(name) = named(VIRTUAL_NETWORK) {
            return Ok(Self::VirtualNetwork(name));
        }
        parse_network(text).map(Self::Addresses).map_err(|invalid| {
            let words = "or `private endpoint NAME`, `any private endpoint`, `virtual network NAME`";
            (invalid.to_string(), format!("{}, {words}", invalid.hint()))
        })
    }

    /// Whether sources of `class` are meant, whatever their addresses.
    fn names(&self, class: &NetworkClass) -> bool {
        match (self, class) {
            (Self::AnyPrivateEndpoint, NetworkClass::PrivateEndpoint(_)) => true,
            (Self::PrivateEndpoint(wanted), NetworkClass::PrivateEndpoint(name))
            | (Self::VirtualNetwork(wanted), NetworkClass::VirtualNetwork(name)) => wanted.eq_ignore_ascii_case(name),
            (Self::Addresses(_) | Self::AnyPrivateEndpoint | Self::PrivateEndpoint(_) | Self::VirtualNetwork(_), _) => {
                false
            }
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addresses(network) => network.fmt(f),
            Self::PrivateEndpoint(name) => write!(f, "{PRIVATE_ENDPOINT}{name}"),
            Self::AnyPrivateEndpoint => f.write_str(ANY_PRIVATE_ENDPOINT),
            Self::VirtualNetwork(name) => write!(f, "{VIRTUAL_NETWORK}{name}"),
        }
    }
}

/// One entry, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    means: Means,
    origin: Origin,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.means, self.origin)
    }
}

/// Entries, found without asking each: there may be thousands, as of a provider's build machines.
#[derive(Debug)]
struct Entries {
    named: Box<[Entry]>,
    addresses: Box<[Entry]>,
    table: NetworkTable<usize>,
}

impl Entries {
    fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let is_named = |entry: &Entry| !matches!(entry.means, Means::Addresses(_));
        let (named, addresses): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_named);
        let mut networks = BTreeMap::new();
        for (position, entry) in addresses.iter().enumerate() {
            if let Means::Addresses(network) = entry.means {
                networks.entry(network).or_insert(position);
            }
        }
        Self { named: named.into(), addresses: addresses.into(), table: NetworkTable::new(&networks) }
    }

    fn all(&self) -> impl Iterator<Item = &Entry> {
        self.named.iter().chain(&self.addresses)
    }

    /// The entry that holds `place`: one of its name, else the longest prefix of its address.
    fn holding(&self, place: &Place) -> Option<&Entry> {
        if let Some(named) = self.named.iter().find(|entry| entry.means.names(&place.class)) {
            return Some(named);
        }
        if place.class.is_private_endpoint() {
            return None;
        }
        self.table.longest_match(place.address).and_then(|position| self.addresses.get(position))
    }
}

/// From where something counts. Immutable and shared.
#[derive(Debug)]
pub struct NetworkCondition(Kind);

#[derive(Debug)]
enum Kind {
    Lists(Box<Lists>),
    /// What the store has cannot be read, and none of it may be left out: from nowhere.
    Unreadable,
}

#[derive(Debug)]
struct Lists {
    /// Where there is such a list, what it does not hold is out.
    allow: Option<At<Entries>>,
    /// Comes before the other.
    deny: Option<Entries>,
}

impl NetworkCondition {
    /// What a file says; `None` where that is no condition, or has problems.
    pub(super) fn compile(document: Option<&NetworkConditionDocument>, problems: &mut Problems) -> Option<Arc<Self>> {
        let NetworkConditionDocument { allow, deny } = document?;
        if let Some(empty) = allow.as_ref().filter(|allow| allow.is_empty()) {
            let problem = Problem::new(&empty.origin, "`allow` is empty: it would count from nowhere");
            problems.push(problem.hint("name networks, or leave `allow` out to allow what `deny` does not hold"));
        }
        let allow = allow.as_ref().map(|written| At::new(entries(written, problems), written.origin.clone()));
        let deny = deny.as_ref().filter(|deny| !deny.is_empty()).map(|written| entries(written, problems));
        (allow.is_some() || deny.is_some()).then(|| Arc::new(Self(Kind::Lists(Box::new(Lists { allow, deny })))))
    }

    /// What the API has set: an empty list is none.
    ///
    /// # Errors
    /// A sentence, when any entry cannot be read.
    pub fn of_stored(set: &StoredNetworks) -> Result<Option<Self>, String> {
        let entry = |text: &String| Ok(Entry { means: parse(text)?, origin: Origin::store() });
        let list = |texts: &[String]| -> Result<_, String> {
            let entries = texts.iter().map(entry).collect::<Result<Vec<_>, String>>()?;
            Ok((!entries.is_empty()).then(|| Entries::new(entries)))
        };
        let allow = list(&set.allow)?.map(|entries| At::new(entries, Origin::store()));
        let deny = list(&set.deny)?;
        Ok((allow.is_some() || deny.is_some()).then(|| Self(Kind::Lists(Box::new(Lists { allow, deny })))))
    }

    /// From nowhere, because it cannot be read.
    pub(super) const fn unreadable() -> Self {
        Self(Kind::Unreadable)
    }

    /// Whether `place` is held.
    ///
    /// # Errors
    /// By what it is not.
    pub fn check(&self, place: &Place) -> Result<(), OutOfNetworks> {
        let why = match &self.0 {
            Kind::Unreadable => Why::Unreadable,
            Kind::Lists(lists) => match lists.deny.as_ref().and_then(|deny| deny.holding(place)) {
                Some(entry) => Why::Denied(entry.clone()),
                None => match &lists.allow {
                    Some(allow) if allow.holding(place).is_none() => Why::Unlisted(allow.origin.clone()),
                    Some(_) | None => return Ok(()),
                },
            },
        };
        Err(OutOfNetworks { place: Box::new(place.clone()), why })
    }

    /// Its entries in their one spelling; none of one that cannot be read.
    pub fn written(&self) -> StoredNetworks {
        let texts = |list: &Entries| list.all().map(|entry| entry.means.to_string()).collect();
        match &self.0 {
            Kind::Unreadable => StoredNetworks::default(),
            Kind::Lists(lists) => StoredNetworks {
                allow: lists.allow.as_ref().map(|allow| texts(allow)).unwrap_or_default(),
                deny: lists.deny.as_ref().map(texts).unwrap_or_default(),
            },
        }
    }
}

/// Whether `text` may be an entry.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn check_entry(text: &str) -> Result<(), String> {
    parse(text).map(|_| ())
}

fn parse(text: &str) -> Result<Means, String> {
    Means::parse(text).map_err(|(what, hint)| format!("{what}; {hint}"))
}

fn entries(written: &[At<String>], problems: &mut Problems) -> Entries {
    let entry = |text: &At<String>| match Means::parse(text) {
        Ok(means) => Some(Entry { means, origin: text.origin.clone() }),
        Err((what, hint)) => {
            problems.push(Problem::new(&text.origin, what).hint(hint));
            None
        }
    };
    Entries::new(written.iter().filter_map(entry).collect::<Vec<_>>())
}

/// Why something does not count where a request comes from. `Display` goes on from a sentence's subject.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct OutOfNetworks {
    place: Box<Place>,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Denied(Entry),
    /// No entry of `allow`, which is there, holds the place.
    Unlisted(Origin),
    Unreadable,
}

impl fmt::Display for OutOfNetworks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, why } = self;
        match why {
            Why::Denied(entry) => write!(f, "may not come from {place}: its networks deny {entry}"),
            Why::Unlisted(origin) => {
                write!(f, "may not come from {place}: no network that it is allowed holds it ({origin})")
            }
            Why::Unreadable => {
                write!(f, "may not come from {place}: what the store has as its networks cannot be read")
            }
        }
    }
}

#[cfg(test)]
mod tests;
