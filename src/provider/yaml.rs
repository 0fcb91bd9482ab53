//! YAML text → tree, with positions.
//!
//! The parser's events are read one by one instead of through its serde layer, because only there keys have positions
//! and duplicate keys are seen. Anchors, aliases, merge keys, tags and directives are refused: a rule must have one
//! place where it is written, and without aliases no document is larger than its text (YAML bombs). Text, depth
//! and number of nodes are bounded; nothing recurses.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::reader::MAX_PROBLEMS;
use super::tree::{Entry, Key, Kind, Node, Scalar, is_secret};
use crate::policy::origin::Origin;
use crate::policy::problem::{Problem, Problems};

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;

/// The most keys and values of one file: a megabyte of `[,` must not become a gigabyte of nodes.
const MAX_NODES: usize = 4_000_000;

/// Reads `text`; `file` is its name in positions. No tree comes back when the text is not YAML at all.
///
/// A tree may come back together with problems: what they are about is missing from it or a placeholder in it.
pub fn parse(file: &str, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut builder = Builder { file: file.into(), problems, stack: Vec::new(), nodes: 0, root: None };
    if text.len() > MAX_BYTES {
        builder.refuse(Marker::new(0, 1, 0), format!("the file is larger than {} MiB", MAX_BYTES >> 20));
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => builder.syntax(&error),
        };
        step.ok()?;
    }
    if builder.root.is_none() {
        builder.refuse(Marker::new(0, 1, 0), "the file is empty");
    }
    builder.root
}

/// Reading this text goes no further; the problem is recorded.
struct Stop;

struct Builder<'p> {
    file: Arc<str>,
    problems: &'p mut Problems,
    stack: Vec<Frame>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or mapping whose end has not come yet.
struct Frame {
    origin: Origin,
    secret: bool,
    open: Open,
}

enum Open {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        /// The places of the keys so far.
        places: HashMap<Box<str>, Origin>,
        next: Next,
    },
}

/// What the next node of a mapping is.
enum Next {
    Key,
    Value(Key),
    /// The value of a key that was refused.
    Dropped,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = span.start;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(span, tag.is_some());
                let kind = match (anchor, tag) {
                    (0, None) => Kind::Scalar(Scalar { text: text.into(), plain: style == ScalarStyle::Plain }),
                    _ => Kind::Placeholder,
                };
                self.node(at, kind)
            }
            Event::SequenceStart(_, _, tag) => {
                self.refuse_tag(span, tag.is_some());
                self.open(at, Open::Sequence(Vec::new()))
            }
            Event::MappingStart(_, _, tag) => {
                self.refuse_tag(span, tag.is_some());
                self.open(at, Open::Mapping { entries: Vec::new(), places: HashMap::new(), next: Next::Key })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Anchor(..) => {
                self.refuse_hinting(
                    at,
                    "anchors and aliases are not supported",
                    "write the value out where it is used",
                );
                Ok(())
            }
            // The problem of an alias is recorded at its anchor.
            Event::Alias(_) => self.node(at, Kind::Placeholder),
            Event::UnresolvedAlias(_) => {
                self.refuse_hinting(at, "there is no such anchor", "quote a text that starts with `*`");
                self.node(at, Kind::Placeholder)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                self.refuse_hinting(at, "a second document starts here", "a file holds one document; use include");
                Err(Stop)
            }
            _ => Ok(()),
        }
    }

    fn refuse_tag(&mut self, span: Span, tagged: bool) {
        if tagged {
            let at = span.tag_start().unwrap_or(span.start);
            self.refuse_hinting(at, "tags are not supported", "quote a text that starts with `!`");
        }
    }

    fn open(&mut self, at: Marker, open: Open) -> Result<(), Stop> {
        if self.stack.len() == MAX_DEPTH {
            self.refuse(at, too_deep());
            return Err(Stop);
        }
        let secret = self.secret_here();
        self.stack.push(Frame { origin: self.origin(at), secret, open });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(Frame { origin, secret, open }) = self.stack.pop() else { return Ok(()) };
        let kind = match open {
            Open::Sequence(items) => Kind::Sequence(items),
            Open::Mapping { entries, .. } => Kind::Mapping(entries),
        };
        self.place(Node { origin, kind, secret })
    }

    fn node(&mut self, at: Marker, kind: Kind) -> Result<(), Stop> {
        let secret = self.secret_here();
        self.place(Node { origin: self.origin(at), kind, secret })
    }

    /// Puts a finished node where it belongs: into the innermost open list or mapping.
    fn place(&mut self, node: Node) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.problems.push(Problem::new(&node.origin, format!("more than {MAX_NODES} keys and values")));
        }
        if self.nodes > MAX_NODES || self.problems.len() >= MAX_PROBLEMS {
            return Err(Stop);
        }
        match self.stack.last_mut().map(|frame| &mut frame.open) {
            None => self.root = Some(node),
            Some(Open::Sequence(items)) => items.push(node),
            Some(Open::Mapping { entries, places, next }) => {
                *next = match std::mem::replace(next, Next::Key) {
                    Next::Key => match key(node, places) {
                        Ok(key) => Next::Value(key),
                        Err(problem) => {
                            self.problems.push(problem);
                            Next::Dropped
                        }
                    },
                    Next::Value(key) => {
                        entries.push(Entry { key, value: node, refused: false });
                        Next::Key
                    }
                    Next::Dropped => Next::Key,
                };
            }
        }
        Ok(())
    }

    /// Whether a node that starts now is, or stands below, the value of a secret's key.
    fn secret_here(&self) -> bool {
        self.stack.last().is_some_and(|frame| {
            frame.secret || matches!(&frame.open, Open::Mapping { next: Next::Value(key), .. } if is_secret(&key.text))
        })
    }

    fn syntax(&mut self, error: &ScanError) -> Result<(), Stop> {
        let at = *error.marker();
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => self.refuse(at, too_deep()),
            ErrorKind::TabInIndentation | ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => {
                self.refuse_hinting(at, "not YAML: a tab in the indentation", "indent with spaces");
            }
            _ => self.refuse(at, format!("not YAML: {}", error.info())),
        }
        Err(Stop)
    }

    fn refuse(&mut self, at: Marker, what: impl Into<String>) {
        self.problems.push(Problem::new(&self.origin(at), what));
    }

    fn refuse_hinting(&mut self, at: Marker, what: impl Into<String>, hint: &str) {
        self.problems.push(Problem::new(&self.origin(at), what).hint(hint));
    }

    fn origin(&self, at: Marker) -> Origin {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Origin::new(Arc::clone(&self.file), number(at.line()), number(at.col().saturating_add(1)))
    }
}

fn too_deep() -> String {
    format!("nested deeper than {MAX_DEPTH}")
}

/// Makes a key of `node`, unless it cannot be one or stands in the mapping already.
fn key(node: Node, places: &mut HashMap<Box<str>, Origin>) -> Result<Key, Problem> {
    let origin = node.origin;
    let Kind::Scalar(scalar) = node.kind else {
        return Err(Problem::new(&origin, "a key must be plain or quoted text"));
    };
    if scalar.is_null() {
        return Err(Problem::new(&origin, "a key must not be empty"));
    }
    if scalar.plain && &*scalar.text == "<<" {
        let problem = Problem::new(&origin, "merge keys are not supported");
        return Err(problem.hint("write the entries out where they are used"));
    }
    if let Some(first) = places.get(&scalar.text) {
        return Err(Problem::new(&origin, format!("duplicate key {:?}", scalar.text)).hint(format!("first at {first}")));
    }
    places.insert(scalar.text.clone(), origin.clone());
    Ok(Key { origin, text: scalar.text })
}
