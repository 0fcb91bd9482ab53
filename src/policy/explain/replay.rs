//! What if: the requests of an audit log, asked again of another policy.
//!
//! Memory is bounded, however long the log is and whatever is in it: equal questions are judged once as long as they are
//! remembered, and changes beyond [`MOST_CHANGES`] kinds are counted only.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::question::{Question, Who};
use super::recorded::Recorded;
use super::step::{Stage, StepEffect, Unnoted};
use super::{Absent, Verdict, explain, judge};
use crate::clock::Timestamp;
use crate::policy::snapshot::PolicySnapshot;

/// How many answers are remembered: some 20 MB.
const MOST_ANSWERS: usize = 20_000;
/// How many changes are told apart.
const MOST_CHANGES: usize = 10_000;

/// A policy that is asked what others were asked.
#[derive(Debug)]
pub struct Replay<'p> {
    policy: &'p PolicySnapshot,
    /// The one registry that counts; without, all do.
    only: Option<String>,
    answers: HashMap<Recorded, Answer>,
    changes: HashMap<Kind, Tally>,
    skipped: BTreeMap<&'static str, u64>,
    records: u64,
    unchanged: u64,
    changed: u64,
    /// Of kinds that are too many to be told apart.
    beyond: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Those of the registry that counts.
    pub records: u64,
    pub unchanged: u64,
    pub changed: u64,
    /// Most records first.
    pub changes: Vec<Change>,
    /// Records among the changed ones that are in none of `changes`, because these are too many.
    #[serde(skip_serializing_if = "is_none")]
    pub beyond: u64,
    /// Records that are no decision of the policy, or cannot be asked again.
    pub skipped: Vec<Skipped>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_none(records: &u64) -> bool {
    *records == 0
}

/// Records that were decided otherwise than they would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub registry: String,
    pub principal: String,
    /// One address, or the network of all those that were seen: /24 or, of IPv6, /64.
    pub source: String,
    pub operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// `permit` or `deny`.
    pub from: &'static str,
    /// `permit`, `deny`, or `admitted`: the network rules admit the address, and who it was is not known.
    pub to: &'static str,
    /// Of the new decision, as in the audit log.
    pub code: &'static str,
    pub reason: String,
    /// Of what decides now, or of who it is about: `file:line:column`.
    pub place: String,
    pub records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// Records that were not asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub reason: &'static str,
    pub records: u64,
}

/// A remembered answer, and the moment for which it was judged.
#[derive(Debug)]
struct Answer {
    verdict: Verdict,
    judged: Timestamp,
}

/// Changes that are told as one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    registry: String,
    principal: String,
    network: IpNet,
    operation: String,
    repository: Option<String>,
    from: &'static str,
    to: &'static str,
    code: &'static str,
    reason: String,
}

#[derive(Debug)]
struct Tally {
    place: String,
    records: u64,
    /// While it is the only one.
    address: Option<IpAddr>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl<'p> Replay<'p> {
    /// Asks `policy`, about records of this registry where one is named.
    pub fn new(policy: &'p PolicySnapshot, only: Option<String>) -> Self {
        Self {
            policy,
            only,
            answers: HashMap::new(),
            changes: HashMap::new(),
            skipped: BTreeMap::new(),
            records: 0,
            unchanged: 0,
            changed: 0,
            beyond: 0,
        }
    }

    /// Asks again what `recorded` is the answer to.
    pub fn record(&mut self, recorded: Recorded) {
        let elsewhere = |only: &String| !recorded.registry.as_ref().is_some_and(|one| one.eq_ignore_ascii_case(only));
        if self.only.as_ref().is_some_and(elsewhere) {
            return;
        }
        self.records += 1;
        if let Err(reason) = self.replayed(recorded) {
            self.skip(reason);
        }
    }

    /// Counts a line that is no record.
    pub fn unreadable(&mut self) {
        self.records += 1;
        self.skip("the line is not JSON, or too long");
    }

    /// What came of it.
    pub fn finish(self) -> Replayed {
        let mut changes: Vec<_> = self.changes.into_iter().map(|(kind, tally)| Change::new(kind, tally)).collect();
        changes.sort_by(|one, other| other.records.cmp(&one.records).then_with(|| one.order().cmp(&other.order())));
        let skipped = self.skipped.into_iter().map(|(reason, records)| Skipped { reason, records });
        Replayed {
            records: self.records,
            unchanged: self.unchanged,
            changed: self.changed,
            changes,
            beyond: self.beyond,
            skipped: skipped.collect(),
        }
    }

    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    fn replayed(&mut self, recorded: Recorded) -> Result<(), &'static str> {
        let permitted = recorded.was_permitted()?;
        let time = recorded.time.ok_or("the time is not in the record")?;
        let essence = recorded.essence();
        let known = self.answers.get(&essence).filter(|answer| answer.holds_at(time));
        if known.is_some_and(|answer| answer.verdict.allowed == permitted) {
            self.unchanged += 1;
            return Ok(());
        }
        let known = known.map(|answer| answer.verdict.clone());
        let (registry, question) = essence.question()?;
        let question = self.with_who_is_left(registry, question);
        let is_new = known.is_none();
        let verdict = known.unwrap_or_else(|| self.verdict(registry, &question, time));
        if verdict.allowed == permitted {
            self.unchanged += 1;
        } else {
            self.changed += 1;
            self.note_change(&essence, &question, &verdict, (permitted, time));
        }
        if is_new {
            self.remember(essence, Answer { verdict, judged: time });
        }
        Ok(())
    }

    fn remember(&mut self, essence: Recorded, answer: Answer) {
        if self.answers.len() >= MOST_ANSWERS && !self.answers.contains_key(&essence) {
            self.answers.clear();
        }
        self.answers.insert(essence, answer);
    }

    /// Whoever was several identities is those that are left of them.
    fn with_who_is_left(&self, registry: &str, mut question: Question) -> Question {
        if let (Who::Identities(names), Some(registry)) = (&mut question.who, self.policy.registry_named(registry)) {
            let is_known = |name: &String| registry.identities().named(name).is_some();
            if names.iter().any(is_known) {
                names.retain(is_known);
            }
        }
        question
    }

    fn verdict(&self, registry: &str, question: &Question, time: Timestamp) -> Verdict {
        let judged = match self.policy.registry_named(registry) {
            Some(registry) => judge(registry, question, time, &mut Unnoted),
            None => Err(Absent { code: "unknown_host", text: format!("there is no registry `{registry}`") }),
        };
        judged.unwrap_or_else(|Absent { code, text }| Verdict {
            allowed: false,
            code,
            reason: text,
            instead: None,
            turns: None,
        })
    }

    fn note_change(
        &mut self,
        recorded: &Recorded,
        question: &Question,
        verdict: &Verdict,
        (permitted, time): (bool, Timestamp),
    ) {
        let Some(address) = recorded.source_address else { return };
        let registry = recorded.registry.clone().unwrap_or_default();
        let reason = match verdict.instead {
            Some(instead) => format!("{}; {instead}", verdict.reason),
            None => verdict.reason.clone(),
        };
        let kind = Kind {
            principal: question.who.to_string(),
            network: neighbours(address),
            operation: recorded.operation.clone().unwrap_or_default(),
            repository: recorded.repository.clone(),
            from: word(permitted),
            to: if verdict.allowed && question.who == Who::Unknown { "admitted" } else { word(verdict.allowed) },
            code: verdict.code,
            reason,
            registry: registry.clone(),
        };
        if let Some(tally) = self.changes.get_mut(&kind) {
            tally.add(address, time);
        } else if self.changes.len() < MOST_CHANGES {
            let place = self.place(&registry, question, time);
            let tally = Tally { place, records: 1, address: Some(address), first: Some(time), last: Some(time) };
            self.changes.insert(kind, tally);
        } else {
            self.beyond += 1;
        }
    }

    /// Where the rule is that decides, or, where none does, what was looked at last.
    fn place(&self, registry: &str, question: &Question, time: Timestamp) -> String {
        let Ok(explanation) = explain(self.policy, registry, question, time) else { return String::new() };
        let (effect, network) = if explanation.allowed {
            (StepEffect::Allows, question.who == Who::Unknown)
        } else {
            (StepEffect::Denies, explanation.code == super::NETWORK_REFUSED)
        };
        let mut steps = explanation.steps.iter().rev().filter(|step| (step.stage == Stage::Network) == network);
        let decisive = steps.clone().find(|step| step.effect == effect).or_else(|| steps.next());
        decisive.map(|step| step.place.clone()).unwrap_or_default()
    }
}

impl Answer {
    /// Whether no password has ended, or not yet ended, between the moment it was judged for and `time`.
    fn holds_at(&self, time: Timestamp) -> bool {
        self.verdict.turns.is_none_or(|turns| (self.judged < turns) == (time < turns))
    }
}

impl Tally {
    fn add(&mut self, address: IpAddr, time: Timestamp) {
        self.records += 1;
        self.address = self.address.filter(|one| *one == address);
        self.first = self.first.map(|first| first.min(time));
        self.last = self.last.map(|last| last.max(time));
    }
}

impl Change {
    fn new(kind: Kind, tally: Tally) -> Self {
        let Kind { registry, principal, network, operation, repository, from, to, code, reason } = kind;
        let Tally { place, records, address, first, last } = tally;
        let source = address.map_or_else(|| network.to_string(), |address| address.to_string());
        Self { registry, principal, source, operation, repository, from, to, code, reason, place, records, first, last }
    }

    /// Of changes with as many records.
    fn order(&self) -> [&str; 6] {
        let repository = self.repository.as_deref().unwrap_or_default();
        [&self.registry, &self.principal, &self.source, &self.operation, repository, &self.reason]
    }
}

const fn word(permitted: bool) -> &'static str {
    if permitted { "permit" } else { "deny" }
}

/// The addresses that are told as one: /24 or, of IPv6, /64.
fn neighbours(address: IpAddr) -> IpNet {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new(address, prefix).map_or_else(|_| address.into(), |network| network.trunc())
}
