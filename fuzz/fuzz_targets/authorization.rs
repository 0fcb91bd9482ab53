//! The `Authorization` header: one line of input for each header line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::oci::{Credential, credential};

fuzz_target!(|bytes: &[u8]| {
    let lines = || bytes.split(|byte| *byte == b'\n');
    match credential(lines()) {
        Ok(Some(Credential::Basic { user, password })) => {
            assert!(!user.contains(':'), "the user reaches over the first colon");
            assert!(!user.chars().chain(password.expose().chars()).any(char::is_control));
        }
        Ok(Some(Credential::Bearer(token))) => {
            assert!(!token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Ok(None) => unreachable!("a header that is there is never no credential"),
        Err(_) => return,
    }
    assert_eq!(lines().count(), 1, "one of two lines was believed");
});
