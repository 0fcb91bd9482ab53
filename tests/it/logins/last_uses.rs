//! When and from where a password was used last, as far as the store knows.

use std::net::IpAddr;

use seawall::clock::Timestamp;
use seawall::policy::credential::{CredentialId, Verifier};
use seawall::secret::{HashKey, Secret};

use super::desk::{Desk, Document, PASSWORD, PASSWORD2, builder, token};
use crate::harness::keys::leave_keys;
use crate::harness::records::with_store;
use crate::harness::seawall::Place;
use crate::harness::session::Account;
use crate::harness::wait_until;

/// The id of a password of the token `builder`.
fn password(key: &HashKey, name: &str, secret: &str) -> CredentialId {
    let verifier = Verifier::of_secret(key, &Secret::new(secret)).hash_text();
    CredentialId::derive(key, "credential", &["myregistry", "token", "builder", name, &verifier].map(str::as_bytes))
}

fn last_use(desk: &Desk, credential: CredentialId) -> Option<(Timestamp, IpAddr)> {
    let uses = with_store(desk.seawall.place(), async |store| store.last_uses(&[credential]).await.unwrap());
    uses.first().map(|one| (one.at, one.address))
}

/// Issue 3: rotation with evidence. A password is used by whoever logs in with it and by its access tokens.
#[test]
fn the_last_use_of_a_password_is_known_and_refused_requests_are_none() {
    let place = Place::new();
    let keys = leave_keys(&place.path().join("keys"));
    let desk = Document::default().start_in(place);
    let key = keys.hash_key();
    let (first, second) = (password(key, "password1", PASSWORD), password(key, "password2", PASSWORD2));
    // Refused: a wrong password, and a right one for what it may not do.
    desk.get("", &Account::new("builder", "wrong")).expect(401);
    desk.basic(&Account::new("builder", PASSWORD2), "DELETE /v2/team/app/manifests/latest").expect(401);
    let access = token(desk.get("&scope=repository:team/app:pull", &builder()));
    wait_until("the login is known", || last_use(&desk, first).is_some());
    let (login, address) = last_use(&desk, first).unwrap();
    assert!(address.is_loopback());
    assert_eq!(last_use(&desk, second), None);
    desk.bearer(&access, "GET /v2/team/app/manifests/latest").expect(502);
    wait_until("the use of the access token is known", || last_use(&desk, first).unwrap().0 > login);
    desk.basic(&Account::new("builder", PASSWORD2), "GET /v2/team/app/manifests/latest").expect(502);
    wait_until("the other password is known", || last_use(&desk, second).is_some());
    assert!(desk.seawall.metric("seawall_observations_dropped_total") < 0.5);
}
