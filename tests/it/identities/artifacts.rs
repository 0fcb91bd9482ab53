//! Dex, whose sign-in on another device is driven to its end, and what its identity does with helm and oras (S1-18).

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::harness::artifacts::{Helm, Oras};
use crate::harness::dex::{CLIENT, Dex};
use crate::harness::provider::{NULL_GUID, exchange};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::seawall::{Place, Seawall};
use crate::harness::session::Account;

struct World {
    dex: Dex,
    _upstream: Registry,
    seawall: Seawall,
}

impl World {
    /// Distribution 3, which keeps what is no image.
    fn start() -> Self {
        let (dex, upstream, place) = (Dex::start(), Registry::start(Distribution::V3), Place::new());
        let document = place.document(&format!(
            "identityProviders:\n  dex: {{ issuer: \"{}\", audiences: [{CLIENT}], nameClaim: email, signIn: {{ clientId: \
             {CLIENT}, scopes: [openid, email, groups, offline_access] }} }}\n\
             identities:\n  developers: {{ type: Group, matches: [ {{ provider: dex, claims: {{ groups: developers }} }} ] }}\n\
             registries:\n  myregistry: {{ loginServer: \"{}\", upstream: {{ url: \"{}\" }}, roleAssignments: [ {{ identity: \
             developers, role: Container Registry Repository Writer, repositories: [\"samples/*\"] }} ] }}\n",
            dex.issuer(),
            place.login_server(),
            upstream.url(),
        ));
        Self { dex, _upstream: upstream, seawall: place.start(&document) }
    }

    fn login_server(&self) -> String {
        self.seawall.place().login_server()
    }

    /// Jane's, by a sign-in of her own.
    fn account(&self) -> Account {
        let token = self.dex.signed_in()["id_token"].as_str().unwrap().to_owned();
        let answer = exchange(self.seawall.address(), &self.login_server(), &token).expect(200).json();
        Account::new(NULL_GUID, answer["refresh_token"].as_str().unwrap())
    }
}

/// S1-32 to the letter: `echo $TOKEN | helm registry login … --username 00000000-… --password-stdin`.
#[test]
fn helm_logs_in_with_the_null_guid_pushes_and_pulls() {
    let (world, helm) = (World::start(), Helm::new());
    let login_server = world.login_server();
    helm.log_in(&login_server, &Account::new(NULL_GUID, "no token")).expect_failure("401");
    helm.log_in(&login_server, &world.account()).expect_success();
    helm.push(&login_server, "samples/charts").expect_success();
    helm.pull(&login_server, "samples/charts").expect_success();
    assert!(helm.has_pulled_the_same());
    helm.push(&login_server, "production/charts").expect_failure("401");
}

/// S1-18: the same login serves what is no image.
#[test]
fn oras_pushes_and_pulls_an_artifact() {
    let (world, oras) = (World::start(), Oras::new());
    let login_server = world.login_server();
    oras.log_in(&login_server, &world.account()).expect_success();
    oras.push(&format!("{login_server}/samples/artifact:v1")).expect_success();
    oras.pull(&format!("{login_server}/samples/artifact:v1")).expect_success();
    oras.push(&format!("{login_server}/production/artifact:v1")).expect_failure("401");
}

/// S1-13, S1-18, S1-25: one sign-in on another device; oras reads the file that was written for Docker.
#[test]
fn a_person_signs_in_at_dex_by_the_command() {
    let (world, oras) = (World::start(), Oras::new());
    let login_server = world.login_server();
    let mut command = oras.home().command("timeout");
    command.args(["120", env!("CARGO_BIN_EXE_seawall"), "login", "--name", &login_server]);
    let mut login = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut asked = String::new();
    BufReader::new(login.stderr.take().unwrap()).read_line(&mut asked).unwrap();
    let place = format!("open the page {}/device and enter the code ", world.dex.issuer());
    let code = asked.split_once(&place).unwrap_or_else(|| panic!("{asked}")).1;
    world.dex.approve(code.trim().trim_end_matches('.'));
    assert!(login.wait().unwrap().success());
    oras.push(&format!("{login_server}/samples/artifact:v1")).expect_success();
    oras.pull(&format!("{login_server}/samples/artifact:v1")).expect_success();
}

/// The provider's own name for her is in the audit log.
#[test]
fn who_signed_in_at_dex_is_known_by_name() {
    let world = World::start();
    world.account();
    let told = || world.seawall.audit().iter().any(|record| record["principal"]["name"] == "jane@example.com");
    crate::harness::wait_until("the audit log names her", told);
}
