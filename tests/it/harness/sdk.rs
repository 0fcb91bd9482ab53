//! Microsoft's `azure-containerregistry`, unmodified, with a token of the test's own provider.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::provider::{AUDIENCE, Provider};
use super::registry::{Distribution, Registry};
use super::seawall::Place;
use super::secure;

/// Where `scripts/install-deps.sh test` puts Python and the SDK.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/venv/bin/python");

/// Runs the script, a file below `tests/it`, as somebody with this role at a registry behind seawall.
///
/// # Panics
///
/// When the script fails.
pub(crate) fn run(script: &str, role: &str, distribution: Distribution) {
    assert!(Path::new(PYTHON).exists(), "no {PYTHON}: `make deps` installs it");
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
         identities:\n  builders: {{ type: Group, matches: [ {{ provider: corp, claims: {{ groups: builders }} }} ] }}\n\
         registries:\n  myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
         builders, role: {role} }} ] }}\n",
        provider.issuer(),
        place.login_server(),
        upstream.url(),
    ));
    let tls = format!("tls: {{certificates: [{{certificate: \"{certificate}\", key: \"{key}\"}}]}}");
    let plain = format!("address: \"{}\"", place.public());
    assert!(document.contains(&plain), "{document}");
    let url = format!("https://{}", place.login_server());
    let _seawall = place.start(&document.replacen(&plain, &format!("{plain}, {tls}"), 1));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
    let token = provider.token("ci-bot");
    let output = Command::new(PYTHON).arg(script).args([&url, &token, &certificate, AUDIENCE]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{distribution:?}: {said}\n{complained}");
}
