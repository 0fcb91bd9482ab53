//! Certificates of clients: who is let in by one, who is not, and for which names a connection is (threat class O).

mod attacks;
mod certificates;
mod names;
mod revocation;
mod world;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use self::certificates::{ClientAuthority, Identity, uri};
use self::world::{HOST, REFUSED, World};
use crate::harness::client::Home;
use crate::harness::http::Connection;
use crate::harness::image::Layout;
use crate::harness::nearby::worker;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::sources::{message, record_of};

const SCANNER: &str = "spiffe://corp.example/ns/prod/sa/scanner";

fn scanner(authority: &ClientAuthority) -> Identity {
    authority.issue(|params| params.subject_alt_names.push(uri(SCANNER)))
}

/// No password, no token, only a key that never leaves its machine.
#[test]
fn a_certificate_is_whom_its_names_say() {
    let world = World::start();
    let identity = scanner(&world.authority);
    let mut connection = world.connect(world.optional, Some(&identity)).unwrap();
    let pulled = connection.get("/v2/team/app/manifests/v1", &[]).expect(200);
    let record = record_of(&world.seawall, &pulled);
    assert_eq!(record["principal"]["name"], SCANNER, "{record}");
    assert_eq!(record["principal"]["provider"], "certificate");
    assert_eq!(record["principal"]["subject"], *identity.fingerprint);
    assert_eq!(record["principal"]["identities"], json!(["scanner"]));
    assert_eq!(record["clientCertificate"], *identity.fingerprint);
    assert_eq!(record["decision"], "permit");
    // What its role does not say, it may not do.
    let pushed = connection.send("POST", "/v2/team/app/blobs/uploads/", &[]).expect(401);
    assert_eq!(record_of(&world.seawall, &pushed)["reason"], "action_not_granted");

    let by_name =
        world.authority.issue(|params| params.subject_alt_names.push(certificates::dns("Builder.corp.example")));
    let mut connection = world.connect(world.optional, Some(&by_name)).unwrap();
    connection.get("/v2/team/app/manifests/v1", &[]).expect(200);
}

/// Whoever is nobody gets the challenge, as without a certificate; whoever says who he is, is that.
#[test]
fn a_certificate_of_nobody_is_as_none_and_a_credential_comes_first() {
    let world = World::start();
    let nobody = world.authority.issue(|params| params.subject_alt_names.push(uri("spiffe://corp.example/nobody")));
    let several = world.authority.issue(|params| {
        params.subject_alt_names.extend([uri(SCANNER), uri("spiffe://corp.example/ns/prod/sa/other")]);
    });
    let plain = world.connect(world.optional, None).unwrap().get("/v2/", &[]).expect(401);
    for identity in [nobody, several] {
        let mut connection = world.connect(world.optional, Some(&identity)).unwrap();
        let answer = connection.get("/v2/", &[]).expect(401);
        assert_eq!(answer.header("WWW-Authenticate"), plain.header("WWW-Authenticate"));
        assert_eq!(answer.body, plain.body);
        let record = record_of(&world.seawall, &answer);
        assert_eq!(
            (&record["reason"], &record["clientCertificate"]),
            (&json!("credential_required"), &json!(identity.fingerprint))
        );
    }
    let identity = scanner(&world.authority);
    let mut connection = world.connect(world.optional, Some(&identity)).unwrap();
    let by_password = connection.get("/v2/", &[("Authorization", &worker().basic())]).expect(200);
    assert_eq!(record_of(&world.seawall, &by_password)["principal"]["name"], "worker");
    for wrong in ["Basic d29ya2VyOndyb25n", "Bearer nonsense", "Nonsense", ""] {
        connection.get("/v2/", &[("Authorization", wrong)]).expect(401);
    }
    connection.get("/v2/", &[]).expect(200);
}

/// Tokens are for those who show something that can be sent: what a certificate proves is of its connection.
#[test]
fn a_certificate_gets_no_tokens() {
    let world = World::start();
    let mut connection = world.connect(world.optional, Some(&scanner(&world.authority))).unwrap();
    let target = format!("/oauth2/token?service={HOST}&scope=repository:team/app:pull");
    connection.get(&target, &[]).expect(401);
    let exchange =
        connection.send("POST", "/oauth2/exchange", &[("Content-Type", "application/x-www-form-urlencoded")]);
    assert!((400..500).contains(&exchange.status), "{exchange:?}");
}

/// Nothing that is written in a header is a certificate, whoever sends it, and none of it goes on.
#[test]
fn no_header_speaks_of_a_certificate() {
    let world = World::start();
    let said = format!("Hash=00;URI={SCANNER};Subject=\"CN=scanner\"");
    let headers = [
        "X-Forwarded-Client-Cert",
        "Forwarded-Client-Cert",
        "Client-Cert",
        "Ssl-Client-Cert",
        "X-SSL-Client-Verify",
        "X_Forwarded_Client_Cert",
        "X-Client-Cert",
    ]
    .map(|name| (name, said.as_str()));
    let mut plain = Connection::open(world.seawall.address()).unwrap();
    plain.send(&message("GET", "/v2/", &[&[("Host", HOST)], &headers[..]].concat(), b""));
    assert_eq!(plain.answer("GET").unwrap().status, 401);
    world.connect(world.optional, None).unwrap().get("/v2/", &headers).expect(401);
    assert!(world.upstream.seen().is_empty());

    world
        .connect(world.optional, Some(&scanner(&world.authority)))
        .unwrap()
        .get("/v2/team/app/manifests/v1", &headers)
        .expect(200);
    let seen = world.upstream.seen();
    assert!(!seen.is_empty());
    for (name, value) in seen.iter().flat_map(|request| &request.headers) {
        assert!(!name.to_ascii_lowercase().contains("cert") && !value.contains("spiffe"), "{name}: {value}");
    }
}

#[test]
fn a_listener_may_require_a_certificate() {
    let world = World::start();
    assert!(world.attempt(world.required, None).is_none(), "no request is answered without one");
    let mut connection = world.connect(world.required, Some(&scanner(&world.authority))).unwrap();
    connection.get("/v2/", &[]).expect(200);
    // It need not be anybody's: it opens the door, and a password says who.
    let nobody = world.authority.issue(|_| {});
    let mut connection = world.connect(world.required, Some(&nobody)).unwrap();
    connection.get("/v2/", &[]).expect(401);
    connection.get("/v2/", &[("Authorization", &worker().basic())]).expect(200);
    assert!(world.seawall.metric(REFUSED) < 1.0, "who shows none is no attacker");
}

/// Real clients, by the files that everybody uses.
#[test]
fn curl_comes_in_by_its_certificate() {
    let world = World::start();
    let [certificate, key] = scanner(&world.authority).written(world.seawall.place().path(), "scanner");
    let run = |version: &str, more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", version, "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--cacert"]);
        // Under the port that the login server has, which is none.
        let there = format!("{HOST}:443:127.0.0.1:{}", world.optional.port());
        command.arg(&world.server_ca).args(["--connect-to", &there]).args(more);
        command.arg(format!("https://{HOST}/v2/team/app/manifests/v1"));
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = ["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    assert_eq!(run("--http1.1", &shown), "200 1.1");
    assert_eq!(run("--http2", &shown), "200 2");
    assert_eq!(run("--http2", &[]), "401 2");
}

/// A registry client that never heard of seawall: a folder with its certificate, no login, real Distribution behind.
#[test]
fn skopeo_copies_by_its_certificate_alone() {
    let (world, upstream) = (World::start(), Registry::start(Distribution::V2));
    let document = fs::read_to_string(world.seawall.place().path().join("seawall.yaml")).unwrap();
    let document = document.replace(&world.upstream.url(), &upstream.url());
    world.seawall.edit(&document.replace("{identity: builder, role: AcrPull}", "{identity: builder, role: AcrPush}"));

    let home = Home::new();
    let reference = format!("{}/team/app:v1", world.optional);
    let (pushed, pulled) = (home.layout("pushed"), home.path().join("pulled"));
    Layout::image("by certificate").write(&pushed, "latest");
    let builder =
        world.authority.issue(|params| params.subject_alt_names.push(certificates::dns("builder.corp.example")));
    let [for_builder, for_scanner] =
        [("builder", builder), ("scanner", scanner(&world.authority))].map(|(name, identity)| {
            let directory = home.path().join(name);
            fs::create_dir(&directory).unwrap();
            fs::copy(&world.server_ca, directory.join("ca.crt")).unwrap();
            // The names that these clients look for.
            let [certificate, key] = identity.written(&directory, "client");
            fs::rename(certificate, directory.join("client.cert")).unwrap();
            assert!(key.ends_with("client.key"));
            directory.display().to_string()
        });
    let (remote, local) = (format!("docker://{reference}"), format!("oci:{}:latest", pushed.display()));
    let push = |directory: &str| home.run("skopeo", &["copy", "--dest-cert-dir", directory, &local, &remote]);
    let into = format!("oci:{}:latest", pulled.display());
    push(&for_scanner).expect_failure("");
    push(&for_builder).expect_success();
    home.run("skopeo", &["copy", "--src-cert-dir", &for_scanner, &remote, &into]).expect_success();
    let index = |directory: &Path| fs::read(directory.join("index.json")).unwrap();
    let digest = |directory: &Path| {
        serde_json::from_slice::<Value>(&index(directory)).unwrap()["manifests"][0]["digest"].clone()
    };
    assert_eq!(digest(&pushed), digest(&pulled));
}
