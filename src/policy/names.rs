//! What things may be called: one place for the files, the API and the command line.
//!
//! The forms are ACR's (requirements B.2-2, `docs/decisions/0013`), except the two that go further: tokens in files
//! (`docs/decisions/0014`) and named passwords (D11).

use std::sync::{Arc, LazyLock};

/// The names of a token's two passwords (S3-32).
pub const TOKEN_PASSWORDS: [&str; 2] = ["password1", "password2"];
/// The names of the admin account's two passwords (wire contract 5).
pub const ADMIN_PASSWORDS: [&str; 2] = ["password", "password2"];
/// What the names of system-defined scope maps begin with, and of no others.
pub const SYSTEM_PREFIX: &str = "_repositories_";

/// In bytes; files may name their listeners otherwise.
const LONGEST_LISTENER: usize = 256;

/// The form of one kind of name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// With its article.
    pub(super) what: &'static str,
    least: usize,
    most: usize,
    /// Allowed besides letters and digits.
    marks: &'static str,
    alphabet: &'static str,
    acr: bool,
}

const fn acr(what: &'static str, marks: &'static str, alphabet: &'static str) -> Form {
    Form { what, least: 5, most: 50, marks, alphabet, acr: true }
}

pub(super) const REGISTRY: Form = acr("a registry", "", "letters and digits");
pub(super) const SCOPE_MAP: Form = acr("a scope map", "-_", "letters, digits, `-` and `_`");
const TOKEN: Form = acr("a token", "-", "letters, digits and `-`");
pub(super) const DECLARED_TOKEN: Form = Form {
    what: "a token",
    least: 1,
    most: 64,
    marks: "._-@",
    alphabet: "letters, digits, `.`, `_`, `-` and `@`, not marks alone",
    acr: false,
};
pub(super) const IDENTITY: Form = Form { what: "an identity", ..DECLARED_TOKEN };
pub(super) const PROVIDER: Form = Form { what: "an identity provider", ..PASSWORD };
pub(super) const ENDPOINT_CONNECTION: Form = Form { what: "a private endpoint connection", most: 80, ..PASSWORD };
pub(super) const VIRTUAL_NETWORK_RULE: Form = Form { what: "a virtual network rule", most: 80, ..PASSWORD };
pub(super) const TRUSTED_SERVICE: Form = Form { what: "a trusted service", ..PASSWORD };
pub(super) const REGION: Form = Form { what: "a region", ..PASSWORD };
const PASSWORD: Form = Form {
    what: "a password",
    least: 1,
    most: 50,
    marks: "._-",
    alphabet: "letters, digits, `.`, `_` and `-`, not marks alone",
    acr: false,
};

impl Form {
    pub(super) fn allows(self, name: &str) -> bool {
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        (self.least..=self.most).contains(&name.len())
            && name.chars().all(|c| alphanumeric(c) || self.marks.contains(c))
            // `..` would be a step up where names stand in paths.
            && (self.acr || name.chars().any(alphanumeric))
    }

    /// What to write instead.
    pub(super) fn hint(self) -> String {
        let as_in = if self.acr { ", as in ACR" } else { "" };
        format!("use {} to {} {}{as_in}", self.least, self.most, self.alphabet)
    }

    fn check(self, name: &str) -> Result<(), String> {
        if self.allows(name) {
            return Ok(());
        }
        Err(format!("`{}` is not {} name: {}", shortened(name), self.what, self.hint()))
    }
}

/// A registry's name.
///
/// # Errors
/// A sentence that says what to use, as all of this module's errors are.
pub fn check_registry(name: &str) -> Result<(), String> {
    REGISTRY.check(name)
}

/// The name of a token that the API makes.
///
/// # Errors
/// A sentence.
pub fn check_token(name: &str) -> Result<(), String> {
    TOKEN.check(name)
}

/// The name of a token that a file declares.
///
/// # Errors
/// A sentence.
pub fn check_declared_token(name: &str) -> Result<(), String> {
    DECLARED_TOKEN.check(name)
}

/// The name of a scope map that somebody makes: not of a system-defined one.
///
/// # Errors
/// A sentence.
pub fn check_scope_map(name: &str) -> Result<(), String> {
    SCOPE_MAP.check(name)?;
    if is_reserved(name) { Err(reserved(name)) } else { Ok(()) }
}

/// The name of an identity, in a file or made by the API.
///
/// # Errors
/// A sentence.
pub fn check_identity(name: &str) -> Result<(), String> {
    IDENTITY.check(name)
}

/// The name of a private endpoint connection, in a file or made by the API.
///
/// # Errors
/// A sentence.
pub fn check_endpoint_connection(name: &str) -> Result<(), String> {
    ENDPOINT_CONNECTION.check(name)
}

/// The name of a virtual network rule, in a file or made by the API.
///
/// # Errors
/// A sentence.
pub fn check_virtual_network_rule(name: &str) -> Result<(), String> {
    VIRTUAL_NETWORK_RULE.check(name)
}

/// The name of a listener, as far as it can be told without knowing the listeners.
///
/// # Errors
/// A sentence.
pub(super) fn listener(name: &str) -> Result<Arc<str>, String> {
    if name.is_empty() || name.len() > LONGEST_LISTENER || name.contains(char::is_control) {
        return Err(format!(
            "the name of a listener has 1 to {LONGEST_LISTENER} characters, and no control characters"
        ));
    }
    Ok(name.into())
}

/// The name of a password besides a token's two (D11).
///
/// # Errors
/// A sentence.
pub fn check_password_name(name: &str) -> Result<(), String> {
    PASSWORD.check(name)?;
    if TOKEN_PASSWORDS.contains(&name) || ADMIN_PASSWORDS.contains(&name) {
        return Err(format!("`{name}` is the name of a password that every token or admin account may have"));
    }
    Ok(())
}

pub(super) fn is_reserved(scope_map: &str) -> bool {
    scope_map.starts_with(SYSTEM_PREFIX)
}

pub(super) fn reserved(scope_map: &str) -> String {
    format!("`{scope_map}`: names that begin with `{SYSTEM_PREFIX}` are reserved")
}

/// The name of a password. The usual ones are shared: tens of thousands of tokens have the same two.
pub(super) fn password(name: &str) -> Arc<str> {
    static USUAL: LazyLock<[Arc<str>; 3]> = LazyLock::new(|| ["password", "password1", "password2"].map(Arc::from));
    USUAL.iter().find(|usual| ***usual == *name).map_or_else(|| name.into(), Arc::clone)
}

/// Enough of a name to recognise it.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(70) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Result<(), String>;

    /// B.2-2; D11.
    #[test]
    fn every_kind_of_name_has_its_form() {
        let fifty = "n".repeat(50);
        let cases: &[(Check, &[&str], &[&str])] = &[
            (check_registry, &["12345", "MyRegistry", &fifty], &["tiny", "my-registry", "", "régistre"]),
            (check_token, &["-ci--", "MyToken", &fifty], &["cicd", "ci_push", "ci.push", "ci@push", "tökens", ""]),
            (
                check_declared_token,
                &["a", "ci", "ci_push", "jane.doe@example.com", &"n".repeat(64)],
                &["", ".", "..", "-@-", "a b", "a:b", "a/b", "jürgen", &"n".repeat(65)],
            ),
            (
                check_scope_map,
                &["team-a", "_team", "team_a-1"],
                &["team", "team.a", "_repositories_pull", "_repositories_x"],
            ),
            (
                check_password_name,
                &["a", "2027-q1", "laptop.of_jane"],
                &["", "password", "password1", "password2", "a b", "."],
            ),
            (check_identity, &["build-agent", "jane.doe@example.com"], &["", "a b", "-", "a/b", &"n".repeat(65)]),
            (|name| PROVIDER.check(name), &["corp", "gitlab.example.com"], &["", "a b", "a@b", &"n".repeat(51)]),
        ];
        for (check, good, bad) in cases {
            good.iter().for_each(|name| assert_eq!(check(name), Ok(()), "{name}"));
            bad.iter().for_each(|name| assert!(check(name).is_err(), "{name}"));
        }
        assert_eq!(
            check_token("ci_push").unwrap_err(),
            "`ci_push` is not a token name: use 5 to 50 letters, digits and `-`, as in ACR"
        );
    }

    #[test]
    fn a_very_long_name_is_not_repeated_whole() {
        assert!(check_token(&"é".repeat(100_000)).unwrap_err().len() < 300);
    }

    #[test]
    fn usual_password_names_are_shared() {
        assert!(Arc::ptr_eq(&password("password1"), &password("password1")));
        assert_eq!(&*password("mine"), "mine");
    }
}
