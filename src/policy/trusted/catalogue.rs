//! The catalogue: which kinds of services a registry can trust at all (S2-15 … S2-21).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::TrustedServiceDocuments;
use crate::policy::action::{Action, ActionSet};
use crate::policy::identity::IdentityKind;
use crate::policy::names;
use crate::policy::nearest::nearest;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

/// Which identities can be a service, and by what such a service may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServiceIdentity {
    /// Any that a provider vouches for. It needs no role: the catalogue says what it may do.
    None,
    /// One of the type `SystemAssigned`, with a role.
    SystemAssigned,
    /// Any that a provider vouches for, with a role.
    Any,
}

impl ServiceIdentity {
    /// Whether an identity of this kind can be such a service (S2-5).
    pub const fn takes(self, kind: IdentityKind) -> bool {
        match self {
            Self::None | Self::Any => true,
            Self::SystemAssigned => matches!(kind, IdentityKind::SystemAssigned),
        }
    }
}

impl fmt::Display for ServiceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::SystemAssigned => "systemAssigned",
            Self::Any => "any",
        })
    }
}

/// A service of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedService {
    pub name: Arc<str>,
    pub identity: ServiceIdentity,
    /// What it may do on every repository while it is trusted. Nothing, unless it needs no identity.
    pub permit: ActionSet,
    pub description: Arc<str>,
    /// `None` for a built-in one.
    pub origin: Option<Origin>,
}

/// The service that [`networkRuleBypassAllowedForTasks`](crate::policy::Properties) is about (E-5).
pub(super) const TASKS: &str = "tasks";
/// The one that `exportPolicy` ends.
pub(super) const IMPORT: &str = "import";

/// The services that were there in 2021 (S2-17 … S2-20).
const BUILT_IN: [(&str, ServiceIdentity, &str); 4] = [
    ("scanner", ServiceIdentity::None, "scans images for vulnerabilities"),
    (IMPORT, ServiceIdentity::None, "copies images to another registry"),
    (TASKS, ServiceIdentity::SystemAssigned, "runs builds and other tasks"),
    ("machineLearning", ServiceIdentity::SystemAssigned, "deploys and trains with images"),
];

/// All services of the installation, by name.
#[derive(Debug, Clone)]
pub struct Catalogue(BTreeMap<Arc<str>, Arc<TrustedService>>);

/// The built-in services.
impl Default for Catalogue {
    fn default() -> Self {
        let service = |(name, identity, description): (&str, _, &str)| TrustedService {
            name: name.into(),
            identity,
            permit: if identity == ServiceIdentity::None { reads() } else { ActionSet::EMPTY },
            description: description.into(),
            origin: None,
        };
        Self(BUILT_IN.map(service).into_iter().map(|one| (Arc::clone(&one.name), Arc::new(one))).collect())
    }
}

impl Catalogue {
    /// The built-in services and those of the files.
    pub fn compile(documents: &TrustedServiceDocuments, problems: &mut Problems) -> Self {
        let mut all = Self::default();
        for (name, document) in documents {
            if let Some(one) = all.0.values().find(|one| one.name.eq_ignore_ascii_case(name)) {
                let what = match &one.origin {
                    None => format!("`{}` is a built-in service", one.name),
                    Some(first) => format!("`{}` is declared at {first} already; case does not count", one.name),
                };
                problems.push(Problem::new(&name.origin, what).hint("choose another name"));
                continue;
            }
            if !names::TRUSTED_SERVICE.allows(name) {
                let what = format!("`{}` is not {} name", names::shortened(name), names::TRUSTED_SERVICE.what);
                problems.push(Problem::new(&name.origin, what).hint(names::TRUSTED_SERVICE.hint()));
                continue;
            }
            let permit = permit(&document.identity, document.permit.as_ref(), name, problems);
            let service = TrustedService {
                name: name.as_str().into(),
                identity: document.identity.value,
                permit,
                description: document.description.as_ref().map_or("", |text| text.as_str()).into(),
                origin: Some(name.origin.clone()),
            };
            all.0.insert(Arc::clone(&service.name), Arc::new(service));
        }
        all
    }

    /// The service of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<TrustedService>> {
        self.0.get(name)
    }

    /// All services, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TrustedService>> {
        self.0.values()
    }

    /// What to say of a service that is not in it: the one that may be meant, else all of them.
    pub fn hint(&self, name: &str) -> String {
        if let Some(meant) = nearest(name, self.0.keys().map(|name| &**name)) {
            return format!("did you mean `{meant}`?");
        }
        let known: Vec<_> = self.0.keys().map(|name| format!("`{name}`")).collect();
        format!("the services are {}; add others under `trustedServices` of the file", known.join(", "))
    }
}

fn reads() -> ActionSet {
    ActionSet::from(Action::ContentRead).with(Action::MetadataRead)
}

fn permit(
    identity: &At<ServiceIdentity>,
    written: Option<&At<Vec<At<String>>>>,
    name: &At<String>,
    problems: &mut Problems,
) -> ActionSet {
    let Some(written) = written else {
        if identity.value == ServiceIdentity::None {
            let what = format!("service `{}` needs no identity, so its `permit` must say what it may do", name.value);
            problems.push(Problem::new(&identity.origin, what).hint("write `permit: [content/read, metadata/read]`"));
        }
        return ActionSet::EMPTY;
    };
    if identity.value != ServiceIdentity::None {
        let what = "a service with an identity has roles, and no permit of its own";
        problems.push(Problem::new(&written.origin, what).hint("remove `permit`, or write `identity: none`"));
    }
    let mut permit = ActionSet::EMPTY;
    for text in &written.value {
        if let Some(action) = Action::parse(text).filter(|action| reads().contains(*action)) {
            permit = permit.with(action);
        } else {
            let what = format!("`{}` is nothing that a permit can have", names::shortened(text));
            let hint = "it can have `content/read` and `metadata/read`; for more assign a role";
            problems.push(Problem::new(&text.origin, what).hint(hint));
        }
    }
    if written.is_empty() {
        let what = "an empty permit lets the service do nothing";
        problems.push(Problem::new(&written.origin, what).hint("write `permit: [content/read, metadata/read]`"));
    }
    permit
}
