//! The four workflows of the OCI distribution specification through seawall, in front of each registry at hand: pull,
//! push, content discovery and content management.
//!
//! Each step names the endpoint of the specification (`end-1` to `end-13`) that it exercises. Where Distribution itself
//! has no such endpoint, the answer that clients fall back on is asserted.

use crate::harness::http::Response;
use crate::harness::image::{self, Descriptor, Layout};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, Session};

const PASSWORD: &str = "the-password-of-a-conformance-test";
const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// One registry behind seawall and a token that may do everything in one repository.
struct World {
    distribution: Distribution,
    _upstream: Registry,
    seawall: Seawall,
    session: Session,
}

impl World {
    fn start(distribution: Distribution) -> Self {
        let upstream = Registry::start(distribution);
        let place = Place::new();
        let password = place.secret("tester", PASSWORD);
        let document = place.document(&format!(
            "
registries:
  conformance:
    loginServer: \"{}\"
    upstream: {{ url: \"{}\" }}
    scopeMaps:
      everything:
        repositories:
          \"oci/*\": [content/read, content/write, content/delete, metadata/read, metadata/write]
    tokens:
      tester: {{ scopeMap: everything, passwords: [ {{ name: password1, file: \"{}\" }} ] }}
",
            place.login_server(),
            upstream.url(),
            password.display(),
        ));
        let seawall = place.start(&document);
        let session = Session::new(seawall.address(), Account::new("tester", PASSWORD));
        Self { distribution, _upstream: upstream, seawall, session }
    }

    fn get(&self, path: &str) -> Response {
        self.session.get(path)
    }

    /// Follows a `Location`: relative to the registry, with its query.
    fn at(&self, location: &str, more: &str) -> String {
        assert!(location.starts_with("/v2/"), "locations are relative: {location}");
        assert!(!location.contains(&self.seawall.address().to_string()), "{location}");
        if more.is_empty() {
            return location.to_owned();
        }
        format!("{location}{}{more}", if location.contains('?') { '&' } else { '?' })
    }

    /// end-4a, end-6: a blob in one piece.
    fn push_blob(&self, digest: &str, bytes: &[u8]) {
        let started = self.session.send("POST", "/v2/oci/app/blobs/uploads/", &[], b"").expect(202);
        let path = self.at(started.expect_header("Location"), &format!("digest={digest}"));
        let finished = self.session.send("PUT", &path, &[OCTETS], bytes).expect(201);
        assert_eq!(finished.expect_header("Docker-Content-Digest"), digest);
        self.at(finished.expect_header("Location"), "");
    }

    /// end-7.
    fn push_manifest(&self, reference: &str, layout: &Layout) {
        let path = format!("/v2/oci/app/manifests/{reference}");
        let media_type = ("Content-Type", layout.root().media_type);
        let pushed = self.session.send("PUT", &path, &[media_type], layout.root_bytes()).expect(201);
        assert_eq!(pushed.expect_header("Docker-Content-Digest"), layout.root().digest);
        self.at(pushed.expect_header("Location"), "");
    }

    fn push(&self, tag: &str, layout: &Layout) {
        for (digest, bytes) in layout.blobs() {
            self.push_blob(digest, bytes);
        }
        for (_, image) in layout.images() {
            self.push_manifest(&image.root().digest, image);
        }
        self.push_manifest(tag, layout);
    }

    fn get_manifest(&self, method: &str, reference: &str) -> Response {
        let path = format!("/v2/oci/app/manifests/{reference}");
        let accept = format!("{}, {}", image::MANIFEST, image::INDEX);
        self.session.send(method, &path, &[("Accept", &accept)], b"")
    }
}

/// Runs a workflow in front of each registry at hand, naming the one in which it fails.
fn with_each(workflow: fn(&World)) {
    for distribution in Distribution::at_hand() {
        println!("in front of {distribution:?}");
        workflow(&World::start(distribution));
    }
}

fn expect_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.json()["errors"][0]["code"], code);
}

#[test]
fn push_workflow() {
    with_each(|world| {
        world.get("/v2/").expect(200); // end-1
        let image = Layout::image("conformance");
        world.push("v1", &image);

        // end-4b: a blob in one request. A registry may answer 202 and want the two-step way.
        let bytes = b"a blob in one request".as_slice();
        let digest = image::digest(bytes);
        let path = format!("/v2/oci/app/blobs/uploads/?digest={digest}");
        let posted = world.session.send("POST", &path, &[OCTETS], bytes);
        assert!(matches!(posted.status, 201 | 202), "{}: {}", posted.status, posted.text());

        // end-5, end-6, end-13: in pieces, asking in between how far it came.
        let bytes = b"first piece, second piece".as_slice();
        let (first, second) = bytes.split_at(12);
        let digest = image::digest(bytes);
        let started = world.session.send("POST", "/v2/oci/app/blobs/uploads/", &[], b"").expect(202);
        let path = world.at(started.expect_header("Location"), "");
        let one = world.session.send("PATCH", &path, &[OCTETS, ("Content-Range", "0-11")], first).expect(202);
        assert_eq!(one.expect_header("Range"), "0-11");
        let path = world.at(one.expect_header("Location"), "");
        let asked = world.get(&path).expect(204);
        assert_eq!(asked.expect_header("Range"), "0-11");
        let path = world.at(asked.expect_header("Location"), "");
        let two = world.session.send("PATCH", &path, &[OCTETS, ("Content-Range", "12-24")], second).expect(202);
        let path = world.at(two.expect_header("Location"), &format!("digest={digest}"));
        world.session.send("PUT", &path, &[], b"").expect(201);
        assert_eq!(world.get(&format!("/v2/oci/app/blobs/{digest}")).expect(200).body, bytes);

        // end-11: from another repository that the token may read.
        let path = format!("/v2/oci/copy/blobs/uploads/?mount={digest}&from=oci/app");
        let mounted = world.session.send("POST", &path, &[], b"").expect(201);
        assert_eq!(mounted.expect_header("Docker-Content-Digest"), digest);

        // A wrong digest is never stored.
        let wrong = image::digest(b"something else");
        let started = world.session.send("POST", "/v2/oci/app/blobs/uploads/", &[], b"").expect(202);
        let path = world.at(started.expect_header("Location"), &format!("digest={wrong}"));
        expect_error(&world.session.send("PUT", &path, &[OCTETS], b"not that"), 400, "DIGEST_INVALID");
        world.get(&format!("/v2/oci/app/blobs/{wrong}")).expect(404);
    });
}

#[test]
fn pull_workflow() {
    with_each(|world| {
        let image = Layout::image("conformance");
        world.push("v1", &image);

        for (digest, bytes) in image.blobs() {
            // end-2
            let path = format!("/v2/oci/app/blobs/{digest}");
            let head = world.session.send("HEAD", &path, &[], b"").expect(200);
            assert_eq!(head.expect_header("Content-Length"), bytes.len().to_string());
            assert_eq!(head.expect_header("Docker-Content-Digest"), digest);
            assert_eq!(world.get(&path).expect(200).body, bytes);
            let part = world.session.send("GET", &path, &[("Range", "bytes=2-5")], b"").expect(206);
            assert_eq!(part.body, bytes[2..=5]);
            assert_eq!(part.expect_header("Content-Range"), format!("bytes 2-5/{}", bytes.len()));
        }
        for reference in ["v1", &image.root().digest] {
            // end-3
            let head = world.get_manifest("HEAD", reference).expect(200);
            assert_eq!(head.expect_header("Docker-Content-Digest"), image.root().digest);
            let manifest = world.get_manifest("GET", reference).expect(200);
            assert_eq!(manifest.body, image.root_bytes());
            assert_eq!(manifest.expect_header("Content-Type"), image::MANIFEST);
            assert_eq!(manifest.expect_header("Content-Length"), image.root().size.to_string());
        }

        let nothing = image::digest(b"nothing");
        world.session.send("HEAD", &format!("/v2/oci/app/blobs/{nothing}"), &[], b"").expect(404);
        expect_error(&world.get(&format!("/v2/oci/app/blobs/{nothing}")), 404, "BLOB_UNKNOWN");
        expect_error(&world.get_manifest("GET", "none"), 404, "MANIFEST_UNKNOWN");
        expect_error(&world.get_manifest("GET", &nothing), 404, "MANIFEST_UNKNOWN");
    });
}

#[test]
fn content_discovery_workflow() {
    with_each(|world| {
        let image = Layout::image("conformance");
        for tag in ["a", "b", "c", "d"] {
            world.push(tag, &image);
        }
        world.push("index", &Layout::index("conformance"));

        // end-8a
        let all = world.get("/v2/oci/app/tags/list").expect(200).json();
        assert_eq!(all["name"], "oci/app");
        let mut tags: Vec<&str> = all["tags"].as_array().unwrap().iter().filter_map(|tag| tag.as_str()).collect();
        if world.distribution == Distribution::V2 {
            tags.sort_unstable(); // 2.8 lists them as its file system does
        }
        assert_eq!(tags, ["a", "b", "c", "d", "index"]);

        // end-8b: 2.8 lists all tags whatever `n` says.
        let page = world.get("/v2/oci/app/tags/list?n=2&last=a").expect(200);
        assert_eq!(page.json()["tags"], serde_json::json!(["b", "c"]));
        let link = page.expect_header("Link");
        assert!(link.starts_with("</v2/oci/app/tags/list?") && link.ends_with(">; rel=\"next\""), "{link}");

        // end-12: Distribution has no referrers; seawall has. The tag that stands in for the API works too.
        let artifact = Layout::artifact(image.root(), "application/vnd.example.signature");
        let subject: &Descriptor = image.root();
        world.push(&subject.digest.replace(':', "-"), &artifact);
        let referrers = world.get(&format!("/v2/oci/app/referrers/{}", subject.digest)).expect(200).json();
        assert_eq!(referrers["manifests"][0]["digest"], artifact.root().digest);
        let fallback = world.get_manifest("GET", &subject.digest.replace(':', "-")).expect(200).json();
        assert_eq!(fallback["subject"]["digest"], subject.digest);
    });
}

#[test]
fn content_management_workflow() {
    with_each(|world| {
        let image = Layout::image("conformance");
        world.push("v1", &image);
        world.push("v2", &image);

        // end-9 by tag: 2.8 cannot; seawall can in front of it.
        world.session.send("DELETE", "/v2/oci/app/manifests/v2", &[], b"").expect(202);
        world.get_manifest("GET", "v2").expect(404);
        world.get_manifest("GET", "v1").expect(200);

        // end-9 by digest
        let path = format!("/v2/oci/app/manifests/{}", image.root().digest);
        world.session.send("DELETE", &path, &[], b"").expect(202);
        world.get_manifest("GET", "v1").expect(404);
        world.get_manifest("GET", &image.root().digest).expect(404);

        // end-10
        for (digest, _) in image.blobs() {
            let path = format!("/v2/oci/app/blobs/{digest}");
            world.session.send("DELETE", &path, &[], b"").expect(202);
            world.get(&path).expect(404);
        }
    });
}
