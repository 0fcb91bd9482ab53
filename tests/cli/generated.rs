//! `seawall completion` and `seawall man`.

use std::fs;

use crate::harness::Transcript;

#[test]
fn every_shell_has_a_completion_that_knows_the_commands() {
    let mut told = Transcript::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = told.run(&format!("completion {shell}"));
        assert_eq!(run.code, 0, "{run:?}");
        for word in ["scope-map", "add-repository", "check"] {
            assert!(run.out.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn every_command_has_a_page() {
    let mut told = Transcript::new();
    assert_eq!(told.run("man --directory pages/man1").code, 0);
    let page = |name: &str| fs::read_to_string(told.folder.path().join("pages/man1").join(name)).unwrap();
    assert!(page("seawall-token-credential-generate.1").contains("overlap"));
    assert!(page("seawall-serve.1").contains("SIGTERM"));
    assert!(page("seawall.1").contains("scope\\-map"));
    // What it does, not what its arguments are in the source.
    for (name, purpose) in
        [("show", "Print a registry"), ("token-list", "Print all tokens"), ("backup", "Write everything")]
    {
        let page = page(&format!("seawall-{name}.1"));
        assert!(page.contains(&format!("\\- {purpose}")), "{page}");
    }
}
