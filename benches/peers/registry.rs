//! The real registry: what it does by itself, with its own ways to authenticate, and behind seawall.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::caller::{Caller, digest};
use crate::harness::http;
use crate::harness::image::MANIFEST;
use crate::harness::process::{Process, Stop};
use crate::harness::session::Account;
use crate::harness::{ports, wait_until};
use crate::load::Ask;
use crate::picture::Chart;
use crate::report::{Part, Table, Verdict};
use crate::rounds::{Row, Rows, Target, measure};
use crate::settings::Settings;
use crate::tokens::{ISSUER, Minter, SERVICE};
use crate::upstream::REPOSITORY;
use crate::walls::{Registry, Wall};

pub(crate) const NAME: &str = "registry";

const OPEN: &str = "Distribution, open";
const COST_5: &str = "Distribution, htpasswd bcrypt cost 5";
const COST_10: &str = "Distribution, htpasswd bcrypt cost 10";
const TOKEN: &str = "Distribution, token auth ES256";
const BY_TAG: &str = "seawall before Distribution, by tag";
const BY_DIGEST: &str = "seawall before Distribution, by digest, content cache";

/// A running Distribution 2.8, configured as Debian does apart from the address, the folder and `auth`.
pub(crate) struct Distribution {
    // The process first: it must have ended when its folder is removed.
    process: Process,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
}

impl Distribution {
    /// One that lets everybody in.
    pub(crate) fn open() -> Self {
        Self::start(TempDir::new().unwrap(), "")
    }

    /// `auth` is a line of its configuration.
    fn start(directory: TempDir, auth: &str) -> Self {
        let address = ports::free();
        let text = format!(
            "version: 0.1\nlog: {{fields: {{service: registry}}}}\n\
             storage: {{cache: {{blobdescriptor: inmemory}}, filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"{address}\", secret: notasecret, headers: {{X-Content-Type-Options: [nosniff]}}}}\n\
             health: {{storagedriver: {{enabled: true, interval: 10s, threshold: 3}}}}\n{auth}\n",
            directory.path().join("data").display()
        );
        let file = directory.path().join("registry.yaml");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("docker-registry");
        let mut process = Process::start("registry", command.arg("serve").arg(&file), directory.path(), Stop::Kill);
        wait_until("the registry answers", || {
            process.expect_running();
            http::get(address, "/v2/").is_some_and(|answer| matches!(answer.status, 200 | 401))
        });
        Self { process, _directory: directory, address }
    }

    fn with_passwords(account: &Account, cost: u32) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("htpasswd");
        let hash = bcrypt::hash(&account.password, cost).unwrap();
        // As `htpasswd -B` writes it.
        fs::write(&file, format!("{}:{}\n", account.user, hash.replace("$2b$", "$2y$"))).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: bench, path: \"{}\"}}}}", file.display());
        Self::start(directory, &auth)
    }

    fn with_tokens(minter: &Minter) -> Self {
        let directory = TempDir::new().unwrap();
        let root = minter.certificate(directory.path());
        let auth = format!(
            "auth: {{token: {{realm: \"http://{SERVICE}/token\", service: {SERVICE}, issuer: {ISSUER}, \
             rootcertbundle: \"{}\"}}}}",
            root.display()
        );
        Self::start(directory, &auth)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Pushes the image that is asked for; returns its manifest.
    fn push(&self, authorization: Option<String>) -> Vec<u8> {
        Caller { address: self.address, authorization }.push_image(REPOSITORY, "v1", "of the benchmark")
    }
}

pub(crate) fn run(settings: &Settings) -> Part {
    let account = Account::new("puller", "the-password-of-puller");
    let minter = Minter::new();
    let open = Distribution::open();
    let (five, ten) = (Distribution::with_passwords(&account, 5), Distribution::with_passwords(&account, 10));
    let tokens = Distribution::with_tokens(&minter);
    let manifest = open.push(None);
    five.push(Some(account.basic()));
    ten.push(Some(account.basic()));
    tokens.push(Some(format!("Bearer {}", minter.token(REPOSITORY, &["pull", "push"]))));
    let mut wall = Wall::start(&[Registry::plain("plain", open.address), Registry::keeping("keeping", open.address)]);
    let tag = format!("/v2/{REPOSITORY}/manifests/v1");
    let expect = |ask: Ask| ask.header("Accept", MANIFEST).body(&manifest);
    let at = |registry: &Distribution| expect(Ask::new(format!("http://{}{tag}", registry.address)));
    let basic = account.basic();
    let (seawall, audit) = (wall.id(), wall.audit());
    let walled = |name, ask: Ask| Target::new(name, expect(ask), &[seawall], open.id()).log(audit.clone());
    let path = format!("/v2/{REPOSITORY}/manifests/{}", digest(&manifest));
    let targets = [
        Target::new(OPEN, at(&open), &[], open.id()),
        Target::new(COST_5, at(&five).header("Authorization", &basic), &[], five.id()),
        // Each takes a tenth of a second of a core: with more connections most would be answered after the end.
        Target::new(COST_10, at(&ten).header("Authorization", &basic), &[], ten.id()).slow(8, 5),
        Target::new(TOKEN, at(&tokens).bearer(&minter.token(REPOSITORY, &["pull"])), &[], tokens.id()),
        walled(BY_TAG, wall.ask("plain", &tag).bearer(&wall.puller("plain"))),
        walled(BY_DIGEST, wall.ask("keeping", &path).bearer(&wall.puller("keeping"))),
    ];
    part(&measure(settings, NAME, &targets))
}

fn part(rows: &Rows) -> Part {
    let rate = |name| &rows.get(name).rate;
    let mut chart = Chart::new("registry-rate", "Requests of a manifest in a second, with the real registry", 0);
    for row in &rows.0 {
        chart = chart.bar(&row.name, &row.rate);
    }
    Part {
        title: "The real registry",
        text: "`GET` of the manifest of an image in Distribution 2.8, as Debian configures it, by wrk with 64 connections; 8 for \
               bcrypt of cost 10, which would answer most of 64 after the end. Distribution hashes the password at every request."
            .to_owned(),
        tables: vec![Table::new(&Row::HEAD, rows.cells())],
        verdicts: vec![
            Verdict::at_least("real registry, by tag: requests/s ÷ Distribution alone", rate(BY_TAG), rate(OPEN), 0.88, 0.93),
            Verdict::at_least("real registry, by tag: requests/s ÷ its htpasswd, cost 5", rate(BY_TAG), rate(COST_5), 2.5, 2.8),
            Verdict::at_least("real registry, by tag: requests/s ÷ its htpasswd, cost 10", rate(BY_TAG), rate(COST_10), 80.0, 95.0),
            Verdict::at_least(
                "real registry, by digest, content cache: requests/s ÷ Distribution alone",
                rate(BY_DIGEST),
                rate(OPEN),
                15.0,
                25.0,
            ),
        ],
        charts: vec![chart],
    }
}
