//! Links to data endpoints: where they open, for how long, and whom they make of what the policy has become.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::auth::link::{LINK_SECONDS, LinkFailure, LinkPlace};
use seawall::auth::{Authenticator, Failure, SignIn};
use seawall::clock::Timestamp;
use seawall::oci::{Digest, RepositoryName, Scope};
use seawall::policy::network::Source;
use seawall::policy::principal::NotAccepted;
use seawall::policy::{Caller, Denial, PolicySnapshot, authorize};
use seawall::secret::{HashKey, Secret};
use seawall::telemetry::metrics::Metrics;

use super::policy::{hash_key, now, operation, snapshot};

const DOCUMENT: &str = "identities:
  build-task: { type: SystemAssigned, principalId: 11111111-1111-4111-8111-111111111111 }
registries:
  myregistry:
    loginServer: one.example.com
    dataEndpointEnabled: true
    dataEndpoints: [ { region: eu, host: eu.data.example.com }, { region: us, host: us.data.example.com:8443 } ]
    upstream: { url: http://localhost:5000 }
    adminUserEnabled: true
    admin: { passwords: [ { name: password, file: b } ] }
    anonymousPullEnabled: true
    anonymousPullRepositories: [team/app]
    scopeMaps:
      readers: { repositories: { 'team/*': [content/read, metadata/read] } }
    tokens:
      ci: { scopeMap: readers, passwords: [ { name: password1, file: a } ] }
    roleAssignments: [ { identity: build-task, role: AcrPull } ]
  otherregistry:
    loginServer: two.example.com
    dataEndpointEnabled: false
    dataEndpoints: [ { region: eu, host: eu.other.example.com } ]
    upstream: { url: http://localhost:5000 }
    tokens:
      ci: { scopeMap: _repositories_pull, passwords: [ { name: password1, file: a } ] }
";
const EU: &str = "eu.data.example.com";

struct House {
    authenticator: Authenticator,
    policy: PolicySnapshot,
}

/// A place by its names.
#[derive(Clone, Copy)]
struct Place<'a> {
    registry: &'a str,
    host: &'a str,
    repository: &'a str,
    digest: char,
}

const PLACE: Place<'static> = Place { registry: "myregistry", host: EU, repository: "team/app", digest: 'a' };

impl House {
    fn new() -> Self {
        Self::with(hash_key())
    }

    fn with(hash_key: HashKey) -> Self {
        let key = KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap();
        let keys = Arc::new(Keyring::new(&[key], hash_key).unwrap());
        let authenticator = Authenticator::new(keys, "seawall", Arc::new(Metrics::new().unwrap()));
        Self { authenticator, policy: snapshot(DOCUMENT) }
    }

    /// Another policy is in force: the first text in place of the second.
    fn edit(&mut self, from: &str, to: &str) {
        assert!(DOCUMENT.contains(from), "{from}");
        self.policy = snapshot(&DOCUMENT.replacen(from, to, 1));
    }

    fn at<T>(&self, place: Place<'_>, work: impl FnOnce(LinkPlace<'_>) -> T) -> T {
        let repository = RepositoryName::parse(place.repository).unwrap();
        let digest = Digest::parse(&format!("sha256:{}", place.digest.to_string().repeat(64))).unwrap();
        let registry = self.policy.registry_named(place.registry).unwrap();
        work(LinkPlace { registry, host: place.host, repository: &repository, digest: &digest })
    }

    fn link(&self, sign_in: &SignIn) -> String {
        self.at(PLACE, |place| self.authenticator.link(place, sign_in, now()).unwrap())
    }

    fn follow(&self, place: Place<'_>, link: &str, at: Timestamp) -> Result<Caller, LinkFailure> {
        self.at(place, |place| self.authenticator.by_link(place, link, at))
    }

    /// What becomes of a request by `link`: whether it is permitted, or why it is not.
    fn visit(&self, link: &str) -> Result<(), Denial> {
        let caller = match self.follow(PLACE, link, now()) {
            Ok(caller) => caller,
            Err(LinkFailure::Caller(Failure::Denied(denial))) => return Err(denial),
            Err(other) => panic!("{other:?}"),
        };
        let registry = self.policy.registry_named("myregistry").unwrap();
        let blob = format!("GET /v2/team/app/blobs/sha256:{}", "a".repeat(64));
        let admitted = registry.network.admit(Source::public(IpAddr::from([192, 0, 2, 1]))).unwrap();
        authorize(registry, &caller, &operation(&blob), &admitted, now()).map(|_| ())
    }

    async fn log_in(&self, user: &str, password: &str) -> SignIn {
        let registry = self.policy.registry_named("myregistry").unwrap();
        self.authenticator.by_password(registry, user, &Secret::new(password), now(), &mut None).await.unwrap()
    }

    /// The sign-in of an access token of `sign_in` for this.
    async fn by_access_token(&self, sign_in: &SignIn, repository: &str) -> SignIn {
        let registry = self.policy.registry_named("myregistry").unwrap();
        let scopes = [Scope::new("repository", repository, ["pull"])];
        let token = self.authenticator.issue(registry, sign_in, &scopes, now()).await.unwrap().token;
        self.authenticator.by_access_token(registry, &token, now(), 0).unwrap()
    }

    async fn ci(&self) -> SignIn {
        self.log_in("ci", "the secret in a").await
    }

    fn task(&self) -> SignIn {
        let registry = self.policy.registry_named("myregistry").unwrap();
        let identity = self.policy.identities().named("build-task").unwrap();
        self.authenticator.vouch_for(registry, identity, now()).unwrap()
    }

    fn nobody(&self) -> SignIn {
        Caller::anonymous(self.policy.registry_named("myregistry").unwrap()).into()
    }
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// B.4-9: 20 minutes.
#[tokio::test]
async fn a_link_ends_on_time() {
    let house = House::new();
    let link = house.link(&house.ci().await);
    for (seconds, expected) in [(0, None), (LINK_SECONDS - 1, None), (LINK_SECONDS, Some(LinkFailure::Expired))] {
        assert_eq!(house.follow(PLACE, &link, after(seconds)).err(), expected, "{seconds}");
    }
    assert_eq!(LINK_SECONDS, 20 * 60);
}

/// Threat class A: what was permitted at one place is worth nothing at another.
#[tokio::test]
async fn a_link_opens_at_its_place_only() {
    let house = House::new();
    let link = house.link(&house.ci().await);
    assert_eq!(house.follow(PLACE, &link, now()).unwrap().principal.name(), "ci");
    for other in [
        Place { registry: "otherregistry", ..PLACE },
        Place { host: "us.data.example.com:8443", ..PLACE },
        Place { repository: "team/app2", ..PLACE },
        Place { digest: 'b', ..PLACE },
    ] {
        assert_eq!(house.follow(other, &link, now()).err(), Some(LinkFailure::Invalid));
    }
    let elsewhere = House::with(HashKey::from_bytes([77; 32]));
    assert_eq!(elsewhere.follow(PLACE, &link, now()).err(), Some(LinkFailure::Invalid), "another installation");
    assert!(House::new().follow(PLACE, &link, now()).is_ok(), "a replica has the same hash key");
}

/// It can stand in a log of somebody else's without telling anything.
#[tokio::test]
async fn a_link_shows_nothing_but_its_end() {
    let house = House::new();
    let sign_in = house.task();
    let link = house.link(&sign_in);
    let (end, sealed) = link.split_once('.').unwrap();
    assert_eq!(end, (now().as_second() + LINK_SECONDS).to_string());
    assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{sealed}");
    assert_ne!(link, house.link(&sign_in), "two of the same are not alike");
}

/// Every kind of caller, by a password and by an access token, and what ends it with the next request (E-8).
#[tokio::test]
async fn whoever_follows_a_link_is_decided_about_anew() {
    let mut house = House::new();
    let ci = house.ci().await;
    let (by_password, by_access) = (house.link(&ci), house.link(&house.by_access_token(&ci, "team/app").await));
    let (task, nobody) = (house.task(), house.nobody());
    let task_by_access = house.link(&house.by_access_token(&task, "team/app").await);
    let (task, nobody) = (house.link(&task), house.link(&nobody));
    let admin = house.log_in("myregistry", "the secret in b").await;
    let admin = house.link(&admin);
    let not_granted = |denial: &Denial| matches!(denial, Denial::ActionNotGranted { .. });
    let expect = |house: &House, links: &[&String], ok: bool, is: &dyn Fn(&Denial) -> bool| {
        for link in links {
            let seen = house.visit(link);
            assert_eq!(seen.is_ok(), ok, "{seen:?}");
            assert!(seen.as_ref().err().is_none_or(is), "{seen:?}");
        }
    };
    let all = [&by_password, &by_access, &task, &task_by_access, &admin, &nobody];
    expect(&house, &all, true, &|_| false);

    let ci_only = [&by_password, &by_access];
    let others = [&task, &task_by_access, &admin, &nobody];
    house.edit("ci: { scopeMap: readers,", "ci: { scopeMap: readers, status: disabled,");
    expect(&house, &ci_only, false, &|denial| *denial == Denial::NotAccepted(NotAccepted::TokenDisabled));
    expect(&house, &others, true, &|_| false);
    house.edit("password1, file: a } ] }\n    role", "password1, file: c } ] }\n    role");
    expect(&house, &ci_only, false, &|denial| *denial == Denial::NotAccepted(NotAccepted::PasswordReplaced));
    house.edit("'team/*': [content/read, metadata/read]", "'team/*': [metadata/read]");
    expect(&house, &ci_only, false, &not_granted);
    house.edit("      ci: { scopeMap: readers, passwords", "      cj: { scopeMap: readers, passwords");
    expect(&house, &ci_only, false, &|denial| *denial == Denial::PrincipalGone);
    house.edit("adminUserEnabled: true", "adminUserEnabled: false");
    expect(&house, &[&admin], false, &|denial| *denial == Denial::NotAccepted(NotAccepted::AdminDisabled));
    house.edit("anonymousPullEnabled: true\n    anonymousPullRepositories: [team/app]", "anonymousPullEnabled: false");
    expect(&house, &[&nobody], false, &|denial| *denial == Denial::AnonymousNotAllowed);
    house.edit("roleAssignments: [ { identity: build-task, role: AcrPull } ]", "roleAssignments: []");
    expect(&house, &[&task, &task_by_access], false, &|denial| *denial == Denial::NoRole);
    house.edit("type: SystemAssigned,", "type: SystemAssigned, status: disabled,");
    expect(&house, &[&task, &task_by_access], false, &|denial| *denial == Denial::PrincipalGone);
    house.edit("  build-task: {", "  other-task: {  type: SystemAssigned }\n  build-task: {");
    expect(&house, &all, true, &|_| false);
}

/// A link is worth no more than the access token that it was obtained by.
#[tokio::test]
async fn what_an_access_token_was_issued_for_limits_its_links() {
    let house = House::new();
    let ci = house.ci().await;
    let link = house.link(&house.by_access_token(&ci, "team/other").await);
    assert!(matches!(house.visit(&link), Err(Denial::ScopeNotGranted { .. })), "{:?}", house.visit(&link));
}

/// Off, a data endpoint is no host of ours; on, clients are sent to the one of their region.
#[test]
fn a_data_endpoint_is_one_while_it_is_switched_on() {
    let policy = snapshot(DOCUMENT);
    let at = |host: &str| policy.data_endpoint_for_host(host).map(|(one, endpoint)| (&*one.name, &*endpoint.region));
    for host in [EU, "EU.data.example.com", "eu.data.example.com:443", "eu.data.example.com:80"] {
        assert_eq!(at(host), Some(("myregistry", "eu")), "{host}");
        assert!(policy.registry_for_host(host).is_none(), "nobody logs in there");
    }
    assert_eq!(at("us.data.example.com:8443"), Some(("myregistry", "us")));
    for host in ["us.data.example.com", "eu.other.example.com", "one.example.com", "data.example.com"] {
        assert_eq!(at(host), None, "{host}");
    }
    let near = |name: &str, region| {
        let registry = policy.registry_named(name).unwrap();
        registry.data_endpoint_near(region).map(|endpoint| endpoint.host.to_string())
    };
    assert_eq!(near("myregistry", None).as_deref(), Some(EU));
    assert_eq!(near("myregistry", Some("US")).as_deref(), Some("us.data.example.com:8443"));
    assert_eq!(near("myregistry", Some("asia")).as_deref(), Some(EU));
    assert_eq!(near("otherregistry", Some("eu")), None);
}

proptest! {
    /// No other text opens: not one byte changed, not one more, not one fewer.
    #[test]
    fn a_changed_link_does_not_open(position in any::<prop::sample::Index>(), byte in b' '..=b'~', kind in 0_u8..3) {
        let house = House::new();
        let link = house.link(&house.task());
        let mut changed = link.clone().into_bytes();
        let position = position.index(changed.len());
        match kind {
            0 => changed[position] = byte,
            1 => changed.insert(position, byte),
            _ => { changed.remove(position); }
        }
        let changed = String::from_utf8(changed).unwrap();
        let opened = house.follow(PLACE, &changed, now());
        prop_assert_eq!(opened.is_ok(), changed == link, "{}", changed);
    }
}
