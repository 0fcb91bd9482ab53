//! When and from where passwords were used last, for those who want to know which ones can go (D11, D12).

use std::collections::HashMap;
use std::net::IpAddr;

use super::call::Call;
use super::error::ApiError;
use super::models::Moment;
use crate::policy::credential::CredentialId;
use crate::store::LastUse;

/// The last uses of some credentials.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<CredentialId, LastUse>);

impl Uses {
    /// Reads the last uses of `credentials`.
    pub(super) async fn read(call: &Call, credentials: &[CredentialId]) -> Result<Self, ApiError> {
        if credentials.is_empty() {
            return Ok(Self::default());
        }
        let uses = call.parts.store.last_uses(credentials).await?;
        Ok(Self(uses.into_iter().map(|last| (last.credential, last)).collect()))
    }

    /// When `credential` was used last.
    pub(super) fn time(&self, credential: CredentialId) -> Option<Moment> {
        self.0.get(&credential).map(|last| Moment(last.at))
    }

    /// From where `credential` was used last.
    pub(super) fn address(&self, credential: CredentialId) -> Option<IpAddr> {
        self.0.get(&credential).map(|last| last.address)
    }
}
