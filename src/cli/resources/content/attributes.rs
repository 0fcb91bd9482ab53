//! The attributes of repositories, tags and manifests, as an update gives them. `unlock` is seawall's own.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::resources::arguments::Switch;
use crate::clock::{Clock, SystemClock};
use crate::policy::locks::Unlock;
use crate::policy::quantity::duration;

/// What is to be changed; what is not given stays.
#[derive(Debug, Args)]
pub(super) struct Attributes {
    /// Whether it may be deleted.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    delete_enabled: Option<Switch>,
    /// Whether it shows in lists.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    list_enabled: Option<Switch>,
    /// Whether it may be read.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    read_enabled: Option<Switch>,
    /// Whether it may be written or deleted.
    #[arg(long, value_enum, ignore_case = true, num_args = 0..=1, default_missing_value = "true")]
    write_enabled: Option<Switch>,
    /// Let the attributes set here count as true for this long, at most 24h: 30m, 2h. Then they count again.
    #[arg(long, value_name = "DURATION", requires = "reason", conflicts_with = "lock_again", value_parser = length)]
    unlock_for: Option<String>,
    /// Why it is unlocked, for the audit log.
    #[arg(long, value_name = "TEXT", requires = "unlock_for", value_parser = reason)]
    reason: Option<String>,
    /// End at once what --unlock-for began.
    #[arg(long)]
    lock_again: bool,
}

impl Attributes {
    /// The change as the registry reads it; `None`: there is none.
    pub(super) fn change(&self) -> Option<Value> {
        let switches = [
            ("deleteEnabled", self.delete_enabled),
            ("listEnabled", self.list_enabled),
            ("readEnabled", self.read_enabled),
            ("writeEnabled", self.write_enabled),
        ];
        let given = switches.into_iter().filter_map(|(name, switch)| Some((name.to_owned(), switch?.is_on().into())));
        let mut change: Map<String, Value> = given.collect();
        if let Some(duration) = &self.unlock_for {
            change.insert("unlock".to_owned(), json!({ "for": duration, "reason": self.reason }));
        }
        if self.lock_again {
            change.insert("unlock".to_owned(), Value::Null);
        }
        Some(Value::Object(change)).filter(|change| change != &json!({}))
    }
}

/// A time that the server takes.
fn length(text: &str) -> Result<String, String> {
    let length = duration(text)?;
    Unlock::begin(length, "any", "", SystemClock.now()).map(|_| text.to_owned()).map_err(str::to_owned)
}

/// A reason that the server takes.
fn reason(text: &str) -> Result<String, String> {
    let unlock = Unlock::begin(Unlock::LONGEST, text, "", SystemClock.now());
    unlock.map(|unlock| unlock.reason).map_err(str::to_owned)
}

/// What a change did not switch on, in a sentence. A command changes what commands have set; what a file locks stays locked.
pub(super) fn still_off(change: &Value, answer: &Value) -> Option<String> {
    let unlocks = change.get("unlock").is_some_and(Value::is_object);
    let is_wanted = |name: &str| unlocks || change.get(name) == Some(&Value::Bool(true));
    let of_answer = answer.get("changeableAttributes").and_then(Value::as_object)?;
    let off = of_answer.iter().filter(|(name, value)| **value == Value::Bool(false) && is_wanted(name));
    let names = off.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let kept = "a rule in the server's configuration file keeps it so, which no command changes.";
    (!names.is_empty()).then(|| format!("Still off: {names}; {kept}"))
}
