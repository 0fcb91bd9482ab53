//! What a manifest says.

use bytes::Bytes;

use crate::oci::Digest;
use crate::store::index::ManifestFacts;

/// The facts of a manifest, and where its config is if that names a platform.
pub(super) fn facts(media_type: &str, body: &Bytes) -> (ManifestFacts, Option<Digest>) {
    let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
    (ManifestFacts { media_type: media_type.to_owned(), size, image_size: size, ..ManifestFacts::default() }, None)
}
