//! Upload locations: what a client needs to go on with an upload, sealed so that nobody else can.
//!
//! An upload session of the upstream belongs to whoever knows its URL. Here the location carries an HMAC over the
//! registry, the repository, the session, the upstream's own state and the principal, so that it is of no use in another
//! repository, in another registry, or to somebody else (threat class A; CVE-2026-32589).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::oci::{RepositoryName, UploadSession};
use crate::policy::credential::PrincipalId;
use crate::secret::{HashKey, KeyedDigest};

/// Everything that a sealed location is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) registry: &'a str,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) session: &'a UploadSession,
    pub(crate) principal: Option<PrincipalId>,
}

impl Binding<'_> {
    /// The value of `_state` that stands for the upstream's own query string.
    pub(crate) fn seal(&self, key: &HashKey, upstream_query: &str) -> String {
        let state = URL_SAFE_NO_PAD.encode(upstream_query);
        let mac = URL_SAFE_NO_PAD.encode(self.mac(key, upstream_query).as_bytes());
        format!("{state}.{mac}")
    }

    /// The upstream's query string, if `state` was sealed for exactly this binding.
    pub(crate) fn open(&self, key: &HashKey, state: &str) -> Option<String> {
        let (state, mac) = state.split_once('.')?;
        let upstream_query = String::from_utf8(URL_SAFE_NO_PAD.decode(state).ok()?).ok()?;
        let mac: [u8; 32] = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
        (KeyedDigest::from_bytes(mac) == self.mac(key, &upstream_query)).then_some(upstream_query)
    }

    fn mac(&self, key: &HashKey, upstream_query: &str) -> KeyedDigest {
        let principal = self.principal.map(|id| id.to_string()).unwrap_or_default();
        let parts = [self.registry, self.repository.as_str(), self.session.as_str(), &principal, upstream_query];
        key.digest("upload", &parts.map(str::as_bytes))
    }
}

/// Splits the `Location` of an upload session as an upstream wrote it, absolute or relative, into session and query.
///
/// `None` when it does not name an upload session of `repository`: such an answer is not passed on.
pub(crate) fn session_of<'a>(location: &'a str, repository: &RepositoryName) -> Option<(UploadSession, &'a str)> {
    let path_and_query = match location.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => location,
    };
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let session = path
        .strip_prefix("/v2/")?
        .strip_prefix(repository.as_str())?
        .strip_prefix("/blobs/uploads/")?
        .trim_end_matches('/');
    let fits = query.len() <= 4096 && query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    fits.then_some(())?;
    Some((UploadSession::parse(session)?, query))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> RepositoryName {
        RepositoryName::parse(name).unwrap()
    }

    fn principal(byte: u8) -> PrincipalId {
        PrincipalId::derive(&HashKey::from_bytes([byte; 32]), "test", &[])
    }

    #[test]
    fn a_sealed_location_opens_for_the_same_binding_only() {
        let key = HashKey::from_bytes([1; 32]);
        let (mine, other) = (repository("mine/app"), repository("other/app"));
        let (session, foreign) = (UploadSession::parse("s-1").unwrap(), UploadSession::parse("s-2").unwrap());
        let binding = Binding { registry: "one", repository: &mine, session: &session, principal: Some(principal(1)) };
        let sealed = binding.seal(&key, "_state=abc%3D&x=1");
        assert_eq!(binding.open(&key, &sealed).as_deref(), Some("_state=abc%3D&x=1"));
        let others = [
            Binding { registry: "two", ..binding },
            Binding { repository: &other, ..binding },
            Binding { session: &foreign, ..binding },
            Binding { principal: Some(principal(2)), ..binding },
            Binding { principal: None, ..binding },
        ];
        for other in others {
            assert_eq!(other.open(&key, &sealed), None, "{other:?}");
        }
        assert_eq!(binding.open(&HashKey::from_bytes([2; 32]), &sealed), None);
        let (_, mac) = sealed.split_once('.').unwrap();
        let forged = format!("{}.{mac}", URL_SAFE_NO_PAD.encode("_state=evil"));
        for state in [forged.as_str(), "", ".", "a.b", sealed.trim_end_matches(|_| true)] {
            assert_eq!(binding.open(&key, state), None, "{state}");
        }
    }

    #[test]
    fn only_an_upload_session_of_the_same_repository_is_recognised() {
        let app = repository("team/app");
        let session = |location| session_of(location, &app).map(|(s, q)| (s.as_str().to_owned(), q.to_owned()));
        let expected = Some(("u-1".to_owned(), "_state=x".to_owned()));
        assert_eq!(session("/v2/team/app/blobs/uploads/u-1?_state=x"), expected);
        assert_eq!(session("http://upstream:5000/v2/team/app/blobs/uploads/u-1?_state=x"), expected);
        for location in [
            "/v2/team/other/blobs/uploads/u-1",
            "/v2/team/app/blobs/uploads/",
            "/v2/team/app/blobs/uploads/a/b",
            "/v2/team/app/manifests/v1",
            "http://upstream",
            "",
        ] {
            assert_eq!(session(location), None, "{location}");
        }
    }
}
