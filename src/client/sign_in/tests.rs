use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::clock::ManualClock;

const NOW: i64 = 1_800_000_000;

fn application() -> Application {
    Application {
        issuer: "https://corp.example".to_owned(),
        client_id: "cli".to_owned(),
        scopes: vec!["openid".to_owned()],
        audience: None,
        resource: None,
    }
}

fn ends_at(seconds: i64) -> Secret {
    Secret::new(format!("h.{}.s", STANDARD_NO_PAD.encode(format!("{{\"exp\":{seconds}}}"))))
}

fn entry(token: Secret) -> Entry {
    Entry::SignIn { application: application(), ca: None, expires: expiry(&token), refresh_token: Some(token) }
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_only_and_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let sign_ins = SignIns::new(home.path().join("seawall"));
    let clock = ManualClock::at(NOW);
    sign_ins.put_password("r.example.com", "ci", Secret::new("secret"), &clock).await.unwrap();
    let mut book = sign_ins.open(&clock).await.unwrap();
    book.saved.registries.insert("other.example.com".to_owned(), entry(ends_at(NOW + 3601)));
    book.save().unwrap();
    drop(book);

    let Some(Kept::Password { user, password }) = sign_ins.kept("r.example.com", &clock).await.unwrap() else {
        panic!("no password");
    };
    assert_eq!((&*user, password.expose()), ("ci", "secret"));
    let kept = sign_ins.kept("other.example.com", &clock).await.unwrap();
    assert!(matches!(kept, Some(Kept::RefreshToken(_))), "good for more than an hour: nobody is asked");
    assert!(sign_ins.kept("third.example.com", &clock).await.unwrap().is_none());
    assert_eq!(sign_ins.list(&clock).await.unwrap()["other.example.com"], "00000000-0000-0000-0000-000000000000");

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(sign_ins.directory()), 0o700);
    assert_eq!(mode(&sign_ins.directory().join(FILE)), 0o600);

    assert!(sign_ins.remove("r.example.com", &clock).await.unwrap());
    assert!(!sign_ins.remove("r.example.com", &clock).await.unwrap());
    assert_eq!(sign_ins.remove_all(&clock).await.unwrap(), ["other.example.com"]);
    assert!(sign_ins.list(&clock).await.unwrap().is_empty());
}

/// As `docker login` stores what it got from a token service.
#[test]
fn a_refresh_token_that_others_stored_is_one() {
    let kept = |user: &str| Kept::Password { user: user.to_owned(), password: Secret::new("s") }.credential();
    assert!(matches!(kept("<token>"), Credential::RefreshToken(token) if token.expose() == "s"));
    assert!(matches!(kept("ci"), Credential::Password { user, .. } if user == "ci"));
}

/// Many providers let a refresh token be used once: two renewals at a time would end the sign-in.
#[tokio::test]
async fn one_process_at_a_time_has_the_file() {
    let home = tempfile::tempdir().unwrap();
    let sign_ins = SignIns::new(home.path().to_owned());
    let clock = ManualClock::at(NOW);
    let held = sign_ins.open(&clock).await.unwrap();
    clock.advance(1);
    let waiting = sign_ins.list(&clock);
    tokio::pin!(waiting);
    let soon = tokio::time::timeout(LOOK_AGAIN, &mut waiting).await;
    assert!(soon.is_err(), "it waits");
    drop(held);
    assert!(waiting.await.is_ok());
    let held = sign_ins.open(&clock).await.unwrap();
    let late = async {
        tokio::time::sleep(LOOK_AGAIN).await;
        clock.advance(61);
    };
    let (refused, ()) = tokio::join!(sign_ins.list(&clock), late);
    assert!(matches!(refused, Err(SignInError::Busy { .. })), "{refused:?}");
    drop(held);
}

#[tokio::test]
async fn a_broken_file_is_told_without_its_text_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let text = "{\"version\": 1, \"sessions\": [], \"registries\": {\"r\": {\"kind\": \"Hunter2\"}}}";
    std::fs::write(home.path().join(FILE), text).unwrap();
    let sign_ins = SignIns::new(home.path().to_owned());
    let refused = sign_ins.put_password("r", "u", Secret::new("p"), &ManualClock::at(NOW)).await.unwrap_err();
    assert!(!refused.to_string().contains("Hunter2"), "{refused}");
    assert_eq!(std::fs::read_to_string(home.path().join(FILE)).unwrap(), text);
}

#[test]
fn the_end_of_a_refresh_token_is_what_it_says() {
    assert_eq!(expiry(&ends_at(NOW)).unwrap().as_second(), NOW);
    for token in ["", "a.b", "a.!.c", "opaque"] {
        assert_eq!(expiry(&Secret::new(token)), None, "{token}");
    }
}
