//! The house keeps its shape: who may import whom, which crate lives in which room, how long a file may be.
//!
//! The sources are read as text. Comments do not count, paths of any form do (`use crate::{…}`, `crate::room::…`,
//! `super::super::…`). `docs/architecture.md` explains the table; a change to one is a change to the other.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// Every room with the rooms it may import, besides `secret`, `clock` and `crypto`, which every room may.
const ROOMS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("crypto", &[]),
    ("secret", &[]),
    ("oci", &[]),
    ("policy", &["oci"]),
    ("client", &["oci"]),
    ("current", &["policy"]),
    ("telemetry", &["policy", "oci"]),
    ("observed", &["policy", "oci"]),
    ("auth", &["policy", "oci", "telemetry"]),
    ("store", &["policy", "oci"]),
    ("provider", &["policy", "oci", "current", "store", "telemetry"]),
    ("upstream", &["policy", "oci", "telemetry"]),
    ("content", &["policy", "oci", "telemetry"]),
    ("metadata", &["policy", "oci", "current", "store", "upstream", "content", "telemetry"]),
    ("proxy", &["policy", "oci", "current", "auth", "upstream", "metadata", "content", "observed", "telemetry"]),
    ("management", &["policy", "oci", "current", "auth", "client", "store", "metadata", "telemetry"]),
    ("sync", &["policy", "oci", "store", "upstream", "metadata", "telemetry"]),
    (
        "config",
        &["provider", "policy", "telemetry", "auth", "store", "upstream", "metadata", "proxy", "management", "sync"],
    ),
    ("server", &ALL_BUT_CLI),
    ("cli", &["server", "config", "management", "policy", "client", "oci"]),
];

const ALL_BUT_CLI: [&str; 16] = [
    "oci",
    "client",
    "policy",
    "current",
    "telemetry",
    "observed",
    "auth",
    "store",
    "provider",
    "upstream",
    "content",
    "metadata",
    "proxy",
    "management",
    "sync",
    "config",
];

/// Crates (by the beginning of their names) that may be named in these rooms only.
const CONFINED: &[(&str, &[&str])] = &[
    ("pingora", &["proxy", "server"]),
    ("prometheus", &["telemetry"]),
    ("jsonwebtoken", &["auth"]),
    ("granit_parser", &["provider"]),
    ("sqlx", &["store"]),
    ("clap", &["cli"]),
];

/// Rooms without I/O, without waiting, without a log: their reasons travel in values.
const PURE: &[&str] = &["oci", "policy"];
const IMPURE: &[&str] =
    &["tokio::", "async_trait", "async fn", "async move", ".await", "tracing::", "std::fs", "std::env", "std::process"];

/// Advice that would undo the lint by which a new action breaks every `match`; an `expect` of it would be unfulfilled.
const THE_ONE_ALLOW: &str = "#![allow(clippy::match_like_matches_macro,";

const LONGEST_FILE: usize = 700;
const LONG_FILE: usize = 450;

/// What is wrong with one file; `path` is relative to `src`, with `/`.
fn breaches(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The purpose of a sibling `tests.rs` is its name.
    if !text.starts_with("//!") && !path.ends_with("/tests.rs") {
        found.push("does not begin with `//!` and its purpose".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("has {lines} lines, more than {LONGEST_FILE}"));
    }
    let code = without_comments(text);
    for attribute in ["#[allow(", "#![allow(", "#[ignore"] {
        if code.replace(THE_ONE_ALLOW, "").contains(attribute) {
            found.push(format!("has `{attribute}`: say why with `expect`, or make the test run"));
        }
    }
    let room = room_of(path);
    if matches!(room, "lib" | "main") {
        return found;
    }
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        found.push(format!("is in no known room: `{room}`"));
        return found;
    };
    for import in imported_rooms(path, &code) {
        let everywhere = matches!(import.as_str(), "secret" | "clock" | "crypto");
        if import != room && !everywhere && !allowed.contains(&import.as_str()) {
            found.push(format!("imports `{import}`, which `{room}` may not"));
        }
    }
    for (krate, rooms) in CONFINED {
        if !rooms.contains(&room) && names_crate(&code, krate) {
            found.push(format!("names the crate `{krate}`, which belongs to {rooms:?}"));
        }
    }
    if PURE.contains(&room) {
        let impure = IMPURE.iter().filter(|word| code.contains(*word));
        found.extend(impure.map(|word| format!("has `{word}`, and `{room}` is pure")));
    }
    found
}

fn room_of(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Text after `//` is dropped, also inside a string: nothing that matters here follows a URL on its line.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The first names of all paths that begin at the crate's root.
fn imported_rooms(path: &str, code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        // `$crate::` counts, `other_crate::` does not.
        if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            first_names(&code[at + start.len()..], &mut rooms);
        }
    }
    for (line, climbs) in code.lines().map(|line| (line, longest_climb(line))) {
        // `super` of `room/mod.rs` and of `room.rs` is the root; each folder and each indented module adds a step.
        let steps =
            path.matches('/').count() - usize::from(path.ends_with("/mod.rs")) + usize::from(line.starts_with(' '));
        if climbs > steps {
            let rest = line.rsplit("super::").next().unwrap_or_default();
            first_names(rest, &mut rooms);
        }
    }
    rooms
}

/// How many `super::` follow one another.
fn longest_climb(line: &str) -> usize {
    (1..=line.len()).take_while(|count| line.contains(&"super::".repeat(*count))).count()
}

/// The name that a path goes on with, or each of them when it goes on with braces.
fn first_names(rest: &str, rooms: &mut BTreeSet<String>) {
    let name = |text: &str| {
        let name: String = text.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
        (!name.is_empty()).then_some(name)
    };
    let Some(list) = rest.strip_prefix('{') else {
        rooms.extend(name(rest));
        return;
    };
    let mut depth = 0_usize;
    let mut item = String::new();
    for one in list.chars() {
        match one {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => rooms.extend(name(std::mem::take(&mut item).trim())),
            _ if depth == 0 => item.push(one),
            _ => {}
        }
    }
    rooms.extend(name(item.trim()));
}

/// `prefix` at the beginning of a path's first name, such as `pingora_core::` for `pingora`.
fn names_crate(code: &str, prefix: &str) -> bool {
    code.match_indices(prefix).any(|(at, _)| {
        let inside = code[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '"' | ':'));
        let rest = code[at..].trim_start_matches(|one: char| one.is_alphanumeric() || one == '_');
        !inside && (rest.starts_with("::") || (rest.starts_with(';') && code[..at].ends_with("use ")))
    })
}

/// All sources, with paths relative to `src`.
fn sources() -> io::Result<Vec<(String, String)>> {
    fn visit(directory: &Path, prefix: &str, found: &mut Vec<(String, String)>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
            if path.is_dir() {
                visit(&path, &format!("{name}/"), found)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((name, fs::read_to_string(&path)?));
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut found)?;
    found.sort();
    Ok(found)
}

#[test]
fn every_file_keeps_to_its_room() {
    let mut found = Vec::new();
    for (path, text) in sources().unwrap() {
        found.extend(breaches(&path, &text).into_iter().map(|breach| format!("src/{path} {breach}")));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn nine_files_in_ten_are_short() {
    let mut lengths: Vec<usize> = sources().unwrap().iter().map(|(_, text)| text.lines().count()).collect();
    lengths.sort_unstable();
    let p90 = lengths[lengths.len() * 9 / 10];
    assert!(p90 <= LONG_FILE, "one file in ten has more than {p90} lines; the budget is {LONG_FILE}");
}

#[test]
fn the_table_names_every_room_once_and_only_rooms() {
    let names: BTreeSet<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), ROOMS.len());
    for (room, allowed) in ROOMS {
        for import in *allowed {
            assert!(names.contains(import), "`{room}` may import `{import}`, which is no room");
        }
    }
}

/// The check itself: each of these is found, and nothing else is.
#[test]
fn a_breach_is_found_in_every_form() {
    let table: &[(&str, &str, &str)] = &[
        ("policy/decide.rs", "use crate::proxy::Journey;", "imports `proxy`"),
        ("policy/decide.rs", "use crate::{oci::Route, auth::{Cache, Keys}, clock};", "imports `auth`"),
        ("policy/decide.rs", "fn f() -> crate::store::Row {}", "imports `store`"),
        ("policy/decide.rs", "use super::super::proxy::Journey;", "imports `proxy`"),
        ("policy/mod.rs", "use super::proxy::Journey;", "imports `proxy`"),
        ("current.rs", "use super::auth::Keys;", "imports `auth`"),
        ("oci/route.rs", "use crate::policy::Action;", "imports `policy`"),
        ("proxy/token.rs", "use crate::provider::Reload;", "imports `provider`"),
        ("management/api.rs", "use crate::proxy::Journey;", "imports `proxy`"),
        ("server/mod.rs", "use crate::cli::Command;", "imports `cli`"),
        ("auth/mod.rs", "use pingora::proxy::Session;", "names the crate `pingora`"),
        ("auth/mod.rs", "fn f(s: pingora_core::Error) {}", "names the crate `pingora`"),
        ("proxy/mod.rs", "use prometheus;", "names the crate `prometheus`"),
        ("proxy/mod.rs", "let c = prometheus::Counter::new();", "names the crate `prometheus`"),
        ("policy/document.rs", "use granit_parser::Parser;", "names the crate `granit_parser`"),
        ("server/mod.rs", "use clap::Parser;", "names the crate `clap`"),
        ("oci/route.rs", "async fn f() {}", "`oci` is pure"),
        ("policy/decide.rs", "use tokio::sync::Mutex;", "`policy` is pure"),
        ("policy/decide.rs", "let text = std::fs::read(path);", "`policy` is pure"),
        ("auth/mod.rs", "#[allow(dead_code)]", "has `#[allow(`"),
        ("auth/mod.rs", "#[ignore = \"slow\"]", "has `#[ignore`"),
        ("lib.rs", "#![allow(dead_code)]", "has `#![allow(`"),
        ("kitchen/mod.rs", "", "no known room"),
    ];
    for (path, line, expected) in table {
        let found = breaches(path, &format!("//! Purpose.\n{line}\n"));
        assert_eq!(found.len(), 1, "{path}: {line}: {found:?}");
        assert!(found[0].contains(expected), "{path}: {line}: {found:?}");
    }
    assert_eq!(breaches("oci/route.rs", "use std::fmt;\n").len(), 1, "no purpose");
    assert_eq!(breaches("oci/route.rs", &"//! line\n".repeat(701)).len(), 1, "too long");
}

#[test]
fn what_is_allowed_is_no_breach() {
    let table: &[(&str, &str)] = &[
        ("policy/decide.rs", "use crate::{oci::{Route, Scope}, clock::Clock, secret::Secret};"),
        ("policy/decide.rs", "use super::document::TokenDocument;"),
        ("policy/decide.rs", "mod tests {\n    use super::super::document::TokenDocument;\n}"),
        ("policy/network/tests.rs", "use super::super::document::TokenDocument;"),
        ("policy/decide.rs", "// see crate::proxy and tokio::spawn"),
        ("policy/decide.rs", "/// [`crate::proxy`] refuses without it"),
        ("policy/decide.rs", "let name = \"pingora\"; let my_prometheus = 1;"),
        ("upstream/mod.rs", "use crate::policy::document::UpstreamDocument;"),
        ("proxy/mod.rs", "use pingora::proxy::Session;"),
        ("server/mod.rs", "use crate::{proxy, provider, store};"),
        ("main.rs", "use seawall::cli;"),
    ];
    for (path, line) in table {
        let found = breaches(path, &format!("//! Purpose.\n{line}\n"));
        assert!(found.is_empty(), "{path}: {line}: {found:?}");
    }
}
