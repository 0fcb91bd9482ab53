//! The mount that nobody checked: Distribution takes `mount`, `from` and `digest` from the query or from a form in the
//! body, whichever its form reader prefers (threats 4.1, class F).

use crate::harness::caller::{Caller, digest, path_of, with_query};
use crate::harness::registry::Distribution;
use crate::harness::wall::{BOTH, MINE, World};

const FORM: &str = "application/x-www-form-urlencoded";
const SECRET_LAYER: &[u8] = b"a layer that only its owner may read";

/// A way to ask for the secret blob; `DIGEST` stands for its digest.
struct Attack {
    name: &'static str,
    query: &'static str,
    content_type: &'static str,
    body: &'static str,
    /// What the registry itself answers: 201 is the blob.
    direct: u16,
    /// What seawall answers to a caller without rights on the source.
    refused: u16,
    /// And to one with rights on both repositories.
    permitted: u16,
}

const MULTIPART: &str = "--x\r\nContent-Disposition: form-data; name=\"mount\"\r\n\r\nDIGEST\r\n\
                         --x\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\nsecret/app\r\n--x--\r\n";

const ATTACKS: &[Attack] = &[
    Attack {
        name: "a form in the body, nothing in the query",
        query: "",
        content_type: FORM,
        body: "mount=DIGEST&from=secret/app",
        direct: 201,
        refused: 202,
        permitted: 202,
    },
    Attack {
        name: "a form with encoded keys, and a charset",
        query: "",
        content_type: "application/x-www-form-urlencoded; charset=utf-8",
        body: "%6dount=DIGEST&fro%6d=secret%2Fapp",
        direct: 201,
        refused: 202,
        permitted: 202,
    },
    Attack {
        name: "a multipart form",
        query: "",
        content_type: "multipart/form-data; boundary=x",
        body: MULTIPART,
        direct: 201,
        refused: 202,
        permitted: 202,
    },
    Attack {
        name: "a harmless source in the query, the secret one in the body",
        query: "?mount=DIGEST&from=public/x",
        content_type: FORM,
        body: "from=secret/app",
        direct: 201,
        // What was permitted is the mount from `public/x`, where the blob is not; `BOTH` may not read there.
        refused: 202,
        permitted: 202,
    },
    Attack {
        name: "half of it in the query, half in the body",
        query: "?mount=DIGEST",
        content_type: FORM,
        body: "from=secret/app",
        direct: 201,
        refused: 202,
        permitted: 202,
    },
    Attack {
        name: "two sources, the first one wins",
        query: "?mount=DIGEST&from=secret/app&from=public/x",
        content_type: "",
        body: "",
        direct: 201,
        refused: 400,
        permitted: 400,
    },
    Attack {
        name: "two sources, the last one would win",
        query: "?mount=DIGEST&from=public/x&from=secret/app",
        content_type: "",
        body: "",
        direct: 202,
        refused: 400,
        permitted: 400,
    },
    Attack {
        name: "a semicolon between the parameters",
        query: "?mount=DIGEST;from=secret/app",
        content_type: "",
        body: "",
        direct: 202,
        refused: 400,
        permitted: 400,
    },
    Attack {
        name: "an encoded key and an encoded source",
        query: "?mount=DIGEST&f%72om=secret%2Fapp",
        content_type: "",
        body: "",
        direct: 201,
        refused: 202,
        permitted: 201,
    },
    Attack {
        name: "the plain mount",
        query: "?mount=DIGEST&from=secret/app",
        content_type: "",
        body: "",
        direct: 201,
        refused: 202,
        permitted: 201,
    },
];

impl Attack {
    fn try_on(&self, caller: &Caller, repository: &str, blob: &str) -> u16 {
        let path = format!("/v2/{repository}/blobs/uploads/{}", self.query.replace("DIGEST", blob));
        let body = self.body.replace("DIGEST", blob);
        let headers: &[(&str, &str)] =
            if self.content_type.is_empty() { &[] } else { &[("Content-Type", self.content_type)] };
        caller.send("POST", &path, headers, body.as_bytes()).status
    }
}

/// Threats 4.1, rows 1 to 6; class F.
#[test]
fn no_spelling_of_a_mount_reaches_a_repository_that_the_caller_may_not_read() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, mine, both) = (world.direct(), world.caller(MINE), world.caller(BOTH));
        let blob = direct.push_blob("secret/app", SECRET_LAYER);
        direct.push_blob("public/x", b"a layer for everybody");
        for (number, attack) in ATTACKS.iter().enumerate() {
            let what = format!("{version:?}, {}", attack.name);
            let [past, refused, permitted] = ["past", "refused", "permitted"].map(|to| format!("mine/{to}-{number}"));

            assert_eq!(attack.try_on(&direct, &past, &blob), attack.direct, "{what}: the registry itself");
            let readable = if attack.direct == 201 { 200 } else { 404 };
            assert_eq!(direct.has_blob(&past, &blob), readable, "{what}: the registry itself");

            assert_eq!(attack.try_on(&mine, &refused, &blob), attack.refused, "{what}: without the right");
            assert_eq!(mine.has_blob(&refused, &blob), 404, "{what}: without the right");
            assert_eq!(direct.has_blob(&refused, &blob), 404, "{what}: the blob was mounted");

            assert_eq!(attack.try_on(&both, &permitted, &blob), attack.permitted, "{what}: with the right");
            let readable = if attack.permitted == 201 { 200 } else { 404 };
            assert_eq!(both.has_blob(&permitted, &blob), readable, "{what}: with the right");
        }
    }
}

/// Threats 4.1, row 7: the digest that completes an upload counts where it was checked, in the query.
#[test]
fn a_digest_in_a_form_body_completes_no_upload() {
    let empty = digest(b"");
    let form = format!("digest={empty}");
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, mine) = (world.direct(), world.caller(MINE));

        let session = direct.begin("mine/direct");
        direct.send("PUT", &session, &[("Content-Type", FORM)], form.as_bytes()).expect(201);
        assert_eq!(direct.has_blob("mine/direct", &empty), 200, "{version:?}: the registry itself");

        let session = mine.begin("mine/app");
        let refused = mine.send("PUT", &session, &[("Content-Type", FORM)], form.as_bytes()).expect(400);
        assert_eq!(refused.json()["errors"][0]["code"], "DIGEST_INVALID");
        assert_eq!(direct.has_blob("mine/app", &empty), 404, "{version:?}");
    }
}

/// The body of an upload is content, whatever the client calls it.
#[test]
fn a_body_that_calls_itself_a_form_is_stored_as_the_bytes_it_is() {
    let content = b"digest=sha256:0000&from=secret/app";
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        for content_type in [FORM, "multipart/form-data; boundary=x", "MULTIPART/Form-Data"] {
            let session = mine.begin("mine/app");
            let patched = mine.send("PATCH", &session, &[("Content-Type", content_type)], content).expect(202);
            let session = path_of(patched.expect_header("Location")).to_owned();
            let last = with_query(&session, &format!("digest={}", digest(content)));
            mine.send("PUT", &last, &[("Content-Type", content_type)], b"").expect(201);
            let stored = mine.get(&format!("/v2/mine/app/blobs/{}", digest(content))).expect(200);
            assert_eq!(stored.body, content, "{version:?} {content_type}");
        }
    }
}
