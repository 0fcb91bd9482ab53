//! What of a record is not in force: the file has it, it cannot be read, or it makes no sense.

use seawall::policy::identity::{CERTIFICATE_PROVIDER, Guid, IdentityKind, OWN_PROVIDER};
use seawall::policy::stored::{StoredClaimRule, StoredGrants, StoredIdentity, StoredRoleAssignment};
use seawall::policy::{StoredPolicy, check_identity, check_role_assignment};
use serde_json::json;

use super::{FILE, House, PULL, PUSH, VAULT, by_secret, user};
use crate::identities::{actions, asserted, may};
use crate::layers::records::{identity, principal_id, role};

/// A record that cannot be read may have said that somebody is disabled.
#[test]
fn an_unreadable_identity_is_nobody_and_whoever_was_it_stays_so() {
    let mut house = House::new(FILE).identity("joe", &identity("joe", IdentityKind::User)).assign(
        "myregistry",
        "a1",
        &role("joe", "AcrPull"),
    );
    let operator = |house: &House| asserted(&house.one(), "corp", &json!({ "sub": "joe", "groups": ["ops"] }));
    assert!(operator(&house).is_some());
    let before = house.stored.clone();
    house.stored.disable_identity("joe", &before);
    assert!(user(&house.one(), "joe").is_none() && operator(&house).is_none());
    // Everything is read anew: what was known is all there is.
    house.stored = StoredPolicy::default();
    house.stored.disable_identity("joe", &before);
    assert!(operator(&house).is_none());
    house.stored = StoredPolicy::default();
    house.stored.disable_identity("joe", &StoredPolicy::default());
    assert!(user(&house.one(), "joe").is_none() && operator(&house).is_some(), "nothing was ever known of it");
    assert!(user(&house.identity("joe", &identity("joe", IdentityKind::User)).one(), "joe").is_some());
}

#[test]
fn the_file_wins_by_name_by_client_id_and_by_principal_id() {
    let mine =
        |name: &str, set: StoredIdentity| StoredIdentity { matches: identity(name, IdentityKind::User).matches, ..set };
    let client_id = StoredIdentity {
        client_id: Guid::parse(VAULT).unwrap(),
        ..identity("by-client-id", IdentityKind::ServicePrincipal)
    };
    let house = House::new(FILE)
        .identity("jane", &mine("stored-jane", identity("jane", IdentityKind::User)))
        .identity("by-principal-id", &mine("thief", identity("vault", IdentityKind::User)))
        .identity("by-client-id", &client_id)
        .identity("by-id", &StoredIdentity { id: principal_id("first"), ..identity("by-id", IdentityKind::User) })
        .identity("first", &identity("first", IdentityKind::User))
        .assign("myregistry", "a1", &role("vault", "AcrPush"))
        .assign("myregistry", "a2", &role("jane", "AcrPush"));
    let one = house.one();
    for subject in ["stored-jane", "thief", "by-client-id", "first"] {
        assert!(user(&one, subject).is_none(), "{subject}");
    }
    assert!(user(&one, "by-id").is_some());
    let vault = by_secret(&one, &Guid::parse(VAULT).unwrap()).unwrap();
    assert_eq!(vault.principal.name(), "vault");
    assert!(may(&one, &vault, PUSH).is_ok(), "the file says that it has this principal id");
    assert_eq!(actions(&user(&one, "jane").unwrap().principal, "a"), "", "the file's jane is another one");
    let file = "\n  hint: what this file says is in force; remove it here to use what the API has set\n";
    let expected = [
        format!("policy.yaml:4:3: warning: identity `jane` of the store has the name of another one{file}"),
        format!(
            "policy.yaml:6:3: warning: identity `by-client-id` of the store has the client id of another one{file}"
        ),
        format!(
            "policy.yaml:6:3: warning: identity `by-principal-id` of the store has the principal id of another one{file}"
        ),
        "store: warning: identity `first` has the id of another one\n  hint: the one that counts is `by-id`\n"
            .to_owned(),
    ];
    assert_eq!(house.warnings(), expected.concat());
}

#[test]
fn what_cannot_be_read_grants_nothing_and_is_told() {
    let rule = |provider: &str, claims: &[(&str, &str)]| StoredClaimRule {
        provider: provider.to_owned(),
        claims: claims.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
    };
    let joe = || identity("joe", IdentityKind::User);
    let identities = [
        ("a b", joe(), "`a b` is not an identity name"),
        ("joe", StoredIdentity { matches: vec![rule("corp", &[])], ..joe() }, "would match everybody"),
        (
            "joe",
            StoredIdentity { matches: vec![rule("corp", &[("sub", "")])], ..joe() },
            "claim `sub`: its text is empty",
        ),
        (
            "joe",
            StoredIdentity { matches: vec![rule("corp", &[("sub", "joe"), ("/a//b", "x")])], ..joe() },
            "claim `/a//b`: an empty step",
        ),
        (
            "joe",
            StoredIdentity { matches: vec![rule(CERTIFICATE_PROVIDER, &[("sub", "joe")])], ..joe() },
            "claim `sub`: a certificate says",
        ),
        (
            "joe",
            StoredIdentity { matches: vec![rule(OWN_PROVIDER, &[("sub", "joe")])], ..joe() },
            "installation itself",
        ),
    ];
    for (name, set, sentence) in identities {
        let house = House::new(FILE).identity(name, &set).assign("myregistry", "a1", &role("joe", "Owner"));
        assert!(user(&house.one(), "joe").is_none(), "{sentence}");
        assert!(asserted(&house.one(), "corp", &json!({})).is_none(), "{sentence}");
        assert!(house.warnings().contains(sentence), "{sentence}: {}", house.warnings());
        assert!(check_identity(name, &set).unwrap_err().contains(sentence));
    }
    let has_secrets = |kind| StoredIdentity { kind, ..identity("ci", IdentityKind::ServicePrincipal) };
    assert!(
        check_identity("ci", &has_secrets(IdentityKind::UserAssigned)).unwrap_err().contains("only an identity of")
    );
    assert_eq!(check_identity("ci", &has_secrets(IdentityKind::ServicePrincipal)), Ok(()));
    let verified = |set: StoredIdentity| StoredIdentity { verified_by: Some("corp".to_owned()), ..set };
    let without = |set: StoredIdentity| StoredIdentity { secrets: Vec::new(), ..verified(set) };
    let ci = || has_secrets(IdentityKind::ServicePrincipal);
    for (set, sentence) in [
        (verified(ci()), "those that it has here open nothing"),
        (without(has_secrets(IdentityKind::User)), "only an identity of type `ServicePrincipal` has secrets"),
        (StoredIdentity { matches: vec![rule("other", &[("sub", "ci")])], ..without(ci()) }, "nothing that `corp`"),
    ] {
        assert!(check_identity("ci", &set).unwrap_err().contains(sentence), "{sentence}");
        let house = House::new(FILE).identity("ci", &set).assign("myregistry", "a1", &role("ci", "Owner"));
        let found = by_secret(&house.one(), &set.client_id);
        assert!(found.is_none_or(|caller| caller.credential.is_none()), "{sentence}");
    }
    assert_eq!(check_identity("ci", &without(ci())), Ok(()));
    let gone =
        House::new(FILE).identity("joe", &StoredIdentity { matches: vec![rule("gone", &[("sub", "x")])], ..joe() });
    assert!(gone.warnings().contains("identity `joe` has a rule for provider `gone`, which no file declares"));

    let covers = |patterns: &[&str], set: StoredRoleAssignment| StoredRoleAssignment {
        repositories: Some(patterns.iter().map(ToString::to_string).collect()),
        ..set
    };
    let by_map = StoredRoleAssignment { grants: StoredGrants::ScopeMap("team-a".to_owned()), ..role("joe", "") };
    let assignments = [
        ("myregistry", role("joe", "AcrPul"), "there is no role `AcrPul`"),
        ("myregistry", covers(&[], role("joe", "Owner")), "covers no repository"),
        ("myregistry", covers(&["a*"], role("joe", "Owner")), "`a*`: the wildcard must be the last segment"),
        ("", by_map.clone(), "a scope map is of one registry"),
        (
            "myregistry",
            covers(&["a"], role("joe", "container registry repository catalog lister")),
            "takes no condition",
        ),
    ];
    for (registry, set, sentence) in assignments {
        let house = House::new(FILE).identity("joe", &joe()).assign(registry, "a1", &set);
        assert_eq!(may(&house.one(), &user(&house.one(), "joe").unwrap(), PULL).ok(), None, "{sentence}");
        assert!(!user(&house.one(), "joe").unwrap().principal.may_list_catalog());
        assert!(house.warnings().contains(sentence), "{sentence}: {}", house.warnings());
        assert!(check_role_assignment(registry.is_empty(), &set).unwrap_err().contains(sentence));
    }
    assert_eq!(check_role_assignment(false, &covers(&["a", "b/*"], by_map)), Ok(()));
    let mut house = House::new(FILE).identity("joe", &joe());
    house.stored.set_role_assignment("myregistry", "no-guid", Some(&role("joe", "Owner")), &mut house.told);
    assert!(may(&house.one(), &user(&house.one(), "joe").unwrap(), PULL).is_err());
    assert!(house.warnings().contains("role assignment `no-guid` of registry `myregistry`: its name is no GUID"));
}
