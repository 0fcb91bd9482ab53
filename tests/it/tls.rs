//! TLS on both sides of seawall: protocols, certificates by name, certificates that change, and upstreams whose certificates
//! have to be the right ones (threat classes N and O).

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};

use crate::harness::caller::Caller;
use crate::harness::http::{Connection, Response};
use crate::harness::nearby::{listener, registry, with_listeners, worker};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::parameter;
use crate::harness::sources::{message, record_of};
use crate::harness::tls::{Authority, TlsRegistry, connect, handshake, listener_tls, shown, written};
use crate::harness::{ports, wait_until};

const HOST: &str = "registry.test";

/// A seawall with a plain listener and one with TLS, whose certificates are for `registry.test` and `*.other.test`.
struct Encrypted {
    seawall: Seawall,
    upstream: Registry,
    authority: Authority,
    tls: SocketAddr,
    files: [[PathBuf; 2]; 2],
}

impl Encrypted {
    fn start() -> Self {
        let upstream = Registry::start(Distribution::V2);
        let place = Place::new();
        let authority = Authority::new();
        let files = [
            authority.issue(place.path(), "first", &[HOST]),
            authority.issue(place.path(), "second", &["*.other.test"]),
        ];
        let tls = ports::free();
        let listeners = format!(
            "{}, {}",
            listener("public", place.public(), ""),
            listener("encrypted", tls, &listener_tls(&[&files[0], &files[1]]))
        );
        let document = with_listeners(&document(&place, &upstream, &[]), &listeners);
        Self { seawall: place.start(&document), upstream, authority, tls, files }
    }

    /// The certificate that a client sees which asks for this name.
    fn certificate_for(&self, name: &str) -> rustls::pki_types::CertificateDer<'static> {
        let mut client = self.authority.client(&["http/1.1"], rustls::ALL_VERSIONS);
        client.dangerous().set_certificate_verifier(Arc::new(unchecked::Unchecked));
        shown(&handshake(TcpStream::connect(self.tls).unwrap(), client, name).unwrap())
    }
}

fn document(place: &Place, upstream: &Registry, more: &[&str]) -> String {
    let url = format!("url: \"{}\"", upstream.url());
    place.document(&format!("registries:\n{}", registry(place, "myregistry", HOST, &url, more)))
}

fn get<S: Read + Write>(connection: &mut Connection<S>, path: &str) -> Response {
    connection.send(&message("GET", path, &[("Host", HOST), ("Authorization", &worker().basic())], b""));
    connection.answer("GET").unwrap()
}

/// ALPN chooses; without it, HTTP/1.1.
#[tokio::test]
async fn http2_and_http1_are_chosen_by_alpn() {
    let setup = Encrypted::start();
    for (offered, agreed) in [(&["http/1.1"][..], Some("http/1.1")), (&[], None), (&["h2", "http/1.1"], Some("h2"))] {
        let client = setup.authority.client(offered, rustls::ALL_VERSIONS);
        let stream = handshake(TcpStream::connect(setup.tls).unwrap(), client, HOST).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), agreed.map(str::as_bytes));
        if agreed != Some("h2") {
            assert_eq!(get(&mut Connection::over(stream), "/v2/").status, 200);
        }
    }
    let client = setup.authority.client(&["h2"], rustls::ALL_VERSIONS);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let socket = tokio::net::TcpStream::connect(setup.tls).await.unwrap();
    let stream = connector.connect(HOST.try_into().unwrap(), socket).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (path, status) in [("/v2/", 200), ("/v2/team/app/manifests/none", 404), ("/v2/_nothing", 404)] {
        let uri = format!("https://{HOST}{path}");
        let request = http::Request::get(uri).header("authorization", worker().basic()).body(()).unwrap();
        let answer = requests.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.headers().contains_key("strict-transport-security"), "{path}");
    }
    // Several streams of one connection at once, each decided for itself.
    let good = http::Request::get(format!("https://{HOST}/v2/")).header("authorization", worker().basic());
    let bad = http::Request::get(format!("https://{HOST}/v2/")).header("authorization", "Basic eDp5");
    let good = requests.send_request(good.body(()).unwrap(), true).unwrap().0;
    let bad = requests.send_request(bad.body(()).unwrap(), true).unwrap().0;
    assert_eq!(
        (good.await.unwrap().status(), bad.await.unwrap().status()),
        (http::StatusCode::OK, http::StatusCode::UNAUTHORIZED)
    );
}

/// A stream that its client resets in the middle of an upload, on a connection that goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_upload_that_is_reset_has_its_record_and_harms_nobody() {
    let setup = Encrypted::start();
    let client = setup.authority.client(&["h2"], rustls::ALL_VERSIONS);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let socket = tokio::net::TcpStream::connect(setup.tls).await.unwrap();
    let stream = connector.connect(HOST.try_into().unwrap(), socket).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = |method: &str, target: &str| {
        let builder = http::Request::builder().method(method).uri(format!("https://{HOST}{target}"));
        builder.header("authorization", worker().basic()).body(()).unwrap()
    };
    let started = requests.send_request(request("POST", "/v2/team/app/blobs/uploads/"), true).unwrap().0.await.unwrap();
    assert_eq!(started.status(), 202);
    let location = started.headers()["location"].to_str().unwrap().to_owned();

    let (_, mut body) = requests.send_request(request("PATCH", &location), false).unwrap();
    body.send_data(vec![b'x'; 1000].into(), false).unwrap();
    // The upstream's answer to the upload's state shows that the connection lives while the first stream is open.
    let state = requests.send_request(request("GET", &location), true).unwrap().0.await.unwrap();
    assert_eq!(state.status(), 204);
    body.send_reset(h2::Reason::CANCEL);
    wait_until("the reset upload is written", || setup.seawall.audit().len() == 3);
    let records = setup.seawall.audit();
    let reset: Vec<_> = records.iter().filter(|record| record["method"] == "PATCH").collect();
    assert_eq!(reset.len(), 1, "{records:?}");
    assert_eq!(
        (&reset[0]["reason"], &reset[0]["principal"]["name"]),
        (&"client_left".into(), &"worker".into()),
        "{reset:?}"
    );
    let after = requests.send_request(request("GET", "/v2/"), true).unwrap().0.await.unwrap();
    assert_eq!(after.status(), 200);
}

/// A hello that offers nothing newer than `version` (3, 1 is TLS 1.0), with the cipher suites of that time.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let suites = [0xc0, 0x09, 0xc0, 0x0a, 0xc0, 0x2b, 0x00, 0x2f, 0x00, 0x35, 0x00, 0x0a];
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 12]);
    body.extend(suites);
    body.extend([1, 0]);
    let groups = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0];
    let signatures = [0, 13, 0, 6, 0, 4, 4, 3, 4, 1];
    body.extend([0, u8::try_from(groups.len() + signatures.len()).unwrap()]);
    body.extend(groups);
    body.extend(signatures);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn only_tls_1_2_and_1_3_are_spoken() {
    let setup = Encrypted::start();
    for version in [&TLS12, &TLS13] {
        let client = setup.authority.client(&["http/1.1"], &[version]);
        let stream = handshake(TcpStream::connect(setup.tls).unwrap(), client, HOST).unwrap();
        assert_eq!(get(&mut Connection::over(stream), "/v2/").status, 200);
    }
    for (version, kind, alert) in [([3, 0], 21, true), ([3, 1], 21, true), ([3, 2], 21, true), ([3, 3], 22, false)] {
        let mut stream = TcpStream::connect(setup.tls).unwrap();
        stream.write_all(&hello(version)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        // 22: the handshake goes on, which shows that the hello itself is a good one. 21, 70: protocol version.
        assert_eq!(answer[0], kind, "{version:?}: {answer:?}");
        assert_eq!(alert, answer[5..] == [2, 70], "{version:?}: {answer:?}");
    }
    let mut plain = Connection::open(setup.tls).unwrap();
    plain.send(&message("GET", "/v2/", &[("Host", HOST)], b""));
    assert!(plain.answer("GET").is_none(), "a TLS listener answers nothing in the clear");
}

/// Threat class N (Traefik CVE-2024-39321): a request in early data could be replayed.
#[test]
fn early_data_is_never_taken() {
    let setup = Encrypted::start();
    let mut client = setup.authority.client(&["http/1.1"], &[&TLS13]);
    client.resumption = Resumption::in_memory_sessions(8);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for round in 0..2 {
        let socket = TcpStream::connect(setup.tls).unwrap();
        let name = HOST.try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::clone(&client), name).unwrap();
        assert!(connection.early_data().is_none(), "round {round}: the ticket allows early data");
        // Makes sure that the ticket of the first connection has arrived before the second one.
        while connection.is_handshaking() {
            connection.complete_io(&mut &socket).unwrap();
        }
        let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        assert_eq!(resumed, round == 1, "the second handshake has to be a resumption, or this test shows nothing");
        let stream = rustls::StreamOwned::new(connection, socket);
        assert_eq!(get(&mut Connection::over(stream), "/v2/").status, 200);
    }
}

/// Threat class O: the name chooses the certificate and nothing else; the Host chooses the registry.
#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let setup = Encrypted::start();
    let [first, second] = [0, 1].map(|at| written(&setup.files[at][0]));
    assert_ne!(first, second);
    for (name, expected) in [
        (HOST, &first),
        ("REGISTRY.test", &first),
        ("a.other.test", &second),
        ("a.b.other.test", &first),
        ("other.test", &first),
        ("nobody.test", &first),
        ("127.0.0.1", &first),
    ] {
        assert_eq!(&setup.certificate_for(name), expected, "{name}");
    }
    let mut other = connect(setup.tls, &setup.authority, "a.other.test");
    assert_eq!(get(&mut other, "/v2/").status, 200);
    other.send(&message("GET", "/v2/", &[("Host", "a.other.test")], b""));
    assert_eq!(other.answer("GET").unwrap().status, 421);
}

#[test]
fn a_new_certificate_serves_new_handshakes_and_a_broken_one_changes_nothing() {
    let mut setup = Encrypted::start();
    let old = written(&setup.files[0][0]);
    let mut open = connect(setup.tls, &setup.authority, HOST);
    assert_eq!(get(&mut open, "/v2/").status, 200);

    let directory = setup.seawall.place().path().to_owned();
    setup.authority.issue(&directory, "first", &[HOST]);
    let new = written(&setup.files[0][0]);
    assert_ne!(old, new);
    wait_until("the new certificate is shown", || setup.certificate_for(HOST) == new);
    assert_eq!(get(&mut open, "/v2/").status, 200, "a connection that is open goes on");
    assert_eq!(shown(open.stream()), old);

    // A certificate without its key, as a renewal that broke off leaves it; then no certificate at all.
    let other = setup.authority.issue(&directory, "other", &[HOST]);
    for broken in [fs::read(&other[0]).unwrap(), b"-----BEGIN NONSENSE-----\n".to_vec()] {
        let told = setup.seawall.process().log().matches("the certificates in use stay").count();
        fs::write(&setup.files[0][0], broken).unwrap();
        wait_until("the broken certificate is told", || {
            setup.seawall.process().log().matches("the certificates in use stay").count() > told
        });
        assert_eq!(setup.certificate_for(HOST), new);
    }
    assert!(setup.seawall.process().log().contains("first.crt"));

    setup.authority.issue(&directory, "first", &[HOST]);
    let mended = written(&setup.files[0][0]);
    wait_until("the mended certificate is shown", || setup.certificate_for(HOST) == mended);
    setup.seawall.process().expect_running();
}

#[test]
fn the_realm_and_strict_transport_security_follow_the_listener() {
    let setup = Encrypted::start();
    let anonymous = message("GET", "/v2/", &[("Host", HOST)], b"");
    let ask_both = || {
        let mut tls = connect(setup.tls, &setup.authority, HOST);
        let mut plain = Connection::open(setup.seawall.address()).unwrap();
        tls.send(&anonymous);
        plain.send(&anonymous);
        [tls.answer("GET").unwrap().expect(401), plain.answer("GET").unwrap().expect(401)]
    };
    let realm = |answer: &Response| parameter(answer.expect_header("WWW-Authenticate"), "realm");
    let [tls, plain] = ask_both();
    assert_eq!(realm(&tls), format!("https://{HOST}/oauth2/token"));
    assert_eq!(realm(&plain), format!("http://{HOST}/oauth2/token"));
    assert!(tls.expect_header("Strict-Transport-Security").starts_with("max-age="));
    assert_eq!(plain.header("Strict-Transport-Security"), None, "RFC 6797 7.2: not over plain HTTP");

    let whole = document(setup.seawall.place(), &setup.upstream, &["externalUrl: \"https://outside.test:8443\""]);
    setup.seawall.edit(&whole);
    for answer in ask_both() {
        assert_eq!(realm(&answer), "https://outside.test:8443/oauth2/token");
    }
}

/// Certificates of the upstream: its own authority is believed, no other.
#[test]
fn an_upstream_with_tls_is_verified_by_its_own_authority_and_name() {
    let [right, wrong] = [Authority::new(), Authority::new()];
    let upstream = TlsRegistry::start(&right, &["inside.test"]);
    let place = Place::new();
    let [right_ca, wrong_ca] = [("right", &right), ("wrong", &wrong)].map(|(name, authority)| {
        let file = place.path().join(format!("{name}-ca.pem"));
        fs::write(&file, authority.pem()).unwrap();
        file.display().to_string()
    });
    let url = format!("url: \"https://{}\"", upstream.address);
    let cases = [
        ("good", format!("{url}, ca: \"{right_ca}\", serverName: inside.test"), 200),
        ("name", format!("{url}, ca: \"{right_ca}\", serverName: outside.test"), 502),
        ("addr", format!("{url}, ca: \"{right_ca}\""), 502),
        ("wrong", format!("{url}, ca: \"{wrong_ca}\", serverName: inside.test"), 502),
        ("system", format!("{url}, serverName: inside.test"), 502),
    ];
    let registries: String = cases
        .iter()
        .map(|(name, target, _)| registry(&place, &format!("reg{name}"), &format!("{name}.test"), target, &[]))
        .collect();
    let document = place.document(&format!("registries:\n{registries}"));
    let mut seawall = place.start(&document);
    // Again and again: pingora's pool must not hand a connection that one authority vouched for to the others.
    for round in 0..4 {
        for (name, _, expected) in &cases {
            let answer = base(&seawall, name);
            assert_eq!(answer.status, *expected, "round {round}, {name}: {}", answer.text());
            let record = record_of(&seawall, &answer);
            assert_eq!(record["reason"], if *expected == 200 { "permitted" } else { "upstream_unreachable" });
            assert!(!answer.text().contains("certificate"), "{}", answer.text());
        }
    }
    seawall.process().expect_running();
}

/// Without `ca`, the system's authorities count, here those of `SSL_CERT_FILE`: for what is relayed and for what pingora sends. One
/// among them that nobody can read takes nothing from the others.
#[test]
fn an_upstream_is_verified_by_the_systems_authorities() {
    let [right, other] = [Authority::new(), Authority::new()];
    let upstream = TlsRegistry::start(&right, &["inside.test"]);
    let broken = "-----BEGIN CERTIFICATE-----\nbm9uZSBhdCBhbGw=\n-----END CERTIFICATE-----\n";
    let start = |authorities: String| {
        let place = Place::new();
        let system = place.path().join("system.pem");
        fs::write(&system, authorities).unwrap();
        let target = format!("url: \"https://{}\", serverName: inside.test", upstream.address);
        let registries = registry(&place, "myregistry", &place.login_server(), &target, &[]);
        let document = place.document(&format!("registries:\n{registries}"));
        place.start_where(("SSL_CERT_FILE", &system), &document)
    };
    let trusting = start(format!("{}{broken}{}", other.pem(), right.pem()));
    let client = Caller { address: trusting.address(), authorization: Some(worker().basic()) };
    client.push_image("team/app", "v1", "an image");
    assert_eq!(client.has_manifest("team/app", "v1"), 200);
    for authorities in [other.pem().to_owned(), broken.to_owned(), String::new()] {
        let mut seawall = start(authorities);
        let client = Caller { address: seawall.address(), authorization: Some(worker().basic()) };
        assert_eq!(client.get("/v2/team/app/tags/list").status, 502);
        assert_eq!(client.send("POST", "/v2/team/app/blobs/uploads/", &[], b"").status, 502);
        seawall.process().expect_running();
    }
}

/// An answer that comes from the upstream.
fn base(seawall: &Seawall, name: &str) -> Response {
    let host = format!("{name}.test");
    let mut connection = Connection::open(seawall.address()).unwrap();
    let headers = [("Host", host.as_str()), ("Authorization", &worker().basic())];
    connection.send(&message("GET", "/v2/", &headers, b""));
    connection.answer("GET").unwrap()
}

mod unchecked {
    //! A client that takes any certificate, to see which one is shown.

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Unchecked;

    impl ServerCertVerifier for Unchecked {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
