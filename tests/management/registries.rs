use reqwest::Method;
use seawall::policy::tier::Tier;
use serde_json::{Value, json};

use super::desk::{Desk, REGISTRY, scope_map, token};

const PROVIDER: &str = "/subscriptions/x/providers/Microsoft.ContainerRegistry";

/// Requirements B.15.
#[tokio::test]
async fn a_registry_shows_every_property_of_acr() {
    let desk = Desk::start().await;
    let shown = desk.get(&REGISTRY.to_uppercase().replace("/SUB/", "/any/")).await.expect(200);
    let mut properties = shown["properties"].clone();
    let declared = properties.as_object_mut().unwrap().remove("declaredIn").unwrap();
    assert!(declared.as_str().unwrap().ends_with("seawall.yaml:4:3"), "{declared}");
    let places = properties.as_object_mut().unwrap().remove("declaredProperties").unwrap();
    let names: Vec<_> = places.as_object().unwrap().keys().collect();
    assert_eq!(names, ["anonymousPullEnabled", "networkRuleSet.defaultAction"]);
    assert_eq!(
        json!({ "id": shown["id"], "name": shown["name"], "type": shown["type"], "location": shown["location"],
                "tags": shown["tags"], "sku": shown["sku"] }),
        json!({ "id": REGISTRY, "name": "myregistry", "type": "Microsoft.ContainerRegistry/registries",
                "location": "local", "tags": {}, "sku": { "name": "Premium", "tier": "Premium" } })
    );
    assert_eq!(
        properties,
        json!({
            "loginServer": "registry.example.com",
            "provisioningState": "Succeeded",
            "adminUserEnabled": false,
            "anonymousPullEnabled": false,
            "publicNetworkAccess": "Enabled",
            "networkRuleBypassOptions": "AzureServices",
            "networkRuleSet": { "defaultAction": "Deny", "ipRules": [], "virtualNetworkRules": [] },
            "dataEndpointEnabled": false,
            "dataEndpointHostNames": [],
            "dataEndpoints": [],
            "encryption": { "status": "disabled" },
            "endpointProtocol": "IPv4AndIPv6",
            "networkRuleBypassAllowedForTasks": true,
            "trustedServices": [],
            "policies": {
                "azureADAuthenticationAsArmPolicy": { "status": "enabled" },
                "exportPolicy": { "status": "enabled" },
                "quarantinePolicy": { "status": "disabled" },
                "retentionPolicy": { "days": 7, "status": "disabled" },
                "softDeletePolicy": { "retentionDays": 7, "status": "disabled" },
                "trustPolicy": { "type": "Notary", "status": "disabled" },
            },
            "privateEndpointConnections": [],
            "roleAssignmentMode": "LegacyRegistryPermissions",
            "zoneRedundancy": "Disabled",
        })
    );
}

#[tokio::test]
async fn what_the_file_leaves_unset_is_set_and_what_it_sets_stays() {
    let desk = Desk::start().await;
    let sent = json!({
        "publicNetworkAccess": "disabled",
        "networkRuleBypassOptions": "None",
        "anonymousPullEnabled": false,
        "networkRuleSet": {
            "defaultAction": "Deny",
            "ipRules": [
                { "value": "203.0.113.0/24", "action": "Allow", "name": "office" },
                { "value": "203.0.113.66", "action": "Deny" },
            ],
        },
    });
    let body = desk.patch(REGISTRY, sent).await.expect(200);
    assert_eq!(body["properties"]["publicNetworkAccess"], "Disabled");
    let properties = desk.registry().properties().clone();
    assert_eq!(properties.ip_rules.value.len(), 2, "in force");
    assert!(properties.public_network_access.declared.is_none());

    // A client that knows no names sends the rules back without them.
    let rules = json!({ "networkRuleSet": { "ipRules": [{ "value": "203.0.113.0/24", "action": "Allow" }] } });
    let body = desk.patch(REGISTRY, rules).await.expect(200);
    let expected = json!([{ "action": "Allow", "value": "203.0.113.0/24", "name": "office" }]);
    assert_eq!(body["properties"]["networkRuleSet"]["ipRules"], expected);

    for (name, sent) in [
        ("properties.anonymousPullEnabled", json!({ "anonymousPullEnabled": true, "adminUserEnabled": true })),
        ("properties.networkRuleSet.defaultAction", json!({ "networkRuleSet": { "defaultAction": "Allow" } })),
    ] {
        let (message, target) = desk.patch(REGISTRY, sent).await.refused(409, "DeclaredInFile");
        assert_eq!(target.as_deref(), Some(name));
        assert!(message.contains("seawall.yaml:"), "{message}");
    }
    assert!(!desk.registry().properties().admin_user_enabled.value, "nothing of a refused change is made");
}

/// B.4-10: ARM knows `action` and `id`; who that is here, is ours.
#[tokio::test]
async fn virtual_network_rules_are_set_and_kept_by_clients_that_do_not_know_them() {
    let desk = Desk::start().await;
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/corp/subnets/build";
    let ruled = |rules: Value| json!({ "networkRuleSet": { "virtualNetworkRules": rules } });
    let sent = json!([
        { "id": id, "match": { "sourceNetwork": "10.1.0.0/16" } },
        { "name": "inner", "match": { "listener": "vnet" } },
    ]);
    let body = desk.patch(REGISTRY, ruled(sent)).await.expect(200);
    let expected = json!([
        { "action": "Allow", "id": id, "name": "corp-build", "match": { "sourceNetwork": "10.1.0.0/16" } },
        { "action": "Allow", "name": "inner", "match": { "listener": "vnet" } },
    ]);
    assert_eq!(body["properties"]["networkRuleSet"]["virtualNetworkRules"], expected);
    let admits = |address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        desk.registry().network.admit(seawall::policy::network::Source::public(address)).is_ok()
    };
    assert!(admits("10.1.2.3") && !admits("10.2.2.3") && desk.registry().has_virtual_network_rules());
    let again = json!([{ "action": "Allow", "id": id.to_uppercase() }]);
    let body = desk.patch(REGISTRY, ruled(again)).await.expect(200);
    assert_eq!(body["properties"]["networkRuleSet"]["virtualNetworkRules"][0]["match"], expected[0]["match"]);
    for (rules, place) in [
        (json!([{ "id": "x", "match": { "listener": "a" } }]), ""),
        (json!([{ "match": { "listener": "a" } }, { "match": { "listener": "a" }, "name": "b" }]), ""),
        (json!([{ "match": { "sourceNetwork": "10.0.0.0/33" } }]), ""),
        (json!([{ "action": "Deny", "match": { "listener": "a" } }]), "[0].action"),
        (json!([{ "name": "new" }]), "[0].match"),
    ] {
        let (message, target) = desk.patch(REGISTRY, ruled(rules)).await.refused(400, "InvalidRequestContent");
        let place = format!("properties.networkRuleSet.virtualNetworkRules{place}");
        assert_eq!(target.as_deref(), Some(place.as_str()), "{message}");
    }
    let alike = json!([{ "name": "a", "match": { "listener": "a" } }, { "name": "A", "match": { "listener": "b" } }]);
    let (message, _) = desk.patch(REGISTRY, ruled(alike)).await.refused(400, "InvalidRequestContent");
    assert!(message.contains("`--rule-name` gives one another name"), "{message}");
    assert!(admits("10.1.2.3"), "nothing of a refused change is made");
    desk.patch(REGISTRY, ruled(json!([]))).await.expect(200);
    assert!(!admits("10.1.2.3") && !desk.registry().has_virtual_network_rules());
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_place() {
    let desk = Desk::start().await;
    for (sent, place) in [
        (json!({ "adminUserEnabled": "yes" }), "properties.adminUserEnabled"),
        (json!({ "publicNetworkAccess": "Sometimes" }), "properties.publicNetworkAccess"),
        (json!({ "dataEndpointEnabled": true }), "properties.dataEndpointEnabled"),
        (
            json!({ "networkRuleSet": { "ipRules": [{ "value": "203.0.113.0/33" }] } }),
            "properties.networkRuleSet.ipRules[0].value",
        ),
        (
            json!({ "networkRuleSet": { "virtualNetworkRules": [{ "id": "x" }] } }),
            "properties.networkRuleSet.virtualNetworkRules[0].match",
        ),
        (
            json!({ "policies": { "quarantinePolicy": { "status": "enabled" } } }),
            "properties.policies.quarantinePolicy.status",
        ),
    ] {
        let (message, target) = desk.patch(REGISTRY, sent).await.refused(400, "InvalidRequestContent");
        assert_eq!(target.as_deref(), Some(place), "{message}");
    }
    let sku = json!({ "sku": { "name": "Gold" } });
    desk.send(Method::PATCH, REGISTRY, Some(sku)).await.refused(400, "InvalidRequestContent");
}

/// B.4-9: the file says where they are, and the switch may be the API's.
#[tokio::test]
async fn data_endpoints_are_switched_where_the_file_has_them() {
    let desk = Desk::start().await;
    let other = REGISTRY.replace("myregistry", "other1");
    let shown = |body: &Value| {
        let properties = &body["properties"];
        ["dataEndpointEnabled", "dataEndpointHostNames", "dataEndpoints"].map(|name| properties[name].clone())
    };
    let off = [json!(false), json!([]), json!([])];
    assert_eq!(shown(&desk.get(&other).await.expect(200)), off);
    let body = desk.patch(&other, json!({ "dataEndpointEnabled": true })).await.expect(200);
    let endpoints = json!([
        { "region": "eu", "endpoint": "eu.other.example.com" }, { "region": "us", "endpoint": "us.other.example.com" },
    ]);
    assert_eq!(shown(&body), [json!(true), json!(["eu.other.example.com", "us.other.example.com"]), endpoints]);
    let policy = desk.current.load().unwrap();
    assert!(policy.data_endpoint_for_host("us.other.example.com").is_some(), "in force");
    let body = desk.patch(&other, json!({ "dataEndpointEnabled": false })).await.expect(200);
    assert_eq!(shown(&body), off);
    let policy = desk.current.load().unwrap();
    assert!(policy.data_endpoint_for_host("us.other.example.com").is_none(), "in force");
}

#[tokio::test]
async fn tags_and_the_word_for_the_tier_are_kept() {
    let desk = Desk::start().await;
    let sent = json!({ "tags": { "team": "a" }, "sku": { "name": "standard" } });
    let body = desk.send(Method::PATCH, REGISTRY, Some(sent)).await.expect(200);
    assert_eq!(body["tags"], json!({ "team": "a" }));
    assert_eq!(body["sku"], json!({ "name": "Standard", "tier": "Standard" }));
    let usages = desk.get(&format!("{REGISTRY}/listUsages")).await.expect(200);
    let usage = |name: &str, limit: u64, current: u64| json!({ "name": name, "limit": limit, "currentValue": current, "unit": "Count" });
    assert_eq!(usages["value"], json!([usage("IPRules", 0, 0), usage("ScopeMaps", 500, 1), usage("Tokens", 500, 1)]));
}

#[tokio::test]
async fn registries_come_and_go_in_the_file_only() {
    let desk = Desk::start().await;
    let (message, _) = desk.put(REGISTRY, json!({})).await.refused(409, "DeclaredInFile");
    assert!(message.contains("registry 'myregistry' is declared at "), "{message}");
    desk.delete(REGISTRY).await.refused(409, "DeclaredInFile");
    let new = REGISTRY.replace("myregistry", "fresh1");
    let (message, _) = desk.put(&new, json!({})).await.refused(409, "DeclaredInFile");
    assert!(message.contains("add 'fresh1' under `registries`"), "{message}");
    desk.get(&new).await.refused(404, "ResourceNotFound");
    desk.get(&format!("{new}/tokens")).await.refused(404, "ResourceNotFound");
}

#[tokio::test]
async fn registries_are_listed_and_found_by_az() {
    let desk = Desk::start().await;
    let names = |body: &Value| {
        let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
        body["value"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    for path in [format!("{PROVIDER}/registries"), REGISTRY.replace("/myregistry", "")] {
        let body = desk.get(&format!("{path}?api-version=2025-11-01")).await.expect(200);
        assert_eq!(names(&body), ["myregistry", "other1"]);
        assert_eq!(body["value"][0]["properties"]["loginServer"], "registry.example.com");
    }
    for (filter, expected) in [
        ("", vec!["myregistry", "other1"]),
        ("resourceType eq 'Microsoft.ContainerRegistry/registries'", vec!["myregistry", "other1"]),
        (
            "resourceType%20eq%20'microsoft.containerregistry/registries'%20and%20name%20eq%20'MYREGISTRY'",
            vec!["myregistry"],
        ),
        ("resourceType+eq+'Microsoft.Compute/virtualMachines'", vec![]),
    ] {
        let body = desk.get(&format!("/subscriptions/x/resources?$filter={filter}")).await.expect(200);
        assert_eq!(names(&body), expected, "{filter}");
    }
    let answer = desk.get("/subscriptions/x/resources?$filter=substringof('a',name)").await;
    answer.refused(400, "InvalidFilterInQueryString");
}

#[tokio::test]
async fn names_are_taken_free_or_impossible() {
    let desk = Desk::start().await;
    let check = async |name: &str| {
        let sent = json!({ "name": name, "type": "Microsoft.ContainerRegistry/registries" });
        let body = desk.post(&format!("{PROVIDER}/checkNameAvailability"), sent).await.expect(200);
        (body["nameAvailable"].as_bool().unwrap(), body["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(check("fresh1").await, (true, None));
    assert_eq!(check("MyRegistry").await, (false, Some("AlreadyExists".to_owned())));
    assert_eq!(check("my-registry").await, (false, Some("Invalid".to_owned())));
    let other = json!({ "name": "fresh1", "type": "Microsoft.Storage/storageAccounts" });
    desk.post(&format!("{PROVIDER}/checkNameAvailability"), other).await.refused(400, "InvalidRequestContent");
}

/// Off unless the operator wants it (E-15).
#[tokio::test]
async fn an_enforced_tier_refuses_more() {
    let desk = Desk::start_with(Some(Tier::Basic)).await;
    let rules = json!({ "networkRuleSet": { "ipRules": [{ "value": "203.0.113.0/24" }] } });
    desk.patch(REGISTRY, rules).await.refused(409, "QuotaExceeded");
    let pull = json!({ "scopeMapId": scope_map("_repositories_pull") });
    for number in 0..99 {
        desk.put(&token(&format!("token-{number}")), pull.clone()).await.expect(201);
    }
    desk.put(&token("one-more"), pull.clone()).await.refused(409, "QuotaExceeded");
    desk.put(&token("token-1"), pull).await.expect(200);
}
