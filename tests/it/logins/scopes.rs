//! What is asked for and what is granted: the intersection, whatever the spelling.

use super::desk::{Desk, PASSWORD, access, builder, desk};
use crate::harness::http::Response;

/// Asked scopes (each a parameter), and the granted ones. The token `builder` may read and write `team/*`, and read `shared`.
const TABLE: &[(&[&str], &[&str])] = &[
    // The login probe asks for nothing.
    (&[], &[]),
    (&[""], &[]),
    (&["", "repository:team/app:pull", ""], &["repository:team/app:pull"]),
    (&["repository:team/app:pull"], &["repository:team/app:pull"]),
    // Several scopes: repeated, in one parameter, both (wire contract 1.2, 2.3; threat class E).
    (&["repository:team/app:pull", "repository:shared:pull"], &["repository:team/app:pull", "repository:shared:pull"]),
    (&["repository:team/app:pull repository:shared:pull"], &["repository:team/app:pull", "repository:shared:pull"]),
    (
        &["repository:team/a:pull  repository:team/b:push", "repository:shared:pull"],
        &["repository:team/a:pull", "repository:team/b:push", "repository:shared:pull"],
    ),
    // One repository several times: one entry (parts: real clients).
    (&["repository:team/app:pull", "repository:team/app:push"], &["repository:team/app:pull,push"]),
    (&["repository:team/app:pull,pull repository:team/app:pull"], &["repository:team/app:pull"]),
    // Less than was asked for is no refusal (B.1-11), nothing is not either.
    (&["repository:shared:pull,push"], &["repository:shared:pull"]),
    (&["repository:shared:push"], &[]),
    (&["repository:other:pull,push"], &[]),
    (&["repository:other:pull", "repository:team/app:pull"], &["repository:team/app:pull"]),
    (&["repository:team:pull"], &[]),
    (&["repository:teams/app:pull"], &[]),
    (&["repository:team/app:delete,metadata_read"], &[]),
    // Every action there is, and none that there is not.
    (&["repository:team/app:*"], &["repository:team/app:pull,push"]),
    (&["repository:shared:*,push"], &["repository:shared:pull"]),
    (&["repository:*:pull"], &[]),
    (&["repository:team/*:pull"], &[]),
    (&["repository:team/app:scanner-pull,pull"], &["repository:team/app:pull"]),
    // S3-17: no catalogue for tokens.
    (&["registry:catalog:*"], &[]),
    (&["registry:deleted_catalog:*"], &[]),
    // Kinds that are not known, and the class that means nothing.
    (&["artifact-repository:repo:pull", "plugin:team/app:pull"], &[]),
    (&["repository(plugin):team/app:pull"], &["repository:team/app:pull"]),
    // Names that no repository has.
    (&["repository:TEAM/app:pull"], &[]),
    (&["repository:team/../shared:pull"], &[]),
    (&["repository:host:5000/team/app:pull"], &[]),
];

fn get(desk: &Desk, scopes: &[&str]) -> Response {
    let parameters = scopes.iter().map(|scope| format!("&scope={}", scope.replace(' ', "%20").replace('*', "%2A")));
    desk.get(&parameters.collect::<Vec<_>>().concat(), &builder())
}

fn post(desk: &Desk, scopes: &[&str]) -> Response {
    let mut fields = vec![("grant_type", "password"), ("username", "builder"), ("password", PASSWORD)];
    fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    desk.post(&fields)
}

#[test]
fn the_granted_scopes_are_those_asked_for_that_the_principal_has() {
    let desk = desk();
    for (asked, granted) in TABLE {
        for answer in [get(&desk, asked), post(&desk, asked)] {
            let answer = answer.expect(200);
            assert_eq!(access(&answer), *granted, "{asked:?}");
            assert_eq!(answer.json()["scope"], granted.join(" "), "{asked:?}");
        }
    }
}

/// More than any client asks for is refused before any work, and what is allowed is answered.
#[test]
fn a_request_for_too_many_scopes_is_refused() {
    let desk = desk();
    let many = |count: usize| (0..count).map(|n| format!("repository:team/{n}:pull")).collect::<Vec<_>>();
    let answer = post(&desk, &[&many(60).join(" ")]).expect(200);
    assert_eq!(access(&answer), many(60));
    post(&desk, &[&many(101).join(" ")]).expect(400);
}
