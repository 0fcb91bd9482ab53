//! What a decision considers, one thing at a time, in the order in which it does.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::oci::RepositoryName;
use crate::policy::action::{Action, ActionSet};
use crate::policy::conditions::{NetworkCondition, OutOfNetworks};
use crate::policy::decide::{Denial, anonymous_origin};
use crate::policy::network::Place;
use crate::policy::origin::Origin;
use crate::policy::principal::{Principal, Right};
use crate::policy::registry::Registry;

/// Where a decision leaves what it considers. One that is enforced keeps nothing and pays nothing for it.
pub(in crate::policy) trait Notes {
    /// Keeps the steps, if it keeps any.
    fn note<I: IntoIterator<Item = Step>>(&mut self, steps: impl FnOnce() -> I);

    /// What refuses everybody else on his network did not decide.
    fn overrule(&mut self) {}
}

/// Keeps nothing.
pub(in crate::policy) struct Unnoted;

impl Notes for Unnoted {
    fn note<I: IntoIterator<Item = Step>>(&mut self, _steps: impl FnOnce() -> I) {}
}

impl Notes for Vec<Step> {
    fn note<I: IntoIterator<Item = Step>>(&mut self, steps: impl FnOnce() -> I) {
        self.extend(steps());
    }

    fn overrule(&mut self) {
        let denies = |step: &&mut Step| (step.stage, step.effect) == (Stage::Network, StepEffect::Denies);
        self.iter_mut().filter(denies).for_each(Step::overruled);
    }
}

/// What part of the decision a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Network,
    Credential,
    Rights,
}

/// What a step does to the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepEffect {
    Allows,
    Denies,
    /// Neither: it is about something else, or another rule comes before it.
    Nothing,
}

/// One thing that was considered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExplainedStep)]
pub struct Step {
    pub stage: Stage,
    /// The rule, or the property, by its name.
    pub rule: String,
    /// `file:line:column`, or what else it comes from.
    pub place: String,
    pub effect: StepEffect,
    /// What it says, for people.
    pub says: String,
}

impl Step {
    /// A step at a place.
    pub(super) fn new(
        stage: Stage,
        rule: impl Into<String>,
        place: &Origin,
        effect: StepEffect,
        says: impl Into<String>,
    ) -> Self {
        Self { stage, rule: rule.into(), place: place.to_string(), effect, says: says.into() }
    }

    /// It would deny, and something else decides.
    fn overruled(&mut self) {
        self.effect = StepEffect::Nothing;
        self.says.push_str("; not for trusted services");
    }

    /// Whether the principal, with the credential it has, counts.
    pub(in crate::policy) fn accepted(
        registry: &Registry,
        principal: &Principal,
        accepted: &Result<(), Denial>,
    ) -> [Self; 1] {
        let (effect, says) = match accepted {
            Ok(()) => (StepEffect::Allows, "is accepted".to_owned()),
            Err(denial) => (StepEffect::Denies, denial.to_string()),
        };
        [Self::new(Stage::Credential, called(principal), &place(registry, principal), effect, says)]
    }

    /// What the network conditions of the principal, or of each of its identities, say.
    pub(in crate::policy) fn conditions(registry: &Registry, principal: &Principal, at: &Place) -> Vec<Self> {
        // Of several identities one that does not count denies nothing.
        let denies = if principal.counts_at(at).is_ok() { StepEffect::Nothing } else { StepEffect::Denies };
        let step = |(name, networks): (&Arc<str>, &NetworkCondition)| {
            let place = match principal {
                Principal::Identity(_) => registry.identities().named(name).map(|one| one.origin.clone()),
                Principal::Anonymous(_) | Principal::Admin(_) | Principal::Token(_) => None,
            };
            let place = place.unwrap_or_else(|| self::place(registry, principal));
            let (effect, says) = match networks.check(at) {
                Ok(()) => (StepEffect::Nothing, format!("it may come from {at}")),
                Err(out) => (denies, format!("it {out}")),
            };
            Self::new(Stage::Credential, format!("networks of {name}"), &place, effect, says)
        };
        principal.conditions().map(step).collect()
    }

    /// That `right` gives nothing there.
    pub(in crate::policy) fn out_of_networks(registry: &Registry, right: Right<'_>, out: &OutOfNetworks) -> [Self; 1] {
        let (rule, place) = named(registry, right);
        [Self::new(Stage::Rights, rule, &place, StepEffect::Nothing, format!("gives nothing: whoever has it {out}"))]
    }

    /// Whether `right` shows the catalogue.
    pub(in crate::policy) fn catalog(registry: &Registry, right: Right<'_>, lists: bool) -> [Self; 1] {
        let (effect, says) = match (lists, right) {
            (true, right) if right.lists_whole_catalog() => (StepEffect::Allows, "shows the names of all repositories"),
            (true, _) => (StepEffect::Allows, "shows the names of the repositories that may be read"),
            (false, Right::ScopeMap(_)) => (StepEffect::Nothing, "no scope map shows the names of all repositories"),
            (false, Right::Anonymous(_) | Right::Admin(_) | Right::Role(_) | Right::Trusted(_)) => {
                (StepEffect::Nothing, "does not show the names of all repositories")
            }
        };
        let (rule, place) = named(registry, right);
        [Self::new(Stage::Rights, rule, &place, effect, says)]
    }

    /// What an access token was issued for on `repository`, where one of the `wanted` is needed: it carries no more.
    pub(in crate::policy) fn issued(repository: &RepositoryName, issued: ActionSet, wanted: ActionSet) -> [Self; 1] {
        let effect = if issued.intersects(wanted) { StepEffect::Nothing } else { StepEffect::Denies };
        let says =
            format!("was issued for {} on {repository}; needed: {}", listed(issued, ", "), listed(wanted, " or "));
        [Self::access_token(effect, says)]
    }

    /// Whether an access token was issued for the catalogue.
    pub(in crate::policy) fn issued_for_catalog(issued: bool) -> [Self; 1] {
        [if issued {
            Self::access_token(StepEffect::Nothing, "was issued for the catalog")
        } else {
            Self::access_token(StepEffect::Denies, "was not issued for the catalog")
        }]
    }

    fn access_token(effect: StepEffect, says: impl Into<String>) -> Self {
        Self::new(Stage::Credential, "access token", &Origin::new("the token itself", 0, 0), effect, says)
    }

    /// What `right` gives on `repository`, where one of the `wanted` is needed. Of a scope map, every rule that covers it.
    pub(in crate::policy) fn repository(
        registry: &Registry,
        right: Right<'_>,
        repository: &RepositoryName,
        gives: ActionSet,
        wanted: ActionSet,
    ) -> Vec<Self> {
        let (rule, place) = named(registry, right);
        let step = |pattern: &str, place: &Origin, gives: ActionSet| {
            let effect = if gives.intersects(wanted) { StepEffect::Allows } else { StepEffect::Nothing };
            let says = format!("gives {} on {repository}; needed: {}", listed(gives, ", "), listed(wanted, " or "));
            Self::new(Stage::Rights, format!("{rule}{pattern}"), place, effect, says)
        };
        let Right::ScopeMap(map) = right else { return vec![step("", &place, gives)] };
        let covering: Vec<_> = map.covering(repository).collect();
        if covering.is_empty() {
            let says = format!("none of its {} patterns covers {repository}", map.rules().count());
            return vec![Self::new(Stage::Rights, rule, &place, StepEffect::Nothing, says)];
        }
        let of_rule = |one: &crate::policy::ScopeRule| {
            let place = if one.origin.line == 0 { &place } else { &one.origin };
            step(&format!(", pattern {}", one.pattern), place, one.actions)
        };
        covering.into_iter().map(of_rule).collect()
    }
}

/// What an explanation calls a principal.
fn called(principal: &Principal) -> String {
    match principal {
        Principal::Anonymous(_) => "anonymous".to_owned(),
        Principal::Admin(admin) => format!("admin account {}", admin.name),
        Principal::Token(held) => format!("token {}", held.token.name),
        Principal::Identity(held) if held.subject().is_some() => format!("identity {}", held.identities.join(", ")),
        Principal::Identity(held) => format!("service principal {}", held.name),
    }
}

/// Where somebody is declared.
pub(super) fn place(registry: &Registry, principal: &Principal) -> Origin {
    match principal {
        Principal::Anonymous(_) => registry.properties().anonymous_pull_enabled.origin(),
        Principal::Admin(admin) => admin.origin.clone(),
        Principal::Token(held) => held.token.origin.clone(),
        Principal::Identity(held) => {
            let first = held.identities.first().and_then(|name| registry.identities().named(name));
            first.map_or_else(Origin::store, |identity| identity.origin.clone())
        }
    }
}

fn named(registry: &Registry, right: Right<'_>) -> (String, Origin) {
    match right {
        Right::Anonymous(None) => ("anonymous pull".to_owned(), anonymous_origin(registry)),
        Right::Anonymous(Some(some)) => {
            let patterns: Vec<_> = some.iter().map(ToString::to_string).collect();
            (format!("anonymous pull of {}", patterns.join(", ")), anonymous_origin(registry))
        }
        Right::Admin(admin) => ("the admin account".to_owned(), admin.origin.clone()),
        Right::ScopeMap(map) => (format!("scope map {}", map.name), map.origin.clone()),
        Right::Trusted(held) => (format!("trusted service {}", held.service.name), held.origin.clone()),
        Right::Role(held) => {
            let on = if held.everywhere { " on all registries" } else { "" };
            let confined = held.repositories.as_ref().map(|patterns| {
                let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
                format!(", on {}", patterns.join(", "))
            });
            let rule = format!("{} of identity {}{on}{}", held.grants, held.identity, confined.unwrap_or_default());
            (rule, held.origin.clone())
        }
    }
}

fn listed(actions: ActionSet, between: &str) -> String {
    match actions.iter().map(Action::name).collect::<Vec<_>>() {
        names if names.is_empty() => "nothing".to_owned(),
        names => names.join(between),
    }
}
