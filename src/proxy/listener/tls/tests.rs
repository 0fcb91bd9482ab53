use super::*;
use crate::proxy::listener::testing::write_certificate;

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// The position of the chosen certificate among `files`.
fn chosen(certificates: &Certificates, name: Option<&str>) -> usize {
    let chosen = certificates.current.load().choose(name);
    let leaf = chosen.end_entity_cert().unwrap();
    certificates.files.iter().position(|files| Loaded::read(files).unwrap().certified.cert[0] == *leaf).unwrap()
}

#[test]
fn an_exact_name_beats_a_wildcard_and_an_unknown_name_gets_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let files = vec![
        write_certificate(directory.path(), "first", &["first.test"]),
        write_certificate(directory.path(), "wild", &["*.example.com", "b.test"]),
        write_certificate(directory.path(), "exact", &["a.example.com", "b.test"]),
    ];
    let (certificates, warnings) = Certificates::load(files, now()).unwrap();
    assert_eq!(warnings, []);
    for (name, expected) in [
        (Some("first.test"), 0),
        (Some("a.example.com"), 2),
        (Some("A.Example.COM"), 2),
        (Some("z.example.com"), 1),
        // A wildcard stands for exactly one label.
        (Some("y.z.example.com"), 0),
        (Some("example.com"), 0),
        (Some("notexample.com"), 0),
        // Both name it: the earlier one.
        (Some("b.test"), 1),
        (Some("unknown.test"), 0),
        (Some("nodots"), 0),
        (Some(""), 0),
        (Some("*.example.com"), 1),
        (None, 0),
    ] {
        assert_eq!(chosen(&certificates, name), expected, "{name:?}");
    }
}

#[test]
fn every_broken_file_is_reported_and_none_of_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let a = write_certificate(directory.path(), "a", &["a.test"]);
    let b = write_certificate(directory.path(), "b", &["b.test"]);
    std::fs::write(path("junk"), "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    let pair = |certificate: &Path, key: &Path| CertificateFiles { certificate: certificate.into(), key: key.into() };
    let errors = Certificates::load(
        vec![
            pair(&a.certificate, &b.key),
            a.clone(),
            pair(&path("absent"), &a.key),
            pair(&path("junk"), &a.key),
            pair(&path("empty"), &a.key),
            pair(&a.certificate, &a.certificate),
            pair(&a.key, &a.key),
        ],
        now(),
    )
    .unwrap_err();
    let kinds: Vec<_> = errors
        .iter()
        .map(|error| match error {
            CertificateError::None => "none",
            CertificateError::Read { .. } => "read",
            CertificateError::Certificate { .. } => "certificate",
            CertificateError::Key { .. } => "key",
            CertificateError::Pair { .. } => "pair",
            CertificateError::RevocationList { .. } => "list",
            CertificateError::Authorities { .. } => "authorities",
        })
        .collect();
    assert_eq!(kinds, ["pair", "read", "certificate", "certificate", "key", "certificate"]);
    assert!(errors.iter().all(|error| !error.to_string().contains("PRIVATE KEY")));
}

#[test]
fn a_listener_without_certificates_is_an_error() {
    assert!(matches!(Certificates::load(Vec::new(), now()).unwrap_err()[..], [CertificateError::None]));
}

#[test]
fn a_broken_new_pair_never_replaces_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) =
        (write_certificate(directory.path(), "a", &["a.test"]), write_certificate(directory.path(), "b", &["b.test"]));
    let (certificates, _) = Certificates::load(vec![a.clone(), b.clone()], now()).unwrap();
    let before = certificates.current.load_full();

    // A renewal of both that was caught half-way: the first pair is whole, the second is not.
    write_certificate(directory.path(), "a", &["a.test"]);
    let new_key = write_certificate(directory.path(), "new", &["b.test"]);
    std::fs::copy(&new_key.key, &b.key).unwrap();
    assert!(matches!(certificates.reload(now()).unwrap_err()[..], [CertificateError::Pair { .. }]));
    assert!(Arc::ptr_eq(&before, &certificates.current.load_full()));

    std::fs::copy(&new_key.certificate, &b.certificate).unwrap();
    certificates.reload(now()).unwrap();
    assert_eq!(chosen(&certificates, Some("b.test")), 1);
    assert!(!Arc::ptr_eq(&before, &certificates.current.load_full()));
}

/// A certificate that cannot be renewed must not keep a revocation from being read, nor the other way round.
#[test]
fn certificates_and_authorities_are_replaced_each_for_itself() {
    let directory = tempfile::tempdir().unwrap();
    let a = write_certificate(directory.path(), "a", &["a.test"]);
    let authority = directory.path().join("ca.pem");
    write_authority(&authority);
    let files = AuthorityFiles { authorities: vec![authority.clone()], revocation_lists: Vec::new(), required: false };
    let (clients, warnings) = ClientAuthorities::load(files, now()).unwrap();
    assert_eq!(warnings, []);
    let certificates = Certificates::load(vec![a.clone()], now()).unwrap().0.with_clients(clients);
    let paths: Vec<_> = certificates.paths().collect();
    assert_eq!(paths, [&*a.certificate, &*a.key, &*authority]);
    let generation = || certificates.clients().unwrap().current().generation;
    let own = || certificates.current.load_full();

    let (before, whole) = (generation(), std::fs::read(&a.key).unwrap());
    std::fs::write(&a.key, "").unwrap();
    write_authority(&authority);
    assert!(matches!(certificates.reload(now()).unwrap_err()[..], [CertificateError::Key { .. }]));
    assert_ne!(generation(), before);

    let (before, served) = (generation(), own());
    std::fs::write(&a.key, whole).unwrap();
    std::fs::write(&authority, "").unwrap();
    assert!(matches!(certificates.reload(now()).unwrap_err()[..], [CertificateError::Certificate { .. }]));
    assert_eq!(generation(), before);
    assert!(!Arc::ptr_eq(&served, &own()));
}

fn write_authority(path: &Path) {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path, made.pem()).unwrap();
}

#[test]
fn warns_of_certificates_that_clients_refuse_or_never_see() {
    let directory = tempfile::tempdir().unwrap();
    let first = write_certificate(directory.path(), "first", &["first.test"]);
    let (certificate, key) = (directory.path().join("old.crt"), directory.path().join("old.key"));
    let mut old = rcgen::CertificateParams::new(vec!["first.test".to_owned()]).unwrap();
    old.not_before = rcgen::date_time_ymd(2000, 1, 1);
    old.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&certificate, old.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let files = vec![first, CertificateFiles { certificate: certificate.clone(), key }];

    let path = certificate;
    let (_, warnings) = Certificates::load(files.clone(), now()).unwrap();
    let at = "2001-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        warnings,
        [
            CertificateWarning::Expired { path: path.clone(), at },
            CertificateWarning::NeverChosen { path: path.clone() }
        ]
    );
    let (_, warnings) = Certificates::load(files, "1999-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let at = "2000-01-01T00:00:00Z".parse().unwrap();
    assert!(warnings.contains(&CertificateWarning::NotYetValid { path, at }), "{warnings:?}");
}
