//! Who would get a credential that is sent in clear text to a port of this machine.
//!
//! While seawall is down any user may listen on its port, and would be handed the credential of whoever runs a command then. So
//! the kernel's tables of sockets are read first: the listener has to belong to the owner of the credential file, whom seawall
//! runs as, or to root. Between this look and the connection lies a moment in which the listener may change; a Unix socket or TLS
//! has no such moment.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::failure::Failure;
use crate::management::client::{ClientError, Endpoint};

/// The kernel's tables, which everybody may read.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const ROOT: u32 = 0;
/// The state of a socket that listens (`TCP_LISTEN` in Linux's `tcp_states.h`).
const LISTEN: &str = "0A";

/// What speaks against sending the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    Nobody,
    Stranger { at: SocketAddr, user: u32 },
}

/// Looks at who listens where `endpoint` leads, when the credential in `file`, which belongs to the user `owner`, would go there
/// in clear text.
///
/// # Errors
/// The credential must not be sent.
pub(super) fn check(endpoint: &Endpoint, file: &Path, owner: u32) -> Result<(), Failure> {
    let Endpoint::Url(url) = endpoint else { return Ok(()) };
    // TLS shows who the server is.
    if url.scheme() != "http" {
        return Ok(());
    }
    let unreachable = |cause: String| ClientError::Unreachable { endpoint: endpoint.clone(), cause };
    let addresses = url.socket_addrs(|| None).map_err(|error| unreachable(error.to_string()))?;
    // Other systems than Linux have no such tables, and nothing else that a program without privileges can ask: there the port is
    // taken for seawall's, as every program that speaks to a port takes it.
    let Some(table) = table()? else { return Ok(()) };
    judge(&table, &addresses, owner).map_err(|doubt| match doubt {
        Doubt::Nobody => unreachable("nothing listens there".to_owned()).into(),
        Doubt::Stranger { at, user } => Failure::new(format!(
            "the owner's credential is not sent: what listens at {at} belongs to user {user}, but {} to user {owner}",
            file.display()
        ))
        .hint(
            "Is seawall running? If not, another user's program may have taken its port. `management.address: unix:…` or TLS \
             (`management.tls`) in the configuration file leaves no doubt.",
        ),
    })
}

/// The tables as one; `None` when there are none.
fn table() -> Result<Option<String>, Failure> {
    let mut all = None;
    for path in TABLES {
        match fs::read_to_string(path) {
            Ok(text) => all.get_or_insert_with(String::new).push_str(&text),
            // A kernel may be without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failure::new(format!("cannot look up in {path} who listens on the port: {error}")).hint(
                    "`management.address: unix:…` or TLS (`management.tls`) in the configuration file needs no look.",
                ));
            }
        }
    }
    Ok(all)
}

/// Whether everybody who may get a connection to `addresses` is the owner, or root.
fn judge(table: &str, addresses: &[SocketAddr], owner: u32) -> Result<(), Doubt> {
    let listeners: Vec<Listener> = table.lines().filter_map(Listener::parse).collect();
    let mut found = false;
    for at in addresses {
        for user in users(&listeners, *at) {
            if user != owner && user != ROOT {
                return Err(Doubt::Stranger { at: *at, user });
            }
            found = true;
        }
    }
    if found { Ok(()) } else { Err(Doubt::Nobody) }
}

/// Whom a connection to `at` may lead to. As in the kernel, whoever listens on all addresses gets what nobody listens for in
/// particular.
fn users(listeners: &[Listener], at: SocketAddr) -> Vec<u32> {
    let of = |fits: &dyn Fn(IpAddr) -> bool| -> Vec<u32> {
        let fitting = listeners.iter().filter(|one| one.port == at.port() && fits(one.address));
        fitting.map(|one| one.user).collect()
    };
    let exact = of(&|address| address == at.ip().to_canonical());
    if exact.is_empty() {
        // `::` may stand for IPv4 as well; the table does not say.
        of(&|address| address.is_unspecified() && (address.is_ipv6() || at.is_ipv4()))
    } else {
        exact
    }
}

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    port: u16,
    user: u32,
}

impl Listener {
    /// `None` for the head of the table, and for sockets in another state.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (address, port) = fields.next()?.split_once(':')?;
        if fields.nth(1)? != LISTEN {
            return None;
        }
        let user = fields.nth(3)?.parse().ok()?;
        Some(Self { address: address_of(address)?, port: u16::from_str_radix(port, 16).ok()?, user })
    }
}

/// The kernel writes an address as numbers of 32 bits, each in the machine's order of bytes. An IPv4 address within IPv6 is
/// the IPv4 address.
fn address_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for word in hex.as_bytes().chunks(8) {
        let word = str::from_utf8(word).ok().filter(|word| word.len() == 8)?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    const OWNER: u32 = 990;

    /// A line as Linux writes it on a machine whose numbers begin with their lowest byte.
    fn line(local: &str, state: &str, user: u32) -> String {
        let remote = if local.len() > 13 { "00000000000000000000000000000000:0000" } else { "00000000:0000" };
        format!(
            "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {user:5}        0 449733 1 00000000edaa6f78 100 0 0 10 0\n"
        )
    }

    fn judged(lines: &[(&str, &str, u32)], address: &str) -> Result<(), Doubt> {
        let lines: String = lines.iter().map(|(local, state, user)| line(local, state, *user)).collect();
        judge(&format!("{HEAD}{lines}"), &[address.parse().unwrap()], OWNER)
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let table: &[(&str, Option<&str>)] = &[
            ("0100007F", Some("127.0.0.1")),
            ("0200007F", Some("127.0.0.2")),
            ("00000000", Some("0.0.0.0")),
            ("00000000000000000000000001000000", Some("::1")),
            ("00000000000000000000000000000000", Some("::")),
            ("0000000000000000FFFF00000100007F", Some("127.0.0.1")),
            ("B80D0120000000000000000001000000", Some("2001:db8::1")),
            ("0100007", None),
            ("0100007F0100007F", None),
            ("xxxxxxxx", None),
            ("", None),
        ];
        for (hex, address) in table {
            assert_eq!(address_of(hex), address.map(|address| address.parse().unwrap()), "{hex}");
        }
    }

    #[test]
    fn the_owner_and_root_may_listen() {
        for user in [OWNER, ROOT] {
            for (local, address) in [
                ("0100007F:20FC", "127.0.0.1:8444"),
                ("00000000:20FC", "127.0.0.1:8444"),
                ("00000000000000000000000000000000:20FC", "127.0.0.1:8444"),
                ("0000000000000000FFFF00000100007F:20FC", "127.0.0.1:8444"),
                ("00000000000000000000000001000000:20FC", "[::1]:8444"),
                ("00000000000000000000000000000000:20FC", "[::1]:8444"),
            ] {
                assert_eq!(judged(&[(local, LISTEN, user)], address), Ok(()), "{local} {address} {user}");
                let at = address.parse().unwrap();
                let stranger = Err(Doubt::Stranger { at, user: 1000 });
                assert_eq!(judged(&[(local, LISTEN, 1000)], address), stranger, "{local} {address}");
            }
        }
    }

    #[test]
    fn other_sockets_do_not_count() {
        let others = [
            ("0100007F:20FC", "01", OWNER),
            ("0100007F:20FD", LISTEN, OWNER),
            ("0200007F:20FC", LISTEN, OWNER),
            ("00000000000000000000000001000000:20FC", LISTEN, OWNER),
        ];
        assert_eq!(judged(&others, "127.0.0.1:8444"), Err(Doubt::Nobody));
        assert_eq!(judged(&[("00000000:20FC", LISTEN, OWNER)], "[::1]:8444"), Err(Doubt::Nobody));
        assert_eq!(judged(&[], "127.0.0.1:8444"), Err(Doubt::Nobody));
    }

    /// The kernel prefers who listens on the very address. Where it may choose among several, none may be a stranger.
    #[test]
    fn everybody_who_may_get_the_connection_counts() {
        let at = "127.0.0.1:8444";
        let stranger = Err(Doubt::Stranger { at: at.parse().unwrap(), user: 1000 });
        let exact = ("0100007F:20FC", LISTEN, OWNER);
        assert_eq!(judged(&[exact, ("00000000000000000000000000000000:20FC", LISTEN, 1000)], at), Ok(()));
        assert_eq!(judged(&[exact, ("0100007F:20FC", LISTEN, 1000)], at), stranger);
        let everywhere = ("00000000:20FC", LISTEN, OWNER);
        assert_eq!(judged(&[everywhere, ("00000000000000000000000000000000:20FC", LISTEN, 1000)], at), stranger);
    }

    /// `localhost` is two addresses, and a command may try either.
    #[test]
    fn every_address_of_a_name_counts() {
        let addresses = ["[::1]:8444".parse().unwrap(), "127.0.0.1:8444".parse().unwrap()];
        let own = line("0100007F:20FC", LISTEN, OWNER);
        assert_eq!(judge(&own, &addresses, OWNER), Ok(()));
        let other = line("00000000000000000000000001000000:20FC", LISTEN, 1000);
        let stranger = Err(Doubt::Stranger { at: addresses[0], user: 1000 });
        assert_eq!(judge(&format!("{own}{other}"), &addresses, OWNER), stranger);
    }
}
