//! What one request carries from step to step, and what all of them share.
//!
//! Apart from the steps, so that `record` can read it without knowing them.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::forward::Forward;
use super::journey::Next;
use super::kept::Keeping;
use super::learn::Learning;
use super::listener::Connection;
use super::locks::Leave;
use super::redirect::Hop;
use super::reject::Refusal;
use super::rewrite::Body;
use super::trail::Trail;
use crate::auth::Authenticator;
use crate::clock::{Clock, Timestamp};
use crate::content::Content;
use crate::current::Current;
use crate::metadata::Metadata;
use crate::observed::Observed;
use crate::policy::PolicySnapshot;
use crate::telemetry::audit::{AuditLog, Bounded};
use crate::telemetry::metrics::{Gauged, Metrics};
use crate::upstream::Presented;

/// What the data plane needs from the rest of the house.
#[derive(Debug)]
pub struct Shared {
    pub current: Arc<Current>,
    pub authenticator: Arc<Authenticator>,
    pub metrics: Arc<Metrics>,
    pub audit: AuditLog,
    pub clock: Arc<dyn Clock>,
    pub observed: Observed,
    pub metadata: Metadata,
    pub content: Content,
    /// How long a client may send or take no byte.
    pub stall_timeout: Duration,
    /// How long ago the store may have confirmed the policy. `None` is forever.
    pub maximum_policy_age: Option<Duration>,
    /// Where this process is, to choose among a registry's data endpoints.
    pub region: Option<String>,
}

impl Shared {
    /// Whether at `ticks` of the clock too long a time has gone by without the store's word that nothing has changed.
    pub(super) fn policy_is_outdated(&self, ticks: Duration) -> bool {
        self.maximum_policy_age.is_some_and(|most| ticks.saturating_sub(self.current.confirmed()) > most)
    }
}

/// What one request carries from step to step.
#[derive(Debug)]
pub struct Passage {
    pub(super) id: String,
    pub(super) began: Duration,
    pub(super) began_at: Timestamp,
    pub(super) policy: Option<Arc<PolicySnapshot>>,
    pub(super) trail: Trail,
    /// What is to be done with a request that is examined, if it is not to be forwarded.
    pub(super) next: Option<Next>,
    pub(super) forward: Option<Box<Forward>>,
    /// What the upstream is shown in place of the client's credential.
    pub(super) presented: Presented,
    pub(super) renewal: Renewal,
    /// The storage that the upstream has redirected to.
    pub(super) hop: Option<Hop>,
    pub(super) body: Body,
    pub(super) learning: Learning,
    pub(super) keeping: Keeping,
    /// What the request holds to its end.
    pub(super) leave: Leave,
    pub(super) body_bytes: u64,
    pub(super) sent_upstream: Option<Duration>,
    pub(super) upstream_took: Option<Duration>,
    pub(super) status: u16,
    /// Why the upstream's answer was not passed on.
    pub(super) failure: Option<Refusal>,
    pub(super) record: Pending,
    /// Whether the client has its whole answer, whatever still becomes of the upstream's.
    pub(super) answered: bool,
    pub(super) tls: bool,
    /// Shows the request as in flight for as long as the passage lives, however it ends.
    _in_flight: Gauged,
    /// The same for a body that is being passed on, from its first byte.
    pub(super) transfer: Option<Gauged>,
}

impl Passage {
    /// A request whose head has arrived: the policy of this moment is its policy to the end.
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string(),
            began: shared.clock.ticks(),
            began_at: shared.clock.now(),
            policy: shared.current.load(),
            trail: Trail::default(),
            next: None,
            forward: None,
            presented: Presented::default(),
            renewal: Renewal::Possible,
            hop: None,
            body: Body::Pass,
            learning: Learning::default(),
            keeping: Keeping::default(),
            leave: Leave::default(),
            body_bytes: 0,
            sent_upstream: None,
            upstream_took: None,
            status: 0,
            failure: None,
            record: Pending::new(shared),
            answered: false,
            tls: false,
            _in_flight: shared.metrics.request_started(),
            transfer: None,
        }
    }

    /// Its client is known: from now on there will be exactly one record.
    pub(super) fn begun<C: Client>(&mut self, client: &C) {
        let connection = client.connection();
        if let Some(connection) = connection {
            connection.head_received();
        }
        self.tls = client.is_encrypted();
        let head = client.head();
        let user_agent = head.headers.get(http::header::USER_AGENT);
        self.record.begun = Some(Begun {
            connection: connection.cloned(),
            method: method(&head.method),
            user_agent: user_agent.map(|value| Bounded::new(value.as_bytes())),
        });
    }

    /// Whether nobody has examined it yet.
    pub(super) const fn is_new(&self) -> bool {
        self.next.is_none() && self.forward.is_none()
    }
}

impl Passage {
    /// What a denial is found by, if this is one: the first twelve digits of the request's id, enough that no two in a log are
    /// likely to have the same.
    pub(super) fn denial_id(&self) -> Option<String> {
        let denied = self.trail.refusal.as_ref().is_some_and(|refusal| refusal.has_id);
        let (first, second) = (self.id.get(..8)?, self.id.get(9..13)?);
        denied.then(|| [first, second].concat())
    }
}

impl Passage {
    /// Whether the request is to be sent once more: with another token, or to where it was redirected. Says so once.
    pub(super) fn is_due_again(&mut self) -> bool {
        if self.renewal == Renewal::Due {
            self.renewal = Renewal::Done;
            return true;
        }
        self.hop.as_mut().is_some_and(Hop::take_due)
    }
}

/// Whether a request that the upstream answered with 401 is sent again with a fresh token: once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    Possible,
    /// It is about to be sent again.
    Due,
    Done,
}

/// What the record takes from the client, kept apart from it: a task that is ended under its request has none any more.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) shared: Arc<Shared>,
    pub(super) begun: Option<Begun>,
    pub(super) downloaded: u64,
}

#[derive(Debug)]
pub(super) struct Begun {
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) method: &'static str,
    pub(super) user_agent: Option<Bounded>,
}

impl Pending {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), begun: None, downloaded: 0 }
    }

    /// Notes bytes on their way to the client.
    pub(super) fn passed_on(&mut self, bytes: usize) {
        self.downloaded += bytes as u64;
    }
}

/// HTTP's methods by name, every other one by one word: the text is the client's, and may be long.
fn method(method: &http::Method) -> &'static str {
    const KNOWN: [(http::Method, &str); 9] = [
        (http::Method::GET, "GET"),
        (http::Method::HEAD, "HEAD"),
        (http::Method::PUT, "PUT"),
        (http::Method::POST, "POST"),
        (http::Method::PATCH, "PATCH"),
        (http::Method::DELETE, "DELETE"),
        (http::Method::OPTIONS, "OPTIONS"),
        (http::Method::TRACE, "TRACE"),
        (http::Method::CONNECT, "CONNECT"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("OTHER", |(_, name)| name)
}
