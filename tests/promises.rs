//! `docs/promises.md` is true in its form: every requirement has exactly one row, and every test it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

/// How many requirements each group has.
const GROUPS: [(&str, usize); 5] = [("S0", 37), ("S1", 58), ("S2", 39), ("S3", 97), ("S4", 29)];

/// What a row says proves its promise.
#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// `file.rs::function`, each.
    Tests(Vec<(String, String)>),
    /// Beyond the documented limitation of this number, on purpose; the tests that show it may follow.
    Lifted(Vec<(String, String)>),
    NotYet,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    id: String,
    proof: Proof,
}

/// The rows of all tables, with what cannot be read.
fn parse(page: &str) -> (Vec<Row>, Vec<String>) {
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| S")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let &[id, kind, promise, proof] = cells.as_slice() else {
            problems.push(format!("four cells are wanted: {line}"));
            continue;
        };
        if !matches!(kind, "D" | "B" | "C" | "P" | "M" | "X" | "G") || promise.is_empty() {
            problems.push(format!("{id}: a kind and a promise are wanted"));
        }
        match parse_proof(proof) {
            Some(proof) => rows.push(Row { id: id.to_owned(), proof }),
            None => problems.push(format!("{id}: a proof is `not yet`, `lifted (Dn)` or tests: {proof}")),
        }
    }
    (rows, problems)
}

fn parse_proof(text: &str) -> Option<Proof> {
    if text == "not yet" {
        return Some(Proof::NotYet);
    }
    if let Some(rest) = text.strip_prefix("lifted (D") {
        let (number, tests) = rest.split_once(')')?;
        number.parse::<u8>().ok()?;
        let tests = tests.trim_start_matches(':').trim();
        return Some(Proof::Lifted(if tests.is_empty() { Vec::new() } else { parse_tests(tests)? }));
    }
    Some(Proof::Tests(parse_tests(text)?))
}

fn parse_tests(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .map(|test| {
            let (file, function) = test.trim().strip_prefix('`')?.strip_suffix('`')?.rsplit_once("::")?;
            let named = !function.is_empty() && function.chars().all(|one| one.is_alphanumeric() || one == '_');
            (Path::new(file).extension().is_some_and(|extension| extension == "rs") && named)
                .then(|| (file.to_owned(), function.to_owned()))
        })
        .collect()
}

/// All Rust files below `src` and `tests`, by path from the package's root.
fn sources() -> io::Result<BTreeMap<String, String>> {
    fn visit(root: &Path, directory: &str, found: &mut BTreeMap<String, String>) -> io::Result<()> {
        for entry in fs::read_dir(root.join(directory))? {
            let entry = entry?;
            let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                visit(root, &path, found)?;
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                found.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    for directory in ["src", "tests"] {
        visit(Path::new(env!("CARGO_MANIFEST_DIR")), directory, &mut found)?;
    }
    Ok(found)
}

/// Whether some file of this name (`clients.rs`, `it/clients.rs`, `src/policy/decide/tests.rs`) has this test.
fn has_test(sources: &BTreeMap<String, String>, file: &str, function: &str) -> bool {
    let end = format!("/{file}");
    let mut texts = sources.iter().filter(|(path, _)| *path == file || path.ends_with(&end)).map(|(_, text)| text);
    texts.any(|text| is_test(text, function))
}

/// A function that carries `#[test]` or `#[tokio::test…]`, in a `proptest!` block too.
fn is_test(text: &str, function: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let start = format!("fn {function}(");
    let position = lines.iter().position(|line| line.trim_start_matches("async ").starts_with(&start));
    let attributes = position.map(|at| lines.iter().take(at).rev().take_while(|line| line.starts_with(['#', '/'])));
    attributes
        .is_some_and(|mut lines| lines.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test")))
}

fn problems(page: &str, sources: &BTreeMap<String, String>) -> Vec<String> {
    let (rows, mut problems) = parse(page);
    let mut seen = BTreeSet::new();
    for row in &rows {
        if !seen.insert(row.id.clone()) {
            problems.push(format!("{} is there twice", row.id));
        }
        let (Proof::Tests(tests) | Proof::Lifted(tests)) = &row.proof else { continue };
        for (file, function) in tests {
            if !has_test(sources, file, function) {
                problems.push(format!("{}: there is no test `{file}::{function}`", row.id));
            }
        }
    }
    let wanted: BTreeSet<String> =
        GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}-{number}"))).collect();
    problems.extend(wanted.difference(&seen).map(|id| format!("{id} is missing")));
    problems.extend(seen.difference(&wanted).map(|id| format!("{id} is no requirement")));
    problems
}

const PAGE: &str = include_str!("../docs/promises.md");

#[test]
fn every_requirement_has_one_row_and_every_named_test_is_there() {
    let found = problems(PAGE, &sources().unwrap());
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_false_row_is_found() {
    let sources = sources().unwrap();
    let with = |row: &str| format!("{PAGE}{row}\n");
    for (proof, expected) in [
        ("`promises.rs::no_such_test`", "there is no test"),
        ("`nowhere.rs::a_false_row_is_found`", "there is no test"),
        ("`promises.rs::problems`", "there is no test"),
        ("lifted (D5): `promises.rs::no_such_test`", "there is no test"),
        ("`promises.rs`", "a proof is"),
        ("lifted", "a proof is"),
        ("soon", "a proof is"),
    ] {
        let found = problems(&with(&format!("| S0-1 | B | a second row | {proof} |")), &sources);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{proof}: {found:?}");
    }
    assert_eq!(problems(&with("| S0-1 | X | again | not yet |"), &sources), ["S0-1 is there twice"]);
    assert_eq!(problems(&with("| S0-38 | X | one too many | not yet |"), &sources), ["S0-38 is no requirement"]);
    let without: Vec<&str> = PAGE.lines().filter(|line| !line.starts_with("| S3-43 ")).collect();
    assert_eq!(problems(&without.join("\n"), &sources), ["S3-43 is missing"]);
}

#[test]
fn a_true_row_is_accepted() {
    let sources = sources().unwrap();
    for (file, function) in [
        ("promises.rs", "a_true_row_is_accepted"),
        ("tests/promises.rs", "a_true_row_is_accepted"),
        ("it/walkthrough.rs", "a_right_given_works_with_the_next_access_token"),
    ] {
        assert!(has_test(&sources, file, function), "{file}::{function}");
    }
    assert_eq!(parse_proof("lifted (D1)"), Some(Proof::Lifted(Vec::new())));
}
