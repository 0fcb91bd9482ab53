//! `seawall import`: an image comes from another registry with its digest, or not at all (S4-9, B.8-8).

use std::io::Write as _;

use super::company::Company;
use crate::harness::fake::{Fake, Then, answer};
use crate::harness::image::{Layout, MANIFEST, digest};

const IMAGE: &str = "baseimages/node";

fn import(company: &Company, words: &[&str]) -> crate::harness::client::Outcome {
    company.seawall(&[&["import", "--name", "myregistry"], words].concat())
}

#[test]
fn an_index_comes_with_everything_that_it_lists() {
    let company = Company::start();
    let (index, image) = (Layout::index("base"), Layout::image("single"));
    company.fill(&company.base, &index, IMAGE, "15-alpine");
    company.fill(&company.base, &image, "single", "v1");
    company.log_in(&[("mybaseregistry", &company.base), ("myregistry", &company.own)]);
    let source = format!("{}/{IMAGE}:15-alpine", company.base);
    import(&company, &["--source", &source, "--image", "copies/node:15-alpine"]).expect_success();
    let upstream = &company.upstreams[1];
    assert_eq!(upstream.manifest("copies/node", "15-alpine").expect(200).body, index.root_bytes());
    for (_, one) in index.images() {
        assert_eq!(upstream.manifest("copies/node", &one.root().digest).expect(200).body, one.root_bytes());
    }
    // NoForce, in ACR's words.
    let single = format!("{}/single:v1", company.base);
    let again = import(&company, &["--source", &single, "-t", "copies/node:15-alpine"]);
    again.expect_failure("(Conflict) Tag copies/node:15-alpine already exists in target registry.");
    assert_eq!(upstream.manifest("copies/node", "15-alpine").body, index.root_bytes());
    import(&company, &["--source", &single, "-t", "copies/node:15-alpine", "--force"]).expect_success();
    assert_eq!(upstream.manifest("copies/node", "15-alpine").body, image.root_bytes());
    // Within one registry, by digest, without a tag, and by a name of the registry.
    let by_digest = format!("copies/node@{}", index.root().digest);
    import(&company, &["--source", &by_digest, "--registry", "myregistry", "--repository", "moved/node"])
        .expect_success();
    assert_eq!(upstream.manifest("moved/node", &index.root().digest).expect(200).body, index.root_bytes());
    assert_eq!(upstream.manifest("moved/node", "15-alpine").status, 404);
}

#[test]
fn artifacts_come_too_and_credentials_are_wanted() {
    let company = Company::start();
    let signed = Layout::image("signed");
    let artifact = Layout::artifact(signed.root(), "application/vnd.example.signature");
    company.fill(&company.base, &artifact, "signatures", "v1");
    company.log_in(&[("myregistry", &company.own)]);
    let source = format!("{}/signatures:v1", company.base);
    import(&company, &["--source", &source]).expect_failure("Log in first");
    let account = Company::base_admin();
    let given = ["--source", &source, "-u", &account.user, "-p", &account.password];
    import(&company, &given).expect_success();
    assert_eq!(company.upstreams[1].manifest("signatures", "v1").expect(200).body, artifact.root_bytes());
    import(&company, &["--source", "node:15-alpine"]).expect_failure("which registry is the image in?");
}

/// A registry that answers with a manifest of one blob, and sends the blob's readers elsewhere.
fn source(blob_at: String, blob: &[u8]) -> (Fake, String) {
    let layer = digest(blob);
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\
         \"digest\":\"{layer}\",\"size\":{}}},\"layers\":[]}}",
        blob.len()
    );
    let own = digest(manifest.as_bytes());
    let fake = Fake::answering(move |request, stream| {
        let text = if request.header("authorization").is_none() {
            answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"fake\"\r\n", "")
        } else if request.line.contains("/manifests/") {
            answer("200 OK", &format!("Content-Type: {MANIFEST}\r\n"), &manifest)
        } else if request.line.contains("/blobs/") {
            answer("307 Temporary Redirect", &format!("Location: {blob_at}\r\n"), "")
        } else {
            answer("200 OK", "", "")
        };
        let _ = stream.write_all(text.as_bytes());
        Then::KeepOpen
    });
    (fake, own)
}

/// The credential stays with the registry; other bytes than those of the digest are never completed.
#[test]
fn a_blob_from_elsewhere_comes_without_the_credential_and_is_checked() {
    let company = Company::start();
    company.log_in(&[("myregistry", &company.own)]);
    for (sent, repository) in [("{\"a\":1}", "whole"), ("{\"a\":2}", "other")] {
        let storage = Fake::always(answer("200 OK", "", sent));
        let (registry, manifest) = source(format!("{}/blob", storage.url()), b"{\"a\":1}");
        let (from, to) = (format!("{}/app:v1", registry.address()), format!("{repository}:v1"));
        let outcome = import(&company, &["--source", &from, "-t", &to, "-u", "user", "-p", "secret"]);
        let seen = storage.seen();
        assert!(seen.iter().all(|request| request.header("authorization").is_none()), "{seen:?}");
        assert_eq!(seen.len(), 1);
        if repository == "whole" {
            outcome.expect_success();
            assert_eq!(digest(&company.upstreams[1].manifest(repository, "v1").expect(200).body), manifest);
        } else {
            outcome.expect_failure("the source registry sent something else");
            assert_eq!(company.upstreams[1].manifest(repository, "v1").status, 404);
        }
    }
}
