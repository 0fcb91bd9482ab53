//! What processes have used, from `/proc`.

use std::fs;

/// What the kernel counts processor time in: `USER_HZ`, which is 100 for every program on Linux.
const TICKS: f64 = 100.0;

/// A process and all that it has started.
fn family(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let id = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((id, fields(id)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        next += 1;
    }
    found
}

/// The fields of `/proc/ID/stat` after the program's name, which may hold anything; the first is the state.
fn fields(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Processor time of these processes and of those they have started, in seconds: user and system.
///
/// # Panics
///
/// When one of them has ended: its time is not known any more.
pub(crate) fn cpu(roots: &[u32]) -> f64 {
    let ids = roots.iter().flat_map(|&root| family(root));
    let ticks = ids.map(|id| {
        let fields = fields(id).unwrap_or_else(|| panic!("process {id} has ended"));
        let number = |at: usize| fields[at].parse::<u32>().unwrap();
        f64::from(number(11)) + f64::from(number(12))
    });
    ticks.sum::<f64>() / TICKS
}

/// What a line of `/proc/ID/status` says, without its unit.
fn status(id: u32, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Resident memory in units of 1,024 bytes, of a process and those it has started. What they share is counted in each.
pub(crate) fn memory(root: u32) -> f64 {
    family(root).iter().map(|&id| status(id, "VmRSS")).sum()
}

/// Resident memory in units of 1,024 bytes, and how many threads there are, of one process.
pub(crate) fn memory_and_threads(id: u32) -> (f64, f64) {
    (status(id, "VmRSS"), status(id, "Threads"))
}
