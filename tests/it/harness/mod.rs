//! The parts that tests are made of: registries, seawall, clients, images and plain HTTP.

pub(crate) mod artifacts;
pub(crate) mod browser;
pub(crate) mod caller;
pub(crate) mod client;
pub(crate) mod containers;
pub(crate) mod daemons;
pub(crate) mod dex;
pub(crate) mod fake;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod keys;
pub(crate) mod manager;
pub(crate) mod nearby;
pub(crate) mod operator;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod provider;
pub(crate) mod proxies;
pub(crate) mod raw;
pub(crate) mod records;
pub(crate) mod registry;
pub(crate) mod sdk;
pub(crate) mod seawall;
pub(crate) mod secure;
pub(crate) mod session;
pub(crate) mod sources;
pub(crate) mod stopwatch;
pub(crate) mod tls;
pub(crate) mod wall;

use std::thread::sleep;
use std::time::Duration;

/// Asks `ready` every 50 ms until it says yes, for at most 30 s.
///
/// # Panics
///
/// When the time is over, naming `what` was waited for.
pub(crate) fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..600 {
        if ready() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("waited 30 s in vain: {what}");
}
