//! The firewall as tables: what passes and what it becomes, what is refused and how, and who may disagree about it.

use super::*;
use crate::oci::error::ErrorCode;
use crate::oci::error::ErrorCode::{
    BlobUploadUnknown, DigestInvalid, ManifestUnknown, NameInvalid, PaginationNumberInvalid, TagInvalid, Unsupported,
};

pub(super) const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Writes out the digest, so that tables stay readable.
pub(super) fn full(text: &str) -> String {
    text.replace("SHA", SHA)
}

/// What the upstream would be sent, or the status and code of the refusal.
fn sent(method: &str, target: &str) -> Result<String, (u16, ErrorCode)> {
    match parse(method, &full(target)) {
        Ok(Parsed { endpoint: Endpoint::Registry(route), .. }) => Ok(route.canonical().replace(SHA, "SHA")),
        Ok(Parsed { endpoint: Endpoint::Metadata(route), .. }) => Ok(route.canonical().replace(SHA, "SHA")),
        Ok(Parsed { endpoint: Endpoint::Token, query, .. }) => Ok(format!("token?{query}")),
        Ok(Parsed { endpoint: Endpoint::Exchange, query, .. }) => Ok(format!("exchange?{query}")),
        Ok(Parsed { endpoint: Endpoint::SigningKeys, query, .. }) => Ok(format!("keys?{query}")),
        Ok(Parsed { endpoint: Endpoint::SignIn, query, .. }) => Ok(format!("sign-in?{query}")),
        Err(error) => Err((error.status(), error.code())),
    }
}

fn route(method: &str, target: &str) -> Route {
    match parse(method, &full(target)).unwrap().endpoint {
        Endpoint::Registry(route) => route,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn passes(method: &str, target: &str, expected: &str) {
    assert_eq!(sent(method, target), Ok(expected.to_owned()), "{method} {target}");
}

#[track_caller]
fn refused(method: &str, target: &str, status: u16, code: ErrorCode) {
    assert_eq!(sent(method, target), Err((status, code)), "{method} {target}");
}

#[test]
fn every_endpoint_is_served_with_exactly_its_methods() {
    for (target, methods) in [
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET"),
        ("/v2/a/b/tags/list", "GET"),
        ("/v2/a/b/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("/v2/a/b/manifests/SHA", "GET, HEAD, PUT, DELETE"),
        ("/v2/a/b/blobs/SHA", "GET, HEAD, DELETE"),
        ("/v2/a/b/blobs/uploads/", "POST"),
        ("/v2/a/b/blobs/uploads/x?digest=SHA", "GET, PATCH, PUT, DELETE"),
        ("/v2/a/b/referrers/SHA", "GET"),
        ("/acr/v1/_catalog", "GET"),
        ("/acr/v1/a/b", "GET, PATCH, DELETE"),
        ("/acr/v1/a/b/_tags", "GET"),
        ("/acr/v1/a/b/_tags/v1", "GET, PATCH, DELETE"),
        ("/acr/v1/a/b/_manifests", "GET"),
        ("/acr/v1/a/b/_manifests/SHA", "GET, PATCH"),
        ("/oauth2/token", "GET, POST"),
        ("/.well-known/jwks.json", "GET, HEAD"),
        ("/oauth2/sign-in", "GET, HEAD"),
    ] {
        for method in
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "", "GET,"]
        {
            let outcome = parse(method, &full(target));
            if methods.split(", ").any(|known| known == method) {
                assert_eq!(outcome.unwrap().method.as_str(), method, "{method} {target}");
            } else {
                let error = outcome.unwrap_err();
                let seen = (error.status(), error.code(), error.allow());
                assert_eq!(seen, (405, Unsupported, Some(methods)), "{method} {target}");
            }
        }
    }
}

#[test]
fn the_canonical_form_is_one_for_every_accepted_spelling() {
    for (method, target, expected) in [
        ("GET", "/v2", "/v2/"),
        ("GET", "/v2/", "/v2/"),
        ("GET", "/v2/?ns=docker.io", "/v2/"),
        ("GET", "/%762/", "/v2/"),
        ("GET", "/v2%2F", "/v2/"),
        ("GET", "/v2/_catalog", "/v2/_catalog"),
        ("GET", "/v2/%5fcatalog", "/v2/_catalog"),
        ("GET", "/v2/a/b/manifests/v1", "/v2/a/b/manifests/v1"),
        ("GET", "/v2/a%2Fb/manifests/v1", "/v2/a/b/manifests/v1"),
        ("GET", "/v2/a%2fb/manifests/SHA", "/v2/a/b/manifests/SHA"),
        ("GET", "/v2/secret/%61pp/manifests/v1", "/v2/secret/app/manifests/v1"),
        ("GET", "/v2/secret/app/%6danifests/v1", "/v2/secret/app/manifests/v1"),
        ("GET", "/v2%2fsecret%2fapp%2fmanifests%2fv1", "/v2/secret/app/manifests/v1"),
        ("PUT", "/v2/a/manifests/v%31", "/v2/a/manifests/v1"),
        ("GET", "/v2/a/tags%2flist", "/v2/a/tags/list"),
        (
            "GET",
            "/v2/a%2Fb/blobs/sha256%3A0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "/v2/a/b/blobs/SHA",
        ),
        ("POST", "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/"),
        ("POST", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/"),
        ("POST", "/v2/a/blobs/uploads%2F", "/v2/a/blobs/uploads/"),
        ("POST", "/v2/a/blobs/uploads?", "/v2/a/blobs/uploads/"),
        ("PATCH", "/v2/a/blobs/uploads/A.b_c=d-e?_state=x%3D%3D&y=z", "/v2/a/blobs/uploads/A.b_c=d-e?_state=x%3D%3D"),
        ("PATCH", "/v2/a/blobs/uploads/x?_state=a=b-c_", "/v2/a/blobs/uploads/x?_state=a%3Db-c_"),
        ("GET", "/v2/a/referrers/SHA?artifactType=a%2Fb%2Bc", "/v2/a/referrers/SHA?artifactType=a/b%2Bc"),
        ("GET", "/v2/a/referrers/SHA?artifactType=", "/v2/a/referrers/SHA"),
        ("GET", "/acr/v1/_catalog?api-version=2021-07-01&n=2", "/acr/v1/_catalog?n=2"),
        ("PATCH", "/acr/v1/a%2Fb", "/acr/v1/a/b"),
        ("GET", "/acr%2fv1%2Fa%2fb%2F_tags", "/acr/v1/a/b/_tags"),
        (
            "GET",
            "/acr/v1/a%2Fb/_tags?orderby=timedesc&last=v1&n=5&digest=SHA",
            "/acr/v1/a/b/_tags?n=5&last=v1&orderby=timedesc&digest=SHA",
        ),
        ("GET", "/acr/v1/a/_tags?orderby=&last=&n=", "/acr/v1/a/_tags"),
        ("GET", "/acr/v1/a/_manifests?orderby=none", "/acr/v1/a/_manifests"),
        ("GET", "/acr/v1/a/_manifests?orderby=time%61sc&digest=x", "/acr/v1/a/_manifests?orderby=timeasc"),
        ("DELETE", "/acr/v1/a/_tags/_tags", "/acr/v1/a/_tags/_tags"),
        ("GET", "/acr/v1/tags/list/_tags/_manifests", "/acr/v1/tags/list/_tags/_manifests"),
        ("GET", "/acr/v1/a/manifests/_manifests/SHA", "/acr/v1/a/manifests/_manifests/SHA"),
        ("GET", "/acr/v1/v2/a/manifests/v1", "/acr/v1/v2/a/manifests/v1"),
        ("GET", "/oauth2/token?service=x&scope=y;z", "token?service=x&scope=y;z"),
        ("GET", "/oauth2/%74oken", "token?"),
        ("GET", "/.well-known/jwks.json?x", "keys?x"),
        ("GET", "/oauth2/sign-in?api-version=1", "sign-in?api-version=1"),
    ] {
        passes(method, target, expected);
    }
}

#[test]
fn names_take_all_that_the_endpoint_leaves() {
    for (method, target, name) in [
        ("GET", "/v2/a/manifests/b/manifests/v1", "a/manifests/b"),
        ("GET", "/v2/a/manifests/b/tags/list", "a/manifests/b"),
        ("GET", "/v2/x/blobs/uploads/y/manifests/v1", "x/blobs/uploads/y"),
        ("POST", "/v2/x/blobs/uploads/y/blobs/uploads/", "x/blobs/uploads/y"),
        ("GET", "/v2/x/blobs/uploads/tags/list", "x/blobs/uploads"),
        ("POST", "/v2/a/tags/list/blobs/uploads/", "a/tags/list"),
        ("POST", "/v2/a/tags/list/blobs/uploads", "a/tags/list"),
        ("GET", "/v2/a/tags/list/tags/list", "a/tags/list"),
        ("GET", "/v2/tags/list/tags/list", "tags/list"),
        ("GET", "/v2/x/tags/manifests/list", "x/tags"),
        ("GET", "/v2/manifests/manifests/manifests", "manifests"),
        ("GET", "/v2/blobs/uploads/manifests/uploads", "blobs/uploads"),
        ("POST", "/v2/x/blobs/uploads/blobs/uploads/", "x/blobs/uploads"),
        ("POST", "/v2/x/blobs/uploads/blobs/uploads", "x/blobs/uploads"),
        ("PATCH", "/v2/x/blobs/uploads/blobs/uploads/s", "x/blobs/uploads"),
        ("PATCH", "/v2/x/blobs/uploads/uploads", "x"),
        ("PATCH", "/v2/x/blobs/uploads/list", "x"),
        ("GET", "/v2/x/blobs/uploads/blobs/SHA", "x/blobs/uploads"),
        ("GET", "/v2/x/referrers/y/referrers/SHA", "x/referrers/y"),
        ("GET", "/v2/v2/x/manifests/v2", "v2/x"),
        ("GET", "/v2/oauth2/token/manifests/v1", "oauth2/token"),
    ] {
        assert_eq!(route(method, target).repository().unwrap().as_str(), name, "{method} {target}");
        let slash = if target.ends_with("/blobs/uploads") { "/" } else { "" };
        passes(method, target, &format!("{target}{slash}"));
    }
}

#[test]
fn path_shapes_that_others_normalise_are_refused() {
    for target in [
        "",
        "*",
        "v2/",
        "http://registry.example.com/v2/",
        "registry.example.com:443",
        "?a",
        "//",
        "//v2/",
        "/v2//",
        "/v2//a/manifests/v1",
        "/v2/a//manifests/v1",
        "/v2/a/manifests//v1",
        "/v2/a/manifests/v1/",
        "/v2/a/manifests/",
        "/v2/_catalog/",
        "/v2/a/tags/list/",
        "/v2/a/blobs/uploads//",
        "/v2/a/blobs/uploads/x/",
        "/v2//blobs/uploads/",
        "/v2/./_catalog",
        "/./v2/",
        "/v2/.",
        "/v2/..",
        "/v2/a/../b/manifests/v1",
        "/v2/%2e%2e/_catalog",
        "/v2/%2E/a/tags/list",
        "/v2/a/.%2e/b/tags/list",
        "/v2/a/manifests/..",
        "/v2/a/manifests/%2e",
        "/v2/a/blobs/uploads/..",
        "/v2/a%2F%2Fb/tags/list",
        "/v2/a%2F/tags/list",
        "/v2/a/manifests/v1%2f",
        "/v2/a/manifests/v1#",
        "/v2/#/a",
        "/v2/_catalog?#",
        "/v2/_catalog?last=a\\b",
        "/v2/a\\b/tags/list",
        "/v2/a%5cb/tags/list",
        "/v2/%5c..%5c/tags/list",
        "/v2/a%00/tags/list",
        "/v2/a%0a/tags/list",
        "/v2/a%7F/tags/list",
        "/v2/a%/tags/list",
        "/v2/a%2/tags/list",
        "/v2/a%zz/tags/list",
        "/v2/%",
        "/v2/a%ff/tags/list",
        "/v2/%c0%af/tags/list",
        "/v2/%c2%80/tags/list",
        "/v2/a b/tags/list",
        "/v2/a\tb/tags/list",
        "/v2/a\u{e9}/tags/list",
        "/v2/a\0/tags/list",
        "/v2/\r\nHost:x/tags/list",
        "/oauth2/token/",
        "/oauth2//token",
        "/.well-known/./jwks.json",
        "/v2/\u{7f}",
    ] {
        for method in ["GET", "POST", "PATCH"] {
            refused(method, target, 400, Unsupported);
        }
    }
}

#[test]
fn a_path_of_no_endpoint_is_not_found() {
    for target in [
        "/",
        "/v1",
        "/v3/_catalog",
        "/V2",
        "/v2/a",
        "/v2/tags/list",
        "/v2/manifests/v1",
        "/v2/blobs/SHA",
        "/v2/blobs/uploads/",
        "/v2/blobs/uploads",
        "/v2/blobs/uploads/x",
        "/v2/referrers/SHA",
        "/v2/a/tags",
        "/v2/a/tags/List",
        "/v2/a/Manifests/v1",
        "/v2/a/tags/list/x",
        "/v2/a/uploads/x",
        "/v2/_Catalog",
        "/v2/_catalog/x",
        "/v20/_catalog",
        "/v2/a/manifest/v1",
        "/v2%252F_catalog",
        "/%2576%32",
        "/v2/%255fcatalog",
        "/healthz",
        "/metrics",
        "/oauth2",
        "/oauth2/Token",
        "/oauth2/Exchange",
        "/.well-known/jwks",
        "/acr/v1",
        "/acr/v2/_catalog",
        "/acr/v1/_Catalog",
        "/acr/v1/_catalog/x",
        "/acr/v1/_tags",
        "/acr/v1/_tags/v1",
        "/acr/v1/_tags/_tags",
        "/acr/v1/_manifests/SHA",
        "/acr/v1/a/_tags/v1/x",
        "/acr/v1/a/_tags/b/_tags",
        "/acr/v1/a/_deleted",
        "/acr/v1/_deleted/_catalog",
        "/acr/v1/_deleted/a/_tags",
        "/acr/v1/_deleted/a/_manifests/SHA",
        "/acr/v1/a/_metadata/key",
        "/acr/v1/a/_tags/v1/_metadata/key",
        "/acr/v1/%5fdeleted/_catalog",
        "/v2/a%3F/b",
        "/v2/a/manifests%3Fv1",
        "/v2%23",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            refused(method, target, 404, Unsupported);
        }
    }
}

#[test]
fn fields_outside_their_grammar_are_refused_by_their_own_code() {
    let (long_name, longest_name) = ("a".repeat(256), "a".repeat(255));
    for (method, target, status, code) in [
        ("GET", "/v2/A/tags/list", 400, NameInvalid),
        ("GET", "/v2/a..b/tags/list", 400, NameInvalid),
        ("GET", "/v2/a-/manifests/v1", 400, NameInvalid),
        ("GET", "/v2/_catalog/tags/list", 400, NameInvalid),
        ("GET", "/v2/host:5000/a/tags/list", 400, NameInvalid),
        ("GET", "/v2/a%252Fb/tags/list", 400, NameInvalid),
        ("GET", "/v2/a%253ab/tags/list", 400, NameInvalid),
        ("GET", "/v2/%252e%252e/tags/list", 400, NameInvalid),
        ("GET", "/v2/a%3Fb/tags/list", 400, NameInvalid),
        ("GET", "/v2/a%23b/tags/list", 400, NameInvalid),
        ("GET", "/v2/a;b/tags/list", 400, NameInvalid),
        ("GET", "/v2/a+b/tags/list", 400, NameInvalid),
        ("GET", "/v2/a%20/tags/list", 400, NameInvalid),
        ("GET", "/v2/%C3%A9/tags/list", 400, NameInvalid),
        ("POST", "/v2/A/blobs/uploads/", 400, NameInvalid),
        ("PATCH", "/v2/A/blobs/uploads/x", 400, NameInvalid),
        ("GET", "/v2/A/blobs/SHA", 400, NameInvalid),
        ("GET", "/v2/A/referrers/SHA", 400, NameInvalid),
        ("GET", "/v2/x/referrers/SHA/referrers/SHA", 400, NameInvalid),
        ("GET", "/acr/v1/A", 400, NameInvalid),
        ("GET", "/acr/v1/a%252Fb/_tags", 400, NameInvalid),
        ("DELETE", "/acr/v1/a/_tags/-v1", 400, TagInvalid),
        ("PATCH", "/acr/v1/a/_tags/v%2531", 400, TagInvalid),
        ("GET", "/acr/v1/a/_tags/-v1", 404, ManifestUnknown),
        ("GET", "/acr/v1/a/_manifests/v1", 400, DigestInvalid),
        ("PATCH", "/acr/v1/a/_manifests/_tags", 400, DigestInvalid),
        ("GET", "/acr/v1/a/_tags?digest=v1", 400, DigestInvalid),
        ("GET", "/acr/v1/a/_tags?orderby=name", 400, Unsupported),
        ("GET", "/acr/v1/a/_tags?orderby=TimeAsc", 400, Unsupported),
        ("GET", "/acr/v1/a/_tags?orderby=none&orderby=none", 400, Unsupported),
        ("GET", "/acr/v1/_catalog?n=a", 400, PaginationNumberInvalid),
        ("PUT", "/v2/a/manifests/-v1", 400, TagInvalid),
        ("PUT", "/v2/a/manifests/v%2531", 400, TagInvalid),
        ("PUT", "/v2/a/manifests/v1;x", 400, TagInvalid),
        ("DELETE", "/v2/a/manifests/.v1", 400, TagInvalid),
        ("GET", "/v2/a/manifests/.INVALID_MANIFEST_NAME", 404, ManifestUnknown),
        ("HEAD", "/v2/a/manifests/.INVALID_MANIFEST_NAME", 404, ManifestUnknown),
        ("GET", "/v2/a/manifests/sha256:0", 400, DigestInvalid),
        ("PUT", "/v2/a/manifests/v1:x", 400, DigestInvalid),
        ("GET", "/v2/a/blobs/sha256:0", 400, DigestInvalid),
        ("GET", "/v2/a/blobs/v1", 400, DigestInvalid),
        ("GET", "/v2/a/blobs/sha256%253A0", 400, DigestInvalid),
        ("GET", "/v2/a/referrers/v1", 400, DigestInvalid),
        ("PATCH", "/v2/a/blobs/uploads/x%20y", 404, BlobUploadUnknown),
        ("PATCH", "/v2/a/blobs/uploads/x:y", 404, BlobUploadUnknown),
        ("PATCH", "/v2/a/blobs/uploads/x%25", 404, BlobUploadUnknown),
    ] {
        refused(method, target, status, code);
    }
    refused("GET", &format!("/v2/{long_name}/tags/list"), 400, NameInvalid);
    assert!(sent("GET", &format!("/v2/{longest_name}/tags/list")).is_ok());
    assert!(sent("PATCH", &format!("/v2/a/blobs/uploads/{longest_name}")).is_ok());
    refused("PATCH", &format!("/v2/a/blobs/uploads/{long_name}"), 404, BlobUploadUnknown);
}

#[test]
fn a_target_is_at_most_8_kib_long() {
    let filled = |length: usize| format!("/v2/?{}", "a".repeat(length - 5));
    passes("GET", &filled(8192), "/v2/");
    refused("GET", &filled(8193), 400, Unsupported);
}

#[test]
fn a_mount_is_read_from_every_spelling_that_an_upstream_would_read() {
    for (query, expected) in [
        ("mount=SHA&from=secret/app", "?mount=SHA&from=secret/app"),
        ("from=secret%2Fapp&mount=SHA", "?mount=SHA&from=secret/app"),
        ("f%72om=secret%2Fapp&%6dount=SHA", "?mount=SHA&from=secret/app"),
        ("mount=SHA", ""),
        ("mount=SHA&from=", ""),
        ("from=secret/app", ""),
        ("mount=&from=secret/app", ""),
        ("mount=&from=", ""),
        ("Mount=SHA&From=secret/app", ""),
        ("digest=SHA", "?digest=SHA"),
        ("digest=", ""),
        ("digest=SHA&mount=SHA", "?digest=SHA"),
        ("digest-algorithm=sha512", "?digest-algorithm=sha512"),
        ("api-version=2021-07-01&ns=docker.io&tag=x&n=1&_state=y", ""),
    ] {
        passes(
            "POST",
            &format!("/v2/mine/app/blobs/uploads/?{query}"),
            &format!("/v2/mine/app/blobs/uploads/{expected}"),
        );
        passes(
            "POST",
            &format!("/v2/mine/app/blobs/uploads?{query}"),
            &format!("/v2/mine/app/blobs/uploads/{expected}"),
        );
    }
    let Route::UploadStart { mount: Some(mount), .. } = route("POST", "/v2/a/blobs/uploads/?mount=SHA&f%72om=b%2fc")
    else {
        panic!("no mount");
    };
    assert_eq!((mount.from.as_str(), mount.digest.as_str()), ("b/c", SHA));
}

#[test]
fn a_mount_that_parsers_read_differently_is_refused() {
    for (query, code) in [
        ("mount=SHA&from=secret/app&from=public/x", Unsupported),
        ("mount=SHA&from=secret/app&f%72om=public/x", Unsupported),
        ("mount=SHA&from=a&from=", Unsupported),
        ("mount=SHA&mount=SHA&from=a", Unsupported),
        ("mount=SHA;from=secret/app", Unsupported),
        ("mount=SHA&x=;", Unsupported),
        ("mount=SHA&from=a&digest=SHA", Unsupported),
        ("digest=SHA&digest=SHA", Unsupported),
        ("mount=SHA&from=%", Unsupported),
        ("mount=SHA&from=a%00", Unsupported),
        ("mount=SHA&from=%ff", Unsupported),
        ("%zz=a", Unsupported),
        ("digest-algorithm=md5", Unsupported),
        ("mount=SHA&from=Secret/app", NameInvalid),
        ("mount=SHA&from=a%252Fb", NameInvalid),
        ("mount=SHA&from=a/../b", NameInvalid),
        ("mount=SHA&from=a+b", NameInvalid),
        ("from=a//b", NameInvalid),
        ("mount=sha256:0&from=a", DigestInvalid),
        ("mount=SHA+&from=a", DigestInvalid),
        ("mount=latest", DigestInvalid),
        ("digest=sha256:0", DigestInvalid),
    ] {
        refused("POST", &format!("/v2/mine/app/blobs/uploads/?{query}"), 400, code);
    }
}

#[test]
fn a_session_is_one_plain_path_segment() {
    for text in ["a", "...", "0a-F_.=", "uploads"] {
        assert_eq!(UploadSession::parse(text).map(|session| session.to_string()).as_deref(), Some(text));
    }
    for text in ["", ".", "..", "a/b", "a?b", "a%2f", "a b", "a+b", "é"] {
        assert_eq!(UploadSession::parse(text), None, "{text}");
    }
}

#[test]
fn only_the_query_completes_an_upload() {
    passes("PUT", "/v2/a/blobs/uploads/x?digest=SHA&_state=y", "/v2/a/blobs/uploads/x?_state=y&digest=SHA");
    refused("PUT", "/v2/a/blobs/uploads/x", 400, DigestInvalid);
    refused("PUT", "/v2/a/blobs/uploads/x?digest=", 400, DigestInvalid);
    refused("PUT", "/v2/a/blobs/uploads/x?digest=SHA&digest=SHA", 400, Unsupported);
    refused("PUT", "/v2/a/blobs/uploads/x?digest=SHA&_state=y&_state=z", 400, Unsupported);
    for method in ["GET", "PATCH", "DELETE"] {
        passes(method, "/v2/a/blobs/uploads/x?digest=SHA&mount=SHA&from=b", "/v2/a/blobs/uploads/x");
    }
}

#[test]
fn tags_are_read_from_a_put_by_digest_only() {
    let Route::Manifest { tags, .. } = route("PUT", "/v2/a/manifests/SHA?tag=v1&tag=v%32&t%61g=v3") else {
        panic!("no manifest");
    };
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["v1", "v2", "v3"]);
    passes("PUT", "/v2/a/manifests/SHA?tag=v1&tag=v%32", "/v2/a/manifests/SHA?tag=v1&tag=v2");
    for query in ["tag=-", "tag=", "tag=v1&tag=a/b", "tag=v%2531"] {
        refused("PUT", &format!("/v2/a/manifests/SHA?{query}"), 400, TagInvalid);
    }
    passes("PUT", "/v2/a/manifests/v1?tag=v2", "/v2/a/manifests/v1");
    for method in ["GET", "HEAD", "DELETE"] {
        passes(method, "/v2/a/manifests/SHA?tag=v2", "/v2/a/manifests/SHA");
    }
}

#[test]
fn a_page_is_bounded() {
    for (query, expected) in [
        ("n=0", "?n=0"),
        ("n=007", "?n=7"),
        ("n=10000", "?n=10000"),
        ("n=10001", "?n=10000"),
        ("n=99999999999999999999999", "?n=10000"),
        ("n=&last=&orderby=", ""),
        ("last=b&n=2&orderby=timedesc", "?n=2&last=b"),
        ("last=a%2Fb%26n%3D9", "?last=a/b%26n%3D9"),
    ] {
        for path in ["/v2/_catalog", "/v2/a/tags/list"] {
            passes("GET", &format!("{path}?{query}"), &format!("{path}{expected}"));
        }
    }
    for query in ["n=-1", "n=%2b1", "n=+1", "n=1.0", "n=0x1", "n=a", "n=%C2%B2"] {
        refused("GET", &format!("/v2/_catalog?{query}"), 400, PaginationNumberInvalid);
        refused("GET", &format!("/v2/a/tags/list?{query}"), 400, PaginationNumberInvalid);
    }
    for query in ["n=1&n=2", "last=a&last=b", "last=a%0a", "last=a;b", &format!("last={}", "a".repeat(513))] {
        refused("GET", &format!("/v2/_catalog?{query}"), 400, Unsupported);
    }
    assert!(sent("GET", &format!("/v2/_catalog?last={}", "a".repeat(512))).is_ok());
    refused("PATCH", &format!("/v2/a/blobs/uploads/x?_state={}", "a".repeat(6 * 1024 + 1)), 400, Unsupported);
    refused("GET", &format!("/v2/a/referrers/SHA?artifactType={}", "a".repeat(256)), 400, Unsupported);
}

#[test]
fn a_refusal_never_repeats_the_request() {
    let error = parse("GET", "/v2/EVIL/tags/list").unwrap_err();
    assert!(!error.to_string().contains("EVIL"));
    assert_eq!(error.to_string(), error.reason());
}
