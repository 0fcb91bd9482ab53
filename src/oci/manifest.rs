//! What a manifest says of itself: media types, sizes, platforms, its subject, annotations, and the manifests of an index
//! (OCI image-spec "manifest" and "image-index", Docker image manifest version 2 schema 2).
//!
//! It was an upstream that took the manifest in, so nothing is refused here: what cannot be read says nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Entries of a list that are read; the rest is left out.
const MOST_ENTRIES: usize = 10_000;
/// Annotations that are read, keys and values, in bytes; what does not fit is left out.
const MOST_ANNOTATIONS: usize = 64 * 1024;
/// Media types and names of platforms that are longer say nothing.
const LONGEST_WORD: usize = 255;

/// The first version of Docker's manifests, signed and not: of them only the media type is known.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// The configurations that name a platform.
const IMAGE_CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What a manifest says, which never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManifestFacts {
    pub media_type: String,
    /// In bytes: the manifest itself, and for an image with its config and layers.
    pub image_size: u64,
    /// The manifest itself, in bytes.
    pub size: u64,
    /// Empty where the manifest has no config, or names no platform.
    pub architecture: String,
    pub os: String,
    pub config_media_type: Option<String>,
    /// OCI image-spec `artifactType`; for an image without one, the media type of its config.
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    pub annotations: BTreeMap<String, String>,
    /// The manifests of an index.
    pub references: Vec<Referenced>,
}

/// A manifest in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referenced {
    pub digest: Digest,
    pub architecture: String,
    pub os: String,
}

/// A manifest that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedManifest {
    /// Without a platform: the configuration has it, see [`platform`].
    pub facts: ManifestFacts,
    /// The blob that names the platform, if one does.
    pub config: Option<Digest>,
    /// Something was too long, and is left out.
    pub cut: bool,
}

/// Reads the manifest that an upstream has under this media type; where it does not say one, the manifest may.
pub fn parse(media_type: &str, bytes: &[u8]) -> ParsedManifest {
    let size = bytes.len() as u64;
    let named = media_type.split(';').next().unwrap_or_default().trim();
    let nothing = || ParsedManifest {
        facts: ManifestFacts { media_type: word(named), image_size: size, size, ..ManifestFacts::default() },
        ..ParsedManifest::default()
    };
    if named.starts_with(SCHEMA_1) {
        return nothing();
    }
    let Ok(said) = serde_json::from_slice::<Said>(bytes) else { return nothing() };
    said.parsed(named, size)
}

/// The architecture and the operating system that a configuration names; empty where it does not.
pub fn platform(config: &[u8]) -> (String, String) {
    let Platform { architecture, os } = serde_json::from_slice(config).unwrap_or_default();
    (word(&architecture), word(&os))
}

/// `text`, unless it is too long to be what it should.
fn word(text: &str) -> String {
    if text.len() <= LONGEST_WORD { text.to_owned() } else { String::new() }
}

/// All that any kind of manifest may have. Writers in Go write `null` for an empty list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Said {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Sizes>,
    /// Of an artifact manifest.
    blobs: Option<Sizes>,
    manifests: Option<Few<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Annotations>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    architecture: String,
    os: String,
}

impl Said {
    fn parsed(self, named: &str, size: u64) -> ParsedManifest {
        let Self { media_type, artifact_type, config, layers, blobs, manifests, subject, annotations } = self;
        let (layers, blobs) = (layers.unwrap_or_default(), blobs.unwrap_or_default());
        let (manifests, annotations) = (manifests.unwrap_or_default(), annotations.unwrap_or_default());
        let cut = layers.cut || blobs.cut || manifests.cut || annotations.cut;
        let full = |text: &String| !text.is_empty() && text.len() <= LONGEST_WORD;
        let config_media_type = config.as_ref().map(|config| config.media_type.clone()).filter(full);
        let has_platform = config_media_type.as_deref().is_some_and(|kind| IMAGE_CONFIGS.contains(&kind));
        let digest = |descriptor: &Descriptor| Digest::parse(&descriptor.digest).ok();
        let parts = [config.as_ref().map_or(0, |config| config.size), layers.sum, blobs.sum];
        let facts = ManifestFacts {
            media_type: if named.is_empty() { word(&media_type.unwrap_or_default()) } else { word(named) },
            image_size: parts.into_iter().fold(size, u64::saturating_add),
            size,
            artifact_type: artifact_type.filter(full).or_else(|| config_media_type.clone()),
            config_media_type,
            subject: subject.as_ref().and_then(digest),
            annotations: annotations.pairs,
            references: manifests.items.into_iter().filter_map(referenced).collect(),
            ..ManifestFacts::default()
        };
        ParsedManifest { facts, config: config.as_ref().filter(|_| has_platform).and_then(digest), cut }
    }
}

fn referenced(descriptor: Descriptor) -> Option<Referenced> {
    let digest = Digest::parse(&descriptor.digest).ok()?;
    let Platform { architecture, os } = descriptor.platform.unwrap_or_default();
    Some(Referenced { digest, architecture: word(&architecture), os: word(&os) })
}

/// The first entries of a list.
#[derive(Debug)]
struct Few<T> {
    items: Vec<T>,
    cut: bool,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cut: false }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
    type Value = Few<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
        let mut few = Few::default();
        while few.items.len() < MOST_ENTRIES {
            match list.next_element()? {
                Some(item) => few.items.push(item),
                None => return Ok(few),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            few.cut = true;
        }
        Ok(few)
    }
}

/// The sizes of the first entries of a list, added up.
#[derive(Debug, Default)]
struct Sizes {
    sum: u64,
    cut: bool,
}

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Few { items, cut } = Few::<Size>::deserialize(deserializer)?;
        Ok(Self { sum: items.iter().fold(0, |sum, item| sum.saturating_add(item.size)), cut })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Size {
    size: u64,
}

/// The annotations that fit.
#[derive(Debug, Default)]
struct Annotations {
    pairs: BTreeMap<String, String>,
    cut: bool,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("texts by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
        let (mut annotations, mut left) = (Annotations::default(), MOST_ANNOTATIONS);
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            match left.checked_sub(key.len() + value.len()) {
                Some(rest) => {
                    left = rest;
                    annotations.pairs.insert(key, value);
                }
                None => annotations.cut = true,
            }
        }
        Ok(annotations)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn digest(number: u64) -> Digest {
        Digest::parse(&format!("sha256:{number:064x}")).unwrap()
    }

    fn descriptor(media_type: &str, number: u64, size: u64) -> Value {
        json!({ "mediaType": media_type, "digest": digest(number), "size": size })
    }

    fn read(media_type: &str, manifest: &Value) -> ParsedManifest {
        parse(media_type, manifest.to_string().as_bytes())
    }

    #[test]
    fn an_image_is_as_large_as_all_its_parts() {
        for (kind, config) in [
            (IMAGE, "application/vnd.oci.image.config.v1+json"),
            ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json"),
        ] {
            let manifest = json!({
                "schemaVersion": 2, "mediaType": kind, "config": descriptor(config, 1, 100),
                "layers": [descriptor("x", 2, 1_000), descriptor("x", 3, 10_000)], "annotations": { "a": "b" },
            });
            let size = manifest.to_string().len() as u64;
            let parsed = read(kind, &manifest);
            assert_eq!(parsed.config, Some(digest(1)));
            assert!(!parsed.cut);
            let expected = ManifestFacts {
                media_type: kind.to_owned(),
                image_size: size + 11_100,
                size,
                config_media_type: Some(config.to_owned()),
                artifact_type: Some(config.to_owned()),
                annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
                ..ManifestFacts::default()
            };
            assert_eq!(parsed.facts, expected);
        }
    }

    #[test]
    fn an_index_has_manifests_with_platforms() {
        let with = |number, platform: Value| {
            let mut one = descriptor(IMAGE, number, 7);
            one["platform"] = platform;
            one
        };
        let manifest = json!({
            "schemaVersion": 2, "artifactType": "application/x", "layers": null, "annotations": null,
            "manifests": [
                with(1, json!({ "architecture": "arm64", "os": "linux", "variant": "v8" })),
                with(2, Value::Null), descriptor(IMAGE, 3, 7), { "digest": "sha384:00" },
            ],
        });
        let parsed = read("", &manifest);
        assert_eq!(parsed.facts.media_type, "");
        assert_eq!(parsed.facts.image_size, parsed.facts.size);
        assert_eq!(parsed.facts.artifact_type.as_deref(), Some("application/x"));
        assert_eq!((parsed.facts.config_media_type, parsed.config), (None, None));
        let of = |number, architecture: &str, os: &str| Referenced {
            digest: digest(number),
            architecture: architecture.to_owned(),
            os: os.to_owned(),
        };
        assert_eq!(parsed.facts.references, [of(1, "arm64", "linux"), of(2, "", ""), of(3, "", "")]);
    }

    #[test]
    fn an_artifact_has_a_type_and_a_subject() {
        let manifest = json!({
            "mediaType": IMAGE, "artifactType": "application/spdx+json", "subject": descriptor(IMAGE, 9, 7),
            "config": descriptor("application/vnd.oci.empty.v1+json", 1, 2),
        });
        let parsed = read(&format!("{IMAGE}; charset=utf-8"), &manifest);
        assert_eq!(parsed.facts.media_type, IMAGE);
        assert_eq!(parsed.facts.subject, Some(digest(9)));
        assert_eq!(parsed.facts.artifact_type.as_deref(), Some("application/spdx+json"));
        assert_eq!(parsed.config, None, "this configuration names no platform");
        let former = json!({
            "mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": [descriptor("x", 1, 1_000)],
            "subject": descriptor(IMAGE, 9, 7),
        });
        let parsed = read("", &former);
        assert_eq!(parsed.facts.media_type, "application/vnd.oci.artifact.manifest.v1+json");
        assert_eq!(parsed.facts.image_size, parsed.facts.size + 1_000);
        assert_eq!(parsed.facts.subject, Some(digest(9)));
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let whole = json!({ "mediaType": IMAGE, "manifests": [descriptor(IMAGE, 1, 7)] }).to_string();
        let deep = "[".repeat(100_000);
        for (media_type, text) in [
            (IMAGE, ""),
            (IMAGE, "[]"),
            (IMAGE, deep.as_str()),
            (IMAGE, r#"{"layers":[{"size":-1}]}"#),
            (IMAGE, r#"{"manifests":{}}"#),
            (IMAGE, r#"{"annotations":{"a":7}}"#),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", whole.as_str()),
            ("application/vnd.docker.distribution.manifest.v1+json", whole.as_str()),
        ] {
            let facts = parse(media_type, text.as_bytes()).facts;
            let size = text.len() as u64;
            let media_type = media_type.to_owned();
            let expected = ManifestFacts { media_type, image_size: size, size, ..ManifestFacts::default() };
            assert_eq!(facts, expected, "{text:.40}");
        }
        assert!(parse(&"x".repeat(256), b"").facts.media_type.is_empty());
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let many: Vec<_> = (0..10_001).map(|number| descriptor(IMAGE, number, 1)).collect();
        let parsed = read(INDEX, &json!({ "manifests": many }));
        assert!(parsed.cut);
        assert_eq!(parsed.facts.references.len(), 10_000);
        let parsed = read(IMAGE, &json!({ "layers": many }));
        assert!(parsed.cut);
        assert_eq!(parsed.facts.image_size, parsed.facts.size + 10_000);
        let long = "x".repeat(40_000);
        let parsed = read(IMAGE, &json!({ "annotations": { "a": long, "b": long, "c": "short" } }));
        assert!(parsed.cut);
        assert_eq!(parsed.facts.annotations.keys().collect::<Vec<_>>(), ["a", "c"]);
        let most = &many[..10_000];
        assert!(!read(INDEX, &json!({ "manifests": most })).cut);
        let parsed = read(IMAGE, &json!({ "layers": [{ "size": u64::MAX }, { "size": 7 }] }));
        assert_eq!(parsed.facts.image_size, u64::MAX);
    }

    #[test]
    fn a_configuration_names_a_platform_or_none() {
        let texts = |architecture: &str, os: &str| (architecture.to_owned(), os.to_owned());
        assert_eq!(platform(br#"{"architecture":"arm64","os":"linux","rootfs":{}}"#), texts("arm64", "linux"));
        assert_eq!(platform(br#"{"os":"windows"}"#), texts("", "windows"));
        assert_eq!(platform(br#"{"os":7}"#), texts("", ""));
        assert_eq!(platform(b""), texts("", ""));
    }
}
