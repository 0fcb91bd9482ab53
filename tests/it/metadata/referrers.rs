//! The referrers API in front of registries that have none (OCI distribution-spec 1.1).

use serde_json::json;

use crate::harness::artifacts::Oras;
use crate::harness::caller::{Caller, digest};
use crate::harness::image::{INDEX, MANIFEST};
use crate::harness::registry::Distribution;
use crate::harness::wall::{MINE, World, account};

/// An artifact that refers to `subject`; returns its digest.
fn attach(caller: &Caller, subject: &str, size: usize, kind: &str) -> String {
    let empty = caller.push_blob("mine/app", b"{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 },
        "layers": [],
        "subject": { "mediaType": MANIFEST, "digest": subject, "size": size },
        "annotations": { "kind": kind },
    });
    let manifest = manifest.to_string().into_bytes();
    let of = digest(&manifest);
    let answer = caller.put_manifest(&format!("/v2/mine/app/manifests/{of}"), &manifest).expect(201);
    assert_eq!(answer.expect_header("OCI-Subject"), subject);
    of
}

#[test]
fn referrers_are_listed_filtered_and_paged() {
    for distribution in Distribution::at_hand() {
        let world = World::start(distribution);
        let caller = world.caller(MINE);
        let image = caller.push_image("mine/app", "v1", "words");
        let subject = digest(&image);
        let path = format!("/v2/mine/app/referrers/{subject}");
        let none = caller.get(&path).expect(200);
        assert_eq!(none.expect_header("Content-Type"), INDEX);
        assert_eq!(none.json(), json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }));

        let mut attached = [
            attach(&caller, &subject, image.len(), "application/vnd.example.sbom"),
            attach(&caller, &subject, image.len(), "application/vnd.example.signature"),
        ];
        let sbom = attached[0].clone();
        attached.sort();
        let digests = |path: &str| -> Vec<String> {
            let list = caller.get(path).expect(200).json();
            list["manifests"].as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(digests(&path), attached);
        let filtered = caller.get(&format!("{path}?artifactType=application/vnd.example.sbom")).expect(200);
        assert_eq!(filtered.expect_header("OCI-Filters-Applied"), "artifactType");
        let one = &filtered.json()["manifests"][0];
        assert_eq!(
            (&one["digest"], &one["annotations"]["kind"]),
            (&json!(sbom), &json!("application/vnd.example.sbom"))
        );

        let first = caller.get(&format!("{path}?n=1")).expect(200);
        let link = first.expect_header("Link").to_owned();
        let rest = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
        assert_eq!(
            (first.json()["manifests"][0]["digest"].clone(), digests(rest)),
            (json!(attached[0]), vec![attached[1].clone()])
        );
    }
}

#[test]
fn oras_finds_what_it_attached() {
    let world = World::start(Distribution::V2);
    let (server, oras) = (world.seawall.address().to_string(), Oras::new());
    oras.log_in(&server, &account(MINE)).expect_success();
    let image = format!("{server}/mine/app:v1");
    oras.push(&image).expect_success();
    oras.attach(&image, "application/vnd.example.sbom").expect_success();
    let found = oras.discover(&image);
    found.expect_success();
    let caller = world.caller(MINE);
    let tags = caller.get("/v2/mine/app/tags/list").expect(200).json();
    assert_eq!(tags["tags"], json!(["v1"]), "the API is there: no tag stands in for it");
}
