//! Microsoft's `azure-containerregistry`, unmodified: every method of its client (`sdk.py` beside this file).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::provider::{AUDIENCE, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::secure;

/// Where `scripts/install-deps.sh test` puts Python and the SDK.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/venv/bin/python");

/// S3-12…S3-16, B.1-12, B.1-13, B.8: what the SDK expects of ACR it finds in front of a plain registry.
#[test]
fn every_method_of_microsofts_client_works() {
    assert!(Path::new(PYTHON).exists(), "no {PYTHON}: `make deps` installs it");
    for distribution in Distribution::at_hand() {
        let (provider, upstream, place) = (Provider::start(), Registry::start(distribution), Place::new());
        let file = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let made = secure::certificate();
        let (certificate, key) = (file("tls.crt", &made.certificate), file("tls.key", &made.key));
        let document = place.document(&format!(
            "identityProviders:\n  corp: {{ issuer: \"{}\", audiences: [\"{AUDIENCE}\"] }}\n\
             identities:\n  owners: {{ type: Group, matches: [ {{ provider: corp, claims: {{ groups: builders }} }} ] }}\n\
             registries:\n  myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
             owners, role: Owner }} ] }}\n",
            provider.issuer(),
            place.login_server(),
            upstream.url(),
        ));
        let tls = format!("tls: {{certificates: [{{certificate: \"{certificate}\", key: \"{key}\"}}]}}");
        let plain = format!("address: \"{}\"", place.public());
        assert!(document.contains(&plain), "{document}");
        let url = format!("https://{}", place.login_server());
        let _seawall = place.start(&document.replacen(&plain, &format!("{plain}, {tls}"), 1));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/acr/sdk.py");
        let token = provider.token("ci-bot");
        let output = Command::new(PYTHON).args([script, &url, &token, &certificate, AUDIENCE]).output().unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{distribution:?}: {said}\n{complained}");
    }
}
