//! `check-health` against a canned registry, with canned programs: its steps, their codes and where it ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::arm::{id, registry};
use crate::harness::{Reply, Run, Transcript};

/// What `/v2/` and the token endpoint answer.
#[derive(Clone)]
struct Canned {
    /// Status and headers.
    challenge: &'static str,
    /// Status and body; for the password `right`.
    token: (u16, String),
}

impl Default for Canned {
    fn default() -> Self {
        let challenge = "401 -\r\nwww-authenticate: Bearer realm=\"http://ADDRESS/oauth2/token\",service=\"ADDRESS\",scope=\"\"\r\n";
        Self { challenge, token: (200, issued(&["pull", "push", "metadata_read", "metadata_write", "delete"])) }
    }
}

fn issued(actions: &[&str]) -> String {
    let access = json!([{ "type": "repository", "name": "samples/app", "actions": actions }]);
    let payload = URL_SAFE_NO_PAD.encode(json!({ "access": access }).to_string());
    json!({ "access_token": format!("e30.{payload}.c2ln") }).to_string()
}

/// Listens with `canned` answers, in plain HTTP.
fn serve(canned: Canned) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            // A TLS greeting is no text.
            let Some(Ok(first)) = lines.next() else { continue };
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let right = format!("authorization: Basic {}", STANDARD.encode("ci-push:right"));
            let (status, body) = match first.split(' ').nth(1).unwrap_or_default() {
                "/v2/" => (canned.challenge.replace("ADDRESS", &address.to_string()), "{}".to_owned()),
                path if path.starts_with("/oauth2/token?service=") && head.contains(&right) => {
                    (format!("{} -\r\n", canned.token.0), canned.token.1.clone())
                }
                _ => ("401 -\r\n".to_owned(), "{}".to_owned()),
            };
            let _ =
                write!(stream, "HTTP/1.1 {status}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    address
}

/// A machine with `docker` and `helm`, whose scripts are given, and a registry.
struct Machine {
    told: Transcript,
    registry: SocketAddr,
}

impl Machine {
    fn new(canned: Canned) -> Self {
        let mut told = Transcript::new();
        let address = serve(canned);
        let mut shown = registry();
        if let Some(server) = shown.pointer_mut("/properties/loginServer") {
            *server = address.to_string().into();
        }
        told.server.on("GET", &id(""), Reply::json(200, shown));
        let programs = told.folder.path().join("programs");
        fs::create_dir(&programs).unwrap();
        told.environment.push(("PATH", programs.to_str().unwrap().to_owned()));
        let machine = Self { told, registry: address };
        machine.program(
            "docker",
            "case $1 in version) echo 'Docker version 28.2.2, build x, platform linux/amd64';; esac",
        );
        machine.program("helm", "echo v3.15.2");
        machine
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.told.folder.path().join("programs").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn without(&self, name: &str) {
        fs::remove_file(self.told.folder.path().join("programs").join(name)).unwrap();
    }

    /// The code and everything that was said, without times and ports.
    fn check(&mut self, arguments: &str) -> (i32, String) {
        let Run { code, out, err } = self.told.run(&format!("check-health {arguments}"));
        assert_eq!(out, "", "as az, it talks beside standard output");
        let lines = err.lines().map(|line| match line.split_once(" An error occurred: ") {
            Some((_, code)) => format!("<time> An error occurred: {code}"),
            None => line.to_owned(),
        });
        (code, lines.collect::<Vec<_>>().join("\n").replace(&self.registry.to_string(), "registry:443"))
    }
}

const DOCKER: &str = "Docker daemon status: available
Docker version: Docker version 28.2.2, build x, platform linux/amd64
Skipping pull check.
seawall version: 0.1.0
";
const REACHED: &str = "DNS lookup to registry:443 at IP 127.0.0.1 : OK
Challenge endpoint http://registry:443/v2/ : OK
";
const HELM: &str = "Helm version: v3.15.2";
const LOGIN: &str = "-n myregistry -u ci-push -p right";

#[test]
fn everything_is_well() {
    let mut machine = Machine::new(Canned::default());
    assert_eq!(machine.check(""), (0, format!("{DOCKER}{HELM}")));
    let skipped = "Fetch access token for registry 'registry:443' : skipped, as there is no --username\n";
    assert_eq!(machine.check("-n myregistry"), (0, format!("{DOCKER}{REACHED}{skipped}{HELM}")));
    let fetched = "Fetch access token for registry 'registry:443' : OK\n";
    assert_eq!(machine.check(LOGIN), (0, format!("{DOCKER}{REACHED}{fetched}{HELM}")));
    assert_eq!(
        machine.check(&format!("{LOGIN} --repository samples/app")),
        (0, format!("{DOCKER}{REACHED}{fetched}{HELM}"))
    );
    let pulled =
        DOCKER.replace("Skipping pull check.", "Docker pull of 'mcr.microsoft.com/mcr/hello-world:latest' : OK");
    assert_eq!(machine.check("--yes"), (0, format!("{pulled}{HELM}")));
}

#[test]
fn what_is_not_installed_stops_nothing() {
    let mut machine = Machine::new(Canned::default());
    machine.without("docker");
    machine.without("helm");
    let (code, said) = machine.check("-n myregistry");
    assert!(code == 0 && said.contains("DOCKER_COMMAND_ERROR") && said.contains("HELM_COMMAND_ERROR"), "{code} {said}");
    assert!(said.contains(REACHED), "{said}");
}

#[test]
fn the_first_error_ends_it_unless_errors_are_ignored() {
    let mut machine = Machine::new(Canned::default());
    machine.program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1");
    let told = "<time> An error occurred: DOCKER_DAEMON_ERROR\n`docker ps` failed: Cannot connect to the Docker daemon\n\n\
        Please refer to https://aka.ms/acr/errors#docker_daemon_error for more information.";
    assert_eq!(machine.check("-n myregistry"), (1, told.to_owned()));
    let (code, said) = machine.check("-n myregistry --ignore-errors");
    assert!(code == 1 && said.starts_with(told) && said.contains(REACHED) && said.ends_with(HELM), "{code} {said}");
    machine.program("docker", "case $1 in pull) echo no route >&2; exit 1;; version) exit 1;; esac");
    let (code, said) = machine.check("--yes --ignore-errors");
    assert!(code == 1 && said.contains("DOCKER_VERSION_ERROR") && said.contains("DOCKER_PULL_ERROR"), "{code} {said}");
    machine.program("helm", "exit 1");
    assert!(machine.check("--ignore-errors").1.contains("HELM_VERSION_ERROR"));
}

#[test]
fn every_kind_of_wrong_answer_has_its_code() {
    let elsewhere = "401 -\r\nwww-authenticate: Bearer realm=\"https://evil.example.com/token\",service=\"x\"\r\n";
    for (challenge, expected) in [
        ("200 -\r\n", "CONNECTIVITY_CHALLENGE_ERROR"),
        ("401 -\r\n", "CONNECTIVITY_CHALLENGE_ERROR"),
        ("403 -\r\n", "CONNECTIVITY_FORBIDDEN_ERROR"),
        ("429 -\r\n", "CONNECTIVITY_TOOMANYREQUESTS_ERROR"),
        ("401 -\r\nwww-authenticate: Basic realm=\"x\"\r\n", "CONNECTIVITY_AAD_LOGIN_ERROR"),
        ("401 -\r\nwww-authenticate: Bearer realm=\"http://ADDRESS/t\"\r\n", "CONNECTIVITY_WWW_AUTHENTICATE_ERROR"),
        (elsewhere, "CONNECTIVITY_WWW_AUTHENTICATE_ERROR"),
    ] {
        let mut machine = Machine::new(Canned { challenge, ..Canned::default() });
        let (code, said) = machine.check(LOGIN);
        assert!(code == 1 && said.contains(&format!("An error occurred: {expected}\n")), "{challenge}: {code} {said}");
    }
    for (token, arguments, expected) in [
        ((200, "{}".to_owned()), LOGIN.to_owned(), "The answer holds no access token."),
        ((429, String::new()), LOGIN.to_owned(), "CONNECTIVITY_TOOMANYREQUESTS_ERROR"),
        ((500, String::new()), LOGIN.to_owned(), "answered 500"),
        (Canned::default().token, LOGIN.replace("right", "wrong"), "does not accept 'ci-push' with this password"),
        (
            (200, issued(&["pull", "metadata_read"])),
            format!("{LOGIN} --repository samples/app"),
            "lacks these permissions on repository 'samples/app': push (content/write), metadata_write (metadata/write), \
             delete (content/delete). Granted are: pull (content/read), metadata_read (metadata/read).",
        ),
    ] {
        let mut machine = Machine::new(Canned { token, ..Canned::default() });
        let (code, said) = machine.check(&arguments);
        assert!(code == 1 && said.contains(expected), "{expected}: {code} {said}");
        assert!(!said.contains("right"), "{said}");
    }
}

#[test]
fn a_registry_that_is_not_there_has_no_login_server() {
    let mut machine = Machine::new(Canned::default());
    let (code, said) = machine.check("-n another");
    assert!(code == 1 && said.contains("LOGIN_SERVER_ERROR") && said.contains("ResourceNotFound"), "{code} {said}");

    // On the server's own machine its file will do.
    let file = machine.told.folder.path().join("seawall.yaml");
    let text = format!(
        "version: 1\nlisteners: [{{name: a, address: 127.0.0.1:0}}]\nregistries:\n  another: {{loginServer: '{}', upstream: \
         {{url: http://127.0.0.1:5000}}}}\n",
        machine.registry
    );
    fs::write(&file, text.as_bytes()).unwrap();
    let (code, said) = machine.check(&format!("-n another --config {}", file.display()));
    assert!(code == 0 && said.contains(REACHED), "{code} {said}");
    fs::write(&file, text.replace(&machine.registry.to_string(), "no-such-host.invalid")).unwrap();
    let (code, said) = machine.check(&format!("-n another --config {}", file.display()));
    assert!(code == 1 && said.contains("CONNECTIVITY_DNS_ERROR"), "{code} {said}");
}
