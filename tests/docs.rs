//! The pages stay true in what a machine can check: links, configurations, metrics, commands, keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use seawall::telemetry::metrics::Metrics;
use serde_json::Value;

/// The top-level pages; those below `docs/` are found.
const PAGES: [&str; 5] = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "fuzz/README.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages by their paths from the package's root.
fn pages() -> io::Result<BTreeMap<PathBuf, String>> {
    fn visit(directory: &Path, found: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
        for entry in fs::read_dir(root().join(directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.path().is_dir() {
                visit(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.insert(path, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    for page in PAGES {
        found.insert(PathBuf::from(page), fs::read_to_string(root().join(page))?);
    }
    visit(Path::new("docs"), &mut found)?;
    Ok(found)
}

/// The lines outside code blocks, and the blocks with their language.
fn parts(page: &str) -> (Vec<&str>, Vec<(&str, String)>) {
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => prose.push(line),
        }
    }
    assert!(open.is_none(), "a code block has no end");
    (prose, blocks)
}

/// The targets of all links in prose, without what stands in backticks.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in parts(page).0 {
        let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// The anchors of a page's headings, as forges make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = parts(page).0.into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
            kept.map(|one| if one == ' ' { '-' } else { one }).collect()
        })
        .collect()
}

/// What is wrong with the links of `page`, which stands at `path`.
fn broken_links(path: &Path, page: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for link in links(page) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = if file.is_empty() { path.to_owned() } else { path.parent().unwrap_or(Path::new("")).join(file) };
        let target = root().join(target);
        if !file.is_empty() && !target.exists() {
            broken.push(format!("{}: {link} leads nowhere", path.display()));
        } else if !anchor.is_empty() {
            let text = if file.is_empty() { page.to_owned() } else { fs::read_to_string(&target).unwrap_or_default() };
            if !anchors(&text).contains(anchor) {
                broken.push(format!("{}: {link} names no heading", path.display()));
            }
        }
    }
    broken
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let pages = pages().unwrap();
    assert!(pages.len() > 20, "the pages were not found");
    let broken: Vec<_> = pages.iter().flat_map(|(path, page)| broken_links(path, page)).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    let page = "# One two\n[a](nowhere.md) `[b](code.md)` [c](#one-two) [d](#three) [e](https://example.com/)\n\
                ```text\n[f](block.md)\n```\n[g](../README.md#no-such) [h](../README.md)\n";
    let expected = [
        "docs/x.md: nowhere.md leads nowhere",
        "docs/x.md: #three names no heading",
        "docs/x.md: ../README.md#no-such names no heading",
    ];
    assert_eq!(broken_links(Path::new("docs/x.md"), page), expected);
}

/// The whole configurations in a page: blocks of YAML that begin with the format's version.
fn configurations(page: &str) -> Vec<String> {
    let blocks = parts(page).1.into_iter();
    blocks
        .filter(|(language, text)| *language == "yaml" && text.starts_with("version: 1\n"))
        .map(|(_, text)| text)
        .collect()
}

/// What `seawall check` says of `text`, apart from files that only the reader has.
#[cfg(test)]
fn problems(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seawall.yaml");
    fs::write(&path, text).unwrap();
    let problems = seawall::server::check(&path).sorted().into_iter().map(|problem| problem.to_string());
    problems.filter(|problem| !problem.contains("cannot read /etc/seawall/")).collect()
}

#[test]
fn every_configuration_in_the_pages_is_accepted() {
    let mut checked = 0;
    for (path, page) in pages().unwrap() {
        for text in configurations(&page) {
            checked += 1;
            assert_eq!(problems(&text), Vec::<String>::new(), "{}:\n{text}", path.display());
        }
    }
    assert!(checked >= 4, "only {checked} configurations were found");
}

#[test]
fn a_mistake_in_a_configuration_is_found() {
    let page = "```yaml\nversion: 1\nlistener: []\n```\n";
    let found: Vec<_> = configurations(page).iter().flat_map(|text| problems(text)).collect();
    assert!(found.iter().any(|problem| problem.contains("unknown key \"listener\"")), "{found:?}");
}

/// The words of `text` that begin with `seawall_`.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let inside = |one: char| one.is_ascii_alphanumeric() || one == '_';
    let words = text.split(|one| !inside(one));
    words.filter(|word| word.starts_with("seawall_")).collect()
}

#[test]
fn the_page_on_operating_names_every_metric_and_no_other() {
    let rendered = Metrics::new().unwrap();
    // Families without a fixed series are shown from their first event on.
    rendered.decided(None, seawall::telemetry::Outcome::Permit, "permitted");
    rendered.management_request("tokens/read", 200);
    rendered.passwords_expiring("myregistry", "7d", 1);
    rendered.identity_provider_answered("corp", true);
    rendered.identity_token_refused(Some("corp"), "expired");
    rendered.private_endpoint_unknown("myregistry");
    rendered.shadow_decided("myregistry", "deny");
    rendered.rate_limited(None, "login", "source");
    rendered.content("myregistry").asked(seawall::telemetry::ContentResult::Hit);
    rendered.request_finished(&seawall::telemetry::metrics::FinishedRequest {
        registry: None,
        operation: seawall::telemetry::OperationClass::Base,
        status: 200,
        duration: std::time::Duration::ZERO,
        upstream: None,
        uploaded: 0,
        downloaded: 0,
    });
    let rendered = rendered.render().unwrap();
    let exist: BTreeSet<_> =
        rendered.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(exist.len() > 10, "{exist:?}");
    let pages = pages().unwrap();
    let table = pages[Path::new("docs/operating.md")].lines().filter(|line| line.starts_with("| `seawall_"));
    let listed: BTreeSet<_> = table.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(listed, exist, "the table of metrics");
    for (path, page) in &pages {
        let unknown: Vec<_> = metric_names(page).difference(&exist).copied().collect();
        assert!(unknown.is_empty(), "{} names {unknown:?}", path.display());
    }
}

#[test]
fn the_readme_names_every_command_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_seawall")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Wrapped texts stand further in than names.
    let names = commands.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let exist: BTreeSet<_> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `seawall "));
    let listed: BTreeSet<_> = rows.filter_map(|row| row.split(['`', ' ']).next()).collect();
    assert!(!exist.is_empty());
    assert_eq!(listed, exist);
}

/// The sentences that requirements of kind G ask for, each where a reader looks for it.
#[test]
fn the_pages_give_the_advice_that_users_of_acr_know() {
    for (requirement, page, heading, sentence) in [
        ("S1-2, S1-50", "authentication.md", "## Which one to take", "People: their own identity."),
        ("S1-3, S1-50", "authentication.md", "## Which one to take", "a service principal, one for each application"),
        ("S1-20", "authentication.md", "# Ways to authenticate", "Always log in before you push or pull"),
        ("S1-29", "authentication.md", "## Sign in", "Keep it like a password"),
        ("S1-33", "authentication.md", "### For those who come from PowerShell", "`seawall login --name myregistry`"),
        ("S1-41", "authentication.md", "## Make identities by commands", "seawall service-principal create --name"),
        ("S1-47", "authentication.md", "## Which one to take", "**Do not share it.**"),
        ("S1-56", "authentication.md", "### For those who come from PowerShell", "--admin-enabled true"),
        ("S2-4", "configuration.md", "## Trusted services", "when it was a preview in Azure"),
        ("S2-39", "configuration.md", "## Trusted services", "Next: [private endpoints and virtual networks]"),
        ("S4-3", "tasks.md", "## Build across registries", "run with buildah where it is installed, else with docker"),
        ("S4-29", "authentication.md", "## Next", "[Tasks, and identities in them](tasks.md)"),
    ] {
        let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
        let (_, below) = text.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("{page}: no {heading}"));
        let section = below.split("\n## ").next().unwrap();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert!(words(section).contains(sentence), "{requirement}: {page}, {heading}: {sentence}");
    }
}

/// The names of all properties in a JSON Schema.
fn properties<'a>(schema: &'a Value, found: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(own)) = members.get("properties") {
                found.extend(own.keys().map(String::as_str));
            }
            members.values().for_each(|member| properties(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, found)),
        _ => {}
    }
}

#[test]
fn the_page_on_configuration_names_every_key() {
    let schema = seawall::config::schema();
    let mut keys = BTreeSet::new();
    properties(&schema, &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let words: BTreeSet<_> = page.split(|one: char| !one.is_ascii_alphanumeric()).collect();
    let missing: Vec<_> = keys.iter().filter(|key| !words.contains(**key)).collect();
    assert!(missing.is_empty(), "docs/configuration.md does not name {missing:?}");
}

#[test]
fn every_decision_is_in_its_list_and_has_its_four_parts() {
    let pages = pages().unwrap();
    let list = &pages[Path::new("docs/decisions/README.md")];
    let mut found = 0;
    for (path, page) in pages.iter().filter(|(path, _)| path.starts_with("docs/decisions")) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        found += 1;
        assert!(list.contains(&format!("({name})")), "{name} is not in the list");
        let headings = anchors(page);
        for part in ["context", "decision", "consequences", "alternatives"] {
            assert!(headings.contains(part), "{name} has no {part}");
        }
    }
    assert!(found > 10, "only {found} decisions were found");
}
