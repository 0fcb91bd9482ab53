//! Which scope of access tokens a request needs at an upstream (Distribution `registry/handlers/app.go`).
//!
//! Made of what was parsed and permitted, never of what the upstream asks for.

use crate::oci::{Method, Mount, Route, Scope};

/// What to ask a token service for, or to sign. Empty for `GET /v2/`.
pub(super) fn scopes(method: Method, route: &Route) -> Vec<Scope> {
    const PULL: &[&str] = &["pull"];
    const PUSH: &[&str] = &["pull", "push"];
    let repository = |name: &crate::oci::RepositoryName, actions: &[&str]| {
        Scope::new("repository", name.as_str(), actions.iter().copied())
    };
    match route {
        Route::Base => Vec::new(),
        Route::Catalog(_) => vec![Scope::new("registry", "catalog", ["*"])],
        // ACR, and so another seawall, wants the second.
        Route::Tags { repository: name, .. } => vec![repository(name, &["pull", "metadata_read"])],
        Route::Manifest { repository: name, .. } | Route::Blob { repository: name, .. } => {
            let actions = match method {
                Method::Get | Method::Head => PULL,
                Method::Delete => &["delete"],
                Method::Post | Method::Put | Method::Patch => PUSH,
            };
            vec![repository(name, actions)]
        }
        Route::UploadStart { repository: name, mount, .. } => {
            let from = mount.as_ref().filter(|mount| mount.from != *name);
            let source = from.map(|Mount { from, .. }| repository(from, PULL));
            std::iter::once(repository(name, PUSH)).chain(source).collect()
        }
        // To end a session Distribution wants `delete`, ACR `push`.
        Route::Upload { repository: name, .. } if method == Method::Delete => {
            vec![repository(name, &["pull", "push", "delete"])]
        }
        Route::Upload { repository: name, .. } => vec![repository(name, PUSH)],
        Route::Referrers { repository: name, .. } => vec![repository(name, PULL)],
    }
}

/// The same as one text, by which tokens are remembered.
pub(super) fn text(scopes: &[Scope]) -> String {
    scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{self, Endpoint, Parsed};

    #[test]
    fn every_request_asks_for_what_distribution_wants_of_it() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table = [
            ("GET", "/v2/".to_owned(), ""),
            ("GET", "/v2/_catalog".to_owned(), "registry:catalog:*"),
            ("GET", "/v2/a/b/tags/list".to_owned(), "repository:a/b:pull,metadata_read"),
            ("HEAD", "/v2/a/b/manifests/v1".to_owned(), "repository:a/b:pull"),
            ("PUT", "/v2/a/b/manifests/v1".to_owned(), "repository:a/b:pull,push"),
            ("DELETE", format!("/v2/a/b/manifests/{digest}"), "repository:a/b:delete"),
            ("GET", format!("/v2/a/b/blobs/{digest}"), "repository:a/b:pull"),
            ("DELETE", format!("/v2/a/b/blobs/{digest}"), "repository:a/b:delete"),
            ("POST", "/v2/a/b/blobs/uploads/".to_owned(), "repository:a/b:pull,push"),
            (
                "POST",
                format!("/v2/a/b/blobs/uploads/?mount={digest}&from=c"),
                "repository:a/b:pull,push repository:c:pull",
            ),
            ("POST", format!("/v2/a/b/blobs/uploads/?mount={digest}&from=a/b"), "repository:a/b:pull,push"),
            ("PATCH", "/v2/a/b/blobs/uploads/u1".to_owned(), "repository:a/b:pull,push"),
            ("PUT", format!("/v2/a/b/blobs/uploads/u1?digest={digest}"), "repository:a/b:pull,push"),
            ("GET", "/v2/a/b/blobs/uploads/u1".to_owned(), "repository:a/b:pull,push"),
            ("DELETE", "/v2/a/b/blobs/uploads/u1".to_owned(), "repository:a/b:pull,push,delete"),
            ("GET", format!("/v2/a/b/referrers/{digest}"), "repository:a/b:pull"),
        ];
        for (method, target, expected) in table {
            let Ok(Parsed { method, endpoint: Endpoint::Registry(route), .. }) = oci::parse(method, &target) else {
                panic!("{target}")
            };
            assert_eq!(text(&scopes(method, &route)), expected, "{target}");
        }
    }
}
