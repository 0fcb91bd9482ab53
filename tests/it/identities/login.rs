//! `seawall login` and `docker-credential-seawall` with a real provider and real clients (S1-13 … S1-32).

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use seawall::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::world::{CLIENT_ID, CLIENT_SECRET};
use crate::harness::browser::Browser;
use crate::harness::client::{Client as _, Home, Outcome};
use crate::harness::daemons::Docker;
use crate::harness::http;
use crate::harness::image::Layout;
use crate::harness::provider::{AUDIENCE, NULL_GUID, Provider};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};

const SEAWALL: &str = env!("CARGO_BIN_EXE_seawall");

struct World {
    provider: Provider,
    _upstream: Registry,
    seawall: Seawall,
    server: String,
}

impl World {
    fn start() -> Self {
        let (provider, upstream, place) = (Provider::start(), Registry::start(Distribution::V2), Place::new());
        let (issuer, server) = (provider.issuer(), place.login_server());
        let secret = place.secret("service-principal", CLIENT_SECRET);
        let document = place.document(&format!(
            "identityProviders:\n  corp: {{ issuer: \"{issuer}\", audiences: [\"{AUDIENCE}\"], signIn: {{ clientId: cli }} }}\n\
             identities:\n  jane: {{ type: User, matches: [ {{ provider: corp, claims: {{ sub: jane }} }} ] }}\n  \
             ci: {{ type: UserAssigned, matches: [ {{ provider: corp, claims: {{ client_id: ci-bot }} }} ] }}\n  \
             deployer: {{ type: ServicePrincipal, clientId: {CLIENT_ID}, secrets: [ {{ name: password1, file: \"{}\" }} ] }}\n\
             registries:\n  myregistry: {{ loginServer: \"{server}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
             jane, role: AcrPush }}, {{ identity: ci, role: AcrPull }}, {{ identity: deployer, role: AcrPull }} ] }}\n",
            secret.display(),
            upstream.url(),
        ));
        Self { provider, _upstream: upstream, seawall: place.start(&document), server }
    }

    /// What a person does who runs `seawall login …` and then what it says.
    fn sign_in(&self, home: &Home, words: &[&str], act: impl FnOnce(&mut Browser, &str)) -> Outcome {
        let mut command = home.command("timeout");
        command.args(["120", SEAWALL, "login", "--name", &self.server]).args(words);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut asked = String::new();
        errors.read_line(&mut asked).unwrap();
        let place = format!("open the page {}/device and enter the code ", self.provider.issuer());
        let code = asked.split_once(&place).unwrap_or_else(|| panic!("{asked}")).1.trim().trim_end_matches('.');
        act(&mut Browser::new(self.provider.address()), code);
        let output = child.wait_with_output().unwrap();
        let mut stderr = String::new();
        errors.read_to_string(&mut stderr).unwrap();
        said(&output, stderr)
    }

    fn signed_in(&self, home: &Home, words: &[&str]) -> Outcome {
        self.sign_in(home, words, |browser, code| browser.approve(code, "jane")).expect_success()
    }

    /// `seawall WORDS --name SERVER`; nobody is there to be asked.
    fn seawall(&self, home: &Home, words: &[&str]) -> Outcome {
        home.run(SEAWALL, &[words, &["--name", &self.server]].concat())
    }

    fn entry(&self, home: &Home) -> Value {
        docker_configuration(home)["auths"][&self.server].clone()
    }

    /// Makes both what the registry and what the provider gave look old.
    fn grow_old(&self, home: &Home) {
        edit(home, |saved| {
            saved["registries"][&self.server]["expires"] = "2020-01-01T00:00:00Z".into();
            saved["sessions"][0]["expires"] = "2020-01-01T00:00:00Z".into();
        });
    }
}

fn said(output: &Output, stderr: String) -> Outcome {
    let mut outcome = Outcome::nothing_to_do();
    outcome.succeeded = output.status.success();
    outcome.stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    outcome.stderr = stderr;
    outcome
}

fn saved(home: &Home) -> PathBuf {
    home.path().join(".config/seawall/sign-ins.json")
}

fn edit(home: &Home, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_str(&fs::read_to_string(saved(home)).unwrap()).unwrap();
    change(&mut document);
    fs::write(saved(home), document.to_string()).unwrap();
}

fn docker_configuration(home: &Home) -> Value {
    serde_json::from_str(&fs::read_to_string(home.path().join("docker/config.json")).unwrap()).unwrap()
}

/// Installs the credential helper as the documentation says.
fn with_helper(home: &Home) {
    fs::create_dir_all(home.path().join("bin")).unwrap();
    symlink(SEAWALL, home.path().join("bin/docker-credential-seawall")).unwrap();
}

fn helper(home: &Home, verb: &str, input: &str) -> Outcome {
    let mut command = home.command(home.path().join("bin/docker-credential-seawall").to_str().unwrap());
    let mut child = command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    said(&output, String::new())
}

/// What everybody whom the network rules admit may know, and no more.
#[test]
fn the_registry_says_where_people_sign_in() {
    let world = World::start();
    let get = |method: &str| http::request(world.seawall.address(), method, "/oauth2/sign-in", &[], b"").unwrap();
    let expected = json!({"loginServer": world.server, "providers": [{
        "name": "corp", "issuer": world.provider.issuer(), "clientId": "cli",
        "scopes": ["openid", "offline_access"], "audience": null, "resource": null,
    }]});
    assert_eq!(get("GET").expect(200).json(), expected);
    get("HEAD").expect(200);
    get("POST").expect(405);
}

/// S1-13, S1-14, S1-16, S1-17, S1-25 … S1-31: one sign-in, no daemon, no second prompt, a token for scripts.
#[test]
fn a_person_signs_in_once() {
    let world = World::start();
    let home = Home::new();
    assert!(world.signed_in(&home, &[]).stdout.contains("Login Succeeded"), "S1-13");
    let written = world.entry(&home);
    assert_eq!(written["identitytoken"].as_str().unwrap().split('.').count(), 3, "S1-16");

    let layout = Layout::image("by a person");
    layout.write(&home.path().join("image"), "latest");
    let reference = format!("docker://{}/samples/person:v1", world.server);
    let file = ["--authfile", "docker/config.json"];
    let push = [&["copy", "--dest-tls-verify=false"], &file[..], &["oci:image:latest", &reference]].concat();
    home.run("skopeo", &push).expect_success();

    assert!(world.seawall(&home, &["login"]).expect_success().stdout.contains("Login Succeeded"), "S1-14");
    let upper = home.run(SEAWALL, &["login", "--name", &format!("HTTP://{}", world.server)]);
    upper.expect_failure("is not a login server");

    let before = docker_configuration(&home);
    let token = world.seawall(&home, &["login", "--expose-token", "--output", "tsv", "--query", "accessToken"]);
    let token = token.expect_success();
    assert!(token.stderr.contains("refresh token of the registry") && token.stderr.contains("manual login"), "B.6-5");
    let token = token.stdout.trim().to_owned();
    assert!(token.starts_with("eyJhbGciOiJSUzI1NiIs") && token.split('.').count() == 3, "S1-28: {token}");
    assert_eq!(docker_configuration(&home), before, "S1-26");
    let whole = world.seawall(&home, &["login", "--expose-token", "--only-show-errors"]).expect_success();
    assert_eq!(whole.stderr, "");
    let whole: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!((&whole["loginServer"], &whole["username"]), (&json!(world.server), &json!(NULL_GUID)));
    assert_eq!(whole["accessToken"], whole["refreshToken"]);

    let elsewhere = Home::new();
    let log_in = ["login", "--tls-verify=false", "-u", NULL_GUID, "-p", &token, &world.server];
    elsewhere.run("podman", &log_in).expect_success();

    let (issuer, file) = (world.provider.issuer(), world.seawall.place().path().join("seawall.yaml"));
    world.seawall(&home, &["login", "--issuer", &issuer, "--client-id", "cli"]).expect_success();
    let config = ["--config", file.to_str().unwrap()];
    let by_name = home.run(SEAWALL, &[&["login", "--name", "MyRegistry"], &config[..]].concat()).expect_success();
    assert!(by_name.stderr.contains("Uppercase characters are detected"), "B.6-5: {by_name}");

    home.run(SEAWALL, &[&["logout", "--name", "myregistry"], &config[..]].concat()).expect_success();
    assert_eq!(world.entry(&home), Value::Null);
    home.run("skopeo", &push).expect_failure("authentication required");
    // Logged out of a registry, and still signed in at the provider.
    world.seawall(&home, &["login"]).expect_success();
    home.run(SEAWALL, &["logout"]).expect_success();
    let left = fs::read_to_string(saved(&home)).unwrap();
    assert!(!left.contains("eyJ"), "{left}");
}

/// S1-21: the provider's refresh token renews without a question; when it is gone, somebody is asked.
#[test]
fn a_login_is_renewed_silently_until_the_sign_in_ends() {
    let mut world = World::start();
    let home = Home::new();
    with_helper(&home);
    world.signed_in(&home, &["--credential-helper"]);
    assert_eq!(docker_configuration(&home), json!({"credHelpers": {&world.server: "seawall"}}));

    let get = || serde_json::from_str::<Value>(&helper(&home, "get", &world.server).expect_success().stdout).unwrap();
    let first = get();
    assert_eq!((&first["ServerURL"], &first["Username"]), (&json!(world.server), &json!(NULL_GUID)));
    assert_eq!(get()["Secret"], first["Secret"], "it is good for some time");
    world.grow_old(&home);
    let renewed = get();
    assert_ne!(renewed["Secret"], first["Secret"]);
    let list = helper(&home, "list", "").expect_success().stdout;
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap(), json!({&world.server: NULL_GUID}));

    world.grow_old(&home);
    edit(&home, |saved| saved["sessions"][0]["refreshToken"] = "revoked".into());
    helper(&home, "get", &world.server).expect_failure("has ended; run `seawall login");
    // The next login asks again.
    world.signed_in(&home, &["--credential-helper"]);
    helper(&home, "get", &format!("https://{}", world.server)).expect_success();

    // While the provider is away, what the registry gave is handed out until it ends.
    world.provider.stop();
    world.grow_old(&home);
    let soon = SystemClock.now() + Duration::from_mins(10);
    edit(&home, |saved| saved["registries"][&world.server]["expires"] = soon.to_string().into());
    helper(&home, "get", &world.server).expect_success();
    world.grow_old(&home);
    helper(&home, "get", &world.server).expect_failure("cannot be reached");

    helper(&home, "erase", &world.server).expect_success();
    let nothing = helper(&home, "get", &world.server);
    assert!(!nothing.succeeded);
    assert_eq!(nothing.stdout.trim(), "credentials not found in native keychain");
    let stored = json!({"ServerURL": "other.example.com", "Username": "ci", "Secret": "a \"secret\""});
    helper(&home, "store", &stored.to_string()).expect_success();
    let kept = helper(&home, "get", "other.example.com").expect_success().stdout;
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), stored);
    helper(&home, "frobnicate", "").expect_failure("Usage: docker-credential-seawall");
}

/// The helper under the real Docker and the real podman.
#[test]
fn docker_and_podman_ask_the_helper() {
    let world = World::start();
    let docker = Docker::new();
    with_helper(docker.home());
    world.signed_in(docker.home(), &["--credential-helper"]);
    let layout = Layout::image("by the helper");
    let reference = format!("{}/samples/helped:v1", world.server);
    docker.load(&layout, &reference);
    docker.push(&layout, &reference).expect_success();
    world.grow_old(docker.home());
    docker.forget(&reference);
    docker.pull(&reference).expect_success();

    let file = ["--authfile", "docker/config.json"];
    let pull = [&["pull", "--tls-verify=false"], &file[..], &[&reference]].concat();
    docker.home().run("podman", &pull).expect_success();
    // `docker login` through the helper: kept by it.
    let log_in = ["login", "-u", CLIENT_ID, "-p", CLIENT_SECRET, &world.server];
    docker.docker(&log_in).expect_success();
    let kept = helper(docker.home(), "get", &world.server).expect_success().stdout;
    assert!(kept.contains(CLIENT_ID), "{kept}");
    docker.push(&layout, &reference).expect_failure(Docker::REFUSED);
}

#[test]
fn logins_without_a_person() {
    let world = World::start();
    let home = Home::new();
    let token = home.path().join("token");
    fs::write(&token, world.provider.token("ci-bot") + "\n").unwrap();
    world.seawall(&home, &["login", "--identity-token", "token"]).expect_success();
    assert!(world.entry(&home)["identitytoken"].is_string());

    let by_secret = ["login", "--username", CLIENT_ID, "--password"];
    world.seawall(&home, &[&by_secret[..], &[CLIENT_SECRET]].concat()).expect_success();
    assert_eq!(world.entry(&home)["identitytoken"], Value::Null);
    home.run(SEAWALL, &["exec", "--registry", &world.server, "--", "true"]).expect_success();
    let before = world.entry(&home);
    world.seawall(&home, &[&by_secret[..], &["wrong"]].concat()).expect_failure("does not accept the credential");
    fs::write(&token, world.provider.token("stranger")).unwrap();
    world.seawall(&home, &["login", "--identity-token", "token"]).expect_failure("does not accept the credential");
    assert_eq!(world.entry(&home), before, "nothing is written that was not proved");
    world.seawall(&home, &["login", "--provider", "other"]).expect_failure("it names 'corp'");
    world.seawall(&home, &["login", "--expose-token", "--username", "x"]).expect_failure("cannot be used with");
    let stays = home.run(SEAWALL, &["logout"]).expect_success();
    assert!(stays.stderr.contains(&format!(": {}. `seawall logout --name` ends", world.server)), "{stays}");
    assert_eq!(world.entry(&home), before);

    // What cannot be read is told before anybody is asked, and stays as it is.
    let file = home.path().join("docker/config.json");
    fs::write(&file, "{\"auths\":").unwrap();
    world.seawall(&home, &["login"]).expect_failure("is not a JSON object");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"auths\":");
}

/// Who says no at the provider, and who may sign in and has no role.
#[test]
fn a_sign_in_that_comes_to_nothing() {
    let world = World::start();
    let home = Home::new();
    let refused = world.sign_in(&home, &[], Browser::abort);
    refused.expect_failure("refused at the identity provider");
    let stranger = world.sign_in(&home, &[], |browser, code| browser.approve(code, "mallory"));
    stranger.expect_failure("needs a role on the registry");
    world.seawall(&home, &["login"]).expect_failure("run `seawall logout` first");
    home.run(SEAWALL, &["logout"]).expect_success();
    world.signed_in(&home, &[]);
    let gone = home.run(SEAWALL, &["logout"]).expect_success();
    assert!(!gone.stderr.contains("Still logged in"), "{gone}");
    assert_eq!(world.entry(&home), Value::Null);
}
