//! Watches for passwords that are about to expire: a gauge to alert on, and one audit event for each step nearer.
//!
//! Once an hour, because time passes, and within a minute of a new policy, so that an alert ends when its cause does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::current::Current;
use crate::policy::PolicySnapshot;
use crate::policy::credential::CredentialId;
use crate::policy::expiry::{Ending, Nearness, endings};
use crate::telemetry::audit::{AuditLog, PasswordExpiring, PrincipalRecord};
use crate::telemetry::metrics::Metrics;

const LOOK_EVERY: Duration = Duration::from_mins(1);
const COUNT_EVERY: Duration = Duration::from_hours(1);

/// What was told so far, and where to tell more.
pub(super) struct ExpiryWatch {
    current: Arc<Current>,
    audit: AuditLog,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// How near each expiry was when it was told last. Only of passwords that are still there.
    told: HashMap<CredentialId, Nearness>,
    /// The policy that was counted last, and when.
    counted: Option<(u64, Duration)>,
}

impl ExpiryWatch {
    pub(super) fn new(current: Arc<Current>, audit: AuditLog, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Self { current, audit, metrics, clock, told: HashMap::new(), counted: None }
    }

    /// Goes on until it is dropped.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        let Some(policy) = self.current.load() else { return };
        let ticks = self.clock.ticks();
        let fresh = self
            .counted
            .is_some_and(|(version, at)| version == policy.version() && ticks.saturating_sub(at) < COUNT_EVERY);
        if !fresh {
            self.counted = Some((policy.version(), ticks));
            self.count(&policy, self.clock.now());
        }
    }

    fn count(&mut self, policy: &PolicySnapshot, now: Timestamp) {
        let before = std::mem::take(&mut self.told);
        self.metrics.forget_passwords_expiring();
        for registry in policy.registries() {
            let endings = endings(registry, now);
            for near in Nearness::ALL {
                let counts = |ending: &&Ending| counts_as(ending.near, near);
                let passwords = endings.iter().filter(counts).count();
                self.metrics.passwords_expiring(&registry.name, near.as_str(), passwords);
            }
            for ending in endings {
                if before.get(&ending.id) != Some(&ending.near) {
                    self.audit.password_expiring(&event(&registry.name, &ending, now));
                }
                self.told.insert(ending.id, ending.near);
            }
        }
    }
}

/// What ends within a day ends within a week too; what has ended does not end any more.
fn counts_as(found: Nearness, near: Nearness) -> bool {
    found == near || (found != Nearness::Ended && found < near)
}

fn event(registry: &str, ending: &Ending, now: Timestamp) -> PasswordExpiring {
    PasswordExpiring {
        time: now,
        registry: registry.to_owned(),
        principal: PrincipalRecord::new(ending.kind, Some(ending.user.to_string())),
        credential: ending.password.to_string(),
        expiry: ending.expiry,
        within: ending.near.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::clock::ManualClock;
    use crate::policy::{Compiler, StoredPolicy, compile};
    use crate::provider::MachineReferences;
    use crate::secret::HashKey;
    use crate::telemetry::audit::AuditSink;

    const DAY: i64 = 24 * 60 * 60;
    /// 2026-01-01T00:00:00Z.
    const NOW: i64 = 1_767_225_600;

    fn publish(current: &Current, version: u64, ends: &[(&str, &str)]) {
        let hash = format!("$seawall-hmac-sha256${}", "A".repeat(43));
        let token = |(name, expiry): &(&str, &str)| {
            format!(
                "      {name}: {{ scopeMap: _repositories_pull, passwords: \
                 [ {{ name: password1, hash: {hash}, expiry: {expiry} }} ] }}\n"
            )
        };
        let tokens = ends.iter().map(token).collect::<Vec<_>>().concat();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seawall.yaml");
        let text = format!(
            "version: 1\nlisteners: [ {{ name: public, address: 127.0.0.1:0 }} ]\nregistries:\n  myregistry:\n    \
             loginServer: registry.example.com\n    upstream: {{ url: http://127.0.0.1:5000 }}\n    tokens:\n{tokens}"
        );
        fs::write(&path, text).unwrap();
        let document = crate::config::read(&path).policy.and_then(crate::provider::reader::Draft::whole).unwrap();
        let references = MachineReferences::default();
        let now = Timestamp::from_second(NOW).unwrap();
        let compiler = Compiler { hash_key: &HashKey::from_bytes([0; 32]), references: &references, now };
        let declared = compile(&document, compiler).0.unwrap();
        current.publish(PolicySnapshot::assemble(version, &declared, &StoredPolicy::default(), None));
    }

    #[test]
    fn each_step_nearer_is_told_once_and_the_gauge_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (current, metrics) = (Arc::new(Current::new()), Arc::new(Metrics::new().unwrap()));
        let clock = Arc::new(ManualClock::at(NOW));
        let audit = AuditLog::open(AuditSink::File(path.clone()), Arc::clone(&metrics), clock.clone()).unwrap();
        let mut watch = ExpiryWatch::new(Arc::clone(&current), audit.clone(), Arc::clone(&metrics), clock.clone());
        let gauge = |within: &str| {
            let name = format!("seawall_passwords_expiring{{registry=\"myregistry\",within=\"{within}\"}} ");
            let text = metrics.render().unwrap();
            text.lines().find_map(|line| line.strip_prefix(name.as_str())?.parse::<u32>().ok())
        };
        let gauges = || ["ended", "1d", "7d", "30d"].map(gauge);

        watch.look();
        assert_eq!(gauges(), [None; 4], "no policy yet");
        publish(&current, 1, &[("soon-user", "2026-01-10T00:00:00Z"), ("late-user", "2027-01-01T00:00:00Z")]);
        watch.look();
        watch.look();
        assert_eq!(gauges(), [Some(0), Some(0), Some(0), Some(1)]);
        clock.advance(3 * DAY);
        watch.look();
        assert_eq!(gauges(), [Some(0), Some(0), Some(1), Some(1)]);
        clock.advance(5 * DAY + 1);
        watch.look();
        assert_eq!(gauges(), [Some(0), Some(1), Some(1), Some(1)]);
        clock.advance(DAY);
        watch.look();
        assert_eq!(gauges(), [Some(1), Some(0), Some(0), Some(0)]);
        // The same time, another policy: at once, not after an hour.
        publish(&current, 2, &[("late-user", "2027-01-01T00:00:00Z")]);
        watch.look();
        assert_eq!(gauges(), [Some(0); 4]);
        assert!(watch.told.is_empty());

        audit.close();
        let events: Vec<serde_json::Value> =
            fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = events.iter().map(|event| event["within"].as_str().unwrap()).collect();
        assert_eq!(told, ["30d", "7d", "1d", "ended"]);
        assert!(events.iter().all(|event| event["principal"]["name"] == "soon-user"));
    }
}
