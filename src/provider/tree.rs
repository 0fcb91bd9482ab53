//! A YAML document as a tree in which every node knows where it was written.
//!
//! It is separate from serde's data model because that has no room for positions, and because the reader repairs the
//! tree while it collects problems. Scalars stay text: what they are is decided by who reads them, so that a registry
//! may be called `12345`.

use crate::policy::origin::Origin;
use crate::policy::problem::Problem;

/// Longer texts are not repeated in problems: they say nothing to a reader, and they are the likelier secrets.
const LONGEST_ECHO: usize = 32;

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node {
    pub origin: Origin,
    pub kind: Kind,
    /// Written below a key that is named like a secret: no problem may repeat the content.
    pub secret: bool,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Stands where something was refused; its problem is recorded. It reads as whatever is wanted, so that the reading
    /// goes on, and makes the result a mere draft.
    Placeholder,
}

/// The text of a scalar after YAML's escapes.
#[derive(Debug, Clone)]
pub struct Scalar {
    pub text: Box<str>,
    /// Neither quoted nor a block. Only such a scalar can be nothing, a boolean or a number (YAML 1.2 core schema).
    pub plain: bool,
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    pub value: Node,
    /// The key was refused and its problem recorded: nobody reads the entry any more.
    pub refused: bool,
}

#[derive(Debug, Clone)]
pub struct Key {
    pub origin: Origin,
    pub text: Box<str>,
}

impl Node {
    /// The stand-in for something refused at `origin`.
    pub fn placeholder(origin: Origin) -> Self {
        Self { origin, kind: Kind::Placeholder, secret: false }
    }

    /// Takes the entry `key` out of a mapping; anything else has none.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let Kind::Mapping(entries) = &mut self.kind else { return None };
        let index = entries.iter().position(|entry| &*entry.key.text == key)?;
        Some(entries.remove(index))
    }

    /// Makes a mapping of a scalar: the key `key`, with the scalar as its value.
    pub fn expand(&mut self, key: &str) {
        if matches!(&self.kind, Kind::Scalar(scalar) if !scalar.is_null()) {
            let (value, key) = (self.clone(), Key { origin: self.origin.clone(), text: key.into() });
            self.kind = Kind::Mapping(vec![Entry { key, value, refused: false }]);
        }
    }

    /// The problem of finding this node where a scalar is expected: `wanted`.
    pub fn unlike(&self, wanted: &str) -> Problem {
        let found = match &self.kind {
            Kind::Scalar(scalar) if self.echoes() => match scalar.resolved() {
                Resolved::Integer(_) | Resolved::Float(_) => format!("the number {}", scalar.text),
                Resolved::Text => format!("text {:?}", scalar.text),
                Resolved::Null | Resolved::Bool(_) => self.noun().into(),
            },
            _ => self.noun().into(),
        };
        self.expected(wanted, &found)
    }

    /// The problem of finding this node where a list or mapping is expected: `wanted`. It repeats nothing, because a
    /// text in such a place may be a secret whose key was forgotten.
    pub fn unlike_collection(&self, wanted: &str) -> Problem {
        let problem = self.expected(wanted, self.noun());
        let is_text = matches!(&self.kind, Kind::Scalar(scalar) if scalar.resolved() == Resolved::Text);
        if self.secret && is_text && problem.hint.is_none() {
            return problem.hint("a secret is never written here itself: say where it is, such as { file: … }");
        }
        problem
    }

    /// Whether a problem may repeat this scalar.
    pub fn echoes(&self) -> bool {
        match &self.kind {
            Kind::Scalar(scalar) => !self.secret && scalar.text.chars().count() <= LONGEST_ECHO,
            _ => false,
        }
    }

    fn expected(&self, wanted: &str, found: &str) -> Problem {
        let problem = Problem::new(&self.origin, format!("expected {wanted}, found {found}"));
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => problem.hint("give it a value or remove the key"),
            Kind::Scalar(scalar) if scalar.is_quoted_needlessly() => problem.hint("write it without quotes"),
            _ => problem,
        }
    }

    fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
            Kind::Placeholder => "something refused",
            Kind::Scalar(scalar) => match scalar.resolved() {
                Resolved::Null => "nothing",
                Resolved::Bool(true) => "true",
                Resolved::Bool(false) => "false",
                Resolved::Integer(_) | Resolved::Float(_) => "a number",
                Resolved::Text => "text",
            },
        }
    }
}

/// What a scalar is where no type is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resolved {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text,
}

impl Scalar {
    /// The YAML 1.2 core schema, decimal numbers only: `yes`, `on` and `0x1F` are texts.
    pub fn resolved(&self) -> Resolved {
        if !self.plain {
            return Resolved::Text;
        }
        match &*self.text {
            "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
            "true" | "True" | "TRUE" => return Resolved::Bool(true),
            "false" | "False" | "FALSE" => return Resolved::Bool(false),
            _ => {}
        }
        if let Ok(number) = self.text.parse() {
            return Resolved::Integer(number);
        }
        // Rust reads "inf", "nan" and "infinity" as numbers; YAML does not.
        let numeric = self.text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
        match self.text.parse() {
            Ok(number) if numeric => Resolved::Float(number),
            _ => Resolved::Text,
        }
    }

    /// Without its quotes it would be a boolean or a number.
    fn is_quoted_needlessly(&self) -> bool {
        let bare = Self { text: self.text.clone(), plain: true };
        !self.plain && !matches!(bare.resolved(), Resolved::Text | Resolved::Null)
    }

    /// Nothing was written here.
    pub fn is_null(&self) -> bool {
        self.resolved() == Resolved::Null
    }
}

/// Whether what stands below `key` may be a secret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "hash", "encryptionkey"].iter().any(|word| key.contains(word))
}
