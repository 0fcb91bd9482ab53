//! Upload sessions belong to whoever began them (threats class A, CVE-2026-32589), and a mount without the right to read
//! its source becomes a plain upload (class F).

use crate::harness::caller::{Caller, digest, path_of, with_query};
use crate::harness::http::Response;
use crate::harness::registry::Distribution;
use crate::harness::seawall::Place;
use crate::harness::session::Session;
use crate::harness::wall::{BOTH, MINE, READER, REGISTRY, SECRET, Setup, TWIN, WRITER, World, account};

const CONTENT: &[u8] = b"the first half, the second half";

/// A session in `mine/app` that holds the first half of [`CONTENT`].
fn half_way(caller: &Caller) -> String {
    let session = caller.begin("mine/app");
    let patched = caller.send("PATCH", &session, &[("Content-Type", "application/octet-stream")], &CONTENT[..15]);
    patched.expect(202).expect_header("Location").to_owned()
}

/// Goes on with the second half; the status of completing it.
fn finish(caller: &Caller, session: &str) -> u16 {
    let last = with_query(session, &format!("digest={}", digest(CONTENT)));
    caller.send("PUT", &last, &[("Content-Type", "application/octet-stream")], &CONTENT[15..]).status
}

/// Everything one can do with a session is answered as if it did not exist, and it is not touched.
fn expect_no_session(caller: &Caller, session: &str, what: &str) {
    let unknown = |response: Response, method: &str| {
        assert_eq!(response.status, 404, "{what}: {method} {session}: {response:?}");
        assert_eq!(response.json()["errors"][0]["code"], "BLOB_UPLOAD_UNKNOWN", "{what}: {method}");
    };
    unknown(caller.send("GET", session, &[], b""), "GET");
    unknown(caller.send("DELETE", session, &[], b""), "DELETE");
    unknown(caller.send("PATCH", session, &[], b"injected"), "PATCH");
    let last = with_query(session, &format!("digest={}", digest(b"injected")));
    unknown(caller.send("PUT", &last, &[], b"injected"), "PUT");
}

/// Class A: another token with the same rights, another one with other rights, the admin.
#[test]
fn a_session_is_of_no_use_to_anybody_else() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let session = half_way(&mine);
        for user in [TWIN, BOTH, WRITER, REGISTRY] {
            expect_no_session(&world.caller(user), &session, &format!("{version:?} {user}"));
        }
        for user in [READER, SECRET] {
            for method in ["GET", "DELETE", "PATCH"] {
                world.caller(user).send(method, &session, &[], b"").expect(401);
            }
        }
        // Not even the upstream's own state is of use, to whoever comes to know it.
        let bare = session.split('?').next().unwrap().to_owned();
        expect_no_session(&world.caller(TWIN), &bare, "without a state");
        assert_eq!(finish(&mine, &session), 201, "{version:?}: its owner goes on as if nothing had been");
        assert_eq!(mine.get(&format!("/v2/mine/app/blobs/{}", digest(CONTENT))).expect(200).body, CONTENT);
    }
}

/// Class A: under another repository, where the same caller has the same rights.
#[test]
fn a_session_is_of_no_use_in_another_repository() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (mine, both) = (world.caller(MINE), world.caller(BOTH));
        let session = half_way(&mine);
        for repository in ["mine/other", "mine/app/below", "mine/ap"] {
            expect_no_session(&mine, &session.replace("mine/app", repository), &format!("{version:?} {repository}"));
        }
        let foreign = half_way(&both);
        expect_no_session(&both, &foreign.replace("mine/app", "secret/app"), &format!("{version:?}"));
        // Nor the state of one session with the name of another.
        let other = half_way(&mine);
        let (path, _) = session.split_once('?').unwrap();
        let (_, state) = other.split_once('?').unwrap();
        expect_no_session(&mine, &format!("{path}?{state}"), &format!("{version:?}, crossed"));
        assert_eq!(finish(&mine, &session), 201, "{version:?}");
    }
}

/// Class A: a state that was not made here, or not for this session.
#[test]
fn a_state_that_was_tampered_with_opens_nothing() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (mine, direct) = (world.caller(MINE), world.direct());
        let session = half_way(&mine);
        let (path, state) = session.split_once("?_state=").unwrap();
        let (sealed, mac) = state.split_once('.').unwrap();
        let own = direct.begin("mine/app");
        let upstream = own.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        let upstream_state = upstream.trim_start_matches("_state=");
        for tampered in [
            path.to_owned(),
            format!("{path}?_state="),
            format!("{path}?_state=."),
            format!("{path}?_state={sealed}"),
            format!("{path}?_state={sealed}."),
            format!("{path}?_state=.{mac}"),
            format!("{path}?_state=A{sealed}.{mac}"),
            format!("{path}?_state={sealed}.A{mac}"),
            format!("{path}?_state={}.{mac}", &sealed[..sealed.len() - 4]),
            format!("{path}?_state={upstream_state}"),
            format!("{}?_state={sealed}.{mac}", path_of(own.split('?').next().unwrap())),
            format!("{path}x?_state={sealed}.{mac}"),
        ] {
            expect_no_session(&mine, &tampered, &format!("{version:?}"));
        }
        mine.send("GET", &format!("{session}&_state=x"), &[], b"").expect(400);
        assert_eq!(finish(&mine, &session), 201, "{version:?}");
    }
}

/// Class A: the owner sees how far it is, and may give it up.
#[test]
fn the_owner_of_a_session_may_ask_for_its_status_and_cancel_it() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let session = half_way(&mine);
        let status = mine.send("GET", &session, &[], b"").expect(204);
        assert_eq!(status.expect_header("Range"), "0-14", "{version:?}");
        let session = status.expect_header("Location").to_owned();
        mine.send("DELETE", &session, &[], b"").expect(204);
        mine.send("GET", &session, &[], b"").expect(404);
        assert_eq!(finish(&mine, &session), 404, "{version:?}");
    }
}

/// Class A, class I: what was begun does not outlive the right to do it.
#[test]
fn a_session_ends_with_the_token_that_began_it() {
    let world = World::start(Distribution::V2);
    let (mine, twin) = (world.caller(MINE), world.caller(TWIN));
    let log_in = Session::new(world.seawall.address(), account(MINE));
    let access_token = log_in.access_token(&["repository:mine/app:pull,push"]);
    let bearer = Caller::bearer(&world.seawall, &access_token);
    let session = half_way(&mine);

    let setup = Setup::new(&world.registry.url());
    world.seawall.edit(&setup.disabled(MINE).document(world.seawall.place()));
    for caller in [&mine, &bearer] {
        for method in ["GET", "PATCH", "DELETE"] {
            caller.send(method, &session, &[], b"x").expect(401);
        }
        assert_eq!(finish(caller, &session), 401);
    }
    expect_no_session(&twin, &session, "while its owner is disabled");

    world.seawall.edit(&Setup::new(&world.registry.url()).document(world.seawall.place()));
    assert_eq!(finish(&bearer, &session), 201, "the same principal, by password and by access token");
}

/// Another registry of the same seawall, with the same upstream and the same names in it.
#[test]
fn a_session_is_of_no_use_in_another_registry() {
    let world = World::start(Distribution::V2);
    let mine = world.caller(MINE);
    let session = half_way(&mine);
    let place = Place::new();
    let document = Setup::new(&world.registry.url()).document(&place);
    let other = place.start(&document);
    expect_no_session(&Caller::of(&other, MINE), &session, "another installation");
}

fn mount(caller: &Caller, target: &str, blob: &str, source: &str) -> Response {
    caller.send("POST", &format!("/v2/{target}/blobs/uploads/?mount={blob}&from={source}"), &[], b"")
}

/// Class F: Pulp #1286, PR #1345; buildkit#2454, rust-oci-client#235.
#[test]
fn a_mount_needs_the_right_to_read_its_source() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let (direct, mine, both) = (world.direct(), world.caller(MINE), world.caller(BOTH));
        let blob = direct.push_blob("secret/app", CONTENT);

        let mounted = mount(&both, "mine/with", &blob, "secret/app").expect(201);
        assert_eq!(mounted.expect_header("Location"), format!("/v2/mine/with/blobs/{blob}"), "{version:?}");
        assert_eq!(mounted.expect_header("Docker-Content-Digest"), blob, "{version:?}");
        assert_eq!(mine.has_blob("mine/with", &blob), 200, "{version:?}");

        let begun = mount(&mine, "mine/without", &blob, "secret/app").expect(202);
        assert_eq!(mine.has_blob("mine/without", &blob), 404, "{version:?}");
        // What is begun instead is a session as any other.
        assert_eq!(finish_whole(&mine, begun.expect_header("Location")), 201, "{version:?}");
        assert_eq!(mine.has_blob("mine/without", &blob), 200, "{version:?}");

        // Pushing is not reading: not even from the repository itself.
        mount(&world.caller(WRITER), "mine/again", &blob, "mine/with").expect(202);
        assert_eq!(mine.has_blob("mine/again", &blob), 404, "{version:?}");
        // Without the right to write there is nothing to begin.
        mount(&world.caller(READER), "mine/again", &blob, "mine/with").expect(401);
        mount(&world.caller(SECRET), "mine/again", &blob, "secret/app").expect(401);
    }
}

fn finish_whole(caller: &Caller, session: &str) -> u16 {
    let last = with_query(session, &format!("digest={}", digest(CONTENT)));
    caller.send("PUT", &last, &[("Content-Type", "application/octet-stream")], CONTENT).status
}

/// Class E and F: an access token carries the rights it was issued for, not all that its owner has.
#[test]
fn an_access_token_for_one_of_two_repositories_mounts_nothing() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let blob = world.direct().push_blob("secret/app", CONTENT);
        let log_in = Session::new(world.seawall.address(), account(BOTH));
        let (target, source) = ("repository:mine/app:pull,push", "repository:secret/app:pull");
        let bearer = |scopes: &[&str]| Caller::bearer(&world.seawall, &log_in.access_token(scopes));

        mount(&bearer(&[target]), "mine/app", &blob, "secret/app").expect(202);
        assert_eq!(world.direct().has_blob("mine/app", &blob), 404, "{version:?}");
        mount(&bearer(&[source]), "mine/app", &blob, "secret/app").expect(401);
        mount(&bearer(&[target, source]), "mine/app", &blob, "secret/app").expect(201);
        assert_eq!(world.direct().has_blob("mine/app", &blob), 200, "{version:?}");
    }
}

/// Class F: the same repository on both sides, no source, a source without the blob.
#[test]
fn odd_mounts_are_answered_as_the_registry_answers_them() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let mine = world.caller(MINE);
        let blob = mine.push_blob("mine/app", CONTENT);
        mount(&mine, "mine/app", &blob, "mine/app").expect(201);
        mount(&mine, "mine/app", &blob, "mine/none").expect(202);
        mount(&mine, "mine/other", &digest(b"none"), "mine/app").expect(202);
        mine.send("POST", &format!("/v2/mine/other/blobs/uploads/?mount={blob}"), &[], b"").expect(202);
        mine.send("POST", "/v2/mine/other/blobs/uploads/?from=mine/app", &[], b"").expect(202);
        mount(&mine, "mine/other", "sha256:zz", "mine/app").expect(400);
        mount(&mine, "mine/other", &blob, "../secret/app").expect(400);
        assert_eq!(mine.has_blob("mine/other", &blob), 404, "{version:?}");
    }
}
