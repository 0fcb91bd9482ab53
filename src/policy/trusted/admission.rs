//! The network's decision about a registry, where those whom its rules refuse may still be trusted services (E-17).
//!
//! A type, so that a handler that knows nothing of trusted services lets nobody in: what it needs is [`Admitted`], and from a
//! confined source that is had of a principal only.

use super::Distrust;
use crate::policy::network::{Admitted, Place, Reason, Refused, Source};
use crate::policy::principal::Principal;
use crate::policy::registry::Registry;

/// What becomes of a source. Only [`Registry::admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    Admitted(Admitted),
    Confined(Confined),
}

/// A source that the rules refuse, unless who comes from it turns out to be a trusted service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Confined {
    refused: Refused,
}

impl Registry {
    /// Decides about `source`. What the rules for public networks refuse is confined where anybody could be trusted; a private
    /// endpoint that is not approved is not, and neither is anybody while the rules cannot be read.
    ///
    /// # Errors
    /// What refuses it, whoever comes from there.
    #[inline]
    pub fn admit(&self, source: Source<'_>) -> Result<Admission, Refused> {
        match self.network.admit(source) {
            Ok(admitted) => Ok(Admission::Admitted(admitted)),
            Err(refused) => self.confine(refused),
        }
    }

    #[cold]
    fn confine(&self, refused: Refused) -> Result<Admission, Refused> {
        match refused.reason() {
            Reason::PublicAccessDisabled | Reason::Rule(_) | Reason::DefaultAction(_) => {}
            Reason::RulesUnreadable
            | Reason::OnlyV4
            | Reason::VirtualNetwork(_)
            | Reason::PrivateEndpoint(_)
            | Reason::UnknownEndpoint(_)
            | Reason::TrustedService(_) => return Err(refused),
        }
        match self.trusts_anybody() {
            Ok(()) => Ok(Admission::Confined(Confined { refused })),
            // Nothing to say where nobody was ever trusted.
            Err(Distrust::Nobody) => Err(refused),
            Err(distrust) => Err(refused.although(distrust)),
        }
    }
}

impl Admission {
    /// What decided so far.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Admitted(admitted) => admitted.reason(),
            Self::Confined(confined) => confined.refused.reason(),
        }
    }

    /// Where the source is, in the words of the rules.
    pub fn place(&self) -> &Place {
        match self {
            Self::Admitted(admitted) => admitted.place(),
            Self::Confined(confined) => confined.refused.place(),
        }
    }

    /// Whether `principal` is let in at `registry`, about which this was decided.
    ///
    /// # Errors
    /// The refusal of the rules, for whoever is no trusted service.
    pub fn resolve(&self, registry: &Registry, principal: &Principal) -> Result<Admitted, Refused> {
        match self {
            Self::Admitted(admitted) => Ok(admitted.clone()),
            Self::Confined(confined) => confined.resolve(registry, principal),
        }
    }
}

impl Confined {
    /// Whether `principal`, as he is now at `registry`, is a trusted service.
    ///
    /// # Errors
    /// The refusal of the rules, with why he is not.
    pub fn resolve(&self, registry: &Registry, principal: &Principal) -> Result<Admitted, Refused> {
        match registry.trust(principal, self.refused.place()) {
            Ok(instance) => Ok(Admitted::trusted(instance, self.refused.place())),
            Err(distrust) => Err(self.refuse(distrust)),
        }
    }

    /// The refusal of the rules, and why nobody passes in spite of it.
    pub fn refuse(&self, distrust: Distrust) -> Refused {
        self.refused.clone().although(distrust)
    }
}
