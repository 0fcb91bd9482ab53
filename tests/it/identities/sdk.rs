//! Microsoft's `azure-containerregistry`, unmodified, signs in by exchange, pushes and pulls (`sdk.py` beside this file).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::provider::{AUDIENCE, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::secure;

/// Where `scripts/install-deps.sh test` puts Python and the SDK.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/venv/bin/python");

#[test]
fn microsofts_registry_sdk_signs_in_by_exchange() {
    assert!(Path::new(PYTHON).exists(), "no {PYTHON}: `make deps` installs it");
    let (provider, upstream, place) = (Provider::start(), Registry::start(Distribution::V2), Place::new());
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let made = secure::certificate();
    let (certificate, key) = (file("tls.crt", &made.certificate), file("tls.key", &made.key));
    let document = place.document(&format!(
        "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
         identities:\n  builders: {{ type: Group, matches: [ {{ provider: corp, claims: {{ groups: builders }} }} ] }}\n\
         registries:\n  myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
         builders, role: AcrPush }} ] }}\n",
        provider.issuer(),
        place.login_server(),
        upstream.url(),
    ));
    let tls = format!("tls: {{certificates: [{{certificate: \"{certificate}\", key: \"{key}\"}}]}}");
    let plain = format!("address: \"{}\"", place.public());
    assert!(document.contains(&plain), "{document}");
    let url = format!("https://{}", place.login_server());
    let _seawall = place.start(&document.replacen(&plain, &format!("{plain}, {tls}"), 1));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/identities/sdk.py");
    let token = provider.token("ci-bot");
    let output = Command::new(PYTHON).args([script, &url, &token, &certificate, AUDIENCE]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
}
