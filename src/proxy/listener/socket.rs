//! One port for several workers, each with a socket of its own among which the system spreads connections.
//!
//! With one socket for all of them, a worker that is awake takes a whole burst of connections before another has woken up.

use std::io;
use std::net::{SocketAddr, TcpListener};

/// Takes the port. Fails when anybody listens there, another seawall too.
pub(super) fn first(address: SocketAddr) -> io::Result<TcpListener> {
    sys::first(address)
}

/// One more socket on the port of one that [`first`] has made.
pub(super) fn another(first: &TcpListener) -> io::Result<TcpListener> {
    sys::another(first)
}

#[cfg(target_os = "linux")]
mod sys {
    use std::io;
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::OwnedFd;

    use rustix::net::sockopt::{set_socket_reuseaddr, set_socket_reuseport};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

    /// Connections that may wait for a worker, as pingora has it.
    const BACKLOG: i32 = 65_535;

    pub(super) fn first(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = stream_socket(address)?;
        bind(&socket, &address)?;
        let socket = listening(socket)?;
        // Only now is it said that others may have the port, too: so whoever has it already is in the way, and of two that begin at
        // the same time one cannot listen.
        set_socket_reuseport(&socket, true)?;
        Ok(socket)
    }

    pub(super) fn another(first: &TcpListener) -> io::Result<TcpListener> {
        let address = first.local_addr()?;
        let socket = stream_socket(address)?;
        set_socket_reuseport(&socket, true)?;
        bind(&socket, &address)?;
        listening(socket)
    }

    fn stream_socket(address: SocketAddr) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // As the standard library does: connections of a process that has ended keep nobody from the port.
        set_socket_reuseaddr(&socket, true)?;
        Ok(socket)
    }

    fn listening(socket: OwnedFd) -> io::Result<TcpListener> {
        listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    }
}

/// Elsewhere `SO_REUSEPORT` spreads nothing.
#[cfg(not(target_os = "linux"))]
mod sys {
    use std::io;
    use std::net::{SocketAddr, TcpListener};

    pub(super) fn first(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    pub(super) fn another(first: &TcpListener) -> io::Result<TcpListener> {
        first.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_port_is_of_one_seawall_only() {
        let taken = first(([127, 0, 0, 1], 0).into()).unwrap();
        let address = taken.local_addr().unwrap();
        let second = another(&taken).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        assert_eq!(first(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(taken);
        assert_eq!(first(address).unwrap_err().kind(), io::ErrorKind::AddrInUse, "as long as a worker has it");
        drop(second);
        first(address).unwrap();
        let strangers = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let theirs = strangers.local_addr().unwrap();
        assert_eq!(first(theirs).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    /// Fewer than nine of 64 for one of two: with a chance of one in a billion.
    #[cfg(target_os = "linux")]
    #[test]
    fn connections_that_come_at_once_are_spread() {
        let taken = first(([127, 0, 0, 1], 0).into()).unwrap();
        let address = taken.local_addr().unwrap();
        let sockets = [another(&taken).unwrap(), taken];
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let taken = sockets.map(|socket| std::iter::from_fn(|| socket.accept().ok()).count());
        assert_eq!(taken.iter().sum::<usize>(), clients.len());
        assert!(taken.iter().all(|taken| *taken > 8), "{taken:?}");
    }
}
