use std::fs;

use proptest::prelude::*;
use regex::Regex;

use super::super::tests::check;
use super::*;

const GOOD: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

/// The outcome, and everything that was said.
fn migrated(text: &str, deeper: bool) -> (Outcome, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.yml");
    fs::write(&path, text).unwrap();
    let shown = |problems: Problems| {
        let prefix = format!("{}/", folder.path().display());
        problems.sorted().iter().map(|problem| format!("{problem}\n").replace(&prefix, "")).collect::<String>()
    };
    match migrate(&path, "myregistry", deeper) {
        Ok(outcome) => {
            let said = shown(outcome.problems.clone());
            (outcome, said)
        }
        Err(problems) => (Outcome::default(), format!("refused\n{}", shown(problems))),
    }
}

fn file(users: &[&str], acl: &str) -> String {
    let users: Vec<_> = users.iter().map(|user| format!("  \"{user}\": {{password: \"{GOOD}\"}}\n")).collect();
    format!("users:\n{}acl:\n{acl}", users.concat())
}

/// `repository: actions` of the scope map of `user`, in short.
fn rights(yaml: &str, user: &str) -> Vec<String> {
    let whole: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
    let registry = &whole["registries"]["myregistry"];
    let name = registry["tokens"][user]["scopeMap"].as_str().unwrap();
    let repositories = registry["scopeMaps"][name]["repositories"].as_object().unwrap();
    let short =
        |word: &str| word.replace("content/", "c").replace("metadata/", "m").chars().take(2).collect::<String>();
    repositories
        .iter()
        .map(|(pattern, actions)| {
            let actions: Vec<_> =
                actions.as_array().unwrap().iter().map(|word| short(word.as_str().unwrap())).collect();
            format!("{pattern} {}", actions.join(" "))
        })
        .collect()
}

const SIMPLE: &str = "  - match: {account: admin}
    actions: ['*']
    comment: all
  - match: {account: '/^(ci|cd)$/', name: 'builds/app'}
    actions: [pull, push]
  - match: {account: '/.+/', name: '/^library/.*/'}
    actions: [pull]
";

#[test]
fn each_user_gets_a_scope_map_of_its_own() {
    let (outcome, said) = migrated(&file(&["admin", "ci", "jane.doe@example.com"], SIMPLE), false);
    assert_eq!(said, "");
    let yaml = check(&outcome);
    assert_eq!(rights(&yaml, "admin"), ["* cr cw cd mr"]);
    assert_eq!(rights(&yaml, "ci"), ["builds/app cr cw mr", "library/* cr mr"]);
    assert_eq!(rights(&yaml, "jane.doe@example.com"), ["library/* cr mr"]);
    assert!(yaml.contains("jane-doe-example-com-scope-map"), "{yaml}");
    assert!(!outcome.anonymous_pull);
}

#[test]
fn a_star_ends_at_a_slash_unless_it_is_told_not_to() {
    let text = file(&["alice", "bob.b"], "  - {match: {account: /.+/, name: '${account}/*'}, actions: ['*']}\n");
    let (outcome, said) = migrated(&text, false);
    assert_eq!(
        said,
        "auth.yml:5:35: `alice`, `bob.b`: in docker_auth the `*` of \"${account}/*\" ends at the next `/`, while here it \
         covers everything below; what this line allows is left out\n  hint: run it again with --deeper when that is \
         meant, or name the repositories one by one\n"
    );
    assert_eq!(rights(&check(&outcome), "alice"), Vec::<String>::new());
    let (outcome, said) = migrated(&text, true);
    assert!(!outcome.problems.are_fatal(), "{said}");
    assert!(said.contains("warning: `alice`, `bob.b`: ") && said.contains("and now covers everything below"), "{said}");
    assert_eq!(rights(&check(&outcome), "bob.b"), ["bob.b/* cr cw cd mr"]);
}

#[test]
fn the_first_line_that_matches_decides_so_later_ones_give_no_more() {
    let acl = "  - {match: {name: secret/app}, actions: []}
  - {match: {account: alice, name: '/^team//'}, actions: [pull]}
  - {match: {account: alice, name: '/^team/x//'}, actions: ['*']}
  - {match: {account: alice, name: other}, actions: [push]}
  - {match: {account: alice}, actions: [pull, push]}
  - {match: {account: bob, ip: 10.0.0.0/8}, actions: [pull]}
  - {match: {account: bob, name: /pub/}, actions: [pull, push]}
  - {match: {account: bob}, actions: [pull, delete]}
";
    let (outcome, said) = migrated(&file(&["alice", "bob"], acl), false);
    let yaml = check(&outcome);
    assert_eq!(rights(&yaml, "alice"), ["other cw", "team/* cr mr"]);
    assert_eq!(rights(&yaml, "bob"), Vec::<String>::new());
    for expected in [
        "auth.yml:9:5: `alice`: content/read, content/write, metadata/read on `*` is left out, because the line at \
         auth.yml:5:5 does not allow it",
        "auth.yml:10:5: `bob`: this line depends on the caller's address, so what it allows is left out\n  hint: a \
         registry's networkRuleSet",
        "auth.yml:11:34: `bob`: no scope map can say \"/pub/\"",
        "auth.yml:12:5: `bob`: content/read, content/delete, metadata/read on `*` is left out, because the line at \
         auth.yml:5:5",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("auth.yml:7"), "it never decided anything:\n{said}");
}

#[test]
fn users_that_cannot_be_tokens_are_named() {
    let text = format!(
        "server: {{addr: ':5001'}}\ntoken: {{issuer: me}}\nusers:\n  open: {{}}\n  'with space': {{password: \"{GOOD}\"}}\n  \
         md5: {{password: $apr1$hunter2}}\n  myregistry: {{password: \"{GOOD}\"}}\n  fine: {{password: \"{GOOD}\", labels: \
         {{group: [a]}}}}\nldap_auth: {{addr: x, tls:  always}}\nacl:\n  - match: {{account: nobody}}\n    actions: [pull]\n  \
         - match: {{account: fine, type: registry, name: catalog}}\n    actions: ['*']\n  - match: {{account: fine, labels: \
         {{group: a}}}}\n    actions: [admin]\n"
    );
    let (outcome, said) = migrated(&text, false);
    assert_eq!((outcome.tokens.len(), outcome.left_out), (1, 4));
    assert_eq!(rights(&check(&outcome), "fine"), Vec::<String>::new());
    for expected in [
        "auth.yml:4:3: any password is accepted for user `open`",
        "auth.yml:5:3: `with space` is not a token name",
        "auth.yml:6:19: the password of `md5` is kept as MD5",
        "auth.yml:7:3: user `myregistry` has the registry's name",
        "auth.yml:9:12: what ldap_auth knows is left out",
        "auth.yml:11:5: warning: this line is about none of the users",
        "auth.yml:13:5: `fine`: listing the catalog is left out",
        "auth.yml:16:15: the action \"admin\" is left out",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn anonymous_pull_is_for_everything_or_for_nothing() {
    for (acl, pull, said) in [
        ("[{match: {account: ''}, actions: [pull]}]", true, ""),
        ("[{match: {}, actions: [pull]}]", true, ""),
        (
            "[{match: {account: '', name: hello-world}, actions: [pull]}]",
            false,
            "auth.yml:1:9: without logging in, content/read, metadata/read on `hello-world` is left out\n",
        ),
        (
            "[{match: {}, actions: ['*']}]",
            true,
            "auth.yml:1:9: without logging in, content/write, content/delete on `*` is left out\n",
        ),
        ("[{match: {account: /.+/}, actions: [pull]}]", false, "auth.yml:2:7: warning: this line is about none"),
        ("[]", false, ""),
    ] {
        let (outcome, found) = migrated(&format!("users: {{\"\": {{}}}}\nacl: {acl}\n"), false);
        assert_eq!(outcome.anonymous_pull, pull, "{acl}");
        assert!(found.starts_with(said) && found.is_empty() == said.is_empty(), "{acl}: {found}");
        assert_eq!(check(&outcome).contains("anonymousPullEnabled: true"), pull);
    }
}

/// A condition that is skipped would make a line hold for everybody.
#[test]
fn an_unknown_key_refuses_the_whole_file() {
    for acl in [
        "[{match: {account: alice, weekday: monday}, actions: ['*']}]",
        "[{match: {account: }, actions: ['*']}]",
        "[{actions: ['*']}]",
        "[{match: {account: alice}}]",
    ] {
        let (_, said) = migrated(&format!("users: {{alice: {{password: '{GOOD}'}}}}\nacl: {acl}\n"), false);
        assert!(said.starts_with("refused\nauth.yml:2:"), "{acl}: {said}");
    }
}

#[test]
fn names_of_scope_maps_differ_and_are_short_enough() {
    let long = "x".repeat(60);
    let mut taken = BTreeSet::new();
    for user in ["a.b", "a-b", "a@b", "_repositories_x", &long, &format!("{long}y"), "__"] {
        let name = free_name(user, &taken.iter().map(String::as_str).collect());
        assert_eq!(crate::policy::names::check_scope_map(&name), Ok(()), "{name}");
        assert!(taken.insert(name), "{user}");
    }
}

/// What docker_auth itself would say: the first line that matches decides.
fn original(acl: &[(String, String)], name: &str) -> String {
    let line = acl.iter().find(|(pattern, _)| {
        Regex::new(&names::regular_expression(pattern)).is_ok_and(|matcher| matcher.is_match(name))
    });
    line.map(|(_, actions)| actions.clone()).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_may_do_more_than_before(
        acl in proptest::collection::vec(
            ("(a|b|a/b|a/[*]|[*]|a/b/[*]|/[.][*]/|/\\^a//|/\\^a/b//|/b/|a[*])", "(pull|push|pull, push|delete|)"),
            1..6,
        ),
        name in "[ab](/[ab]){0,2}",
    ) {
        let line = |(name, actions): &(String, String)| format!("  - {{match: {{name: '{name}'}}, actions: [{actions}]}}\n");
        let lines = acl.iter().map(line).collect::<Vec<_>>().concat();
        let (outcome, said) = migrated(&file(&["alice"], &lines), false);
        prop_assert!(!said.starts_with("refused"), "{lines}{said}");
        let yaml = outcome.yaml(&super::super::tests::target()).unwrap();
        let before = original(&acl, &name);
        let name = RepositoryPattern::parse(&name).unwrap();
        for rule in rights(&yaml, "alice") {
            let (pattern, actions) = rule.split_once(' ').unwrap();
            if names::covers(&RepositoryPattern::parse(pattern).unwrap(), &name) {
                for (short, word) in [("cr", "pull"), ("mr", "pull"), ("cw", "push"), ("cd", "delete")] {
                    prop_assert!(!actions.contains(short) || before.contains(word), "{lines}{rule} {before}");
                }
            }
        }
    }
}
