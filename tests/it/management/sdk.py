"""Microsoft's own management SDK against seawall: only the base URL and a stub credential are ours."""

import sys
import time
from datetime import datetime, timedelta, timezone

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.containerregistry.models import (
    GenerateCredentialsParameters,
    IPRule,
    NetworkRuleSet,
    RegenerateCredentialParameters,
    RegistryUpdateParameters,
    ScopeMap,
    ScopeMapUpdateParameters,
    Token,
    TokenPassword,
    TokenCredentialsProperties,
    TokenUpdateParameters,
)

url, credential, ca = sys.argv[1:4]
GROUP, REGISTRY = "any-group", "myregistry"


class Stub:
    """Gives the management credential where Azure would give an access token."""

    def get_token(self, *scopes, **kwargs):
        return AccessToken(credential, int(time.time()) + 3600)

    def get_token_info(self, *scopes, options=None):
        from azure.core.credentials import AccessTokenInfo

        return AccessTokenInfo(credential, int(time.time()) + 3600)


client = ContainerRegistryManagementClient(
    Stub(),
    "any-subscription",
    base_url=url,
    credential_scopes=["https://management.example/.default"],
    connection_verify=ca,
    polling_interval=0,
)
# Tests have one answer to a failure: to fail.
client._config.retry_policy.total_retries = 0

# Registries.
names = [registry.name for registry in client.registries.list()]
assert names == [REGISTRY], names
assert [one.name for one in client.registries.list_by_resource_group(GROUP)] == [REGISTRY]
registry = client.registries.get(GROUP, REGISTRY)
assert registry.admin_user_enabled is False and registry.provisioning_state == "Succeeded", registry
assert registry.network_rule_set.default_action == "Allow"
assert registry.network_rule_bypass_options == "AzureServices"
taken = client.registries.check_name_availability(
    {"name": REGISTRY, "type": "Microsoft.ContainerRegistry/registries"}
)
assert taken.name_available is False, taken

# Network rules.
rules = NetworkRuleSet(default_action="Deny", ip_rules=[IPRule(ip_address_or_range="127.0.0.0/8", action="Allow")])
updated = client.registries.begin_update(
    GROUP, REGISTRY, RegistryUpdateParameters(network_rule_set=rules, admin_user_enabled=True)
).result()
assert updated.network_rule_set.ip_rules[0].ip_address_or_range == "127.0.0.0/8", updated
assert updated.admin_user_enabled is True

# The admin account.
before = client.registries.list_credentials(GROUP, REGISTRY)
assert before.username == REGISTRY and [one.name for one in before.passwords] == ["password", "password2"]
after = client.registries.regenerate_credential(GROUP, REGISTRY, RegenerateCredentialParameters(name="password2"))
assert after.passwords[0].value == before.passwords[0].value
assert after.passwords[1].value != before.passwords[1].value

# Private endpoint connections. `match` is seawall's; everything else is as the SDK has it.
connections = client.private_endpoint_connections
made = connections.begin_create_or_update(
    GROUP, REGISTRY, "vpce-0sdk", {"properties": {"match": {"vpcEndpointId": "vpce-0sdk"}}}
).result()
assert made.private_link_service_connection_state.status == "Pending", made
found = connections.get(GROUP, REGISTRY, "vpce-0sdk")
assert found.private_link_service_connection_state.actions_required == "None", found
found.private_link_service_connection_state.status = "Approved"
found.private_link_service_connection_state.description = "by the SDK"
approved = connections.begin_create_or_update(GROUP, REGISTRY, "vpce-0sdk", found).result()
assert approved.private_link_service_connection_state.status == "Approved", approved
assert approved.provisioning_state == "Succeeded", approved
listed = [(one.name, one.private_link_service_connection_state.description) for one in connections.list(GROUP, REGISTRY)]
assert listed == [("vpce-0sdk", "by the SDK")], listed
shown = client.registries.get(GROUP, REGISTRY).private_endpoint_connections
assert [one.id for one in shown] == [approved.id], shown
connections.begin_delete(GROUP, REGISTRY, "vpce-0sdk").result()
assert not list(connections.list(GROUP, REGISTRY))
try:
    connections.get(GROUP, REGISTRY, "vpce-0sdk")
    raise AssertionError("a deleted connection was found")
except ResourceNotFoundError as error:
    assert error.error.code == "ResourceNotFound", error

# Scope maps.
read = "repositories/samples/*/content/read"
scope_map = client.scope_maps.begin_create(
    GROUP, REGISTRY, "sdk-map", ScopeMap(description="by the SDK", actions=[read])
).result()
assert scope_map.actions == [read] and scope_map["properties"]["type"] == "UserDefined", scope_map
write = "repositories/samples/*/content/write"
scope_map = client.scope_maps.begin_update(
    GROUP, REGISTRY, "sdk-map", ScopeMapUpdateParameters(actions=[read, write])
).result()
assert sorted(scope_map.actions) == [read, write], scope_map
listed = {one.name for one in client.scope_maps.list(GROUP, REGISTRY)}
assert {"sdk-map", "_repositories_pull", "_repositories_push", "_repositories_admin"} <= listed, listed

# Tokens.
token = client.tokens.begin_create(
    GROUP, REGISTRY, "sdk-token", Token(scope_map_id=scope_map.id, status="enabled")
).result()
assert token.status == "enabled" and token.scope_map_id == scope_map.id, token
expiry = datetime.now(timezone.utc) + timedelta(days=30)
generated = client.registries.begin_generate_credentials(
    GROUP, REGISTRY, GenerateCredentialsParameters(token_id=token.id, expiry=expiry)
).result()
assert generated.username == "sdk-token" and len(generated.passwords) == 2, generated
assert all(len(one.value) >= 32 for one in generated.passwords)
assert abs(generated.passwords[0].expiry - expiry) < timedelta(seconds=1)
shown = client.tokens.get(GROUP, REGISTRY, "sdk-token")
assert [one.value for one in shown.credentials.passwords] == [None, None], "a password is shown once"
again = client.registries.begin_generate_credentials(
    GROUP, REGISTRY, GenerateCredentialsParameters(token_id=token.id, name="password1")
).result()
assert [one.value is not None for one in again.passwords if one.name == "password1"] == [True], again
client.tokens.begin_update(
    GROUP,
    REGISTRY,
    "sdk-token",
    TokenUpdateParameters(credentials=TokenCredentialsProperties(passwords=[TokenPassword(name="password1")])),
).result()
shown = client.tokens.get(GROUP, REGISTRY, "sdk-token")
assert [one.name for one in shown.credentials.passwords] == ["password1"], shown
disabled = client.tokens.begin_update(GROUP, REGISTRY, "sdk-token", TokenUpdateParameters(status="disabled")).result()
assert disabled.status == "disabled"
assert [one.name for one in client.tokens.list(GROUP, REGISTRY)] == ["sdk-token"]

# What must be refused, in ARM's error shape.
try:
    client.scope_maps.begin_delete(GROUP, REGISTRY, "sdk-map").result()
    raise AssertionError("a scope map in use was deleted")
except HttpResponseError as error:
    assert error.status_code == 409 and "sdk-token" in error.message, error
try:
    client.scope_maps.begin_create(GROUP, REGISTRY, "bad-map", ScopeMap(actions=["repositories/a*/content/read"])).result()
    raise AssertionError("a bad wildcard was accepted")
except HttpResponseError as error:
    assert error.status_code == 400 and error.error.code, error

client.tokens.begin_delete(GROUP, REGISTRY, "sdk-token").result()
client.scope_maps.begin_delete(GROUP, REGISTRY, "sdk-map").result()
try:
    client.tokens.get(GROUP, REGISTRY, "sdk-token")
    raise AssertionError("a deleted token was found")
except ResourceNotFoundError as error:
    assert error.error.code == "ResourceNotFound", error
usages = client.registries.list_usages(GROUP, REGISTRY)
assert any(one.name == "Tokens" for one in usages.value), usages
print(f"{generated.passwords[1].value}")
