//! How long `seawall what-if` takes for a log of 100,000 records: the whole command, from its start to its exit. Once for a log
//! as clients make it, in which most questions come again, and once for one in which no two are equal.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may stop, and says what it measured")]
#![expect(clippy::disallowed_methods, reason = "a measurement asks the machine for the time")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seawall::clock::Timestamp;
use seawall::policy::network::{NetworkClass, SourceAddress};
use seawall::telemetry::audit::{AuditRecord, Bounded, PrincipalRecord};
use seawall::telemetry::{OperationClass, Outcome};

const RECORDS: u32 = 100_000;
const TOKENS: u32 = 200;
const RULES: u32 = 1_000;

/// What it must take at most.
const LIMIT: Duration = Duration::from_secs(2);

const HEAD: &str = "version: 1
listeners: [{ name: public, address: \"127.0.0.1:5443\" }]
registries:
  myregistry:
    loginServer: registry.example.com
    upstream: { url: http://127.0.0.1:5000 }
    networkRuleSet:
      defaultAction: Deny
      ipRules:
";

fn main() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "a-secret-of-forty-three-characters-0123456789").unwrap();
    fs::write(folder.path().join("new.yaml"), policy()).unwrap();
    for (name, repositories) in [("as clients make it", 20), ("no two questions alike", RECORDS)] {
        let log = folder.path().join("audit.jsonl");
        let records = (0..RECORDS).map(|number| record(number, repositories));
        let lines: String = records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect();
        fs::write(&log, &lines).unwrap();
        let took = what_if(folder.path());
        println!("what-if over {RECORDS} records ({} MB), {name}: {took:?}", lines.len() / 1_000_000);
        assert!(took < LIMIT, "{took:?} is over {LIMIT:?}");
    }
}

/// One registry with many tokens and many rules. Every tenth token may not push any more.
fn policy() -> String {
    let mut text = HEAD.to_owned();
    for rule in 0..RULES {
        writeln!(text, "        - {{ value: 10.{}.{}.0/24 }}", rule / 250, rule % 250).unwrap();
    }
    text.push_str("    scopeMaps:\n");
    for token in 0..TOKENS {
        let write = if token % 10 == 0 { "" } else { ", content/write" };
        writeln!(text, "      map-{token}: {{ repositories: {{ team-{token}/*: [content/read{write}] }} }}").unwrap();
    }
    text.push_str("    tokens:\n");
    for token in 0..TOKENS {
        writeln!(
            text,
            "      token-{token}: {{ scopeMap: map-{token}, passwords: [{{ name: password1, file: secret }}] }}"
        )
        .unwrap();
    }
    text
}

fn record(number: u32, repositories: u32) -> AuditRecord<'static> {
    let token = number % TOKENS;
    let [_, _, high, low] = number.to_be_bytes();
    let (operation, method) = if number.is_multiple_of(7) {
        (OperationClass::ManifestWrite, "PUT")
    } else {
        (OperationClass::BlobRead, "GET")
    };
    AuditRecord {
        time: Timestamp::from_microsecond(1_795_000_000_000_000 + i64::from(number) * 1_000).unwrap(),
        request_id: format!("{number:032x}").into(),
        registry: Some("myregistry".into()),
        listener: "public".into(),
        peer_address: Some(([10, 0, high % 200, low], 40_000).into()),
        source_address: Some(SourceAddress::new([10, 0, (token % 200) as u8, 9].into())),
        network: Some(NetworkClass::Public),
        shadow: None,
        data_endpoint: None,
        client_certificate: None,
        principal: Some(PrincipalRecord::new("token", Some(format!("token-{token}")))),
        credential: Some("password1".into()),
        operation,
        method,
        repository: Some(format!("team-{token}/app-{}", number % repositories).into()),
        reference: Some(format!("sha256:{number:064x}").into()),
        changed: None,
        decision: Outcome::Permit,
        reason: "permitted",
        rule: Some(format!("scope map map-{token} (policy.yaml:20:7)").into()),
        policy_version: 3,
        status: 200,
        request_bytes: 0,
        response_bytes: 1_203,
        duration_ms: 1.25,
        upstream_ms: Some(0.5),
        served_from: None,
        user_agent: Some(Bounded::new(b"docker/28.5.2 go/go1.24 git-commit/abc os/linux arch/amd64")),
        denial_id: None,
    }
}

/// The time from its start to its exit. It finds changes.
fn what_if(folder: &Path) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(["what-if", "--config", "new.yaml", "--audit", "audit.jsonl", "--output", "table"]);
    let started = Instant::now();
    let output = command.current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let took = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with(&format!("{RECORDS} records: ")), "{said}");
    println!("{}", said.lines().next().unwrap_or_default());
    took
}
