//! `seawall show|list|update|show-usage`, `credential`, `network-rule`, `key`.

use serde_json::{Value, json};

use crate::arm::{GROUP, id, registry, registry_with};
use crate::harness::{Reply, Transcript};

#[test]
fn a_registry_is_shown_in_the_shape_of_az() {
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, registry()));
    told.server.on("GET", &format!("{GROUP}/registries"), Reply::json(200, json!({ "value": [registry()] })));
    let usage = json!({ "value": [
        { "name": "Tokens", "limit": 50000, "currentValue": 2, "unit": "Count" },
        { "name": "ScopeMaps", "limit": 50000, "currentValue": 0, "unit": "Count" },
    ]});
    told.server.on("GET", &id("/listUsages"), Reply::json(200, usage));
    told.run("show -n myregistry");
    told.run("show -n myregistry -o table");
    told.run("show -n myregistry --query id -o tsv");
    told.run("list -o table");
    told.run("list --query '[].loginServer' -o tsv");
    told.run("show-usage -n myregistry");
    told.run("show-usage -n myregistry -o table");
    told.check("registries");
}

/// B.4-9.
#[test]
fn the_hosts_of_a_registry_are_shown() {
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, registry()));
    told.server.on("GET", &id(""), Reply::json(200, registry()));
    let mut on = registry_with("dataEndpointEnabled", json!(true));
    on["properties"]["dataEndpointHostNames"] = json!(["eu.data.example.com"]);
    on["properties"]["dataEndpoints"] = json!([{ "region": "eu", "endpoint": "eu.data.example.com" }]);
    told.server.on("GET", &id(""), Reply::json(200, on));
    told.run("show-endpoints -n myregistry");
    told.run("show-endpoints -n myregistry -o table");
    told.run("show-endpoints -n myregistry");
    told.run("show-endpoints -n myregistry -o table");
    told.check("endpoints");
}

#[test]
fn every_property_has_its_flag() {
    let mut told = Transcript::new();
    told.server.on("PATCH", &id(""), Reply::json(200, registry()));
    told.run("update -n myregistry --anonymous-pull-enabled --data-endpoint-enabled FALSE --sku standard --tags team=a empty -o none");
    told.run("update -n myregistry --public-network-enabled false --default-action allow --tags '' -o none --only-show-errors");
    told.run("update -n myregistry");
    told.run("update -n myregistry --admin-enabled maybe");
    told.check("properties");
}

/// S1-51…53.
#[test]
fn the_admin_account_has_two_passwords() {
    let mut told = Transcript::new();
    let server = &told.server;
    server.on("GET", &id(""), Reply::json(200, registry()));
    told.run("credential show -n myregistry");
    told.run("credential renew -n myregistry --password-name password2");
    let server = &told.server;
    server.on("GET", &id(""), Reply::json(200, registry_with("adminUserEnabled", json!(true))));
    let passwords = |first: Value| {
        json!({ "username": "myregistry", "passwords": [
            { "name": "password", "value": first }, { "name": "password2", "value": "two" },
        ]})
    };
    server.on("POST", &id("/listCredentials"), Reply::json(200, passwords(json!("one"))));
    server.on("POST", &id("/regenerateCredential"), Reply::json(200, passwords(json!("new"))));
    // The first answer was for the account that was not enabled.
    told.run("credential show -n myregistry -o none");
    told.run("credential show -n myregistry");
    told.run("credential show -n myregistry -o table");
    told.run("credential renew -n myregistry --password-name password");
    told.check("credential");
}

#[test]
fn admin_passwords_from_a_file_are_not_shown() {
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, registry_with("adminUserEnabled", json!(true))));
    let declared = json!({
        "username": "myregistry", "passwords": [{ "name": "password" }], "declaredIn": "seawall.yaml:7:5",
    });
    told.server.on("POST", &id("/listCredentials"), Reply::json(200, declared));
    told.run("credential show -n myregistry");
    told.check("credential-declared");
}

#[test]
fn network_rules_are_added_listed_and_removed() {
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, registry()).etag("\"5\""));
    told.server.on("PATCH", &id(""), Reply::json(200, registry()));
    told.run("network-rule list -n myregistry");
    told.run("network-rule list -n myregistry -o table");
    told.run("network-rule add -n myregistry --ip-address 198.51.100.7");
    told.run(
        "network-rule add -n myregistry --ip-address 203.0.113.66/32 --action Deny --rule-name leaked-laptop -o none",
    );
    told.run("network-rule remove -n myregistry --ip-address 203.0.113.66/32 -o none");
    told.run("network-rule remove -n myregistry --ip-address 192.0.2.1");
    told.check("network-rules");
}

/// B.4-10.
#[test]
fn virtual_networks_are_added_listed_and_removed() {
    let mut told = Transcript::new();
    let subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n";
    let mut shown = registry();
    shown["properties"]["networkRuleSet"]["virtualNetworkRules"] = json!([
        { "action": "Allow", "id": subnet, "name": "v-n", "match": { "sourceNetwork": "10.1.0.0/16" } },
        { "action": "Allow", "name": "inner", "match": { "listener": "vnet" } }
    ]);
    told.server.on("GET", &id(""), Reply::json(200, shown.clone()).etag("\"5\""));
    told.server.on("PATCH", &id(""), Reply::json(200, shown));
    told.run("network-rule list -n myregistry");
    told.run("network-rule list -n myregistry -o table");
    told.run("network-rule add -n myregistry --subnet build --vnet-name corp --source-network 10.2.0.0/16 --rule-name build -o none");
    told.run(&format!("network-rule add -n myregistry --subnet {subnet} --source-network 10.1.0.0/16 -o none"));
    told.run("network-rule add -n myregistry --listener lab -o none");
    told.run("network-rule add -n myregistry --subnet build --vnet-name corp");
    told.run("network-rule add -n myregistry --subnet build --listener lab");
    told.run("network-rule add -n myregistry --ip-address 192.0.2.1 --listener lab");
    told.run(&format!("network-rule remove -n myregistry --subnet {} -o none", subnet.to_uppercase()));
    told.run("network-rule remove -n myregistry --listener vnet -o none");
    told.run("network-rule remove -n myregistry --source-network 10.9.0.0/16");
    told.run("network-rule remove -n myregistry");
    told.check("virtual-network-rules");
}

#[test]
fn trusted_services_are_added_listed_and_removed() {
    let mut told = Transcript::new();
    let id_of_task = "0b9e4a7d-3c55-4f0b-8a86-5b1f0f8f7c22";
    let trusted = json!([{ "service": "tasks", "identity": "build-task", "principalId": id_of_task }]);
    let registry = registry_with("trustedServices", trusted);
    told.server.on("GET", &id(""), Reply::json(200, registry.clone()).etag("\"5\""));
    told.server.on("PATCH", &id(""), Reply::json(200, registry));
    told.run("trusted-service list -n myregistry");
    told.run("trusted-service list -n myregistry -o table");
    told.run("trusted-service add -r myregistry --service scanner --identity vault-scanner -o none");
    told.run("trusted-service add -r myregistry --service tasks --identity build-task -o none");
    told.run(&format!("trusted-service remove -r myregistry --service tasks --identity {id_of_task} -o none"));
    told.run("trusted-service remove -r myregistry --service tasks --identity other");
    told.run("update -n myregistry --allow-tasks-bypass false -o none");
    told.check("trusted-services");
}

/// S2-6: both commands say that nobody passes, unless that was switched off.
#[test]
fn virtual_networks_and_trusted_services_do_not_go_together() {
    let mut both = registry_with("trustedServices", json!([{ "service": "tasks", "identity": "build-task" }]));
    both["properties"]["networkRuleSet"]["virtualNetworkRules"] =
        json!([{ "action": "Allow", "name": "inner", "match": { "listener": "vnet" } }]);
    let mut off = both.clone();
    off["properties"]["networkRuleBypassOptions"] = json!("None");
    let mut told = Transcript::new();
    told.server.on("GET", &id(""), Reply::json(200, both.clone()).etag("\"5\""));
    for answer in [&both, &both, &both, &both, &off] {
        told.server.on("PATCH", &id(""), Reply::json(200, answer.clone()));
    }
    told.run("network-rule add -n myregistry --listener vnet -o none");
    told.run("trusted-service add -r myregistry --service tasks --identity build-task -o none");
    told.run("network-rule add -n myregistry --ip-address 198.51.100.7 -o none");
    told.run("network-rule remove -n myregistry --listener vnet -o none");
    told.run("network-rule add -n myregistry --listener vnet -o none");
    told.check("trusted-services-idle");
}

#[test]
fn keys_are_listed_rotated_and_revoked() {
    let mut told = Transcript::new();
    let key = |id: &str, state: &str, retires: Value| {
        json!({
            "id": id, "purpose": "signing", "algorithm": "ES256", "state": state,
            "creationDate": "2026-10-22T00:15:34.304892+00:00", "activeFrom": "2026-10-22T00:15:39.304892+00:00",
            "retiresAt": retires,
        })
    };
    let old = key("signing-1", "retiring", json!("2026-11-22T00:00:00.000000+00:00"));
    let new = key("signing-2", "active", Value::Null);
    let management = json!({
        "id": "management", "purpose": "management", "state": "active", "value": "new-credential",
        "creationDate": "2026-10-22T00:15:34.304892+00:00", "activeFrom": "2026-10-22T00:15:34.304892+00:00",
        "retiresAt": null,
    });
    told.server.on("GET", "/seawall/v1/keys", Reply::json(200, json!({ "value": [old, new] })));
    told.server.on(
        "POST",
        "/seawall/v1/keys/signing/rotate",
        Reply::json(200, key("signing-3", "upcoming", Value::Null)),
    );
    told.server.on("POST", "/seawall/v1/keys/management/rotate", Reply::json(200, management));
    told.server.on("POST", "/seawall/v1/keys/signing-1/revoke", Reply::empty(204));
    told.run("key list -o table");
    told.run("key rotate");
    told.run("key rotate --purpose management");
    told.run("key rotate --purpose management -o table --only-show-errors");
    told.run("key revoke -n signing-1");
    told.run("key revoke -n signing-1 --yes");
    told.check("keys");
}
