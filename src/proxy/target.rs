//! What a permitted request is about: contents of the registry behind, or what seawall knows of them.

use crate::oci::{MetadataRoute, Method, Reference, RepositoryName, Route};
use crate::policy::Operation;

/// What was asked for, of what has scopes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Registry(Route),
    Metadata(MetadataRoute),
}

impl Target {
    /// What it needs.
    pub(crate) fn operation(&self, method: Method) -> Operation {
        match self {
            Self::Registry(route) => Operation::of(method, route),
            Self::Metadata(route) => Operation::of_metadata(method, route),
        }
    }

    /// The repository in the path.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Registry(route) => route.repository(),
            Self::Metadata(route) => route.repository(),
        }
    }

    /// The tag or digest that it is about, and of a mount the other repository too, for the audit log.
    pub(crate) fn reference(&self) -> Option<String> {
        match self {
            Self::Registry(Route::Manifest { reference, .. }) => Some(reference.to_string()),
            Self::Registry(
                Route::Blob { digest, .. }
                | Route::Referrers { digest, .. }
                | Route::Upload { digest: Some(digest), .. }
                | Route::UploadStart { digest: Some(digest), .. },
            )
            | Self::Metadata(
                MetadataRoute::Manifest { digest, .. } | MetadataRoute::Tags { digest: Some(digest), .. },
            ) => Some(digest.to_string()),
            Self::Registry(Route::UploadStart { mount: Some(mount), .. }) => {
                Some(format!("{}@{}", mount.from, mount.digest))
            }
            Self::Metadata(MetadataRoute::Tag { tag, .. }) => Some(tag.to_string()),
            Self::Registry(
                Route::Base | Route::Catalog(_) | Route::Tags { .. } | Route::UploadStart { .. } | Route::Upload { .. },
            )
            | Self::Metadata(
                MetadataRoute::Catalog(_)
                | MetadataRoute::Repository(_)
                | MetadataRoute::Tags { .. }
                | MetadataRoute::Manifests { .. },
            ) => None,
        }
    }

    /// Whether the answer is seawall's own: of listings, which the registry behind does not page or filter as it should, and
    /// of what it cannot do at all.
    pub(crate) const fn is_answered_here(&self, method: Method) -> bool {
        match self {
            Self::Registry(Route::Manifest { reference: Reference::Tag(_), .. }) => matches!(method, Method::Delete),
            Self::Registry(route) => {
                matches!(route, Route::Catalog(_) | Route::Tags { .. } | Route::Referrers { .. })
            }
            Self::Metadata(_) => true,
        }
    }

    /// The same without the mount that it asks for.
    pub(crate) fn without_mount(self) -> Self {
        match self {
            Self::Registry(Route::UploadStart { repository, digest, digest_algorithm, .. }) => {
                Self::Registry(Route::UploadStart { repository, mount: None, digest, digest_algorithm })
            }
            other => other,
        }
    }
}
