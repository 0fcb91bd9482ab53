//! Where in a file something was written, so that every rule can be named as `file:line:column`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A place in a file that a human wrote. Lines and columns count from 1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

impl Origin {
    /// A place in `file`.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), line, column }
    }

    /// `path` as somebody means it who wrote it here: relative to the directory of the file.
    pub fn beside(&self, path: &str) -> PathBuf {
        Path::new(&*self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    /// The place of things that no file declares, such as the system-defined scope maps.
    pub fn built_in() -> Self {
        Self::new("built-in", 0, 0)
    }

    /// The place of what the API has set.
    pub fn store() -> Self {
        static STORE: LazyLock<Origin> = LazyLock::new(|| Origin::new("store", 0, 0));
        STORE.clone()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line == 0 {
            return Ok(());
        }
        for number in [self.line, self.column] {
            f.write_str(":")?;
            number.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value together with the place where it was written. Comparing compares the values only.
#[derive(Clone)]
pub struct At<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> At<T> {
    /// `value`, written at `origin`.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

/// In the schema the position does not exist: `At<T>` is `T`.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The struct name and the fields by which [`At`] asks a deserializer for positions.
///
/// A deserializer that knows them answers with the four fields in this order; no other deserializer can make an `At`.
pub mod protocol {
    pub const NAME: &str = "$seawall::At";
    pub const FILE: &str = "$file";
    pub const LINE: &str = "$line";
    pub const COLUMN: &str = "$column";
    pub const VALUE: &str = "$value";
    pub const FIELDS: &[&str] = &[FILE, LINE, COLUMN, VALUE];
    /// With this a struct begins its name that may be written as a text alone; the name goes on with the key whose value
    /// the text is.
    pub const TEXT_IS: &str = "$seawall::text-is:";
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct(protocol::NAME, protocol::FIELDS, AtVisitor(PhantomData))
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its position")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<At<T>, A::Error> {
        let file: String = field(&mut map, protocol::FILE)?;
        let line = field(&mut map, protocol::LINE)?;
        let column = field(&mut map, protocol::COLUMN)?;
        let value = field(&mut map, protocol::VALUE)?;
        Ok(At::new(value, Origin::new(file, line, column)))
    }
}

fn field<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: &mut A, name: &'static str) -> Result<T, A::Error> {
    match map.next_key::<String>()? {
        Some(key) if key == name => map.next_value(),
        _ => Err(A::Error::missing_field(name)),
    }
}
