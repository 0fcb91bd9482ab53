//! What a manifest leads to: the manifests of an index, the blobs of an image or an artifact.

use std::collections::HashSet;

use serde::Deserialize;
use thiserror::Error;

use crate::oci::Digest;

/// The largest manifest, in bytes: what registries accept (rule R16 of the wire contract).
pub const LARGEST: usize = 4 << 20;
/// The most entries of one manifest.
const MOST: usize = 10_000;

/// The kinds of manifests that are asked for, the newest first.
pub const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.artifact.manifest.v1+json";

/// Why nothing can be made of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    #[error("the manifest is not understood: {0}")]
    Malformed(String),
    #[error("the manifest is of schema version 1, which is not copied: push the image again with a client of today")]
    Schema1,
}

/// Something a manifest points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// What a manifest points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Manifests.
    Index(Vec<Descriptor>),
    /// Blobs; those that stay where they are (layers of a foreign type with a URL) are left out.
    Blobs(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    schema_version: u32,
    manifests: Option<Vec<WireDescriptor>>,
    config: Option<WireDescriptor>,
    #[serde(default)]
    layers: Vec<WireDescriptor>,
    /// Of an OCI artifact manifest.
    #[serde(default)]
    blobs: Vec<WireDescriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

impl WireDescriptor {
    /// Whether registries do not hold it: it is fetched from its URLs.
    fn is_elsewhere(&self) -> bool {
        let foreign = self.media_type.contains(".foreign.") || self.media_type.contains(".nondistributable.");
        foreign && !self.urls.is_empty()
    }

    fn read(&self) -> Result<Descriptor, ManifestError> {
        let digest = Digest::parse(&self.digest).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        Ok(Descriptor { digest, size: self.size })
    }
}

/// Reads the bytes of a manifest.
pub fn contents(bytes: &[u8]) -> Result<Contents, ManifestError> {
    let malformed = |what: &str| ManifestError::Malformed(what.to_owned());
    let wire: Wire = serde_json::from_slice(bytes).map_err(|error| malformed(&error.to_string()))?;
    if wire.schema_version == 1 {
        return Err(ManifestError::Schema1);
    }
    let is_index = wire.manifests.is_some();
    let has_blobs = wire.config.is_some() || !wire.layers.is_empty() || !wire.blobs.is_empty();
    if is_index && has_blobs {
        // Readers would differ about what it is (CVE-2021-41190).
        return Err(malformed("it is an index and an image at once"));
    }
    let all = wire.manifests.into_iter().flatten().chain(wire.config).chain(wire.layers).chain(wire.blobs);
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for one in all.filter(|one| !one.is_elsewhere()) {
        let one = one.read()?;
        if known.insert(one.digest.clone()) {
            found.push(one);
        }
        if found.len() > MOST {
            return Err(malformed("it has too many entries"));
        }
    }
    Ok(if is_index { Contents::Index(found) } else { Contents::Blobs(found) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn read(value: &serde_json::Value) -> Result<Contents, ManifestError> {
        contents(value.to_string().as_bytes())
    }

    fn digests(contents: Contents) -> Vec<String> {
        let (Contents::Index(all) | Contents::Blobs(all)) = contents;
        all.into_iter().map(|one| one.digest.to_string()).collect()
    }

    #[test]
    fn an_image_leads_to_its_blobs_each_once() {
        let layer = json!({ "digest": digest("b"), "size": 2 });
        let foreign = json!({
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest("c"), "size": 3,
            "urls": ["https://example.com/layer"]
        });
        let image = json!({
            "schemaVersion": 2, "config": { "digest": digest("a"), "size": 1 }, "layers": [layer, layer, foreign]
        });
        assert_eq!(digests(read(&image).unwrap()), [digest("a"), digest("b")]);
        let artifact = json!({ "blobs": [{ "digest": digest("d"), "size": 4 }] });
        assert_eq!(digests(read(&artifact).unwrap()), [digest("d")]);
        let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest("e"), "size": 5 }] });
        assert!(matches!(read(&index).unwrap(), Contents::Index(all) if all.len() == 1));
    }

    #[test]
    fn what_is_not_certain_is_not_copied() {
        assert_eq!(read(&json!({ "schemaVersion": 1, "fsLayers": [] })), Err(ManifestError::Schema1));
        for wrong in [
            json!([]),
            json!({ "layers": [{ "digest": "sha256:0", "size": 1 }] }),
            json!({ "layers": [{ "digest": digest("a"), "size": -1 }] }),
            json!({ "manifests": [], "config": { "digest": digest("a"), "size": 1 } }),
        ] {
            assert!(matches!(read(&wrong), Err(ManifestError::Malformed(_))), "{wrong}");
        }
    }
}
