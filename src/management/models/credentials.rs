//! Passwords as the API shows them, and the requests that make them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{Expiry, Length, Moment};

/// A token's credentials.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct Credentials {
    /// Always empty: tokens have no certificates.
    #[schema(value_type = Vec<Object>)]
    pub(in crate::management) certificates: [(); 0],
    /// `password1` and `password2`, as far as they exist.
    pub(in crate::management) passwords: Vec<Password>,
    /// Not ARM's: further named passwords.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::management) additional_passwords: Vec<Password>,
}

/// One password of a token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct Password {
    /// Null for a password that a file declares.
    pub(in crate::management) creation_time: Option<Moment>,
    /// Null: never.
    pub(in crate::management) expiry: Option<Moment>,
    pub(in crate::management) name: String,
    /// Only in the answer to the request that generated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) value: Option<String>,
    /// Not ARM's: when it was accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) last_used_time: Option<Moment>,
    /// Not ARM's: from where it was accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(in crate::management) last_used_address: Option<IpAddr>,
    /// Not ARM's: the password that this one replaced, while it is still accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) replaced: Option<PreviousPassword>,
}

/// A password that another one has replaced already.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct PreviousPassword {
    /// It is refused from this moment on.
    pub(in crate::management) valid_until: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) last_used_time: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(in crate::management) last_used_address: Option<IpAddr>,
}

/// What `generateCredentials` is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct GenerateCredentials {
    /// The id of the token.
    pub(in crate::management) token_id: String,
    /// `password1` or `password2`, or the name of an additional one; both of the two when absent.
    #[serde(default)]
    pub(in crate::management) name: Option<String>,
    /// From this moment on the new passwords are refused; never when absent.
    #[serde(default)]
    pub(in crate::management) expiry: Option<Expiry>,
    /// Not ARM's: how long the replaced passwords are still accepted; not at all when absent.
    #[serde(default)]
    pub(in crate::management) overlap: Option<Length>,
}

/// What `generateCredentials` answers: the only place where the values are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct GeneratedCredentials {
    /// The token's name.
    pub(in crate::management) username: String,
    pub(in crate::management) passwords: Vec<Password>,
    /// Not ARM's: further named passwords.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::management) additional_passwords: Vec<Password>,
}

/// The admin account's credentials.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ListedCredentials {
    /// The registry's name.
    pub(in crate::management) username: String,
    pub(in crate::management) passwords: Vec<ListedPassword>,
    /// Not ARM's: the place in the file that declares the passwords, whose values are not shown then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) declared_in: Option<String>,
}

/// One password of the admin account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct ListedPassword {
    /// `password` or `password2`.
    pub(in crate::management) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) value: Option<String>,
    /// Not ARM's: when it was accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::management) last_used_time: Option<Moment>,
    /// Not ARM's: from where it was accepted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(in crate::management) last_used_address: Option<IpAddr>,
}

/// What `regenerateCredential` is asked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::management) struct RegenerateCredential {
    /// `password` or `password2`.
    pub(in crate::management) name: String,
}
