//! Operations: what one request needs before it may go on.

use super::action::{Action, ActionSet};
use crate::oci::{MetadataRoute, Method, Mount, RepositoryName, Route, Scope};

/// What kind of request it is, as far as deciding tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationClass {
    Base,
    Catalog,
    Tags,
    ManifestRead,
    ManifestWrite,
    ManifestDelete,
    BlobRead,
    BlobDelete,
    Upload,
    Mount,
    Referrers,
    MetadataRead,
    MetadataWrite,
    Untag,
    RepositoryDelete,
}

/// One thing that a caller must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Any accepted principal: `GET /v2/`.
    LoggedIn,
    /// To list all repositories.
    Catalog,
    /// At least one of `any_of` on the repository.
    Repository { name: RepositoryName, any_of: ActionSet, ask: &'static [Action] },
}

impl Need {
    /// The scope to ask for in a challenge; `None` where the challenge carries none (wire contract R3).
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::LoggedIn => None,
            Self::Catalog => Some(Scope::new("registry", "catalog", ["*"])),
            Self::Repository { name, ask, .. } => {
                Some(Scope::new("repository", name.as_str(), ask.iter().map(|action| action.scope_name())))
            }
        }
    }
}

/// What one request needs: everything in `needs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub class: OperationClass,
    pub needs: Vec<Need>,
}

impl Operation {
    /// What `route` needs, as the table of requirements B.1-10 says.
    ///
    /// A HEAD of a manifest or blob is how a client looks before it pushes, so `content/write` is enough for it (E-6).
    /// A mount needs two things; see [`Operation::without_mount`] for what happens when the second is missing.
    pub fn of(method: Method, route: &Route) -> Self {
        use Action::{ContentDelete, ContentRead, ContentWrite, MetadataRead};
        const PULL: &[Action] = &[ContentRead];
        const PUSH: &[Action] = &[ContentRead, ContentWrite];
        let read = ActionSet::from(ContentRead);
        let write = ActionSet::from(ContentWrite);
        let look = if method == Method::Head { read.union(write) } else { read };
        match route {
            Route::Base => Self { class: OperationClass::Base, needs: vec![Need::LoggedIn] },
            Route::Catalog(_) => Self { class: OperationClass::Catalog, needs: vec![Need::Catalog] },
            Route::Tags { repository, .. } => {
                Self::one(OperationClass::Tags, repository, MetadataRead.into(), &[MetadataRead])
            }
            Route::Manifest { repository, .. } => match method {
                Method::Get | Method::Head => Self::one(OperationClass::ManifestRead, repository, look, PULL),
                Method::Delete => {
                    Self::one(OperationClass::ManifestDelete, repository, ContentDelete.into(), &[ContentDelete])
                }
                Method::Put | Method::Post | Method::Patch => {
                    Self::one(OperationClass::ManifestWrite, repository, write, PUSH)
                }
            },
            Route::Blob { repository, .. } => match method {
                Method::Get | Method::Head => Self::one(OperationClass::BlobRead, repository, look, PULL),
                Method::Delete | Method::Put | Method::Post | Method::Patch => {
                    Self::one(OperationClass::BlobDelete, repository, ContentDelete.into(), &[ContentDelete])
                }
            },
            Route::UploadStart { repository, mount: Some(Mount { from, .. }), .. } => {
                let mut operation = Self::one(OperationClass::Mount, repository, write, PUSH);
                operation.needs.push(Need::Repository { name: from.clone(), any_of: read, ask: PULL });
                operation
            }
            Route::UploadStart { repository, .. } | Route::Upload { repository, .. } => {
                Self::one(OperationClass::Upload, repository, write, PUSH)
            }
            Route::Referrers { repository, .. } => Self::one(OperationClass::Referrers, repository, read, PULL),
        }
    }

    /// What a request to the metadata API needs, by the same table.
    ///
    /// To untag, `metadata/write` or `content/delete` is enough: documents name the one and clients ask for the other (E-7).
    pub fn of_metadata(method: Method, route: &MetadataRoute) -> Self {
        use Action::{ContentDelete, MetadataRead, MetadataWrite};
        const CHANGE: &[Action] = &[MetadataRead, MetadataWrite];
        const DELETE: &[Action] = &[ContentDelete];
        let one = Self::one;
        let Some(repository) = route.repository() else {
            return Self { class: OperationClass::Catalog, needs: vec![Need::Catalog] };
        };
        match (method, route) {
            (Method::Get | Method::Head, MetadataRoute::Tags { .. }) => {
                one(OperationClass::Tags, repository, MetadataRead.into(), &[MetadataRead])
            }
            (Method::Get | Method::Head, _) => {
                one(OperationClass::MetadataRead, repository, MetadataRead.into(), &[MetadataRead])
            }
            (Method::Delete, MetadataRoute::Tag { .. }) => {
                let any_of = ActionSet::from(MetadataWrite).with(ContentDelete);
                one(OperationClass::Untag, repository, any_of, DELETE)
            }
            (Method::Delete, _) => one(OperationClass::RepositoryDelete, repository, ContentDelete.into(), DELETE),
            (Method::Post | Method::Put | Method::Patch, _) => {
                one(OperationClass::MetadataWrite, repository, MetadataWrite.into(), CHANGE)
            }
        }
    }

    /// The same push without its mount: what remains when the source may not be read.
    ///
    /// The specification lets a registry answer a mount that it will not do with a plain upload session, and clients
    /// then send the blob: neither a refusal nor another repository's data (threat class F).
    pub fn without_mount(&self) -> Option<Self> {
        match (self.class, self.needs.first()) {
            (OperationClass::Mount, Some(write)) => {
                Some(Self { class: OperationClass::Upload, needs: vec![write.clone()] })
            }
            _ => None,
        }
    }

    pub(super) fn one(class: OperationClass, name: &RepositoryName, any_of: ActionSet, ask: &'static [Action]) -> Self {
        Self { class, needs: vec![Need::Repository { name: name.clone(), any_of, ask }] }
    }
}
