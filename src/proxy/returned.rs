//! The upstream's answer before any of it is passed on, whoever has read it: what becomes of it, and of the request.

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};

use super::client::Client;
use super::forward::Forward;
use super::gate::Gate;
use super::kept::NOT_FOR_OTHERS;
use super::passage::{Passage, Renewal};
use super::redirect::{self, Step};
use super::reject::{Refusal, UpstreamFailure};
use super::rewrite::{self, Body};
use super::{learn, locks};
use crate::policy::redirects::RedirectRefusal;
use crate::upstream::Presented;

impl Gate {
    /// Makes the upstream's answer ours: what may be passed on of it is left in `response`. The headers of every answer are
    /// still to come.
    ///
    /// # Errors
    /// When it is not passed on: the request is due again, was answered, or fails ([`Passage::is_due_again`],
    /// [`Passage::answered`], [`Passage::failure`]).
    pub(super) async fn returned<C: Client>(
        &self,
        client: &mut C,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        let Some(forward) = &passage.forward else {
            return Error::e_explain(ErrorType::InternalError, "an answer without a permit");
        };
        passage.keeping.over(forward, Some(response.status));
        let now = self.shared.clock.ticks();
        passage.upstream_took = passage.sent_upstream.map(|sent| now.saturating_sub(sent));
        let bodyless = !client.has_body();
        if let Some(step) = redirect::step(forward, passage.hop.as_ref(), response, &passage.trail) {
            return Box::pin(self.redirected(client, passage, step, bodyless)).await;
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
            client.close_after();
            let status = answer.status.as_u16();
            self.write(client, passage, answer).await?;
            passage.answered = true;
            return Error::e_explain(ErrorType::HTTPStatus(status), "answered without the upstream's body");
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
        passage.keeping.answered(forward, &client.head().headers, (response, named));
        passage.learning.answered(&self.shared.metadata, forward, (response, named)).await;
        passage.status = response.status.as_u16();
        if !client.head().headers.contains_key(http::header::AUTHORIZATION) {
            response.insert_header(http::header::CACHE_CONTROL, NOT_FOR_OTHERS)?;
        }
        Ok(())
    }

    /// Takes note of a piece of the upstream's body, and puts ours in its place where it has to be.
    pub(super) fn pass_piece(&self, body: &mut Option<Bytes>, end: bool, passage: &mut Passage) {
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
    async fn redirected<C: Client>(
        &self,
        client: &mut C,
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
                client.close_after();
                self.write(client, passage, answer).await?;
                passage.answered = true;
                Error::e_explain(ErrorType::HTTPStatus(307), "the client goes to the storage")
            }
            Err(refusal) => {
                passage.failure = Some(Refusal::Redirect(refusal));
                Error::e_explain(ErrorType::HTTPStatus(502), "the redirect may not be followed")
            }
        }
    }

    pub(super) fn transfer_opened(&self, passage: &mut Passage) {
        passage.transfer.get_or_insert_with(|| self.shared.metrics.transfer_opened());
    }
}
