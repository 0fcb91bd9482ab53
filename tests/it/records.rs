//! The audit log: one record for every request, with all that is known of it and no secret (requirements
//! B.12, threat class P).

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use crate::harness::http::{self, Response};
use crate::harness::image::digest;
use crate::harness::nearby::{PASSWORD, registry, worker};
use crate::harness::operator::run;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, Session};
use crate::harness::sources::{ask, connect, record_of};
use crate::harness::{ports, wait_until};

pub(crate) const HOST: &str = "registry.test";
const ADMIN_PASSWORD: &str = "the-admin-password-of-a-record-test";

pub(crate) fn url(upstream: &Registry) -> String {
    format!("url: \"{}\"", upstream.url())
}

/// `registry.test` in front of a real registry, and `dead.test` in front of nothing.
pub(crate) fn start(upstream: &Registry, process: &str) -> Seawall {
    let place = Place::new();
    let admin = place.secret("admin", ADMIN_PASSWORD);
    let rules = "networkRuleSet: { ipRules: [ { value: 127.0.0.9, action: Deny, name: outcast } ] }";
    let admin = format!("admin: {{ passwords: [ {{ name: password2, file: \"{}\" }} ] }}", admin.display());
    let alive = registry(&place, "myregistry", HOST, &url(upstream), &[rules, "adminUserEnabled: true", &admin]);
    let nowhere = format!("url: \"http://{}\"", ports::free());
    let dead = registry(&place, "deadregistry", "dead.test", &nowhere, &[]);
    // A slow hash, so that its verification is worth a cache; a published test vector, whose password is `U*U`.
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let hashed =
        format!("      hashed: {{ scopeMap: everything, passwords: [ {{ name: password1, hash: {hash} }} ] }}\n");
    let document = place.document(&format!("{process}\nregistries:\n{dead}{alive}{hashed}"));
    place.start(&document)
}

/// A request as the worker, with a user agent.
pub(crate) fn send(seawall: &Seawall, method: &str, target: &str, body: &[u8]) -> Response {
    let headers = [("Host", HOST), ("Authorization", &worker().basic()), ("User-Agent", "tester/1.0")];
    ask("127.0.0.1", seawall.address(), method, target, &headers, body).unwrap()
}

/// A request without any credential but these headers.
pub(crate) fn plain(seawall: &Seawall, source: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    ask(source, seawall.address(), method, target, headers, b"").unwrap()
}

/// Pushes a blob in two requests.
pub(crate) fn push(seawall: &Seawall, bytes: &[u8]) -> [Response; 2] {
    let started = send(seawall, "POST", "/v2/team/app/blobs/uploads/", b"").expect(202);
    let location = started.expect_header("Location");
    let target = format!("{location}{}digest={}", if location.contains('?') { '&' } else { '?' }, digest(bytes));
    let finished = send(seawall, "PUT", &target, bytes).expect(201);
    [started, finished]
}

/// The fields of a record that are named in `expected` have these values; `null` means that they are not there.
#[track_caller]
fn assert_record(record: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(record.get(field).unwrap_or(&Value::Null), value, "{field} of {record}");
    }
}

#[test]
fn every_request_has_one_record_with_all_that_is_known_of_it() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "");
    let bytes = b"a blob of thirty-one characters";
    let [started, finished] = push(&seawall, bytes);
    let blob = format!("/v2/team/app/blobs/{}", digest(bytes));
    let worker_is = json!({"kind": "token", "name": "worker"});
    let known = json!({
        "registry": "myregistry", "listener": "public", "sourceAddress": "127.0.0.1", "principal": worker_is,
        "credential": "password1", "repository": "team/app", "decision": "permit", "reason": "permitted",
        "policyVersion": 1, "userAgent": "tester/1.0",
    });
    let cases = [
        (started, json!({"method": "POST", "operation": "upload", "status": 202, "requestBytes": 0})),
        (
            finished,
            json!({"method": "PUT", "operation": "upload", "status": 201, "requestBytes": 31, "reference": digest(bytes)}),
        ),
        (
            send(&seawall, "GET", &blob, b""),
            json!({"method": "GET", "operation": "blob_read", "status": 200, "responseBytes": 31, "reference": digest(bytes)}),
        ),
        (
            send(&seawall, "HEAD", &blob, b""),
            json!({"method": "HEAD", "operation": "blob_read", "status": 200, "responseBytes": 0, "servedFrom": "memory"}),
        ),
        (
            send(&seawall, "GET", "/v2/team/app/manifests/v1", b""),
            json!({"operation": "manifest_read", "status": 404, "reference": "v1"}),
        ),
        (send(&seawall, "GET", "/v2/team/app/tags/list", b""), json!({"operation": "tags", "reference": null})),
    ];
    for (answer, expected) in &cases {
        let record = record_of(&seawall, answer);
        assert_record(&record, &known);
        assert_record(&record, expected);
        assert_eq!(record["status"], answer.status);
        assert!(record["durationMs"].as_f64().unwrap() > 0.0, "{record}");
        // Lists of tags are seawall's own, and the blob was kept when it was read.
        let is_passed_on = record["operation"] != "tags" && record["servedFrom"].is_null();
        assert_eq!(record["upstreamMs"].as_f64().is_some_and(|took| took > 0.0), is_passed_on, "{record}");
        assert!(record["durationMs"].as_f64() >= record["upstreamMs"].as_f64(), "{record}");
        assert!(record["peerAddress"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
        let time = record["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z') && time.contains('T'), "{time}");
        // The deciding rule with its place: the scope map of the token, in our file.
        let rule = record["rule"].as_str().unwrap();
        assert!(rule.contains("everything") && rule.contains("seawall.yaml:"), "{rule}");
    }
    assert_records(&seawall, cases.len());
}

#[test]
fn what_was_refused_or_answered_by_seawall_itself_has_its_record_too() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "");
    let blob = format!("/v2/team/app/blobs/{}", digest(b"nothing"));
    let worker_is = json!({"kind": "token", "name": "worker"});
    let host = [("Host", HOST)];
    let wrong = Account::new("worker", "wrong").basic();
    let admin = Account::new("myregistry", ADMIN_PASSWORD).basic();
    let token = format!("/oauth2/token?service={HOST}&scope=repository:team/app:pull");
    let nobody = json!({"principal": null, "credential": null});
    let ours = [
        (
            plain(&seawall, "127.0.0.1", "GET", "/v2/", &host),
            json!({"operation": "base", "status": 401, "decision": "deny", "upstreamMs": null}),
        ),
        (
            plain(&seawall, "127.0.0.1", "GET", &blob, &host),
            json!({"operation": "blob_read", "status": 401, "decision": "deny", "repository": "team/app"}),
        ),
        (
            plain(&seawall, "127.0.0.9", "GET", &blob, &host),
            json!({"operation": "other", "status": 403, "reason": "network_refused", "repository": null}),
        ),
        (
            plain(&seawall, "127.0.0.1", "GET", "/nowhere", &host),
            json!({"operation": "other", "status": 404, "decision": "deny"}),
        ),
        (
            plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", "x.test")]),
            json!({"registry": null, "status": 421, "reason": "unknown_host"}),
        ),
        (
            plain(&seawall, "127.0.0.1", "GET", "/.well-known/jwks.json", &host),
            json!({"operation": "keys", "status": 200, "decision": "permit"}),
        ),
    ];
    let mut answers = 0;
    for (answer, expected) in &ours {
        let record = record_of(&seawall, answer);
        assert_record(&record, expected);
        assert_record(&record, &nobody);
        assert_eq!(record["responseBytes"], answer.body.len(), "{record}");
        answers += 1;
    }
    let named = [
        (
            "GET",
            "/v2/",
            &wrong,
            json!({"status": 401, "decision": "deny", "credential": null, "principal": {"kind": "claimed", "name": "worker"}}),
        ),
        (
            "GET",
            "/v2/_catalog",
            &admin,
            json!({"status": 200, "operation": "catalog", "credential": "password2", "principal": {"kind": "admin", "name": "myregistry"}}),
        ),
        (
            "GET",
            &token,
            &worker().basic(),
            json!({"status": 200, "operation": "token", "decision": "permit", "principal": worker_is, "credential": "password1"}),
        ),
        ("GET", &token, &wrong, json!({"status": 401, "operation": "token", "decision": "deny"})),
    ];
    for (method, target, authorization, expected) in named {
        let answer = plain(&seawall, "127.0.0.1", method, target, &[("Host", HOST), ("Authorization", authorization)]);
        assert_record(&record_of(&seawall, &answer), &expected);
        answers += 1;
    }
    let dead = [("Host", "dead.test"), ("Authorization", &*worker().basic())];
    let record = record_of(&seawall, &plain(&seawall, "127.0.0.1", "GET", &blob, &dead));
    assert_record(
        &record,
        &json!({"status": 502, "decision": "error", "reason": "upstream_unreachable", "registry": "deadregistry", "principal": worker_is}),
    );
    answers += 1;
    assert_records(&seawall, answers);
}

/// So many records there are, each with an id of its own.
#[track_caller]
fn assert_records(seawall: &Seawall, answers: usize) {
    wait_until("every record is written", || seawall.audit().len() >= answers);
    let ids: BTreeSet<String> = seawall.audit().iter().map(|record| record["requestId"].to_string()).collect();
    assert_eq!((ids.len(), seawall.audit().len()), (answers, answers), "one record for each request");
}

/// Clients that leave: in the middle of an upload, of a download, and of a form.
#[test]
fn a_client_that_leaves_has_its_record() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "");
    let large = vec![b'x'; 32 * 1024 * 1024];
    push(&seawall, &large);
    let started = send(&seawall, "POST", "/v2/team/app/blobs/uploads/", b"").expect(202);
    let location = started.expect_header("Location").to_owned();
    wait_until("the push is written", || seawall.audit().len() == 3);

    let open = |method: &str, target: &str, more: &str| {
        let mut stream: TcpStream = connect("127.0.0.1", seawall.address());
        let authorization = worker().basic();
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let mut upload = open("PATCH", &location, "Content-Length: 1000\r\n");
    upload.write_all(&[b'y'; 400]).unwrap();
    upload.shutdown(Shutdown::Both).unwrap();
    wait_until("the upload is written", || seawall.audit().len() == 4);
    let record = seawall.audit().pop().unwrap();
    assert_record(
        &record,
        &json!({"method": "PATCH", "reason": "client_left", "repository": "team/app", "principal": {"kind": "token", "name": "worker"}}),
    );
    assert!(record["requestBytes"].as_u64().unwrap() <= 400, "{record}");

    let mut download = open("GET", &format!("/v2/team/app/blobs/{}", digest(&large)), "");
    download.read_exact(&mut [0; 1000]).unwrap();
    drop(download);
    wait_until("the download is written", || seawall.audit().len() == 5);
    let record = seawall.audit().pop().unwrap();
    assert_record(&record, &json!({"method": "GET", "status": 200, "reason": "client_left"}));
    assert!(record["responseBytes"].as_u64().unwrap() < large.len() as u64, "{record}");

    let mut form =
        open("POST", "/oauth2/token", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n");
    form.write_all(b"grant_type=password&").unwrap();
    form.shutdown(Shutdown::Both).unwrap();
    wait_until("the form is written", || seawall.audit().len() == 6);
    assert_record(&seawall.audit().pop().unwrap(), &json!({"operation": "token", "method": "POST"}));
}

/// Threat class P (Zot CVE-2025-48374, Harbor GHSA-prh4-vhfh-24mj): whatever happens, at whatever level.
#[test]
fn no_secret_is_ever_in_the_audit_log_or_in_the_process_log() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream, "log: { level: trace }");
    let session = Session::new(seawall.address(), worker());
    let admin = Account::new("myregistry", ADMIN_PASSWORD);
    let mistaken = Account::new("worker", "a-password-with-a-slip-of-the-finger");
    let malformed = "Basic not-base64-but-secret-all-the-same";
    let other_scheme = "Digest username=worker,response=a-secret-response";
    let garbled = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3b3JrZXIifQ.a-signature-that-is-none";
    let mut secrets: Vec<String> = vec![PASSWORD.into(), ADMIN_PASSWORD.into(), mistaken.password.clone()];
    secrets.extend([malformed, other_scheme, garbled].map(|value| value.split_once(' ').unwrap().1.to_owned()));
    for account in [worker(), admin.clone(), mistaken.clone()] {
        secrets.push(account.basic().trim_start_matches("Basic ").to_owned());
    }
    let target = format!("/oauth2/token?service={HOST}&scope=repository:team/app:pull,push");
    let headers = [("Host", HOST), ("Authorization", &*worker().basic())];
    let token = plain(&seawall, "127.0.0.1", "GET", &target, &headers).expect(200).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    secrets.push(token.clone());
    secrets.push(token.rsplit('.').next().unwrap().to_owned());
    for authorization in [
        &worker().basic(),
        &admin.basic(),
        &mistaken.basic(),
        malformed,
        other_scheme,
        garbled,
        &format!("Bearer {token}"),
        &format!("Bearer {token}x"),
    ] {
        for (source, host, target) in [
            ("127.0.0.1", HOST, "/v2/"),
            ("127.0.0.1", HOST, "/v2/team/app/manifests/v1"),
            ("127.0.0.1", HOST, &target),
            ("127.0.0.9", HOST, "/v2/"),
            ("127.0.0.1", "dead.test", "/v2/"),
            ("127.0.0.1", "unknown.test", "/v2/"),
            ("127.0.0.1", HOST, "/v2/%zz"),
        ] {
            plain(&seawall, source, "GET", target, &[("Host", host), ("Authorization", authorization)]);
        }
    }
    // In a form, in a query, in a header of no meaning, and in what is not HTTP.
    let form = format!("grant_type=password&service={HOST}&username=worker&password={PASSWORD}&scope=");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    for form in
        [&form, &form.replace("&scope=", "&scope=repository:team/app:pull"), &form.replace("password&", "passwords&")]
    {
        ask("127.0.0.1", seawall.address(), "POST", "/oauth2/token", &[("Host", HOST), kind], form.as_bytes()).unwrap();
    }
    plain(
        &seawall,
        "127.0.0.1",
        "GET",
        &format!("/v2/?password={PASSWORD}"),
        &[("Host", HOST), ("X-Password", PASSWORD)],
    );
    plain(&seawall, "127.0.0.1", "GET", &format!("/v2/team/app/tags/list?access_token={token}"), &[("Host", HOST)]);
    let mut broken = http::Connection::open(seawall.address()).unwrap();
    broken.send(format!("GET /v2/ HTTP/1.1\r\nAuthorization {}\r\n\r\n", worker().basic()).as_bytes());
    let _ = broken.answer("GET");
    let [_, finished] = push(&seawall, b"bytes");
    assert_eq!(session.get("/v2/").status, 421, "the session names the address, which is no registry here");
    // A policy that cannot be read, with a secret where none belongs.
    let good = fs::read_to_string(seawall.place().path().join("seawall.yaml")).unwrap();
    let clear_text = "a-clear-text-password-in-the-file";
    secrets.push(clear_text.to_owned());
    let bad = good.replacen("{ name: password1,", &format!("{{ name: password1, value: {clear_text},"), 1);
    assert_ne!(bad, good);
    fs::write(seawall.place().path().join("seawall.yaml"), bad).unwrap();
    wait_until("the mistake is told", || seawall.process().log().contains("not reloaded"));
    record_of(&seawall, &finished);

    let keys = fs::read_dir(seawall.place().path().join("keys")).unwrap().map(|entry| entry.unwrap().path());
    let keys = keys.filter_map(|path| fs::read_to_string(path).ok()).filter(|text| !text.contains("CERTIFICATE"));
    secrets.extend(
        keys.flat_map(|text| text.lines().filter(|line| line.len() > 30).map(str::to_owned).collect::<Vec<_>>()),
    );
    assert!(secrets.len() > 12, "{}", secrets.len());
    let audit = fs::read_to_string(seawall.place().path().join("audit.jsonl")).unwrap();
    let log = seawall.process().log();
    assert!(audit.lines().count() > 60 && log.contains("DEBUG"), "too little was said to show anything");
    for secret in &secrets {
        for (name, text) in [("audit log", &audit), ("process log", &log)] {
            let found = text.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(found, None, "{secret} is in the {name}");
        }
    }
    assert!(!log.to_ascii_lowercase().contains("authorization:"), "{log}");
}

/// The id that a client is shown finds the record, and by it the reason; a challenge has none.
#[test]
fn a_denial_is_found_by_the_id_that_its_answer_carries() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "");
    let challenge = plain(&seawall, "127.0.0.1", "GET", "/v2/", &[("Host", HOST)]).expect(401);
    assert_eq!(challenge.header("X-Seawall-Denial"), None);
    let refused = plain(&seawall, "127.0.0.9", "GET", "/v2/", &[("Host", HOST)]).expect(403);
    let id = refused.expect_header("X-Seawall-Denial").to_owned();
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["errors"][0]["detail"], json!({ "denial": id }));
    let record = record_of(&seawall, &refused);
    assert_record(&record, &json!({ "denialId": id, "decision": "deny", "reason": "network_refused" }));
    // Whoever is told the id asks the server, or the audit log where no server is asked.
    let (audit, file) = (seawall.place().path().join("audit.jsonl"), seawall.place().path().join("seawall.yaml"));
    let (audit, file) = (audit.display().to_string(), file.display().to_string());
    let of_server = run(&seawall, &["explain", "--denial", &id]);
    let of_log = run(&seawall, &["explain", "--denial", &id, "--audit", &audit, "--config", &file]);
    for said in [&of_server, &of_log] {
        assert_eq!(said.code, Some(1), "denied still: {said}");
        let told = said.json();
        assert_eq!(
            (&told["record"]["denialId"], &told["record"]["registry"]),
            (&json!(id), &record["registry"]),
            "{said}"
        );
        assert_eq!(told["explanation"]["code"], "network_refused", "{said}");
    }
    run(&seawall, &["explain", "--denial", "0123456789ab"]).refused("0123456789ab");
}
