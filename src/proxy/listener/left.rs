//! A request that somebody has begun to serve and leaves to pingora, with what is known of it by then.
//!
//! It is kept with the task that serves the request: pingora calls the gate's hooks from there, and many requests of one HTTP/2
//! connection are served at once.

use std::any::Any;
use std::cell::Cell;
use std::fmt;

tokio::task_local! {
    static LEFT: Cell<Option<Box<dyn Any + Send>>>;
}

/// What is known of a request that is still to be answered.
pub struct Left(Box<dyn Any + Send>);

impl Left {
    /// Keeps `state` for whoever goes on with the request.
    pub fn with(state: Box<dyn Any + Send>) -> Self {
        Self(state)
    }

    /// Goes on with the request in `served`, where [`left`] has the state.
    pub(super) async fn within<F: Future>(self, served: F) -> F::Output {
        LEFT.scope(Cell::new(Some(self.0)), served).await
    }
}

impl fmt::Debug for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Left").finish_non_exhaustive()
    }
}

/// What [`super::AnswersPlain`] has left of the request that is being served, once; `None` for one that it never saw.
pub fn left<T: 'static>() -> Option<Box<T>> {
    LEFT.try_with(Cell::take).ok()??.downcast().ok()
}
