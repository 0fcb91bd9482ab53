//! Passwords: made, shown once, replaced, with an overlap if one is wanted.

use http::StatusCode;

use super::call::{Answer, Call, key};
use super::error::ApiError;
use super::models::{GenerateCredentials, GeneratedCredentials, Length, Moment, Password, PreviousPassword};
use super::tokens::{is_usual, not_found, random_id};
use super::uses::Uses;
use super::write::{Change, modify};
use crate::auth::password::generate_password;
use crate::clock::Timestamp;
use crate::policy::credential::{CredentialId, Verifier};
use crate::policy::names::{self, TOKEN_PASSWORDS};
use crate::policy::principal;
use crate::policy::stored::{ReplacedPassword, StoredPassword, StoredToken};
use crate::secret::Secret;
use crate::store::Kind;
use jiff::SignedDuration;

/// Whoever needs the old password for longer should have a password of their own.
const LONGEST_OVERLAP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A token's additional passwords: what an attempt to log in is compared with stays short.
const MOST_ADDITIONAL: usize = 100;

/// Makes passwords of a token (S3-88, S3-89). One that was there is refused from now on, or from the end of the overlap.
pub(super) async fn generate(call: &Call) -> Result<Answer, ApiError> {
    let registry = call.registry()?;
    let sent = call.json::<GenerateCredentials>()?;
    let name = call.ids(&registry).token_name(&sent.token_id);
    let name =
        name.ok_or_else(|| ApiError::not_found(&format!("registries/{}/tokens ({})", registry.name, sent.token_id)))?;
    if let Some(token) = registry.declared_token(&name) {
        return Err(ApiError::declared(&format!("token '{name}'"), &token.origin));
    }
    let expiry = sent.expiry.and_then(|expiry| expiry.0);
    if expiry.is_some_and(|expiry| expiry <= call.now) {
        return Err(ApiError::invalid("expiry", "the expiry is not in the future"));
    }
    let until = sent.overlap.map(|overlap| end_of_overlap(overlap, call.now)).transpose()?;
    let names = names_to_generate(sent.name)?;
    let made: Vec<_> = names.iter().map(|name| make(call, name, expiry)).collect::<Result<_, _>>()?;
    let change = |before: Option<StoredToken>| {
        let mut token = before.ok_or_else(|| not_found(&registry, &name))?;
        if until.is_some() {
            refuse_second_overlap(&token.passwords, &names, call.now)?;
        }
        for (password, _) in &made {
            replace(&mut token.passwords, password.clone(), until);
        }
        if token.passwords.iter().filter(|password| !is_usual(&password.name)).count() > MOST_ADDITIONAL {
            let message = format!("a token has at most {MOST_ADDITIONAL} additional passwords; delete one first");
            return Err(ApiError::conflict("QuotaExceeded", message));
        }
        Ok(Change::Put(token))
    };
    let changed = modify(call, key(&registry, Kind::Token, &name), change).await?;
    let token = changed.contents.ok_or_else(|| not_found(&registry, &name))?;
    let answer = Answer::ok(&generated(name, &token, &made))?;
    let names = names.iter().map(|name| format!("credentials/{name}"));
    Ok(answer.written(changed.revision).changed(names))
}

/// A new password, and its value, which is nowhere else.
pub(super) fn make(call: &Call, name: &str, expiry: Option<Timestamp>) -> Result<(StoredPassword, Secret), ApiError> {
    let secret = generate_password()?;
    let password = StoredPassword {
        name: name.to_owned(),
        id: random_id()?,
        hash: Verifier::of_secret(&call.parts.hash_key, &secret).hash_text(),
        creation_time: call.now,
        expiry,
        sealed: None,
        replaced: None,
    };
    Ok((password, secret))
}

/// Puts `password` in the place of the one of its name, which is accepted `until` then, if at all.
pub(super) fn replace(passwords: &mut Vec<StoredPassword>, mut password: StoredPassword, until: Option<Timestamp>) {
    let Some(place) = passwords.iter_mut().find(|old| old.name == password.name) else {
        passwords.push(password);
        passwords.sort_by(|a, b| a.name.cmp(&b.name));
        return;
    };
    password.replaced = until.map(|until| ReplacedPassword {
        id: place.id,
        hash: place.hash.clone(),
        // An overlap never makes a password live longer.
        until: place.expiry.map_or(until, |expiry| until.min(expiry)),
    });
    *place = password;
}

/// The ids of `passwords` and of those that they replaced.
pub(super) fn credentials(passwords: &[StoredPassword]) -> Vec<CredentialId> {
    let both = |password: &StoredPassword| [Some(password.id), password.replaced.as_ref().map(|replaced| replaced.id)];
    passwords.iter().flat_map(both).flatten().collect()
}

/// `passwords` as the API shows them: those that ARM knows, and the others.
pub(super) fn shown(passwords: &[StoredPassword], uses: &Uses) -> (Vec<Password>, Vec<Password>) {
    let (usual, further): (Vec<_>, Vec<_>) = passwords.iter().partition(|password| is_usual(&password.name));
    let shown = |list: Vec<&StoredPassword>| list.into_iter().map(|password| stored(password, uses)).collect();
    (shown(usual), shown(further))
}

/// A password that a file declares.
pub(super) fn declared(password: &principal::Password, uses: &Uses) -> Password {
    Password {
        creation_time: None,
        expiry: password.expiry.map(Moment),
        name: password.name.to_string(),
        value: None,
        last_used_time: uses.time(password.id),
        last_used_address: uses.address(password.id),
        replaced: None,
    }
}

fn stored(password: &StoredPassword, uses: &Uses) -> Password {
    let previous = |replaced: &ReplacedPassword| PreviousPassword {
        valid_until: Moment(replaced.until),
        last_used_time: uses.time(replaced.id),
        last_used_address: uses.address(replaced.id),
    };
    Password {
        creation_time: Some(Moment(password.creation_time)),
        expiry: password.expiry.map(Moment),
        name: password.name.clone(),
        value: None,
        last_used_time: uses.time(password.id),
        last_used_address: uses.address(password.id),
        replaced: password.replaced.as_ref().map(previous),
    }
}

fn generated(username: String, token: &StoredToken, made: &[(StoredPassword, Secret)]) -> GeneratedCredentials {
    let (mut passwords, mut additional_passwords) = shown(&token.passwords, &Uses::default());
    for password in passwords.iter_mut().chain(&mut additional_passwords) {
        let value = made.iter().find(|(made, _)| made.name == password.name);
        password.value = value.map(|(_, secret)| secret.expose().to_owned());
    }
    GeneratedCredentials { username, passwords, additional_passwords }
}

fn names_to_generate(name: Option<String>) -> Result<Vec<String>, ApiError> {
    match name {
        None => Ok(TOKEN_PASSWORDS.map(str::to_owned).into()),
        Some(name) => {
            if !is_usual(&name) {
                names::check_password_name(&name).map_err(|error| ApiError::invalid("name", error))?;
            }
            Ok(vec![name])
        }
    }
}

/// A password has one predecessor. Were a further overlap to begin, the password before it, which may still be in use,
/// would be refused at once: a client that only tries again would break what the overlap is for.
fn refuse_second_overlap(passwords: &[StoredPassword], names: &[String], now: Timestamp) -> Result<(), ApiError> {
    for password in passwords.iter().filter(|password| names.contains(&password.name)) {
        if let Some(replaced) = password.replaced.as_ref().filter(|replaced| replaced.until > now) {
            let message = format!(
                "the former {0} is still accepted, until {1}; generate {0} without an overlap, which ends it at once, or \
                 wait, or generate another password",
                password.name, replaced.until
            );
            return Err(ApiError::conflict("OverlapNotOver", message));
        }
    }
    Ok(())
}

fn end_of_overlap(overlap: Length, now: Timestamp) -> Result<Timestamp, ApiError> {
    let refused = || {
        let message = "an overlap is longer than nothing and at most 30 days";
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).at("overlap")
    };
    if overlap.0 <= SignedDuration::ZERO || overlap.0 > LONGEST_OVERLAP {
        return Err(refused());
    }
    now.checked_add(overlap.0).map_err(|_| refused())
}
