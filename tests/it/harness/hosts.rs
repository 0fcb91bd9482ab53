//! Hosts with addresses of their own: network namespaces, joined by virtual cables.
//!
//! The whole test runs in a namespace too, so that nothing of the machine's own network is read or changed, and two tests may use
//! the same addresses at once. What the test starts there, seawall and its registry, is at the site that the hosts call.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::client::{Home, Outcome};
use super::process::{Process, Stop};

/// Where the site answers, and what pretends to be it: of the range for tests of devices (RFC 2544), so that no host has it on
/// its own network.
pub(crate) const SERVICE: &str = "198.18.0.10";

const BALANCER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/balancer/balancer.py");

/// Runs `test` at a site: in a network namespace with nothing but a loopback, which also has the address [`SERVICE`].
///
/// # Panics
///
/// With the test; and where namespaces cannot be made, which takes root: then nothing is shown, and that must be seen.
pub(crate) fn at_a_site(test: impl FnOnce() + Send + 'static) {
    // A thread of its own, because a namespace is a thread's.
    let site = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)
            .unwrap_or_else(|error| panic!("no network namespace, which takes root: {error}"));
        ip(&["link", "set", "lo", "up"]);
        ip(&["address", "add", &format!("{SERVICE}/32"), "dev", "lo"]);
        test();
    });
    if let Err(panic) = site.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A machine with an address of its own. It ends with the test.
pub(crate) struct Host {
    /// Of its network namespace; unique on this machine.
    name: String,
    pub(crate) address: &'static str,
}

impl Host {
    /// A host with this address, of a network of two: the other is the site, with the address before it.
    pub(crate) fn at(address: &'static str) -> Self {
        Self::joined(address, None)
    }

    /// The same, but the other is `gateway`.
    pub(crate) fn behind(address: &'static str, gateway: &Self) -> Self {
        Self::joined(address, Some(gateway))
    }

    fn joined(address: &'static str, gateway: Option<&Self>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-{}-{number}", std::process::id());
        ip(&["netns", "add", &name]);
        let host = Self { name, address };
        let at_gateway = gateway.map(|gateway| ["-n", gateway.name.as_str()]);
        let on_gateway =
            |words: &[&str]| ip(&[at_gateway.iter().flatten().copied().collect::<Vec<_>>().as_slice(), words].concat());
        let on_host = |words: &[&str]| ip(&[&["-n", &host.name], words].concat());
        let (end, before) = (format!("v{number}"), before(address));
        on_gateway(&["link", "add", &end, "type", "veth", "peer", "name", "eth0", "netns", &host.name]);
        on_gateway(&["address", "add", &format!("{before}/30"), "dev", &end]);
        on_gateway(&["link", "set", &end, "up"]);
        on_host(&["link", "set", "lo", "up"]);
        on_host(&["address", "add", &format!("{address}/30"), "dev", "eth0"]);
        on_host(&["link", "set", "eth0", "up"]);
        on_host(&["route", "add", "default", "via", &before]);
        host
    }

    /// Answers at [`SERVICE`] for the hosts behind it, at `port`, and passes their connections on to the site's `to`, saying that
    /// they come through this VPC endpoint.
    pub(crate) fn balance(&self, port: u16, to: u16, endpoint: &str, directory: &Path) -> Process {
        ip(&["-n", &self.name, "address", "add", &format!("{SERVICE}/32"), "dev", "lo"]);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "python3", BALANCER, SERVICE, &port.to_string()]);
        command.args([&before(self.address), &to.to_string(), endpoint]);
        let process = Process::start("balancer", &mut command, directory, Stop::Kill);
        super::wait_until("the balancer listens", || {
            let sockets = run(&["netns", "exec", &self.name, "cat", "/proc/net/tcp"]);
            String::from_utf8_lossy(&sockets.stdout).contains(&format!(":{port:04X} 00000000:0000 0A"))
        });
        process
    }

    /// Runs a client on this host, in this home.
    pub(crate) fn run(&self, home: &Home, program: &str, arguments: &[&str]) -> Outcome {
        home.run("ip", &[&["netns", "exec", &self.name, program], arguments].concat())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        run(&["netns", "delete", &self.name]);
    }
}

/// The address before this one.
fn before(address: &str) -> String {
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    std::net::Ipv4Addr::from_bits(address.to_bits() - 1).to_string()
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = run(words);
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
}

fn run(words: &[&str]) -> Output {
    Command::new("ip").args(words).output().unwrap_or_else(|error| panic!("no `ip` (`make deps` installs it): {error}"))
}
