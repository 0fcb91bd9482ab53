use std::net::IpAddr;

use reqwest::Method;
use seawall::policy::network::{EndpointMark, Network, Source};
use serde_json::{Value, json};

use super::desk::{Desk, NOW_TEXT, REGISTRY};

/// A registry that the file says more about: `myregistry` is its neighbour.
const DECLARED: &str = "  declared1:
    loginServer: declared.example.com
    externalUrl: https://declared.example.com
    upstream: { url: http://127.0.0.1:5000 }
    privateEndpointConnections:
    - { name: Office, match: { vpcEndpointId: vpce-0office }, status: Approved, description: by contract }
    - { name: rack, match: { sourceNetwork: 10.7.0.0/16 }, status: Rejected }
";

fn connection(name: &str) -> String {
    format!("{REGISTRY}/privateEndpointConnections/{name}")
}

fn state(status: &str) -> Value {
    json!({ "privateLinkServiceConnectionState": { "status": status } })
}

fn about(matches: &Value, status: &str) -> Value {
    json!({ "match": matches, "privateLinkServiceConnectionState": { "status": status } })
}

/// Whether `myregistry` lets a source of this network in.
fn admits(desk: &Desk, mark: EndpointMark) -> bool {
    let network = Network::PrivateEndpoint(mark);
    let source = Source::public("10.0.0.4".parse::<IpAddr>().unwrap());
    desk.registry().network.admit(source.behind(&network)).is_ok()
}

fn names(page: &Value) -> Vec<&str> {
    page.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// B.4-2, B.4-3.
#[tokio::test]
async fn a_connection_is_created_approved_rejected_and_deleted() {
    let desk = Desk::start().await;
    let mark = || EndpointMark::vpc_endpoint("vpce-0build").unwrap();
    let sent = json!({ "match": { "vpcEndpointId": "vpce-0build" } });
    let created = desk.put(&connection("build"), sent).await.expect(201);
    let expected = json!({
        "id": connection("build"), "name": "build",
        "type": "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
        "properties": {
            "privateLinkServiceConnectionState": { "status": "Pending", "description": "", "actionsRequired": "None" },
            "provisioningState": "Succeeded",
            "match": { "vpcEndpointId": "vpce-0build" },
            "creationDate": NOW_TEXT,
        },
    });
    assert_eq!(created, expected);
    assert!(!admits(&desk, mark()));

    let reason = json!({ "status": "approved", "description": "ticket 7", "actionsRequired": "Recreate" });
    let sent = json!({ "privateLinkServiceConnectionState": reason });
    let approved = desk.put(&connection("build"), sent).await.expect(200);
    let expected = json!({ "status": "Approved", "description": "ticket 7", "actionsRequired": "Recreate" });
    assert_eq!(approved["properties"]["privateLinkServiceConnectionState"], expected);
    assert!(admits(&desk, mark()), "in force with the answer");
    // As `az` does it: what was read is sent back with another status.
    let mut again = desk.get(&connection("build")).await.expect(200);
    again["properties"]["privateLinkServiceConnectionState"] = json!({ "status": "Rejected", "description": null });
    let rejected = desk.send(Method::PUT, &connection("build"), Some(again)).await.expect(200);
    assert_eq!(rejected["properties"]["privateLinkServiceConnectionState"]["description"], "");
    assert_eq!(rejected["properties"]["creationDate"], NOW_TEXT);
    assert!(!admits(&desk, mark()));

    let registry = desk.get(REGISTRY).await.expect(200);
    assert_eq!(registry["properties"]["privateEndpointConnections"], json!([rejected]));
    let listed = desk.get(&format!("{REGISTRY}/privateEndpointConnections")).await.expect(200);
    assert_eq!(listed["value"], json!([rejected]));
    desk.delete(&connection("build")).await.expect(200);
    desk.delete(&connection("build")).await.expect(204);
    desk.get(&connection("build")).await.refused(404, "ResourceNotFound");
    let records = desk.records();
    let seen: Vec<_> =
        records.iter().map(|one| (one["operation"].as_str().unwrap(), one["status"].as_u64().unwrap())).collect();
    let write = "privateEndpointConnections/write";
    let delete = "privateEndpointConnections/delete";
    assert_eq!(seen, [(write, 201), (write, 200), (write, 200), (delete, 200), (delete, 204)]);
}

#[tokio::test]
async fn every_endpoint_can_be_matched_and_has_one_connection() {
    let desk = Desk::start().await;
    let all = [
        ("link", json!({ "linkId": 4711 })),
        ("psc", json!({ "pscConnectionId": 72_057_594_037_927_937_u64 })),
        ("lab", json!({ "listener": "lab" })),
        ("net", json!({ "sourceNetwork": "10.0.0.0/8" })),
        ("vpc", json!({ "vpcEndpointId": "vpce-1" })),
    ];
    for (name, matches) in &all {
        let made = desk.put(&connection(name), about(matches, "Approved")).await.expect(201);
        assert_eq!(made["properties"]["match"], *matches);
        let (message, target) =
            desk.put(&connection("another"), about(matches, "Approved")).await.refused(409, "AlreadyExists");
        assert_eq!(message, format!("private endpoint connection '{name}' is about this endpoint"));
        assert_eq!(target.as_deref(), Some("properties.match"));
        desk.put(&connection(&name.to_uppercase()), about(&json!({ "linkId": 1 }), "Approved"))
            .await
            .refused(409, "AlreadyExists");
    }
    let same = about(&json!({ "sourceNetwork": "::ffff:10.0.0.0/104" }), "Approved");
    desk.put(&connection("another"), same.clone()).await.refused(409, "AlreadyExists");
    desk.put(&connection("net"), same).await.expect(200);
    let listed = desk.get(&format!("{REGISTRY}/privateEndpointConnections")).await.expect(200);
    assert_eq!(names(&listed["value"]), ["lab", "link", "net", "psc", "vpc"]);
    assert!(admits(&desk, EndpointMark::LinkId(4711)) && !admits(&desk, EndpointMark::LinkId(4712)));
    assert!(admits(&desk, EndpointMark::Listener("any".into())), "by its network");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let desk = Desk::start().await;
    for (sent, message) in [
        (json!({}), "a new connection needs `match`"),
        (state("Approved"), "a new connection needs `match`"),
        (json!({ "match": { "vpcEndpointId": "vpce_1" } }), "`vpce_1` is not the id of a VPC endpoint"),
        (json!({ "match": { "sourceNetwork": "10.0.0.0/33" } }), "10.0.0.0/33"),
        (json!({ "match": { "listener": "" } }), "the name of a listener has"),
        (json!({ "match": { "linkId": 1, "listener": "a" } }), "properties.match"),
        (json!({ "match": { "linkId": -1 } }), "properties.match"),
        (json!({ "match": {} }), "properties.match"),
        (about(&json!({ "linkId": 1 }), "Open"), "expected \"Approved\" or"),
        (
            json!({ "match": { "linkId": 1 }, "privateLinkServiceConnectionState": { "description": "a\nb" } }),
            "one line without control characters",
        ),
    ] {
        let (said, _) = desk.put(&connection("build"), sent.clone()).await.refused(400, "InvalidRequestContent");
        assert!(said.contains(message), "{sent}: {said}");
    }
    let one = about(&json!({ "linkId": 1 }), "Pending");
    desk.put(&connection("a%20b"), one.clone()).await.refused(400, "InvalidRequestContent");
    desk.put(&connection("build"), one).await.expect(201);
    let (said, _) = desk
        .put(&connection("build"), about(&json!({ "linkId": 2 }), "Approved"))
        .await
        .refused(400, "InvalidRequestContent");
    assert!(said.contains("stays about the endpoint"), "{said}");
    desk.patch(&connection("build"), state("Approved")).await.refused(405, "MethodNotAllowed");
}

/// The file wins, and says where.
#[tokio::test]
async fn what_a_file_declares_is_shown_and_stays() {
    let desk = Desk::start_saying(DECLARED, None).await;
    let of = |name: &str| connection(name).replace("myregistry", "declared1");
    let shown = desk.get(&of("office")).await.expect(200);
    let place = shown["properties"]["declaredIn"].as_str().unwrap().to_owned();
    assert!(place.contains("seawall.yaml:"), "{place}");
    assert_eq!(shown["properties"]["privateLinkServiceConnectionState"]["description"], "by contract");
    assert_eq!(shown["properties"]["creationDate"], Value::Null);
    for name in ["Office", "office"] {
        let (said, _) = desk.put(&of(name), state("Rejected")).await.refused(409, "DeclaredInFile");
        assert!(said.contains(&place), "{said}");
        desk.delete(&of(name)).await.refused(409, "DeclaredInFile");
    }
    let same = about(&json!({ "vpcEndpointId": "vpce-0office" }), "Approved");
    let (said, _) = desk.put(&of("other"), same).await.refused(409, "DeclaredInFile");
    assert!(said.contains("'Office'") && said.contains(&place), "{said}");
    desk.put(&of("more"), about(&json!({ "linkId": 1 }), "Pending")).await.expect(201);
    let listed = desk.get(&of("")[..of("").len() - 1]).await.expect(200);
    assert_eq!(names(&listed["value"]), ["Office", "more", "rack"]);
}

#[tokio::test]
async fn a_registry_has_at_most_two_hundred() {
    let desk = Desk::start().await;
    for id in 0..200 {
        desk.put(&connection(&format!("link-{id}")), about(&json!({ "linkId": id }), "Pending")).await.expect(201);
    }
    let more = about(&json!({ "linkId": 200 }), "Pending");
    let (said, _) = desk.put(&connection("link-200"), more).await.refused(409, "QuotaExceeded");
    assert_eq!(said, "a registry has at most 200 private endpoint connections");
    desk.put(&connection("link-7"), state("Approved")).await.expect(200);
}
