//! How a command finds its server and the owner's credential.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{chown, fchown};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::arm::{GROUP, id, registry};
use crate::harness::{CREDENTIAL, Reply, Server, Transcript};

const SHOW: &str = "show -n myregistry --query loginServer -o tsv";
/// A user who runs nothing of seawall.
const STRANGER: u32 = 65_533;

fn without_environment() -> Transcript {
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, registry()));
    told.environment.clear();
    told
}

fn configured(told: &Transcript, management: &str) {
    let folder = told.folder.path();
    let text = format!(
        "version: 1
listeners: [{{ name: local, address: 127.0.0.1:0 }}]
store: sqlite:seawall.db
management: {management}
registries:
  myregistry:
    loginServer: registry.example.com
    upstream: {{ url: http://127.0.0.1:5000 }}
"
    );
    fs::write(folder.join("seawall.yaml"), text).unwrap();
}

/// On the server's own machine nothing needs typing but the file.
#[test]
fn a_configuration_file_names_the_address_and_the_credential() {
    let mut told = without_environment();
    configured(&told, &format!("{{ address: '{}' }}", told.server.address()));
    told.run(&format!("{SHOW} --config seawall.yaml"));
    fs::write(told.folder.path().join("management.credential"), format!("{CREDENTIAL}\n")).unwrap();
    told.run(&format!("{SHOW} --config seawall.yaml"));
    told.environment.push(("SEAWALL_CONFIG", "seawall.yaml".to_owned()));
    told.run(SHOW);
    configured(&told, "{ address: none }");
    told.run(SHOW);
    fs::write(told.folder.path().join("seawall.yaml"), "version: 2\n").unwrap();
    told.run(SHOW);
    told.check("connect-config");
}

#[test]
fn a_unix_socket_needs_no_credential() {
    let mut told = without_environment();
    let socket = told.folder.path().join("management.sock");
    told.server.listen_at(&socket);
    told.run(&format!("{SHOW} --endpoint unix:{}", socket.display()).replace("<folder>", ""));
    configured(&told, "{ address: 'unix:management.sock' }");
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    assert_eq!((run.code, run.out.as_str()), (0, "myregistry.example.com\n"), "{run:?}");
}

#[test]
fn the_credential_is_given_in_three_ways_and_its_absence_is_explained() {
    let mut told = without_environment();
    told.environment.push(("SEAWALL_ENDPOINT", format!("http://{}", told.server.address())));
    told.run(SHOW);
    fs::write(told.folder.path().join("credential"), CREDENTIAL).unwrap();
    fs::write(told.folder.path().join("empty"), "\n").unwrap();
    told.run(&format!("{SHOW} --credential-file credential"));
    told.run(&format!("{SHOW} --credential-file empty"));
    told.run(&format!("{SHOW} --credential-file missing"));
    told.environment.push(("SEAWALL_CREDENTIAL", "wrong".to_owned()));
    told.run(SHOW);
    told.check("connect-credential");
}

/// Root may read every file, and so it is a directory here that cannot be read.
#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let mut told = without_environment();
    told.run(&format!("{SHOW} --config missing.yaml"));
    told.run(&format!("{SHOW} --config ."));
    told.run(&format!("{SHOW} --endpoint http://127.0.0.1:1 --credential-file ."));
    told.check("connect-unreadable");
}

/// The credential is for one server, and never crosses a network in clear text.
#[test]
fn an_endpoint_that_cannot_be_used_is_explained() {
    let mut told = without_environment();
    told.run(SHOW);
    told.run(&format!("{SHOW} --endpoint http://registry.example.com:8444"));
    told.run(&format!("{SHOW} --endpoint https://owner:secret@registry.example.com"));
    told.run(&format!("{SHOW} --endpoint registry.example.com"));
    told.run(&format!("{SHOW} --endpoint unix:relative"));
    told.run(&format!("{SHOW} --endpoint http://127.0.0.1:1"));
    told.check("connect-endpoint");
}

/// Any user may take the port while seawall is down. Whoever does gets no credential.
#[test]
fn the_credential_file_is_not_for_whoever_listens() {
    let mut told = without_environment();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Only root can give a socket to another user; what the command makes of it has tests of its own.
    if fchown(&listener, Some(STRANGER), None).is_err() {
        return;
    }
    let (server, listening) = (told.server.clone(), listener.try_clone().unwrap());
    thread::spawn(move || listening.incoming().flatten().for_each(|stream| server.answer(stream, true)));
    configured(&told, &format!("{{ address: '{address}' }}"));
    let file = told.folder.path().join("management.credential");
    fs::write(&file, CREDENTIAL).unwrap();
    let own = format!("{SHOW} --config seawall.yaml");
    for show in [&own, &format!("{SHOW} --endpoint http://{address} --credential-file management.credential")] {
        let run = told.run(show);
        let expected =
            format!("the owner's credential is not sent: what listens at {address} belongs to user {STRANGER}");
        assert!(run.code == 1 && run.err.contains(&expected) && run.err.contains("unix:"), "{run:?}");
        assert_eq!(told.server.requests(), [""; 0]);
    }
    chown(&file, Some(STRANGER), None).unwrap();
    let run = told.run(&own);
    assert_eq!((run.code, run.out.as_str()), (0, "myregistry.example.com\n"), "{run:?}");
}

/// What stands in the environment is for another server, and so is its credential.
#[test]
fn the_command_line_wins_over_the_environment() {
    let mut told = without_environment();
    let elsewhere = Server::start();
    told.environment.push(("SEAWALL_ENDPOINT", format!("http://{}", elsewhere.address())));
    told.environment.push(("SEAWALL_CREDENTIAL", "elsewhere".to_owned()));
    configured(&told, &format!("{{ address: '{}' }}", told.server.address()));
    fs::write(told.folder.path().join("management.credential"), CREDENTIAL).unwrap();
    for (options, reached) in [
        ("--config seawall.yaml", true),
        ("", false),
        (
            &format!(
                "--endpoint http://{} --config missing.yaml --credential-file management.credential",
                told.server.address()
            ),
            true,
        ),
        ("--config missing.yaml", false),
    ] {
        let run = told.run(&format!("{SHOW} {options}"));
        assert_eq!(run.code == 0, reached, "{options}: {run:?}");
        let asked_elsewhere = options.is_empty();
        assert_eq!(!elsewhere.requests().is_empty(), asked_elsewhere, "{options}: {run:?}");
    }
    told.environment.push(("SEAWALL_CA", "missing.pem".to_owned()));
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    assert_eq!(run.code, 0, "{run:?}");
    told.environment.pop();
    // Without another endpoint the environment may give what is for the file's server.
    told.environment.remove(0);
    told.environment[0].1 = CREDENTIAL.to_owned();
    fs::remove_file(told.folder.path().join("management.credential")).unwrap();
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    assert_eq!(run.code, 0, "{run:?}");
}

#[test]
fn a_configured_server_that_is_not_running_gets_no_credential() {
    let mut told = without_environment();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    configured(&told, &format!("{{ address: '{address}' }}"));
    fs::write(told.folder.path().join("management.credential"), CREDENTIAL).unwrap();
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    let expected = format!("cannot reach the management API at http://{address}: nothing listens there");
    assert!(run.code == 1 && run.err.contains(&expected) && run.err.contains("Is seawall running"), "{run:?}");
}

/// Another subscription and group are names in the path, nothing more.
#[test]
fn the_group_and_the_subscription_are_passed_on() {
    let mut told = without_environment();
    told.environment.push(("SEAWALL_ENDPOINT", format!("http://{}", told.server.address())));
    told.environment.push(("SEAWALL_CREDENTIAL", CREDENTIAL.to_owned()));
    let path = GROUP.replace("/seawall/", "/myResourceGroup/").replace("00000000-0000-0000-0000-000000000000", "mine");
    told.server.on("GET", &format!("{path}/registries/myregistry"), Reply::json(200, registry()));
    let run = told.run(&format!("{SHOW} -g myResourceGroup --subscription mine"));
    assert_eq!((run.code, run.out.as_str()), (0, "myregistry.example.com\n"), "{run:?}");
}

#[test]
fn tls_is_checked_against_the_given_authority() {
    let mut told = without_environment();
    told.environment.push(("SEAWALL_CREDENTIAL", CREDENTIAL.to_owned()));
    let port = serve_tls(&told);
    let show = format!("{SHOW} --endpoint https://localhost:{port}");
    let trusted = told.run(&format!("{show} --ca ca.pem"));
    assert_eq!((trusted.code, trusted.out.as_str()), (0, "myregistry.example.com\n"), "{trusted:?}");
    told.server.requests();
    let unknown = told.run(&show);
    assert!(unknown.code == 1 && unknown.err.contains("invalid peer certificate"), "{unknown:?}");
    fs::write(told.folder.path().join("empty.pem"), "").unwrap();
    let empty = told.run(&format!("{show} --ca empty.pem"));
    assert!(empty.code == 1 && empty.err.contains("there is no certificate in it"), "{empty:?}");
    assert_eq!(told.server.requests(), [""; 0]);
}

/// The file names the certificate: its name is the server's name, on this machine, and it needs no authority.
#[test]
fn a_configured_certificate_is_known_by_its_own_name() {
    let mut told = without_environment();
    let port = serve_tls(&told);
    fs::write(told.folder.path().join("management.credential"), CREDENTIAL).unwrap();
    let tls = "{ certificates: [ { certificate: self.pem, key: self.key } ] }";
    configured(&told, &format!("{{ address: '0.0.0.0:{port}', tls: {tls} }}"));
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    assert_eq!((run.code, run.out.as_str()), (0, "myregistry.example.com\n"), "{run:?}");
    told.server.requests();
    fs::write(told.folder.path().join("self.pem"), fs::read(told.folder.path().join("ca.pem")).unwrap()).unwrap();
    let run = told.run(&format!("{SHOW} --config seawall.yaml"));
    assert_eq!(run.code, 1, "another server's certificate: {run:?}");
    assert_eq!(told.server.requests(), [""; 0]);
}

/// In front of the canned server, TLS: for `localhost` with a certificate of the authority in `ca.pem`, else with the one in
/// `self.pem`, which signed itself.
fn serve_tls(told: &Transcript) -> u16 {
    let write = |name: &str, text: String| fs::write(told.folder.path().join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", params.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["seawall.example.com".to_owned()]).unwrap().self_signed(&own_key).unwrap();
    write("self.pem", own.pem());
    write("self.key", own_key.serialize_pem());

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut names = ResolvesServerCertUsingSni::new();
    for (name, certificate, key) in [("localhost", leaf, key), ("seawall.example.com", own, own_key)] {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap();
        names.add(name, certified).unwrap();
    }
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(names)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = told.server.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            server.answer(StreamOwned::new(connection, stream), true);
        }
    });
    port
}
