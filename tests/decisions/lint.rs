//! What works and is probably not meant.

use seawall::policy::document::PolicyDocument;
use seawall::policy::lint;
use seawall::policy::problem::Problems;
use seawall::provider::{reader, yaml};

use super::policy::texts;

/// What is noticed about a registry that says this too, without the hints.
fn noticed(further: &str) -> Vec<String> {
    noticed_beside("", further)
}

/// The same, with `others` beside the registries.
fn noticed_beside(others: &str, further: &str) -> Vec<String> {
    let text = format!(
        "{others}\nregistries: {{ r1: {{ loginServer: one.example.com, upstream: {{ url: http://127.0.0.1:5000 }}, {further} }} }}\n"
    );
    let mut problems = Problems::new();
    let tree = yaml::parse("policy.yaml", &text, &mut problems).unwrap();
    let documents = reader::draft::<PolicyDocument>(tree, &mut problems).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let found = texts(lint(documents.examine()));
    let lines = found.lines().filter(|line| !line.starts_with("  hint: "));
    lines.map(|line| line.split_once("warning: ").unwrap().1.to_owned()).collect()
}

fn rules(default: &str, rules: &str) -> Vec<String> {
    noticed(&format!("networkRuleSet: {{ defaultAction: {default}, ipRules: [{rules}] }}"))
}

#[test]
fn rules_that_change_nothing_are_noticed() {
    const OFFICE: &str = "{ value: 203.0.113.0/24 }";
    let table: [(&str, &str, &[&str]); 9] = [
        ("Deny", OFFICE, &[]),
        ("Deny", "{ value: 203.0.113.0/24 }, { value: 203.0.113.66, action: Deny }, { value: \"2001:db8::/48\" }", &[]),
        ("Allow", OFFICE, &["`203.0.113.0/24` changes nothing"]),
        ("Deny", "{ value: 203.0.113.0/24 }, { value: 203.0.113.7 }", &["`203.0.113.7` changes nothing"]),
        ("Deny", "{ value: 0.0.0.0/0 }, { value: 203.0.113.7 }", &["`203.0.113.7` changes nothing"]),
        // The rule between them makes the innermost one count.
        ("Deny", "{ value: 10.0.0.0/8 }, { value: 10.1.0.0/16, action: Deny }, { value: 10.1.2.0/24 }", &[]),
        (
            "Deny",
            "{ value: 10.0.0.0/8 }, { value: 10.0.0.0/9, action: Deny }, { value: 10.128.0.0/9, action: Deny }",
            &["`10.0.0.0/8` never matches"],
        ),
        (
            "Deny",
            "{ value: 10.0.0.0/8 }, { value: \"::ffff:10.0.0.0/104\" }",
            &["another rule is for the same addresses, so `::ffff:10.0.0.0/104` has no effect"],
        ),
        (
            "Deny",
            "{ value: 10.0.0.0/8 }, { value: 10.0.0.0/8, action: Deny }",
            &["another rule is for the same addresses, so `10.0.0.0/8` has no effect", "`10.0.0.0/8` changes nothing"],
        ),
    ];
    for (default, written, expected) in table {
        assert_eq!(rules(default, written), expected, "{default} {written}");
    }
    let whole = "{ value: 0.0.0.0/0 }, { value: 0.0.0.0/1, action: Deny }, { value: 128.0.0.0/1, action: Deny }";
    assert_eq!(rules("Deny", whole), ["`0.0.0.0/0` never matches"]);
    let disabled = "publicNetworkAccess: Disabled, networkRuleSet: { ipRules: [{ value: 10.0.0.0/8 }] }";
    assert_eq!(noticed(disabled), ["the ip rules never match"]);
}

#[test]
fn patterns_that_another_one_contains_are_noticed() {
    let map = |rules: &str| noticed(&format!("scopeMaps: {{ team-a: {{ repositories: {{ {rules} }} }} }}"));
    assert_eq!(map("'*': [content/read], a/b: [content/read]"), ["`a/b` adds nothing"]);
    assert_eq!(map("a/*: [content/read, content/write], a/b/*: [content/read]"), ["`a/b/*` adds nothing"]);
    assert_eq!(map("a/*: [content/read], a/b: [content/write], a: [content/read]"), [""; 0]);
}

#[test]
fn tokens_whose_passwords_never_end_are_noticed() {
    let token = |passwords: &str| {
        noticed(&format!("tokens: {{ ci: {{ scopeMap: _repositories_pull, passwords: [{passwords}] }} }}"))
    };
    assert_eq!(token("{ name: password1, file: a }"), ["no password of token `ci` ever expires"]);
    assert_eq!(
        token("{ name: password1, file: a, expiry: 2027-06-30T00:00:00Z }, { name: password2, file: b }"),
        [""; 0]
    );
    assert_eq!(
        token("{ name: password1, hash: $2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW }"),
        [""; 0]
    );
    assert_eq!(token(""), [""; 0]);
}

#[test]
fn a_lock_that_changes_nothing_is_noticed() {
    let locks = |rules: &str| noticed(&format!("locks: [{rules}]"));
    assert_eq!(
        locks(
            "{ repositories: a/*, tags: 'v*', writeOnce: true }, { repositories: a/*, writeEnabled: false }, \
             { repositories: a/*, tags: 'v*', readEnabled: false }, { repositories: b, tags: 'v*', writeOnce: true }"
        ),
        [""; 0]
    );
    let idle = ["{ repositories: a }", "{ repositories: a, tags: v1, writeEnabled: true, writeOnce: false }"];
    assert_eq!(idle.map(locks), [["this rule locks nothing"]; 2]);
    let wide = "{ repositories: a/*, tags: 'v*', writeEnabled: false, deleteEnabled: false }";
    for narrow in [
        "{ repositories: a/*, tags: 'v*', deleteEnabled: false, writeEnabled: false }",
        "{ repositories: a/b, tags: v1, deleteEnabled: false }",
        "{ repositories: a/b/*, tags: 'v*-rc*', writeOnce: true }",
    ] {
        assert_eq!(locks(&format!("{wide}, {narrow}")), ["this rule adds nothing"], "{narrow}");
        assert_eq!(locks(&format!("{narrow}, {wide}")), ["this rule adds nothing"], "{narrow}");
    }
}

#[test]
fn a_condition_that_names_nobody_is_noticed() {
    let further = "privateEndpointConnections: [{ name: build, match: { linkId: 1 }, status: Approved }], \
                   tokens: { ci: { scopeMap: _repositories_pull, networks: { \
                   allow: [private endpoint build, any private endpoint, 10.0.0.0/8], deny: [private endpoint biuld] } } }, \
                   scopeMaps: { team-a: { networks: { allow: [virtual network office] } } }";
    assert_eq!(
        noticed(further),
        [
            "this file has no private endpoint `biuld`: nobody comes from there",
            "this file has no virtual network `office`: nobody comes from there"
        ]
    );
}

/// An identity's condition counts at every registry.
#[test]
fn a_condition_outside_the_registries_that_names_nobody_is_noticed() {
    let others = "identities: { jane: { type: User, networks: { allow: [private endpoint build, virtual network offce] } } }\n\
                  roleAssignments: [{ identity: jane, role: AcrPull, networks: { deny: [private endpoint lab] } }]";
    let further = "privateEndpointConnections: [{ name: build, match: { linkId: 1 }, status: Approved }], \
                   networkRuleSet: { virtualNetworkRules: [{ name: office, match: { listener: a } }] }";
    assert_eq!(
        noticed_beside(others, further),
        [
            "this file has no virtual network `offce`: nobody comes from there",
            "this file has no private endpoint `lab`: nobody comes from there"
        ]
    );
    assert_eq!(noticed_beside(&others.replace("offce", "office").replace("lab", "build"), further), [""; 0]);
}
