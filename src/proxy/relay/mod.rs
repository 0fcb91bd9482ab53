//! Step 9 for what is asked for most: a manifest or a blob, whose answer says how long it is.
//!
//! pingora's own way serves any request: two tasks with a channel between them, so that a body can go up while the answer comes
//! down. Here is nothing to go up, so that the request is written, the answer read and passed on, one after the other. What becomes
//! of the answer is `returned`'s to say, as it is of pingora's. Whatever is not plain is left to pingora: these requests change
//! nothing, and may be sent again.

mod head;
mod links;
mod pace;

use http::{Version, header};
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};
use tokio::select;

use self::links::Incoming;
pub(super) use self::links::Links;
use super::answer::common_headers;
use super::client::Client;
use super::forward::Forward;
use super::gate::Gate;
use super::passage::Passage;
use super::rewrite::Body;
use crate::oci::{Method, Route};

impl Gate {
    /// Sends the request and passes the answer on. `false`: that is still to be done, by pingora.
    pub(super) async fn relay<C: Client>(&self, client: &mut C, passage: &mut Passage) -> Result<bool> {
        if !passage.forward.as_deref().is_some_and(is_plain) {
            return Ok(false);
        }
        if client.head().version < Version::HTTP_11 || client.has_body() {
            return Ok(false);
        }
        let peer = self.peer(passage).await?;
        let Some(forward) = passage.forward.as_deref() else { return Ok(false) };
        let request = forward.head(&client.head().headers, passage.presented.authorization())?;
        match beside(client, self.links.ask(&peer, &request, forward)).await? {
            Some((response, incoming)) => self.pass_on(client, passage, response, incoming).await,
            None => Ok(false),
        }
    }

    async fn pass_on<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        mut response: Box<ResponseHeader>,
        mut answer: Incoming,
    ) -> Result<bool> {
        if let Err(error) = self.returned(client, &mut response, passage).await {
            self.links.keep(answer.without_what_came());
            return if passage.answered || passage.is_due_again() { Ok(passage.answered) } else { Err(error) };
        }
        if matches!(passage.body, Body::Replace { .. }) {
            self.replace(client, passage, response, &mut answer).await?;
        } else {
            // Before the head is written: an upstream that breaks off here still gets its client an answer.
            let mut next = beside(client, answer.next()).await?;
            let head = client.compose_of(response, common_headers(&passage.id, passage.tls))?;
            client.write_head(head, next.is_none()).await.map_err(Error::into_down)?;
            while next.is_some() {
                self.pass_piece(&mut next, answer.is_over(), passage);
                let piece = next.unwrap_or_default();
                client.write_piece(piece, answer.is_over()).await.map_err(Error::into_down)?;
                next = beside(client, answer.next()).await?;
            }
        }
        self.links.keep(answer);
        Ok(true)
    }

    /// Writes our text in place of the upstream's, once that is read: so its length is known.
    async fn replace<C: Client>(
        &self,
        client: &mut C,
        passage: &mut Passage,
        mut response: Box<ResponseHeader>,
        answer: &mut Incoming,
    ) -> Result<()> {
        let mut text = None;
        while let Some(piece) = beside(client, answer.next()).await? {
            text = Some(piece);
            self.pass_piece(&mut text, answer.is_over(), passage);
        }
        let text = text.unwrap_or_default();
        response.remove_header(&header::TRANSFER_ENCODING);
        response.insert_header(header::CONTENT_LENGTH, text.len())?;
        let head = client.compose_of(response, common_headers(&passage.id, passage.tls))?;
        client.write_head(head, text.is_empty()).await.map_err(Error::into_down)?;
        if text.is_empty() { Ok(()) } else { client.write_piece(text, true).await.map_err(Error::into_down) }
    }
}

/// What comes of waiting for the upstream, as long as the client is there.
async fn beside<C: Client, T>(client: &mut C, upstream: impl Future<Output = Result<T>>) -> Result<T> {
    select! {
        biased;
        came = upstream => came,
        () = client.left() => Error::e_explain(ErrorType::ConnectionClosed, "the client has left").map_err(Error::into_down),
    }
}

/// Whether what is asked for has an answer whose length is known before it comes.
const fn is_plain(forward: &Forward) -> bool {
    match forward.route {
        Route::Manifest { .. } | Route::Blob { .. } => matches!(forward.method, Method::Get | Method::Head),
        _ => false,
    }
}
