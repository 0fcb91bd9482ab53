//! HTTP/2 in front, HTTP/1.1 behind: the same pushes and pulls, and the empty last frame of pingora#935.

use std::io::{BufReader, Write};
use std::time::Duration;

use bytes::Bytes;

use crate::harness::caller::{Caller, digest, with_query};
use crate::harness::fake::{Fake, Then, answer, read_head};
use crate::harness::image::MANIFEST;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::secure::{Http2, push, whole};
use crate::harness::wait_until;
use crate::harness::wall::{MINE, Setup, account};
use crate::transfers::connections::Silent;

/// Between two frames that shall not be read together.
const APART: Duration = Duration::from_millis(30);

fn authorization() -> String {
    account(MINE).basic()
}

fn location(answer: &http::Response<Vec<u8>>) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn client(seawall: &Seawall) -> Http2 {
    Http2::connect(seawall.address()).await
}

/// A push in the ways that clients of HTTP/2 send it, and a pull.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pushed_and_pulled_over_http_2() {
    for (version, is_encrypted) in
        Distribution::at_hand().into_iter().flat_map(|version| [(version, true), (version, false)])
    {
        let registry = Registry::start(version);
        let setup = Setup::new(&registry.url());
        let seawall = if is_encrypted { setup.tls() } else { setup.h2c() }.start();
        let address = seawall.address();
        let mut client = if is_encrypted { Http2::connect(address).await } else { Http2::without_tls(address).await };
        let authorization = authorization();
        let auth = ("authorization", authorization.as_str());
        let content: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_be_bytes()[3]).collect();

        let refused = client.send("POST", "/v2/mine/app/blobs/uploads/", &[], b"").await;
        assert_eq!(refused.status(), 401);
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        let realm = if is_encrypted { "Bearer realm=\"https://" } else { "Bearer realm=\"http://" };
        assert!(challenge.starts_with(realm), "{challenge}");

        let begun = client.send("POST", "/v2/mine/app/blobs/uploads/", &[auth], b"").await;
        assert_eq!(begun.status(), 202, "{version:?}");
        let patched = client.send("PATCH", &location(&begun), &[auth], &content).await;
        assert_eq!(patched.status(), 202, "{version:?}");
        let last = with_query(&location(&patched), &format!("digest={}", digest(&content)));
        let stored = client.send("PUT", &last, &[auth], b"").await;
        assert_eq!(stored.status(), 201, "{version:?}");
        let path = format!("/v2/mine/app/blobs/{}", digest(&content));
        let got = client.send("GET", &path, &[auth], b"").await;
        assert_eq!(got.status(), 200);
        assert!(got.body() == &content, "{version:?}: other bytes");
        let head = client.send("HEAD", &path, &[auth], b"").await;
        assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
        assert_eq!(head.headers()["content-length"], content.len().to_string().as_str());
        let range = client.send("GET", &path, &[auth, ("range", "bytes=10-19")], b"").await;
        assert_eq!((range.status().as_u16(), range.body().as_slice()), (206, &content[10..20]));

        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\"application/octet-stream\",\
             \"digest\":\"{}\",\"size\":{}}},\"layers\":[]}}",
            digest(&content),
            content.len()
        );
        let kind = ("content-type", MANIFEST);
        let path = "/v2/mine/app/manifests/v1";
        let stored = client.send("PUT", path, &[auth, kind], manifest.as_bytes()).await;
        assert_eq!(stored.status(), 201, "{version:?}: {:?}", String::from_utf8_lossy(stored.body()));
        let got = client.send("GET", path, &[auth, ("accept", MANIFEST)], b"").await;
        assert_eq!(got.body(), manifest.as_bytes(), "{version:?}");
        assert_eq!(got.headers()["docker-content-digest"], digest(manifest.as_bytes()).as_str());
        // An error of the upstream has a body of ours, also where there is no chunked coding.
        let missing = client.send("GET", "/v2/mine/app/manifests/none", &[auth], b"").await;
        assert_eq!(missing.status(), 404);
        let error: serde_json::Value = serde_json::from_slice(missing.body()).unwrap();
        assert_eq!(error["errors"][0]["code"], "MANIFEST_UNKNOWN");
    }
}

/// Regression for pingora#935. A body that ends in an empty DATA frame arrives as a piece of no bytes with the end set;
/// pingora 0.9.1 writes it to a chunked HTTP/1 upstream as a chunk (`do_write_chunked_body` of an empty buffer is
/// `0\r\n\r\n`), and then finishes the body with another `0\r\n\r\n`, which the upstream reads as the start of the next
/// request on that connection: somebody else's. The guard is in `Gate::request_body_filter`.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_in_an_empty_frame_does_not_poison_the_upstreams_connection() {
    for version in Distribution::at_hand() {
        let registry = Registry::start(version);
        // One thread, so that all requests share one connection to the upstream; the relay counts them.
        let relay = Fake::relaying(registry.address());
        let seawall = Setup::new(&relay.url()).tls().one_thread().start();
        let mut client = client(&seawall).await;
        let authorization = authorization();
        let auth = ("authorization", authorization.as_str());
        for round in 0..10 {
            let begun = client.send("POST", "/v2/mine/app/blobs/uploads/", &[auth], b"").await;
            assert_eq!(begun.status(), 202, "{version:?}, round {round}");
            let (patched, mut stream) = client.begin("PATCH", &location(&begun), &[auth], false).await;
            push(&mut stream, b"a layer", false).await;
            // Read on its own: together with the data, the end would come with the data.
            tokio::time::sleep(APART).await;
            stream.send_data(Bytes::new(), true).unwrap();
            let patched = whole(patched).await;
            assert_eq!(patched.status(), 202, "{version:?}, round {round}");
            // Somebody else, on the same connection to the upstream.
            let next = client.send("GET", "/v2/", &[auth], b"").await;
            assert_eq!(next.status(), 200, "{version:?}, round {round}: the connection is poisoned");
            let last = with_query(&location(&patched), &format!("digest={}", digest(b"a layer")));
            let stored = client.send("PUT", &last, &[auth], b"").await;
            assert_eq!(stored.status(), 201, "{version:?}, round {round}");
        }
        // Whoever reads a second end as a request hangs up; often pingora notices that before it sends the next request.
        assert_eq!(relay.seen().len(), 1, "{version:?}: the registry hung up");
    }
}

/// The same, byte for byte: nothing stands between the end of the body and the next request.
#[tokio::test(flavor = "multi_thread")]
async fn empty_frames_are_written_to_the_upstream_as_nothing() {
    let fake = Fake::always(answer("202 Accepted", "Location: /v2/mine/app/blobs/uploads/s\r\n", ""));
    let seawall = Setup::new(&fake.url()).tls().one_thread().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    for pieces in [&["a", "", "b", ""][..], &["", "ab", ""], &["ab", ""], &["", ""], &[""]] {
        let (answered, mut stream) = client.begin("POST", "/v2/mine/app/blobs/uploads/", &[auth], false).await;
        for (number, piece) in pieces.iter().enumerate() {
            stream.send_data(Bytes::from(*piece), number + 1 == pieces.len()).unwrap();
            // Each in a frame that is read on its own.
            tokio::time::sleep(APART).await;
        }
        assert_eq!(whole(answered).await.status(), 202, "{pieces:?}");
        let seen = fake.seen().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.body), pieces.concat(), "{pieces:?}");
    }
    for seen in fake.seen() {
        assert_eq!(seen.line, "POST /v2/mine/app/blobs/uploads/ HTTP/1.1");
        assert_eq!(seen.connection, 0, "the connection was kept");
    }
}

/// Class U over HTTP/2: an authority and a Host that disagree, a length that is not the body's, headers of HTTP/1.
#[tokio::test(flavor = "multi_thread")]
async fn an_odd_request_of_http_2_is_refused_and_the_connection_goes_on() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).tls().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let path = "/v2/mine/app/manifests/v1";
    let host = seawall.address().to_string();

    let (answered, _) = client.begin("GET", path, &[auth, ("host", "evil.example")], true).await;
    if let Ok(answered) = answered.await {
        assert!(matches!(answered.status().as_u16(), 400 | 421), "{answered:?}");
    }
    assert_eq!(client.send("GET", path, &[auth, ("host", &host)], b"").await.status(), 200);
    let (answered, mut stream) =
        client.begin("POST", "/v2/mine/app/blobs/uploads/", &[auth, ("content-length", "3")], false).await;
    let _ = stream.send_data(Bytes::from_static(b"much more than three"), true);
    if let Ok(answered) = answered.await {
        assert!(answered.status().is_client_error() || answered.status().is_server_error(), "{answered:?}");
    }
    for path in ["/v2/secret/app/manifests/v1", "/v2/mine/../secret/app/manifests/v1", "/v2/secret%2Fapp/manifests/v1"]
    {
        let refused = client.send("GET", path, &[auth], b"").await;
        assert!(matches!(refused.status().as_u16(), 400 | 401), "{path}: {refused:?}");
    }
    assert_eq!(client.send("GET", path, &[auth], b"").await.status(), 200);
    for seen in fake.seen() {
        assert!(seen.line.contains(" /v2/mine/app/"), "{seen:?}");
        assert_eq!(seen.header("Host"), Some(fake.address().to_string().as_str()));
    }
}

/// Answers of ours in place of the upstream's, where there is a stream to end and no connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_not_there_is_answered_over_http_2() {
    for version in Distribution::at_hand() {
        let registry = Registry::start(version);
        let seawall = Setup::new(&registry.url()).tls().start();
        let blob = Caller::anonymous(registry.address()).push_blob("mine/app", b"content");
        let mut client = client(&seawall).await;
        let authorization = authorization();
        let auth = ("authorization", authorization.as_str());
        let path = format!("/v2/mine/app/blobs/{blob}");
        for _ in 0..3 {
            let refused = client.send("GET", &path, &[auth, ("range", "bytes=100-")], b"").await;
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["content-range"]),
                (416, &"bytes */7".parse().unwrap())
            );
            assert!(String::from_utf8_lossy(refused.body()).contains("RANGE_INVALID"), "{version:?}");
            assert_eq!(client.send("GET", &path, &[auth], b"").await.body(), b"content", "{version:?}");
        }
    }
}

/// Over 8 MiB the stream ends, and nothing else of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_upload_over_the_limit_ends_its_stream_only() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).tls().start();
    let mut client = client(&seawall).await;
    let body = vec![b'x'; 40 * 1024 * 1024];
    let (refused, mut stream) = client.begin("POST", "/v2/mine/app/blobs/uploads/", &[], false).await;
    let sending = tokio::spawn(async move { push(&mut stream, &body, true).await });
    assert_eq!(whole(refused).await.status(), 401);
    let authorization = authorization();
    let got = client.send("GET", "/v2/mine/app/manifests/v1", &[("authorization", &authorization)], b"").await;
    assert_eq!(got.status(), 200);
    sending.abort();
}

/// R5 over HTTP/2: a denied upload hears its 401, and the other streams of the connection go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_upload_over_http_2_hears_its_401() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let seawall = Setup::new(&fake.url()).tls().start();
    let mut client = client(&seawall).await;
    let body = vec![b'x'; 6 * 1024 * 1024];
    let refused = client.send("POST", "/v2/mine/app/blobs/uploads/", &[], &body).await;
    assert_eq!(refused.status(), 401);
    let authorization = authorization();
    let got = client.send("GET", "/v2/mine/app/manifests/v1", &[("authorization", &authorization)], b"").await;
    assert_eq!(got.status(), 200);
    assert_eq!(fake.of_clients().len(), 1);
}

/// Answered without pingora's proxy or left to it: every stream ends as its answer does, and has one record.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_as_its_answer_does() {
    let fake = Fake::answering(|request, stream| {
        let half = request.line.contains("/half ");
        let not_modified = request.header("If-None-Match").is_some();
        let head = match (half, not_modified) {
            (true, _) => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
            (_, true) => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_owned(),
            _ if request.line.starts_with("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_owned(),
            _ => answer("200 OK", "Content-Type: application/json\r\n", "{}"),
        };
        let _ = stream.write_all(head.as_bytes());
        if half { Then::Close } else { Then::KeepOpen }
    });
    let seawall = Setup::new(&fake.url()).tls().one_thread().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let path = "/v2/mine/app/manifests/v1";
    assert_eq!(client.send("GET", path, &[auth], b"").await.body(), b"{}");
    let head = client.send("HEAD", path, &[auth], b"").await;
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"2".parse().unwrap()));
    let known = client.send("GET", path, &[auth, ("if-none-match", "\"x\"")], b"").await;
    assert_eq!((known.status().as_u16(), known.body().len()), (304, 0));
    assert_eq!(client.send("GET", "/v2/mine/app/tags/list", &[auth], b"").await.status(), 200);
    assert_eq!(client.send("HEAD", path, &[], b"").await.status(), 401);

    let (half, _) = client.begin("GET", "/v2/mine/app/manifests/half", &[auth], true).await;
    let mut body = half.await.unwrap().into_body();
    // What has not left when the stream is reset does not leave.
    let mut ended = body.data().await;
    if matches!(&ended, Some(Ok(piece)) if piece == "half") {
        ended = body.data().await;
    }
    assert!(matches!(&ended, Some(Err(error)) if error.is_reset()), "{ended:?}");

    assert_eq!(client.send("GET", path, &[auth], b"").await.status(), 200);
    wait_until("all is written", || seawall.audit().len() >= 7);
    let reasons: Vec<_> = seawall.audit().iter().map(|record| record["reason"].clone()).collect();
    let permitted = "permitted";
    let expected = [permitted, permitted, permitted, permitted, "credential_required", "upstream_broken", permitted];
    assert_eq!(reasons, expected);
}

/// A proxy may send what many clients upload over one connection.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stands_still_stops_no_other() {
    const ACCEPTED: &[u8] =
        b"HTTP/1.1 202 Accepted\r\nLocation: /v2/mine/app/blobs/uploads/s\r\nContent-Length: 0\r\n\r\n";
    let fake = Fake::raw(|_, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let Some(request) = read_head(&mut reader) else { return };
        if request.line.contains("/mine/stuck/") {
            std::thread::sleep(Duration::from_secs(30));
        }
        let _ = stream.write_all(ACCEPTED);
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let seawall = Setup::new(&fake.url()).h2c().start();
    let mut client = Http2::without_tls(seawall.address()).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let (_, mut stuck) = client.begin("POST", "/v2/mine/stuck/blobs/uploads/", &[auth], false).await;
    // What the system takes is taken; the rest waits.
    let mut pieces = 0;
    while tokio::time::timeout(Duration::from_millis(500), push(&mut stuck, &[b'x'; 10_000], false)).await.is_ok() {
        pieces += 1;
        assert!(pieces < 10_000, "nothing stops it");
    }
    let body = vec![b'x'; 300_000];
    let headers = [auth];
    let other = client.send("POST", "/v2/mine/app/blobs/uploads/", &headers, &body);
    let stored = tokio::time::timeout(Duration::from_secs(10), other).await.expect("it does not wait");
    assert_eq!(stored.status(), 202);
}

/// Nobody waits for an answer that nobody will read: otherwise a connection had as many requests under way as it has begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_reset_before_its_answer_is_over() {
    let silent = Silent::start();
    let seawall = Setup::new(&silent.fake.url()).tls().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let blob = format!("/v2/mine/app/blobs/{}", digest(b"x"));
    for (number, path) in ["/v2/mine/app/manifests/v1", &blob].into_iter().enumerate() {
        let (_, mut stream) = client.begin("GET", path, &[auth], true).await;
        silent.wait_for(number + 1);
        stream.send_reset(h2::Reason::CANCEL);
        silent.wait_for_end(number + 1, &seawall);
    }
}

/// So are all the requests of a connection that ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_connection_over_tls_is_gone() {
    let silent = Silent::start();
    let seawall = Setup::new(&silent.fake.url()).tls().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let begun = client.begin("GET", "/v2/mine/app/manifests/v1", &[auth], true).await;
    silent.wait_for(1);
    drop((begun, client));
    silent.wait_for_end(1, &seawall);
}

/// A proxy's connection has the requests of many clients: each has the address that the proxy says.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_come_from_whom_the_proxy_says() {
    let fake = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{}"));
    let place = Place::new();
    let document = Setup::new(&fake.url()).h2c().document(&place);
    let document = document.replace("{mode: peer}", "{mode: forwarded, trusted: [127.0.0.1]}");
    let seawall = place.start(&document);
    let mut client = Http2::without_tls(seawall.address()).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    for (number, source) in ["192.0.2.1", "192.0.2.2"].into_iter().enumerate() {
        let got = client.send("GET", "/v2/mine/app/manifests/v1", &[auth, ("x-forwarded-for", source)], b"").await;
        assert_eq!(got.status(), 200);
        wait_until("it is recorded", || seawall.audit().len() > number);
        assert_eq!(seawall.audit()[number]["sourceAddress"], source);
    }
}

/// Who may have it, and stops in the middle, was not denied anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_a_download_has_left() {
    let content = vec![b'x'; 900_000];
    let told = content.clone();
    let fake = Fake::answering(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", told.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&told));
        Then::KeepOpen
    });
    let seawall = Setup::new(&fake.url()).tls().one_thread().start();
    let mut client = client(&seawall).await;
    let authorization = authorization();
    let auth = ("authorization", authorization.as_str());
    let path = format!("/v2/mine/app/blobs/{}", digest(&content));
    // From the registry behind, then from memory.
    for (number, served) in [(1, &serde_json::Value::Null), (3, &"memory".into())] {
        // On a connection of its own, whose window nobody else needs.
        let mut stopping = Http2::connect(seawall.address()).await;
        let (stopped, mut stream) = stopping.begin("GET", &path, &[auth], true).await;
        let mut body = stopped.await.unwrap().into_body();
        body.data().await.unwrap().unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        wait_until("the record is written", || seawall.audit().len() >= number);
        let record = seawall.audit().pop().unwrap();
        assert_eq!((&record["decision"], &record["reason"]), (&"permit".into(), &"client_left".into()), "{record}");
        assert_eq!(&record["servedFrom"], served, "{record}");
        assert_eq!(client.send("GET", &path, &[auth], b"").await.body(), &content);
        wait_until("the record is written", || seawall.audit().len() > number);
    }
}
