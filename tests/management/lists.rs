use seawall::clock::Clock;
use seawall::policy::document::TokenStatus;
use seawall::policy::stored::{StoredNetworks, StoredToken};
use seawall::store::{Expected, Kind, Object, ObjectKey, Store, Write};
use serde_json::Value;

use super::desk::{Desk, REGISTRY};

fn names(page: &Value) -> Vec<String> {
    page["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn declared_and_stored_ones_are_listed_by_name_in_pages() {
    let desk = Desk::start().await;
    let write = |name: String| Write {
        key: ObjectKey { registry: "myregistry".to_owned(), kind: Kind::Token, name: name.clone() },
        object: Some(Object::Token(StoredToken {
            id: format!("{:032x}", name.len()).parse().unwrap(),
            scope_map: "_repositories_pull".to_owned(),
            additional_scope_maps: Vec::new(),
            status: TokenStatus::Enabled,
            passwords: Vec::new(),
            networks: StoredNetworks::default(),
            creation_date: desk.clock.now(),
        })),
        expected: Expected::Absent,
    };
    let mut expected: Vec<_> = (0..2_100).map(|number| format!("a-token-{number:05}")).collect();
    expected.push("z-token".to_owned());
    let mut writes: Vec<_> = expected.iter().cloned().map(write).collect();
    // Hidden by what the file declares under this name.
    writes.push(write("declared-token".to_owned()));
    let revision = desk.store.write(&writes, desk.clock.now()).await.unwrap();
    desk.current.holds(revision.0).await;
    expected.push("declared-token".to_owned());
    expected.sort_unstable();

    let mut found = Vec::new();
    let mut pages = 0;
    let mut next = Some(format!("{}{REGISTRY}/tokens?api-version=2025-11-01", desk.url));
    while let Some(link) = next {
        let path = link.strip_prefix(&desk.url).unwrap();
        assert!(path.contains("api-version=2025-11-01"), "{path}");
        let page = desk.get(path).await.expect(200);
        found.extend(names(&page));
        next = page.get("nextLink").map(|link| link.as_str().unwrap().to_owned());
        pages += 1;
        let declared = page["value"].as_array().unwrap().iter().find(|one| one["name"] == "declared-token");
        assert!(declared.is_none_or(|one| one["properties"].get("declaredIn").is_some()));
    }
    assert_eq!((pages, found), (3, expected));
}

/// S3-84.
#[tokio::test]
async fn system_defined_maps_are_in_the_list() {
    let desk = Desk::start().await;
    let page = desk.get(&format!("{REGISTRY}/scopeMaps")).await.expect(200);
    assert_eq!(names(&page), ["_repositories_admin", "_repositories_pull", "_repositories_push", "declared-map"]);
    assert_eq!(page.get("nextLink"), None);
}
