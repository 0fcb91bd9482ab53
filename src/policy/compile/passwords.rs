//! Passwords: where their secrets are, and what of them is kept.

use crate::clock::Timestamp;
use crate::policy::credential::{CredentialId, HashProblem, Verifier};
use crate::policy::document::PasswordDocument;
use crate::policy::names;
use crate::policy::origin::At;
use crate::policy::principal::Password;
use crate::policy::problem::{Problem, Problems};
use crate::secret::Secret;

use super::Compiler;

/// A password in a file or variable that is shorter than this draws a warning.
const SHORT: usize = 12;

/// Whose passwords they are; part of every credential's id.
pub(super) struct Owner<'a> {
    pub(super) registry: &'a str,
    pub(super) kind: &'a str,
    /// The kind, in a sentence.
    pub(super) called: &'a str,
    pub(super) name: &'a str,
}

/// What the passwords of a list may be called.
#[derive(Clone, Copy)]
pub(super) enum Names {
    These([&'static str; 2]),
    /// Anything else (D11).
    Own,
}

/// Adds what `documents` say to `passwords`; no two have one name.
pub(super) fn compile(
    documents: &[At<PasswordDocument>],
    owner: &Owner<'_>,
    allowed: Names,
    passwords: &mut Vec<Password>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) {
    for document in documents {
        if let Some(problem) = misnamed(&document.name, owner, allowed) {
            problems.push(problem);
        } else if passwords.iter().any(|password| *password.name == *document.name.value) {
            let what = format!("`{}` is declared twice", document.name.value);
            problems.push(Problem::new(&document.name.origin, what).hint("rename or remove one of them"));
        } else if let Some(password) = password(document, owner, compiler, problems) {
            passwords.push(password);
        }
    }
}

fn misnamed(name: &At<String>, owner: &Owner<'_>, allowed: Names) -> Option<Problem> {
    match allowed {
        Names::These(names) if names.contains(&name.as_str()) => None,
        Names::These(names) => {
            let what = format!("`{}` is not the name of a password of {}", name.value, owner.called);
            Some(Problem::new(&name.origin, what).hint(format!("the names are `{}`", names.join("` and `"))))
        }
        Names::Own => names::check_password_name(name).err().map(|error| Problem::new(&name.origin, error)),
    }
}

fn password(
    document: &At<PasswordDocument>,
    owner: &Owner<'_>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Password> {
    let verifier = verifier(document, compiler, problems);
    let expiry = match &document.expiry {
        None => Some(None),
        Some(text) => expiry(text, compiler.now, problems).map(Some),
    };
    let verifier = verifier?;
    let kept = verifier.hash_text();
    let parts = [owner.registry, owner.kind, owner.name, &document.name, &kept].map(str::as_bytes);
    let id = CredentialId::derive(compiler.hash_key, "credential", &parts);
    Some(Password { name: names::password(&document.name), id, verifier, expiry: expiry? })
}

fn verifier(document: &At<PasswordDocument>, compiler: Compiler<'_>, problems: &mut Problems) -> Option<Verifier> {
    let (place, found) = match (&document.file, &document.env, &document.hash) {
        (Some(path), None, None) => (path, compiler.references.file(path)),
        (None, Some(name), None) => (name, compiler.references.environment(name)),
        (None, None, Some(hash)) => {
            let refuse = |error: HashProblem| {
                Problem::new(&hash.origin, error.to_string()).hint("`seawall hash-password` makes a hash")
            };
            return Verifier::parse_hash(hash).map_err(|error| problems.push(refuse(error))).ok();
        }
        _ => {
            let what = format!("password `{}` needs exactly one of `file`, `env` and `hash`", document.name.value);
            let hint = "a clear-text password is never accepted; `seawall hash-password` makes a hash";
            problems.push(Problem::new(&document.origin, what).hint(hint));
            return None;
        }
    };
    let secret = found.map(Secret::without_line_break).and_then(|secret| match secret.expose() {
        "" => Err("the password is empty".to_owned()),
        _ => Ok(secret),
    });
    let secret = secret.map_err(|error| problems.push(Problem::new(&place.origin, error))).ok()?;
    if secret.expose().chars().count() < SHORT {
        let what = format!("this password has fewer than {SHORT} characters, and guesses at it are checked fast");
        let hint =
            "`seawall hash-password --generate` makes one; or put a hash of it under `hash`, which is checked slowly";
        problems.push(Problem::warning(&place.origin, what).hint(hint));
    }
    // Of the secret only a keyed digest is kept.
    Some(Verifier::of_secret(compiler.hash_key, &secret))
}

fn expiry(text: &At<String>, now: Timestamp, problems: &mut Problems) -> Option<Timestamp> {
    let Ok(expiry) = text.parse::<Timestamp>() else {
        let what = format!("`{}` is not a date and time", text.value);
        problems.push(Problem::new(&text.origin, what).hint("write it as 2027-12-31T12:59:59Z"));
        return None;
    };
    if expiry <= now {
        let what = "this password has expired";
        problems.push(Problem::warning(&text.origin, what).hint("replace it, or remove it if it is not used any more"));
    }
    Some(expiry)
}
