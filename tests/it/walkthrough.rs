//! The walk-through of ACR's page on repository-scoped tokens (S3-66 to S3-76) with a real Docker, where an edit of the
//! file stands in for `az acr scope-map update`. Nothing is restarted.

use crate::harness::client::Client;
use crate::harness::daemons::Docker;
use crate::harness::http::{self, Response};
use crate::harness::image::Layout;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, Session, parameter};
use crate::harness::wait_until;

const TOKEN_NAME: &str = "MyToken";
const TOKEN_PASSWORD: &str = "the-token-password-of-a-test";
const BOTH: &str = "[content/read, content/write]";

/// The file with one scope map, `MyScopeMap`, and one token that has it.
fn document(place: &Place, upstream: &Registry, repositories: &str, status: &str) -> String {
    let password = place.secret("MyToken", TOKEN_PASSWORD);
    place.document(&format!(
        "
registries:
  myregistry:
    loginServer: \"{}\"
    upstream: {{ url: \"{}\" }}
    scopeMaps:
      MyScopeMap: {{ description: Sample scope map, repositories: {{ {repositories} }} }}
    tokens:
      MyToken:
        scopeMap: MyScopeMap
        status: {status}
        passwords: [ {{ name: password1, file: \"{}\" }} ]
",
        place.login_server(),
        upstream.url(),
        password.display(),
    ))
}

fn start(upstream: &Registry, repositories: &str) -> Seawall {
    let place = Place::new();
    let document = document(&place, upstream, repositories, "enabled");
    place.start(&document)
}

fn edit(seawall: &Seawall, upstream: &Registry, repositories: &str) {
    seawall.edit(&document(seawall.place(), upstream, repositories, "enabled"));
}

fn account() -> Account {
    Account::new(TOKEN_NAME, TOKEN_PASSWORD)
}

/// S3-66 to S3-76, in their order.
#[test]
fn a_scope_map_update_moves_the_right_to_push_from_one_repository_to_another() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream, &format!("samples/hello-world: {BOTH}"));
    let started_as = seawall.process().id();
    let mut docker = Docker::new();

    // S3-66: two images under the registry's name.
    let server = seawall.place().login_server();
    let hello = format!("{server}/samples/hello-world:v1");
    let nginx = format!("{server}/samples/nginx:v1");
    let layout = Layout::image("hello");
    let hello_image = docker.load(&layout, &hello);
    docker.docker(&["tag", &hello, &nginx]).expect_success();

    // S3-67, S3-68: the token's name is the user name.
    docker.log_in(&server, &account()).expect_success();

    // S3-69, S3-70: only what the scope map names can be pushed.
    docker.push(&layout, &hello).expect_success();
    docker.push(&layout, &nginx).expect_failure("requested access to the resource is denied");

    // S3-71 to S3-73: one update adds and removes.
    edit(&seawall, &upstream, &format!("samples/nginx: {BOTH}, samples/hello-world: [content/read]"));

    // S3-74, S3-75: it is in force at once.
    docker.push(&layout, &nginx).expect_success();
    docker.push(&layout, &hello).expect_failure("requested access to the resource is denied");

    // S3-76: both can be pulled.
    docker.forget(&hello);
    docker.pull(&nginx).expect_success();
    docker.pull(&hello).expect_success();
    assert_eq!(docker.identity(&hello), Some(hello_image));

    seawall.process().expect_running();
    assert_eq!(seawall.process().id(), started_as);
}

fn start_upload(session: &Session, access_token: &str) -> Response {
    session.bearer(access_token, "POST", "/v2/samples/app/blobs/uploads/")
}

/// S3-71 beyond the letter (D5): what was taken away is gone for access tokens that were issued before.
#[test]
fn a_right_taken_away_is_gone_for_access_tokens_issued_before() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, &format!("samples/app: {BOTH}"));
    let session = Session::new(seawall.address(), account());
    let access_token = session.access_token(&["repository:samples/app:pull,push"]);
    start_upload(&session, &access_token).expect(202);

    edit(&seawall, &upstream, "samples/app: [content/read]");

    let refused = start_upload(&session, &access_token).expect(401);
    let challenge = refused.expect_header("WWW-Authenticate").to_owned();
    assert_eq!(parameter(&challenge, "error"), "insufficient_scope", "{challenge}");
    // What is left of the rights still works: the repository is empty, which only a permitted reader learns.
    session.bearer(&access_token, "GET", "/v2/samples/app/manifests/none").expect(404);
}

/// A right that was added works with the next access token, not with one that does not name it.
#[test]
fn a_right_given_works_with_the_next_access_token() {
    let upstream = Registry::start(Distribution::V2);
    let seawall = start(&upstream, "samples/app: [content/read]");
    let session = Session::new(seawall.address(), account());
    let scopes = ["repository:samples/app:pull,push"];
    let before = session.access_token(&scopes);
    start_upload(&session, &before).expect(401);

    edit(&seawall, &upstream, &format!("samples/app: {BOTH}"));

    let refused = start_upload(&session, &before).expect(401);
    let challenge = refused.expect_header("WWW-Authenticate").to_owned();
    assert_eq!(parameter(&challenge, "error"), "insufficient_scope", "{challenge}");
    start_upload(&session, &session.access_token(&scopes)).expect(202);
}

/// S3-67, S3-93: a disabled token cannot log in, and its access tokens end with it.
#[test]
fn a_disabled_token_is_refused_on_the_next_request_until_it_is_enabled_again() {
    let upstream = Registry::start(Distribution::V2);
    let repositories = format!("samples/app: {BOTH}");
    let seawall = start(&upstream, &repositories);
    let session = Session::new(seawall.address(), account());
    let access_token = session.access_token(&["repository:samples/app:pull,push"]);

    seawall.edit(&document(seawall.place(), &upstream, &repositories, "disabled"));
    start_upload(&session, &access_token).expect(401);
    let basic = account().basic();
    let log_in = || http::request(seawall.address(), "GET", "/v2/", &[("Authorization", &basic)], b"").unwrap();
    log_in().expect(401);

    edit(&seawall, &upstream, &repositories);
    log_in().expect(200);
}

/// A file that cannot be compiled changes nothing: rights stay as they were until a good one comes.
#[test]
fn a_broken_edit_leaves_the_policy_in_force() {
    let upstream = Registry::start(Distribution::V2);
    let mut seawall = start(&upstream, &format!("samples/app: {BOTH}"));
    let session = Session::new(seawall.address(), account());
    let path = seawall.place().path().join("seawall.yaml");
    let version = seawall.metric("seawall_policy_version");

    std::fs::write(&path, "version: 1\nregistries: {myregistry: {surprise: true}}\n").unwrap();
    wait_until("the problem is in the log", || seawall.process().log().contains("surprise"));
    assert!((seawall.metric("seawall_policy_version") - version).abs() < f64::EPSILON, "the broken file was published");
    start_upload(&session, &session.access_token(&["repository:samples/app:pull,push"])).expect(202);

    edit(&seawall, &upstream, "samples/app: [content/read]");
    start_upload(&session, &session.access_token(&["repository:samples/app:pull,push"])).expect(401);
}
