//! Upstreams that redirect to their storage: a real registry before a real nginx, and some that lead elsewhere.

use std::io::Write;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::harness::caller::{Caller, digest};
use crate::harness::client::Client;
use crate::harness::containers::Skopeo;
use crate::harness::daemons::Docker;
use crate::harness::fake::{Fake, Then, answer};
use crate::harness::http::Response;
use crate::harness::image::Layout;
use crate::harness::nearby::{registry, worker};
use crate::harness::ports;
use crate::harness::proxies::Proxy;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::sources::{ask, record_of};

/// A seawall before the upstream at `url`, with this inside of `redirects`.
fn start(url: &str, redirects: &str) -> Seawall {
    let place = Place::new();
    let upstream = format!("url: \"{url}\", redirects: {{ {redirects} }}");
    let text = registry(&place, "myregistry", &place.login_server(), &upstream, &[]);
    let document = place.document(&format!("registries:\n{text}"));
    place.start(&document)
}

fn caller(seawall: &Seawall) -> Caller {
    Caller { address: seawall.address(), authorization: Some(worker().basic()) }
}

/// A GET or HEAD of a blob of this repository from `source`.
fn fetch(seawall: &Seawall, source: &str, method: &str, digest: &str, more: &[(&str, &str)]) -> Response {
    let (host, basic) = (seawall.place().login_server(), worker().basic());
    let headers = [&[("Host", host.as_str()), ("Authorization", basic.as_str())], more].concat();
    ask(source, seawall.address(), method, &format!("/v2/team/app/blobs/{digest}"), &headers, b"").unwrap()
}

fn record(seawall: &Seawall, answer: &Response) -> Value {
    record_of(seawall, answer)
}

/// Distribution with its redirect middleware, and nginx with its files.
struct Storage {
    registry: Registry,
    nginx: Proxy,
    _files: tempfile::TempDir,
}

impl Storage {
    fn start(distribution: Distribution) -> Self {
        let files = tempfile::tempdir().unwrap();
        let nginx = Proxy::nginx_files(files.path());
        let middleware = format!(
            "middleware: {{storage: [{{name: redirect, options: {{baseurl: \"http://{}/\"}}}}]}}",
            nginx.address
        );
        let registry = Registry::guarded(distribution, ports::free(), &middleware);
        symlink(registry.storage().join("docker"), files.path().join("docker")).unwrap();
        Self { registry, nginx, _files: files }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.nginx.address)
    }
}

#[test]
fn without_a_policy_a_redirect_is_refused() {
    let storage = Storage::start(Distribution::V2);
    let seawall = start(&storage.registry.url(), "mode: refuse");
    let blob = caller(&seawall).push_blob("team/app", b"0123456789");
    let refused = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]);
    assert_eq!((refused.status, refused.header("Location")), (502, None));
    let record = record(&seawall, &refused);
    assert_eq!(record["reason"], "upstream_redirected");
    assert!(record["rule"].as_str().unwrap().contains("upstream.redirects"), "{record}");
}

#[test]
fn a_redirect_to_a_listed_storage_is_followed_inside() {
    for distribution in Distribution::at_hand() {
        let storage = Storage::start(distribution);
        let seawall = start(&storage.registry.url(), &format!("mode: follow, origins: [\"{}\"]", storage.origin()));
        let blob = caller(&seawall).push_blob("team/app", b"0123456789");
        let whole = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]).expect(200);
        assert_eq!(whole.body, b"0123456789");
        assert_eq!((whole.expect_header("Docker-Content-Digest"), whole.header("Server")), (blob.as_str(), None));
        let head = fetch(&seawall, "127.0.0.1", "HEAD", &blob, &[]).expect(200);
        assert_eq!((head.expect_header("Content-Length"), head.expect_header("Docker-Content-Digest")), ("10", &*blob));
        let rest = fetch(&seawall, "127.0.0.1", "GET", &blob, &[("Range", "bytes=4-")]).expect(206);
        assert_eq!((rest.body.as_slice(), rest.expect_header("Content-Range")), (&b"456789"[..], "bytes 4-9/10"));
        let tag = whole.expect_header("ETag");
        fetch(&seawall, "127.0.0.1", "GET", &blob, &[("Range", "bytes=4-"), ("If-Range", tag)]).expect(206);
        let beyond = fetch(&seawall, "127.0.0.1", "GET", &blob, &[("Range", "bytes=40-")]).expect(416);
        assert_eq!(beyond.json()["errors"][0]["code"], "RANGE_INVALID");
        fetch(&seawall, "127.0.0.1", "GET", &digest(b"nothing"), &[]).expect(404);
        let record = record(&seawall, &whole);
        assert_eq!((&record["status"], &record["reason"]), (&200.into(), &"permitted".into()));
    }
}

fn pulls<C: Client>(redirects: impl Fn(&Storage) -> String) {
    let storage = Storage::start(Distribution::V2);
    let seawall = start(&storage.registry.url(), &redirects(&storage));
    let mut client = C::new();
    client.log_in(&seawall.place().login_server(), &worker()).expect_success();
    let reference = format!("{}/team/app:v1", seawall.place().login_server());
    let layout = Layout::index("two images");
    let identity = client.load(&layout, &reference);
    client.push(&layout, &reference).expect_success();
    client.forget(&reference);
    client.pull(&reference).expect_success();
    assert_eq!(client.identity(&reference), Some(identity));
}

#[test]
fn skopeo_pulls_what_is_followed() {
    pulls::<Skopeo>(|storage| format!("mode: follow, origins: [\"{}\"]", storage.origin()));
}

#[test]
fn docker_pulls_what_is_followed() {
    pulls::<Docker>(|storage| format!("mode: follow, origins: [\"{}\"]", storage.origin()));
}

#[test]
fn docker_pulls_what_is_passed_on() {
    pulls::<Docker>(|storage| format!("mode: pass, origins: [\"{}\"]", storage.origin()));
}

/// Those inside the storage's network fetch there themselves; all others get the blob through seawall.
#[test]
fn a_redirect_is_passed_on_to_chosen_networks_only() {
    let storage = Storage::start(Distribution::V2);
    let origin = storage.origin();
    let redirects = format!("mode: pass, networks: [127.0.0.5/32], origins: [\"{origin}\"]");
    let seawall = start(&storage.registry.url(), &redirects);
    let blob = caller(&seawall).push_blob("team/app", b"0123456789");
    for method in ["GET", "HEAD"] {
        let passed = fetch(&seawall, "127.0.0.5", method, &blob, &[]).expect(307);
        let location = passed.expect_header("Location");
        assert!(location.starts_with(&format!("{origin}/docker/registry/v2/blobs/sha256/")), "{location}");
        assert_eq!(passed.expect_header("Cache-Control"), "no-store");
        let record = record(&seawall, &passed);
        assert_eq!((&record["status"], &record["reason"]), (&307.into(), &"permitted".into()), "{record}");
        assert!(!record.to_string().contains("docker/registry"), "{record}");
    }
    assert_eq!(fetch(&seawall, "127.0.0.6", "GET", &blob, &[]).expect(200).body, b"0123456789");
}

/// An upstream that answers every download with this status and these headers.
fn leading(status: &'static str, headers: String) -> Fake {
    Fake::answering(move |_, stream| {
        let _ = stream.write_all(answer(status, &headers, "").as_bytes());
        Then::KeepOpen
    })
}

/// It has done what it should, and is asked again soon.
#[test]
fn a_redirect_leaves_the_registrys_connection_open() {
    let listed = Fake::always(answer("200 OK", "", "from the storage"));
    let location = format!("Location: {}/b\r\n", listed.url());
    let upstream = Fake::always(answer("307 Temporary Redirect", &location, "<a href>Temporary Redirect</a>."));
    let place = Place::new();
    let settings =
        format!("url: \"{}\", redirects: {{ mode: follow, origins: [\"{}\"] }}", upstream.url(), listed.url());
    let text = registry(&place, "myregistry", &place.login_server(), &settings, &[]);
    let document = place.document(&format!("threads: 1\nregistries:\n{text}"));
    let seawall = place.start(&document);
    for _ in 0..5 {
        let blob = fetch(&seawall, "127.0.0.1", "GET", &digest(b"anything"), &[]).expect(200);
        assert_eq!(blob.body, b"from the storage");
    }
    assert!(upstream.of_clients().iter().all(|request| request.connection == 0), "{:?}", upstream.seen());
}

/// Threat class P, CVE-2026-2376: the listed storage is asked nothing, and nobody else either.
#[test]
fn an_upstream_cannot_lead_elsewhere() {
    let listed = Fake::always(answer("200 OK", "", "from the storage"));
    let other = Fake::always(answer("200 OK", "", "from elsewhere"));
    let (url, port) = (listed.url(), listed.address().port());
    let (mode, blob) = (format!("mode: follow, origins: [\"{url}\"]"), digest(b"anything"));
    for location in [
        format!("{}/b", other.url()),
        format!("https://127.0.0.1:{port}/b"),
        format!("http://127.0.0.1:{}/b", other.address().port()),
        format!("http://localhost:{port}/b"),
        format!("http://user:password@127.0.0.1:{port}/b"),
        format!("http://127.0.0.1:{port}@127.0.0.1:{}/b", other.address().port()),
        format!("//127.0.0.1:{port}/b"),
        "/v2/team/app/blobs/elsewhere".to_owned(),
        "b".to_owned(),
        String::new(),
        format!("{url}/b#c"),
        format!("{url}\\@127.0.0.1:{}/b", other.address().port()),
    ] {
        let upstream = leading("307 Temporary Redirect", format!("Location: {location}\r\n"));
        let seawall = start(&upstream.url(), &mode);
        let refused = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]).expect(502);
        let record = record(&seawall, &refused);
        assert_eq!(record["reason"], "upstream_redirected", "{location}: {record}");
        assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
        assert_eq!(upstream.seen().len(), 1, "{location}");
    }
    assert_eq!((listed.seen().len(), other.seen().len()), (0, 0));
}

/// What the storage sees: no credential, no user agent, nothing that is not about the bytes.
#[test]
fn a_storage_learns_nothing_of_the_client() {
    let listed = Fake::always(answer("200 OK", "Set-Cookie: a=b\r\nX-Amz-Request-Id: 1\r\n", "from the storage"));
    let upstream = leading("307 Temporary Redirect", format!("Location: {}/b?sig=%2B\r\n", listed.url()));
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("upstream.secret");
    std::fs::write(&secret, "the-password-of-the-upstream").unwrap();
    let place = Place::new();
    let settings = format!(
        "url: \"{}\", credential: {{ type: basic, username: robot, password: {{ file: \"{}\" }} }}, \
         redirects: {{ mode: follow, origins: [\"{}\"] }}",
        upstream.url(),
        secret.display(),
        listed.url()
    );
    let text = registry(&place, "myregistry", &place.login_server(), &settings, &[]);
    let document = place.document(&format!("registries:\n{text}"));
    let seawall = place.start(&document);
    let more = [
        ("Range", "bytes=1-"),
        ("Accept", "*/*"),
        ("If-Range", "\"a\""),
        ("If-None-Match", "\"b\""),
        ("User-Agent", "a client"),
        ("Cookie", "c"),
        ("X-Forwarded-For", "10.0.0.1"),
    ];
    let got = fetch(&seawall, "127.0.0.1", "GET", &digest(b"anything"), &more).expect(200);
    assert_eq!(
        (got.text().as_str(), got.header("Set-Cookie"), got.header("X-Amz-Request-Id")),
        ("from the storage", None, None)
    );
    assert_eq!(upstream.seen()[0].header("Authorization").map(|value| value.starts_with("Basic ")), Some(true));
    let seen = listed.seen();
    assert_eq!((seen.len(), seen[0].line.as_str()), (1, "GET /b?sig=%2B HTTP/1.1"));
    let mut names: Vec<String> = seen[0].headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(names, ["accept", "host", "if-range", "range"]);
}

/// Hops, loops, other requests, and statuses that say more than a redirect does.
#[test]
fn what_is_not_one_short_redirect_of_a_download_is_refused() {
    let blob = digest(b"anything");
    // A storage that redirects to itself.
    let looping = Fake::answering(|_, stream| {
        let own = format!("Location: http://{}/again\r\n", stream.local_addr().unwrap());
        let _ = stream.write_all(answer("302 Found", &own, "").as_bytes());
        Then::KeepOpen
    });
    let mode = |fake: &Fake| format!("mode: follow, origins: [\"{}\"]", fake.url());
    let upstream = leading("302 Found", format!("Location: {}/b\r\n", looping.url()));
    let seawall = start(&upstream.url(), &mode(&looping));
    let refused = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]).expect(502);
    assert!(record(&seawall, &refused)["rule"].as_str().unwrap().contains("again and again"));
    assert_eq!((upstream.seen().len(), looping.seen().len()), (1, 3));

    let listed = Fake::always(answer("200 OK", "", "from the storage"));
    let location = format!("Location: {}/b\r\n", listed.url());
    for (status, twice, expected) in [
        ("302 Found", false, 200),
        ("303 See Other", false, 200),
        ("307 Temporary Redirect", false, 200),
        ("308 Permanent Redirect", false, 200),
        ("301 Moved Permanently", false, 502),
        ("302 Found", true, 502),
    ] {
        let headers = if twice { format!("{location}{location}") } else { location.clone() };
        let upstream = leading(status, headers);
        let seawall = start(&upstream.url(), &mode(&listed));
        assert_eq!(fetch(&seawall, "127.0.0.1", "GET", &blob, &[]).status, expected, "{status}");
    }
    let before = listed.seen().len();
    let upstream = leading("307 Temporary Redirect", location);
    for policy in [mode(&listed), mode(&listed).replace("follow", "pass")] {
        let seawall = start(&upstream.url(), &policy);
        let client = caller(&seawall);
        for (method, path) in [
            ("GET", "/v2/team/app/manifests/v1"),
            ("HEAD", "/v2/team/app/manifests/v1"),
            ("PUT", "/v2/team/app/manifests/v1"),
            ("GET", "/v2/team/app/tags/list"),
            ("POST", "/v2/team/app/blobs/uploads/"),
            ("GET", "/v2/"),
        ] {
            let refused = client.send(method, path, &[], b"");
            assert_eq!((refused.status, refused.header("Location")), (502, None), "{method} {path}");
        }
        let with_body = client.send("GET", &format!("/v2/team/app/blobs/{blob}"), &[], b"a body");
        assert_eq!(with_body.status, 502);
    }
    assert_eq!(listed.seen().len(), before);
}

/// A URL that has expired, and a storage that is down, are nothing that the client could help by logging in.
#[test]
fn a_storage_that_fails_is_our_failure() {
    let blob = digest(b"anything");
    for (status, expected, reason) in [
        ("403 Forbidden", 502, "upstream_storage"),
        ("401 Unauthorized", 502, "upstream_storage"),
        ("500 Internal Server Error", 502, "upstream_storage"),
        ("404 Not Found", 404, "permitted"),
    ] {
        let listed = Fake::always(answer(status, "WWW-Authenticate: Basic realm=\"s3\"\r\n", "<Error>secret</Error>"));
        let upstream = leading("307 Temporary Redirect", format!("Location: {}/b\r\n", listed.url()));
        let seawall = start(&upstream.url(), &format!("mode: follow, origins: [\"{}\"]", listed.url()));
        let failed = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]);
        assert_eq!((failed.status, failed.header("WWW-Authenticate")), (expected, None), "{status}");
        assert!(!failed.text().contains("secret"));
        assert_eq!(record(&seawall, &failed)["reason"], reason, "{status}");
    }
    let gone = format!("http://{}", ports::free());
    let upstream = leading("307 Temporary Redirect", format!("Location: {gone}/b\r\n"));
    let seawall = start(&upstream.url(), &format!("mode: follow, origins: [\"{gone}\"]"));
    let failed = fetch(&seawall, "127.0.0.1", "GET", &blob, &[]).expect(502);
    assert_eq!(record(&seawall, &failed)["reason"], "upstream_unreachable");
}
