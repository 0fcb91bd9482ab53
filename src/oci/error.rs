//! What a refused request is told: the codes, their fixed texts, and the body that carries them.
//!
//! The texts are those that ACR and Distribution send, because people and tools match on them; what an operator needs
//! beyond them goes to the log and the audit record under the request id.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use thiserror::Error;

use super::name::RepositoryName;
use super::scope::Scope;

/// A code of the OCI distribution spec ("Error Codes"), of Distribution or of ACR.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorCode {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    /// Distribution's, for a tag outside the grammar.
    TagInvalid,
    /// Distribution's, for an `n` that is no number.
    PaginationNumberInvalid,
    /// Distribution's, for a chunk that does not follow the last one.
    RangeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    Unavailable,
    Unknown,
    /// ACR's, for what a lock forbids.
    RegistryDisallowedOperation,
}

impl ErrorCode {
    const ALL: [Self; 20] = [
        Self::BlobUnknown,
        Self::BlobUploadInvalid,
        Self::BlobUploadUnknown,
        Self::DigestInvalid,
        Self::ManifestBlobUnknown,
        Self::ManifestInvalid,
        Self::ManifestUnknown,
        Self::NameInvalid,
        Self::NameUnknown,
        Self::SizeInvalid,
        Self::TagInvalid,
        Self::PaginationNumberInvalid,
        Self::RangeInvalid,
        Self::Unauthorized,
        Self::Denied,
        Self::Unsupported,
        Self::TooManyRequests,
        Self::Unavailable,
        Self::Unknown,
        Self::RegistryDisallowedOperation,
    ];

    /// The code `text` as another registry writes it; `None` for one that is not known here.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.code() == text)
    }

    /// The code as it is written on the wire.
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The text that clients show.
    pub const fn message(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", "blob unknown to registry"),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "blob upload invalid"),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
            Self::DigestInvalid => ("DIGEST_INVALID", "provided digest did not match uploaded content"),
            Self::ManifestBlobUnknown => {
                ("MANIFEST_BLOB_UNKNOWN", "manifest references a manifest or blob unknown to registry")
            }
            Self::ManifestInvalid => ("MANIFEST_INVALID", "manifest invalid"),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown"),
            Self::NameInvalid => ("NAME_INVALID", "invalid repository name"),
            Self::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry"),
            Self::SizeInvalid => ("SIZE_INVALID", "provided length did not match content length"),
            Self::TagInvalid => ("TAG_INVALID", "manifest tag did not match URI"),
            Self::PaginationNumberInvalid => ("PAGINATION_NUMBER_INVALID", "invalid number of results requested"),
            Self::RangeInvalid => ("RANGE_INVALID", "invalid content range"),
            Self::Unauthorized => (
                "UNAUTHORIZED",
                "authentication required, visit https://aka.ms/acr/authorization for more information.",
            ),
            Self::Denied => ("DENIED", "requested access to the resource is denied"),
            Self::Unsupported => ("UNSUPPORTED", "The operation is unsupported."),
            Self::TooManyRequests => ("TOOMANYREQUESTS", "too many requests"),
            Self::Unavailable => ("UNAVAILABLE", "service unavailable"),
            Self::Unknown => ("UNKNOWN", "unknown error"),
            Self::RegistryDisallowedOperation => (
                "REGISTRY_DISALLOWED_OPERATION",
                "The operation is disallowed on this registry, repository or image. View troubleshooting steps at \
                 https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation",
            ),
        }
    }
}

/// Why a request is outside the protocol's grammar, and what it is answered with.
///
/// The reason is for the log and the audit record; it never quotes the request. The client gets it only where nothing else
/// tells what is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{reason}")]
pub struct RouteError {
    code: ErrorCode,
    status: u16,
    reason: &'static str,
    /// Whether the client gets the reason instead of the code's text.
    is_told: bool,
    allow: Option<&'static str>,
}

impl RouteError {
    /// Answered with 400 and `code`.
    pub(super) const fn malformed(code: ErrorCode, reason: &'static str) -> Self {
        Self { code, status: 400, reason, is_told: false, allow: None }
    }

    /// Answered with 400, `code` and the reason.
    pub(super) const fn told(code: ErrorCode, reason: &'static str) -> Self {
        Self { is_told: true, ..Self::malformed(code, reason) }
    }

    /// Answered with 404 and `code`.
    pub(super) const fn not_found(code: ErrorCode, reason: &'static str) -> Self {
        Self { status: 404, ..Self::malformed(code, reason) }
    }

    /// Answered with 405: the path is known, but only with the methods in `allow`.
    pub(super) const fn method(allow: &'static str) -> Self {
        let reason = "the path is not served with this method";
        Self { status: 405, allow: Some(allow), ..Self::malformed(ErrorCode::Unsupported, reason) }
    }

    /// The code of the body.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The HTTP status, which for [`ErrorCode::Unsupported`] may be 400, 404 or 405.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, in a sentence without any byte of the request.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The value of the `Allow` header that RFC 9110 §15.5.6 asks of a 405.
    pub const fn allow(&self) -> Option<&'static str> {
        self.allow
    }
}

/// The body of a refusal: `{"errors":[{"code":…,"message":…,"detail":…}]}` with exactly one error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorBody {
    code: ErrorCode,
    message: Cow<'static, str>,
    /// JSON text, or empty for none.
    detail: String,
}

impl ErrorBody {
    /// A body with the fixed text of `code` and no detail.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: Cow::Borrowed(code.message()), detail: String::new() }
    }

    /// A body with another text than the fixed one, where ACR sends another.
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..Self::new(code) }
    }

    /// UNAUTHORIZED, naming in its detail every action that was needed, in the order of `scopes` (requirements B.1.2).
    pub fn unauthorized(scopes: &[Scope]) -> Self {
        let mut detail = String::new();
        for scope in scopes {
            for action in &scope.actions {
                // For one of usual length, and what may follow.
                detail.reserve(256);
                push_action(&mut detail, [&scope.kind, &scope.name, action]);
            }
        }
        if !detail.is_empty() {
            detail.push(']');
        }
        Self { detail, ..Self::new(ErrorCode::Unauthorized) }
    }

    /// DENIED by the network rules, naming the source address as ACR does (requirements B.10).
    pub fn denied_address(source: IpAddr) -> Self {
        let message = format!(
            "client with IP '{}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
            source.to_canonical()
        );
        Self::with_message(ErrorCode::Denied, message)
    }

    /// The same with what else is to be said, in words.
    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        Self { detail: quoted(detail), ..self }
    }

    /// NAME_UNKNOWN with ACR's detail.
    pub fn name_unknown(repository: &RepositoryName) -> Self {
        let detail = format!(r#"{{"name":{}}}"#, quoted(repository.as_str()));
        Self { detail, ..Self::new(ErrorCode::NameUnknown) }
    }

    /// The same with the id by which an operator finds out why, in the detail: the texts stay what clients know. A detail
    /// that lists actions gets one more element of the same shape.
    #[must_use]
    pub fn with_denial(mut self, id: Option<&str>) -> Self {
        let Some(id) = id else { return self };
        if self.detail.ends_with(']') {
            self.detail.pop();
            push_action(&mut self.detail, ["denial", id, "explain"]);
            self.detail.push(']');
        } else if self.detail.is_empty() {
            self.detail.push_str(r#"{"denial":"#);
            push_quoted(&mut self.detail, id);
            self.detail.push('}');
        }
        self
    }

    /// The code of the one error.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// The body as JSON; `'`, `<`, `>` and `&` are escaped as .NET, and so ACR, escapes them.
    pub fn json(&self) -> String {
        let mut json = String::with_capacity(96 + self.message.len() + self.detail.len());
        // A code is plain.
        for piece in [r#"{"errors":[{"code":""#, self.code.code(), r#"","message":"#] {
            json.push_str(piece);
        }
        push_quoted(&mut json, &self.message);
        if !self.detail.is_empty() {
            json.push_str(r#","detail":"#);
            json.push_str(&self.detail);
        }
        json.push_str("}]}");
        json
    }
}

impl From<&RouteError> for ErrorBody {
    fn from(error: &RouteError) -> Self {
        if error.is_told { Self::with_message(error.code, error.reason) } else { Self::new(error.code) }
    }
}

/// Appends one more of the actions that a detail lists.
fn push_action(detail: &mut String, [kind, name, action]: [&str; 3]) {
    detail.push_str(if detail.is_empty() { r#"[{"Type":"# } else { r#",{"Type":"# });
    push_quoted(detail, kind);
    detail.push_str(r#","Name":"#);
    push_quoted(detail, name);
    detail.push_str(r#","Action":"#);
    push_quoted(detail, action);
    detail.push('}');
}

/// Whether a byte stands for itself in a JSON string of ours. Without a branch, so that many bytes are looked at in one step: every
/// refusal has a few hundred.
#[expect(clippy::needless_bitwise_bool, reason = "a branch for each byte is what it avoids")]
const fn is_plain(byte: u8) -> bool {
    let is_visible = byte.wrapping_sub(b' ') < 0x5f;
    let is_quote = (byte == b'"') | (byte == b'\'') | (byte == b'\\');
    let is_markup = (byte == b'<') | (byte == b'>') | (byte == b'&');
    is_visible & !is_quote & !is_markup
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_quoted(&mut json, text);
    json
}

fn push_quoted(json: &mut String, text: &str) {
    json.push('"');
    // Nearly always: then in one piece.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        json.push_str(text);
        json.push('"');
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        json.push_str(plain);
        let mut characters = from.chars();
        match characters.next() {
            Some('"') => json.push_str("\\\""),
            Some('\\') => json.push_str("\\\\"),
            Some(
                character @ ('\''
                | '<'
                | '>'
                | '&'
                | '\u{0}'..='\u{1f}'
                | '\u{7f}'..='\u{9f}'
                | '\u{2028}'
                | '\u{2029}'),
            ) => {
                // Writing to a `String` cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            Some(other) => json.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    json.push_str(rest);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn denial_by_address_is_acrs_to_the_byte() {
        let expected = r#"{"errors":[{"code":"DENIED","message":"client with IP \u0027203.0.113.9\u0027 is not allowed access. Refer https://aka.ms/acr/firewall to grant access."}]}"#;
        assert_eq!(ErrorBody::denied_address("203.0.113.9".parse().unwrap()).json(), expected);
        assert_eq!(ErrorBody::denied_address("::ffff:203.0.113.9".parse().unwrap()).json(), expected);
    }

    #[test]
    fn unauthorized_lists_every_action_in_acrs_key_order() {
        let scopes = Scope::parse_list("repository:a/b:pull,push registry:catalog:*").unwrap();
        let expected = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required, visit https://aka.ms/acr/authorization for more information.","detail":[{"Type":"repository","Name":"a/b","Action":"pull"},{"Type":"repository","Name":"a/b","Action":"push"},{"Type":"registry","Name":"catalog","Action":"*"}]}]}"#;
        assert_eq!(ErrorBody::unauthorized(&scopes).json(), expected);
        assert!(!ErrorBody::unauthorized(&[]).json().contains("detail"));
    }

    #[test]
    fn the_id_of_a_denial_stands_in_the_detail() {
        let detail = |body: ErrorBody| {
            let json: serde_json::Value = serde_json::from_str(&body.with_denial(Some("0a1b")).json()).unwrap();
            json["errors"][0]["detail"].to_string()
        };
        let scopes = Scope::parse_list("repository:a/b:pull").unwrap();
        assert_eq!(
            detail(ErrorBody::unauthorized(&scopes)),
            r#"[{"Action":"pull","Name":"a/b","Type":"repository"},{"Action":"explain","Name":"0a1b","Type":"denial"}]"#
        );
        assert_eq!(detail(ErrorBody::denied_address("203.0.113.9".parse().unwrap())), r#"{"denial":"0a1b"}"#);
        assert_eq!(ErrorBody::unauthorized(&scopes).with_denial(None), ErrorBody::unauthorized(&scopes));
    }

    #[test]
    fn an_unknown_name_is_told_back() {
        let name = RepositoryName::parse("a/b").unwrap();
        let expected = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"a/b"}}]}"#;
        assert_eq!(ErrorBody::name_unknown(&name).json(), expected);
    }

    #[test]
    fn a_locked_image_is_refused_in_acrs_words() {
        let json = ErrorBody::new(ErrorCode::RegistryDisallowedOperation).json();
        assert!(json.contains(
            "repository or image. View troubleshooting steps at https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation\""
        ));
    }

    proptest! {
        #[test]
        fn any_message_survives_a_json_parser(message in ".*") {
            let json = ErrorBody::with_message(ErrorCode::Unknown, message.clone()).json();
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(parsed["errors"][0]["message"].as_str(), Some(message.as_str()));
            prop_assert_eq!(parsed["errors"][0]["code"].as_str(), Some("UNKNOWN"));
        }
    }
}
