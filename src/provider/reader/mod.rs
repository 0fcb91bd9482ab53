//! Tree → typed value, collecting every problem on the way.
//!
//! serde stops at the first error. This deserializer never lets it see one: whatever does not fit is recorded, repaired
//! in the tree (skipped, or replaced by a [`Kind::Placeholder`]) and the reading goes on. Only what serde itself
//! notices (a missing field) ends a pass; it is repaired too, and the next pass starts over. Each pass but the last
//! records a problem or learns which field a type requires, and [`MAX_PROBLEMS`] ends it all.
//!
//! Invariants: a value that holds anything invented is only ever a [`Draft`]; `null` is a problem everywhere, so a key with
//! nothing behind it never means "the default"; problems never repeat what stands below a secret's key.
//! Not supported, because serde buffers them without positions: untagged and internally tagged enums, `flatten`.

use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{Elements, Invented, Located, Pairs, Placed};
use super::tree::{Entry, Key, Kind, Node, Resolved, Scalar, is_secret};
use crate::policy::nearest::nearest;
use crate::policy::origin::{Origin, protocol};
use crate::policy::problem::{Problem, Problems};

/// After so many problems nobody reads on, and neither does the reader.
pub const MAX_PROBLEMS: usize = 100;

/// A value with stand-ins at the places of problems, so that it can be examined for further problems.
#[derive(Debug, Clone)]
pub struct Draft<T> {
    value: T,
    whole: bool,
}

impl<T> Draft<T> {
    /// The value, stand-ins included: to look at ([`Problems::extend_elsewhere`]), never to put in force.
    pub fn examine(&self) -> &T {
        &self.value
    }

    /// The value, if every part of it was written by the operator. There can be problems all the same: an unknown key
    /// is skipped.
    pub fn whole(self) -> Option<T> {
        self.whole.then_some(self.value)
    }
}

/// Reads `tree` as a `T`, adding to `problems`. `None` when there are too many problems, or one that nothing can stand
/// in for.
pub fn draft<T: DeserializeOwned>(mut tree: Node, problems: &mut Problems) -> Option<Draft<T>> {
    let mut state = State { problems, invented: false, required: Vec::new() };
    loop {
        match T::deserialize(Reader::new(&mut tree, &mut state)) {
            Ok(value) => return Some(Draft { value, whole: !state.invented }),
            Err(Fault::Repaired) => {}
            Err(Fault::Message(_) | Fault::Missing(_) | Fault::Stop) => return None,
        }
    }
}

/// Reads `tree` as a `T`, adding to `problems`. `Some` is [`Draft::whole`].
pub fn read<T: DeserializeOwned>(tree: Node, problems: &mut Problems) -> Option<T> {
    draft(tree, problems)?.whole()
}

/// Why a pass ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// serde or a type refuses a value; the node it comes from turns it into a problem.
    #[error("{0}")]
    Message(String),
    /// serde misses a field; the next pass looks for it in every struct of that type.
    #[error("missing {0:?}")]
    Missing(&'static str),
    /// Recorded, and the tree was changed so that it cannot happen again.
    #[error("repaired")]
    Repaired,
    /// Enough problems, or something that no repair helps.
    #[error("stopped")]
    Stop,
}

impl de::Error for Fault {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }

    // serde's own texts repeat the value, which may be a secret.
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Message(format!("expected {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::Message(format!("expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

/// What lasts over all passes.
pub(super) struct State<'p> {
    problems: &'p mut Problems,
    /// A placeholder was read.
    invented: bool,
    /// What serde missed so far: a type, and the field that it requires. Looked for ahead of serde from then on, so
    /// that there are no more passes than required fields in all types.
    required: Vec<(Type, &'static str)>,
}

/// A struct, as far as a deserializer knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Type {
    name: &'static str,
    fields: &'static [&'static str],
}

impl State<'_> {
    pub(super) fn record(&mut self, problem: Problem) -> Result<(), Fault> {
        if self.problems.len() >= MAX_PROBLEMS {
            return Err(Fault::Stop);
        }
        self.problems.push(problem);
        Ok(())
    }

    /// Records every key of `entries` that is not in `fields`, and marks it refused.
    fn refuse_unknown(&mut self, entries: &mut [Entry], fields: &'static [&'static str]) -> Result<(), Fault> {
        for entry in entries.iter_mut().filter(|entry| !entry.refused) {
            if !fields.contains(&&*entry.key.text) {
                entry.refused = true;
                self.record(unknown_key(entry, fields))?;
            }
        }
        Ok(())
    }
}

fn unknown_key(entry: &Entry, fields: &[&'static str]) -> Problem {
    let Key { origin, text } = &entry.key;
    let problem = Problem::new(origin, format!("unknown key {text:?}"));
    if is_secret(text) && matches!(entry.value.kind, Kind::Scalar(_)) {
        return problem.hint("a secret is never written here itself: say where it is with file, env or hash");
    }
    match nearest(text, fields.iter().copied()) {
        Some(field) => problem.hint(format!("did you mean {field:?}?")),
        None => problem.hint(format!("the keys here are {}", fields.join(", "))),
    }
}

/// Deserializes one node.
pub(super) struct Reader<'a, 'p> {
    node: &'a mut Node,
    state: &'a mut State<'p>,
}

impl<'a, 'p> Reader<'a, 'p> {
    pub(super) fn new(node: &'a mut Node, state: &'a mut State<'p>) -> Self {
        Self { node, state }
    }

    /// Records that the node does not fit, and puts a placeholder in its place.
    fn refuse(&mut self, problem: Problem) -> Result<(), Fault> {
        self.state.record(problem)?;
        self.node.kind = Kind::Placeholder;
        Ok(())
    }

    /// A deserializer that answers anything, and spoils the result of this reading.
    fn invented(&mut self) -> Invented<'_> {
        self.state.invented = true;
        Invented(&self.node.origin)
    }

    /// What `fits` makes of this scalar. `None`: it is none that fits; the problem is recorded.
    fn scalar<T>(&mut self, wanted: &str, fits: impl FnOnce(&Scalar) -> Option<T>) -> Result<Option<T>, Fault> {
        let found = match &self.node.kind {
            Kind::Scalar(scalar) => fits(scalar),
            Kind::Placeholder => return Ok(None),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        };
        if found.is_none() {
            self.refuse(self.node.unlike(wanted))?;
        }
        Ok(found)
    }

    /// Makes a problem of this node out of what a visitor refused.
    fn settle<T>(&mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        match result {
            // Not even the stand-in is accepted.
            Err(Fault::Message(_)) if matches!(self.node.kind, Kind::Placeholder) => Err(Fault::Stop),
            Err(Fault::Message(what)) => {
                let what = if self.node.secret { "this value is not accepted".into() } else { what };
                self.refuse(Problem::new(&self.node.origin, what))?;
                Err(Fault::Repaired)
            }
            other => other,
        }
    }

    /// Like [`Self::settle`], for the struct `of`.
    fn settle_struct<T>(&mut self, of: Type, result: Result<T, Fault>) -> Result<T, Fault> {
        let Err(Fault::Missing(field)) = result else { return self.settle(result) };
        if self.state.required.contains(&(of, field)) {
            return Err(Fault::Stop);
        }
        self.state.required.push((of, field));
        Err(Fault::Repaired)
    }
}

/// Records which of the required fields `entries` lack, and puts placeholders there.
fn supply_required(entries: &mut Vec<Entry>, origin: &Origin, of: Type, state: &mut State<'_>) -> Result<(), Fault> {
    let required: Vec<_> = state.required.iter().filter(|(owner, _)| *owner == of).map(|(_, field)| *field).collect();
    for field in required {
        if entries.iter().any(|entry| &*entry.key.text == field) {
            continue;
        }
        let key = Key { origin: origin.clone(), text: field.into() };
        entries.push(Entry { key, value: Node::placeholder(origin.clone()), refused: false });
        state.record(Problem::new(origin, format!("missing {field:?}")))?;
    }
    Ok(())
}

impl Placed for Reader<'_, '_> {
    fn origin(&self) -> &Origin {
        &self.node.origin
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
            let wanted = format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX);
            let found = self.scalar(&wanted, |scalar| match scalar.resolved() {
                Resolved::Integer(number) => <$number>::try_from(number).ok(),
                _ => None,
            })?;
            let result = match found {
                Some(number) => visitor.$visit(number),
                None => self.invented().$method(visitor),
            };
            self.settle(result)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Fault;

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let found = self.scalar("true or false", |scalar| match scalar.resolved() {
            Resolved::Bool(value) => Some(value),
            _ => None,
        })?;
        let result = match found {
            Some(value) => visitor.visit_bool(value),
            None => self.invented().deserialize_bool(visitor),
        };
        self.settle(result)
    }

    fn deserialize_string<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let found = self.scalar("text", |scalar| (!scalar.is_null()).then(|| scalar.text.clone()))?;
        let result = match found {
            Some(text) => visitor.visit_string(text.into_string()),
            None => self.invented().deserialize_string(visitor),
        };
        self.settle(result)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self.node.kind, Kind::Sequence(_) | Kind::Placeholder) {
            self.refuse(self.node.unlike_collection("a list"))?;
        }
        let result = match &mut self.node.kind {
            Kind::Sequence(items) => visitor.visit_seq(Elements::new(items, self.state)),
            _ => self.invented().deserialize_seq(visitor),
        };
        self.settle(result)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self.node.kind, Kind::Mapping(_) | Kind::Placeholder) {
            self.refuse(self.node.unlike_collection("a mapping"))?;
        }
        let result = match &mut self.node.kind {
            Kind::Mapping(entries) => visitor.visit_map(Pairs::new(entries, self.state)),
            _ => self.invented().deserialize_map(visitor),
        };
        self.settle(result)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == protocol::NAME {
            return visitor.visit_map(Located::new(self));
        }
        let text_is = name.strip_prefix(protocol::TEXT_IS);
        if let Some(key) = text_is {
            self.node.expand(key);
        }
        match &mut self.node.kind {
            Kind::Mapping(entries) => {
                self.state.refuse_unknown(entries, fields)?;
                supply_required(entries, &self.node.origin, Type { name, fields }, self.state)?;
            }
            Kind::Placeholder => {}
            _ if text_is.is_some() => self.refuse(self.node.unlike_collection("text or a mapping"))?,
            _ => self.refuse(self.node.unlike_collection("a mapping"))?,
        }
        let result = match &mut self.node.kind {
            Kind::Mapping(entries) => visitor.visit_map(Pairs::new(entries, self.state)),
            _ => self.invented().deserialize_struct(name, fields, visitor),
        };
        self.settle_struct(Type { name, fields }, result)
    }

    /// Variants without content only.
    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let wanted = format!("one of {}", quoted(variants));
        let found = self.scalar(&wanted, |scalar| (!scalar.is_null()).then(|| scalar.text.clone()))?;
        let variant = found.as_deref().and_then(|text| variants.iter().find(|variant| **variant == text));
        if let (Some(text), None) = (&found, variant) {
            self.refuse(not_a_variant(self.node, text, variants))?;
        }
        let result = match variant {
            Some(variant) => visitor.visit_enum((*variant).into_deserializer()),
            None => self.invented().deserialize_enum(name, variants, visitor),
        };
        self.settle(result)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.kind {
            Kind::Placeholder => self.invented().deserialize_option(visitor),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let scalar = match &self.node.kind {
            Kind::Sequence(_) => return self.deserialize_seq(visitor),
            Kind::Mapping(_) => return self.deserialize_map(visitor),
            Kind::Placeholder => return self.invented().deserialize_any(visitor),
            Kind::Scalar(scalar) => scalar,
        };
        let result = match scalar.resolved() {
            Resolved::Null => visitor.visit_unit(),
            Resolved::Bool(value) => visitor.visit_bool(value),
            Resolved::Integer(number) => match i64::try_from(number) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_i128(number),
            },
            Resolved::Float(number) => visitor.visit_f64(number),
            Resolved::Text => visitor.visit_str(&scalar.text),
        };
        self.settle(result)
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn not_a_variant(node: &Node, text: &str, variants: &[&'static str]) -> Problem {
    let choices = quoted(variants);
    let found = if node.echoes() { format!("{text:?}") } else { "this".into() };
    let problem = Problem::new(&node.origin, format!("{found} is not one of {choices}"));
    match nearest(text, variants.iter().copied()) {
        Some(variant) if !node.secret => problem.hint(format!("did you mean {variant:?}?")),
        _ => problem,
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
