//! From YAML to a snapshot, with a stand-in for the files and variables that a document names.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use seawall::clock::Timestamp;
use seawall::policy::document::{NetworkAction, PolicyDocument, PublicNetworkAccess, RegistryDocuments};
use seawall::policy::network::{Admitted, NetworkRules, Source};
use seawall::policy::origin::At;
use seawall::policy::problem::Problems;
use seawall::policy::{Compiler, DeclaredPolicy, Operation, PolicySnapshot, References, StoredPolicy, compile};
use seawall::provider::{reader, yaml};
use seawall::secret::{HashKey, Secret};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUM1s8sO0aTdPMxcSMg5AUt/XmPVowCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTYXV0aG9yaXR5IG9mIGEgdGVzdDAgFw0yNjExMjExMDUxMjJa
GA8yMTI2MTAyODEwNTEyMlowHjEcMBoGA1UEAwwTYXV0aG9yaXR5IG9mIGEgdGVz
dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLdadpgvoqab8xuFEMDLPfIgw7uO
x+Yd6LzvO2YSf/jQwu5wlsZMy5xZCRhKMrvhB3YrT+QwLgoM0h+5lA3cRxujUzBR
MB0GA1UdDgQWBBS5UXcmQxm0VgCXQHctg25+jicBdDAfBgNVHSMEGDAWgBS5UXcm
Qxm0VgCXQHctg25+jicBdDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIHPDnf2Q33laqoJb+9zISryLf5Sg/xR1sZ2Mciz8s/OqAiEAgTS1aA5qLyJa
AIdoqExaXqMk59uCa/lbe/73WRpnXHg=
-----END CERTIFICATE-----";

/// Has every file and variable, except one named `missing`; what is in one named `empty` is empty, in one named
/// `broken.pem` a certificate cut short, in `….pem` else a whole one, in `….json` a JWK set.
pub(crate) struct StandIn;

impl StandIn {
    fn answer(what: &str, name: &str) -> Result<Secret, String> {
        match name {
            "missing" => Err(format!("there is no {what} {name}")),
            "short" => Ok(Secret::new("elevenchars\n")),
            "empty" => Ok(Secret::new("\r\n")),
            "no-keys.json" => Ok(Secret::new(r#"{"keys":[]}"#)),
            "discovery.json" => Ok(Secret::new(r#"{"issuer":"https://corp.example"}"#)),
            "broken.pem" => Ok(Secret::new("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")),
            _ => {
                match Path::new(name).extension().and_then(|extension| extension.to_str()).filter(|_| what == "file") {
                    Some("json") => Ok(Secret::new(r#"{"keys":[{"kty":"EC"}]}"#)),
                    Some("pem") => Ok(Secret::new(CERTIFICATE)),
                    _ => Ok(Secret::new(format!("the secret in {name}\n"))),
                }
            }
        }
    }
}

impl References for StandIn {
    fn file(&self, path: &At<String>) -> Result<Secret, String> {
        Self::answer("file", path)
    }

    fn environment(&self, name: &At<String>) -> Result<Secret, String> {
        Self::answer("variable", name)
    }
}

pub(crate) fn hash_key() -> HashKey {
    HashKey::from_bytes([7; 32])
}

/// The moment at which everything here is compiled and decided.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A source that the network rules admit, whatever they are.
pub(crate) fn anywhere() -> Admitted {
    let open = NetworkRules::new(PublicNetworkAccess::Enabled, NetworkAction::Allow, Some(Arc::default()));
    open.admit(Source::public(IpAddr::from([192, 0, 2, 1]))).unwrap()
}

/// Compiles what stands under `registries:`, or a whole policy where the text has that key. Problems come as an operator sees them, by their places.
pub(crate) fn compiled(registries: &str) -> (Option<PolicySnapshot>, String) {
    compiled_with(&hash_key(), registries)
}

/// The same, for those who have keys of their own.
pub(crate) fn compiled_with(hash_key: &HashKey, registries: &str) -> (Option<PolicySnapshot>, String) {
    let (declared, mut problems) = declared_with(hash_key, registries);
    let stored = StoredPolicy::default();
    let snapshot = declared.map(|declared| {
        problems.extend(declared.warnings_beside(&stored));
        PolicySnapshot::assemble(1, &declared, &stored, None)
    });
    (snapshot, texts(problems))
}

/// The layer of the files, without any problem.
pub(crate) fn declared(registries: &str) -> DeclaredPolicy {
    let (declared, problems) = declared_with(&hash_key(), registries);
    assert_eq!(texts(problems), "");
    declared.unwrap()
}

/// Problems as an operator sees them, by their places.
pub(crate) fn texts(problems: Problems) -> String {
    let lines: Vec<_> = problems.sorted().iter().map(|problem| format!("{problem}\n")).collect();
    lines.concat()
}

fn declared_with(hash_key: &HashKey, registries: &str) -> (Option<DeclaredPolicy>, Problems) {
    let mut problems = Problems::new();
    let tree = yaml::parse("policy.yaml", registries, &mut problems);
    let document = tree.and_then(|tree| {
        if registries.lines().any(|line| line == "registries:") {
            return reader::draft::<PolicyDocument>(tree, &mut problems).map(|draft| draft.examine().clone());
        }
        let registries = reader::draft::<RegistryDocuments>(tree, &mut problems)?.examine().clone();
        Some(PolicyDocument { registries, ..PolicyDocument::default() })
    });
    let compiler = Compiler { hash_key, references: &StandIn, now: now() };
    let declared = document.and_then(|document| {
        let (declared, further) = compile(&document, compiler);
        problems.extend_elsewhere(further);
        declared
    });
    (declared, problems)
}

/// A snapshot without any problem, not even a warning.
pub(crate) fn snapshot(registries: &str) -> PolicySnapshot {
    let (snapshot, problems) = compiled(registries);
    assert_eq!(problems, "");
    snapshot.unwrap()
}

/// What a request line needs, such as `GET /v2/team/app/tags/list`.
pub(crate) fn operation(line: &str) -> Operation {
    let (method, target) = line.split_once(' ').unwrap();
    let parsed = seawall::oci::parse(method, target).unwrap_or_else(|error| panic!("{line}: {error}"));
    let seawall::oci::Endpoint::Registry(route) = parsed.endpoint else { panic!("{line} is not for a registry") };
    Operation::of(parsed.method, &route)
}
