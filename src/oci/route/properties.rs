//! What holds of every request line, accepted or refused, and not only of those somebody thought of.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::{collection, sample};

use super::tests::{SHA, full};
use super::*;

/// A method and a target made of pieces of the grammar, in any order and spelling: most are refused.
fn pieces() -> impl Strategy<Value = (String, String)> {
    const PIECES: &str = "/v2/ /v2 / a a/b manifests /manifests/ tags/list /tags/list blobs /blobs/ uploads \
        /blobs/uploads/ /referrers/ _catalog v1 SHA %2F %2f %61 %252F .. . %2e ? & = ; + %20 %3D %26 %C3%A9 mount= from= \
        digest= n= last= tag= _state= artifactType= digest-algorithm=sha512 12 99999 /oauth2/token /acr/v1/ /_tags /_manifests \
        _tags _deleted orderby= timeasc";
    let piece = prop_oneof![
        4 => sample::select(PIECES.split(' ').collect::<Vec<_>>()).prop_map(full),
        1 => "\\PC{0,3}",
        1 => "[!-~]{0,4}",
    ];
    let target = collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    (sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]).prop_map(str::to_owned), target)
}

/// A method and a target with a good path and any query: most are accepted.
fn requests() -> impl Strategy<Value = (String, String)> {
    const REQUESTS: &str = "GET /v2/,GET /v2/_catalog,GET /v2/a%2Fb/tags/list,PUT /v2/a/manifests/v1,\
        PUT /v2/a/manifests/SHA,GET /v2/a/blobs/SHA,POST /v2/a/blobs/uploads,PATCH /v2/a/blobs/uploads/x,\
        PUT /v2/a/blobs/uploads/x,GET /v2/a/referrers/SHA,GET /acr/v1/a/_tags,GET /acr/v1/a%2fb/_manifests,POST /v2/x/blobs/uploads/y/blobs/uploads/";
    let word = || "[a-zA-Z0-9_=+.-]{0,12}";
    let query = prop_oneof![
        Just("mount=SHA&from=a/b".to_owned()),
        Just("from=a%2fb&m%6funt=SHA".to_owned()),
        Just("digest=SHA".to_owned()),
        "n=[0-9]{1,12}",
        "(last|_state|artifactType|x|tag)=([!-:<-~--%#&\\\\]|%[2-6][0-9A-F]|%C3%A9){0,80}",
        word().prop_map(|last| format!("last={last}&n=5")),
        word().prop_map(|last| format!("orderby=timedesc&last={last}")),
        word().prop_map(|state| format!("digest=SHA&_state={state}")),
        ("[a-z]{1,5}", word()).prop_map(|(tag, other)| format!("tag={tag}&tag=v%31&{other}")),
    ];
    (sample::select(REQUESTS.split(',').collect::<Vec<_>>()), query).prop_map(|(request, query)| {
        let (method, path) = request.split_once(' ').unwrap();
        (method.to_owned(), full(&format!("{path}?{query}")))
    })
}

/// What must hold of every accepted target; returns whether it was accepted.
fn holds(method: &str, target: &str) -> bool {
    let Ok(parsed) = parse(method, target) else { return false };
    let (base, canonical) = match &parsed.endpoint {
        Endpoint::Registry(route) => ("/v2/", route.canonical()),
        Endpoint::Metadata(route) => ("/acr/v1/", route.canonical()),
        _ => return true,
    };
    assert!(canonical.starts_with(base) && canonical.bytes().all(|byte| byte.is_ascii_graphic()), "{canonical}");
    let (path, query) = canonical.split_once('?').unwrap_or((&canonical, ""));
    assert!(!path.contains(['%', '\\', '#', ';', '+']) && !path.contains("//"), "{canonical}");
    assert!(!query.contains(['?', '#', ';', '+']), "{canonical}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{canonical}");
    assert_eq!(parse(method, &canonical).as_ref(), Ok(&parsed), "{target} became {canonical}");
    true
}

#[test]
fn the_longest_fields_still_fit_in_a_rebuilt_target() {
    let (name, session, state) = ("a".repeat(255), "s".repeat(255), "\"".repeat(2048));
    assert!(holds("PUT", &format!("/v2/{name}/blobs/uploads/{session}?_state={state}&digest={SHA}")));
    assert!(holds("GET", &format!("/v2/{name}/tags/list?n=10000&last={}", "\"".repeat(512))));
    let tags = vec![format!("tag={}", "t".repeat(70)); 99].join("&");
    assert!(holds("PUT", &format!("/v2/{name}/manifests/{SHA}?{tags}")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_canonical_form_parses_to_the_same_route((method, target) in requests()) {
        holds(&method, &target);
    }

    #[test]
    fn no_mixture_of_pieces_slips_through((method, target) in pieces()) {
        holds(&method, &target);
    }

    #[test]
    fn any_text_is_parsed_or_refused(method in ".*", target in "/?.*") {
        holds(&method, &target);
    }

    #[test]
    fn encoding_any_byte_of_a_path_changes_nothing(
        which in collection::vec(any::<bool>(), 150),
        request in sample::select(vec![
            "GET /v2/a/b/manifests/v1",
            "PUT /v2/a/manifests/SHA",
            "GET /v2/a/b/tags/list",
            "POST /v2/a/blobs/uploads/",
            "PATCH /v2/a/blobs/uploads/x",
            "GET /v2/_catalog",
            "GET /v2/",
            "DELETE /acr/v1/a/b/_tags/v1",
            "PATCH /acr/v1/a/b",
        ]),
    ) {
        let (method, target) = request.split_once(' ').unwrap();
        let plain = full(target);
        let mut encoded = String::from("/");
        for (byte, encode) in plain.bytes().skip(1).zip(which) {
            if encode {
                write!(encoded, "%{byte:02x}").unwrap();
            } else {
                encoded.push(char::from(byte));
            }
        }
        prop_assert_eq!(parse(method, &encoded), parse(method, &plain));
        prop_assert!(parse(method, &plain).is_ok());
    }
}
