//! Who is heard at all (E-17). From most sources everybody is; from one that only a trusted service may come from, whoever could
//! be one: who shows a token, or a certificate. No password is looked at there, so that guessing one from such a place tells
//! nothing and costs nothing.

use std::time::Duration;

use super::reject::Refusal;
use super::token_endpoint::NULL_GUID;
use super::trail::Trail;
use crate::auth::limits::Claim;
use crate::auth::{Authenticator, Failure};
use crate::oci::Credential;
use crate::policy::network::{Admitted, Place, Refused, Source, SourceAddress};
use crate::policy::trusted::{Admission, Distrust};
use crate::policy::{Denial, Principal, Registry};

/// The network's decision about one request.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    admission: Admission,
    source: SourceAddress,
    /// Whether asking changes nothing: then whoever shows no credential gets the challenge, as clients need it to begin.
    invites: bool,
}

impl Door {
    /// Step 4. Before any credential is looked at, on every path.
    pub(crate) fn open(registry: &Registry, source: Source<'_>, trail: &mut Trail) -> Result<Self, Refusal> {
        let decision = registry.admit(source);
        let place = decision.as_ref().map_or_else(Refused::place, Admission::place);
        trail.network = Some(place.class.clone());
        let admitted = matches!(decision, Ok(Admission::Admitted(_)));
        trail.shadow = registry.network.shadowed(source, admitted);
        let admission = decision.map_err(|refused| refuse(source.address, &refused))?;
        Ok(Self { admission, source: source.address, invites: false })
    }

    /// Where it is asked from.
    pub(crate) fn place(&self) -> &Place {
        self.admission.place()
    }

    /// The same for a request that is invited to show a credential.
    pub(crate) fn inviting(self, invites: bool) -> Self {
        Self { invites, ..self }
    }

    /// Everybody is heard: what is behind it is for whoever the network rules admit, whoever he is.
    pub(crate) fn is_open(&self) -> Result<&Admitted, Refusal> {
        match &self.admission {
            Admission::Admitted(admitted) => Ok(admitted),
            Admission::Confined(confined) => {
                Err(refuse(self.source, &confined.refuse(Distrust::Unproven("credential_required"))))
            }
        }
    }

    /// Whether a user name and a password are looked at: under the null GUID the password is a token.
    pub(crate) fn hears(&self, user: Option<&str>) -> Result<(), Refusal> {
        match &self.admission {
            Admission::Confined(confined) if user != Some(NULL_GUID) => {
                Err(refuse(self.source, &confined.refuse(Distrust::Unvouched)))
            }
            Admission::Admitted(_) | Admission::Confined(_) => Ok(()),
        }
    }

    /// The same of what stands in the header.
    pub(crate) fn hears_credential(&self, credential: &Credential) -> Result<(), Refusal> {
        match credential {
            Credential::Basic { user, .. } => self.hears(Some(user)),
            Credential::Bearer(_) => Ok(()),
        }
    }

    /// Does `attempt` with a token. From a confined source it counts when it fails, so that guessing ends there too.
    pub(crate) async fn guard<T>(
        &self,
        authenticator: &Authenticator,
        (registry, ticks): (&str, Duration),
        attempt: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if matches!(self.admission, Admission::Admitted(_)) {
            return attempt.await;
        }
        let claim = Claim { source: self.source, registry: Some(registry), user: None, now: ticks };
        authenticator.logins().guard(claim, attempt).await
    }

    /// How it is told that nobody proved to be anybody: from a confined source by the refusal of the network, except where a
    /// client has to be told to begin, or to begin again.
    pub(crate) fn tell(&self, refusal: Refusal) -> Refusal {
        let Admission::Confined(confined) = &self.admission else { return refusal };
        match refusal {
            Refusal::Denied { denial: Denial::CredentialRequired | Denial::AccessTokenExpired, .. } if self.invites => {
                refusal
            }
            Refusal::Denied { denial, .. } => refuse(self.source, &confined.refuse(Distrust::Unproven(denial.code()))),
            Refusal::Link(_) => refuse(self.source, &confined.refuse(Distrust::Unproven(refusal.code()))),
            other => other,
        }
    }

    /// Whether `principal`, who proved to be it, comes in.
    pub(crate) fn enter(
        &self,
        registry: &Registry,
        principal: &Principal,
        trail: &mut Trail,
    ) -> Result<Admitted, Refusal> {
        let admitted = self.admission.resolve(registry, principal).map_err(|refused| refuse(self.source, &refused))?;
        trail.network = Some(admitted.place().class.clone());
        Ok(admitted)
    }
}

fn refuse(source: SourceAddress, refused: &Refused) -> Refusal {
    Refusal::Network { source_address: source.ip(), reason: refused.to_string() }
}
