//! What an unauthorized request is told, to the byte: clients parse it with string searches.

use serde_json::json;

use super::desk::{Desk, PUBLIC, admin, builder, desk, desk_before, token};
use crate::harness::http::Response;
use crate::harness::registry::{Distribution, Registry};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The one challenge of an answer, without its beginning that names the registry.
fn rest(desk: &Desk, host: &str, answer: &Response) -> String {
    let lines: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("WWW-Authenticate")).collect();
    let [(_, challenge)] = lines[..] else { panic!("one challenge, not {lines:?}") };
    let host = if host.is_empty() { desk.server() } else { host.to_owned() };
    let beginning = format!("Bearer realm=\"http://{host}/oauth2/token\",service=\"{host}\"");
    challenge.strip_prefix(&beginning).unwrap_or_else(|| panic!("{challenge}")).to_owned()
}

/// Request lines, and the scopes that their challenges ask for.
const LINES: &[(&str, &str)] = &[
    ("GET /v2/", ""),
    ("GET /v2/_catalog", "registry:catalog:*"),
    ("GET /v2/team/app/tags/list", "repository:team/app:metadata_read"),
    ("GET /v2/team/app/manifests/v1", "repository:team/app:pull"),
    ("HEAD /v2/team/app/manifests/v1", "repository:team/app:pull"),
    ("PUT /v2/team/app/manifests/v1", "repository:team/app:pull,push"),
    ("DELETE /v2/team/app/manifests/DIGEST", "repository:team/app:delete"),
    ("GET /v2/team/app/blobs/DIGEST", "repository:team/app:pull"),
    ("HEAD /v2/team/app/blobs/DIGEST", "repository:team/app:pull"),
    ("DELETE /v2/team/app/blobs/DIGEST", "repository:team/app:delete"),
    ("POST /v2/team/app/blobs/uploads/", "repository:team/app:pull,push"),
    ("PATCH /v2/team/app/blobs/uploads/one", "repository:team/app:pull,push"),
    ("PUT /v2/team/app/blobs/uploads/one?digest=DIGEST", "repository:team/app:pull,push"),
    (
        "POST /v2/team/app/blobs/uploads/?mount=DIGEST&from=shared",
        "repository:team/app:pull,push repository:shared:pull",
    ),
    ("GET /v2/team/app/referrers/DIGEST", "repository:team/app:pull"),
    ("GET /v2/team%2Fapp/manifests/v1", "repository:team/app:pull"),
];

/// R1 to R4, B.1-1, B.1-2, wire contract 1.1 and 4.
#[test]
fn a_request_without_a_credential_gets_the_challenge_of_acr_to_the_byte() {
    let desk = desk();
    for (line, scope) in LINES {
        let answer = desk.request(&line.replace("DIGEST", DIGEST), &[], "").expect(401);
        let expected = if scope.is_empty() { String::new() } else { format!(",scope=\"{scope}\"") };
        assert_eq!(rest(&desk, "", &answer), expected, "{line}");
        assert_eq!(answer.expect_header("Docker-Distribution-Api-Version"), "registry/2.0", "{line}");
        assert_eq!(answer.expect_header("X-Content-Type-Options"), "nosniff", "{line}");
        assert_eq!(answer.expect_header("X-Ms-Correlation-Request-Id").len(), 36, "{line}");
        if line.starts_with("HEAD") {
            continue;
        }
        let detail: Vec<_> = scope
            .split(' ')
            .filter_map(|scope| {
                let (kind, rest) = scope.split_once(':')?;
                let (name, actions) = rest.rsplit_once(':')?;
                let actions = actions.split(',');
                Some(actions.map(move |action| json!({ "Type": kind, "Name": name, "Action": action })))
            })
            .flatten()
            .collect();
        let message = "authentication required, visit https://aka.ms/acr/authorization for more information.";
        let mut error = json!({ "code": "UNAUTHORIZED", "message": message });
        if !detail.is_empty() {
            error["detail"] = json!(detail);
        }
        assert_eq!(answer.json(), json!({ "errors": [error] }), "{line}");
    }
}

/// R4: clients ask for a new access token when one is not enough, and log in again when it is not good.
#[test]
fn only_a_presented_access_token_is_told_what_is_wrong_with_it() {
    let desk = desk();
    let nothing = token(desk.get("", &builder()));
    let reading = token(desk.get("&scope=repository:shared:pull,push", &builder()));
    let (head, signature) = nothing.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{flipped}{}", &signature[1..]);
    let scope = ",scope=\"repository:shared:pull,push\"";
    let catalog = ",scope=\"registry:catalog:*\"";
    let all = |line: &str, token: &str| rest(&desk, "", &desk.bearer(token, line).expect(401));
    for good in [&nothing, &reading] {
        assert_eq!(all("PUT /v2/shared/manifests/v1", good), format!("{scope},error=\"insufficient_scope\""));
        assert_eq!(all("GET /v2/_catalog", good), format!("{catalog},error=\"insufficient_scope\""));
    }
    for bad in [forged.as_str(), "abc", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(all("PUT /v2/shared/manifests/v1", bad), format!("{scope},error=\"invalid_token\""));
        assert_eq!(all("GET /v2/", bad), ",error=\"invalid_token\"");
    }
    let wrong = crate::harness::session::Account::new("builder", "wrong");
    assert_eq!(rest(&desk, "", &desk.basic(&wrong, "PUT /v2/shared/manifests/v1").expect(401)), scope);
    assert_eq!(rest(&desk, "", &desk.basic(&wrong, "GET /v2/").expect(401)), "");
}

/// Wire contract R3: `GET /v2/` answers any good credential, of whatever right.
#[test]
fn the_login_probe_is_answered_to_every_good_credential() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    for account in [builder(), admin()] {
        desk.basic(&account, "GET /v2/").expect(200);
        desk.bearer(&token(desk.get("", &account)), "GET /v2/").expect(200);
        desk.bearer(&token(desk.get("&scope=repository:nobodys:pull", &account)), "GET /v2/").expect(200);
    }
}

/// Threat classes B, C: what cannot be read is never "no credential", also where nobody needs one.
#[test]
fn a_malformed_authorization_is_refused_and_never_anonymous() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let anonymous = format!("GET /oauth2/token?service={PUBLIC}&scope=repository:any/app:pull");
    let manifest = "GET /v2/any/app/manifests/v1";
    let good = token(desk.request_at(PUBLIC, &anonymous, &[], ""));
    let good = format!("Bearer {good}");
    desk.request_at(PUBLIC, manifest, &[("Authorization", &good)], "").expect(404);
    let basic = builder().basic();
    let long = format!("Bearer {}", "a".repeat(17 * 1024));
    let lines: &[&[&str]] = &[
        &[""],
        &["Basic"],
        &["Basic "],
        &["Basic !!!"],
        &["Basic YnVpbGRlcg=="],
        &["Basic YnVpbGRlcjp4"],
        &["Basic YnVpbGRlcjp4=="],
        &["Basic Og=="],
        &["Basic \u{ff}"],
        &["Bearer"],
        &["Bearer "],
        &["Bearer a b"],
        &["Bearer \u{e9}"],
        &["Digest username=\"builder\""],
        &["Negotiate abc"],
        &["anonymous"],
        &[&good[7..]],
        &[&good, &good],
        &[&good, &basic],
        &[&basic, &basic],
        &["", &good],
        &[&long],
    ];
    for values in lines {
        let headers: Vec<_> = values.iter().map(|value| ("Authorization", *value)).collect();
        for line in [anonymous.as_str(), manifest, "GET /v2/"] {
            let answer = desk.request_at(PUBLIC, line, &headers, "");
            let shown = values.iter().map(|value| value.chars().take(40).collect::<String>()).collect::<Vec<_>>();
            assert_eq!(answer.status, 401, "{line} {shown:?}: {}", answer.text());
            rest(&desk, PUBLIC, &answer);
        }
    }
}

/// Where anonymous pull is on, the registry still asks: only so do clients log in who have an account (moby#50896).
#[test]
fn a_public_registry_challenges_and_then_lets_everybody_pull_and_nobody_push() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let push = |token: &str| {
        let headers = [("Authorization", format!("Bearer {token}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        desk.request_at(PUBLIC, "POST /v2/any/app/blobs/uploads/", &headers, "")
    };
    let challenge = desk.request_at(PUBLIC, "GET /v2/any/app/manifests/v1", &[], "").expect(401);
    assert_eq!(rest(&desk, PUBLIC, &challenge), ",scope=\"repository:any/app:pull\"");
    let ask = format!("GET /oauth2/token?service={PUBLIC}&scope=repository:any/app:pull,push,metadata_read");
    let nobody = token(desk.request_at(PUBLIC, &ask, &[], ""));
    let headers = format!("Bearer {nobody}");
    let pull = |line: &str| desk.request_at(PUBLIC, line, &[("Authorization", &headers)], "");
    assert_eq!(pull("GET /v2/any/app/manifests/v1").expect(404).json()["errors"][0]["code"], "MANIFEST_UNKNOWN");
    pull("GET /v2/").expect(200);
    pull("GET /v2/_catalog").expect(401);
    push(&nobody).expect(401);
    let builder = token(desk.request_at(PUBLIC, &ask, &[("Authorization", &builder().basic())], ""));
    push(&builder).expect(202);
}
