//! How the reader walks into nodes: the elements of a list, the entries of a mapping, the parts of an
//! [`At`](crate::policy::origin::At), and the stand-in for what was refused.

use std::slice::IterMut;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::reader::{Fault, Reader, State};
use super::tree::{Entry, Key, Node};
use crate::policy::origin::{Origin, protocol};
use crate::policy::problem::Problem;

/// The elements of a list.
pub(super) struct Elements<'a, 'p> {
    items: IterMut<'a, Node>,
    state: &'a mut State<'p>,
}

impl<'a, 'p> Elements<'a, 'p> {
    pub(super) fn new(items: &'a mut [Node], state: &'a mut State<'p>) -> Self {
        Self { items: items.iter_mut(), state }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.items.next().map(|node| seed.deserialize(Reader::new(node, self.state))).transpose()
    }
}

/// The entries of a mapping that are not refused.
pub(super) struct Pairs<'a, 'p> {
    entries: IterMut<'a, Entry>,
    value: Option<&'a mut Node>,
    state: &'a mut State<'p>,
}

impl<'a, 'p> Pairs<'a, 'p> {
    pub(super) fn new(entries: &'a mut [Entry], state: &'a mut State<'p>) -> Self {
        Self { entries: entries.iter_mut(), value: None, state }
    }
}

impl<'de> MapAccess<'de> for Pairs<'_, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(entry) = self.entries.find(|entry| !entry.refused) else { return Ok(None) };
        let Entry { key, value, refused } = entry;
        self.value = Some(value);
        match seed.deserialize(KeyReader(key)) {
            Ok(key) => Ok(Some(key)),
            Err(Fault::Message(what)) => {
                *refused = true;
                self.state.record(Problem::new(&key.origin, what))?;
                Err(Fault::Repaired)
            }
            Err(fault) => Err(fault),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let node = self.value.take().ok_or(Fault::Stop)?;
        seed.deserialize(Reader::new(node, self.state))
    }
}

/// A key: text, whatever it looks like, or text with its position.
struct KeyReader<'a>(&'a Key);

impl<'de> Deserializer<'de> for KeyReader<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(&self.0.text)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == protocol::NAME { visitor.visit_map(Located::new(self)) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum((&*self.0.text).into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

/// Something that was written at a place.
pub(super) trait Placed {
    fn origin(&self) -> &Origin;
}

impl Placed for KeyReader<'_> {
    fn origin(&self) -> &Origin {
        &self.0.origin
    }
}

impl Placed for Invented<'_> {
    fn origin(&self) -> &Origin {
        self.0
    }
}

/// Answers the [`protocol`] of `At`: the place, then the value itself.
pub(super) struct Located<D> {
    origin: Origin,
    asked: std::slice::Iter<'static, &'static str>,
    part: &'static str,
    value: Option<D>,
}

impl<D: Placed> Located<D> {
    pub(super) fn new(value: D) -> Self {
        Self { origin: value.origin().clone(), asked: protocol::FIELDS.iter(), part: "", value: Some(value) }
    }
}

impl<'de, D: Deserializer<'de, Error = Fault>> MapAccess<'de> for Located<D> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let Some(part) = self.asked.next() else { return Ok(None) };
        self.part = part;
        seed.deserialize(StrDeserializer::new(part)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.part {
            protocol::FILE => seed.deserialize(StrDeserializer::new(&self.origin.file)),
            protocol::LINE => seed.deserialize(U32Deserializer::new(self.origin.line)),
            protocol::COLUMN => seed.deserialize(U32Deserializer::new(self.origin.column)),
            _ => seed.deserialize(self.value.take().ok_or(Fault::Stop)?),
        }
    }
}

/// Answers whatever is asked for with the least there is: false, 0, nothing, the first variant.
pub(super) struct Invented<'a>(pub(super) &'a Origin);

impl IntoDeserializer<'_, Fault> for Invented<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! zero {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(0)
        }
    )*};
}

impl<'de> Deserializer<'de> for Invented<'_> {
    type Error = Fault;

    zero! {
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(false)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str("")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Invented<'_>>()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, Invented<'_>)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == protocol::NAME {
            return visitor.visit_map(Located::new(self));
        }
        visitor.visit_map(MapDeserializer::new(fields.iter().map(|field| (*field, Invented(self.0)))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let first = variants.first().ok_or(Fault::Stop)?;
        visitor.visit_enum((*first).into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}
