//! seawall beside nginx, HAProxy and the registry itself, in one run on one machine: `make bench`.
//!
//! All of them are started here, on the loopback, and measured in turns. `ROUNDS` and `SECONDS` (5 each) say how often and how
//! long, `ONLY` names the parts that run, and `CHECK=1` makes a missed target a failure. A whole run rewrites the figures in
//! `docs/performance.md` and its pictures; anything less goes to `target/bench`. `SEAWALL_BINARY` names the program that is
//! measured; without it the optimised one is built.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a measurement may stop, and prints"
)]

mod blob;
mod handshakes;
#[path = "../../tests/it/harness/mod.rs"]
#[expect(
    dead_code,
    clippy::print_stderr,
    reason = "the integration tests use the rest of it, where all of this is allowed"
)]
mod harness;
mod http2;
mod idle;
mod load;
mod machine;
mod peers;
mod picture;
mod registry;
mod report;
mod rounds;
mod settings;
mod small;
mod spread;
mod storm;
mod tokens;
mod trust;
mod upstream;
mod usage;
mod walls;

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use report::Part;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use settings::Settings;

type Run = fn(&Settings) -> Part;

/// The parts by their names, in the order in which they run.
const PARTS: [(&str, Run); 7] = [
    (small::NAME, small::run),
    (blob::NAME, blob::run),
    (handshakes::NAME, handshakes::run),
    (registry::NAME, registry::run),
    (http2::NAME, http2::run),
    (idle::NAME, idle::run),
    (storm::NAME, storm::run),
];

fn main() -> ExitCode {
    if env::var_os("SEAWALL_BINARY").is_none() {
        with_optimised_seawall();
    }
    let settings = Settings::read();
    settings.expect_names(&PARTS.map(|(name, _)| name));
    settings::catch_signals();
    allow_many_files();
    trust::check();
    let parts: Vec<Part> =
        PARTS.iter().filter(|(name, _)| settings.wants(name)).map(|(_, run)| run(&settings)).collect();
    let text = report::markdown(&machine::line(settings.rounds, settings.seconds), &parts);
    println!("\n{text}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if settings.whole() {
        report::write(&root.join("docs"), &text, &parts);
    } else {
        report::keep(&root.join("target/bench"), &text, &parts);
    }
    let missed = parts.iter().flat_map(|part| &part.verdicts).filter(|verdict| !verdict.held()).count();
    println!("{missed} targets missed");
    if missed > 0 && settings.check { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// For thousands of connections, here and in everything that is started here.
fn allow_many_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Builds it, and becomes the same program that measures it.
fn with_optimised_seawall() {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built =
        Command::new(cargo).args(["build", "--locked", "--release", "--bin", "seawall"]).current_dir(root).status();
    assert!(built.unwrap().success(), "seawall cannot be built");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut again = Command::new(env::current_exe().unwrap());
    let error = again.args(env::args_os().skip(1)).env("SEAWALL_BINARY", target.join("release/seawall")).exec();
    panic!("cannot start anew: {error}");
}
