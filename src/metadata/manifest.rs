//! What a manifest says, as the index keeps it.

use bytes::Bytes;

use crate::oci::{Digest, manifest};
use crate::store::index::ManifestFacts;

/// The facts of a manifest, and where its config is if that names a platform.
pub(super) fn facts(media_type: &str, body: &Bytes) -> (ManifestFacts, Option<Digest>) {
    let manifest::ParsedManifest { facts, config, cut } = manifest::parse(media_type, body);
    if cut {
        tracing::debug!(media_type, "a manifest has more entries or annotations than are kept");
    }
    (facts, config)
}
