//! The protocol firewall: a request line is in the grammar, or it is refused.
//!
//! The path is decoded exactly once and matched as text; `%` is in no grammar, so a second layer of encoding never
//! passes. Path shapes that others normalise (`//`, `.`, `..`, a slash at the end) are refused, because two parsers
//! that normalise differently are how one repository's rights reach another's content (threats 4.1, class C).
//!
//! What is answered, in this order of precedence:
//!
//! | Request | Status and code |
//! |---|---|
//! | target over 8 KiB, not beginning with `/`, or with a byte that is not visible ASCII, `#` or `\` | 400 UNSUPPORTED |
//! | path with a broken escape, not UTF-8, a control character, `\`, an empty, `.` or `..` segment, a slash at the end | 400 UNSUPPORTED |
//! | path of no endpoint, and `/v2/…` without a repository name | 404 UNSUPPORTED |
//! | path of an endpoint, another method | 405 UNSUPPORTED, with `Allow` |
//! | query with `;`, a broken escape, not UTF-8, a control character, over 100 pairs, two values for a key that has one | 400 UNSUPPORTED |
//! | repository name (path or `from`) outside the grammar | 400 NAME_INVALID |
//! | tag outside the grammar | 400 TAG_INVALID; to `GET` and `HEAD` 404 MANIFEST_UNKNOWN, as the conformance suite wants |
//! | digest (path, `digest` or `mount`) outside the grammar, or missing where a `PUT` completes an upload | 400 DIGEST_INVALID |
//! | upload session outside the grammar | 404 BLOB_UPLOAD_UNKNOWN |
//! | `n` that is no number | 400 PAGINATION_NUMBER_INVALID |
//! | `last`, `_state`, `artifactType` too long, unknown `digest-algorithm` or `orderby`, `digest` with a mount | 400 UNSUPPORTED |
//!
//! An empty parameter counts as a missing one. Parameters that a route does not know are dropped.

use std::borrow::Cow;

use super::super::digest::{Digest, is_algorithm};
use super::super::error::{ErrorCode, RouteError};
use super::super::name::RepositoryName;
use super::super::percent::{self, PercentError, Plus};
use super::super::query::Query;
use super::super::reference::{Reference, ReferenceError, Tag};
use super::{Endpoint, Method, Mount, Page, Parsed, Route, UploadSession, metadata};

const MAX_TARGET: usize = 8 * 1024;
const MAX_N: u32 = 10_000;
const MAX_LAST: usize = 512;
/// With it escaped byte by byte, a rebuilt target is still shorter than [`MAX_TARGET`].
const MAX_STATE: usize = 6 * 1024;
const MAX_ARTIFACT_TYPE: usize = 255;

const NO_ENDPOINT: RouteError = RouteError::not_found(ErrorCode::Unsupported, "no endpoint has this path");

/// What the request line `method raw_path_and_query` asks for; never panics, whatever it is given.
pub fn parse(method: &str, raw_path_and_query: &str) -> Result<Parsed, RouteError> {
    let (raw_path, raw_query) = split(raw_path_and_query)?;
    let path = decode(raw_path)?;
    if let Some((endpoint, methods)) = ours(&path) {
        return Ok(Parsed { method: allowed(method, methods)?, endpoint, query: raw_query.to_owned() });
    }
    if let Some(shape) = metadata::Shape::of(&path) {
        let method = allowed(method, shape.methods())?;
        let route = shape.route(method, &Query::parse(raw_query)?)?;
        return Ok(Parsed { method, endpoint: Endpoint::Metadata(route), query: String::new() });
    }
    let shape = Shape::of(&path).ok_or(NO_ENDPOINT)?;
    let method = allowed(method, shape.methods())?;
    let route = route(shape, method, &Query::parse(raw_query)?)?;
    Ok(Parsed { method, endpoint: Endpoint::Registry(route), query: String::new() })
}

/// The endpoints that are not the registry's, with their methods.
fn ours(path: &str) -> Option<(Endpoint, &'static str)> {
    match path {
        "/oauth2/token" => Some((Endpoint::Token, "GET, POST")),
        "/oauth2/exchange" => Some((Endpoint::Exchange, "POST")),
        "/oauth2/sign-in" => Some((Endpoint::SignIn, "GET, HEAD")),
        "/.well-known/jwks.json" => Some((Endpoint::SigningKeys, "GET, HEAD")),
        _ => None,
    }
}

/// The method `text`, if it is one of `methods`, which are written as in an `Allow` header.
fn allowed(text: &str, methods: &'static str) -> Result<Method, RouteError> {
    Method::parse(text)
        .filter(|method| methods.split(", ").any(|allowed| allowed == method.as_str()))
        .ok_or(RouteError::method(methods))
}

/// The raw path and the raw query of a target in origin form (RFC 9112 §3.2.1).
fn split(target: &str) -> Result<(&str, &str), RouteError> {
    if target.len() > MAX_TARGET {
        return Err(refused("the request target is too long"));
    }
    if !target.starts_with('/') {
        return Err(refused("the request target does not begin with a slash"));
    }
    // To the end in any case, here and below, so that many bytes are looked at in one step.
    if !target.bytes().fold(true, |clean, byte| clean & is_of_targets(byte)) {
        return Err(refused("the request target holds a character that no target may hold"));
    }
    Ok(target.split_once('?').unwrap_or((target, "")))
}

/// Whether a target may hold a byte.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_of_targets(byte: u8) -> bool {
    byte.is_ascii_graphic() & (byte != b'#') & (byte != b'\\')
}

fn decode(raw_path: &str) -> Result<Cow<'_, str>, RouteError> {
    let path = percent::decode(raw_path, Plus::Literal).map_err(|error| {
        refused(match error {
            PercentError::Escape => "the path has a broken percent escape",
            PercentError::Utf8 => "the path does not decode to UTF-8",
            PercentError::Control => "the path holds a control character",
        })
    })?;
    if matches!(path, Cow::Owned(_)) && path.contains('\\') {
        return Err(refused("the path holds a backslash"));
    }
    let ends_well = matches!(&*path, "/" | "/v2/") || path.ends_with("/blobs/uploads/");
    let whole = if ends_well { path.strip_suffix('/') } else { Some(&*path) };
    if whole.is_none_or(has_odd_segment) {
        return Err(refused("the path has an empty segment, a dot segment, or a slash at its end"));
    }
    Ok(path)
}

/// Whether a segment is empty, `.` or `..`.
fn has_odd_segment(path: &str) -> bool {
    let next = path.as_bytes().get(1..).unwrap_or_default();
    let pairs = path.bytes().zip(next);
    let may_have = pairs.fold(path.ends_with('/'), |odd, (byte, next)| odd | begins_oddly(byte, *next));
    may_have && path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."))
}

/// Whether a segment that begins between these two may be an odd one.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn begins_oddly(byte: u8, next: u8) -> bool {
    (byte == b'/') & ((next == b'/') | (next == b'.'))
}

/// The registry endpoint that a decoded path belongs to, its fields still unread.
#[derive(Clone, Copy)]
enum Shape<'a> {
    Base,
    Catalog,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    UploadStart(&'a str),
    Upload(&'a str, &'a str),
    Referrers(&'a str, &'a str),
}

impl<'a> Shape<'a> {
    /// Reads from the right-hand end, where the last two segments name the endpoint and no two endpoints agree in them.
    /// So the name takes all that is left, as in Distribution: `a/manifests/b` and `x/blobs/uploads/y` are names.
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/v2" | "/v2/" => return Some(Self::Base),
            "/v2/_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        let rest = path.strip_prefix("/v2/")?;
        if let Some(name) = rest.strip_suffix('/').unwrap_or(rest).strip_suffix("/blobs/uploads") {
            return Some(Self::UploadStart(name));
        }
        let (head, last) = rest.rsplit_once('/')?;
        let (name, keyword) = head.rsplit_once('/')?;
        match keyword {
            "tags" if last == "list" => Some(Self::Tags(name)),
            "manifests" => Some(Self::Manifest(name, last)),
            "blobs" => Some(Self::Blob(name, last)),
            "uploads" => Some(Self::Upload(name.strip_suffix("/blobs")?, last)),
            "referrers" => Some(Self::Referrers(name, last)),
            _ => None,
        }
    }

    /// The methods of the endpoint (OCI distribution spec 1.1, "Endpoints"), as an `Allow` header lists them.
    const fn methods(self) -> &'static str {
        match self {
            Self::Base => "GET, HEAD",
            Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::UploadStart(_) => "POST",
            Self::Upload(..) => "GET, PATCH, PUT, DELETE",
        }
    }
}

fn route(shape: Shape<'_>, method: Method, query: &Query) -> Result<Route, RouteError> {
    Ok(match shape {
        Shape::Base => Route::Base,
        Shape::Catalog => Route::Catalog(page(query)?),
        Shape::Tags(name) => Route::Tags { repository: repository(name)?, page: page(query)? },
        Shape::Manifest(name, text) => {
            let (repository, reference) = (repository(name)?, reference(text, method)?);
            let tags = match (&reference, method) {
                (Reference::Digest(_), Method::Put) => query.all("tag").map(tag).collect::<Result<_, _>>()?,
                _ => Vec::new(),
            };
            Route::Manifest { repository, reference, tags }
        }
        Shape::Blob(name, text) => Route::Blob { repository: repository(name)?, digest: digest(text)? },
        Shape::UploadStart(name) => upload_start(repository(name)?, query)?,
        Shape::Upload(name, text) => {
            let unknown = RouteError::not_found(ErrorCode::BlobUploadUnknown, "the path holds no upload session");
            Route::Upload {
                repository: repository(name)?,
                session: UploadSession::parse(text).ok_or(unknown)?,
                state: bounded(query.one("_state"), MAX_STATE)?,
                digest: completing(method, query)?,
            }
        }
        Shape::Referrers(name, text) => Route::Referrers {
            repository: repository(name)?,
            digest: digest(text)?,
            artifact_type: bounded(query.one("artifactType"), MAX_ARTIFACT_TYPE)?,
            page: page(query)?,
        },
    })
}

fn upload_start(repository: RepositoryName, query: &Query) -> Result<Route, RouteError> {
    let mount = query.one("mount").map(digest).transpose()?;
    let from = query.one("from").map(self::repository).transpose()?;
    let mount = mount.zip(from).map(|(digest, from)| Mount { digest, from });
    let digest = query.one("digest").map(digest).transpose()?;
    if mount.is_some() && digest.is_some() {
        return Err(refused("an upload is either a mount or has its content with it"));
    }
    let digest_algorithm = query.one("digest-algorithm");
    if digest_algorithm.is_some_and(|algorithm| !is_algorithm(algorithm)) {
        return Err(refused("the digest algorithm is not known"));
    }
    Ok(Route::UploadStart { repository, mount, digest, digest_algorithm: digest_algorithm.map(str::to_owned) })
}

/// The digest that completes an upload. Without one in the query, an upstream would take it from a form body, which
/// nobody here reads.
fn completing(method: Method, query: &Query) -> Result<Option<Digest>, RouteError> {
    if method != Method::Put {
        return Ok(None);
    }
    let missing = RouteError::malformed(ErrorCode::DigestInvalid, "a digest completes an upload, and it is missing");
    digest(query.one("digest").ok_or(missing)?).map(Some)
}

pub(super) fn page(query: &Query) -> Result<Page, RouteError> {
    let n = query.one("n").map(number).transpose()?;
    Ok(Page { n, last: bounded(query.one("last"), MAX_LAST)? })
}

/// A non-negative number, lowered to what an upstream may safely be asked for (class T).
fn number(text: &str) -> Result<u32, RouteError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RouteError::malformed(ErrorCode::PaginationNumberInvalid, "`n` is not a number"));
    }
    // Only digits: what does not fit is a number that is too large.
    Ok(text.parse().unwrap_or(MAX_N).min(MAX_N))
}

pub(super) fn repository(text: &str) -> Result<RepositoryName, RouteError> {
    RepositoryName::parse(text)
        .map_err(|_| RouteError::malformed(ErrorCode::NameInvalid, "a repository name is not in the grammar"))
}

pub(super) fn digest(text: &str) -> Result<Digest, RouteError> {
    Digest::parse(text).map_err(|_| RouteError::malformed(ErrorCode::DigestInvalid, "a digest is not in the grammar"))
}

fn tag(text: &str) -> Result<Tag, RouteError> {
    Tag::parse(text).map_err(|_| RouteError::malformed(ErrorCode::TagInvalid, "a tag is not in the grammar"))
}

/// What a manifest is asked for by.
fn reference(text: &str, method: Method) -> Result<Reference, RouteError> {
    match Reference::parse(text) {
        Ok(reference) => Ok(reference),
        Err(ReferenceError::Digest(_)) => digest(text).map(Reference::Digest),
        Err(ReferenceError::Tag(_)) => readable_tag(text, method).map(Reference::Tag),
    }
}

/// A tag of an existing manifest. A name that no manifest can have is, to a reader, one that no manifest has.
pub(super) fn readable_tag(text: &str, method: Method) -> Result<Tag, RouteError> {
    tag(text).map_err(|error| match method {
        Method::Get | Method::Head => {
            RouteError::not_found(ErrorCode::ManifestUnknown, "no manifest can have this tag")
        }
        _ => error,
    })
}

fn bounded(text: Option<&str>, longest: usize) -> Result<Option<String>, RouteError> {
    match text {
        Some(text) if text.len() > longest => Err(refused("a query parameter is too long")),
        text => Ok(text.map(str::to_owned)),
    }
}

const fn refused(reason: &'static str) -> RouteError {
    RouteError::malformed(ErrorCode::Unsupported, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_is_of_visible_characters_but_for_two() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_of_targets(byte), matches!(byte, b'!'..=b'~') && !b"#\\".contains(&byte), "{byte}");
        }
    }

    proptest! {
        #[test]
        fn an_odd_segment_is_found_wherever_it_is(path in "(/[a/.]{0,6}){1,3}") {
            let odd = path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."));
            prop_assert_eq!(has_odd_segment(&path), odd, "{}", path);
        }
    }
}
