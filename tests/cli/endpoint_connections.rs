//! `seawall private-endpoint-connection`.

use serde_json::{Value, json};

use crate::arm::id;
use crate::harness::{Reply, Transcript};

fn connection(name: &str, status: &str, description: &str, matches: &Value) -> Value {
    json!({
        "id": id(&format!("/privateEndpointConnections/{name}")),
        "name": name,
        "type": "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
        "properties": {
            "privateLinkServiceConnectionState": {
                "status": status, "description": description, "actionsRequired": "None"
            },
            "provisioningState": "Succeeded",
            "match": matches,
            "creationDate": "2026-10-22T00:15:34.304892+00:00"
        }
    })
}

/// B.4-2.
#[test]
fn private_endpoints_are_approved_and_rejected() {
    let mut told = Transcript::new();
    let server = &told.server;
    let path = id("/privateEndpointConnections/vpce-0build");
    let build = |status, why| connection("vpce-0build", status, why, &json!({ "vpcEndpointId": "vpce-0build" }));
    let mut declared = connection("rack", "Approved", "", &json!({ "sourceNetwork": "10.7.0.0/16" }));
    declared["properties"]["declaredIn"] = "seawall.yaml:9:5".into();
    declared["properties"]["creationDate"] = Value::Null;
    let all =
        [declared, build("Pending", ""), connection("psc", "Rejected", "unknown", &json!({ "pscConnectionId": 7 }))];
    server.on("GET", &id("/privateEndpointConnections"), Reply::json(200, json!({ "value": all })));
    server.on("GET", &path, Reply::json(200, build("Pending", "")));
    server.on("PUT", &path, Reply::json(200, build("Approved", "ticket 7")));
    server.on("PUT", &path, Reply::json(200, build("Rejected", "")));
    let message = "private endpoint connection 'rack' is declared at seawall.yaml:9:5; change it there";
    server.on("GET", &id("/privateEndpointConnections/rack"), Reply::json(200, build("Approved", "")));
    server.on("PUT", &id("/privateEndpointConnections/rack"), Reply::error(409, "DeclaredInFile", message));
    server.on("DELETE", &path, Reply::empty(200));
    server.on("DELETE", &path, Reply::empty(204));
    told.run("private-endpoint-connection list -r myregistry");
    told.run("private-endpoint-connection list -r myregistry -o table");
    told.run("private-endpoint-connection show -r myregistry -n vpce-0build");
    told.run("private-endpoint-connection approve -r myregistry -n vpce-0build --description 'ticket 7' -o table");
    told.run("private-endpoint-connection reject -r myregistry -n vpce-0build -o none");
    told.run("private-endpoint-connection approve -r myregistry -n vpce-0typo");
    told.run("private-endpoint-connection reject -r myregistry -n rack");
    told.run("private-endpoint-connection delete -r myregistry -n vpce-0build");
    told.run("private-endpoint-connection delete -r myregistry -n vpce-0build");
    told.check("private-endpoint-connections");
}
