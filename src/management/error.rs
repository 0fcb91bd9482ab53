//! What went wrong, as ARM says it: `{"error":{"code","message","target"?,"details"?}}`.
//!
//! Two texts: one for the client, and where that may not say everything, one for the operator's log.

use std::fmt::Display;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::password::PasswordError;
use crate::policy::origin::Origin;
use crate::secret::SealError;
use crate::store::StoreError;

/// The answer to a request that was not carried out.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) error: Box<ErrorDetail>,
    /// Seconds after which trying again may help.
    pub(super) retry_after: Option<u32>,
    /// The methods that the path does have.
    pub(super) allow: Option<String>,
    /// For the log only.
    pub(super) internal: Option<String>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorResponse<'a> {
    pub(super) error: &'a ErrorDetail,
}

/// What is wrong.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(no_recursion)]
pub(super) struct ErrorDetail {
    /// A word for programs.
    pub(super) code: &'static str,
    /// A sentence for people.
    pub(super) message: String,
    /// The property that is meant, as a path in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<ErrorDetail>,
}

impl ApiError {
    /// An answer of this status. `code` is a word for programs, `message` a sentence for people.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = Box::new(ErrorDetail { code, message: message.into(), ..ErrorDetail::default() });
        Self { status, error, retry_after: None, allow: None, internal: None }
    }

    /// The request has no meaning here.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The property `target` of the body cannot be what it is.
    pub(super) fn invalid(target: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).at(target)
    }

    /// `resource` is a path such as `registries/r/tokens/t`.
    pub(super) fn not_found(resource: &str) -> Self {
        let message = format!("The resource 'Microsoft.ContainerRegistry/{resource}' was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
    }

    /// `kind` is a resource type, perhaps in a scope.
    pub(super) fn not_found_in(kind: &str, name: &str) -> Self {
        let message = format!("The resource '{kind}/{name}' was not found.");
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message)
    }

    /// A condition in `$filter` that has no meaning here.
    pub(super) fn filter(condition: &str, known: &str) -> Self {
        let message = format!("the condition `{condition}` is not understood; write {known}");
        Self::new(StatusCode::BAD_REQUEST, "InvalidFilterInQueryString", message)
    }

    /// The state of things does not allow it.
    pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// `what` is written in a file, where alone it can be changed (design: the file wins).
    pub(super) fn declared(what: &str, origin: &Origin) -> Self {
        let message = format!("{what} is declared at {origin}; change it there");
        Self::conflict("DeclaredInFile", message)
    }

    /// An `If-Match` or `If-None-Match` does not hold.
    pub(super) fn precondition() -> Self {
        let message = "the resource is not in the state that the request asks for; read it again";
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
    }

    /// Our own failure; `internal` is for the log.
    pub(super) fn internal(internal: &dyn Display) -> Self {
        let message = "seawall failed to carry this out; its log says why";
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message);
        Self { internal: Some(internal.to_string()), ..error }
    }

    /// Names the property that is meant.
    pub(super) fn at(mut self, target: &str) -> Self {
        self.error.target = Some(target.to_owned());
        self
    }

    /// Something that is not possible at the moment, for a reason that goes to the log.
    pub(super) fn unavailable(message: &str, internal: Option<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message);
        Self { retry_after: Some(1), internal, ..error }
    }

    /// No policy has been published yet.
    pub(super) fn starting() -> Self {
        Self::unavailable("seawall is starting: there is no policy yet", None)
    }

    /// A write of which nobody knows whether it was done.
    pub(super) fn unknown_outcome(reason: &str) -> Self {
        let message = "the store is not available; it is not known whether the change was made, so read before \
                       trying again";
        Self::unavailable(message, Some(reason.to_owned()))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::conflict(
                "Conflict",
                "the resource was changed by others at the same time, again and again; try again later",
            ),
            StoreError::Unavailable(reason) => {
                Self::unavailable("the store is not available; try again later", Some(reason))
            }
            StoreError::Unusable(reason) => Self::internal(&format_args!("the store cannot be used: {reason}")),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        Self::internal(&error)
    }
}

impl From<SealError> for ApiError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NotOurs => Self::conflict(
                "SealedWithAnotherKey",
                "what the store keeps was sealed with another encryption key; configure that key, or make new passwords",
            ),
            SealError::System => Self::internal(&error),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error)
    }
}
