//! The pingora side of the journey: thin hooks around what `serve` and `returned` do.
//!
//! A request that was not permitted has no [`Forward`], and without one [`Gate::upstream_peer`] refuses to run: a
//! forgotten check fails closed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::answer::{Answer, common_headers};
use super::client_body::{read_form, read_manifest, read_patch};
use super::door::Door;
use super::form::OAuthRequest;
use super::forward::{BodyRule, MANIFEST_LIMIT};
use super::journey::{Next, too_large};
use super::listener::left;
use super::locks::Turns;
use super::metadata::{Desk, Own};
use super::passage::{Passage, Shared};
use super::peer::Peers;
use super::record;
use super::reject::{Refusal, UpstreamFailure};
use super::relay::Links;
use super::trail::Trail;
use super::{client, exchange, sign_in, token_endpoint};
use crate::oci::Method;
use crate::policy::Registry;
use crate::upstream::{Credentials, NoCredential};

/// The `ProxyHttp` of every listener. Clones are of the same house.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(super) shared: Arc<Shared>,
    peers: Arc<Peers>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) turns: Arc<Turns>,
    pub(super) links: Arc<Links>,
}

impl Gate {
    /// A gate for all listeners, which presents these credentials to upstreams.
    pub fn new(shared: Shared, credentials: Arc<Credentials>) -> Self {
        let (peers, turns, links) = Default::default();
        Self { shared: Arc::new(shared), peers, credentials, turns, links }
    }

    /// The answer to what is ours to answer.
    async fn respond(&self, session: &mut ServerSession, passage: &mut Passage, next: Next) -> Result<Answer, Refusal> {
        match next {
            Next::Forward(..) => Err(Refusal::Internal("what goes upstream has no answer of ours")),
            Next::Own(own) => self.own(session, &own, &mut passage.trail).await,
            // No cache may give it to somebody else.
            Next::Redirect(location) => Ok(Answer::empty(http::StatusCode::TEMPORARY_REDIRECT)
                .with(http::header::LOCATION, location.expose())
                .with(http::header::CACHE_CONTROL, "no-store")),
            Next::SigningKeys => {
                Ok(Answer::json(http::StatusCode::OK, self.shared.authenticator.jwks(passage.began_at)))
            }
            Next::SignIn { registry } => {
                let policy = passage.policy.as_ref().ok_or(Refusal::NotReady)?;
                sign_in::answer(&registry, policy.identity_providers().iter().map(AsRef::as_ref))
            }
            Next::Token { registry, method, query, door } => {
                let form = read_form(session, method, self.shared.stall_timeout).await?;
                let request = oauth_request(session, passage, (&registry, &door), (method, &query, &form));
                token_endpoint::answer(&self.shared.authenticator, &request, &mut passage.trail).await
            }
            Next::Exchange { registry, query, door } => {
                let form = read_form(session, Method::Post, self.shared.stall_timeout).await?;
                let request = oauth_request(session, passage, (&registry, &door), (Method::Post, &query, &form));
                exchange::answer(&self.shared.authenticator, &request, &mut passage.trail).await
            }
        }
    }

    /// What seawall knows itself, or does.
    async fn own(&self, session: &mut ServerSession, own: &Own, trail: &mut Trail) -> Result<Answer, Refusal> {
        let time = self.shared.stall_timeout;
        if let Some(only) = own.only() {
            let manifest = read_manifest(session, time).await?;
            return only.answer(&manifest);
        }
        let body = if own.has_body() { read_patch(session, time).await? } else { BytesMut::new() };
        let desk = Desk { metadata: &self.shared.metadata, current: &self.shared.current };
        own.answer(desk, &body, &mut trail.changed).await
    }

    /// Where the request goes now, with what is shown there.
    pub(super) async fn peer(&self, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        let Some(forward) = &passage.forward else {
            return Error::e_explain(ErrorType::InternalError, "a request without a permit");
        };
        if let Some(hop) = &passage.hop {
            return self.peers.peer(hop.storage(), false, self.shared.clock.as_ref()).await;
        }
        // Before the body is asked for: a token may take its time.
        let presented = self.credentials.present(&forward.registry, forward.method, &forward.route).await;
        match presented {
            Ok(presented) => passage.presented = presented,
            Err(failure) => {
                passage.failure = Some(no_credential(failure));
                return Error::e_explain(ErrorType::HTTPStatus(502), "no credential for the upstream");
            }
        }
        passage.sent_upstream = Some(self.shared.clock.ticks());
        passage.learning.asked(self.shared.clock.now());
        self.peers.peer(&forward.registry.upstream, forward.is_upload(), self.shared.clock.as_ref()).await
    }
}

fn oauth_request<'a>(
    session: &'a ServerSession,
    passage: &Passage,
    (registry, door): (&'a Registry, &'a Door),
    (method, query, form): (Method, &'a str, &'a [u8]),
) -> OAuthRequest<'a> {
    let headers = &session.req_header().headers;
    let (now, ticks, source) = (passage.began_at, passage.began, passage.trail.source);
    OAuthRequest { registry, door, method, query, headers, form, tls: passage.tls, now, ticks, source }
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        Passage::begin(&self.shared)
    }

    /// No module may touch a registry's bytes: a compressed manifest has another digest.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<()> {
        match left() {
            Some(known) => *passage = *known,
            None => passage.begun(session.as_downstream()),
        }
        session.as_downstream_mut().set_read_timeout(Some(self.shared.stall_timeout));
        session.as_downstream_mut().set_write_timeout(Some(self.shared.stall_timeout));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        let client = session.as_downstream_mut();
        // A plain request was attended to before pingora got it.
        if passage.is_new() && self.attend(client, passage).await? {
            return Ok(true);
        }
        let Some(next) = passage.next.take() else { return Ok(false) };
        match Box::pin(self.respond(client, passage, next)).await {
            Ok(answer) => {
                self.observe_use(passage);
                self.write(client, passage, answer).await?;
            }
            Err(refusal) => self.refuse(client, passage, &refusal).await?,
        }
        Ok(true)
    }

    async fn upstream_peer(&self, _session: &mut Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        self.peer(passage).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        let Some(forward) = &passage.forward else {
            return Error::e_explain(ErrorType::InternalError, "a request without a permit");
        };
        if let Some(hop) = &passage.hop {
            *request = hop.request(forward.method, session.req_header())?;
            return Ok(());
        }
        let has_body = !session.as_downstream_mut().is_body_empty();
        *request = forward.request(session.req_header(), has_body)?;
        if let Some(authorization) = passage.presented.authorization() {
            request.insert_header(http::header::AUTHORIZATION, authorization.clone())?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Passage,
    ) -> Result<()> {
        let Some(rule) = passage.forward.as_ref().map(|forward| forward.body()) else { return Ok(()) };
        if rule == BodyRule::Empty {
            // Not `None` before the end: that would tell pingora that the client is done.
            *body = (!end).then(Bytes::new);
            return Ok(());
        }
        passage.body_bytes += body.as_ref().map_or(0, |piece| piece.len() as u64);
        if passage.body_bytes > 0 {
            self.transfer_opened(passage);
        }
        if rule == BodyRule::Manifest && passage.body_bytes > MANIFEST_LIMIT {
            passage.failure = Some(too_large());
            return Error::e_explain(ErrorType::HTTPStatus(413), "the manifest is over 4 MiB");
        }
        if rule == BodyRule::Manifest {
            passage.learning.take(body.as_ref(), &session.req_header().headers);
        }
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            // An HTTP/2 client may end its body with an empty frame; written to a chunked HTTP/1 upstream it would be a
            // second last chunk, and so the start of the next request (pingora#935).
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        self.returned(session.as_downstream_mut(), response, passage).await?;
        if response.status.is_informational() {
            return Ok(());
        }
        client::insert(response, common_headers(&passage.id, passage.tls))
    }

    /// To HTTP/1.0 the end of the connection is the end of a body: it knows no chunks, which pingora has put in by now.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _passage: &mut Passage,
    ) -> Result<()> {
        if session.req_header().version < http::Version::HTTP_11 {
            response.remove_header(&http::header::TRANSFER_ENCODING);
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        passage: &mut Passage,
    ) -> Result<Option<Duration>> {
        self.pass_piece(body, end, passage);
        Ok(None)
    }

    /// Only what changes nothing is tried again, and only when a kept connection had been closed under us; and what the
    /// upstream did not let in, so that it changed nothing.
    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Passage,
        reused: bool,
    ) -> Box<Error> {
        if passage.is_due_again() {
            error.set_retry(true);
        } else if session.req_header().method.is_safe() {
            error.retry.decide_reuse(reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, passage: &mut Passage) -> FailToProxy {
        self.fail(session.as_downstream_mut(), error, passage).await;
        FailToProxy { error_code: passage.status, can_reuse_downstream: false }
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Passage, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// pingora's own lines name hosts and targets; the audit record says what is to be said.
    fn suppress_error_log(&self, _session: &Session, _passage: &Passage, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, passage: &mut Passage) {
        record::finish(session.as_downstream(), passage);
    }
}

/// Why nothing can be presented to the upstream.
const fn no_credential(failure: NoCredential) -> Refusal {
    match failure {
        NoCredential::Unauthorized => Refusal::Upstream(UpstreamFailure::Unauthorized),
        NoCredential::NoToken => Refusal::Upstream(UpstreamFailure::NoToken),
        NoCredential::Busy => Refusal::Busy,
    }
}
