//! The protocol firewall: `METHOD target`, as on a request line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::oci::{Endpoint, parse, query};

fuzz_target!(|line: &str| {
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let _ = query::pairs(target);
    let Ok(parsed) = parse(method, target) else { return };
    let (base, canonical) = match &parsed.endpoint {
        Endpoint::Registry(route) => ("/v2/", route.canonical()),
        Endpoint::Metadata(route) => ("/acr/v1/", route.canonical()),
        _ => return,
    };

    let path = canonical.split('?').next().unwrap_or_default();
    assert!(path.starts_with(base), "{canonical:?} leaves the registry");
    assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic()), "{canonical:?} is no request target");
    assert!(!path.contains(['%', '\\', '#', ';', '+']), "{canonical:?} can be decoded again");
    assert!(!path.contains("//") && !path.split('/').any(|segment| matches!(segment, "." | "..")), "{canonical:?}");
    assert_eq!(parse(method, &canonical).as_ref(), Ok(&parsed), "{canonical:?} is another route");
});
