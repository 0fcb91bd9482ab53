//! Nothing of the upstream comes back but what clients may see (threats class P; wire contract R1 to R8).

use crate::harness::caller::{Caller, digest};
use crate::harness::fake::{Fake, Then, answer};
use crate::harness::http::Response;
use crate::harness::registry::Distribution;
use crate::harness::session::parameter;
use crate::harness::wall::{MINE, REGISTRY, SECRET, Setup, World};

/// The headers that any answer may have.
const KNOWN: &[&str] = &[
    "accept-ranges",
    "access-control-expose-headers",
    "age",
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "docker-content-digest",
    "docker-distribution-api-version",
    "docker-upload-uuid",
    "etag",
    "last-modified",
    "link",
    "location",
    "oci-chunk-min-length",
    "oci-subject",
    "range",
    "retry-after",
    "transfer-encoding",
    "www-authenticate",
    "x-content-type-options",
    "x-ms-correlation-request-id",
];

/// Words that only the upstream knows.
const INNER: &str = "inner-host.internal";

/// No header that is not on the list, no word of the upstream, and only relative references.
fn expect_clean(response: &Response, upstream: &str) {
    let all = format!("{:?} {}", response.headers, response.text());
    for word in [upstream, INNER, "goroutine", "Basic realm", "nginx", "stack trace"] {
        assert!(!all.contains(word), "`{word}` in {all}");
    }
    for (name, value) in &response.headers {
        let name = name.to_ascii_lowercase();
        assert!(KNOWN.contains(&name.as_str()), "{name}: {value}");
        match name.as_str() {
            "location" => assert!(value.starts_with("/v2/"), "{value}"),
            "link" => assert!(value.starts_with("</v2/"), "{value}"),
            _ => {}
        }
    }
}

/// An answer of an upstream with all it could want to say.
fn talkative(status: &str, headers: &str, body: &str) -> String {
    let more = format!(
        "Server: nginx/1.2 ({INNER})\r\nX-Powered-By: {INNER}\r\nSet-Cookie: a={INNER}\r\nVia: 1.1 {INNER}\r\n\
         Docker-Distribution-Api-Version: {INNER}\r\nX-Ms-Correlation-Request-Id: {INNER}\r\n\
         Strict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\"{INNER}:443\"\r\nRefresh: 0; url=http://{INNER}/\r\n\
         Content-Location: http://{INNER}/\r\nAccess-Control-Allow-Origin: *\r\n{headers}"
    );
    answer(status, &more, body)
}

/// What the upstream says, and the status and code that a client gets for it.
#[test]
fn no_error_of_the_upstream_reaches_the_client_in_its_own_words() {
    let json = "Content-Type: application/json\r\n";
    let html = "Content-Type: text/html\r\n";
    let challenge = format!("WWW-Authenticate: Basic realm=\"{INNER}\"\r\nWWW-Authenticate: Bearer realm=\"x\"\r\n");
    let trace = format!("panic: goroutine 1 at {INNER}: stack trace");
    let own =
        format!("{{\"errors\":[{{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"{INNER}\",\"detail\":\"{INNER}\"}}]}}");
    let denied = format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{INNER}\"}}]}}");
    let location = format!("Location: http://{INNER}:5000/v2/mine/app/manifests/v1\r\n");
    let cases = [
        ("500 Internal Server Error", html, trace.as_str(), 502, "UNKNOWN"),
        ("502 Bad Gateway", html, trace.as_str(), 502, "UNKNOWN"),
        ("503 Service Unavailable", html, trace.as_str(), 503, "UNAVAILABLE"),
        ("504 Gateway Timeout", html, trace.as_str(), 504, "UNAVAILABLE"),
        ("401 Unauthorized", &challenge, own.as_str(), 502, "UNKNOWN"),
        ("403 Forbidden", json, &denied, 502, "UNKNOWN"),
        ("407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"x\"\r\n", "", 502, "UNKNOWN"),
        ("301 Moved Permanently", &location, "", 502, "UNKNOWN"),
        ("302 Found", &location, html, 502, "UNKNOWN"),
        ("307 Temporary Redirect", "Location: https://evil.example/\r\n", "", 502, "UNKNOWN"),
        ("308 Permanent Redirect", "Location: /v2/secret/app/manifests/v1\r\n", "", 502, "UNKNOWN"),
        ("404 Not Found", html, &trace, 404, "MANIFEST_UNKNOWN"),
        ("404 Not Found", html, "", 404, "MANIFEST_UNKNOWN"),
        ("503 Service Unavailable", "Retry-After: 7\r\n", "", 503, "UNAVAILABLE"),
        ("416 Range Not Satisfiable", html, &trace, 416, "RANGE_INVALID"),
        ("404 Not Found", json, &own, 404, "MANIFEST_UNKNOWN"),
        ("404 Not Found", json, &denied, 404, "MANIFEST_UNKNOWN"),
        ("404 Not Found", "Content-Encoding: gzip\r\nETag: \"x\"\r\n", &own, 404, "MANIFEST_UNKNOWN"),
        ("400 Bad Request", json, &trace, 400, "MANIFEST_INVALID"),
        ("429 Too Many Requests", "Retry-After: 7\r\n", &trace, 429, "TOOMANYREQUESTS"),
        ("418 I'm a teapot", html, &trace, 502, "UNKNOWN"),
        ("299 Strange", html, &trace, 502, "UNKNOWN"),
    ];
    for (status, headers, body, expected, code) in cases {
        let fake = Fake::always(talkative(status, headers, body));
        let seawall = Setup::new(&fake.url()).start();
        let mine = Caller::of(&seawall, MINE);
        let got = mine.get("/v2/mine/app/manifests/v1").expect(expected);
        expect_clean(&got, &fake.address().to_string());
        assert_eq!(got.json()["errors"][0]["code"], code, "{status}");
        for name in ["Content-Encoding", "ETag"] {
            assert_eq!(got.header(name), None, "{status}: it is about the upstream's body");
        }
        assert_eq!(got.header("WWW-Authenticate"), None, "{status}: the upstream's challenge is about us");
        let head = mine.send("HEAD", "/v2/mine/app/manifests/v1", &[], b"").expect(expected);
        expect_clean(&head, &fake.address().to_string());
        assert_eq!(fake.seen().len(), 2, "{status}: nothing is followed or tried again");
    }
}

/// What is no answer at all.
#[test]
fn an_answer_that_is_no_http_is_a_failure_of_the_upstream() {
    let many: String = (0..400).map(|number| format!("X-{number}: {INNER}\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Long: {}\r\n", INNER.repeat(100_000));
    for broken in [
        format!("{INNER}\r\n\r\n"),
        format!("<html>{INNER}</html>"),
        format!("HTTP/1.1 200 OK\r\nX-A: {INNER}\r\n"),
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\n{long}\r\n"),
        String::new(),
    ] {
        let answer = broken.clone();
        let fake = Fake::answering(move |_, stream| {
            let _ = std::io::Write::write_all(stream, answer.as_bytes());
            Then::Close
        });
        let seawall = Setup::new(&fake.url()).timeouts("read: 2s").start();
        let what = broken.chars().take(60).collect::<String>();
        let got = Caller::of(&seawall, MINE).get("/v2/mine/app/manifests/v1");
        assert_eq!(got.status, 502, "{what}: {got:?}");
        expect_clean(&got, &fake.address().to_string());
    }
}

/// Class U, the other way: an answer with more behind it than it says must not become the next client's.
#[test]
fn what_stands_behind_an_answer_is_nobodys_answer() {
    let evil = answer("200 OK", "Content-Type: text/evil\r\n", "evil");
    for first in [
        answer("200 OK", "", "{}"),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned(),
    ] {
        let (split, good) = (format!("{first}{evil}"), answer("200 OK", "", "good"));
        let fake = Fake::answering(move |request, stream| {
            let bytes = if request.line.contains("first") { &split } else { &good };
            let _ = std::io::Write::write_all(stream, bytes.as_bytes());
            Then::KeepOpen
        });
        let seawall = Setup::new(&fake.url()).one_thread().start();
        let mine = Caller::of(&seawall, MINE);
        for _ in 0..3 {
            let head = mine.head("GET", "/v2/mine/first/manifests/v1", "");
            let exchange = crate::harness::raw::exchange(mine.address, head.as_bytes());
            assert!(!exchange.text.contains("evil"), "{first}: {exchange:?}");
            let next = mine.get("/v2/mine/next/manifests/v1").expect(200);
            assert_eq!(next.text(), "good", "{first}");
        }
    }
}

/// A client of HTTP/1.0 knows no chunks.
#[test]
fn an_answer_to_a_client_of_http_1_0_is_not_chunked() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{}]}\r\n0\r\n\r\n";
    for (answer, status) in [(talkative("404 Not Found", "", "no"), 404), (chunked.to_owned(), 200)] {
        let fake = Fake::always(answer);
        let seawall = Setup::new(&fake.url()).start();
        let mine = Caller::of(&seawall, MINE);
        for keep in ["", "Connection: keep-alive\r\n"] {
            let head = mine.head("GET", "/v2/mine/app/manifests/v1", keep).replace("HTTP/1.1", "HTTP/1.0");
            let exchange = crate::harness::raw::exchange(mine.address, head.as_bytes());
            assert_eq!(exchange.statuses(), [status], "{exchange:?}");
            assert!(!exchange.text.to_ascii_lowercase().contains("chunked"), "{exchange:?}");
            assert!(exchange.text.ends_with("}]}") && exchange.closed, "{exchange:?}");
        }
    }
}

/// R7: the Location of an upload is relative, whatever the upstream wrote, and it is of this repository or not passed on.
#[test]
fn a_location_is_relative_and_of_the_repository_that_was_asked_for() {
    let session = "/v2/mine/app/blobs/uploads/s-1?_state=a%2Bb";
    for (location, expected) in [
        (session.to_owned(), 202),
        (format!("http://{INNER}:5000{session}"), 202),
        (format!("https://{INNER}{session}"), 202),
        (format!("//{INNER}{session}"), 502),
        ("/v2/secret/app/blobs/uploads/s-1".to_owned(), 502),
        ("/v2/mine/app/blobs/uploads/../../../secret/app/blobs/uploads/s-1".to_owned(), 502),
        ("/elsewhere".to_owned(), 502),
        (format!("javascript://{INNER}"), 502),
    ] {
        let fake = Fake::always(talkative("202 Accepted", &format!("Location: {location}\r\n"), ""));
        let seawall = Setup::new(&fake.url()).start();
        let begun = Caller::of(&seawall, MINE).send("POST", "/v2/mine/app/blobs/uploads/", &[], b"");
        assert_eq!(begun.status, expected, "{location}");
        expect_clean(&begun, &fake.address().to_string());
        assert_eq!(begun.header("Location").is_some(), expected == 202, "{location}");
    }
    let fake = Fake::always(talkative("202 Accepted", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    Caller::of(&seawall, MINE).send("POST", "/v2/mine/app/blobs/uploads/", &[], b"").expect(502);
}

/// R8: the link to the next page is ours, with the upstream's cursor.
#[test]
fn no_link_of_the_registry_behind_is_passed_on() {
    for link in [
        "</v2/mine/app/tags/list?last=b&n=2>; rel=\"next\"".to_owned(),
        format!("<http://{INNER}:5000/v2/mine/app/tags/list?n=2&last=b&x={INNER}>; rel=\"next\"; title={INNER}"),
        "</v2/secret/app/tags/list?last=b&n=2>; rel=\"next\"".to_owned(),
    ] {
        let body = r#"{"name":"mine/app","tags":["a","b"]}"#;
        let fake = Fake::always(talkative("200 OK", &format!("Link: {link}\r\n"), body));
        let seawall = Setup::new(&fake.url()).start();
        // Its links lead in a circle.
        let page = Caller::of(&seawall, MINE).get("/v2/mine/app/tags/list?n=2").expect(502);
        expect_clean(&page, &fake.address().to_string());
        assert_eq!(page.header("Link"), None, "{link}");
    }
}

/// An interim answer has a status and nothing else.
#[test]
fn an_interim_answer_leaks_nothing() {
    let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: <http://{INNER}/>\r\nServer: {INNER}\r\n\r\n");
    let last = talkative("200 OK", "Content-Type: application/json\r\n", "{}");
    let fake = Fake::always(format!("{hints}{last}"));
    let seawall = Setup::new(&fake.url()).start();
    let mine = Caller::of(&seawall, MINE);
    let head = mine.head("GET", "/v2/mine/app/manifests/v1", "");
    let exchange = crate::harness::raw::exchange(mine.address, head.as_bytes());
    assert_eq!(exchange.statuses().last(), Some(&200), "{exchange:?}");
    assert!(!exchange.text.contains(INNER), "{exchange:?}");

    let switching = format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: {INNER}\r\nConnection: Upgrade\r\n\r\n");
    let fake = Fake::always(switching);
    let seawall = Setup::new(&fake.url()).start();
    let refused = Caller::of(&seawall, MINE).get("/v2/mine/app/manifests/v1").expect(502);
    expect_clean(&refused, &fake.address().to_string());
}

/// The same with the real thing: a whole push, a pull, a listing and errors.
#[test]
fn nothing_of_a_real_registry_leaks() {
    for version in Distribution::at_hand() {
        let world = World::start(version);
        let upstream = world.registry.address().to_string();
        let (mine, admin) = (world.caller(MINE), world.caller(REGISTRY));
        for tag in ["v1", "v2", "v3"] {
            admin.push_image("mine/app", tag, tag);
        }
        let blob = admin.push_blob("mine/app", b"content");
        let begun = mine.send("POST", "/v2/mine/app/blobs/uploads/", &[], b"").expect(202);
        let session = begun.expect_header("Location").to_owned();
        expect_clean(&begun, &upstream);
        for (method, path, status) in [
            ("GET", "/v2/", 200),
            ("GET", "/v2/mine/app/tags/list?n=1", 200),
            ("GET", "/v2/mine/app/manifests/none", 404),
            ("GET", "/v2/mine/none/tags/list", 404),
            ("HEAD", "/v2/mine/app/manifests/v1", 404),
            ("GET", &session, 204),
            ("PATCH", &session, 202),
            ("GET", &format!("/v2/mine/app/blobs/{blob}"), 200),
            ("HEAD", &format!("/v2/mine/app/blobs/{blob}"), 200),
            ("GET", &format!("/v2/mine/app/blobs/{}", digest(b"none")), 404),
            ("PUT", "/v2/mine/app/manifests/bad", 400),
            ("DELETE", &format!("/v2/mine/app/blobs/{blob}"), 202),
            ("DELETE", "/v2/mine/app/manifests/v1", 202),
        ] {
            let got = mine.send(method, path, &[], b"");
            expect_clean(&got, &upstream);
            // 2.8 converts what is not asked for by its type.
            assert!(method == "HEAD" || got.status == status, "{version:?} {method} {path}: {got:?}");
        }
        admin.push_blob("mine/zzz", b"content");
        admin.push_image("mine/zzz", "v1", "another");
        let page = admin.get("/v2/_catalog?n=1").expect(200);
        expect_clean(&page, &upstream);
        let next = "</v2/_catalog?last=mine/app&n=1&orderby=>; rel=\"next\"";
        assert_eq!(page.expect_header("Link"), next, "{version:?}");
        let tags = mine.get("/v2/mine/app/tags/list?n=1").expect(200);
        let next = "</v2/mine/app/tags/list?last=v2&n=1&orderby=>; rel=\"next\"";
        assert_eq!(tags.expect_header("Link"), next, "{version:?}");
    }
}

/// R1 to R4: one challenge, in one line, in the form that every client can read, on each kind of request.
#[test]
fn every_401_has_one_challenge_that_names_what_was_asked_for() {
    let fake = Fake::always(answer("200 OK", "", ""));
    let seawall = Setup::new(&fake.url()).start();
    let server = seawall.place().login_server();
    let blob = digest(b"x");
    let start = format!("Bearer realm=\"http://{server}/oauth2/token\",service=\"{server}\"");
    let mount = format!("/v2/mine/app/blobs/uploads/?mount={blob}&from=secret/app");
    let (pull, push, delete) = ("pull", "pull,push", "delete");
    for (method, path, scope) in [
        ("GET", "/v2/".to_owned(), String::new()),
        ("HEAD", "/v2/".to_owned(), String::new()),
        ("GET", "/v2/_catalog".to_owned(), "registry:catalog:*".to_owned()),
        ("GET", "/v2/mine/app/manifests/v1".to_owned(), format!("repository:mine/app:{pull}")),
        ("HEAD", "/v2/mine/app/manifests/v1".to_owned(), format!("repository:mine/app:{pull}")),
        ("PUT", "/v2/mine/app/manifests/v1".to_owned(), format!("repository:mine/app:{push}")),
        ("DELETE", "/v2/mine/app/manifests/v1".to_owned(), format!("repository:mine/app:{delete}")),
        ("GET", format!("/v2/mine/app/blobs/{blob}"), format!("repository:mine/app:{pull}")),
        ("DELETE", format!("/v2/mine/app/blobs/{blob}"), format!("repository:mine/app:{delete}")),
        ("POST", "/v2/mine/app/blobs/uploads/".to_owned(), format!("repository:mine/app:{push}")),
        ("PATCH", "/v2/mine/app/blobs/uploads/s".to_owned(), format!("repository:mine/app:{push}")),
        ("PUT", format!("/v2/mine/app/blobs/uploads/s?digest={blob}"), format!("repository:mine/app:{push}")),
        ("POST", mount, format!("repository:mine/app:{push} repository:secret/app:{pull}")),
        ("GET", format!("/v2/mine/app/referrers/{blob}"), format!("repository:mine/app:{pull}")),
        ("GET", "/v2/mine/app/tags/list".to_owned(), "repository:mine/app:metadata_read".to_owned()),
    ] {
        let expected = if scope.is_empty() { start.clone() } else { format!("{start},scope=\"{scope}\"") };
        // Without a credential, and with a body already on its way (R5).
        for body in [&b""[..], b"{}"] {
            let refused = Caller::anonymous(seawall.address()).send(method, &path, &[], body).expect(401);
            let lines = refused.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
            let lines: Vec<&str> = lines.map(|(_, value)| value.as_str()).collect();
            assert_eq!(lines, [expected.as_str()], "{method} {path}");
        }
        // With a Bearer that is worth nothing: the same, and why.
        let bearer = Caller::bearer(&seawall, "a.b.c").send(method, &path, &[], b"").expect(401);
        let challenge = bearer.expect_header("WWW-Authenticate");
        assert_eq!(challenge, format!("{expected},error=\"invalid_token\""), "{method} {path}");
        // With the password of somebody who may not: the client shall ask for more.
        if scope.contains("mine/app") {
            let other = Caller::of(&seawall, SECRET).send(method, &path, &[], b"").expect(401);
            let challenge = other.expect_header("WWW-Authenticate").to_owned();
            assert_eq!(parameter(&challenge, "error"), "insufficient_scope", "{method} {path}");
        }
    }
    assert_eq!(fake.seen().len(), 0, "nothing of a refused request goes up");
}
