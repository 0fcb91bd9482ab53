//! What is known about a connection, and how far the request head on it has come.
//!
//! pingora keeps a connection's `ProxyDigest` with every request, over HTTP/1 keep-alive and for every HTTP/2 stream; its
//! `user_data` is the one public place where a stream wrapper can leave something for the request filters. That is
//! where the [`Connection`] lives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pingora::protocols::Digest;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;

use super::in_flight::{Counted, InFlight};
use super::proxy_protocol::digest_with;
use super::tls::{ClientAuthorities, ClientCertificate, Shown};
use super::{Listener, Refusal};
use crate::clock::Timestamp;
use crate::policy::network::Network;
use crate::proxy::source::Header;

/// One connection that its listener let in.
#[derive(Debug)]
pub struct Connection {
    pub(super) listener: Arc<Listener>,
    pub(super) peer: SocketAddr,
    pub(super) announced: Option<Header>,
    pub(super) network: Network,
    pub(super) server_name: Option<Box<str>>,
    pub(super) shown: Option<Arc<Shown>>,
    pub(super) http2: AtomicBool,
    pub(super) in_flight: InFlight,
    pub(super) head: Head,
    /// The HTTP/1 request being served; HTTP/2 requests are counted by their own tasks.
    pub(super) serving: Mutex<Option<Counted>>,
    pub(super) lingers: AtomicBool,
}

impl Connection {
    /// The connection a request came on. `None` means that the request did not come through [`super::services`], and must be
    /// refused: nothing is known about its peer.
    pub fn of(session: &ServerSession) -> Option<&Arc<Self>> {
        session.digest().and_then(Self::of_digest)
    }

    fn of_digest(digest: &Digest) -> Option<&Arc<Self>> {
        digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// The listener it came in on.
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// The peer address: the other end of the socket, whatever a PROXY header says.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the PROXY header said; always there on a listener with the PROXY protocol, never on another.
    pub fn announced(&self) -> Option<&Header> {
        self.announced.as_ref()
    }

    /// The network that it came over, as the listener or its load balancer says.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The name the client asked for in the TLS handshake (SNI), in lower case; `None` on a plain connection or when the client
    /// sent none.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whose certificates its listener takes; `None`: it asks for none.
    pub fn client_authorities(&self) -> Option<&Arc<ClientAuthorities>> {
        self.listener.tls.as_ref()?.clients()
    }

    /// The certificate that the client showed, if it is good now.
    pub fn client_certificate(&self, now: Timestamp) -> Option<&ClientCertificate> {
        self.shown.as_ref()?.in_force(now)
    }

    /// The certificate that the client showed, and whose key it has, good or not.
    pub fn shown_certificate(&self) -> Option<&ClientCertificate> {
        self.shown.as_ref().map(|shown| shown.certificate())
    }

    /// Whether its bytes go over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.listener.tls.is_some()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Acquire)
    }

    /// It is going to be closed while the client still sends: for a moment what comes is taken and thrown away, so that the client
    /// can read its answer (RFC 9112 9.6).
    pub fn linger(&self) {
        self.lingers.store(true, Ordering::Release);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Acquire)
    }

    /// Whether the process is ending and cuts what still runs.
    pub fn is_given_up(&self) -> bool {
        self.in_flight.is_given_up()
    }

    /// To be called once per request as soon as its head has been read: ends the deadline for
    /// the head and lets a drain wait for the request. Calling it again does nothing.
    ///
    /// Without this call the connection is cut when the deadline passes, response or not.
    pub fn head_received(&self) {
        let before = self.head.replace(HeadState::Received);
        if before != HeadState::Received && !self.is_http2() {
            *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.in_flight.request());
        }
    }

    /// The HTTP/1 request is over, including what was left of its body: another head may come, at leisure.
    pub(super) fn awaits_next_head(&self) {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.head.advance(HeadState::Received, HeadState::Awaited);
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        self.listener.refuse(refusal);
    }

    /// Wraps the connection into the digest that pingora hands to every request on it.
    pub(super) fn into_digest(self: Arc<Self>) -> pingora::Result<ProxyDigest> {
        digest_with(self)
    }
}

/// How far the head of the current request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum HeadState {
    /// The first head of the connection; its time runs from the start of the connection.
    First,
    /// A request was served and no byte of the next head has come: pingora's keep-alive timeout rules.
    Awaited,
    /// The next head has begun; its time runs from its first byte.
    Begun,
    /// The head is complete; whatever is read now is a body.
    Received,
}

/// A [`HeadState`] that the stream and the gate share.
#[derive(Debug)]
pub(super) struct Head(AtomicU8);

impl Head {
    pub(super) fn first() -> Self {
        Self(AtomicU8::new(HeadState::First as u8))
    }

    pub(super) fn state(&self) -> HeadState {
        Self::decode(self.0.load(Ordering::Acquire))
    }

    /// Moves on from `from`; does nothing in any other state.
    pub(super) fn advance(&self, from: HeadState, to: HeadState) {
        let _ = self.0.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire);
    }

    fn replace(&self, to: HeadState) -> HeadState {
        Self::decode(self.0.swap(to as u8, Ordering::AcqRel))
    }

    fn decode(state: u8) -> HeadState {
        const AWAITED: u8 = HeadState::Awaited as u8;
        const BEGUN: u8 = HeadState::Begun as u8;
        const RECEIVED: u8 = HeadState::Received as u8;
        match state {
            AWAITED => HeadState::Awaited,
            BEGUN => HeadState::Begun,
            RECEIVED => HeadState::Received,
            _ => HeadState::First,
        }
    }
}
