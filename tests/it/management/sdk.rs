//! Microsoft's `azure-mgmt-containerregistry` against the management API, with only a base URL over TLS and a stub
//! credential (`sdk.py` beside this file).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::http::get;
use crate::harness::manager::Manager;
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::Place;
use crate::harness::secure;

/// Where `scripts/install-deps.sh test` puts Python and the SDK.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/venv/bin/python");

#[test]
fn microsofts_sdk_drives_tokens_scope_maps_credentials_and_network_rules() {
    assert!(Path::new(PYTHON).exists(), "no {PYTHON}: `make deps` installs it");
    let upstream = Registry::start(Distribution::V2);
    let place = Place::new();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (
        file("tls.crt", secure::certificate().certificate.as_str()),
        file("tls.key", secure::certificate().key.as_str()),
    );
    let tls = format!("tls: {{certificates: [{{certificate: \"{certificate}\", key: \"{key}\"}}]}}");
    let document = place.document(&format!(
        "registries: {{myregistry: {{loginServer: \"{}\", upstream: {{url: \"{}\"}}}}}}\n",
        place.login_server(),
        upstream.url()
    ));
    let document = document.replace("management: {", &format!("management: {{{tls}, "));
    assert!(document.contains(&tls), "{document}");
    let server = place.start(&document);
    let manager = Manager::of(&server);

    let url = format!("https://127.0.0.1:{}", server.place().management().port());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/management/sdk.py");
    let output = Command::new(PYTHON).args([script, &url, manager.credential(), &certificate]).output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(get(server.address(), "/v2/").unwrap().status, 401, "127.0.0.0/8 is what the SDK's rule admits");
}
