//! Who may do what: every kind of principal and every operation, in one table to read.
//!
//! `ok` is a permit; `no` the denial that the principal lacks the action, `scope` that the access token was not issued for
//! it, `catalog` that the catalogue is not for this principal. Any other word is a denial's code, for the whole row.
//! Rows that begin with `as:` are callers for whom an identity provider vouches.

use std::fmt::Write as _;
use std::sync::Arc;

use seawall::oci::Scope;
use seawall::policy::{AccessList, Caller, Granted, PolicySnapshot, Registry, authorize};

use super::identities::asserted;
use super::policy::{anywhere, compiled, now, operation, snapshot};

/// The columns. Tokens below have their actions on `sample/*`, and so on the mount's source, too.
const OPERATIONS: [(&str, &str); 17] = [
    ("base", "GET /v2/"),
    ("catalog", "GET /v2/_catalog"),
    ("tags", "GET /v2/sample/app/tags/list"),
    ("manifest GET", "GET /v2/sample/app/manifests/v1"),
    ("manifest HEAD", "HEAD /v2/sample/app/manifests/v1"),
    ("manifest PUT", "PUT /v2/sample/app/manifests/v1"),
    ("manifest DELETE", "DELETE /v2/sample/app/manifests/DIGEST"),
    ("blob GET", "GET /v2/sample/app/blobs/DIGEST"),
    ("blob HEAD", "HEAD /v2/sample/app/blobs/DIGEST"),
    ("blob DELETE", "DELETE /v2/sample/app/blobs/DIGEST"),
    ("upload POST", "POST /v2/sample/app/blobs/uploads/"),
    ("upload PATCH", "PATCH /v2/sample/app/blobs/uploads/one"),
    ("upload PUT", "PUT /v2/sample/app/blobs/uploads/one?digest=DIGEST"),
    ("upload GET", "GET /v2/sample/app/blobs/uploads/one"),
    ("upload DELETE", "DELETE /v2/sample/app/blobs/uploads/one"),
    ("mount", "POST /v2/sample/app/blobs/uploads/?mount=DIGEST&from=sample/source"),
    ("referrers", "GET /v2/sample/app/referrers/DIGEST"),
];

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The rights of a password: all that the principal has.
///
/// S3-12 … S3-16 are the rows of single actions, S3-17 and S3-48 the column of the catalogue (F-2), S3-51 and E-6 the HEAD
/// columns of `write`, S1-45 and E-16 the row of the admin account, S1-43, S3-93 and S3-10 the rows of one word.
const BY_PASSWORD: &str = "
                    base catalog  tags  manifest: GET HEAD PUT DELETE  blob: GET HEAD DELETE  upload: POST PATCH PUT GET DELETE  mount referrers
  myregistry        ok   ok       ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  no-admin          admin_disabled
  read              ok   catalog  no              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  write             ok   catalog  no              no  ok   ok  no            no  ok   no              ok   ok    ok  ok  ok      no    no
  delete            ok   catalog  no              no  no   no  ok            no  no   ok              no   no    no  no  no      no    no
  metadata-read     ok   catalog  ok              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  metadata-write    ok   catalog  no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  read-write        ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  elsewhere         ok   catalog  no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  source-unreadable ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      no    ok
  source-only       ok   catalog  no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  root-wildcard     ok   catalog  ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  system-pull       ok   catalog  no              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  system-push       ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  system-admin      ok   catalog  ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  disabled          token_disabled
  expired           password_expired
  anonymous         ok   catalog  ok              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  anonymous-off     anonymous_not_allowed
";

/// The rights of identities, by their roles (S1-37 … S1-40, the table of B.5).
///
/// `AcrPush` does not delete, `AcrDelete` does not pull, `AcrImageSigner` has no right on data; a condition takes the
/// catalogue away; a cluster pulls, whatever its role (S1-8, S1-9); a scope map gives what it gives a token (lifts S3-7).
const BY_ROLE: &str = "
                    base catalog  tags  manifest: GET HEAD PUT DELETE  blob: GET HEAD DELETE  upload: POST PATCH PUT GET DELETE  mount referrers
  as:owner          ok   ok       ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  as:contributor    ok   ok       ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  as:reader         ok   ok       ok              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  as:acrpull        ok   ok       ok              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  as:acrpush        ok   ok       ok              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  as:acrdelete      ok   catalog  no              no  no   no  ok            no  no   ok              no   no    no  no  no      no    no
  as:acrimagesigner no_role
  as:repo-reader    ok   catalog  ok              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  as:repo-writer    ok   catalog  ok              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  as:repo-contrib   ok   catalog  ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      ok    ok
  as:repo-lister    ok   ok       no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  as:confined       ok   ok       ok              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  as:elsewhere      ok   ok       no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  as:source-only    ok   ok       no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  as:pull-and-write ok   ok       ok              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  as:cluster        ok   catalog  no              ok  ok   no  no            ok  ok   no              no   no    no  no  no      no    ok
  as:scope-map      ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  as:nobody         no_role
";

/// Role assignments: the identity, then what is assigned to it.
const ROLES: &[(&str, &str)] = &[
    ("owner", "role: owner"),
    ("contributor", "role: CONTRIBUTOR"),
    ("reader", "role: Reader"),
    ("acrpull", "role: acrpull"),
    ("acrpush", "role: AcrPush"),
    ("acrdelete", "role: AcrDelete"),
    ("acrimagesigner", "role: AcrImageSigner"),
    ("repo-reader", "role: Container Registry Repository Reader"),
    ("repo-writer", "role: Container Registry Repository Writer"),
    ("repo-contrib", "role: container registry repository contributor"),
    ("repo-lister", "role: Container Registry Repository Catalog Lister"),
    ("confined", "role: AcrPush, repositories: [other/*, sample/*]"),
    ("elsewhere", "role: Owner, repositories: [samples/*, sample, samp/*]"),
    ("source-only", "role: AcrPull, repositories: [sample/source]"),
    ("pull-and-write", "role: AcrPull"),
    ("pull-and-write", "scopeMap: map-write"),
    ("cluster", "role: Owner"),
    ("scope-map", "scopeMap: map-read-write"),
];

/// The rights of an access token: what it was issued for, and never more than the principal has now (E-8, S3-71).
///
/// Of a mount that lacks both its rights, the denial is the source's.
const BY_ACCESS_TOKEN: &[(&str, &str)] = &[
    // Issued for nothing: it still answers the login probe.
    ("", "
  myregistry        ok   catalog  scope           scope scope scope scope    scope scope scope        scope scope scope scope scope scope scope
  read              ok   catalog  no              scope scope no no          scope scope no           no no no no no             scope    scope
  write             ok   catalog  no              no scope scope no          no scope no              scope scope scope scope scope no no
  disabled          token_disabled
  expired           password_expired
  no-admin          admin_disabled
  anonymous         ok   catalog  scope           scope scope no no          scope scope no           no no no no no             scope    scope
  anonymous-off     anonymous_not_allowed
"),
    ("repository:sample/app:pull", "
  myregistry        ok   catalog  scope           ok  ok   scope scope       ok  ok   scope           scope scope scope scope scope scope ok
  read-write        ok   catalog  no              ok  ok   scope no          ok  ok   no              scope scope scope scope scope scope ok
  write             ok   catalog  no              no  scope scope no         no  scope no             scope scope scope scope scope no no
  system-admin      ok   catalog  scope           ok  ok   scope scope       ok  ok   scope           scope scope scope scope scope scope ok
  anonymous         ok   catalog  scope           ok  ok   no no             ok  ok   no              no no no no no             scope    ok
"),
    // What was granted when the token was issued and was taken away since, is gone.
    ("repository:sample/app:pull,push", "
  read              ok   catalog  no              ok  ok   no  no            ok  ok   no              no   no    no  no  no      scope    ok
  write             ok   catalog  no              no  ok   ok  no            no  ok   no              ok   ok    ok  ok  ok      no    no
  elsewhere         ok   catalog  no              no  no   no  no            no  no   no              no   no    no  no  no      no    no
  read-write        ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      scope ok
  disabled          token_disabled
"),
    ("repository:sample/app:pull,push repository:sample/source:pull", "
  read-write        ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      ok    ok
  source-unreadable ok   catalog  no              ok  ok   ok  no            ok  ok   no              ok   ok    ok  ok  ok      no    ok
"),
    ("repository:sample/app:delete,metadata_read", "
  myregistry        ok   catalog  ok              scope scope scope ok       scope scope ok           scope scope scope scope scope scope scope
  delete            ok   catalog  no              no  no   no  ok            no  no   ok              no   no    no  no  no      no    no
"),
    // `*` is every action, of one repository.
    ("repository:sample/app:*", "
  myregistry        ok   catalog  ok              ok  ok   ok  ok            ok  ok   ok              ok   ok    ok  ok  ok      scope ok
  read              ok   catalog  no              ok  ok   no  no            ok  ok   no              no   no    no  no  no      scope    ok
"),
    // Only the admin account lists the catalogue, and only with a token for it (F-2).
    ("registry:catalog:*", "
  myregistry        ok   ok       scope           scope scope scope scope    scope scope scope        scope scope scope scope scope scope scope
  as:acrpull        ok   ok       scope           scope scope no no          scope scope no           no no no no no             scope    scope
  as:confined       ok   ok       scope           scope scope scope no       scope scope no           scope scope scope scope scope scope scope
  as:acrimagesigner no_role
  root-wildcard     ok   catalog  scope           scope scope scope scope    scope scope scope        scope scope scope scope scope scope scope
  system-admin      ok   catalog  scope           scope scope scope scope    scope scope scope        scope scope scope scope scope scope scope
  anonymous         ok   catalog  scope           scope scope no no          scope scope no           no no no no no             scope    scope
"),
    ("registry:catalog:pull registry:other:* repository:sample:pull repository:sample/appendix:pull app:sample/app:pull", "
  myregistry        ok   catalog  scope           scope scope scope scope    scope scope scope        scope scope scope scope scope scope scope
"),
];

fn policy() -> PolicySnapshot {
    let mut text = "
myregistry:
  loginServer: one.example.com
  upstream: { url: http://127.0.0.1:5000 }
  adminUserEnabled: true
  admin: { passwords: [{ name: password, file: a }] }
  anonymousPullEnabled: true
  scopeMaps:
    map-read: { repositories: { sample/*: [content/read] } }
    map-write: { repositories: { sample/*: [content/write] } }
    map-delete: { repositories: { sample/*: [content/delete] } }
    map-metadata-read: { repositories: { sample/*: [metadata/read] } }
    map-metadata-write: { repositories: { sample/*: [metadata/write] } }
    map-read-write: { repositories: { sample/*: [content/read, content/write] } }
    map-elsewhere: { repositories: { samples/*: [content/read, content/write], sample: [content/read, content/write] } }
    map-source-unreadable: { repositories: { sample/app: [content/read, content/write] } }
    map-source-only: { repositories: { sample/source: [content/read, content/write] } }
    map-root-wildcard:
      repositories: { '*': [content/read, content/write, content/delete, metadata/read, metadata/write] }
  tokens:
    system-pull: { scopeMap: _repositories_pull, passwords: [{ name: password1, file: a }] }
    system-push: { scopeMap: _repositories_push, passwords: [{ name: password1, file: a }] }
    system-admin: { scopeMap: _repositories_admin, passwords: [{ name: password1, file: a }] }
    disabled: { scopeMap: map-root-wildcard, status: disabled, passwords: [{ name: password1, file: a }] }
"
    .to_owned();
    let maps = "read write delete metadata-read metadata-write read-write elsewhere source-unreadable source-only \
                root-wildcard";
    for map in maps.split(' ') {
        writeln!(text, "    for-{map}: {{ scopeMap: map-{map}, passwords: [{{ name: password1, file: a }}] }}")
            .unwrap();
    }
    text.push_str(
        "    expired: { scopeMap: map-root-wildcard, passwords: [{ name: password1, file: a, expiry: 2026-11-21T12:00:01Z }] }
noadmin:
  loginServer: two.example.com
  upstream: { url: http://127.0.0.1:5000 }
  admin: { passwords: [{ name: password, file: a }] }
",
    );
    with_identities(&text)
}

/// The same registries, with the roles of the table on the first one.
fn with_identities(registries: &str) -> PolicySnapshot {
    let mut text =
        "identityProviders: { corp: { issuer: https://corp.example, audiences: [seawall] } }\nidentities:\n".to_owned();
    let mut names: Vec<_> = ROLES.iter().map(|(name, _)| *name).chain(["nobody"]).collect();
    names.dedup();
    for name in names {
        let kind = if name == "cluster" { "KubernetesCluster" } else { "User" };
        writeln!(text, "  {name}: {{ type: {kind}, matches: [{{ provider: corp, claims: {{ sub: {name} }} }}] }}")
            .unwrap();
    }
    text.push_str("registries:\n");
    for line in registries.lines() {
        writeln!(text, "  {line}").unwrap();
        if line == "myregistry:" {
            text.push_str("    roleAssignments:\n");
            for (name, held) in ROLES {
                writeln!(text, "      - {{ identity: {name}, {held} }}").unwrap();
            }
        }
    }
    let (snapshot, problems) = compiled(&text);
    let warnings: Vec<_> = problems.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(matches!(warnings[..], [one] if one.ends_with("gives `acrimagesigner` nothing")), "{problems}");
    snapshot.unwrap()
}

/// The caller of a row, logged in with a password, and the registry that it talks to.
fn caller<'p>(policy: &'p PolicySnapshot, row: &str) -> (&'p Registry, Caller) {
    let registry = |host| policy.registry_for_host(host).unwrap();
    let (one, two) = (registry("one.example.com"), registry("two.example.com"));
    let of = |registry: &'p Registry, name: &str| {
        let principal = registry.principal_named(name).unwrap_or_else(|| panic!("there is no {name}"));
        let credential = principal.passwords().first().map(|password| password.id);
        (registry, Caller { principal, credential, granted: Granted::Everything })
    };
    if let Some(subject) = row.strip_prefix("as:") {
        return (one, asserted(one, "corp", &serde_json::json!({ "sub": subject })).unwrap());
    }
    match row {
        "anonymous" => (one, Caller::anonymous(one)),
        "anonymous-off" => (two, Caller::anonymous(two)),
        "no-admin" => of(two, "noadmin"),
        "myregistry" | "disabled" | "expired" | "system-pull" | "system-push" | "system-admin" => of(one, row),
        _ => of(one, &format!("for-{row}")),
    }
}

fn decisions(registry: &Registry, caller: &Caller) -> Vec<&'static str> {
    // A second after the compilation, when the expired password's end has just come.
    let now = now() + jiff::SignedDuration::from_secs(1);
    let lines = OPERATIONS.map(|(_, line)| operation(&line.replace("DIGEST", DIGEST)));
    let codes = lines.iter().map(|operation| match authorize(registry, caller, operation, &anywhere(), now) {
        Ok(permit) => {
            assert_eq!(permit.principal(), caller.principal.id());
            "ok"
        }
        Err(denial) => match denial.code() {
            "action_not_granted" => "no",
            "scope_not_granted" => "scope",
            "catalog_not_granted" => "catalog",
            code => code,
        },
    });
    codes.collect()
}

fn check(policy: &PolicySnapshot, access: Option<&str>, table: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| !line.contains("manifest:") && !line.is_empty()) {
        let mut words = row.split_whitespace();
        let name = words.next().unwrap();
        let words: Vec<_> = words.collect();
        let expected = if let [one] = words[..] { vec![one; OPERATIONS.len()] } else { words };
        assert_eq!(expected.len(), OPERATIONS.len(), "{row}");
        let (registry, mut caller) = caller(policy, name);
        if let Some(scopes) = access {
            let list = AccessList::from_scopes(&Scope::parse_list(scopes).unwrap());
            caller.granted = Granted::Access(Arc::new(list));
        }
        for ((column, expected), found) in OPERATIONS.iter().zip(expected).zip(decisions(registry, &caller)) {
            if expected != found {
                wrong.push(format!("{name} {:?}, {}: expected {expected}, found {found}", access, column.0));
            }
        }
    }
    wrong
}

/// S3-12 … S3-17, S3-22, S3-48, S3-51, S1-43, S1-45, E-6, E-16, F-2; threat classes B, D, F.
#[test]
fn a_password_brings_all_rights_of_its_principal_and_no_other() {
    let policy = policy();
    let wrong = check(&policy, None, BY_PASSWORD);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// S1-8, S1-9, S1-37 … S1-40, S2-32, S3-7; threat classes B, D, F, G.
#[test]
fn an_identity_has_the_rights_of_its_roles_and_no_other() {
    let wrong = check(&policy(), None, BY_ROLE);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// E-8, S3-71, S3-93; threat classes E, I.
#[test]
fn an_access_token_brings_what_it_was_issued_for_as_far_as_it_is_still_granted() {
    let policy = policy();
    let wrong: Vec<_> = BY_ACCESS_TOKEN.iter().flat_map(|(scopes, rows)| check(&policy, Some(scopes), rows)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A credential that is none of the principal's, such as a password that was rotated, opens nothing (S1-51, threat class I).
#[test]
fn a_replaced_password_is_refused_on_every_operation() {
    let policy = policy();
    let foreign = caller(&policy, "system-admin").1.credential;
    for (name, credential) in [("myregistry", foreign), ("read-write", foreign), ("read-write", None)] {
        let (registry, mut caller) = caller(&policy, name);
        caller.credential = credential;
        assert_eq!(decisions(registry, &caller), vec!["password_replaced"; OPERATIONS.len()], "{name}");
    }
}

/// A mount without the right to read the source goes on as a plain upload, and only the mount may (threat class F).
#[test]
fn only_a_mount_has_something_left_without_its_source() {
    let policy = policy();
    for (name, line) in OPERATIONS {
        let operation = operation(&line.replace("DIGEST", DIGEST));
        let plain = operation.without_mount();
        assert_eq!(plain.is_some(), name == "mount", "{name}");
        let Some(plain) = plain else { continue };
        for (row, expected) in [("source-unreadable", true), ("source-only", false), ("read", false), ("write", true)] {
            let (registry, caller) = caller(&policy, row);
            assert_eq!(authorize(registry, &caller, &plain, &anywhere(), now()).is_ok(), expected, "{row}");
        }
    }
}

/// The two newer system-defined maps exist by option only (S3-84).
#[test]
fn the_newer_system_maps_exist_by_option_only() {
    let text = |option: &str| {
        format!(
            "myregistry:\n  loginServer: one.example.com\n  upstream: {{ url: http://127.0.0.1:5000 }}\n{option}  tokens:\n    \
             reader: {{ scopeMap: _repositories_pull_metadata_read, passwords: [{{ name: password1, file: a }}] }}\n    \
             writer: {{ scopeMap: _repositories_push_metadata_write, passwords: [{{ name: password1, file: a }}] }}\n"
        )
    };
    let policy = snapshot(&text("  newerSystemScopeMaps: true\n"));
    let registry = policy.registry_for_host("one.example.com").unwrap();
    for (name, allowed) in [("reader", [true, false]), ("writer", [true, true])] {
        let principal = registry.principal_named(name).unwrap();
        let credential = principal.passwords().first().map(|password| password.id);
        let caller = Caller { principal, credential, granted: Granted::Everything };
        let lines = ["GET /v2/any/repository/tags/list", "PUT /v2/any/repository/manifests/v1"];
        assert_eq!(
            lines.map(|line| authorize(registry, &caller, &operation(line), &anywhere(), now()).is_ok()),
            allowed,
            "{name}"
        );
    }
    let (snapshot, problems) = super::policy::compiled(&text(""));
    assert!(snapshot.is_none() && problems.matches("there is no scope map").count() == 2, "{problems}");
}
