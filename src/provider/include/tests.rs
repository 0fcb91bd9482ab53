use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::policy::document::InstallationAssignmentDocument;

/// Names and contents; `@` in a content stands for a whole registry.
type Files<'a> = &'a [(&'a str, &'a str)];

const REGISTRY: &str = "{loginServer: a.example.com, upstream: {url: 'http://127.0.0.1:5000'}}";

/// A directory with these files.
fn directory(files: Files<'_>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace('@', REGISTRY)).unwrap();
    }
    directory
}

fn gathered(directory: &TempDir) -> (Sources, Vec<String>) {
    let mut problems = Problems::new();
    let sources = gather(&directory.path().join("root.yaml"), &mut problems);
    let here = format!("{}/", directory.path().display());
    let shown = problems.sorted().iter().map(|problem| problem.to_string().replace(&here, "")).collect();
    (sources, shown)
}

fn names(sources: Sources) -> Vec<String> {
    let policy = reader::read::<PolicyDocument>(sources.policy.unwrap(), &mut Problems::new()).unwrap();
    let all = policy.identity_providers.keys().chain(policy.identities.keys()).chain(policy.registries.keys());
    all.map(|name| format!("{} in {}", **name, file_name(Path::new(&*name.origin.file)))).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn the_policy_of_all_files_is_one() {
    let directory = directory(&[
        ("root.yaml", "version: 1\ninclude: [more/one.yaml, conf.d]\nregistries: {root: @}"),
        ("more/one.yaml", "include: [two.yaml]\nregistries: {one: @}"),
        ("more/two.yaml", "registries: {two: @}\nidentities: {me: {type: User}}"),
        ("conf.d/b.yaml", "registries: {b: @}\nidentityProviders: {corp: {issuer: x, audiences: [y]}}"),
        ("conf.d/a.yaml", "registries: {a: @}"),
        ("conf.d/.hidden.yaml", "nonsense"),
        ("conf.d/readme.txt", "nonsense"),
    ]);
    let (mut sources, problems) = gathered(&directory);
    assert_eq!(problems, Vec::<String>::new());
    let files: Vec<_> = sources.files.iter().map(|path| file_name(path)).collect();
    assert_eq!(files, ["root.yaml", "one.yaml", "two.yaml", "conf.d", "a.yaml", "b.yaml"]);
    let mut process = sources.process.take().unwrap();
    assert!(process.take("version").is_some());
    assert!(process.take("registries").is_none() && process.take("include").is_none());
    assert_eq!(
        names(sources),
        [
            "corp in b.yaml",
            "me in two.yaml",
            "a in a.yaml",
            "b in b.yaml",
            "one in one.yaml",
            "root in root.yaml",
            "two in two.yaml"
        ]
    );
}

/// The only list among the policy's keys.
#[test]
fn what_is_assigned_on_all_registries_is_what_all_files_assign() {
    let directory = directory(&[
        ("root.yaml", "include: [a.yaml]\nroleAssignments: [{identity: me, role: Owner}]"),
        ("a.yaml", "roleAssignments: [{identity: me, role: Owner}, {identity: you, role: AcrPull}]"),
    ]);
    let (sources, problems) = gathered(&directory);
    assert_eq!(problems, Vec::<String>::new());
    let policy = reader::read::<PolicyDocument>(sources.policy.unwrap(), &mut Problems::new()).unwrap();
    let shown = |one: &At<InstallationAssignmentDocument>| {
        format!("{} is {} in {}", *one.identity, *one.role, file_name(Path::new(&*one.origin.file)))
    };
    let all: Vec<_> = policy.role_assignments.iter().map(shown).collect();
    assert_eq!(all, ["me is Owner in root.yaml", "me is Owner in a.yaml", "you is AcrPull in a.yaml"]);
}

#[test]
fn what_includes_cannot_do_is_a_problem_at_the_place_that_says_it() {
    let cases: &[(Files, &[&str])] = &[
        (&[("root.yaml", "include: [root.yaml]")], &["root.yaml:1:11: root.yaml includes itself"]),
        (
            &[("root.yaml", "include: [a.yaml]"), ("a.yaml", "include: [b.yaml]"), ("b.yaml", "include: [a.yaml]")],
            &["b.yaml:1:11: a.yaml includes itself"],
        ),
        (
            &[("root.yaml", "include: [a.yaml, ./a.yaml]"), ("a.yaml", "registries: {a: @}")],
            &["root.yaml:1:19: ./a.yaml is included twice, first at root.yaml:1:11"],
        ),
        (
            &[("root.yaml", "include: [a.yaml]\nregistries: {x: @}"), ("a.yaml", "registries: {x: @, y: @}")],
            &["a.yaml:1:14: registry \"x\" is declared twice\n  hint: it is declared at root.yaml:2:14 too"],
        ),
        (
            &[("root.yaml", "include: [a.yaml]\nidentities: {x: {}}"), ("a.yaml", "identities: {x: {}}")],
            &["a.yaml:1:14: identity \"x\" is declared twice\n  hint: it is declared at root.yaml:2:14 too"],
        ),
        (
            &[("root.yaml", "include: [a.yaml]"), ("a.yaml", "store: x")],
            &[
                "a.yaml:1:1: key \"store\" in an included file\n  hint: only identityProviders, identities, roleAssignments, trustedServices, registries and include may stand there; move it to the root file",
            ],
        ),
        (
            &[("root.yaml", "include: [gone.yaml]")],
            &["root.yaml:1:11: cannot read gone.yaml: No such file or directory (os error 2)"],
        ),
        (&[("root.yaml", "include: a.yaml")], &["root.yaml:1:10: expected a list, found text"]),
        (&[("root.yaml", "include: [a.yaml]"), ("a.yaml", "[]")], &["a.yaml:1:1: expected a mapping, found a list"]),
        (&[("root.yaml", "registries: []")], &["root.yaml:1:13: expected a mapping, found a list"]),
        (&[("root.yaml", "roleAssignments: {}")], &["root.yaml:1:18: expected a list, found a mapping"]),
        (&[("root.yaml", "roleAssignments: x")], &["root.yaml:1:18: expected a list, found text"]),
        (&[], &["root.yaml:1:1: cannot read root.yaml: No such file or directory (os error 2)"]),
    ];
    for (files, expected) in cases {
        assert_eq!(gathered(&directory(files)).1, *expected, "{files:?}");
    }
}

#[test]
fn files_may_include_files_eight_deep() {
    for (depth, allowed) in [(8, true), (9, false)] {
        let files: Vec<_> = (0..=depth)
            .map(|n| {
                let name = if n == 0 { "root.yaml".into() } else { format!("{n}.yaml") };
                let text = if n == depth { "registries: {}".into() } else { format!("include: [{}.yaml]", n + 1) };
                (name, text)
            })
            .collect();
        let files: Vec<_> = files.iter().map(|(name, text): &(String, String)| (&**name, &**text)).collect();
        let (sources, problems) = gathered(&directory(&files));
        assert_eq!((sources.policy.is_some(), problems.is_empty()), (allowed, allowed), "{problems:?}");
    }
}

#[test]
fn a_file_that_is_not_utf_8_names_the_line() {
    let directory = directory(&[]);
    fs::write(directory.path().join("root.yaml"), b"version: 1\nx: \xff\n").unwrap();
    let problems = gathered(&directory).1;
    assert_eq!(problems, ["root.yaml:1:1: cannot read root.yaml: line 2 is not UTF-8"]);
}

#[test]
fn the_policy_is_withheld_when_a_file_is_missing() {
    let directory = directory(&[("root.yaml", "include: [gone.yaml]\nregistries: {a: @}")]);
    assert!(gathered(&directory).0.policy.is_none());
}

#[test]
fn relative_paths_start_beside_the_file_that_names_them() {
    let origin = |file: &str| Origin::new(file, 1, 1);
    for (file, path, meant) in [
        ("conf/a.yaml", "tls.crt", "conf/tls.crt"),
        ("a.yaml", "tls.crt", "tls.crt"),
        ("/etc/a.yaml", "../x", "/etc/../x"),
        ("conf/a.yaml", "/run/x", "/run/x"),
    ] {
        assert_eq!(origin(file).beside(path), Path::new(meant));
    }
}
