//! A certificate that stops counting: revoked, ended, or of an authority that is no longer one. Open connections notice.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::date_time_ymd;
use rustls::client::Resumption;
use rustls::{ClientConfig, HandshakeKind};
use seawall::clock::{Clock, SystemClock};

use super::certificates::{ClientAuthority, uri};
use super::world::{Client, HOST, World};
use super::{SCANNER, scanner};
use crate::harness::sources::record_of;
use crate::harness::tls::handshake;
use crate::harness::wait_until;

const LATER: i32 = 4000;

#[test]
fn a_revocation_ends_open_connections_with_the_next_request() {
    let world = World::with(|corp| Some(corp.revoke(&[], LATER)));
    let [revoked, other] = [scanner(&world.authority), scanner(&world.authority)];
    let mut optional = world.connect(world.optional, Some(&revoked)).unwrap();
    let mut required = world.connect(world.required, Some(&revoked)).unwrap();
    let mut unharmed = world.connect(world.required, Some(&other)).unwrap();
    for client in [&mut optional, &mut required, &mut unharmed] {
        client.get("/v2/", &[]).expect(200);
    }
    world.publish(&world.authority.revoke(&[&revoked.serial], LATER));
    wait_until("the certificate does not count any more", || optional.get("/v2/", &[]).status == 401);
    // The listeners are reloaded one after the other.
    let mut refused = None;
    wait_until("the other listener knows it too", || {
        let answer = required.get("/v2/", &[]);
        (answer.status == 403).then(|| refused = Some(answer)).is_some()
    });
    let refused = refused.unwrap();
    let record = record_of(&world.seawall, &refused);
    assert_eq!(
        (&record["reason"], &record["clientCertificate"]),
        (&"client_certificate".into(), &revoked.fingerprint.into())
    );
    unharmed.get("/v2/", &[]).expect(200);
    assert_eq!(world.attempt(world.optional, Some(&scanner(&world.authority))), Some(200));
    optional.get("/v2/", &[]).expect(401);
}

#[tokio::test]
async fn a_revocation_ends_http2_connections_too() {
    let world = World::with(|corp| Some(corp.revoke(&[], LATER)));
    let identity = scanner(&world.authority);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(world.client(Some(&identity), &["h2"])));
    let socket = tokio::net::TcpStream::connect(world.optional).await.unwrap();
    let stream = connector.connect(HOST.try_into().unwrap(), socket).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut status = async || {
        let request = http::Request::get(format!("https://{HOST}/v2/")).body(()).unwrap();
        requests.send_request(request, true).unwrap().0.await.unwrap().status().as_u16()
    };
    assert_eq!(status().await, 200);
    world.publish(&world.authority.revoke(&[&identity.serial], LATER));
    for _ in 0..200 {
        if status().await == 401 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the connection goes on");
}

/// A resumed session brings the certificate of its first handshake, which nobody verifies again but we.
#[test]
fn a_resumed_session_does_not_carry_a_certificate_past_its_revocation() {
    let world = World::with(|corp| Some(corp.revoke(&[], LATER)));
    let identity = scanner(&world.authority);
    // Each with a memory of its own: sessions are kept by name, and both listeners have the same.
    let [optional, required] = [world.optional, world.required].map(|to| {
        let mut config = world.client(Some(&identity), &["http/1.1"]);
        config.resumption = Resumption::in_memory_sessions(8);
        (to, config)
    });
    let connect = |(to, config): &(SocketAddr, ClientConfig)| {
        let stream = handshake(TcpStream::connect(to).unwrap(), config.clone(), HOST).unwrap();
        let kind = stream.conn.handshake_kind();
        (Client::over(stream), kind)
    };
    for to in [&optional, &required] {
        connect(to).0.get("/v2/", &[]).expect(200);
        let (mut resumed, kind) = connect(to);
        assert_eq!(kind, Some(HandshakeKind::Resumed), "or this test shows nothing");
        resumed.get("/v2/", &[]).expect(200);
    }
    let mut open = world.connect(world.optional, Some(&identity)).unwrap();
    world.publish(&world.authority.revoke(&[&identity.serial], LATER));
    wait_until("the certificate does not count any more", || open.get("/v2/", &[]).status == 401);
    for (to, expected) in [(&optional, 401), (&required, 403)] {
        let (mut resumed, kind) = connect(to);
        assert_eq!(kind, Some(HandshakeKind::Resumed));
        resumed.get("/v2/", &[]).expect(expected);
    }
}

/// A list that has ended could be the one before the revocation; one that is broken changes nothing.
#[test]
fn a_list_that_is_old_or_of_somebody_else_lets_nobody_in() {
    let world = World::with(|corp| Some(corp.revoke(&[], LATER)));
    let identity = scanner(&world.authority);
    assert_eq!(world.attempt(world.optional, Some(&identity)), Some(200));
    let good = world.authority.revoke(&[], LATER);
    let other = ClientAuthority::new("other").revoke(&[], LATER);
    // By whoever has the name of the authority, but not its key.
    let forged = ClientAuthority::new("corp").revoke(&[], LATER);
    for (what, list) in [("old", world.authority.revoke(&[], 2021)), ("of another", other), ("forged", forged)] {
        world.publish(&list);
        wait_until(what, || world.attempt(world.optional, Some(&identity)).is_none());
        world.publish(&good);
        wait_until("the good one is in force", || world.attempt(world.optional, Some(&identity)) == Some(200));
    }
    let mut world = world;
    world.publish("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    wait_until("the broken list is told", || world.seawall.process().log().contains("no usable revocation list"));
    assert_eq!(world.attempt(world.optional, Some(&identity)), Some(200));
}

#[test]
fn a_certificate_ends_under_an_open_connection() {
    let world = World::start();
    let seconds = u64::try_from(SystemClock.now().as_second()).unwrap() + 4;
    let identity = world.authority.issue(|params| {
        params.subject_alt_names.push(uri(SCANNER));
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    });
    let mut open = world.connect(world.optional, Some(&identity)).unwrap();
    open.get("/v2/", &[]).expect(200);
    wait_until("the certificate has ended", || SystemClock.now().as_second() > seconds.cast_signed() + 1);
    open.get("/v2/", &[]).expect(401);
    assert_eq!(world.attempt(world.optional, Some(&identity)), None);
}

#[test]
fn authorities_are_replaced_under_open_connections() {
    let world = World::start();
    let (old, next) = (scanner(&world.authority), ClientAuthority::new("next"));
    let mut open = world.connect(world.optional, Some(&old)).unwrap();
    open.get("/v2/", &[]).expect(200);
    assert_eq!(world.attempt(world.optional, Some(&scanner(&next))), None);
    world.trust(&format!("{}{}", world.authority.pem(), next.pem()));
    wait_until("both count", || world.attempt(world.optional, Some(&scanner(&next))) == Some(200));
    open.get("/v2/", &[]).expect(200);
    world.trust(next.pem());
    wait_until("the old one does not count any more", || open.get("/v2/", &[]).status == 401);
    assert_eq!(world.attempt(world.optional, Some(&old)), None);
    assert_eq!(world.attempt(world.optional, Some(&scanner(&next))), Some(200));
}

/// webpki takes the authorities that it is given as they are.
#[test]
fn an_authority_ends_with_what_it_has_signed() {
    let world = World::start();
    let seconds = u64::try_from(SystemClock.now().as_second()).unwrap() + 8;
    let ending = ClientAuthority::made("ending", |params| {
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    });
    let over = ClientAuthority::made("over", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let [of_ending, of_over, good] = [&ending, &over, &world.authority].map(scanner);
    world.trust(&format!("{}{}{}", world.authority.pem(), ending.pem(), over.pem()));
    wait_until("both count", || world.attempt(world.optional, Some(&of_ending)) == Some(200));
    let mut open = world.connect(world.optional, Some(&of_ending)).unwrap();
    open.get("/v2/", &[]).expect(200);
    assert_eq!(world.attempt(world.optional, Some(&of_over)), None);
    wait_until("the authority has ended", || SystemClock.now().as_second() > seconds.cast_signed() + 1);
    open.get("/v2/", &[]).expect(401);
    assert_eq!(world.attempt(world.optional, Some(&of_ending)), None);
    assert_eq!(world.attempt(world.optional, Some(&good)), Some(200));
}
