//! Data endpoints: clients fetch blobs from a host of their own, to which the login server sends them with a link.
//!
//! [`redirect`] is the end of the journey at the login server, [`visit`] all of it at the data endpoint, from step 5 on. No
//! credential is looked at there, because clients must not carry one to another host (requirements B.1-15). The link takes its
//! place, and proves no more than a credential would: what its bearer may do is decided anew.

use std::sync::Arc;

use super::door::Door;
use super::forward::Forward;
use super::journey::{House, Next, Request, scheme};
use super::locks::Leave;
use super::reject::{LinkRefusal, Refusal};
use super::target::Target;
use super::trail::Trail;
use crate::auth::link::{LinkFailure, LinkPlace};
use crate::auth::{Authenticator, Failure, SignIn};
use crate::oci::{self, Endpoint, ErrorCode, Method, Parsed, Route};
use crate::policy::limits::Category;
use crate::policy::{DataEndpoint, Operation, Registry, authorize};

/// The key of the link in a query.
const LINK: &str = "link";

/// The data endpoint that serves what is asked for, if that is a blob of a registry with data endpoints.
pub(crate) fn near<'a>(
    registry: &'a Registry,
    request: &Request<'_>,
    method: Method,
    target: &Target,
) -> Option<&'a DataEndpoint> {
    let Target::Registry(Route::Blob { .. }) = target else { return None };
    if method == Method::Get { registry.data_endpoint_near(request.region) } else { None }
}

/// Where the client fetches what it was permitted, if that is a blob of a registry with data endpoints.
///
/// `HEAD` is answered at once: there is nothing to download.
pub(crate) fn redirect(
    authenticator: &Authenticator,
    request: &Request<'_>,
    sign_in: &SignIn,
    forward: &Forward,
) -> Result<Option<String>, Refusal> {
    let (Method::Get, Route::Blob { repository, digest }) = (forward.method, &forward.route) else { return Ok(None) };
    let registry = &forward.registry;
    let Some(endpoint) = registry.data_endpoint_near(request.region) else { return Ok(None) };
    let place = LinkPlace { registry, host: endpoint.host.as_str(), repository, digest };
    let link = authenticator.link(place, sign_in, request.now);
    let link = link.map_err(|_| Refusal::Internal("a link to the data endpoint could not be sealed"))?;
    let scheme = scheme(registry, request.connection.tls);
    Ok(Some(format!("{scheme}://{}{}?{LINK}={link}", endpoint.host, forward.route.canonical())))
}

/// Steps 5 to 8 at a data endpoint. The network rules have let the source in, or whoever comes from it has to be a trusted service.
pub(crate) async fn visit(
    house: House<'_>,
    (registry, endpoint, door): (&Arc<Registry>, &DataEndpoint, &Door),
    parsed: Parsed,
    request: &Request<'_>,
    trail: &mut Trail,
) -> Result<Next, Refusal> {
    let elsewhere =
        Refusal::BadRequest { code: ErrorCode::Unsupported, status: 404, reason: "a data endpoint has only blobs" };
    let (Method::Get | Method::Head, Endpoint::Registry(route)) = (parsed.method, parsed.endpoint) else {
        return Err(elsewhere);
    };
    let Route::Blob { repository, digest } = &route else { return Err(elsewhere) };
    let operation = Operation::of(parsed.method, &route);
    let target = Target::Registry(route.clone());
    trail.asked(operation.class, &target);
    let authenticator = house.authenticator;
    let link = link(request)?.ok_or_else(|| door.tell(Refusal::Link(LinkRefusal::Missing)))?;
    let place = LinkPlace { registry, host: endpoint.host.as_str(), repository, digest };
    let caller = authenticator.by_link(place, &link, request.now).map_err(|failure| door.tell(refusal(failure)))?;
    trail.caller = Some(caller.clone());
    let admitted = door.enter(registry, &caller.principal, trail)?;
    let permit = authorize(registry, &caller, &operation, &admitted, request.now);
    let permit = permit.map_err(|denial| Refusal::Link(LinkRefusal::Denied(denial)))?;
    // Here and not where the link was given out: a link can be followed more than once.
    let categories = Category::of(parsed.method, operation.class);
    let within = authenticator.rates().spend(registry, &caller.principal, categories, request.ticks);
    within.map_err(Refusal::RateLimited)?;
    house.keeper(registry, request.now).pass(parsed.method, &target).await?;
    trail.permit = Some(permit.clone());
    let registry = Arc::clone(registry);
    let forward = Forward { permit, registry, method: parsed.method, route, upload_state: None };
    Ok(Next::Forward(Box::new(forward), Leave::default()))
}

/// The one link of the query.
fn link(request: &Request<'_>) -> Result<Option<String>, Refusal> {
    let target = std::str::from_utf8(request.target).unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let mut links = oci::query::pairs(query)?.into_iter().filter(|(key, _)| key == LINK);
    match (links.next(), links.next()) {
        (Some(_), Some(_)) => Err(Refusal::Link(LinkRefusal::Invalid)),
        (one, _) => Ok(one.map(|(_, link)| link)),
    }
}

fn refusal(failure: LinkFailure) -> Refusal {
    match failure {
        LinkFailure::Invalid => Refusal::Link(LinkRefusal::Invalid),
        LinkFailure::Expired => Refusal::Link(LinkRefusal::Expired),
        LinkFailure::Caller(Failure::Denied(denial)) => Refusal::Link(LinkRefusal::Denied(denial)),
        LinkFailure::Caller(Failure::Busy | Failure::Unavailable(_) | Failure::Locked(_)) => Refusal::Busy,
    }
}
