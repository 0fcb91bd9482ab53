//! Lists of scopes, as the token endpoint receives them and a challenge repeats them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::oci::{Challenge, Scope};

fuzz_target!(|list: &str| {
    let Ok(scopes) = Scope::parse_list(list) else { return };
    for scope in &scopes {
        assert_eq!(Scope::parse(&scope.to_string()).as_ref(), Ok(scope), "a scope is not printed as it was read");
    }

    let challenge =
        Challenge { realm: "https://r/oauth2/token", service: "r", scopes: &scopes, error: None }.to_string();
    assert!(challenge.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{challenge:?} is no header value");
    assert!(!challenge.contains('\\') && challenge.matches('"').count() == if scopes.is_empty() { 4 } else { 6 });

    let merged = Scope::merge(scopes.clone());
    assert_eq!(Scope::merge(merged.clone()), merged, "merging twice changes something");
    for scope in scopes {
        let home = merged.iter().find(|home| home.kind == scope.kind && home.name == scope.name).expect("it is kept");
        assert!(scope.actions.iter().all(|action| home.actions.contains(action)), "an action is lost");
    }
});
