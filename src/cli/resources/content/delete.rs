//! Deleting repositories and manifests, and what is asked before (requirements B.8-6, to the letter).

use reqwest::Method;
use serde_json::Value;

use super::access::Content;
use super::{LOOK_AND_DELETE, digest_of, path_of};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::session::confirmed;
use crate::cli::visible;
use crate::client::registry::Wanted;
use crate::oci::{Digest, Reference, RepositoryName};

/// A no is not a success: whatever a script does next would take the thing for deleted.
pub(super) fn must_be_confirmed(question: &str, said: bool) -> Result<(), Failure> {
    if confirmed(question, said)? { Ok(()) } else { Err(Failure::new("Operation cancelled.")) }
}

/// Deletes a repository. The answer says what was in it.
pub(super) async fn repository(content: &Content, name: &RepositoryName, yes: bool) -> Result<Value, Failure> {
    let question = format!("Are you sure you want to delete the repository '{name}' and all images under it?");
    must_be_confirmed(&question, yes)?;
    let deleted = content.ask(Method::DELETE, &path_of(name), (name, LOOK_AND_DELETE), None).await;
    deleted.map_err(|failure| {
        if failure.is_clear() {
            return failure;
        }
        failure.hint(
            "If the deletion has begun, the server goes on with it. Run the command again to see the end of it: everything is \
             deleted when there is no such repository.",
        )
    })
}

/// The manifest that is to be deleted, after telling all the tags that go with it.
pub(super) async fn chosen(
    content: &Content,
    repository: &RepositoryName,
    reference: &Reference,
    yes: bool,
) -> Result<Digest, Failure> {
    let digest = match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(tag) => digest_of(content, repository, tag, LOOK_AND_DELETE).await?,
    };
    let wanted = Wanted::paged("tags", None, None).with("digest", digest.as_str());
    let path = format!("{}/_tags", path_of(repository));
    let tags = content.list(&path, (repository, LOOK_AND_DELETE), wanted).await?;
    let message = told(repository, &digest, &tags);
    if yes {
        content.warn(&message);
    } else {
        must_be_confirmed(&format!("{message}.\nAre you sure you want to continue?"), false)?;
    }
    Ok(digest)
}

fn told(repository: &RepositoryName, digest: &Digest, tags: &[Value]) -> String {
    let of_it = tags.iter().filter(|tag| tag.get("digest").and_then(Value::as_str) == Some(digest.as_str()));
    let names = of_it.filter_map(|tag| tag.get("name")?.as_str());
    let images: Vec<_> = names.map(|name| format!("'{repository}:{}'", visible::line(name))).collect();
    let message = format!("This operation will delete the manifest '{digest}'");
    if images.is_empty() {
        return message;
    }
    format!("{message} and all the following images: {}", images.join(", "))
}

/// Deletes a manifest with all its tags.
pub(super) async fn manifest(
    content: &Content,
    repository: &RepositoryName,
    digest: &Digest,
    scope: &[&str],
) -> Result<Value, Failure> {
    content.ask(Method::DELETE, &format!("/v2/{repository}/manifests/{digest}"), (repository, scope), None).await
}
