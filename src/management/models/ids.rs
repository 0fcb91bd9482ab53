//! ARM ids: made with the canonical subscription and group, read with any.

use super::super::Settings;
use super::super::endpoints::{Operation, Target};

/// The ids of one registry and of what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(in crate::management) struct Ids<'a> {
    pub(in crate::management) settings: &'a Settings,
    /// The registry's name as declared.
    pub(in crate::management) registry: &'a str,
}

impl Ids<'_> {
    /// Of the registry itself.
    pub(in crate::management) fn registry(&self) -> String {
        let Settings { subscription, resource_group, .. } = self.settings;
        format!(
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.ContainerRegistry/registries/{}",
            self.registry
        )
    }

    /// Of a scope map.
    pub(in crate::management) fn scope_map(&self, name: &str) -> String {
        format!("{}/scopeMaps/{name}", self.registry())
    }

    /// Of a token.
    pub(in crate::management) fn token(&self, name: &str) -> String {
        format!("{}/tokens/{name}", self.registry())
    }

    /// Of a private endpoint connection.
    pub(in crate::management) fn endpoint_connection(&self, name: &str) -> String {
        format!("{}/privateEndpointConnections/{name}", self.registry())
    }

    /// The name in the id of one of this registry's scope maps.
    pub(in crate::management) fn scope_map_name(&self, id: &str) -> Option<String> {
        self.name_in(id, Operation::GetScopeMap, "scopeMapName")
    }

    /// The name in the id of one of this registry's tokens.
    pub(in crate::management) fn token_name(&self, id: &str) -> Option<String> {
        self.name_in(id, Operation::GetToken, "tokenName")
    }

    /// An id is the path at which the resource is read.
    fn name_in(&self, id: &str, operation: Operation, parameter: &str) -> Option<String> {
        let target = Target::find(&http::Method::GET, id).ok()?;
        let ours =
            target.operation == operation && target.parameter("registryName").eq_ignore_ascii_case(self.registry);
        ours.then(|| target.parameter(parameter).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::SigningAlgorithm;

    #[test]
    fn ids_are_read_with_any_subscription_group_and_case() {
        let settings = Settings {
            subscription: "sub".to_owned(),
            resource_group: "group".to_owned(),
            tls: false,
            enforced_tier: None,
            signing_algorithm: SigningAlgorithm::Es256,
        };
        let ids = Ids { settings: &settings, registry: "myregistry" };
        let id = ids.scope_map("MyMap");
        assert_eq!(
            id,
            "/subscriptions/sub/resourceGroups/group/providers/Microsoft.ContainerRegistry/registries/myregistry/scopeMaps/MyMap"
        );
        assert_eq!(ids.scope_map_name(&id).as_deref(), Some("MyMap"));
        let other =
            id.replace("/sub/", "/x/").replace("resourceGroups/group", "resourcegroups/y").replace("myr", "MYR");
        assert_eq!(ids.scope_map_name(&other).as_deref(), Some("MyMap"));
        for foreign in [ids.token("MyMap"), id.replace("myregistry", "other1"), "MyMap".to_owned(), String::new()] {
            assert_eq!(ids.scope_map_name(&foreign), None, "{foreign}");
        }
        assert_eq!(ids.token_name(&ids.token("t")).as_deref(), Some("t"));
    }
}
