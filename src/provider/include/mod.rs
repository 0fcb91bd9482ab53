//! One file and what it includes, gathered into two trees: the root file's own keys, and the policy.
//!
//! Included files may hold parts of the policy only, so that the process configuration has one place. Nothing overrides
//! anything: the same registry, identity or provider in two files is a problem that names both places.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::tree::{Entry, Key, Kind, Node};
use super::{reader, yaml};
use crate::policy::document::PolicyDocument;
use crate::policy::origin::{At, Origin};
use crate::policy::problem::{Problem, Problems};

/// How deep files may include files.
pub const MAX_INCLUDE_DEPTH: usize = 8;

/// What was read.
#[derive(Debug)]
pub struct Sources {
    /// The root file without `include` and the policy's keys. `None` when it could not be read as YAML.
    pub process: Option<Node>,
    /// A mapping with the policy's keys, each with what all files have of it. `None` when one of the files could not be
    /// read, so that something may be missing.
    pub policy: Option<Node>,
    /// Every file and directory that was read, or should have been: a change to one of them is a reason to read again.
    pub files: Vec<PathBuf>,
}

/// Reads the file at `path` and everything that it includes, adding to `problems`.
pub fn gather(path: &Path, problems: &mut Problems) -> Sources {
    let mut walk = Walk {
        problems,
        files: Vec::new(),
        open: Vec::new(),
        done: HashMap::new(),
        sections: PolicyDocument::KEYS.map(Section::new),
        complete: true,
    };
    let origin = Origin::new(path.to_string_lossy(), 1, 1);
    let process = walk.file(path, &origin, Role::Root);
    let Walk { files, sections, complete, .. } = walk;
    let mapping = |entries| Node { origin: origin.clone(), kind: Kind::Mapping(entries), secret: false };
    let policy = complete.then(|| mapping(sections.map(|section| section.whole(&origin)).into()));
    Sources { process, policy, files }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    Included,
}

struct Walk<'p> {
    problems: &'p mut Problems,
    files: Vec<PathBuf>,
    /// The files being read, outermost first, by their canonical paths.
    open: Vec<PathBuf>,
    /// Where each file was included first.
    done: HashMap<PathBuf, Origin>,
    sections: [Section; PolicyDocument::KEYS.len()],
    complete: bool,
}

/// One key of the policy, with what was found of it so far.
struct Section {
    key: &'static str,
    /// Of the key that has a list.
    elements: Vec<Node>,
    entries: Vec<Entry>,
    names: BTreeMap<Box<str>, Origin>,
}

impl Walk<'_> {
    /// Reads one file and what it includes; `from` is where it is named. Gives back the keys that are left.
    fn file(&mut self, path: &Path, from: &Origin, role: Role) -> Option<Node> {
        self.files.push(path.to_owned());
        let canonical = match self.enter(path, from) {
            Ok(canonical) => canonical,
            Err(what) => {
                self.refuse(from, what);
                return None;
            }
        };
        let text = match text(path) {
            Ok(text) => text,
            Err(error) => {
                self.refuse(from, unreadable(path, &error));
                return None;
            }
        };
        let mut tree = self.parse(path, &text)?;
        let include = tree.take("include");
        for section in &mut self.sections {
            if let Some(entry) = tree.take(section.key) {
                section.merge(entry.value, self.problems);
            }
        }
        if role == Role::Included {
            self.refuse_other_keys(&tree);
        }
        if let Some(entry) = include {
            self.open.push(canonical);
            self.include(entry.value);
            self.open.pop();
        }
        Some(tree)
    }

    /// The canonical path of a file that may be read now; a phrase that says why, when it may not.
    fn enter(&mut self, path: &Path, from: &Origin) -> Result<PathBuf, String> {
        let canonical = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
        if self.open.contains(&canonical) {
            return Err(format!("{} includes itself", path.display()));
        }
        if let Some(first) = self.done.get(&canonical) {
            return Err(format!("{} is included twice, first at {first}", path.display()));
        }
        if self.open.len() > MAX_INCLUDE_DEPTH {
            return Err(format!("files include each other deeper than {MAX_INCLUDE_DEPTH}"));
        }
        self.done.insert(canonical.clone(), from.clone());
        Ok(canonical)
    }

    fn parse(&mut self, path: &Path, text: &str) -> Option<Node> {
        let tree = yaml::parse(&path.to_string_lossy(), text, self.problems);
        self.complete &= tree.is_some();
        tree
    }

    fn include(&mut self, list: Node) {
        let Some(paths) = reader::read::<Vec<At<String>>>(list, self.problems) else {
            self.complete = false;
            return;
        };
        for written in paths {
            let path = written.origin.beside(&written);
            if path.is_dir() {
                self.directory(&path, &written.origin);
            } else {
                self.file(&path, &written.origin, Role::Included);
            }
        }
    }

    /// Includes every `*.yaml` of a directory, by name. Hidden files are left out: Kubernetes keeps its own there.
    fn directory(&mut self, path: &Path, from: &Origin) {
        self.files.push(path.to_owned());
        match yaml_files(path) {
            Ok(files) => files.iter().for_each(|file| {
                self.file(file, from, Role::Included);
            }),
            Err(error) => self.refuse(from, unreadable(path, &error)),
        }
    }

    fn refuse_other_keys(&mut self, tree: &Node) {
        let Kind::Mapping(entries) = &tree.kind else {
            return self.problems.push(tree.unlike_collection("a mapping"));
        };
        for Entry { key, .. } in entries {
            let problem = Problem::new(&key.origin, format!("key {:?} in an included file", key.text));
            let policy = PolicyDocument::KEYS.join(", ");
            let hint = format!("only {policy} and include may stand there; move it to the root file");
            self.problems.push(problem.hint(hint));
        }
    }

    fn refuse(&mut self, at: &Origin, what: String) {
        self.complete = false;
        self.problems.push(Problem::new(at, what));
    }
}

impl Section {
    const fn new(key: &'static str) -> Self {
        Self { key, elements: Vec::new(), entries: Vec::new(), names: BTreeMap::new() }
    }

    /// Adds what one file has of it.
    fn merge(&mut self, found: Node, problems: &mut Problems) {
        let entries = match found.kind {
            Kind::Sequence(elements) if self.is_list() => {
                self.elements.extend(elements);
                Vec::new()
            }
            Kind::Mapping(entries) if !self.is_list() => entries,
            // Its problem is recorded.
            Kind::Placeholder => Vec::new(),
            Kind::Scalar(_) | Kind::Sequence(_) | Kind::Mapping(_) => {
                problems.push(found.unlike_collection(if self.is_list() { "a list" } else { "a mapping" }));
                Vec::new()
            }
        };
        for entry in entries {
            let Entry { key, .. } = &entry;
            if let Some(first) = self.names.get(&key.text) {
                let problem = Problem::new(&key.origin, format!("{} {:?} is declared twice", self.noun(), key.text));
                problems.push(problem.hint(format!("it is declared at {first} too")));
                continue;
            }
            self.names.insert(key.text.clone(), key.origin.clone());
            self.entries.push(entry);
        }
    }

    fn is_list(&self) -> bool {
        self.key == PolicyDocument::LIST
    }

    /// What each of its entries is.
    fn noun(&self) -> &'static str {
        match self.key {
            "identityProviders" => "identity provider",
            "identities" => "identity",
            "trustedServices" => "trusted service",
            _ => "registry",
        }
    }

    /// The key, with what all files have.
    fn whole(self, origin: &Origin) -> Entry {
        let key = Key { origin: origin.clone(), text: self.key.into() };
        let kind = if self.is_list() { Kind::Sequence(self.elements) } else { Kind::Mapping(self.entries) };
        let value = Node { origin: origin.clone(), kind, secret: false };
        Entry { key, value, refused: false }
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

fn yaml_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of a file, of which no more is read than the parser accepts.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(yaml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if bytes.len() > yaml::MAX_BYTES {
        return Err(invalid(format!("it is larger than {} MiB", yaml::MAX_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        invalid(format!("line {line} is not UTF-8"))
    })
}

#[cfg(test)]
mod tests;
