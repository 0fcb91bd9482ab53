//! What seawall presents to registries that want a credential: to real ones, and to some that behave badly.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::harness::caller::{Caller, with_query};
use crate::harness::fake::{Fake, Seen, Then, answer};
use crate::harness::http;
use crate::harness::nearby::{PASSWORD, listener, registry, with_listeners, worker};
use crate::harness::ports;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::{Account, Session};
use crate::harness::tls::{Authority, listener_tls};
use crate::harness::wait_until;
use crate::harness::wall::NO_SWEEP;

const ROBOT: &str = "robot$seawall";
const ROBOT_PASSWORD: &str = "the:password-of-a-robot";

/// A registry whose upstream is at `url` with this credential, in `place`.
fn document(place: &Place, url: &str, credential: &str) -> String {
    let upstream = format!("url: \"{url}\", credential: {{ {credential} }}");
    place.document(&format!("registries:\n{}", registry(place, "myregistry", &place.login_server(), &upstream, &[])))
}

fn start(url: &str, credential: impl Fn(&Place) -> String) -> Seawall {
    let place = Place::new();
    let document = document(&place, url, &credential(&place));
    place.start(&document)
}

/// `username` and `password` as the file has them.
fn account(place: &Place, account: &Account) -> String {
    let file = place.secret("upstream", &account.password);
    format!("username: \"{}\", password: {{ file: \"{}\" }}", account.user, file.display())
}

fn robot() -> Account {
    Account::new(ROBOT, ROBOT_PASSWORD)
}

/// The client, who has nothing but an account at seawall.
fn client(seawall: &Seawall) -> Caller {
    Caller { address: seawall.address(), authorization: Some(worker().basic()) }
}

/// A push, a pull, a mount, lists and deletions: every kind of request.
fn use_everything(seawall: &Seawall) {
    let client = client(seawall);
    let manifest = client.push_image("team/app", "v1", "an image");
    let blob = client.push_blob("team/app", b"a layer");
    let begun = client.begin("team/app");
    let patched = client.send("PATCH", &begun, &[("Content-Type", "application/octet-stream")], b"half ").expect(202);
    let session = patched.expect_header("Location").to_owned();
    let whole = crate::harness::caller::digest(b"half and half");
    client.send("PUT", &with_query(&session, &format!("digest={whole}")), &[], b"and half").expect(201);
    assert_eq!(client.has_manifest("team/app", "v1"), 200);
    let pulled = client.get(&format!("/v2/team/app/blobs/{blob}")).expect(200);
    assert_eq!(pulled.body, b"a layer");
    client.send("POST", &format!("/v2/team/copy/blobs/uploads/?mount={blob}&from=team/app"), &[], b"").expect(201);
    assert_eq!(client.get("/v2/team/app/tags/list").expect(200).json()["tags"], serde_json::json!(["v1"]));
    let abandoned = client.begin("team/app");
    client.send("DELETE", &abandoned, &[], b"").expect(204);
    let digest = crate::harness::caller::digest(&manifest);
    client.send("DELETE", &format!("/v2/team/app/manifests/{digest}"), &[], b"").expect(202);
    assert_eq!(client.has_manifest("team/app", "v1"), 404);
}

/// The last audit record; nothing, before the first.
fn last(seawall: &Seawall) -> Value {
    seawall.audit().pop().unwrap_or_default()
}

/// The client sees no 401, which would make it log in again; the audit log has this reason, the log these words.
fn expect_refused(seawall: &mut Seawall, path: &str, reason: &str, words: &str) {
    let refused = client(seawall).get(path).expect(502);
    assert_eq!(refused.header("WWW-Authenticate"), None);
    wait_until("the request is in the audit log", || last(seawall)["reason"] == reason);
    wait_until("the log says why", || seawall.process().log().contains(words));
    let told = format!("{}{:?}{}", seawall.process().log(), seawall.audit(), refused.text());
    for secret in [ROBOT_PASSWORD, PASSWORD, "Basic "] {
        assert!(!told.contains(secret), "`{secret}` is told: {told}");
    }
}

#[test]
fn a_registry_with_passwords_gets_the_one_of_seawall() {
    for distribution in Distribution::at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("htpasswd");
        fs::write(&users, format!("{ROBOT}:{}\n", bcrypt::hash(ROBOT_PASSWORD, 4).unwrap())).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: behind, path: \"{}\"}}}}", users.display());
        let upstream = Registry::guarded(distribution, ports::free(), &auth);
        http::get(upstream.address(), "/v2/").unwrap().expect(401);
        let mut seawall = start(&upstream.url(), |place| format!("type: basic, {}", account(place, &robot())));
        use_everything(&seawall);

        // A wrong password, then the right one again: each is in force with the reload of its file.
        let before = seawall.metric("seawall_policy_version");
        seawall.place().secret("upstream", "another");
        wait_until("the wrong password is in force", || seawall.metric("seawall_policy_version") > before);
        let words = "does not accept the user name and password";
        expect_refused(&mut seawall, "/v2/team/app/tags/list", "upstream_unauthorized", words);
        let before = seawall.metric("seawall_policy_version");
        seawall.place().secret("upstream", ROBOT_PASSWORD);
        wait_until("the right password is in force", || seawall.metric("seawall_policy_version") > before);
        use_everything(&seawall);
    }
}

#[test]
fn without_a_credential_a_registry_that_wants_one_is_told_from_one_that_is_down() {
    let upstream = Fake::always(answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"behind\"\r\n", "{}"));
    let mut seawall = start(&upstream.url(), |_| "type: none".to_owned());
    expect_refused(&mut seawall, "/v2/team/app/tags/list", "upstream_unauthorized", "set `upstream.credential`");
}

/// The tokens that a seawall has issued.
fn issued(seawall: &Seawall) -> usize {
    seawall.audit().iter().filter(|record| record["reason"] == "token_issued").count()
}

/// Another seawall stands for every registry with a token service: Harbor, ACR, GitLab.
#[test]
fn a_registry_with_a_token_service_is_asked_once_for_each_kind_of_request() {
    let distribution = Registry::start(Distribution::V2);
    let inner = start(&distribution.url(), |_| "type: none".to_owned());
    let url = format!("http://{}", inner.address());
    let with = |place: &Place, account: &Account| {
        format!("{NO_SWEEP}\n{}", document(place, &url, &format!("type: token, {}", self::account(place, account))))
    };
    let place = Place::new();
    let text = with(&place, &worker());
    let mut outer = place.start(&text);
    use_everything(&outer);

    // Twelve at the same time, for a repository that nobody has asked for yet.
    client(&outer).push_image("team/busy", "v1", "another image");
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(client(&outer).has_manifest("team/busy", "v1"), 200));
        }
    });
    for _ in 0..3 {
        assert_eq!(client(&outer).has_manifest("team/busy", "v1"), 200);
    }
    // Of `team/app` to push, pull, mount, list, end a session and delete; of `team/busy` to push and pull. What learns of
    // pushes in the background has the same tokens.
    wait_until("the inner seawall has written its records", || issued(&inner) >= 8);
    assert_eq!(issued(&inner), 8, "a token for each kind of request");

    // With another password nothing that the former one obtained is used any more.
    let place = outer.place();
    let wrong = Account::new("worker", "another");
    let text = with(place, &wrong);
    outer.edit(&text);
    expect_refused(&mut outer, "/v2/team/app/tags/list", "upstream_unauthorized", "does not accept the user name");
}

/// The token service is at the upstream's own address, so its certificate has the same name and authority.
#[test]
fn the_token_service_is_verified_like_the_upstream() {
    let authority = Authority::new();
    let distribution = Registry::start(Distribution::V2);
    let place = Place::new();
    let files = authority.issue(place.path(), "tls", &["inside.test"]);
    let plain = document(&place, &distribution.url(), "type: none");
    let text = with_listeners(&plain, &listener("public", place.public(), &listener_tls(&[&files])));
    let inner = place.start(&text);

    let folder = tempfile::tempdir().unwrap();
    let trusting = |authority: &Authority, name: &str| {
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.pem()).unwrap();
        let place = Place::new();
        let upstream = format!(
            "url: \"https://{}\", ca: \"{}\", serverName: {name}, credential: {{ type: token, {} }}",
            inner.address(),
            ca.display(),
            account(&place, &worker())
        );
        let registries = registry(&place, "myregistry", &place.login_server(), &upstream, &[]);
        let text = place.document(&format!("registries:\n{registries}"));
        place.start(&text)
    };
    use_everything(&trusting(&authority, "inside.test"));
    let before = issued(&inner);
    for (authority, name) in [(&Authority::new(), "inside.test"), (&authority, "outside.test")] {
        let mut outer = trusting(authority, name);
        expect_refused(&mut outer, "/v2/team/app/tags/list", "upstream_no_token", "cannot be reached");
    }
    assert_eq!(issued(&inner), before);
}

#[test]
fn a_public_registry_is_asked_for_tokens_without_a_password() {
    let distribution = Registry::start(Distribution::V2);
    let place = Place::new();
    let upstream = format!("url: \"{}\"", distribution.url());
    let more = ["anonymousPullEnabled: true"];
    let registries = registry(&place, "myregistry", &place.login_server(), &upstream, &more);
    let text = place.document(&format!("registries:\n{registries}"));
    let inner = place.start(&text);
    client(&inner).push_image("team/app", "v1", "a public image");
    let mut outer = start(&format!("http://{}", inner.address()), |_| "type: token".to_owned());
    assert_eq!(client(&outer).has_manifest("team/app", "v1"), 200);
    // What nobody may do is our failure, not the client's.
    let pushed = client(&outer).send("POST", "/v2/team/app/blobs/uploads/", &[], b"").expect(502);
    assert_eq!(pushed.header("WWW-Authenticate"), None);
    wait_until("it is in the audit log", || last(&outer)["reason"] == "upstream_unauthorized");
    assert!(outer.process().log().contains("does not accept the tokens"));
}

/// A registry that wants one of its tokens, and the token service of it, which numbers them.
struct Service {
    fake: Fake,
    /// Tokens with a lower number are refused.
    accepted: Arc<AtomicUsize>,
    /// For how many seconds a token is said to be good.
    life: Arc<AtomicUsize>,
}

impl Service {
    /// `realm` is where its challenge leads; its own token service, unless told.
    fn start(realm: Option<String>) -> Self {
        let issued = AtomicUsize::new(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let life = Arc::new(AtomicUsize::new(300));
        let (least, seconds) = (Arc::clone(&accepted), Arc::clone(&life));
        let fake = Fake::answering(move |request, stream| {
            let own = format!("http://{}/token?x=1", stream.local_addr().unwrap());
            let realm = realm.as_ref().unwrap_or(&own);
            let text = if request.line.starts_with("GET /token") {
                let number = issued.fetch_add(1, Ordering::SeqCst);
                answer(
                    "200 OK",
                    "",
                    &format!("{{\"token\":\"number-{number}\",\"expires_in\":{}}}", seconds.load(Ordering::SeqCst)),
                )
            } else if number_of(request).is_some_and(|number| number >= least.load(Ordering::SeqCst)) {
                let location = "Location: /v2/team/app/blobs/uploads/u1?_state=x\r\nRange: 0-3\r\n";
                let status = if request.line.starts_with("GET") { "200 OK" } else { "202 Accepted" };
                answer(status, location, "{}")
            } else {
                let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"behind\"\r\n");
                answer("401 Unauthorized", &challenge, "{}")
            };
            write(stream, &text)
        });
        Self { fake, accepted, life }
    }

    fn count(&self, beginning: &str) -> usize {
        self.fake.lines().iter().filter(|line| line.starts_with(beginning)).count()
    }
}

fn number_of(request: &Seen) -> Option<usize> {
    request.header("authorization")?.strip_prefix("Bearer number-")?.parse().ok()
}

fn write(stream: &mut TcpStream, text: &str) -> Then {
    let _ = stream.write_all(text.as_bytes());
    Then::KeepOpen
}

fn with_robot(service: &Fake) -> Seawall {
    start(&service.url(), |place| format!("type: token, {}", account(place, &robot())))
}

#[test]
fn a_refused_token_is_replaced_once_and_the_client_never_sees_a_401() {
    let service = Service::start(None);
    let mut seawall = with_robot(&service.fake);
    let path = "/v2/team/app/tags/list";
    client(&seawall).get(path).expect(200);
    let asked = service.fake.seen().into_iter().find(|seen| seen.line.starts_with("GET /token")).unwrap();
    assert_eq!(
        asked.line,
        "GET /token?x=1&service=behind&scope=repository%3Ateam%2Fapp%3Apull%2Cmetadata_read HTTP/1.1"
    );
    assert_eq!(asked.header("authorization"), Some(robot().basic().as_str()));

    // Number 0 is refused from now on: the request goes up again with number 1.
    service.accepted.store(1, Ordering::SeqCst);
    client(&seawall).get(path).expect(200);
    assert_eq!((service.count("GET /token"), service.count("GET /v2/team")), (2, 3));

    // Whatever is tried is refused: tried twice, no more.
    service.accepted.store(100, Ordering::SeqCst);
    expect_refused(&mut seawall, path, "upstream_unauthorized", "does not accept the tokens");
    assert_eq!((service.count("GET /token"), service.count("GET /v2/team")), (3, 5));
    // Nor is each further request another login.
    client(&seawall).get(path).expect(502);
    assert_eq!((service.count("GET /token"), service.count("GET /v2/team")), (3, 5));

    // A begun upload has no body and goes up again; bytes that are gone cannot, and the next request has a fresh token.
    service.accepted.store(4, Ordering::SeqCst);
    let session = client(&seawall).begin("team/app");
    assert_eq!(service.count("POST /v2/"), 2);
    service.accepted.store(5, Ordering::SeqCst);
    let octets = [("Content-Type", "application/octet-stream")];
    client(&seawall).send("PATCH", &session, &octets, b"data").expect(502);
    client(&seawall).send("PATCH", &session, &octets, b"data").expect(202);
    assert_eq!(service.count("PATCH /v2/"), 2);
}

/// An account that a storm of wrong logins would lock.
#[test]
fn a_wrong_password_is_tried_once_whatever_is_asked_for() {
    let service = Fake::answering(|_, stream| {
        let own = stream.local_addr().unwrap();
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\"\r\n");
        write(stream, &answer("401 Unauthorized", &challenge, ""))
    });
    let seawall = with_robot(&service);
    for repository in ["one", "two", "three"] {
        client(&seawall).get(&format!("/v2/team/{repository}/tags/list")).expect(502);
    }
    assert_eq!(service.lines().iter().filter(|line| line.starts_with("GET /token")).count(), 1);
}

#[test]
fn a_token_is_replaced_before_it_ends() {
    let service = Service::start(None);
    service.life.store(2, Ordering::SeqCst);
    let seawall = with_robot(&service.fake);
    let mut sent = 0;
    wait_until("there is a second token", || {
        client(&seawall).get("/v2/team/app/tags/list").expect(200);
        sent += 1;
        service.count("GET /token") == 2
    });
    assert!(sent > 2, "the first one was used more than once");
    assert_eq!(service.count("GET /v2/team"), sent, "none went up twice");
}

#[test]
fn the_password_goes_to_no_other_origin_and_after_no_redirect() {
    let elsewhere = Service::start(None);
    let realm = format!("{}/token", elsewhere.fake.url());
    let service = Service::start(Some(realm));
    let mut seawall = with_robot(&service.fake);
    let words = format!("the challenge leads to {}, which is neither", elsewhere.fake.url());
    expect_refused(&mut seawall, "/v2/team/app/tags/list", "upstream_no_token", &words);
    assert_eq!(elsewhere.fake.lines(), Vec::<String>::new());

    // Allowed, it gets the password; the upstream itself never does.
    let place = seawall.place();
    let credential = format!("type: token, realms: [ \"{}\" ], {}", elsewhere.fake.url(), account(place, &robot()));
    let text = document(place, &service.fake.url(), &credential);
    seawall.edit(&text);
    client(&seawall).get("/v2/team/app/tags/list").expect(200);
    let authorizations = |fake: &Fake| -> Vec<String> {
        fake.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect()
    };
    assert_eq!(authorizations(&elsewhere.fake), [robot().basic()]);
    assert_eq!(authorizations(&service.fake), ["Bearer number-0"]);

    // A token service that sends us elsewhere.
    let target = Fake::always(answer("200 OK", "", "{\"token\":\"number-0\"}"));
    let location = format!("Location: {}/token\r\n", target.url());
    let moved = Fake::answering(move |request, stream| {
        let own = stream.local_addr().unwrap();
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\"\r\n");
        let redirected = request.line.starts_with("GET /token");
        write(
            stream,
            &if redirected {
                answer("307 Temporary Redirect", &location, "")
            } else {
                answer("401 Unauthorized", &challenge, "")
            },
        )
    });
    let mut seawall = with_robot(&moved);
    expect_refused(&mut seawall, "/v2/team/app/tags/list", "upstream_no_token", "is no token (status 307)");
    assert_eq!(target.lines(), Vec::<String>::new());
}

#[test]
fn the_clients_own_credential_is_replaced_by_that_of_seawall() {
    let upstream = Fake::always(answer("200 OK", "Content-Type: application/json\r\n", "{\"tags\":[]}"));
    let seawall = start(&upstream.url(), |place| format!("type: basic, {}", account(place, &robot())));
    client(&seawall).get("/v2/team/app/tags/list").expect(200);
    let seen = upstream.seen();
    let lines: Vec<_> = seen.iter().flat_map(|seen| &seen.headers).collect();
    let authorization: Vec<_> = lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).collect();
    assert_eq!(authorization.len(), 1);
    assert_eq!(authorization[0].1, robot().basic());
}

/// Starts a Distribution at `address` that accepts the tokens of this seawall for the service `behind`.
fn verifying(distribution: Distribution, address: SocketAddr, seawall: &Seawall) -> Registry {
    let certificates = seawall.place().path().join("keys/certificates.pem");
    let auth = format!(
        "auth: {{token: {{realm: \"http://unused/\", service: behind, issuer: inside, rootcertbundle: \"{}\"}}}}",
        certificates.display()
    );
    Registry::guarded(distribution, address, &auth)
}

#[test]
fn distribution_accepts_the_tokens_that_seawall_signs_for_it() {
    for distribution in Distribution::at_hand() {
        let address = ports::free();
        let credential = "type: minted, service: behind, issuer: inside, account: the wall";
        let mut seawall = start(&format!("http://{address}"), |_| credential.to_owned());
        let upstream = verifying(distribution, address, &seawall);
        http::get(upstream.address(), "/v2/").unwrap().expect(401);
        use_everything(&seawall);

        // What clients have got from seawall opens nothing behind it.
        let session = Session::new(seawall.address(), worker());
        let theirs = format!("Bearer {}", session.access_token(&["repository:team/app:pull"]));
        let path = "/v2/team/app/tags/list";
        http::request(upstream.address(), "GET", path, &[("Authorization", &theirs)], b"").unwrap().expect(401);

        let text = document(seawall.place(), &upstream.url(), "type: minted, service: another, issuer: inside");
        seawall.edit(&text);
        expect_refused(&mut seawall, path, "upstream_unauthorized", "does not accept the tokens that seawall signs");
    }
}
