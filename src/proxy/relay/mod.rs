//! Step 9 for what is asked for most: a manifest, or a blob's head, whose answer comes in one piece that says how long it is.
//!
//! pingora's own way serves any request: two tasks with a channel between them, so that a body can go up while the answer comes
//! down. Here is nothing to go up, so that the request is written, the answer read and passed on, one after the other. The hooks
//! of `gate` see it as they would see pingora's. Whatever is not plain is left to pingora: these requests change nothing, and may
//! be sent again.

mod head;
mod links;

use http::Version;
use pingora::http::ResponseHeader;
use pingora::proxy::{ProxyHttp, Session};
use pingora::{Error, Result};

use self::links::Incoming;
pub(super) use self::links::Links;
use super::forward::Forward;
use super::gate::Gate;
use super::passage::Passage;
use crate::oci::{Method, Route};

impl Gate {
    /// Sends the request and passes the answer on. `false`: that is still to be done, by pingora.
    pub(super) async fn relay(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        let Some(forward) = passage.forward.as_deref().filter(|forward| is_plain(forward)) else { return Ok(false) };
        let is_head = forward.method == Method::Head;
        if session.req_header().version < Version::HTTP_11 || !session.as_downstream_mut().is_body_empty() {
            return Ok(false);
        }
        let peer = self.upstream_peer(session, passage).await?;
        let Some(forward) = passage.forward.as_deref() else { return Ok(false) };
        let request = forward.head(&session.req_header().headers, passage.presented.authorization())?;
        match self.links.ask(&peer, &request, is_head).await? {
            Some((response, incoming)) => self.pass_on(session, passage, response, incoming).await,
            None => Ok(false),
        }
    }

    async fn pass_on(
        &self,
        session: &mut Session,
        passage: &mut Passage,
        mut response: Box<ResponseHeader>,
        mut answer: Incoming,
    ) -> Result<bool> {
        if let Err(error) = self.upstream_response_filter(session, &mut response, passage).await {
            return if passage.answered || passage.is_due_again() { Ok(passage.answered) } else { Err(error) };
        }
        let written = session.write_response_header(response, answer.is_over()).await;
        written.map_err(Error::into_down)?;
        while !answer.is_over() {
            let mut piece = Some(answer.piece().await?);
            self.upstream_response_body_filter(session, &mut piece, answer.is_over(), passage)?;
            let written = session.write_response_body(piece, answer.is_over()).await;
            written.map_err(Error::into_down)?;
        }
        self.links.keep(answer);
        Ok(true)
    }
}

/// Whether what is asked for has an answer whose length is known before it comes.
const fn is_plain(forward: &Forward) -> bool {
    match forward.route {
        Route::Manifest { .. } => matches!(forward.method, Method::Get | Method::Head),
        Route::Blob { .. } => matches!(forward.method, Method::Head),
        _ => false,
    }
}
