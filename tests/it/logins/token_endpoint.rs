//! `/oauth2/token`: every shape of a login, what it is answered with, and what is refused how.

use serde_json::{Value, json};

use super::desk::{Desk, Document, FORM, NULL_GUID, PASSWORD, PUBLIC, access, admin, builder, desk, form, read};
use crate::harness::http::Response;
use crate::harness::session::Account;

const SCOPE: &str = "repository:team/app:pull,push";

/// Every shape in which clients log in by name and password, with `SCOPE`.
fn logins(desk: &Desk) -> Vec<(&'static str, Response)> {
    let server = desk.server();
    let basic = builder().basic();
    let password = [("grant_type", "password"), ("username", "builder"), ("password", PASSWORD), ("scope", SCOPE)];
    let whole = |more: &[(&str, &str)]| form(&[&[("service", server.as_str())], &password[..], more].concat());
    let charset = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    let docker = format!("&scope={SCOPE}&account=builder&client_id=docker&offline_token=true");
    vec![
        ("GET with Basic", desk.get(&format!("&scope={SCOPE}"), &builder())),
        ("GET as Docker does", desk.get(&docker, &builder())),
        (
            "GET without a service",
            desk.request(&format!("GET /oauth2/token?scope={SCOPE}"), &[("Authorization", &basic)], ""),
        ),
        ("GET with an escaped scope", desk.get("&scope=repository%3Ateam%2Fapp%3Apull%2Cpush", &builder())),
        ("POST as az does", desk.post_form(&whole(&[]))),
        (
            "POST as containerd does",
            desk.request("POST /oauth2/token", &[charset], &whole(&[("client_id", "containerd-client")])),
        ),
        ("POST that wants a refresh token", desk.post_form(&whole(&[("access_type", "offline")]))),
        ("POST with an API version", desk.request("POST /oauth2/token?api-version=2021-07-01", &[FORM], &whole(&[]))),
    ]
}

/// Wire contract 1.2, 1.3, 2.3, 2.4, R13, B.1-4, B.1-5; S3-9, S3-60; threat class E.
#[test]
fn every_shape_of_a_login_by_name_and_password_gets_the_same_rights() {
    let desk = desk();
    for (shape, answer) in logins(&desk) {
        let answer = answer.expect(200);
        assert_eq!(access(&answer), [SCOPE], "{shape}");
        assert_eq!(read(answer.json()["token"].as_str().unwrap()).1["sub"], "builder", "{shape}");
    }
}

/// Docker would keep a refresh token instead of the password and be locked out after three hours. B.1-9: 75 minutes.
#[test]
fn the_answer_has_the_fields_that_every_client_reads_and_never_a_refresh_token() {
    let desk = desk();
    for (shape, answer) in logins(&desk) {
        assert_eq!(answer.expect_header("Content-Type"), "application/json; charset=utf-8", "{shape}");
        assert_eq!(answer.expect_header("Cache-Control"), "no-store", "{shape}");
        let answer = answer.expect(200).json();
        let issued: jiff::Timestamp = answer["issued_at"].as_str().unwrap().parse().unwrap();
        let expected = json!({
            "access_token": answer["access_token"],
            "token": answer["access_token"],
            "scope": SCOPE,
            "expires_in": 4500,
            "issued_at": answer["issued_at"],
        });
        assert_eq!(answer, expected, "{shape}");
        let (_, claims) = read(answer["token"].as_str().unwrap());
        assert_eq!(claims["iat"], issued.as_second(), "{shape}");
    }
}

/// B.1-9, S1-28, wire contract 1.4 and 2.5.
#[test]
fn an_access_token_has_the_claims_of_acr_and_is_signed_with_rs256() {
    let desk = desk();
    let answer = desk.get(&format!("&scope={SCOPE}&scope=registry:catalog:*"), &builder()).expect(200);
    let (header, claims) = read(answer.json()["access_token"].as_str().unwrap());
    assert_eq!(header["alg"], "RS256");
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header["x5c"].as_array().map(Vec::len), Some(1), "Distribution 2.8 finds the key there");
    let issued = claims["iat"].as_i64().unwrap();
    let mut shown = claims.clone();
    for own in ["jti", "pid", "cid"] {
        let text = shown.as_object_mut().unwrap().remove(own).unwrap();
        assert_eq!(text.as_str().map(str::len), Some(32), "{own}");
    }
    let expected = json!({
        "iss": "seawall",
        "sub": "builder",
        "aud": desk.server(),
        "iat": issued,
        "nbf": issued,
        "exp": issued + 4500,
        "version": "1.0",
        "grant_type": "access_token",
        "roles": [],
        "access": [{ "type": "repository", "name": "team/app", "actions": ["pull", "push"] }],
    });
    assert_eq!(shown, expected);
}

/// What is refused at the token endpoint: the request, the status and the code.
#[test]
fn what_the_token_endpoint_refuses_it_refuses_in_one_way() {
    let desk = desk();
    let server = desk.server();
    let get = |query: &str, headers: &[(&str, &str)]| desk.request(&format!("GET /oauth2/token?{query}"), headers, "");
    let basic = |user: &str, password: &str| Account::new(user, password).basic();
    let good = builder().basic();
    let scope = format!("service={server}&scope={SCOPE}");
    let password = |user: &str, password: &str| {
        desk.post(&[("grant_type", "password"), ("username", user), ("password", password), ("scope", SCOPE)])
    };
    let own = form(&[("grant_type", "password"), ("username", "builder"), ("password", PASSWORD)]);
    let with_type = |kind: &str| desk.request("POST /oauth2/token", &[("Content-Type", kind)], &own);
    let multipart = "multipart/form-data; boundary=x";
    let table = [
        // 401: the credential.
        ("a wrong password", get(&scope, &[("Authorization", &basic("builder", "wrong"))]), 401),
        ("an unknown user", get(&scope, &[("Authorization", &basic("nobody", PASSWORD))]), 401),
        ("a user name in other case", get(&scope, &[("Authorization", &basic("Builder", PASSWORD))]), 401),
        ("an empty user with a password (BuildKit)", get(&scope, &[("Authorization", &basic("", PASSWORD))]), 401),
        ("an empty user and password", get(&scope, &[("Authorization", &basic("", ""))]), 401),
        ("a form with an empty user and a password", password("", PASSWORD), 401),
        ("a form with a user and an empty password", password("builder", ""), 401),
        ("a form with a wrong password", password("builder", "wrong"), 401),
        ("a form with a user only", desk.post(&[("grant_type", "password"), ("username", "builder")]), 401),
        ("a form with a password only", desk.post(&[("grant_type", "password"), ("password", PASSWORD)]), 401),
        ("a Bearer where a login belongs", get(&scope, &[("Authorization", "Bearer abc.def.ghi")]), 401),
        ("a malformed header", get(&scope, &[("Authorization", "Basic !")]), 401),
        ("an empty refresh token", desk.post(&[("grant_type", "refresh_token"), ("refresh_token", "")]), 401),
        ("no refresh token", desk.post(&[("grant_type", "refresh_token")]), 401),
        ("nobody where anonymous pull is off", get(&scope, &[]), 401),
        ("a token of the other registry", get(&scope, &[("Authorization", &basic("publicregistry", PASSWORD))]), 401),
        // 400: the request.
        ("another service", get("service=registry.docker.io", &[("Authorization", &good)]), 400),
        ("the other registry's service", get(&format!("service={PUBLIC}"), &[("Authorization", &good)]), 400),
        ("another service in a form", desk.post_form(&format!("service=other&{own}")), 400),
        ("two services", get(&format!("service={server}&service={server}"), &[("Authorization", &good)]), 400),
        ("an unknown grant type", desk.post(&[("grant_type", "client_credentials")]), 400),
        ("no grant type", desk.post(&[("username", "builder"), ("password", PASSWORD)]), 400),
        ("two grant types", desk.post_form(&format!("{own}&grant_type=password")), 400),
        ("two passwords", desk.post_form(&format!("{own}&password=x")), 400),
        ("a header and a form", desk.request("POST /oauth2/token", &[FORM, ("Authorization", &good)], &own), 400),
        ("a multipart form", with_type(multipart), 400),
        ("JSON", with_type("application/json"), 400),
        ("no type", with_type(""), 400),
        ("a malformed scope", get(&format!("service={server}&scope=team/app"), &[("Authorization", &good)]), 400),
        (
            "a scope with a line break",
            get(&format!("service={server}&scope=repository:a%0d%0ab:pull"), &[("Authorization", &good)]),
            400,
        ),
        ("a semicolon between fields", desk.post_form(&own.replace('&', ";")), 400),
        ("bytes that are not text", desk.post_form("grant_type=password&username=%FF%FE&password=x"), 400),
        // The rest.
        ("a method that is not served", desk.request("PUT /oauth2/token", &[FORM], &own), 405),
        ("a form that is too large", desk.post_form(&format!("{own}&padding={}", "x".repeat(64 * 1024))), 413),
    ];
    for (what, answer, status) in table {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let code = if status == 401 { "UNAUTHORIZED" } else { "UNSUPPORTED" };
        assert_eq!(answer.json()["errors"][0]["code"], code, "{what}");
        let answered = answer.json();
        let detail = answered["errors"][0].get("detail");
        assert!(detail.is_none_or(|detail| status == 401 && detail["denial"].is_string()), "{what}");
        let challenge = format!("Bearer realm=\"http://{server}/oauth2/token\",service=\"{server}\"");
        let expected = (status == 401).then_some(challenge.as_str());
        assert_eq!(answer.header("WWW-Authenticate"), expected, "{what}");
    }
    desk.post(&[("grant_type", "password"), ("username", "builder"), ("password", PASSWORD)]).expect(200);
}

/// A form of just 64 KiB is read.
#[test]
fn a_form_may_have_64_kib() {
    let desk = desk();
    let own = form(&[("grant_type", "password"), ("username", "builder"), ("password", PASSWORD)]);
    let padding = "x".repeat(64 * 1024 - own.len() - "&padding=".len());
    desk.post_form(&format!("{own}&padding={padding}")).expect(200);
}

/// The three shapes of SDKs (wire contract 2.3), a GET without a credential (B.1-5), and one with an empty form.
fn anonymous(desk: &Desk, host: &str, scope: &str) -> Vec<Response> {
    let get = format!("GET /oauth2/token?service={host}&scope={scope}");
    let common = [("grant_type", "password"), ("service", host), ("scope", scope)];
    let forms = [
        form(&common),
        form(&[&common[..], &[("refresh_token", "")]].concat()),
        form(&[&common[..], &[("username", ""), ("password", "")]].concat()),
    ];
    let mut answers = vec![desk.request_at(host, &get, &[], "")];
    answers.extend(forms.iter().map(|form| desk.request_at(host, "POST /oauth2/token", &[FORM], form)));
    answers
}

/// 2.7, B.1-5, B.8: off by default; on, it is pulling and no more.
#[test]
fn anonymous_logins_are_refused_unless_anonymous_pull_is_on_and_pull_only_then() {
    let desk = desk();
    for answer in anonymous(&desk, &desk.server(), "repository:any/app:pull") {
        answer.expect(401);
    }
    for scope in
        ["repository:any/app:pull", "repository:any/app:pull,push,delete", "repository:any/app:pull registry:catalog:*"]
    {
        for answer in anonymous(&desk, PUBLIC, scope) {
            let answer = answer.expect(200);
            assert_eq!(access(&answer), ["repository:any/app:pull"], "{scope}");
            assert_eq!(read(answer.json()["token"].as_str().unwrap()).1["sub"], "");
        }
    }
    for answer in anonymous(&desk, PUBLIC, "repository:any/app:push") {
        assert_eq!(access(&answer.expect(200)), Vec::<String>::new());
    }
}

/// Threat class Q: whoever is not known, whose password is wrong, and whose right password does not count any more, is told
/// the same.
#[test]
fn every_refused_login_is_answered_alike() {
    let document = Document { admin_enabled: false, builder_status: "disabled", ..Document::default() };
    let desk = document.start();
    let line = format!("GET /oauth2/token?service={}&scope={SCOPE}", desk.server());
    let mut answers = Vec::new();
    let users = ["builder", "reader", "myregistry", "nobody", "_repositories_pull", "<token>", NULL_GUID, ""];
    let logins = users.map(|user| (user, "wrong")).into_iter();
    for (user, password) in logins.chain([("builder", PASSWORD), ("myregistry", PASSWORD), ("nobody", PASSWORD)]) {
        let account = Account::new(user, password);
        for line in [line.as_str(), "GET /v2/", "GET /v2/team/app/manifests/v1"] {
            let mut answer = desk.basic(&account, line);
            // An id of its own is all that tells one denial from another.
            let text = answer.text().replace(answer.expect_header("x-seawall-denial"), "ID");
            let own = ["date", "x-ms-correlation-request-id", "x-seawall-denial"];
            answer.headers.retain(|(name, _)| !own.contains(&name.to_lowercase().as_str()));
            answers.push((line.to_owned(), user, (answer.status, answer.headers.clone(), text)));
        }
    }
    for (line, user, answer) in &answers {
        let first = answers.iter().find(|(other, ..)| other == line).unwrap();
        assert_eq!(answer, &first.2, "{line} as {user}");
        assert_eq!(answer.0, 401);
    }
}

/// S1-10, S1-45, E-16: the admin account may do everything, the catalogue included.
#[test]
fn the_admin_account_is_granted_everything_it_asks_for() {
    let desk = desk();
    let all = "repository:any/app:pull,push,delete,metadata_read,metadata_write";
    let answer = desk.get(&format!("&scope={all}&scope=registry:catalog:*"), &admin()).expect(200);
    assert_eq!(access(&answer), [all, "registry:catalog:*"]);
    let scope: Value = answer.json()["scope"].clone();
    assert_eq!(scope, format!("{all} registry:catalog:*"));
}
