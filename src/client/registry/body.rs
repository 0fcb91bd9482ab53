//! A blob on its way from one registry to another: never whole in memory, and broken off when it is another one.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use reqwest::Response;

use super::Hasher;
use crate::client::copy::manifest::Descriptor;

type BoxError = Box<dyn Error + Send + Sync>;

/// How far a blob has come.
#[derive(Debug, Default)]
pub struct Transfer {
    sent: AtomicU64,
    broken: OnceLock<String>,
}

impl Transfer {
    /// Bytes so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why it was broken off on our side.
    pub fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }
}

/// The body of `source`, which ends well only if it is `blob`.
pub(super) fn checked(source: Response, blob: &Descriptor, transfer: Arc<Transfer>) -> reqwest::Body {
    let source = http::Response::<reqwest::Body>::from(source).into_body();
    let hasher = Some(Hasher::like(Some(&blob.digest)));
    reqwest::Body::wrap(Checked { source, hasher, left: blob.size, blob: blob.clone(), transfer })
}

struct Checked {
    source: reqwest::Body,
    /// `None` once it was compared.
    hasher: Option<Hasher>,
    /// Bytes that are still to come.
    left: u64,
    blob: Descriptor,
    transfer: Arc<Transfer>,
}

impl Checked {
    fn broken(&self, why: impl Into<String>) -> BoxError {
        let why = why.into();
        // The first reason is the one that counts.
        let _ = self.transfer.broken.set(why.clone());
        why.into()
    }

    fn take(&mut self, piece: &Bytes) -> Result<(), BoxError> {
        let length = piece.len() as u64;
        self.left = self.left.checked_sub(length).ok_or_else(|| self.broken("there are more bytes than it has"))?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        self.transfer.sent.fetch_add(length, Ordering::Relaxed);
        // The last byte is passed on only when the whole is right: nobody asks for more after it.
        if self.left == 0 { self.compare() } else { Ok(()) }
    }

    fn compare(&mut self) -> Result<(), BoxError> {
        match self.hasher.take().map(Hasher::finish) {
            Some(digest) if digest != self.blob.digest => Err(self.broken("its bytes have another digest")),
            Some(_) | None => Ok(()),
        }
    }
}

impl Body for Checked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(match std::task::ready!(Pin::new(&mut self.source).poll_frame(context)) {
            None if self.left > 0 => Some(Err(self.broken("it ended early"))),
            None => self.compare().err().map(Err),
            Some(Err(error)) => Some(Err(self.broken(crate::client::http::causes(&error)))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => Some(self.take(&piece).map(|()| Frame::data(piece))),
                Err(trailers) => Some(Ok(trailers)),
            },
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
