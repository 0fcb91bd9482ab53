//! `seawall exec`: logins for a program, proved before it starts and gone when it has ended.

use std::fs;
use std::process::{Command, Stdio};

use super::company::Company;
use crate::harness::client::Outcome;
use crate::harness::image::Layout;
use crate::harness::provider::Provider;
use crate::harness::wait_until;

fn left(company: &Company) -> Vec<String> {
    let entries = fs::read_dir(company.home.path().join("tmp")).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("seawall-")).collect()
}

/// A program with logins at both registries.
fn exec(company: &Company, who: &[&str], program: &[&str]) -> Outcome {
    let registries = ["exec", "--registry", "mybaseregistry", "--registry", &company.own];
    company.seawall(&[&registries[..], who, &["--"], program].concat())
}

/// One identity pulls from one registry and pushes to the other, with the programs that people have.
#[test]
fn a_provider_s_token_becomes_logins_for_one_program() {
    let provider = Provider::start();
    let token = provider.token("ci-bot");
    let company = Company::with(Some(provider));
    company.fill(&company.base, &Layout::image("base"), "baseimages/node", "15-alpine");
    let file = company.home.path().join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let who = ["--identity-token", &file.display().to_string()];
    let image = |server: &str| format!("docker://{server}/baseimages/node:15-alpine");
    let (from, to, back) = (image(&company.base), image(&company.own), image(&company.base));
    let skopeo = ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    exec(&company, &who, &[&skopeo[..], &[&from, &to]].concat()).expect_success();
    assert_eq!(company.upstreams[1].manifest("baseimages/node", "15-alpine").status, 200);
    exec(&company, &who, &[&skopeo[..], &[&to, &format!("{back}-again")]].concat()).expect_failure("denied");
    // Docker's and Helm's files are the same, private, and say nothing on the command line or in the environment.
    let look = "cat \"$HELM_REGISTRY_CONFIG\"; cmp $DOCKER_CONFIG/config.json $REGISTRY_AUTH_FILE; stat -c %a $DOCKER_CONFIG; env";
    let seen = exec(&company, &who, &["sh", "-c", look]).expect_success();
    assert!(seen.stdout.contains("\"auths\"") && seen.stdout.contains("\n700\n"), "{seen}");
    assert!(!seen.stdout.contains(&token) && !seen.stdout.contains("SEAWALL_PASSWORD"), "{seen}");
    assert_eq!(left(&company), Vec::<String>::new());
}

#[test]
fn a_managed_identity_is_vouched_for_by_the_server_and_the_exit_code_is_the_program_s() {
    let company = Company::start();
    let identity = company.identity("builder");
    let who = ["--identity", "builder"];
    let refused = exec(&company, &who, &["touch", "it-ran"]).expect_failure("nothing was run");
    assert!(!company.home.path().join("it-ran").exists(), "{refused}");
    let principal = identity["properties"]["principalId"].as_str().unwrap();
    company.may_pull(principal, "mybaseregistry");
    // S4-27: one login without a role is enough to run nothing.
    exec(&company, &who, &["touch", "it-ran"]).expect_failure("nothing was run");
    assert!(!company.home.path().join("it-ran").exists());
    let one = |program: &[&str]| {
        company.seawall(&[&["exec", "--identity", "builder", "-r", &company.base, "--"], program].concat())
    };
    one(&["sh", "-c", "exit 0"]).expect_success();
    let code = one(&["sh", "-c", "echo code; exit 7"]);
    assert!(!code.succeeded && code.stdout == "code\n", "{code}");
    assert_eq!(left(&company), Vec::<String>::new());
}

/// A wrong password is found at the login; the password does not reach the program.
#[test]
fn an_account_s_password_is_proved_and_kept_from_the_program() {
    let company = Company::start();
    let account = Company::base_admin();
    let run = |password: &str, program: &[&str]| {
        let start = [
            &format!("SEAWALL_PASSWORD={password}"),
            env!("CARGO_BIN_EXE_seawall"),
            "exec",
            "-u",
            &account.user,
            "-r",
            &company.base,
            "--",
        ];
        company.home.run("env", &[&start[..], program].concat())
    };
    run("wrong", &["touch", "it-ran"]).expect_failure("nothing was run");
    assert!(!company.home.path().join("it-ran").exists());
    let seen = run(&account.password, &["env"]).expect_success();
    assert!(!seen.stdout.contains(&account.password), "{seen}");
}

/// Signals go on to the program, and its files are removed all the same.
#[test]
fn a_signal_is_passed_on_and_nothing_is_left() {
    for signal in ["TERM", "HUP", "QUIT"] {
        passed_on(signal);
    }
}

fn passed_on(signal: &str) {
    let company = Company::start();
    let ready = company.home.path().join("ready");
    let script = format!("trap 'exit 9' {signal}; touch ready; while :; do sleep 0.1; done");
    let mut command = company.home.command(env!("CARGO_BIN_EXE_seawall"));
    command.env("SEAWALL_PASSWORD", Company::base_admin().password).stdin(Stdio::null());
    let words = ["exec", "-u", "mybaseregistry", "-r", &company.base, "--", "sh", "-c", &script];
    let mut child = command.args(words).spawn().unwrap();
    wait_until("the program runs", || ready.exists());
    assert_eq!(left(&company).len(), 1);
    assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert_eq!(left(&company), Vec::<String>::new());
}
