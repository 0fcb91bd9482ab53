//! From a credential to a caller: the join of what was presented with what the policy knows.

use std::sync::Arc;

use super::access_token::AccessTokens;
use super::keys::SigningKeys;
use super::password::{Attempt, Passwords};
use super::refresh_token::RefreshTokens;
use crate::clock::Timestamp;
use crate::oci::Scope;
use crate::policy::{AccessList, Caller, Denial, Granted, Principal, Registry};
use crate::secret::{HashKey, Secret};
