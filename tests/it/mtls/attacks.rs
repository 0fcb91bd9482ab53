//! Certificates that must not be taken, one at a time; and files that are no authorities.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, date_time_ymd};

use super::certificates::{ClientAuthority, Identity, uri};
use super::world::{REFUSED, World};
use super::{SCANNER, scanner};
use crate::harness::seawall::Place;
use crate::harness::wait_until;

fn named(params: &mut CertificateParams) {
    params.subject_alt_names.push(uri(SCANNER));
}

/// Every row but the last shows a certificate that says it is the scanner.
fn rows(world: &World) -> Vec<(&'static str, Identity, bool)> {
    let corp = &world.authority;
    let with = |change: fn(&mut CertificateParams)| {
        corp.issue(|params| {
            named(params);
            change(params);
        })
    };
    let other = ClientAuthority::new("corp");
    let mut forged = scanner(&other);
    forged.chain.push(corp.certificate().clone());
    let leaf = ClientAuthority::made("corp", |params| params.is_ca = IsCa::ExplicitNoCa);
    let below_leaf = corp.below("no-authority", |params| params.is_ca = IsCa::ExplicitNoCa);
    let below_bare = corp.below("bare", |params| {
        params.is_ca = IsCa::NoCa;
        params.key_usages.clear();
    });
    let below = corp.below("teams", |_| {});
    let mut without_chain = scanner(&below);
    without_chain.chain.truncate(1);
    vec![
        ("expired", with(|params| params.not_after = date_time_ymd(2020, 1, 1)), false),
        ("not yet valid", with(|params| params.not_before = date_time_ymd(4000, 1, 1)), false),
        ("signed by itself", Identity::self_signed(named), false),
        ("of another authority with the same name", scanner(&other), false),
        ("of another authority, with the right one in its chain", forged, false),
        ("of somebody who is no authority", scanner(&leaf), false),
        ("of a certificate below that is no authority", scanner(&below_leaf), false),
        ("of a certificate below without basic constraints", scanner(&below_bare), false),
        ("of an authority below that is not shown", without_chain, false),
        ("an authority itself", with(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)), false),
        ("a server's", with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), false),
        (
            "for something else",
            with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
            false,
        ),
        ("for encrypting keys", with(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), false),
        ("somebody else's, without its key", scanner(&other).posing_as(&scanner(corp)), false),
        ("of an authority below", scanner(&below), true),
        (
            "without any usage",
            with(|params| {
                params.key_usages.clear();
                params.extended_key_usages.clear();
            }),
            true,
        ),
        ("good", scanner(corp), true),
    ]
}

#[test]
fn only_what_the_authorities_have_signed_for_clients_is_taken() {
    let world = World::start();
    for (what, identity, good) in rows(&world) {
        let expected = good.then_some(200);
        assert_eq!(world.attempt(world.optional, Some(&identity)), expected, "{what}");
        assert_eq!(world.attempt(world.required, Some(&identity)), expected, "{what}, where one is required");
    }
    // All but the one without its key, whose certificate is good: that handshake fails at its signature.
    wait_until("the refused handshakes are counted", || world.seawall.metric(REFUSED) >= 26.0);
    // Unanswered connections leave no record of a request.
    assert!(world.seawall.audit().iter().all(|record| record["status"] == 200), "{:?}", world.seawall.audit());
}

/// Whoever has the key of what stands in the authorities' file can be anybody.
#[test]
fn what_is_no_authority_is_refused_at_the_start() {
    let place = Place::new();
    let server = crate::harness::tls::Authority::new();
    let [certificate, key] = server.issue(place.path(), "server", &["registry.test"]);
    let leaf = Identity::self_signed(named).written(place.path(), "leaf")[0].clone();
    let cannot_sign =
        ClientAuthority::made("corp", |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let files = [
        (leaf, "is no authority: its basic constraints do not say CA"),
        (write(&place, "cannot-sign.pem", cannot_sign.pem()), "its key usage has no certificate signing"),
        (write(&place, "empty.pem", ""), "no certificate in it"),
        (
            write(&place, "nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "nonsense.pem",
        ),
        (place.path().join("missing.pem"), "seawall.yaml:2:"),
    ];
    for (file, expected) in files {
        let listener = format!(
            "listeners: [{{name: public, address: \"{}\", tls: {{certificates: [{{certificate: \"{}\", key: \"{}\"}}], \
             clientCertificates: {{authorities: [\"{}\"]}}}}}}]",
            place.public(),
            certificate.display(),
            key.display(),
            file.display()
        );
        let url = "url: \"http://127.0.0.1:1\"";
        let registry = crate::harness::nearby::registry(&place, "myregistry", "registry.test", url, &[]);
        let document = place.document(&format!("registries:\n{registry}"));
        let lines = document.lines().map(|line| if line.starts_with("listeners:") { &listener } else { line });
        let (code, log) = place.start_in_vain(&lines.collect::<Vec<_>>().join("\n"));
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(expected), "{log}");
    }
}

fn write(place: &Place, name: &str, text: &str) -> std::path::PathBuf {
    let file = place.path().join(name);
    std::fs::write(&file, text).unwrap();
    file
}
