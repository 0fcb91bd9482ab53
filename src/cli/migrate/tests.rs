use std::fs;

use super::Target;
use super::outcome::Outcome;
use crate::server;

pub(super) fn target() -> Target {
    Target {
        registry: "myregistry".into(),
        login_server: "registry.example.com".into(),
        upstream: "http://127.0.0.1:5000".into(),
        output_file: None,
    }
}

/// The file that `outcome` becomes; `seawall check` has nothing to say about it.
pub(super) fn check(outcome: &Outcome) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seawall.yaml");
    let yaml = outcome.yaml(&target()).unwrap();
    fs::write(&path, &yaml).unwrap();
    let problems = server::check(&path).sorted();
    assert!(problems.is_empty(), "{problems:?}\n{yaml}");
    yaml
}

#[test]
fn what_is_written_is_a_new_file_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.yaml");
    let target = Target { output_file: Some(path.clone()), ..target() };
    super::write("one", &target).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = super::write("two", &target).unwrap_err();
    assert!(error.to_string().contains("made.yaml"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
}
