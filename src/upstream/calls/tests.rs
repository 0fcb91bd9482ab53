use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::oci::{Page, Reference, Scope, Tag};
use crate::policy::fixture::{registry, written};
use crate::policy::upstream_credential::MintedAccess;
use crate::secret::Secret;
use crate::upstream::fake::{Asked, Fake, Reply};
use crate::upstream::{Mint, NotMinted};

struct NoMint;

#[async_trait]
impl Mint for NoMint {
    async fn mint(&self, _: &MintedAccess, _: &[Scope]) -> Result<(Secret, Duration), NotMinted> {
        Err(NotMinted::Busy)
    }
}

fn calls() -> Calls {
    Calls::new(Arc::new(Credentials::new(Arc::new(NoMint))))
}

fn upstream(url: &str, credential: Option<&str>) -> String {
    let text = |text: &str| written(&format!("{text:?}"));
    let credential = credential.map(|kind| {
        let password = written(&format!(r#"{{"file":{}}}"#, text("hunter2")));
        let pair = format!(r#""username":{},"password":{password}"#, text("robot"));
        format!(r#","credential":{}"#, written(&format!(r#"{{"type":{},{pair}}}"#, text(kind))))
    });
    let (url, second, credential) = (text(url), text("1s"), credential.unwrap_or_default());
    format!(r#"{{"url":{url},"timeouts":{{"connect":{second},"read":{second}}}{credential}}}"#)
}

fn repository() -> RepositoryName {
    RepositoryName::parse("samples/a").unwrap()
}

fn manifest() -> Route {
    let reference = Reference::Tag(Tag::parse("v1").unwrap());
    Route::Manifest { repository: repository(), reference, tags: Vec::new() }
}

fn get(route: &Route) -> Call<'_> {
    Call { method: Method::Get, route, accept: Some("application/json"), content: None, limit: 1_000 }
}

/// The end of a connection's life is no other request's trouble.
#[tokio::test]
async fn connections_are_kept() {
    let fake = Fake::start(|_| Some(Reply::new(200).with("x-own", "1").body("{}"))).await;
    let (calls, registry) = (calls(), registry(&upstream(&fake.url, None)));
    for _ in 0..5 {
        let answer = calls.send(&registry, get(&manifest())).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (200, &b"{}"[..]));
        assert_eq!(answer.headers["x-own"], "1");
    }
    assert_eq!(fake.connections(), 1);
    let asked = &fake.asked()[0];
    assert_eq!(asked.line(), "GET /v2/samples/a/manifests/v1");
    assert_eq!(asked.header("host"), fake.url.strip_prefix("http://").unwrap());
    assert_eq!((asked.header("accept"), asked.header("user-agent")), ("application/json", "seawall"));
    assert_eq!(asked.header("authorization"), "");
}

#[tokio::test]
async fn what_is_sent_is_made_of_the_route() {
    let fake = Fake::start(|_| Some(Reply::new(201))).await;
    let (calls, registry) = (calls(), registry(&upstream(&fake.url, Some("basic"))));
    let content = Some(("application/vnd.oci.image.manifest.v1+json".to_owned(), Bytes::from_static(b"{}")));
    let route = manifest();
    let put = Call { method: Method::Put, route: &route, accept: None, content, limit: 0 };
    assert_eq!(calls.send(&registry, put).await.unwrap().status, 201);
    let route = Route::Tags { repository: repository(), page: Page { n: Some(7), last: Some("a b".to_owned()) } };
    calls.send(&registry, get(&route)).await.unwrap();
    let delete = Call { method: Method::Delete, route: &manifest(), accept: None, content: None, limit: 0 };
    calls.send(&registry, delete).await.unwrap();
    let asked = fake.asked();
    assert_eq!(asked[0].line(), "PUT /v2/samples/a/manifests/v1");
    assert_eq!(asked[0].header("content-type"), "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(asked[0].header("authorization"), "Basic cm9ib3Q6aHVudGVyMg==");
    assert_eq!(asked[0].body, b"{}");
    assert_eq!(asked[1].line(), "GET /v2/samples/a/tags/list?n=7&last=a%20b");
    assert_eq!(
        (asked[2].line().as_str(), asked[2].header("content-length")),
        ("DELETE /v2/samples/a/manifests/v1", "0")
    );
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_in_time() {
    let fake = Fake::start(|asked| {
        if asked.method == "HEAD" {
            return Some(Reply::new(200).body(vec![b'x'; 5_000]));
        }
        if asked.target.ends_with("tags/list") {
            std::thread::sleep(Duration::from_secs(2));
        }
        Some(Reply::new(200).body(vec![b'x'; 1_001]))
    })
    .await;
    let (calls, registry) = (calls(), registry(&upstream(&fake.url, None)));
    assert_eq!(calls.send(&registry, get(&manifest())).await.unwrap_err(), CallError::TooLarge(1_000));
    let route = manifest();
    let head = Call { method: Method::Head, ..get(&route) };
    assert_eq!(calls.send(&registry, head).await.unwrap().status, 200, "there is no body");
    let route = Route::Tags { repository: repository(), page: Page::default() };
    assert_eq!(calls.send(&registry, get(&route)).await.unwrap_err(), CallError::TimedOut);
}

#[tokio::test]
async fn no_redirect_is_followed_and_nobody_at_home_is_said() {
    let fake = Fake::start(|_| Some(Reply::new(307).with("location", "/elsewhere"))).await;
    let (calls, here) = (calls(), registry(&upstream(&fake.url, None)));
    assert_eq!(calls.send(&here, get(&manifest())).await.unwrap().status, 307);
    assert_eq!(fake.lines().len(), 1);
    let nobody = registry(&upstream("http://127.0.0.1:1", None));
    let error = calls.send(&nobody, get(&manifest())).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error}");
    let hangs_up = Fake::start(|_| None).await;
    let error = calls.send(&registry(&upstream(&hangs_up.url, None)), get(&manifest())).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error}");
}

/// An upstream with a token service, whose tokens are good for one request each, up to `good` of them.
async fn guarded(good: usize) -> Fake {
    let (issued, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let answer = move |asked: &Asked| {
        let here = asked.header("host").to_owned();
        if asked.target.starts_with("/token") {
            let token = format!("{{\"token\":\"t{}\",\"expires_in\":300}}", issued.fetch_add(1, Ordering::SeqCst));
            return Reply::new(200).body(token);
        }
        let token = format!("Bearer t{}", used.load(Ordering::SeqCst));
        if asked.header("authorization") == token && used.load(Ordering::SeqCst) < good {
            used.fetch_add(1, Ordering::SeqCst);
            return Reply::new(200);
        }
        Reply::new(401).with("www-authenticate", format!("Bearer realm=\"http://{here}/token\",service=\"up\""))
    };
    Fake::start(move |asked| Some(answer(asked))).await
}

#[tokio::test]
async fn a_token_that_is_refused_is_had_anew_once() {
    let fake = guarded(2).await;
    let (calls, registry) = (calls(), registry(&upstream(&fake.url, Some("token"))));
    assert_eq!(calls.send(&registry, get(&manifest())).await.unwrap().status, 200);
    assert_eq!(calls.send(&registry, get(&manifest())).await.unwrap().status, 200);
    assert_eq!(calls.send(&registry, get(&manifest())).await.unwrap_err(), CallError::Unauthorized);
    let lines = fake.lines();
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("/token?service=up&scope=repository%3Asamples%2Fa%3Apull"), 3, "{lines:?}");
    assert_eq!(count("/manifests/"), 5, "{lines:?}");
}

#[tokio::test]
async fn a_credential_that_is_refused_is_tried_once() {
    let fake = Fake::start(|_| Some(Reply::new(401).with("www-authenticate", "Basic realm=\"x\""))).await;
    for credential in [None, Some("basic")] {
        let before = fake.lines().len();
        let registry = registry(&upstream(&fake.url, credential));
        assert_eq!(calls().send(&registry, get(&manifest())).await.unwrap_err(), CallError::Unauthorized);
        assert_eq!(fake.lines().len(), before + 1);
    }
}

#[tokio::test]
async fn a_blob_goes_where_the_upstream_says_as_far_as_the_path_goes() {
    for (location, put) in [
        ("/v2/samples/a/blobs/uploads/1?_state=x%2By", "/v2/samples/a/blobs/uploads/1?_state=x%2By&digest="),
        ("http://HERE/v2/samples/a/blobs/uploads/1", "/v2/samples/a/blobs/uploads/1?digest="),
        ("https://evil.test/v2/samples/a/blobs/uploads/1?a=b", "/v2/samples/a/blobs/uploads/1?a=b&digest="),
        ("2?a", "/v2/samples/a/blobs/uploads/2?a&digest="),
    ] {
        let fake = Fake::start(move |asked| {
            Some(match asked.method.as_str() {
                "POST" => Reply::new(202).with("location", location.replace("HERE", asked.header("host"))),
                _ => Reply::new(201),
            })
        })
        .await;
        let registry = registry(&upstream(&fake.url, None));
        let blob = Bytes::from_static(b"{}");
        let digest = calls().upload(&registry, &repository(), blob).await.unwrap();
        assert_eq!(digest, Digest::sha256(b"{}"));
        let asked = fake.asked();
        assert_eq!(asked[0].line(), "POST /v2/samples/a/blobs/uploads/");
        let encoded = digest.as_str().replace(':', "%3A");
        assert_eq!(asked[1].line(), format!("PUT {put}{encoded}"));
        assert_eq!(
            (asked[1].body.as_slice(), asked[1].header("content-type")),
            (&b"{}"[..], "application/octet-stream")
        );
    }
}

#[tokio::test]
async fn an_upload_that_goes_wrong_is_told() {
    for (start, location, end) in [
        (405, Some("/v2/x"), 201),
        (202, None, 201),
        (202, Some("http://["), 201),
        (202, Some("/v2/x"), 400),
        (202, Some("/v2/x"), 500),
    ] {
        let fake = Fake::start(move |asked| {
            Some(match (asked.method.as_str(), location) {
                ("POST", Some(location)) => Reply::new(start).with("location", location),
                ("POST", None) => Reply::new(start),
                _ => Reply::new(end),
            })
        })
        .await;
        let registry = registry(&upstream(&fake.url, None));
        let error = calls().upload(&registry, &repository(), Bytes::from_static(b"{}")).await.unwrap_err();
        assert!(matches!(error, CallError::Unusable(_)), "{start} {location:?} {end}: {error}");
    }
}
