//! The commands as people meet them: what they print where, and how they end.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::http;
use crate::harness::seawall::Place;
use crate::harness::session::Account;

/// Runs `seawall` in a folder, without any environment, with this on its standard input.
fn run_with(directory: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.args(arguments).current_dir(directory).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that ends without reading has closed it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    told(&run_with(directory, arguments, b""))
}

/// Exit code, standard output and standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const GOOD: &str = "version: 1
listeners: [{ name: local, address: 127.0.0.1:0 }]
registries:
  myregistry:
    loginServer: registry.example.com
    upstream: { url: http://127.0.0.1:5000 }
";

fn file(text: &str) -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("seawall.yaml"), text).unwrap();
    directory
}

#[test]
fn check_says_that_a_file_has_no_problems() {
    let directory = file(GOOD);
    let expected = (0, "seawall.yaml: no problems\n".to_owned(), String::new());
    assert_eq!(run(directory.path(), &["check", "seawall.yaml"]), expected);
}

#[test]
fn check_tells_a_warning_and_lets_the_file_pass() {
    let directory = file(&format!("{GOOD}    adminUserEnabled: true\n"));
    let warning = "\
seawall.yaml:7:23: warning: the admin account is enabled but has no password, so nobody can use it
  hint: add `admin: { passwords: [ { name: password, file: … } ] }`, or let `seawall credential renew` make one
1 warning
";
    let passes = "seawall.yaml: can be served, with the warnings above\n";
    let expected = (0, passes.to_owned(), warning.to_owned());
    assert_eq!(run(directory.path(), &["check", "seawall.yaml"]), expected);
}

const BAD: &str = "version: 1
listeners: [{ name: local, address: localhost }]
registries:
  myregistry:
    loginServer: scope.example.com
    upstream: { url: http://127.0.0.1:5000 }
    adminUserEnable: true
    tokens:
      ci-push: { scopeMap: _repositories_psh, passwords: [{ name: password1, file: gone }] }
";

/// Every place, sorted, each with what to do about it.
const PROBLEMS: &str = r#"seawall.yaml:2:37: "localhost" is not an IP address with a port
  hint: such as 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443
seawall.yaml:5:18: warning: the host name contains `scope`: Microsoft's Java client cannot read challenges with it
  hint: choose another host name for Java clients
seawall.yaml:7:5: unknown key "adminUserEnable"
  hint: did you mean "adminUserEnabled"?
seawall.yaml:9:28: there is no scope map `_repositories_psh`
  hint: did you mean `_repositories_push`?
seawall.yaml:9:84: cannot read gone: No such file or directory (os error 2)
4 problems, 1 warning
"#;

#[test]
fn check_tells_every_problem_on_standard_error_and_fails() {
    let directory = file(BAD);
    let expected = (1, String::new(), PROBLEMS.to_owned());
    assert_eq!(run(directory.path(), &["check", "seawall.yaml"]), expected);
}

#[test]
fn check_of_a_file_that_is_not_there_says_so() {
    let directory = TempDir::new().unwrap();
    let problem = "gone.yaml:1:1: cannot read gone.yaml: No such file or directory (os error 2)\n1 problem\n";
    assert_eq!(run(directory.path(), &["check", "gone.yaml"]), (1, String::new(), problem.to_owned()));
}

/// Threat class S: what cannot be used is not served, not even in part; and nothing is left behind.
#[test]
fn serve_refuses_a_broken_file_with_every_problem() {
    let directory = file(BAD);
    let (code, stdout, stderr) = run(directory.path(), &["serve", "--config", "seawall.yaml"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let last = "seawall: not started: the configuration has problems";
    assert_eq!(stderr.lines().last(), Some(last));
    for line in ["seawall.yaml:2:37: \"localhost\"", "seawall.yaml:7:5: unknown key"] {
        assert!(stderr.contains(line), "{stderr}");
    }
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["seawall.yaml"]);
}

/// A secret that is not there is no reason to serve without it (threat class S).
#[test]
fn serve_refuses_a_policy_whose_secret_is_missing() {
    let tokens = "    tokens: { ci-push: { scopeMap: _repositories_pull, passwords: [{ name: password1, env: CI_PASSWORD }] } }\n";
    let directory =
        file(&format!("{GOOD}{tokens}signing: {{ directory: keys }}\naudit: {{ output: 'file:audit.jsonl' }}\n"));
    let (code, stdout, stderr) = run(directory.path(), &["serve", "--config", "seawall.yaml"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(
        stderr.contains("seawall.yaml:7:92: the environment variable CI_PASSWORD is not set\n1 problem\n"),
        "{stderr}"
    );
    assert!(stderr.ends_with("seawall: not started: the configuration has problems\n"), "{stderr}");
}

#[test]
fn without_a_command_the_commands_are_listed() {
    let directory = TempDir::new().unwrap();
    let (code, stdout, stderr) = run(directory.path(), &[]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    for command in ["serve", "check", "schema", "hash-password"] {
        assert!(stderr.contains(&format!("\n  {command} ")), "{stderr}");
    }
    let (code, stdout, _) = run(directory.path(), &["--help"]);
    assert_eq!((code, stdout), (0, stderr));
}

#[test]
fn a_wrong_command_line_names_the_mistake_and_the_usage() {
    let directory = TempDir::new().unwrap();
    for (arguments, what) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["serve"], "--config <FILE>"),
        (&["check"], "<FILE>"),
        (&["check", "a", "b"], "unexpected argument 'b'"),
        (&["serve", "--confg", "a"], "a similar argument exists: '--config'"),
    ] {
        let (code, stdout, stderr) = run(directory.path(), arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.contains(what) && stderr.contains("Usage: seawall"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn schema_prints_the_committed_one() {
    let committed =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/seawall.schema.json")).unwrap();
    let directory = TempDir::new().unwrap();
    assert_eq!(run(directory.path(), &["schema"]), (0, committed, String::new()));
}

fn hash_of(input: &str) -> String {
    let directory = TempDir::new().unwrap();
    let (code, stdout, stderr) = told(&run_with(directory.path(), &["hash-password"], input.as_bytes()));
    assert_eq!((code, stderr.as_str()), (0, ""));
    stdout.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn a_password_that_cannot_be_hashed_is_refused() {
    let directory = TempDir::new().unwrap();
    let long = "x".repeat(4097);
    let longest = format!("{}\n", "x".repeat(4096));
    for (input, what) in [
        (&b""[..], "seawall: the password is empty\n"),
        (b"\r\n", "seawall: the password is empty\n"),
        (b"\xff\xfe", "seawall: the password is not UTF-8 text\n"),
        (long.as_bytes(), "seawall: the password is over 4096 bytes\n"),
    ] {
        let told = told(&run_with(directory.path(), &["hash-password"], input));
        assert_eq!(told, (1, String::new(), what.to_owned()));
    }
    assert!(hash_of(&longest).starts_with("$argon2id$"));
}

/// S3-9, S3-60, and `hash:`: what these commands make, and what htpasswd made, logs in at a real server.
#[test]
fn a_hashed_password_logs_in() {
    let directory = TempDir::new().unwrap();
    let generated = run_with(directory.path(), &["hash-password", "--generate"], b"");
    let (code, stdout, stderr) = told(&generated);
    assert_eq!((code, stderr.as_str()), (0, "The password, shown once:\nIts hash, for `hash:`:\n"));
    let (generated, generated_hash) = stdout.trim_end().split_once('\n').unwrap();
    assert!(generated.len() >= 43, "256 bits");

    let typed = "correct horse battery staple: \u{e9}\u{df} 100%";
    let logins = [
        ("generated", generated, generated_hash.to_owned()),
        ("typed-with-line-break", typed, hash_of(&format!("{typed}\r\n"))),
        // Written by `htpasswd -Bbn -C 4 x seawall`.
        ("htpasswd", "seawall", "$2y$04$Jx1LIXQlntZd8sdh/I1iSOR2E8plgVCCmNX5yamDfAdvVBbcS0hje".to_owned()),
    ];
    let place = Place::new();
    let tokens = logins.iter().map(|(user, _, hash)| {
        format!(
            "      {user}: {{ scopeMap: _repositories_pull, passwords: [{{ name: password1, hash: {hash:?} }}] }}\n"
        )
    });
    let registries = format!(
        "registries:\n  myregistry:\n    loginServer: \"{}\"\n    upstream: {{ url: http://127.0.0.1:1 }}\n    tokens:\n{}",
        place.login_server(),
        tokens.collect::<Vec<_>>().concat()
    );
    let document = place.document(&registries);
    let seawall = place.start(&document);
    for (user, password, _) in &logins {
        let log_in = |password: &str| {
            let authorization = Account::new(user, password).basic();
            let headers = [("Authorization", authorization.as_str())];
            http::request(seawall.address(), "GET", "/oauth2/token", &headers, b"").unwrap()
        };
        log_in(password).expect(200);
        for wrong in [format!("{password}\n"), password.to_uppercase(), password[1..].to_owned()] {
            log_in(&wrong).expect(401);
        }
    }
}
