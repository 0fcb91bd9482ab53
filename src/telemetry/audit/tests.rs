use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::policy::network::{NetworkClass, SourceAddress};
use crate::telemetry::{OperationClass, Outcome};

pub(super) fn record(request_id: &str) -> AuditRecord<'_> {
    AuditRecord {
        time: Timestamp::from_microsecond(1_700_000_000_000_500).unwrap(),
        request_id: request_id.into(),
        registry: Some("myregistry".into()),
        data_endpoint: None,
        listener: "public".into(),
        peer_address: Some("10.0.0.1:40000".parse().unwrap()),
        source_address: Some(SourceAddress::new("::ffff:203.0.113.9".parse().unwrap())),
        network: Some(NetworkClass::Public),
        shadow: None,
        principal: Some(PrincipalRecord::new("token", Some("ci-push".to_owned()))),
        credential: Some("password1".into()),
        client_certificate: Some("ab01".into()),
        operation: OperationClass::ManifestRead,
        method: "GET",
        repository: Some("team/app".into()),
        reference: Some("v1".into()),
        changed: None,
        decision: Outcome::Permit,
        reason: "scope_map",
        rule: Some("scope map `team-a` at policy.yaml:20:7".into()),
        policy_version: 3,
        status: 200,
        request_bytes: 0,
        response_bytes: 1203,
        duration_ms: 1.25,
        upstream_ms: Some(0.5),
        served_from: None,
        user_agent: Some(Bounded::new(b"docker/28")),
        denial_id: None,
    }
}

fn unknown() -> AuditRecord<'static> {
    AuditRecord {
        registry: None,
        peer_address: None,
        source_address: None,
        network: None,
        principal: None,
        credential: None,
        client_certificate: None,
        operation: OperationClass::Other,
        repository: None,
        reference: None,
        changed: None,
        decision: Outcome::Deny,
        reason: "unknown_host",
        rule: None,
        status: 421,
        upstream_ms: None,
        served_from: None,
        user_agent: None,
        ..record("r2")
    }
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new().unwrap())
}

fn dropped(metrics: &Metrics) -> u64 {
    let text = metrics.render().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("seawall_audit_records_dropped_total ")).unwrap();
    line.parse().unwrap()
}

fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let id =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["requestId"].as_str().unwrap().to_owned();
    text.lines().map(id).collect()
}

#[test]
fn a_record_is_one_line_in_a_fixed_shape() {
    assert_eq!(
        serde_json::to_string(&record("r1")).unwrap(),
        concat!(
            r#"{"time":"2023-11-14T22:13:20.000500Z","requestId":"r1","registry":"myregistry","listener":"public","#,
            r#""peerAddress":"10.0.0.1:40000","sourceAddress":"203.0.113.9","network":"public","#,
            r#""principal":{"kind":"token","name":"ci-push"},"credential":"password1","clientCertificate":"ab01","#,
            r#""operation":"manifest_read","#,
            r#""method":"GET","repository":"team/app","reference":"v1","decision":"permit","reason":"scope_map","#,
            r#""rule":"scope map `team-a` at policy.yaml:20:7","policyVersion":3,"status":200,"requestBytes":0,"#,
            r#""responseBytes":1203,"durationMs":1.25,"upstreamMs":0.5,"userAgent":"docker/28"}"#
        )
    );
    assert_eq!(
        serde_json::to_string(&unknown()).unwrap(),
        concat!(
            r#"{"time":"2023-11-14T22:13:20.000500Z","requestId":"r2","listener":"public","operation":"other","#,
            r#""method":"GET","decision":"deny","reason":"unknown_host","policyVersion":3,"status":421,"#,
            r#""requestBytes":0,"responseBytes":1203,"durationMs":1.25}"#
        )
    );
}

/// The line is made by hand; what it should be, serde_json says.
#[test]
fn a_line_is_what_serde_json_makes_of_the_record() {
    let hostile = "a\n\"quoted\" \\ \u{1b}\u{7f}\u{2028}\u{1f40b}";
    let full = AuditRecord {
        data_endpoint: Some("r.eu.data.example.com".into()),
        network: Some(NetworkClass::PrivateEndpoint("a \"b\"".into())),
        shadow: Some(ShadowRecord { would: "deny", rule: hostile.to_owned() }),
        changed: Some(hostile.into()),
        reference: Some(hostile.into()),
        rule: Some(hostile.into()),
        served_from: Some("memory"),
        denial_id: Some("0a1b2c3d4e5f".into()),
        ..record(hostile)
    };
    let address = |peer: &str, source: &str| AuditRecord {
        peer_address: Some(peer.parse().unwrap()),
        source_address: Some(SourceAddress::new(source.parse().unwrap())),
        ..record("r3")
    };
    let number = |number: u64, milliseconds: f64| AuditRecord {
        policy_version: number,
        request_bytes: number,
        response_bytes: number,
        duration_ms: milliseconds,
        upstream_ms: Some(milliseconds),
        ..record("r4")
    };
    let whose = |principal: PrincipalRecord| AuditRecord { principal: Some(principal), ..record("r5") };
    let vouched = PrincipalRecord {
        provider: Some(hostile.to_owned()),
        subject: Some(Bounded::new(hostile.as_bytes())),
        ..PrincipalRecord::new("identity", Some(hostile.to_owned()))
    };
    let mapped = PrincipalRecord { identities: vec![hostile.to_owned()], ..PrincipalRecord::new("identity", None) };
    let mut records = vec![
        whose(PrincipalRecord::new("token", Some(hostile.to_owned()))),
        whose(PrincipalRecord::new("anonymous", None)),
        whose(vouched),
        whose(mapped),
        record("r1"),
        unknown(),
        full,
        number(0, 0.0),
        number(u64::MAX, 1e21),
        number(7, 0.1 + 0.2),
    ];
    for (peer, source) in [
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::ffff:1.2.3.4]:1", "::"),
        ("0.0.0.0:0", "0.0.0.0"),
        ("255.255.255.255:65535", "255.255.255.255"),
        ("9.10.99.100:9", "101.199.200.201"),
        ("1.2.3.4:10", "1.2.3.4"),
        ("1.2.3.4:999", "1.2.3.4"),
        ("1.2.3.4:1000", "1.2.3.4"),
        ("1.2.3.4:10000", "1.2.3.4"),
    ] {
        records.push(address(peer, source));
    }
    for record in records {
        let mut line = Vec::new();
        assert!(line::write(&mut line, &record));
        assert_eq!(String::from_utf8(line).unwrap(), format!("{}\n", serde_json::to_string(&record).unwrap()));
    }
}

#[test]
fn the_warning_of_a_passwords_end_names_its_kind() {
    let event = PasswordExpiring {
        time: Timestamp::from_microsecond(1_700_000_000_000_500).unwrap(),
        registry: "myregistry".to_owned(),
        principal: PrincipalRecord::new("token", Some("ci-push".to_owned())),
        credential: "password1".to_owned(),
        expiry: Timestamp::from_second(1_700_086_400).unwrap(),
        within: "1d",
    };
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        concat!(
            r#"{"kind":"password_expiring","time":"2023-11-14T22:13:20.000500Z","registry":"myregistry","#,
            r#""principal":{"kind":"token","name":"ci-push"},"credential":"password1","#,
            r#""expiry":"2023-11-15T22:13:20.000000Z","within":"1d"}"#
        )
    );
}

#[test]
fn forged_line_breaks_and_endless_texts_stay_inside_their_line() {
    let agent = |bytes: &[u8]| AuditRecord { user_agent: Some(Bounded::new(bytes)), ..record("r1") };
    let line = serde_json::to_string(&agent(b"a\n{\"decision\":\"permit\"}\x1b\xff")).unwrap();
    assert!(line.ends_with(r#""userAgent":"a\n{\"decision\":\"permit\"}\u001b�"}"#), "{line}");
    assert_eq!(Bounded::new(&[b'a'; 5000]).as_str(), "a".repeat(256));
    assert_eq!(Bounded::new("\u{1f40b}".repeat(300).as_bytes()).as_str(), "\u{1f40b}".repeat(256));
}

#[test]
fn closing_writes_everything_queued_to_a_file_of_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let metrics = metrics();
    let log =
        AuditLog::open(AuditSink::File(path.clone()), Arc::clone(&metrics), Arc::new(ManualClock::at(0))).unwrap();
    let expected: Vec<_> = (0..5_000).map(|n| format!("r{n}")).collect();
    for id in &expected {
        log.record(&record(id));
    }
    log.close();
    assert_eq!(ids(&path), expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    log.record(&record("late"));
    log.close();
    assert_eq!((ids(&path).len(), dropped(&metrics)), (5_000, 1));
}

#[test]
fn dropping_the_last_handle_closes_and_opening_again_appends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.log");
    for id in ["r1", "r2"] {
        let log = AuditLog::open(AuditSink::File(path.clone()), metrics(), Arc::new(ManualClock::at(0))).unwrap();
        let clone = log.clone();
        drop(log);
        clone.record(&record(id));
    }
    assert_eq!(ids(&path), ["r1", "r2"]);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_that_names_it() {
    let path = PathBuf::from("/nonexistent/audit.log");
    let error = AuditLog::open(AuditSink::File(path), metrics(), Arc::new(ManualClock::at(0))).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the audit log `/nonexistent/audit.log`: "), "{error}");
}

#[test]
fn a_file_that_was_moved_away_or_deleted_is_opened_anew_within_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("audit.log"), directory.path().join("audit.log.1"));
    let clock = Arc::new(ManualClock::at(100));
    let mut file = File::open(path.clone(), clock.clone()).unwrap();
    file.write(b"1\n").unwrap();
    fs::rename(&path, &moved).unwrap();
    file.write(b"2\n").unwrap();
    clock.advance(1);
    file.write(b"3\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "1\n2\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    fs::remove_file(&path).unwrap();
    clock.advance(1);
    file.write(b"4\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "4\n");
}

#[test]
fn a_moved_file_that_cannot_be_opened_anew_is_written_on() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, away) = (directory.path().join("logs"), directory.path().join("away"));
    fs::create_dir(&inside).unwrap();
    let clock = Arc::new(ManualClock::at(100));
    let mut file = File::open(inside.join("audit.log"), clock.clone()).unwrap();
    fs::rename(&inside, &away).unwrap();
    clock.advance(1);
    file.write(b"1\n").unwrap();
    assert_eq!(fs::read_to_string(away.join("audit.log")).unwrap(), "1\n");
}

/// Tells when a write begins, and ends it with what the test says.
struct ScriptedOutput {
    begins: Sender<Vec<u8>>,
    answers: Receiver<io::Result<()>>,
}

impl Output for ScriptedOutput {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.begins.send(lines.to_vec()).unwrap();
        self.answers.recv().unwrap()
    }
}

/// The test's ends of a log with a scripted output and a queue of ten.
struct Scripted {
    log: AuditLog,
    metrics: Arc<Metrics>,
    begins: Receiver<Vec<u8>>,
    answers: Sender<io::Result<()>>,
}

fn scripted() -> Scripted {
    let metrics = metrics();
    let (begun, begins) = channel();
    let (answers, answered) = channel();
    let output = ScriptedOutput { begins: begun, answers: answered };
    let log = AuditLog::start(Box::new(output), 10, Arc::clone(&metrics)).unwrap();
    Scripted { log, metrics, begins, answers }
}

#[test]
fn a_stalled_sink_costs_records_and_never_a_request() {
    let Scripted { log, metrics, begins, answers } = scripted();
    log.record(&record("written"));
    begins.recv().unwrap();
    for n in 0..25 {
        log.record(&record(&format!("r{n}")));
    }
    assert_eq!(dropped(&metrics), 15);
    answers.send(Ok(())).unwrap();
    let batch = String::from_utf8(begins.recv().unwrap()).unwrap();
    assert_eq!(batch.lines().count(), 10, "what waited is written at once");
    answers.send(Ok(())).unwrap();
    log.close();
    assert_eq!(dropped(&metrics), 15);
}

#[test]
fn a_failed_write_counts_its_records_and_the_next_begins_a_new_line() {
    let Scripted { log, metrics, begins, answers } = scripted();
    log.record(&record("r1"));
    begins.recv().unwrap();
    answers.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
    log.record(&record("r2"));
    assert!(begins.recv().unwrap().starts_with(b"\n{"));
    answers.send(Ok(())).unwrap();
    log.record(&record("r3"));
    assert!(begins.recv().unwrap().starts_with(b"{"));
    answers.send(Ok(())).unwrap();
    log.close();
    assert_eq!(dropped(&metrics), 1);
}
