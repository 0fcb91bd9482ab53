use std::collections::HashSet;

use super::*;

/// Written by `htpasswd -Bbn -C 4 x seawall`.
const HTPASSWD: &str = "$2y$04$Jx1LIXQlntZd8sdh/I1iSOR2E8plgVCCmNX5yamDfAdvVBbcS0hje";

fn key() -> HashKey {
    HashKey::from_bytes([3; 32])
}

fn passwords() -> Passwords {
    Passwords::new(key(), PasswordLimits { running: 2, ..PasswordLimits::default() })
}

fn id(name: &str) -> CredentialId {
    CredentialId::derive(&key(), "test", &[name.as_bytes()])
}

fn argon2(password: &str) -> Verifier {
    let hash = hash_password(&Secret::new(password)).expect("hashed");
    Verifier::parse_hash(&hash).expect("what is made here is accepted here")
}

fn bcrypt(password: &str) -> Verifier {
    Verifier::parse_hash(&bcrypt::hash(password, 4).expect("hashed")).expect("accepted")
}

fn digest(password: &str) -> Verifier {
    Verifier::of_secret(&key(), &Secret::new(password))
}

async fn verify(passwords: &Passwords, candidates: &[(CredentialId, &Verifier)], password: &str) -> Verdict {
    let password = Secret::new(password);
    let attempt = Attempt { user: "alice", password: &password, candidates, decoy: None };
    passwords.verify(attempt).await.expect("not overloaded")
}

#[tokio::test]
async fn each_kind_of_verifier_accepts_its_password_only() {
    let passwords = passwords();
    for verifier in [digest("right"), argon2("right"), bcrypt("right")] {
        let candidates = [(id("a"), &verifier)];
        assert_eq!(verify(&passwords, &candidates, "right").await.credential, Some(id("a")), "{verifier:?}");
        for wrong in ["", "Right", "right ", "wrong", "right\0"] {
            assert_eq!(verify(&passwords, &candidates, wrong).await.credential, None, "{verifier:?} {wrong:?}");
        }
    }
}

#[tokio::test]
async fn names_the_one_of_two_passwords_that_fits() {
    let passwords = passwords();
    for (first, second) in
        [(digest("one"), digest("two")), (argon2("one"), bcrypt("two")), (bcrypt("one"), digest("two"))]
    {
        let candidates = [(id("1"), &first), (id("2"), &second)];
        assert_eq!(verify(&passwords, &candidates, "one").await.credential, Some(id("1")));
        assert_eq!(verify(&passwords, &candidates, "two").await.credential, Some(id("2")));
        assert_eq!(verify(&passwords, &candidates, "three").await.credential, None);
    }
}

#[tokio::test]
async fn accepts_a_hash_that_htpasswd_made() {
    let verifier = Verifier::parse_hash(HTPASSWD).expect("accepted");
    assert_eq!(verify(&passwords(), &[(id("a"), &verifier)], "seawall").await.credential, Some(id("a")));
}

#[tokio::test]
async fn a_password_with_zero_bytes_does_not_fit_a_bcrypt_hash_of_its_repetition() {
    let verifier = bcrypt("ab");
    assert!(bcrypt::verify("ab\0ab", &verifier.hash_text()).expect("verified"), "bcrypt itself cannot tell");
    assert_eq!(verify(&passwords(), &[(id("a"), &verifier)], "ab\0ab").await.credential, None);
}

#[tokio::test]
async fn a_slow_hash_is_computed_once_for_right_and_for_wrong_passwords() {
    let passwords = passwords();
    let verifier = argon2("right");
    let candidates = [(id("a"), &verifier)];
    for password in ["right", "wrong"] {
        assert_eq!(verify(&passwords, &candidates, password).await.cache, Some(CacheOutcome::Miss), "{password}");
        assert_eq!(verify(&passwords, &candidates, password).await.cache, Some(CacheOutcome::Hit), "{password}");
    }
    assert_eq!(verify(&passwords, &candidates, "right").await.credential, Some(id("a")));
    assert_eq!(verify(&passwords, &candidates, "wrong").await.credential, None);
}

#[tokio::test]
async fn what_is_remembered_belongs_to_one_credential_and_one_hash() {
    let passwords = passwords();
    let (right, other) = (argon2("right"), argon2("other"));
    assert_eq!(verify(&passwords, &[(id("a"), &right)], "right").await.credential, Some(id("a")));
    // Another user whose hash does not fit, and the same credential after its hash was changed.
    assert_eq!(verify(&passwords, &[(id("b"), &other)], "right").await.credential, None);
    assert_eq!(verify(&passwords, &[(id("a"), &other)], "right").await.credential, None);
    assert_eq!(verify(&passwords, &[], "right").await.credential, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_attempts_at_the_same_time_hash_once() {
    let passwords = Arc::new(passwords());
    let verifier = argon2("right");
    for password in ["right", "wrong"] {
        let attempts: Vec<_> = (0..32)
            .map(|_| {
                let (passwords, verifier) = (Arc::clone(&passwords), verifier.clone());
                tokio::spawn(async move { verify(&passwords, &[(id("a"), &verifier)], password).await })
            })
            .collect();
        let mut hashes = 0;
        for attempt in attempts {
            let verdict = attempt.await.expect("joined");
            assert_eq!(verdict.credential.is_some(), password == "right");
            hashes += usize::from(verdict.cache == Some(CacheOutcome::Miss));
        }
        assert_eq!(hashes, 1, "{password}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_waiting_hashes_than_allowed_are_refused_and_not_remembered() {
    let limits = PasswordLimits { running: 1, waiting: 0, ..PasswordLimits::default() };
    let passwords = Arc::new(Passwords::new(key(), limits));
    let verifier = argon2("right");
    let attempts: Vec<_> = (0..8)
        .map(|number| {
            let (passwords, verifier) = (Arc::clone(&passwords), verifier.clone());
            tokio::spawn(async move {
                let (password, candidates) = (Secret::new(format!("wrong {number}")), [(id("a"), &verifier)]);
                let attempt = Attempt { user: "alice", password: &password, candidates: &candidates, decoy: None };
                passwords.verify(attempt).await
            })
        })
        .collect();
    let mut refused = 0;
    for attempt in attempts {
        refused += usize::from(attempt.await.expect("joined").is_err());
    }
    assert!(refused > 0, "eight hashes at once, and one slot");
    assert_eq!(verify(&passwords, &[(id("a"), &verifier)], "right").await.credential, Some(id("a")));
}

#[tokio::test]
async fn an_unknown_user_costs_what_a_wrong_password_costs() {
    let passwords = passwords();
    let (slow, fast) = (argon2("right"), digest("right"));
    let password = Secret::new("guess");
    let cases: [(&str, &[(CredentialId, &Verifier)]); 4] = [
        ("known", &[(id("a"), &slow)]),
        ("known with a generated password", &[(id("b"), &fast)]),
        ("unknown", &[]),
        ("another unknown", &[]),
    ];
    for expected in [CacheOutcome::Miss, CacheOutcome::Hit] {
        for (user, candidates) in cases {
            let attempt = Attempt { user, password: &password, candidates, decoy: Some(&slow) };
            let verdict = passwords.verify(attempt).await.expect("not overloaded");
            assert_eq!(verdict, Verdict { credential: None, cache: Some(expected) }, "{user}");
        }
    }
}

#[tokio::test]
async fn the_password_of_the_decoy_opens_nothing() {
    let (passwords, decoy, password) = (passwords(), argon2("right"), Secret::new("right"));
    for _ in 0..2 {
        let attempt = Attempt { user: "nobody", password: &password, candidates: &[], decoy: Some(&decoy) };
        assert_eq!(passwords.verify(attempt).await.expect("not overloaded").credential, None);
    }
}

#[tokio::test]
async fn without_slow_hashes_nothing_is_hashed() {
    let (passwords, verifier, password) = (passwords(), digest("right"), Secret::new("wrong"));
    let attempt = Attempt { user: "a", password: &password, candidates: &[(id("a"), &verifier)], decoy: None };
    assert_eq!(passwords.verify(attempt).await, Ok(Verdict { credential: None, cache: None }));
}

#[test]
fn hashes_have_the_recommended_parameters_and_their_own_salt() {
    let hashes: HashSet<_> = (0..3).map(|_| hash_password(&Secret::new("s")).expect("hashed")).collect();
    assert_eq!(hashes.len(), 3);
    assert!(hashes.iter().all(|hash| hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")), "{hashes:?}");
    assert!(matches!(hash_password(&Secret::new("")), Err(PasswordError::Empty)));
}

#[test]
fn generated_passwords_differ_and_fit_on_a_command_line() {
    let passwords: HashSet<String> =
        (0..500).map(|_| generate_password().expect("generated").expose().to_owned()).collect();
    assert_eq!(passwords.len(), 500);
    for password in passwords {
        assert_eq!(password.len(), 43);
        assert!(password.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{password}");
        assert!(!password.starts_with(['-', '_']), "{password}");
    }
}
