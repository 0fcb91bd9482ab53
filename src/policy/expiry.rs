//! Passwords that are about to expire, or have: what operators are warned of before a pipeline stands still.

use std::sync::Arc;
use std::time::Duration;

use super::credential::CredentialId;
use super::document::TokenStatus;
use super::identity::Identity;
use super::principal::Password;
use super::registry::Registry;
use crate::clock::Timestamp;

/// How near an expiry is. Ordered: the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearness {
    /// It has passed: the password is refused.
    Ended,
    /// Within 24 hours.
    Day,
    /// Within 7 days.
    Week,
    /// Within 30 days.
    Month,
}

impl Nearness {
    /// All of them, the nearest first.
    pub const ALL: [Self; 4] = [Self::Ended, Self::Day, Self::Week, Self::Month];

    /// The word in metrics and audit events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// How near `expiry` is at `now`; nothing when it is more than 30 days away.
    pub fn of(expiry: Timestamp, now: Timestamp) -> Option<Self> {
        if expiry <= now {
            return Some(Self::Ended);
        }
        let left = expiry.duration_since(now).unsigned_abs();
        [(1, Self::Day), (7, Self::Week), (30, Self::Month)]
            .into_iter()
            .find_map(|(days, near)| (left <= Duration::from_hours(24 * days)).then_some(near))
    }
}

/// A password in use whose expiry is near or has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// As [`Principal::kind`](super::Principal::kind) names it.
    pub kind: &'static str,
    /// The user name; a service principal's own name.
    pub user: Arc<str>,
    /// The password's name.
    pub password: Arc<str>,
    pub id: CredentialId,
    pub expiry: Timestamp,
    pub near: Nearness,
}

/// The passwords of `registry` that end within 30 days of `now` or have ended.
///
/// Not those of a principal that is disabled: nobody can log in by them. A password that was replaced and is still
/// accepted for a while has the name of its successor, and only the one that lasts longer counts: that the old one ends
/// was chosen.
pub fn endings(registry: &Registry, now: Timestamp) -> Vec<Ending> {
    let mut found = Vec::new();
    let admin = &registry.admin;
    if admin.enabled {
        add(&mut found, "admin", &admin.name, &admin.passwords, now);
    }
    for token in registry.tokens().filter(|token| token.status == TokenStatus::Enabled) {
        add(&mut found, "token", &token.name, &token.passwords, now);
    }
    // A service principal is told of by every registry on which it has a role.
    let assigned = |identity: &&Arc<Identity>| identity.is_enabled() && !registry.assignments(identity).is_empty();
    for identity in registry.identities().iter().filter(assigned) {
        add(&mut found, "servicePrincipal", &identity.name, &identity.secrets, now);
    }
    found
}

fn add(found: &mut Vec<Ending>, kind: &'static str, user: &Arc<str>, passwords: &[Password], now: Timestamp) {
    for password in passwords.iter().filter(|password| lasts_longest(password, passwords)) {
        let Some(expiry) = password.expiry else { continue };
        let Some(near) = Nearness::of(expiry, now) else { continue };
        let (user, name) = (Arc::clone(user), Arc::clone(&password.name));
        found.push(Ending { kind, user, password: name, id: password.id, expiry, near });
    }
}

fn lasts_longest(one: &Password, all: &[Password]) -> bool {
    let end = |password: &Password| password.expiry.unwrap_or(Timestamp::MAX);
    !all.iter().any(|other| other.name == one.name && end(other) > end(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::credential::Verifier;
    use crate::secret::HashKey;

    const DAY: i64 = 24 * 60 * 60;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn password(name: &str, secret: &str, expiry: Option<i64>) -> Password {
        let key = HashKey::from_bytes([0; 32]);
        Password {
            name: name.into(),
            id: CredentialId::derive(&key, "test", &[secret.as_bytes()]),
            verifier: Verifier::Digest(key.digest("test", &[secret.as_bytes()])),
            expiry: expiry.map(at),
        }
    }

    #[test]
    fn the_nearest_limit_that_holds_is_named() {
        let now = 1_700_000_000;
        let table = [
            (-DAY, Some(Nearness::Ended)),
            (0, Some(Nearness::Ended)),
            (1, Some(Nearness::Day)),
            (DAY, Some(Nearness::Day)),
            (DAY + 1, Some(Nearness::Week)),
            (7 * DAY, Some(Nearness::Week)),
            (7 * DAY + 1, Some(Nearness::Month)),
            (30 * DAY, Some(Nearness::Month)),
            (30 * DAY + 1, None),
        ];
        for (left, expected) in table {
            assert_eq!(Nearness::of(at(now + left), at(now)), expected, "{left} s left");
        }
        assert_eq!(Nearness::of(Timestamp::MAX, Timestamp::MIN), None);
        assert!(Nearness::ALL.is_sorted());
    }

    #[test]
    fn a_replaced_password_is_no_warning_and_its_successor_is_one() {
        let found = |passwords: &[Password]| {
            let mut found = Vec::new();
            add(&mut found, "token", &"ci-push".into(), passwords, at(0));
            found.into_iter().map(|ending| (ending.password.to_string(), ending.near)).collect::<Vec<_>>()
        };
        let (old, forever) = (password("password1", "old", Some(600)), password("password1", "new", None));
        let week = password("password1", "new", Some(3 * DAY));
        let other = password("password2", "other", Some(20 * DAY));
        assert_eq!(found(&[forever, old.clone()]), []);
        assert_eq!(
            found(&[week, old, other]),
            [("password1".to_owned(), Nearness::Week), ("password2".to_owned(), Nearness::Month)]
        );
    }
}
