//! Anonymous pull of some repositories, seen by a real client and on the wire.

use crate::harness::client::Client;
use crate::harness::containers::Skopeo;
use crate::harness::http::{Response, get, request_to};
use crate::harness::image::Layout;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::session::Account;

const OWNER: &str = "the password of whoever fills the registry";

#[test]
fn everybody_pulls_from_the_named_repositories_and_from_no_other() {
    let (upstream, place) = (Registry::start(Distribution::V2), Place::new());
    let server = place.login_server();
    let document = place.document(&format!(
        "registries:\n  myregistry:\n    loginServer: \"{server}\"\n    upstream: {{ url: \"{}\" }}\n    anonymousPullEnabled: \
         true\n    anonymousPullRepositories: [\"public/*\"]\n    adminUserEnabled: true\n    admin: {{ passwords: [ {{ name: \
         password, file: \"{}\" }} ] }}\n",
        upstream.url(),
        place.secret("owner", OWNER).display(),
    ));
    let seawall = place.start(&document);
    let (open, closed) = (format!("{server}/public/app:v1"), format!("{server}/private/app:v1"));
    let (layout, mut owner, stranger) = (Layout::image("for everybody"), Skopeo::new(), Skopeo::new());
    owner.log_in(&server, &Account::new("myregistry", OWNER)).expect_success();
    for reference in [&open, &closed] {
        owner.load(&layout, reference);
        owner.push(&layout, reference).expect_success();
    }
    stranger.load(&layout, &open);
    stranger.forget(&open);
    stranger.pull(&open).expect_success();
    stranger.pull(&closed).expect_failure("denied");

    let token = |scope: &str| -> Response {
        let target = format!("/oauth2/token?service={server}&scope={scope}");
        request_to(seawall.address(), &server, "GET", &target, &[], b"").unwrap()
    };
    let granted = |scope: &str| token(scope).expect(200).json()["scope"].as_str().unwrap().to_owned();
    assert_eq!(granted("repository:public/app:pull,push"), "repository:public/app:pull");
    for scope in ["repository:private/app:pull", "repository:publicity/app:pull", "registry:catalog:*"] {
        assert_eq!(granted(scope), "", "{scope}");
    }
    // Whatever is tried with what everybody gets, nothing else opens.
    let both = token("repository:public/app:pull,metadata_read&scope=repository:private/app:pull").expect(200).json();
    let bearer = format!("Bearer {}", both["access_token"].as_str().unwrap());
    let ask = |method: &str, target: &str| {
        request_to(seawall.address(), &server, method, target, &[("Authorization", &bearer)], b"").unwrap().status
    };
    assert_eq!(ask("GET", "/v2/public/app/tags/list"), 200);
    for (method, target) in [
        ("GET", "/v2/private/app/manifests/v1"),
        ("GET", "/v2/private/app/tags/list"),
        ("GET", "/v2/_catalog"),
        ("PUT", "/v2/public/app/manifests/v2"),
        ("POST", "/v2/public/app/blobs/uploads/"),
        ("POST", "/v2/public/copy/blobs/uploads/?from=private/app&mount=sha256:0"),
        ("DELETE", "/v2/public/app/manifests/v1"),
    ] {
        assert!(matches!(ask(method, target), 400 | 401), "{method} {target}");
    }
    assert_eq!(get(seawall.address(), "/v2/").unwrap().status, 401, "the challenge, as for everybody");
}
