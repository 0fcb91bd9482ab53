//! The journey of a request: who is calling, from where, for what, and may they.
//!
//! [`examine`] is the one function to read: steps 2 to 8 of `docs/request-journey.md`, top down. Each step either hands
//! the next one something that cannot be wrong any more, or ends the journey with a [`Refusal`]. `serve` calls it
//! and does what it says; nothing else decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, header};

use super::data_endpoint;
use super::door::Door;
use super::forward::{Forward, MANIFEST_LIMIT, declared_length, is_framed};
use super::listener::SourceMode;
use super::locks::{Keeper, Leave, Turns};
use super::metadata::Own;
use super::mutual_tls::{self, MutualTls};
use super::reject::Refusal;
use super::source::source_address;
use super::target::Target;
use super::token_endpoint::NULL_GUID;
use super::trail::Trail;
use super::upload::Binding;
use crate::auth::limits::Claim;
use crate::auth::{Authenticator, Failure, SignIn};
use crate::clock::Timestamp;
use crate::metadata::Metadata;
use crate::oci::{self, Credential, Endpoint, ErrorCode, MalformedCredential, Method, Parsed, Route, Scope};
use crate::policy::limits::Category;
use crate::policy::network::{Admitted, Network, Source, SourceAddress};
use crate::policy::{Caller, DataEndpoint, Denial, Need, Operation, Permit, PolicySnapshot, Registry, authorize};
use crate::secret::Secret;
use crate::telemetry::OperationClass;

/// How long after its end an access token may still finish an upload that the same principal began (moby#33558).
const UPLOAD_GRACE_SECONDS: i64 = 3600;

/// What the listener knows about the connection a request came on (step 1).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection<'a> {
    pub(crate) mode: &'a SourceMode,
    /// The other end of the socket, or what the PROXY protocol header put in its place.
    pub(crate) address: IpAddr,
    pub(crate) listener: &'a str,
    pub(crate) network: &'a Network,
    pub(crate) tls: bool,
    /// `None` where the listener takes no certificates of clients.
    pub(crate) mutual_tls: Option<MutualTls<'a>>,
}

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) connection: Connection<'a>,
    pub(crate) head: &'a Parts,
    /// The request target, byte for byte.
    pub(crate) target: &'a [u8],
    pub(crate) now: Timestamp,
    /// The same moment in ticks of the clock.
    pub(crate) ticks: Duration,
    /// Where this process is: to the data endpoint there, clients are sent.
    pub(crate) region: Option<&'a str>,
}

/// Where an admitted request goes.
#[derive(Debug)]
pub(crate) enum Next {
    /// To the upstream, with a permit, and what is held until it has answered.
    Forward(Box<Forward>, Leave),
    /// It is ours to answer.
    Own(Box<Own>),
    /// To a data endpoint, by this URL, which is nobody else's to know.
    Redirect(Secret),
    /// To the token endpoint, with its query.
    Token { registry: Arc<Registry>, method: Method, query: String, door: Door },
    /// To the exchange, with its query.
    Exchange { registry: Arc<Registry>, query: String, door: Door },
    /// To the published signing keys.
    SigningKeys,
    /// To the providers where people sign in.
    SignIn { registry: Arc<Registry> },
}

/// Whom the journey asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct House<'a> {
    pub(crate) authenticator: &'a Authenticator,
    pub(crate) metadata: &'a Metadata,
    pub(crate) turns: &'a Turns,
}

impl<'a> House<'a> {
    /// Who judges the locks of `registry`.
    pub(crate) const fn keeper(self, registry: &'a Arc<Registry>, now: Timestamp) -> Keeper<'a> {
        Keeper { metadata: self.metadata, turns: self.turns, registry, now }
    }
}

/// Steps 2 to 8. What becomes known on the way is noted in `trail` for the audit record.
pub(crate) async fn examine(
    house: House<'_>,
    policy: &PolicySnapshot,
    request: &Request<'_>,
    trail: &mut Trail,
) -> Result<Next, Refusal> {
    let source = source(request);
    trail.source = Some(source.address);
    let (registry, data_endpoint) = registry(policy, request)?;
    trail.registry = Some(Arc::clone(registry));
    trail.data_endpoint = data_endpoint.map(|endpoint| endpoint.host.clone());
    let door = Door::open(registry, source, trail)?;
    check_framing(request)?;
    let parsed = parse(request)?;
    if let Some(endpoint) = data_endpoint {
        return Box::pin(data_endpoint::visit(house, (registry, endpoint, &door), parsed, request, trail)).await;
    }
    let authenticator = house.authenticator;
    let Parsed { method, endpoint, query } = parsed;
    let target = match endpoint {
        Endpoint::Token => {
            trail.class = OperationClass::Token;
            return Ok(Next::Token { registry: Arc::clone(registry), method, query, door });
        }
        Endpoint::Exchange => {
            trail.class = OperationClass::Exchange;
            return Ok(Next::Exchange { registry: Arc::clone(registry), query, door });
        }
        Endpoint::SigningKeys => {
            trail.class = OperationClass::Keys;
            door.is_open()?;
            return Ok(Next::SigningKeys);
        }
        Endpoint::SignIn => {
            trail.class = OperationClass::SignIn;
            door.is_open()?;
            return Ok(Next::SignIn { registry: Arc::clone(registry) });
        }
        Endpoint::Registry(route) => Target::Registry(route),
        Endpoint::Metadata(route) => Target::Metadata(route),
    };
    let operation = target.operation(method);
    trail.asked(operation.class, &target);
    let credential = credential(request);
    let by_access_token = matches!(credential, Ok(Some(Credential::Bearer(_))));
    let door = door.inviting(matches!(method, Method::Get | Method::Head));
    let desk = Desk { registry, tls: request.connection.tls, asked: &operation, by_access_token };
    let credential = credential.map_err(|_| door.tell(desk.deny(Denial::CredentialMalformed)))?;
    // A link could not tell when the certificate was revoked.
    let may_get_link = credential.is_some();
    let sign_in = match credential {
        Some(credential) => {
            door.hears_credential(&credential)?;
            caller(authenticator, (&desk, &door), request, &target, credential, trail).await
        }
        None => by_certificate(authenticator, &desk, request).map(SignIn::from),
    };
    let sign_in = sign_in.map_err(|refusal| door.tell(refusal))?;
    let caller = &sign_in.caller;
    trail.caller = Some(caller.clone());
    let admitted = door.enter(registry, &caller.principal, trail)?;
    let (permit, target) = permitted(&desk, &admitted, caller, target, request.now, trail)?;
    // Locks may cost questions to the upstream: whoever is over his limit causes none. What is not permitted uses up nobody's
    // limit; nor does a link, since the data endpoint counts what it is followed for.
    let gets_link = may_get_link && data_endpoint::near(registry, request, method, &target).is_some();
    if !gets_link {
        let categories = Category::of(method, operation.class);
        let within = authenticator.rates().spend(registry, &caller.principal, categories, request.ticks);
        within.map_err(Refusal::RateLimited)?;
    }
    let leave = house.keeper(registry, request.now).pass(method, &target).await?;
    let next = if target.is_answered_here(method) || leave.only.is_some() {
        let (registry, principal) = (Arc::clone(registry), caller.principal.clone());
        let (permit, now) = (permit.clone(), request.now);
        Next::Own(Box::new(Own { _permit: permit, registry, method, target, principal, admitted, leave, now }))
    } else {
        forward(authenticator, (registry, caller), permit.clone(), (method, target), request)
            .map(|forward| Next::Forward(Box::new(forward), leave))?
    };
    if gets_link
        && let Next::Forward(forward, _) = &next
        && let Some(location) = data_endpoint::redirect(authenticator, request, &sign_in, forward)?
    {
        trail.permit = Some(permit);
        return Ok(Next::Redirect(Secret::new(location)));
    }
    trail.permit = Some(permit);
    Ok(next)
}

/// Step 2. The PROXY protocol was read, and its sender checked, by the listener.
fn source<'a>(request: &Request<'a>) -> Source<'a> {
    let Connection { mode, address, listener, network, .. } = request.connection;
    let address = match mode {
        SourceMode::Peer | SourceMode::ProxyProtocol { .. } => SourceAddress::new(address),
        SourceMode::Forwarded { header, trusted } => {
            let lines = request.head.headers.get_all(header.name()).iter().map(HeaderValue::as_bytes);
            source_address(address, *header, lines, trusted)
        }
    };
    Source { address, listener, network }
}

/// Step 3. The Host chooses the registry, by its login server or by a data endpoint; two different hosts in one request
/// choose none.
fn registry<'p>(
    policy: &'p PolicySnapshot,
    request: &Request<'_>,
) -> Result<(&'p Arc<Registry>, Option<&'p DataEndpoint>), Refusal> {
    let mut lines = request.head.headers.get_all(header::HOST).iter();
    let line = lines.next().map(|value| value.to_str().map_err(|_| Refusal::UnknownHost)).transpose()?;
    let authority = request.head.uri.authority().map(http::uri::Authority::as_str);
    let host = match (line, authority) {
        (Some(line), Some(authority)) if !line.eq_ignore_ascii_case(authority) => None,
        (Some(host), _) | (None, Some(host)) => Some(host),
        (None, None) => None,
    };
    if lines.next().is_some() {
        return Err(Refusal::UnknownHost);
    }
    let host = host.ok_or(Refusal::UnknownHost)?;
    request.connection.mutual_tls.map_or(Ok(()), |mutual_tls| mutual_tls.check(host))?;
    let by_login_server = policy.registry_for_host(host).map(|registry| (registry, None));
    let by_data_endpoint = || policy.data_endpoint_for_host(host).map(|(registry, one)| (registry, Some(one)));
    by_login_server.or_else(by_data_endpoint).ok_or(Refusal::UnknownHost)
}

/// Where the body ends must be said in one way only, or others may find the end elsewhere (threat class U).
fn check_framing(request: &Request<'_>) -> Result<(), Refusal> {
    let unclear = Refusal::BadRequest { code: ErrorCode::SizeInvalid, status: 400, reason: "the length is not clear" };
    if is_framed(&request.head.headers) { Ok(()) } else { Err(unclear) }
}

/// Step 5. The request line in the grammar of the protocol, or nothing.
fn parse(request: &Request<'_>) -> Result<Parsed, Refusal> {
    let malformed = Refusal::BadRequest { code: ErrorCode::Unsupported, status: 400, reason: "the path is not text" };
    let target = std::str::from_utf8(request.target).map_err(|_| malformed)?;
    Ok(oci::parse(request.head.method.as_str(), target)?)
}

/// Where the journey's 401s are made: they all need the registry and what was asked for.
struct Desk<'a> {
    registry: &'a Arc<Registry>,
    tls: bool,
    asked: &'a Operation,
    /// Whether an access token was presented.
    by_access_token: bool,
}

impl Desk<'_> {
    fn deny(&self, denial: Denial) -> Refusal {
        let asked = self.asked.needs.iter().filter_map(Need::scope).collect();
        denied(self.registry, self.tls, denial, asked, self.by_access_token)
    }

    fn fail(&self, failure: Failure) -> Refusal {
        failed(failure, |denial| self.deny(denial))
    }
}

/// A denial with all that its challenge needs.
pub(crate) fn denied(
    registry: &Registry,
    tls: bool,
    denial: Denial,
    asked: Vec<Scope>,
    by_access_token: bool,
) -> Refusal {
    let service = registry.login_server.to_string();
    Refusal::Denied { denial, asked, by_access_token, realm: realm(registry, tls), service }
}

/// Why there is no caller: a denial, or no decision.
pub(crate) fn failed(failure: Failure, deny: impl FnOnce(Denial) -> Refusal) -> Refusal {
    match failure {
        Failure::Denied(denial) => deny(denial),
        Failure::Busy => Refusal::Busy,
        Failure::Unavailable(cause) => Refusal::ProviderUnavailable(cause),
        Failure::Locked(locked) => Refusal::LoginLocked(locked),
    }
}

/// The URL of the token endpoint, as clients reach it.
fn realm(registry: &Registry, tls: bool) -> String {
    match &registry.external_url {
        Some(url) => format!("{}/oauth2/token", url.as_str()),
        None => format!("{}://{}/oauth2/token", scheme(registry, tls), registry.login_server),
    }
}

/// How clients reach the registry's hosts.
pub(crate) fn scheme(registry: &Registry, tls: bool) -> &'static str {
    let https = registry.external_url.as_ref().map_or(tls, |url| url.as_str().starts_with("https://"));
    if https { "https" } else { "http" }
}

/// Step 6. Malformed is never anonymous; neither is absent, which gets the challenge: that is how public and private
/// repositories work side by side with the Docker engine (moby#50896).
fn credential(request: &Request<'_>) -> Result<Option<Credential>, MalformedCredential> {
    oci::credential(request.head.headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes))
}

/// Step 7.
async fn caller(
    authenticator: &Authenticator,
    (desk, door): (&Desk<'_>, &Door),
    request: &Request<'_>,
    target: &Target,
    credential: Credential,
    trail: &mut Trail,
) -> Result<SignIn, Refusal> {
    let counted = (&*desk.registry.name, request.ticks);
    match credential {
        // As at the token endpoint: the password is a token.
        Credential::Basic { user, password } if user == NULL_GUID => {
            let attempt = async {
                match authenticator.by_refresh_token(desk.registry, &password, request.now) {
                    Ok(sign_in) => Ok(sign_in),
                    Err(_) => bearer(authenticator, desk.registry, request, target, &password).await,
                }
            };
            Box::pin(door.guard(authenticator, counted, attempt)).await.map_err(|failure| desk.fail(failure))
        }
        Credential::Basic { user, password } => {
            trail.claimed_user = Some(user.clone());
            let source = trail.source.ok_or(Refusal::NoSource)?;
            let (registry, now) = (Some(&*desk.registry.name), request.ticks);
            let claim = Claim { source, registry, user: Some(&user), now };
            let attempt = async {
                let recognised = &mut trail.caller;
                let sign_in =
                    authenticator.by_password(desk.registry, &user, &password, request.now, recognised).await?;
                sign_in.located(door.place())
            };
            Box::pin(authenticator.logins().guard(claim, attempt)).await.map_err(|failure| desk.fail(failure))
        }
        Credential::Bearer(token) => {
            let attempt = bearer(authenticator, desk.registry, request, target, &token);
            door.guard(authenticator, counted, attempt).await.map_err(|failure| desk.fail(failure))
        }
    }
}

/// Whoever shows no credential is whom the connection's certificate says; one that is nobody's is as none.
fn by_certificate(authenticator: &Authenticator, desk: &Desk<'_>, request: &Request<'_>) -> Result<Caller, Refusal> {
    let certificate = request.connection.mutual_tls.and_then(|mutual_tls| mutual_tls.certificate);
    let said = certificate.and_then(mutual_tls::assertion);
    let said = said.ok_or_else(|| desk.deny(Denial::CredentialRequired))?;
    match authenticator.by_certificate(desk.registry, &said, request.now) {
        Err(Failure::Denied(Denial::IdentityUnknown)) => Err(desk.deny(Denial::CredentialRequired)),
        decided => decided.map_err(|failure| desk.fail(failure)),
    }
}

/// An access token, or a token of an identity provider. An access token that has just expired still finishes an upload, if
/// the location was sealed for its principal.
async fn bearer(
    authenticator: &Authenticator,
    registry: &Registry,
    request: &Request<'_>,
    target: &Target,
    token: &Secret,
) -> Result<SignIn, Failure> {
    let grace = if matches!(target, Target::Registry(Route::Upload { .. })) { UPLOAD_GRACE_SECONDS } else { 0 };
    let failure = match authenticator.by_access_token(registry, token, request.now, grace) {
        Ok(sign_in) => return Ok(sign_in),
        Err(failure) => failure,
    };
    Box::pin(authenticator.or_by_provider_token(failure, registry, token, request.now)).await
}

/// Step 8, and what the permit is for.
fn permitted(
    desk: &Desk<'_>,
    admitted: &Admitted,
    caller: &Caller,
    target: Target,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(Permit, Target), Refusal> {
    let decide = |operation| authorize(desk.registry, caller, operation, admitted, now);
    match (decide(desk.asked), desk.asked.without_mount()) {
        (Ok(permit), _) => Ok((permit, target)),
        (Err(denial), None) => Err(desk.deny(denial)),
        (Err(denial), Some(plain)) => {
            // A mount whose source may not be read becomes a plain upload, as the specification allows.
            let permit = decide(&plain).map_err(|denial| desk.deny(denial))?;
            let target = target.without_mount();
            trail.mount_refused(denial, &target);
            Ok((permit, target))
        }
    }
}

/// What goes upstream with this permit.
fn forward(
    authenticator: &Authenticator,
    (registry, caller): (&Arc<Registry>, &Caller),
    permit: Permit,
    (method, target): (Method, Target),
    request: &Request<'_>,
) -> Result<Forward, Refusal> {
    let Target::Registry(route) = target else {
        return Err(Refusal::Internal("the registry behind has no metadata API"));
    };
    check_body(method, &route, request)?;
    let (route, upload_state) = open_upload(authenticator, registry, caller, route)?;
    Ok(Forward { permit, registry: Arc::clone(registry), method, route, upload_state })
}

/// A manifest that says it is too large is refused before it is sent.
fn check_body(method: Method, route: &Route, request: &Request<'_>) -> Result<(), Refusal> {
    let length = declared_length(&request.head.headers);
    let is_manifest = method == Method::Put && matches!(route, Route::Manifest { .. });
    if is_manifest && length.is_some_and(|length| length > MANIFEST_LIMIT) {
        return Err(too_large());
    }
    Ok(())
}

/// What a manifest over the limit is answered with.
pub(crate) const fn too_large() -> Refusal {
    Refusal::BadRequest { code: ErrorCode::ManifestInvalid, status: 413, reason: "the manifest is over 4 MiB" }
}

/// Opens the sealed location of an upload session; what does not open does not exist.
fn open_upload(
    authenticator: &Authenticator,
    registry: &Registry,
    caller: &Caller,
    route: Route,
) -> Result<(Route, Option<String>), Refusal> {
    let Route::Upload { repository, session, state, digest } = route else { return Ok((route, None)) };
    let unknown = Refusal::BadRequest {
        code: ErrorCode::BlobUploadUnknown,
        status: 404,
        reason: "the upload location was not made for this principal and repository",
    };
    let binding = Binding {
        registry: &registry.name,
        repository: &repository,
        session: &session,
        principal: caller.principal.id(),
    };
    let upstream = state.and_then(|state| binding.open(authenticator.hash_key(), &state)).ok_or(unknown)?;
    Ok((Route::Upload { repository, session, state: None, digest }, Some(upstream)))
}
