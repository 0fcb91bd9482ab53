//! From a credential to a caller, with real keys and no network: what is accepted, for how long, at what cost.

use std::sync::Arc;

use jiff::SignedDuration;
use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm};
use seawall::auth::{Authenticator, Failure};
use seawall::clock::Timestamp;
use seawall::oci::Scope;
use seawall::policy::principal::NotAccepted;
use seawall::policy::{Caller, Denial, PolicySnapshot, Registry, authorize};
use seawall::secret::Secret;
use seawall::telemetry::metrics::Metrics;

use super::policy::{anywhere, compiled_with, hash_key, now, operation};

/// bcrypt at its lowest cost, of the password `chosen`.
const CHOSEN: &str = "$2y$04$ngCTAIAnUUmhUfA06mTjvuW64XLHbBcw1C4SiI0RpRktLkDw5.FPm";

struct House {
    authenticator: Authenticator,
    metrics: Arc<Metrics>,
    policy: PolicySnapshot,
}

impl House {
    fn new() -> Self {
        let key = KeyMaterial::generate(SigningAlgorithm::Es256, now()).unwrap();
        let keys = Arc::new(Keyring::new(&[key], hash_key()).unwrap());
        let metrics = Arc::new(Metrics::new().unwrap());
        let policy = policy(&keys, DOCUMENT);
        Self { authenticator: Authenticator::new(keys, "seawall", Arc::clone(&metrics)), metrics, policy }
    }

    fn registry(&self, host: &str) -> &Registry {
        self.policy.registry_for_host(host).unwrap()
    }

    fn one(&self) -> &Registry {
        self.registry("one.example.com")
    }

    async fn log_in(&self, user: &str, password: &str) -> Result<Caller, Failure> {
        self.tell(user, password).await.0
    }

    /// The same, and the name of who was recognised whatever became of the login.
    async fn tell(&self, user: &str, password: &str) -> (Result<Caller, Failure>, Option<String>) {
        let (password, mut recognised) = (Secret::new(password), None);
        let sign_in = self.authenticator.by_password(self.one(), user, &password, now(), &mut recognised).await;
        let recognised = recognised.filter(|caller| caller.credential.is_some());
        (sign_in.map(|sign_in| sign_in.caller), recognised.map(|caller| caller.principal.name().to_owned()))
    }

    /// How often a slow hash was looked up among those known, and how often one was computed.
    fn hashes(&self) -> (u64, u64) {
        let text = self.metrics.render().unwrap();
        let value = |name: &str| {
            let line = format!("seawall_credential_cache_{name}_total{{cache=\"password\"}} ");
            text.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
        };
        (value("hits"), value("misses"))
    }
}

const DOCUMENT: &str = "
myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
  anonymousPullEnabled: true
  admin: { passwords: [{ name: password, file: a }] }
  tokens:
    chosen: { scopeMap: _repositories_push, passwords: [{ name: password1, hash: HASH }, { name: password2, file: b }] }
    generated: { scopeMap: _repositories_push, passwords: [{ name: password1, file: a }] }
    without: { scopeMap: _repositories_push }
    disabled: { scopeMap: _repositories_push, status: disabled, passwords: [{ name: password1, file: a }] }
    expired:
      scopeMap: _repositories_push
      passwords: [{ name: password1, file: a, expiry: 2026-11-21T12:00:00Z }]
publicregistry:
  loginServer: two.example.com
  upstream: { url: http://127.0.0.1:5000 }
  anonymousPullEnabled: true
  tokens:
    generated: { scopeMap: _repositories_push, passwords: [{ name: password1, file: a }] }
";

const SECRET: &str = "the secret in a";

fn policy(keys: &Keyring, text: &str) -> PolicySnapshot {
    compiled_with(keys.hash_key(), &text.replace("HASH", CHOSEN)).0.unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Threat class Q: the work that a refusal takes does not tell whether the user exists. Once one slow hash, then one
/// look at what is remembered, for each of them.
#[tokio::test]
async fn a_refused_login_costs_one_hash_whoever_tries() {
    let house = House::new();
    let users = ["chosen", "generated", "without", "disabled", "expired", "myregistry", "nobody", "nobody-else", ""];
    for (number, user) in (1..).zip(users) {
        assert_eq!(
            house.log_in(user, "guess").await.unwrap_err(),
            Failure::Denied(Denial::CredentialInvalid),
            "{user}"
        );
        assert_eq!(house.hashes(), (number - 1, number), "{user}: computed");
        house.log_in(user, "guess").await.unwrap_err();
        assert_eq!(house.hashes(), (number, number), "{user}: remembered");
    }
}

/// S3-60, S1-53, S3-56; threat class R: what is remembered of one user opens nothing for another.
#[tokio::test]
async fn each_password_opens_its_own_principal_only() {
    let house = House::new();
    for _ in 0..2 {
        for (user, password) in [("chosen", "chosen"), ("chosen", "the secret in b"), ("generated", SECRET)] {
            let caller = house.log_in(user, password).await.unwrap();
            assert_eq!(caller.principal.name(), user);
            let known = caller.principal.passwords().iter().map(|password| password.id);
            assert!(known.collect::<Vec<_>>().contains(&caller.credential.unwrap()), "{user}");
        }
        for (user, password) in [
            ("generated", "chosen"),
            ("generated", "the secret in b"),
            ("without", "chosen"),
            ("without", ""),
            ("nobody", "chosen"),
            ("chosen", ""),
            ("", "chosen"),
            ("", SECRET),
            ("chosenchosen", ""),
        ] {
            let refused = house.log_in(user, password).await.unwrap_err();
            assert_eq!(refused, Failure::Denied(Denial::CredentialInvalid), "{user} {password}");
        }
    }
}

/// The operator learns why a right password does not count, and whoever guesses learns nothing (threat class Q).
#[tokio::test]
async fn what_does_not_count_any_more_is_told_apart_only_where_the_password_is_right() {
    let house = House::new();
    for (user, reason) in [
        ("disabled", NotAccepted::TokenDisabled),
        ("expired", NotAccepted::PasswordExpired),
        ("myregistry", NotAccepted::AdminDisabled),
    ] {
        let (right, recognised) = house.tell(user, SECRET).await;
        assert_eq!(right.unwrap_err(), Failure::Denied(Denial::NotAccepted(reason)), "{user}");
        assert_eq!(recognised.as_deref(), Some(user));
        let (wrong, recognised) = house.tell(user, "guess").await;
        assert_eq!(wrong.unwrap_err(), Failure::Denied(Denial::CredentialInvalid), "{user}");
        assert_eq!(recognised, None, "{user}");
    }
}

async fn token(house: &House, registry: &Registry, caller: &Caller) -> Secret {
    let scopes = [Scope::new("repository", "team/app", ["pull", "push"])];
    house.authenticator.issue(registry, &caller.clone().into(), &scopes, now()).await.unwrap().token
}

fn permitted(registry: &Registry, caller: &Caller) -> bool {
    authorize(registry, caller, &operation("GET /v2/team/app/manifests/v1"), &anywhere(), now()).is_ok()
}

/// B.1-9: 75 minutes, and then a bounded grace where an upload asks for one.
#[tokio::test]
async fn an_access_token_ends_on_time_and_a_grace_ends_too() {
    let house = House::new();
    let caller = house.log_in("generated", SECRET).await.unwrap();
    let token = token(&house, house.one(), &caller).await;
    let at = |seconds, grace| house.authenticator.by_access_token(house.one(), &token, after(seconds), grace);
    for (seconds, grace, good) in
        [(0, 0, true), (4499, 0, true), (4500, 0, false), (4500, 60, true), (4559, 60, true), (4560, 60, false)]
    {
        let expected = if good { Ok("generated") } else { Err(Failure::Denied(Denial::AccessTokenExpired)) };
        let found = at(seconds, grace);
        assert_eq!(
            found.as_ref().map(|found| found.caller.principal.name()).map_err(Clone::clone),
            expected,
            "{seconds}"
        );
    }
}

/// Threat classes H and I: at another registry, after its principal is gone, after its password was replaced.
#[tokio::test]
async fn an_access_token_is_good_for_its_registry_its_principal_and_its_password_only() {
    let house = House::new();
    let caller = house.log_in("generated", SECRET).await.unwrap();
    let token = token(&house, house.one(), &caller).await;
    let present = |registry: &Registry| {
        house.authenticator.by_access_token(registry, &token, now(), 0).map(|sign_in| sign_in.caller)
    };
    assert!(permitted(house.one(), &present(house.one()).unwrap()));

    let other = present(house.registry("two.example.com")).unwrap_err();
    assert_eq!(other, Failure::Denied(Denial::AccessTokenInvalid), "the same name and secret, in another registry");

    let compile = |text: &str| compiled_with(house.authenticator.hash_key(), &text.replace("HASH", CHOSEN)).0.unwrap();
    let gone = compile(&DOCUMENT.replacen("    generated:", "    regenerated:", 1));
    let gone = present(gone.registry_for_host("one.example.com").unwrap()).unwrap_err();
    assert_eq!(gone, Failure::Denied(Denial::PrincipalGone));

    let replaced = DOCUMENT.replacen(
        "passwords: [{ name: password1, file: a }] }\n    without",
        "passwords: [{ name: password1, file: c }] }\n    without",
        1,
    );
    assert_ne!(replaced, DOCUMENT);
    let replaced = compile(&replaced);
    let registry = replaced.registry_for_host("one.example.com").unwrap();
    assert!(!permitted(registry, &present(registry).unwrap()), "the password that obtained it is gone");

    let renamed = compile(&DOCUMENT.replacen("  loginServer: one.example.com", "  loginServer: three.example.com", 1));
    let renamed = present(renamed.registry_for_host("three.example.com").unwrap()).unwrap_err();
    assert_eq!(renamed, Failure::Denied(Denial::AccessTokenInvalid));
}

/// An anonymous access token is worth nothing once anonymous pull is off, and nothing in another registry.
#[tokio::test]
async fn an_anonymous_access_token_ends_with_anonymous_pull() {
    let house = House::new();
    let token = token(&house, house.one(), &Caller::anonymous(house.one())).await;
    let present = |registry: &Registry| {
        house.authenticator.by_access_token(registry, &token, now(), 0).map(|sign_in| sign_in.caller)
    };
    assert!(permitted(house.one(), &present(house.one()).unwrap()));
    assert!(present(house.registry("two.example.com")).is_err());
    let other = "anonymousPullEnabled: true\n  anonymousPullRepositories: [other/*]";
    let confined = DOCUMENT.replace("anonymousPullEnabled: true", other).replace("HASH", CHOSEN);
    let confined = compiled_with(house.authenticator.hash_key(), &confined).0.unwrap();
    let registry = confined.registry_for_host("one.example.com").unwrap();
    assert!(!permitted(registry, &present(registry).unwrap()), "this repository is not among them any more");
    let off = DOCUMENT.replace("anonymousPullEnabled: true", "anonymousPullEnabled: false").replace("HASH", CHOSEN);
    let off = compiled_with(house.authenticator.hash_key(), &off).0.unwrap();
    let registry = off.registry_for_host("one.example.com").unwrap();
    assert_eq!(present(registry).unwrap_err(), Failure::Denied(Denial::AnonymousNotAllowed));
}
