//! Checks a presented password against what is kept of the right ones.
//!
//! Digests of high-entropy secrets are compared at once. Slow hashes run off the request threads, a few at a time, each
//! at most once for the same attempt: what was found is remembered under a keyed digest of its length-framed inputs, so
//! that no two attempts share an entry (threat class R). A wrong attempt costs the same whether or not the user exists
//! (threat class Q).

mod generate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use moka::future::Cache;

use super::CacheOutcome;
use super::off_thread::{OffThread, Overloaded};
use crate::policy::credential::{CredentialId, Verifier, password_digest};
use crate::secret::{HashKey, KeyedDigest, Secret};

pub use generate::{PasswordError, generate_password, hash_password};

/// How long a right password is remembered. Revocation does not wait for it: a credential that is gone from the
/// snapshot is no longer a candidate.
const RIGHT_FOR: Duration = Duration::from_hours(1);
/// How long a wrong password is remembered, so that a misconfigured client which repeats it causes no hashing storm.
const WRONG_FOR: Duration = Duration::from_secs(10);

/// How much checking passwords may cost.
#[derive(Debug, Clone, Copy)]
pub struct PasswordLimits {
    /// Slow hashes computed at a time.
    pub running: usize,
    /// Slow hashes waiting for their turn; more are refused as [`Overloaded`].
    pub waiting: usize,
    /// Attempts remembered, right ones and wrong ones each.
    pub remembered: u64,
}

impl Default for PasswordLimits {
    fn default() -> Self {
        Self { running: OffThread::default_running(), waiting: 256, remembered: 10_000 }
    }
}

/// One user name and password as presented, and what they are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The user name, as presented.
    pub user: &'a str,
    pub password: &'a Secret,
    /// The live credentials of that user: none for an unknown one.
    pub candidates: &'a [(CredentialId, &'a Verifier)],
    /// Some slow verifier of the same registry, if it has any: hashed in vain for users that have none, so that the
    /// time taken does not tell which user names exist.
    pub decoy: Option<&'a Verifier>,
}

/// What came of an [`Attempt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The credential that the password belongs to, if it is right.
    pub credential: Option<CredentialId>,
    /// Whether a slow hash had to be computed; `None` when none was involved.
    pub cache: Option<CacheOutcome>,
}

/// The checker of passwords: one per process.
#[derive(Debug)]
pub struct Passwords {
    hash_key: HashKey,
    hashing: OffThread,
    /// Apart from `wrong`, so that guesses cannot push right passwords out.
    right: Cache<KeyedDigest, ()>,
    wrong: Cache<KeyedDigest, ()>,
}

impl Passwords {
    /// A checker with nothing remembered. `hash_key` must be the one under which the digests were made.
    pub fn new(hash_key: HashKey, limits: PasswordLimits) -> Self {
        let remember = |time| Cache::builder().max_capacity(limits.remembered).time_to_live(time).build();
        Self {
            hash_key,
            hashing: OffThread::new(limits.running, limits.waiting),
            right: remember(RIGHT_FOR),
            wrong: remember(WRONG_FOR),
        }
    }

    /// Whose password it is.
    ///
    /// # Errors
    /// [`Overloaded`] when too many slow hashes are waiting; nothing is known about the password then.
    pub async fn verify(&self, attempt: Attempt<'_>) -> Result<Verdict, Overloaded> {
        let presented = password_digest(&self.hash_key, attempt.password);
        if let Some(credential) = compare_digests(attempt.candidates, &presented) {
            return Ok(Verdict { credential: Some(credential), cache: None });
        }
        let mut cache = None;
        for (credential, verifier) in attempt.candidates.iter().filter(|(_, verifier)| is_slow(verifier)) {
            let (right, outcome) = self.check(*credential, verifier, attempt.password).await?;
            if cache != Some(CacheOutcome::Miss) {
                cache = Some(outcome);
            }
            if right {
                return Ok(Verdict { credential: Some(*credential), cache });
            }
        }
        if cache.is_none()
            && let Some(decoy) = attempt.decoy.filter(|decoy| is_slow(decoy))
        {
            // The name is part of the id: one shared by all unknown users would answer the second of them faster.
            let nobody = CredentialId::derive(&self.hash_key, "nobody", &[attempt.user.as_bytes()]);
            let (_, outcome) = self.check(nobody, decoy, attempt.password).await?;
            cache = Some(outcome);
        }
        Ok(Verdict { credential: None, cache })
    }

    /// Whether `password` fits `verifier`, from memory or by hashing. Equal attempts at the same time hash once.
    async fn check(
        &self,
        credential: CredentialId,
        verifier: &Verifier,
        password: &Secret,
    ) -> Result<(bool, CacheOutcome), Overloaded> {
        let hash = verifier.hash_text();
        let parts: [&[u8]; 3] = [credential.as_bytes(), hash.as_bytes(), password.expose().as_bytes()];
        let key = self.hash_key.digest("verified-password", &parts);
        let hashed = AtomicBool::new(false);
        let found = self
            .right
            .try_get_with(key, async {
                if self.wrong.get(&key).await.is_some() {
                    return Err(NotRight::Wrong);
                }
                hashed.store(true, Ordering::Relaxed);
                let (verifier, password) = (verifier.clone(), password.clone());
                if self.hashing.run(move || fits(&verifier, &password)).await? {
                    return Ok(());
                }
                self.wrong.insert(key, ()).await;
                Err(NotRight::Wrong)
            })
            .await;
        let outcome = if hashed.into_inner() { CacheOutcome::Miss } else { CacheOutcome::Hit };
        match found.map_err(|error: Arc<NotRight>| *error) {
            Ok(()) => Ok((true, outcome)),
            Err(NotRight::Wrong) => Ok((false, outcome)),
            Err(NotRight::Overloaded(overloaded)) => Err(overloaded),
        }
    }
}

/// Looks at every candidate, so that the time does not depend on which one fits.
fn compare_digests(candidates: &[(CredentialId, &Verifier)], presented: &KeyedDigest) -> Option<CredentialId> {
    candidates.iter().fold(None, |found, (id, verifier)| match verifier {
        Verifier::Digest(digest) if digest == presented => Some(*id),
        Verifier::Digest(_) | Verifier::Argon2(_) | Verifier::Bcrypt(_) => found,
    })
}

/// Why an attempt is not remembered among the right ones.
#[derive(Debug, Clone, Copy)]
enum NotRight {
    Wrong,
    Overloaded(Overloaded),
}

impl From<Overloaded> for NotRight {
    fn from(overloaded: Overloaded) -> Self {
        Self::Overloaded(overloaded)
    }
}

/// Whether checking takes milliseconds.
fn is_slow(verifier: &Verifier) -> bool {
    match verifier {
        Verifier::Digest(_) => false,
        Verifier::Argon2(_) | Verifier::Bcrypt(_) => true,
    }
}

/// Whether `password` fits a slow hash. Digests are compared elsewhere: here none fits.
fn fits(verifier: &Verifier, password: &Secret) -> bool {
    let password = password.expose().as_bytes();
    match verifier {
        Verifier::Digest(_) => false,
        Verifier::Argon2(text) => {
            PasswordHash::new(text).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
        }
        // bcrypt repeats a short password, a zero byte after each copy: with zero bytes inside, several fit.
        Verifier::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false) && !password.contains(&0),
    }
}
