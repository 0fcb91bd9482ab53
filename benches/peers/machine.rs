//! On what and of what a measurement was made.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::harness::proxies::system;
use crate::harness::seawall::program;

/// One paragraph.
pub(crate) fn line(rounds: u32, seconds: u32) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name);
    let cores = available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let memory: u64 = memory.unwrap_or_default();
    let wall = program().display().to_string();
    let versions = [
        version("seawall", &wall, "--version"),
        version("nginx", &system("nginx"), "-v"),
        version("HAProxy", &system("haproxy"), "-v"),
        version("Distribution", "docker-registry", "--version"),
        version("wrk", "wrk", "-v"),
        version("h2load", "h2load", "--version"),
        version("curl", "curl", "--version"),
    ];
    format!(
        "Machine: {model}, {cores} cores for all programs together, {} GiB, Linux {}. {rounds} rounds, {seconds} s for each \
         measurement. {}.",
        memory >> 20,
        kernel.trim(),
        versions.join(", ")
    )
}

/// The version that a program tells, on whichever output.
fn version(name: &str, program: &str, option: &str) -> String {
    let said = Command::new(program).arg(option).output();
    let said = said.unwrap_or_else(|error| panic!("cannot start {program} (`make deps` installs it): {error}"));
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let number = |word: &&str| word.contains('.') && word.contains(|one: char| one.is_ascii_digit());
    let word = text.split_whitespace().find(number).unwrap_or("of an unknown version");
    format!("{name} {}", word.rsplit('/').next().unwrap_or(word))
}
