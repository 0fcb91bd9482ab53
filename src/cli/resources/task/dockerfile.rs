//! What a Dockerfile builds on: the images behind `FROM`, as far as its arguments say them (S4-26).
//!
//! Only for the report of a run: whoever builds reads the file himself, with a reader of his own.

use std::collections::BTreeMap;

/// The images that a Dockerfile names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bases {
    /// Of the stage that is the result.
    pub(super) runtime: Option<String>,
    /// Of the other stages, each once.
    pub(super) buildtime: Vec<String>,
}

struct Stage {
    name: Option<String>,
    base: Base,
}

enum Base {
    Image(String),
    /// The place of an earlier stage.
    Stage(usize),
    /// `scratch`, or a name that its arguments leave open.
    Nothing,
}

/// Reads `text` with the build's own `arguments`; the result is the stage `target`, else the last one.
pub(super) fn bases(text: &str, arguments: &[(String, String)], target: Option<&str>) -> Bases {
    let stages = stages(text, arguments);
    let wanted = target.and_then(|target| stages.iter().rposition(|stage| is_named(stage, target)));
    let Some(last) = wanted.or_else(|| stages.len().checked_sub(1)) else { return Bases::default() };
    let root = root(&stages, last);
    let mut found = Bases::default();
    for (at, stage) in stages.iter().take(last.saturating_add(1)).enumerate() {
        let Base::Image(image) = &stage.base else { continue };
        if Some(at) == root {
            found.runtime = Some(image.clone());
        } else if !found.buildtime.contains(image) {
            found.buildtime.push(image.clone());
        }
    }
    found
}

/// The stage whose image the stage `at` stands on. A stage names only earlier ones, so this ends.
fn root(stages: &[Stage], mut at: usize) -> Option<usize> {
    while let Base::Stage(earlier) = stages.get(at)?.base {
        at = earlier;
    }
    Some(at)
}

fn is_named(stage: &Stage, name: &str) -> bool {
    stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn stages(text: &str, given: &[(String, String)]) -> Vec<Stage> {
    let given: BTreeMap<&str, &str> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // Those before the first FROM are the ones that FROM sees.
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for line in instructions(text) {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default();
        if instruction.eq_ignore_ascii_case("ARG") && stages.is_empty() {
            for word in words {
                let (name, default) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
                let default = default.map(|value| value.trim_matches(['"', '\'']));
                let value = given.get(name).copied().map(str::to_owned);
                let value = value.or_else(|| default.and_then(|value| substituted(value, &known)));
                known.extend(value.map(|value| (name.to_owned(), value)));
            }
        } else if instruction.eq_ignore_ascii_case("FROM") {
            let rest: Vec<&str> = words.skip_while(|word| word.starts_with("--")).collect();
            let name = match rest.as_slice() {
                [_, word, name, ..] if word.eq_ignore_ascii_case("AS") => Some((*name).to_owned()),
                _ => None,
            };
            let image = rest.first().and_then(|image| substituted(image, &known));
            let base = image.map_or(Base::Nothing, |image| base(image, &stages));
            stages.push(Stage { name, base });
        }
    }
    stages
}

fn base(image: String, stages: &[Stage]) -> Base {
    if image == "scratch" {
        return Base::Nothing;
    }
    stages.iter().rposition(|stage| is_named(stage, &image)).map_or(Base::Image(image), Base::Stage)
}

/// The lines without comments, joined where a `\` ends them.
fn instructions(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            open.push_str(part);
            open.push(' ');
            continue;
        }
        open.push_str(line);
        all.push(std::mem::take(&mut open));
    }
    all.push(open);
    all
}

/// `$NAME`, `${NAME}` and `${NAME:-VALUE}` replaced; `None` when one is not known.
fn substituted(text: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        rest = if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = after.split_once('}')?;
            let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, value)| (name, Some(value)));
            let value = known.get(name).map(String::as_str).filter(|value| default.is_none() || !value.is_empty());
            done.push_str(value.or(default)?);
            after
        } else {
            let length = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            let (name, after) = after.split_at(length);
            done.push_str(known.get(name)?);
            after
        };
    }
    done.push_str(rest);
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// S4-25.
    #[test]
    fn the_base_of_the_seeds() {
        let text = "ARG REGISTRY_NAME\nFROM ${REGISTRY_NAME}/baseimages/node:15-alpine\nCOPY . /src\n";
        let found = bases(text, &arguments(&[("REGISTRY_NAME", "mybaseregistry.azurecr.io")]), None);
        assert_eq!(found.runtime.as_deref(), Some("mybaseregistry.azurecr.io/baseimages/node:15-alpine"));
        assert!(found.buildtime.is_empty());
        assert_eq!(bases(text, &[], None), Bases::default(), "its argument is not given");
    }

    #[test]
    fn stages_build_on_one_another() {
        let text = "# a comment\nARG TAG=1 BASE=\"r/base:$TAG\"\nFROM --platform=linux/amd64 r/sdk:${TAG} AS build\nARG TAG=9\nFROM \
                    $BASE as run\nFROM run AS last\nCOPY --from=build /x \\\n  /y\nFROM scratch\n";
        let with_target = bases(text, &arguments(&[("TAG", "2")]), Some("LAST"));
        let expected = Bases { runtime: Some("r/base:2".into()), buildtime: vec!["r/sdk:2".into()] };
        assert_eq!(with_target, expected);
        let last = bases(text, &[], None);
        assert_eq!(last.runtime, None);
        assert_eq!(last.buildtime, ["r/sdk:1", "r/base:1"]);
        assert_eq!(bases("", &[], None), Bases::default());
    }
}
