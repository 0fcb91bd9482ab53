//! Bytes on a socket, and whatever comes back: for requests that no client would send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back on a connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) text: String,
    /// Whether the server closed it. Otherwise it was silent for a while.
    pub(crate) closed: bool,
}

impl Exchange {
    /// The statuses of all answers, interim ones included.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        // No body of ours holds a status line.
        let heads = self.text.match_indices("HTTP/1.");
        heads.filter_map(|(at, _)| self.text[at..].split(' ').nth(1)?.parse().ok()).collect()
    }
}

/// How long a server that is going to say more may be silent. On the loopback, and with nothing to wait for.
const SILENCE: Duration = Duration::from_millis(400);

/// Sends these bytes and reads until the server closes, or has said something and then nothing for a while.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Exchange {
    let mut stream = TcpStream::connect(address).unwrap();
    // The server may close before it has read everything: that is an answer as well.
    let _ = stream.write_all(bytes);
    read(&mut stream)
}

/// Reads as [`exchange`] does.
pub(crate) fn read(stream: &mut TcpStream) -> Exchange {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(read) => {
                all.extend_from_slice(&buffer[..read]);
                stream.set_read_timeout(Some(SILENCE)).unwrap();
            }
            Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    Exchange { text: String::from_utf8_lossy(&all).into_owned(), closed }
}
