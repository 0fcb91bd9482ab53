//! The pingora side of the journey: thin hooks around [`examine`](super::journey::examine).
//!
//! A request that was not permitted has no [`Forward`], and without one [`Gate::upstream_peer`] refuses to run: a
//! forgotten check fails closed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::answer::{Answer, common_headers};
use super::client_body::{drained, read_form, read_manifest, read_patch};
use super::door::Door;
use super::form::OAuthRequest;
use super::forward::{BodyRule, Forward, MANIFEST_LIMIT, is_framed};
use super::journey::{self, House, Next, Request, examine, too_large};
use super::kept::NOT_FOR_OTHERS;
use super::learn;
use super::listener::Connection;
use super::locks::{self, Turns};
use super::metadata::{Desk, Own};
use super::mutual_tls::MutualTls;
use super::passage::{Passage, Renewal, Shared};
use super::peer::Peers;
use super::record;
use super::redirect::{self, Step};
use super::reject::{Refusal, UpstreamFailure};
use super::relay::Links;
use super::rewrite::{self, Body};
use super::source::Header;
use super::trail::Trail;
use super::{exchange, sign_in, token_endpoint};
use crate::oci::{ErrorCode, Method};
use crate::policy::Registry;
use crate::policy::network::NetworkClass;
use crate::policy::redirects::RedirectRefusal;
use crate::upstream::{Credentials, NoCredential, Presented};

/// By which an operator finds out why: `seawall explain --denial ID`.
const DENIAL: &str = "x-seawall-denial";

/// The `ProxyHttp` of every listener. Clones are of the same house.
#[derive(Debug, Clone)]
pub struct Gate {
    pub(super) shared: Arc<Shared>,
    peers: Arc<Peers>,
    credentials: Arc<Credentials>,
    turns: Arc<Turns>,
    pub(super) links: Arc<Links>,
}

impl Gate {
    /// A gate for all listeners, which presents these credentials to upstreams.
    pub fn new(shared: Shared, credentials: Arc<Credentials>) -> Self {
        let (peers, turns, links) = Default::default();
        Self { shared: Arc::new(shared), peers, credentials, turns, links }
    }

    /// Steps 2 to 8, and the answer when it is ours to give. `None`: go on to the upstream.
    ///
    /// What few requests need is boxed, here and in what is called from here: pingora boxes the whole for each request, and moves as
    /// many bytes as its largest branch takes.
    async fn respond(&self, session: &mut Session, passage: &mut Passage) -> Result<Option<Answer>, Refusal> {
        let policy = passage.policy.clone().ok_or(Refusal::NotReady)?;
        if self.shared.policy_is_outdated(passage.began) {
            return Err(Refusal::Outdated);
        }
        let connection = Connection::of(session.as_downstream()).cloned().ok_or(Refusal::NoSource)?;
        let header = session.req_header();
        let request = Request {
            connection: journey::Connection {
                mode: &connection.listener().source,
                address: caller_address(&connection),
                listener: &connection.listener().name,
                network: connection.network(),
                tls: passage.tls,
                mutual_tls: MutualTls::of(&connection, passage.began_at),
            },
            head: header,
            target: header.raw_path(),
            now: passage.began_at,
            ticks: passage.began,
            region: self.shared.region.as_deref(),
        };
        let Shared { authenticator, metadata, .. } = self.shared.as_ref();
        let house = House { authenticator, metadata, turns: &self.turns };
        match examine(house, &policy, &request, &mut passage.trail).await? {
            Next::Forward(forward, leave) => {
                (passage.forward, passage.leave) = (Some(forward), leave);
                Ok(None)
            }
            Next::Own(own) => Box::pin(self.own(session, &own, &mut passage.trail)).await.map(Some),
            // No cache may give it to somebody else.
            Next::Redirect(location) => Ok(Some(
                Answer::empty(http::StatusCode::TEMPORARY_REDIRECT)
                    .with(http::header::LOCATION, location.expose())
                    .with(http::header::CACHE_CONTROL, "no-store"),
            )),
            Next::SigningKeys => {
                Ok(Some(Answer::json(http::StatusCode::OK, self.shared.authenticator.jwks(passage.began_at))))
            }
            Next::SignIn { registry } => {
                let providers = policy.identity_providers().iter().map(AsRef::as_ref);
                sign_in::answer(&registry, providers).map(Some)
            }
            Next::Token { registry, method, query, door } => {
                let form = Box::pin(read_form(session, method, self.shared.stall_timeout)).await?;
                let request = oauth_request(session, passage, (&registry, &door), (method, &query, &form));
                let answer = token_endpoint::answer(&self.shared.authenticator, &request, &mut passage.trail);
                Box::pin(answer).await.map(Some)
            }
            Next::Exchange { registry, query, door } => {
                let form = Box::pin(read_form(session, Method::Post, self.shared.stall_timeout)).await?;
                let request = oauth_request(session, passage, (&registry, &door), (Method::Post, &query, &form));
                let answer = exchange::answer(&self.shared.authenticator, &request, &mut passage.trail);
                Box::pin(answer).await.map(Some)
            }
        }
    }

    /// What seawall knows itself, or does.
    async fn own(&self, session: &mut Session, own: &Own, trail: &mut Trail) -> Result<Answer, Refusal> {
        let time = self.shared.stall_timeout;
        if let Some(only) = own.only() {
            let manifest = read_manifest(session, time).await?;
            return only.answer(&manifest);
        }
        let body = if own.has_body() { read_patch(session, time).await? } else { BytesMut::new() };
        let desk = Desk { metadata: &self.shared.metadata, current: &self.shared.current };
        own.answer(desk, &body, &mut trail.changed).await
    }

    /// Writes an answer of ours.
    async fn write(&self, session: &mut Session, passage: &mut Passage, answer: &Answer) -> Result<()> {
        let mut header = ResponseHeader::build_no_case(answer.status, Some(12))?;
        let common = common_headers(&passage.id, passage.tls);
        for (name, value) in common.chain(answer.headers.iter().cloned()) {
            header.insert_header(name, value)?;
        }
        if let Some(id) = passage.denial_id() {
            header.insert_header(DENIAL, id)?;
        }
        header.insert_header(http::header::CONTENT_LENGTH, http::HeaderValue::from(answer.body.len()))?;
        passage.status = answer.status.as_u16();
        let head_only = session.req_header().method == http::Method::HEAD || answer.body.is_empty();
        session.write_response_header(Box::new(header), head_only).await?;
        if !head_only {
            session.write_response_body(Some(answer.body.clone()), true).await?;
        }
        Ok(())
    }

    /// Lets be known by which password a request was permitted, or a token was issued; presented or behind its token.
    fn observe_use(&self, passage: &Passage) {
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

    /// The upstream answered 401: whether the request goes up again with another token. If not, the log says what is wrong.
    async fn renews(
        &self,
        forward: &Forward,
        presented: &Presented,
        renewal: Renewal,
        response: &ResponseHeader,
        bodyless: bool,
    ) -> bool {
        let challenges = response.headers.get_all(http::header::WWW_AUTHENTICATE).iter().cloned().collect();
        let again = renewal != Renewal::Possible;
        self.credentials.refused(&forward.registry, presented, challenges, again).await;
        let renews = presented.is_renewable() && renewal == Renewal::Possible && bodyless;
        if !renews {
            self.credentials.tell_unauthorized(&forward.registry);
        }
        renews
    }

    /// The upstream has redirected. What is returned ends this try: the request goes on to the storage, the client was sent
    /// there, or neither.
    async fn redirected(
        &self,
        session: &mut Session,
        passage: &mut Passage,
        step: Result<Step, RedirectRefusal>,
        bodyless: bool,
    ) -> Result<()> {
        let step = step.and_then(|step| if bodyless { Ok(step) } else { Err(RedirectRefusal::HasBody) });
        match step {
            Ok(Step::Follow(hop)) => {
                passage.hop = Some(hop);
                Error::e_explain(ErrorType::HTTPStatus(307), "the upstream redirects to its storage")
            }
            Ok(Step::Pass(answer)) => {
                session.set_keepalive(None);
                self.write(session, passage, &answer).await?;
                passage.answered = true;
                Error::e_explain(ErrorType::HTTPStatus(307), "the client goes to the storage")
            }
            Err(refusal) => {
                passage.failure = Some(Refusal::Redirect(refusal));
                Error::e_explain(ErrorType::HTTPStatus(502), "the redirect may not be followed")
            }
        }
    }

    fn transfer_opened(&self, passage: &mut Passage) {
        passage.transfer.get_or_insert_with(|| self.shared.metrics.transfer_opened());
    }

    async fn refuse(&self, session: &mut Session, passage: &mut Passage, refusal: &Refusal) -> Result<()> {
        passage.trail.refused(refusal);
        if !stays_open(session, refusal).await {
            session.set_keepalive(None);
        }
        let answer = refusal.answer_with(passage.denial_id().as_deref());
        self.write(session, passage, &answer).await
    }
}

/// Whether the connection is good for another request after this refusal: whether the body is over, and where it ends is clear.
async fn stays_open(session: &mut Session, refusal: &Refusal) -> bool {
    let is_over = session.as_downstream_mut().is_body_empty();
    match refusal {
        Refusal::Network { .. } => is_over && is_framed(&session.req_header().headers),
        _ => refusal.drains_body() && (is_over || Box::pin(drained(session)).await),
    }
}

fn oauth_request<'a>(
    session: &'a Session,
    passage: &Passage,
    (registry, door): (&'a Registry, &'a Door),
    (method, query, form): (Method, &'a str, &'a [u8]),
) -> OAuthRequest<'a> {
    let headers = &session.req_header().headers;
    let (now, ticks, source) = (passage.began_at, passage.began, passage.trail.source);
    OAuthRequest { registry, door, method, query, headers, form, tls: passage.tls, now, ticks, source }
}

/// Whose address counts on this connection: the socket's, or the one that a trusted load balancer announced.
fn caller_address(connection: &Connection) -> IpAddr {
    match connection.announced() {
        Some(Header::Proxied { source, .. }) => source.ip(),
        Some(Header::Local) | None => connection.peer().ip(),
    }
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
        if let Some(connection) = Connection::of(session.as_downstream()) {
            connection.head_received();
        }
        passage.record.begun(session);
        passage.tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        session.as_downstream_mut().set_read_timeout(Some(self.shared.stall_timeout));
        session.as_downstream_mut().set_write_timeout(Some(self.shared.stall_timeout));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        match self.respond(session, passage).await {
            Ok(answer) => {
                self.observe_use(passage);
                let Some(answer) = answer else {
                    return Ok(self.answer_from_kept(session, passage).await? || self.relay(session, passage).await?);
                };
                self.write(session, passage, &answer).await?;
            }
            Err(refusal) => {
                self.observe_endpoint(passage);
                self.refuse(session, passage, &refusal).await?;
            }
        }
        Ok(true)
    }

    async fn upstream_peer(&self, _session: &mut Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
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
        let Some(forward) = &passage.forward else {
            return Error::e_explain(ErrorType::InternalError, "an answer without a permit");
        };
        passage.keeping.over(forward, Some(response.status));
        let now = self.shared.clock.ticks();
        passage.upstream_took = passage.sent_upstream.map(|sent| now.saturating_sub(sent));
        let bodyless = session.as_downstream_mut().is_body_empty();
        if let Some(step) = redirect::step(forward, passage.hop.as_ref(), response, &passage.trail) {
            return Box::pin(self.redirected(session, passage, step, bodyless)).await;
        }
        if passage.hop.is_some() && !redirect::is_about_the_blob(response.status) {
            passage.failure = Some(Refusal::Upstream(UpstreamFailure::Storage));
            return Error::e_explain(ErrorType::HTTPStatus(502), "the storage does not serve the blob");
        }
        if response.status == http::StatusCode::UNAUTHORIZED
            && Box::pin(self.renews(forward, &passage.presented, passage.renewal, response, bodyless)).await
        {
            passage.renewal = Renewal::Due;
            return Error::e_explain(ErrorType::HTTPStatus(401), "the upstream wants another token");
        }
        if let Some(answer) = rewrite::at_once(forward, response) {
            session.set_keepalive(None);
            self.write(session, passage, &answer).await?;
            passage.answered = true;
            return Error::e_explain(
                ErrorType::HTTPStatus(answer.status.as_u16()),
                "answered without the upstream's body",
            );
        }
        let named = learn::digest(response);
        let named = named.as_ref();
        if let Some(refusal) = locks::bars_answer(forward, &passage.leave, (response, named), passage.began_at) {
            passage.failure = Some(refusal);
            return Error::e_explain(ErrorType::HTTPStatus(405), "what the tag is of may not be read");
        }
        match rewrite::answer(forward, self.shared.authenticator.hash_key(), (response, named))? {
            Ok(body) => {
                passage.body = body;
                if passage.hop.is_some() {
                    redirect::name_blob(forward, response)?;
                }
            }
            Err(failure) => {
                passage.failure = Some(Refusal::Upstream(failure));
                return Error::e_explain(ErrorType::HTTPStatus(502), "the answer may not be passed on");
            }
        }
        if response.status.is_informational() {
            return Ok(());
        }
        passage.keeping.answered(forward, &session.req_header().headers, (response, named));
        passage.learning.answered(&self.shared.metadata, forward, (response, named)).await;
        passage.status = response.status.as_u16();
        if !session.req_header().headers.contains_key(http::header::AUTHORIZATION) {
            response.insert_header(http::header::CACHE_CONTROL, NOT_FOR_OTHERS)?;
        }
        for (name, value) in common_headers(&passage.id, passage.tls) {
            response.insert_header(name, value)?;
        }
        Ok(())
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
        if body.as_ref().is_some_and(|piece| !piece.is_empty()) {
            self.transfer_opened(passage);
        }
        if let (Body::Replace { status, read }, Some(forward)) = (&mut passage.body, &passage.forward) {
            Body::take(read, body.as_deref().unwrap_or_default());
            *body = end.then(|| Bytes::from(Body::replacement(&forward.route, *status, read)));
        } else if let Some(piece) = body {
            passage.keeping.take(piece);
        }
        passage.record.passed_on(body.as_ref().map_or(0, Bytes::len));
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
        if passage.answered {
            return FailToProxy { error_code: passage.status, can_reuse_downstream: false };
        }
        if let Some(forward) = &passage.forward {
            passage.keeping.over(forward, None);
        }
        let reached = passage.sent_upstream.is_some();
        let refusal = passage.failure.take().unwrap_or_else(|| failure(error, reached));
        passage.trail.refused(&refusal);
        let gone = matches!(refusal, Refusal::ClientLeft) && is_gone(error);
        if !gone && session.response_written().is_none() {
            let answer = refusal.answer_with(passage.denial_id().as_deref());
            session.set_keepalive(None);
            if self.write(session, passage, &answer).await.is_err() {
                tracing::debug!(request_id = %passage.id, "the client left before its error was written");
            }
        }
        FailToProxy { error_code: passage.status, can_reuse_downstream: false }
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Passage, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }

    /// pingora's own lines name hosts and targets; the audit record says what is to be said.
    fn suppress_error_log(&self, _session: &Session, passage: &Passage, error: &Error) -> bool {
        tracing::debug!(request_id = %passage.id, error = %error, "a request failed");
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, passage: &mut Passage) {
        record::finish(session, passage);
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

/// What an error means for the client. While the upstream was not reached, the error is on the client's side.
fn failure(error: &Error, reached: bool) -> Refusal {
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
        return if is_gone(error) || matches!(error.etype(), ReadTimedout | WriteTimedout) {
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
    matches!(error.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of what this takes, pingora allocates and moves every byte for each request.
    #[test]
    fn what_every_request_waits_in_is_small() {
        fn of<'a, F>(_: fn(&'a Gate, &'a mut Session, &'a mut Passage) -> F) -> usize {
            size_of::<F>()
        }
        for size in [of(Gate::respond), of(Gate::answer_from_kept), of(Gate::relay)] {
            assert!(size <= 4096, "{size}");
        }
    }
}
