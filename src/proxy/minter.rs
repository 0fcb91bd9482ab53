//! `auth` signs the access tokens that `upstream` presents: neither knows the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::auth::{Authenticator, MintError};
use crate::clock::Clock;
use crate::oci::Scope;
use crate::policy::upstream_credential::MintedAccess;
use crate::secret::Secret;
use crate::upstream::{Mint, NotMinted};

/// Signs with the keys of this installation.
pub struct Minter {
    pub authenticator: Arc<Authenticator>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Mint for Minter {
    async fn mint(&self, access: &MintedAccess, scopes: &[Scope]) -> Result<(Secret, Duration), NotMinted> {
        let minted = self.authenticator.issue_for_upstream(access, scopes, self.clock.now()).await;
        match minted {
            Ok(minted) => Ok((minted.token, Duration::from_secs(minted.expires_in.into()))),
            Err(MintError::Overloaded(_)) => Err(NotMinted::Busy),
            Err(error) => Err(NotMinted::Failed(error.to_string())),
        }
    }
}
