//! Free ports of the loopback.
//!
//! They are taken from below the range that the kernel uses for outgoing connections, so that no client of another
//! test can take one between its choice and its use.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 18_000;
const COUNT: u32 = 14_000;

/// How many were handed out in this process: none is handed out twice.
static HANDED_OUT: AtomicU32 = AtomicU32::new(0);

/// An address of the loopback on which nothing listens.
pub(crate) fn free() -> SocketAddr {
    for _ in 0..COUNT {
        // Processes that run at the same time start at different places.
        let offset = process::id().wrapping_mul(97).wrapping_add(HANDED_OUT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free on the loopback");
}
