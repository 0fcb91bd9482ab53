use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::auth::keys::SigningAlgorithm;
use crate::policy::limits::LoginLimits;
use crate::policy::origin::{At, Origin};
use crate::policy::tier::Tier;
use crate::proxy::source::{EndpointKind, ForwardedHeader};
use crate::telemetry::audit::AuditSink;
use crate::telemetry::log::{LogFormat, LogLevel};

/// The package's directory. Tests run there, so that problems name short paths.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn yaml_files(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(HERE).join(directory)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

fn shown(problems: Problems, directory: &Path) -> String {
    let prefix = format!("{}/", directory.display());
    problems.sorted().iter().map(|problem| format!("{problem}\n").replace(&prefix, "")).collect()
}

fn loaded(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    fs::write(&path, text).unwrap();
    load(&path).map(|loaded| loaded.config).map_err(|problems| shown(problems, directory.path()))
}

#[test]
fn every_example_loads_without_a_problem() {
    let files = yaml_files("config");
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let loaded = load(&file).map_err(|problems| shown(problems, Path::new(HERE)));
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!loaded.policy.registries.is_empty(), "{}", file.display());
        assert_eq!(loaded.files, [file]);
    }
}

#[test]
fn every_invalid_file_has_the_problems_written_beside_it() {
    let directory = Path::new(HERE).join("tests/config/invalid");
    let files = yaml_files("tests/config/invalid");
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let expected = fs::read_to_string(file.with_extension("expected")).unwrap_or_default();
        let problems = load(&file).map_or_else(|p| shown(p, &directory), |_| "no problem\n".to_owned());
        assert_eq!(problems, expected, "{}", file.display());
        assert!(!problems.contains("hunter2"), "{} repeats a secret", file.display());
    }
}

#[test]
fn the_schema_for_editors_is_the_one_of_this_code() {
    let committed = fs::read_to_string(Path::new(HERE).join("config/seawall.schema.json")).unwrap_or_default();
    let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    assert!(committed == current, "run `seawall schema > config/seawall.schema.json`; it has to be\n{current}");
}

#[test]
fn the_schema_knows_no_null() {
    let text = schema().to_string();
    assert!(!text.contains("null"), "{text}");
    assert!(text.contains("https://json-schema.org/draft/2020-12/schema"));
}

#[test]
fn the_reference_mentions_every_key_and_every_value_of_the_schema() {
    let reference = fs::read_to_string(Path::new(HERE).join("config/reference.yaml")).unwrap();
    let (mut keys, mut values) = (BTreeSet::new(), BTreeSet::new());
    vocabulary(&schema(), &mut keys, &mut values);
    assert!(keys.len() > 50 && values.len() > 15, "{keys:?} {values:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !reference.contains(&format!("{key}:"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let words: BTreeSet<_> = reference.split(|c: char| c.is_whitespace() || ",:;".contains(c)).collect();
    let missing: Vec<_> = values.iter().filter(|value| !words.contains(value.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn vocabulary(schema: &Value, keys: &mut BTreeSet<String>, values: &mut BTreeSet<String>) {
    let Value::Object(object) = schema else {
        return schema.as_array().into_iter().flatten().for_each(|item| vocabulary(item, keys, values));
    };
    if let Some(Value::Object(properties)) = object.get("properties") {
        keys.extend(properties.keys().cloned());
    }
    let choices = object.get("enum").and_then(Value::as_array).into_iter().flatten().chain(object.get("const"));
    values.extend(choices.filter_map(Value::as_str).map(str::to_owned));
    object.values().for_each(|value| vocabulary(value, keys, values));
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = loaded("version: 1\nlisteners: [{name: a, address: '[::1]:80'}]").unwrap();
    let expected = Config {
        listeners: vec![Listener {
            name: "a".into(),
            address: "[::1]:80".parse().unwrap(),
            tls: None,
            h2c: false,
            source: Source::Peer,
            network: ListenerNetwork::Public,
        }],
        metrics: "127.0.0.1:9464".parse().unwrap(),
        signing: Signing {
            directory: "/var/lib/seawall/keys".into(),
            algorithm: SigningAlgorithm::Rs256,
            issuer: "seawall".into(),
        },
        audit: AuditSink::Stdout,
        log: Log { level: LogLevel::Info, format: LogFormat::Text },
        shutdown_grace: Duration::from_mins(5),
        limits: Limits {
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(1),
            stall_timeout: Duration::from_mins(1),
        },
        login_limits: LoginLimits {
            per_source: 30,
            per_principal: 10,
            within: Duration::from_mins(1),
            lockout: Duration::from_mins(5),
        },
        region: None,
        threads: None,
        metadata: crate::metadata::Settings {
            maximum_age: Duration::from_mins(1),
            sweep_every: Some(Duration::from_mins(15)),
        },
        store: StoreSettings {
            location: StoreLocation::Sqlite("/var/lib/seawall/seawall.db".into()),
            maximum_age: None,
        },
        encryption_key: EncryptionKeySource::Made("/var/lib/seawall/keys/encryption.key".into()),
        management: ManagementSettings {
            address: ManagementAddress::Tcp { address: "127.0.0.1:8444".parse().unwrap(), tls: None },
            credential_file: "/var/lib/seawall/management.credential".into(),
            subscription: "00000000-0000-0000-0000-000000000000".into(),
            resource_group: "seawall".into(),
            enforced_tier: None,
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn every_option_is_resolved() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let text = "
version: 1
listeners:
  - { name: tls, address: 0.0.0.0:0, tls: { certificates: [{ certificate: a.crt, key: /b.key }] } }
  - { name: pp, address: 0.0.0.0:0, source: { mode: proxyProtocol, trusted: [10.0.0.0/8, 192.0.2.7] } }
  - { name: fw, address: '[::]:81', source: { mode: forwarded, header: Forwarded, trusted: ['fd00::/8'] } }
  - { name: xff, address: '[::]:82', source: { mode: forwarded, trusted: [\"::1\"] } }
  - name: nlb
    address: '[::]:83'
    network: private
    source: { mode: proxyProtocol, trusted: [10.0.0.0/8], privateEndpoint: aws }
metrics: { address: '[::1]:1' }
signing: { directory: keys, algorithm: ES256, issuer: me }
audit: { output: 'file:audit.log' }
log: { level: trace, format: json }
shutdown: { grace: 0s }
limits: { headTimeout: 1500ms, idleTimeout: 2h, stallTimeout: 3s }
loginLimits: { perSource: 0, perPrincipal: 3, within: 90s, lockout: 1h }
threads: 3
management: { address: 'unix:run/m.sock', credentialFile: owner, subscription: sub, resourceGroup: 'my(group)', enforcedTier: Standard }
store: { url: 'postgres://me@[::1]:5433/db?sslmode=verify-full', password: { env: PW }, ca: ca.pem, maximumAge: 10m }
encryptionKey: { file: key }
";
    fs::write(&path, text).unwrap();
    let config = load(&path).unwrap().config;
    let certificates = &config.listeners[0].tls.as_ref().unwrap().certificates[0];
    assert_eq!(certificates.certificate.value, directory.path().join("a.crt"));
    assert_eq!(certificates.key.value, Path::new("/b.key"));
    let trusted = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()];
    assert_eq!(config.listeners[1].source, Source::ProxyProtocol { trusted, private_endpoint: None });
    let (header, trusted) = (ForwardedHeader::Forwarded, vec!["fd00::/8".parse().unwrap()]);
    assert_eq!(config.listeners[2].source, Source::Forwarded { header, trusted });
    let (header, trusted) = (ForwardedHeader::XForwardedFor, vec!["::1".parse::<IpAddr>().unwrap().into()]);
    assert_eq!(config.listeners[3].source, Source::Forwarded { header, trusted });
    let (trusted, private_endpoint) = (vec!["10.0.0.0/8".parse().unwrap()], Some(EndpointKind::Aws));
    assert_eq!(config.listeners[4].source, Source::ProxyProtocol { trusted, private_endpoint });
    let networks = [ListenerNetwork::Public; 4].into_iter().chain([ListenerNetwork::Private]);
    assert!(config.listeners.iter().map(|listener| listener.network).eq(networks));
    assert_eq!(config.metrics, "[::1]:1".parse().unwrap());
    assert_eq!(config.signing.directory, directory.path().join("keys"));
    assert_eq!((config.signing.algorithm, &*config.signing.issuer), (SigningAlgorithm::Es256, "me"));
    assert_eq!(config.audit, AuditSink::File(directory.path().join("audit.log")));
    assert_eq!(config.log, Log { level: LogLevel::Trace, format: LogFormat::Json });
    assert_eq!(config.shutdown_grace, Duration::ZERO);
    assert_eq!(config.limits.head_timeout, Duration::from_millis(1500));
    assert_eq!(config.limits.idle_timeout, Duration::from_hours(2));
    assert_eq!(config.limits.stall_timeout, Duration::from_secs(3));
    let (within, lockout) = (Duration::from_secs(90), Duration::from_hours(1));
    assert_eq!(config.login_limits, LoginLimits { per_source: 0, per_principal: 3, within, lockout });
    assert_eq!(config.threads.map(Into::into), Some(3_usize));
    let at = |text: &str| At::new(text.to_owned(), Origin::built_in());
    let location = StoreLocation::Postgres {
        url: "postgres://me@[::1]:5433/db?sslmode=verify-full".into(),
        password: Some(SecretSource::Environment(at("PW"))),
        ca: Some(At::new(directory.path().join("ca.pem"), Origin::built_in())),
    };
    assert_eq!(config.store, StoreSettings { location, maximum_age: Some(Duration::from_mins(10)) });
    assert_eq!(config.encryption_key, EncryptionKeySource::Given(SecretSource::File(at("key"))));
    let management = ManagementSettings {
        address: ManagementAddress::Unix(directory.path().join("run/m.sock")),
        credential_file: directory.path().join("owner"),
        subscription: "sub".into(),
        resource_group: "my(group)".into(),
        enforced_tier: Some(Tier::Standard),
    };
    assert_eq!(config.management, management);
}

#[test]
fn where_the_store_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let location = |store: &str| {
        let text = format!(
            "version: 1\nlisteners: [{{name: a, address: '[::1]:80'}}]\nencryptionKey: {{env: KEY}}\nstore: {store}"
        );
        fs::write(&path, text).unwrap();
        load(&path).map(|loaded| loaded.config.store.location).map_err(|problems| shown(problems, directory.path()))
    };
    for (text, file) in [("sqlite:/a/b.db", "/a/b.db"), ("'sqlite:///a/b.db'", "/a/b.db"), ("{url: 'sqlite:b.db'}", "")]
    {
        let file = if file.is_empty() { directory.path().join("b.db") } else { file.into() };
        assert_eq!(location(text), Ok(StoreLocation::Sqlite(file)), "{text}");
    }
    for url in ["postgresql://me@db/seawall", "postgres://me@db:1/seawall?sslmode=require&host=/run/postgresql"] {
        let expected = StoreLocation::Postgres { url: url.into(), password: None, ca: None };
        assert_eq!(location(url), Ok(expected), "{url}");
    }
    for (url, what) in [
        ("mysql://me@db/seawall", "a store is `sqlite:"),
        ("seawall.db", "a store is `sqlite:"),
        ("'sqlite:'", "the path of the SQLite file is missing"),
        ("'sqlite://host/b.db'", "the path of the SQLite file is missing"),
        ("'sqlite:/b.db?mode=ro'", "the path of the SQLite file is missing, or has a `?`"),
        ("postgres://me:hunter2@db/seawall", "a password must not be written in the URL"),
        ("postgres://me@db/seawall?password=hunter2", "a password must not be written in the URL"),
        ("postgres://me@db/seawall?sslmod=require", "the parameter `sslmod` is unknown"),
        ("postgres://me@db/seawall?sslmode=maybe", "not a PostgreSQL URL"),
    ] {
        let problem = location(url).unwrap_err();
        assert!(problem.contains(what) && !problem.contains("hunter2"), "{url}: {problem}");
    }
}

#[test]
fn where_the_management_api_listens() {
    let listener = "version: 1\nlisteners: [{name: a, address: '[::1]:80'}]\nmanagement: ";
    let management = |text: &str| loaded(&format!("{listener}{text}")).map(|config| config.management);
    assert_eq!(management("{address: none}").unwrap().address, ManagementAddress::None);
    let tls = "tls: {certificates: [{certificate: /a.crt, key: /a.key}]}";
    let open = management(&format!("{{address: '[::]:8444', {tls}}}")).unwrap().address;
    assert!(matches!(open, ManagementAddress::Tcp { address, tls: Some(_) } if address.port() == 8444), "{open:?}");
    assert!(management(&format!("{{address: none, {tls}}}")).unwrap_err().contains("TLS is for addresses"));
    assert!(management("{address: localhost}").unwrap_err().contains("not an IP address with a port"));
    let taken = loaded("version: 1\nlisteners: [{name: a, address: '127.0.0.1:8444'}]").unwrap_err();
    assert!(taken.contains("it is the default of management.address"), "{taken}");
}

#[test]
fn secrets_that_are_not_there_are_named_at_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let text = "version: 1\nlisteners: [{name: a, address: '[::1]:80'}]\nencryptionKey: {file: key}\nstore:\n  \
        url: postgres://me@db/seawall\n  password: {env: SEAWALL_NO_SUCH_VARIABLE}\n  ca: gone.pem\n";
    fs::write(&path, text).unwrap();
    let config = load(&path).unwrap().config;
    let missing = |what: &str| {
        format!(
            "seawall.yaml:3:23: {what}\n\
             seawall.yaml:6:19: the environment variable SEAWALL_NO_SUCH_VARIABLE is not set\n\
             seawall.yaml:7:7: cannot read gone.pem: No such file or directory (os error 2)\n"
        )
    };
    for (key, what) in [
        (None, "cannot read key: No such file or directory (os error 2)"),
        (Some("\r\n"), "the secret is empty"),
        (
            Some("0123456789012345678901234567890\n"),
            "an encryption key has at least 32 characters\n  \
            hint: `openssl rand -base64 32` makes one",
        ),
    ] {
        if let Some(key) = key {
            fs::write(directory.path().join("key"), key).unwrap();
        }
        assert_eq!(shown(missing_files(&config), directory.path()), missing(what));
    }
    fs::write(directory.path().join("key"), "01234567890123456789012345678901\n").unwrap();
    assert!(config.encryption_key.given().unwrap().is_some());
}

#[test]
fn what_changed_is_named_by_its_key() {
    let text = "version: 1\nlisteners: [{name: a, address: '[::1]:80'}]\n";
    let one = loaded(text).unwrap();
    for (more, key) in [
        ("store: sqlite:/elsewhere.db", "store"),
        ("encryptionKey: {env: KEY}", "encryptionKey"),
        ("management: {address: none}", "management"),
    ] {
        let other = loaded(&format!("{text}{more}")).unwrap();
        assert!(one.differences(&other).contains(&key), "{more}");
    }
    assert!(one.differences(&one).is_empty());
}

#[test]
fn a_changed_line_number_is_no_change_and_a_changed_value_is() {
    let text = "version: 1\nlisteners: [{name: a, address: '[::1]:80'}]";
    let config = loaded(text).unwrap();
    assert_eq!(loaded(&format!("# moved\n{text}")).unwrap(), config);
    assert_ne!(loaded(&text.replace("80", "81")).unwrap(), config);
}

#[test]
fn certificates_that_are_not_there_are_named_at_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let text = "version: 1\nlisteners:\n- name: a\n  address: '[::1]:80'\n  tls:\n    certificates:\n    \
        - {certificate: here.crt, key: gone.key}\n";
    fs::write(&path, text).unwrap();
    fs::write(directory.path().join("here.crt"), "").unwrap();
    let problems = missing_files(&load(&path).unwrap().config);
    assert_eq!(
        shown(problems, directory.path()),
        "seawall.yaml:7:36: cannot read gone.key: No such file or directory (os error 2)\n"
    );
}

#[test]
fn registries_are_understood_although_the_process_part_is_not_and_the_other_way_round() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seawall.yaml");
    let listeners = "listeners: [{name: a, address: '[::1]:80'}]";
    for (text, process, registries) in [
        ("version: 2\nregistries: {}".to_owned(), false, true),
        (format!("version: 1\n{listeners}\nregistries: {{a: 1}}"), true, false),
        (format!("version: 1\n{listeners}\nextra: 1"), true, true),
        ("- a".into(), false, true),
        ("a: [".into(), false, false),
    ] {
        fs::write(&path, &text).unwrap();
        let reading = read(&path);
        assert_eq!(
            (reading.config.is_some(), reading.policy.and_then(Draft::whole).is_some()),
            (process, registries),
            "{text}"
        );
        assert!(!reading.problems.is_empty(), "{text}");
        assert!(load(&path).is_err(), "{text}");
    }
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let problems = load(Path::new("no/such/file.yaml")).unwrap_err();
    assert_eq!(
        shown(problems, Path::new(HERE)),
        "no/such/file.yaml:1:1: cannot read no/such/file.yaml: No such file or directory (os error 2)\n"
    );
}
