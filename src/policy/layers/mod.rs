//! The two layers of which every registry is made: what files declare, and what the API has set.
//!
//! Each layer is compiled apart from the other, is immutable once it is published, and is shared by all snapshots in
//! which it is the same. They meet by name, when somebody asks: the file's object first. So neither a change among
//! tens of thousands of stored tokens nor a reload of the files costs more than what it changes.

mod assignments;
mod declared;
mod endpoints;
mod identities;
mod stored;

pub use assignments::check_role_assignment;
pub(super) use assignments::{DeclaredAssignments, Everywhere, declared_of};
pub use declared::DeclaredPolicy;
pub(super) use declared::{Declared, Index};
pub use endpoints::check_private_endpoint_connection;
pub(super) use identities::StoredIdentities;
pub use identities::check_identity;
pub(super) use stored::Stored;
pub use stored::StoredPolicy;

use super::document::ConnectionStatus;
use super::identities::Identities;
use super::origin::{At, Origin};
use super::problem::{Problem, Problems};

impl DeclaredPolicy {
    /// What an operator should know of these files beside that store: what is in both, and what has no effect.
    ///
    /// Nothing of it stops anything: the files win.
    pub fn warnings_beside(&self, stored: &StoredPolicy) -> Problems {
        let mut warnings = Problems::new();
        for declared in &self.registries {
            declared.warn_beside(stored.registry(&declared.name), &self.identities, &mut warnings);
        }
        for name in stored.registries().filter(|name| !self.registries.iter().any(|one| one.name == **name)) {
            let what = format!("the store has objects of registry `{name}`, which no file declares");
            let hint = "they are kept and have no effect until a file declares it again";
            warnings.push(Problem::warning(&Origin::store(), what).hint(hint));
        }
        warnings
    }
}

impl Declared {
    fn warn_beside(&self, stored: &Stored, identities: &Identities, warnings: &mut Problems) {
        self.warn_of_admin(stored, warnings);
        let mut warn = |origin: &Origin, what: String| {
            let hint = "what this file says is in force; remove it here to use what the API has set";
            warnings.push(Problem::warning(origin, what).hint(hint));
        };
        let (properties, overruled) = stored.merged_with(&self.properties);
        for (name, origin) in overruled {
            warn(&origin, format!("`{name}` has another value in the store"));
        }
        if let Some(origin) = self.admin.as_ref().map(|at| &at.origin).filter(|_| stored.has_admin_passwords()) {
            warn(origin, "the admin account has passwords in the store too".to_owned());
        }
        for identity in identities.iter() {
            if let Some(id) = identity.client_id.as_ref().filter(|id| stored.token(id.as_str()).is_some()) {
                warn(&identity.origin, format!("a token in the store is named `{}`, as this client id", id.as_str()));
            }
        }
        for token in self.tokens.values().filter(|token| stored.token(&token.name).is_some()) {
            warn(&token.origin, format!("token `{}` is in the store too", token.name));
        }
        self.warn_of_endpoints(stored, &mut warn);
        for map in self.scope_maps.values().filter(|map| stored.scope_map(&map.name).is_some()) {
            warn(&map.origin, format!("scope map `{}` is in the store too", map.name));
        }
        let confined = self.properties.anonymous_pull_repositories.as_ref();
        if let Some(At { origin, .. }) = confined.filter(|_| !properties.anonymous_pull_enabled.value) {
            let what = "`anonymousPullRepositories` has no effect while `anonymousPullEnabled` is off";
            warnings.push(Problem::warning(origin, what).hint("set `anonymousPullEnabled` to true, or remove it"));
        }
    }

    /// One that is Pending in the store waited for what the file says, and that is no conflict.
    fn warn_of_endpoints(&self, stored: &Stored, warn: &mut impl FnMut(&Origin, String)) {
        for one in stored.endpoints().iter().filter(|one| one.status != ConnectionStatus::Pending) {
            let same = self.endpoints.named(&one.name).or_else(|| self.endpoints.matching(&one.matches));
            let Some(declared) = same else { continue };
            let what = format!("private endpoint connection `{}` is in the store too", declared.name);
            let other = if declared.name == one.name { String::new() } else { format!(", as `{}`", one.name) };
            warn(&declared.origin, format!("{what}{other}"));
        }
    }

    fn warn_of_admin(&self, stored: &Stored, warnings: &mut Problems) {
        let enabled = self.properties.admin_user_enabled.as_ref().filter(|enabled| enabled.value);
        let Some(At { origin, .. }) = enabled.filter(|_| self.admin.is_none() && !stored.has_admin_passwords()) else {
            return;
        };
        let what = "the admin account is enabled but has no password, so nobody can use it";
        let hint =
            "add `admin: { passwords: [ { name: password, file: … } ] }`, or let `seawall credential renew` make one";
        warnings.push(Problem::warning(origin, what).hint(hint));
    }
}
