//! Steps 2 to 9 of a request, whoever reads it, as far as pingora is not needed: the decision, a refusal, what is kept, what is relayed.
//!
//! A plain request is served by this alone, on the task of its connection or stream. Of any other pingora calls [`Gate::attend`] from
//! its hook, and goes on with what that leaves.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::answer::{Answer, common_headers};
use super::client::{Client, owned};
use super::forward::is_framed;
use super::gate::Gate;
use super::journey::{self, House, Next, Request, examine};
use super::listener::{AnswersPlain, Connection, Left, PlainRequest};
use super::mutual_tls::MutualTls;
use super::passage::{Passage, Shared};
use super::record;
use super::reject::{Refusal, UpstreamFailure};
use super::source::Header;
use crate::oci::ErrorCode;
use crate::policy::network::NetworkClass;

/// By which an operator finds out why: `seawall explain --denial ID`.
const DENIAL: HeaderName = HeaderName::from_static("x-seawall-denial");

impl AnswersPlain for Gate {
    async fn answer(&self, request: &mut PlainRequest<'_>) -> Option<Left> {
        request.set_write_timeout(self.shared.stall_timeout);
        self.serve(request).await
    }

    async fn answer_stream(&self, stream: &mut ServerSession) -> Option<Left> {
        stream.set_write_timeout(Some(self.shared.stall_timeout));
        self.serve(stream).await
    }
}

impl Gate {
    /// Serves the request to its end, or leaves it as it is by then.
    async fn serve<C: Client>(&self, client: &mut C) -> Option<Left> {
        let mut passage = Box::new(Passage::begin(&self.shared));
        passage.begun(client);
        match self.attend(client, &mut passage).await {
            Ok(true) => {}
            Ok(false) => return Some(Left::with(passage)),
            Err(error) => {
                self.fail(client, &error, &mut passage).await;
                client.close_after();
            }
        }
        record::finish(client, &mut passage);
        None
    }

    /// Answers the request. `false`: it is examined, and what is [`Passage::next`], or to be forwarded, is left to pingora.
    ///
    /// # Errors
    /// When the client has left, or its upstream has not done what it should: [`Gate::fail`] tells them.
    pub(super) async fn attend<C: Client>(&self, client: &mut C, passage: &mut Passage) -> Result<bool> {
        match self.examine(client, passage).await {
            Ok(Next::Forward(forward, leave)) => {
                (passage.forward, passage.leave) = (Some(forward), leave);
                self.observe_use(passage);
                Ok(self.answer_from_kept(client, passage).await? || self.relay(client, passage).await?)
            }
            Ok(next) => {
                passage.next = Some(next);
                Ok(false)
            }
            Err(refusal) => {
                self.refuse(client, passage, &refusal).await?;
                Ok(true)
            }
        }
    }

    /// Steps 2 to 8.
    ///
    /// What few requests need is boxed, here and in what is called from here: as many bytes as the largest branch takes are moved for
    /// each request.
    async fn examine<C: Client>(&self, client: &mut C, passage: &mut Passage) -> Result<Next, Refusal> {
        let policy = passage.policy.clone().ok_or(Refusal::NotReady)?;
        if self.shared.policy_is_outdated(passage.began) {
            return Err(Refusal::Outdated);
        }
        let connection = client.connection().cloned().ok_or(Refusal::NoSource)?;
        let request = Request {
            connection: journey::Connection {
                mode: &connection.listener().source,
                address: caller_address(&connection),
                listener: &connection.listener().name,
                network: connection.network(),
                tls: passage.tls,
                mutual_tls: MutualTls::of(&connection, passage.began_at),
            },
            head: client.head(),
            target: client.target(),
            now: passage.began_at,
            ticks: passage.began,
            region: self.shared.region.as_deref(),
        };
        let Shared { authenticator, metadata, .. } = self.shared.as_ref();
        let house = House { authenticator, metadata, turns: &self.turns };
        examine(house, &policy, &request, &mut passage.trail).await
    }

    /// Writes an answer of ours.
    pub(super) async fn write<C: Client>(&self, client: &mut C, passage: &mut Passage, answer: Answer) -> Result<()> {
        let Answer { status, headers, body } = answer;
        passage.status = status.as_u16();
        let denial = passage.denial_id().and_then(|id| HeaderValue::from_maybe_shared(id).ok());
        let denial = denial.map(|id| (DENIAL, id));
        let length = (http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let lines = common_headers(&passage.id, passage.tls).chain(headers).chain(denial).chain([length]);
        let head_only = client.is_head() || body.is_empty();
        let head = client.compose(status, lines.map(owned))?;
        client.write_head(head, head_only).await?;
        if head_only { Ok(()) } else { client.write_piece(body, true).await }
    }

    /// Tells the client that the request goes no further.
    pub(super) async fn refuse<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        refusal: &Refusal,
    ) -> Result<()> {
        self.observe_endpoint(passage);
        passage.trail.refused(refusal);
        if !stays_open(client, refusal).await {
            client.close_after();
            if client.has_body() {
                client.connection().into_iter().for_each(|connection| connection.linger());
            }
        }
        let answer = refusal.answer_with(passage.denial_id().as_deref());
        self.write(client, passage, answer).await
    }

    /// Tells the client, if it is still there, why its request has failed. Its connection is of no use after it.
    pub(super) async fn fail<C: Client>(&self, client: &mut C, error: &Error, passage: &mut Passage) {
        tracing::debug!(request_id = %passage.id, error = %error, "a request failed");
        if passage.answered {
            return;
        }
        if let Some(forward) = &passage.forward {
            passage.keeping.over(forward, None);
        }
        let reached = passage.sent_upstream.is_some();
        let refusal = passage.failure.take().unwrap_or_else(|| failure(error, reached, client.is_answered()));
        passage.trail.refused(&refusal);
        let gone = matches!(refusal, Refusal::ClientLeft) && is_gone(error);
        if !gone && !client.is_answered() {
            let answer = refusal.answer_with(passage.denial_id().as_deref());
            client.close_after();
            if self.write(client, passage, answer).await.is_err() {
                tracing::debug!(request_id = %passage.id, "the client left before its error was written");
            }
        }
    }

    /// Lets be known by which password a request was permitted, or a token was issued; presented or behind its token.
    pub(super) fn observe_use(&self, passage: &Passage) {
        let credential = passage.trail.caller.as_ref().and_then(|caller| caller.credential);
        if let (Some(credential), Some(source)) = (credential, passage.trail.source) {
            self.shared.observed.password_used(credential, passage.began_at, source.ip());
        }
    }

    /// Lets be known that a registry was asked for through a private endpoint that no connection names.
    fn observe_endpoint(&self, passage: &Passage) {
        if let (Some(NetworkClass::UnknownEndpoint(mark)), Some(registry)) =
            (&passage.trail.network, &passage.trail.registry)
        {
            self.shared.observed.endpoint_unknown(&registry.name, mark);
        }
    }
}

/// Whether the connection is good for another request after this refusal: whether the body is over, and where it ends is clear.
async fn stays_open<C: Client>(client: &mut C, refusal: &Refusal) -> bool {
    let is_over = !client.has_body();
    match refusal {
        Refusal::Network { .. } => is_over && is_framed(&client.head().headers),
        _ => refusal.drains_body() && (is_over || client.drain().await),
    }
}

/// Whose address counts on this connection: the socket's, or the one that a trusted load balancer announced.
fn caller_address(connection: &Connection) -> IpAddr {
    match connection.announced() {
        Some(Header::Proxied { source, .. }) => source.ip(),
        Some(Header::Local) | None => connection.peer().ip(),
    }
}

/// What an error means for the client. While the upstream was not reached, the error is on the client's side; where an answer has
/// begun, its request was not what is wrong.
fn failure(error: &Error, reached: bool, answered: bool) -> Refusal {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectRefused, ConnectTimedout, InvalidCert, ReadTimedout, TLSHandshakeFailure,
        TLSHandshakeTimedout, WriteTimedout,
    };
    if *error.etype() == ErrorType::InternalError {
        return Refusal::Internal("a hook could not do its work");
    }
    if *error.etype() == ErrorType::FileReadError {
        return Refusal::Internal("what is kept on the disk could not be read");
    }
    if *error.esource() == ErrorSource::Downstream || !reached {
        return if answered || is_gone(error) || matches!(error.etype(), ReadTimedout | WriteTimedout) {
            Refusal::ClientLeft
        } else {
            Refusal::BadRequest { code: ErrorCode::Unsupported, status: 400, reason: "the request is malformed" }
        };
    }
    Refusal::Upstream(match error.etype() {
        ConnectRefused | ConnectNoRoute | ConnectError | InvalidCert | TLSHandshakeFailure => {
            UpstreamFailure::Unreachable
        }
        ConnectTimedout | TLSHandshakeTimedout | ReadTimedout | WriteTimedout => UpstreamFailure::TimedOut,
        _ => UpstreamFailure::Broken,
    })
}

/// Whether the client's connection is of no use any more.
fn is_gone(error: &Error) -> bool {
    use ErrorType::{ConnectionClosed, H2Error, ReadError, WriteError};
    // HTTP/2's own is of a stream that its client has reset.
    matches!(error.etype(), ReadError | WriteError | ConnectionClosed | H2Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what this takes, every byte is allocated and moved for each request.
    #[test]
    fn what_every_request_waits_in_is_small() {
        fn of<'a, F>(_: fn(&'a Gate, &'a mut PlainRequest<'a>, &'a mut Passage) -> F) -> usize {
            size_of::<F>()
        }
        let size = of(Gate::attend::<PlainRequest<'_>>);
        assert!(size <= 4096, "{size}");
    }
}
