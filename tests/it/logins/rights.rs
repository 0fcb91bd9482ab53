//! The same rights by every way to prove them, and none at another registry.

use super::desk::{Desk, PASSWORD, PASSWORD2, PUBLIC, admin, builder, desk, desk_before, token};
use crate::harness::registry::{Distribution, Registry};
use crate::harness::session::Account;

/// Request lines, whether the token `builder` may, and the reader of everything, and the admin account.
const LINES: &[(&str, [bool; 3])] = &[
    ("GET /v2/", [true, true, true]),
    ("GET /v2/_catalog", [false, false, true]),
    ("GET /v2/team/app/tags/list", [false, false, true]),
    ("GET /v2/team/app/manifests/v1", [true, true, true]),
    ("GET /v2/shared/manifests/v1", [true, true, true]),
    ("GET /v2/private/manifests/v1", [false, true, true]),
    ("POST /v2/team/app/blobs/uploads/", [true, false, true]),
    ("POST /v2/shared/blobs/uploads/", [false, false, true]),
    ("POST /v2/teams/blobs/uploads/", [false, false, true]),
    ("DELETE /v2/team/app/manifests/DIGEST", [false, false, true]),
];

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Access tokens for everything at once, from GET and POST.
fn tokens(desk: &Desk, account: &Account) -> [String; 2] {
    let all = "pull,push,delete,metadata_read";
    let scopes: Vec<_> =
        ["team/app", "shared", "private", "teams"].iter().map(|name| format!("repository:{name}:{all}")).collect();
    let query = format!("&scope={}", scopes.join("&scope="));
    let joined = format!("{} registry:catalog:*", scopes.join(" "));
    let Account { user, password } = account;
    [
        token(desk.get(&format!("{query}&scope=registry:catalog:*"), account)),
        token(desk.post(&[("grant_type", "password"), ("username", user), ("password", password), ("scope", &joined)])),
    ]
}

/// Threat class E, B.1-6, S3-11, S3-13, S3-14, S3-17, S1-53.
#[test]
fn a_password_an_access_token_and_either_token_request_bring_the_same_rights() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let accounts = [builder(), Account::new("reader", PASSWORD), admin()];
    for (column, account) in accounts.iter().enumerate() {
        let [by_get, by_post] = tokens(&desk, account);
        for (line, allowed) in LINES {
            let line = line.replace("DIGEST", DIGEST);
            let answers = [
                ("Basic", desk.basic(account, &line)),
                ("GET", desk.bearer(&by_get, &line)),
                ("POST", desk.bearer(&by_post, &line)),
            ];
            for (way, answer) in answers {
                assert_eq!(answer.status != 401, allowed[column], "{} by {way}: {line}", account.user);
            }
        }
    }
}

/// S1-51, S1-53, S3-56, S3-60: names of passwords do not matter, either opens.
#[test]
fn either_of_two_passwords_logs_in() {
    let desk = desk();
    for user in ["builder", "myregistry"] {
        for password in [PASSWORD, PASSWORD2] {
            desk.get("", &Account::new(user, password)).expect(200);
            desk.post(&[("grant_type", "password"), ("username", user), ("password", password)]).expect(200);
        }
    }
    desk.get("", &Account::new("reader", PASSWORD2)).expect(401);
}

/// S1-42, S1-43: the account exists, and is off unless somebody switches it on.
#[test]
fn the_admin_account_is_refused_until_it_is_enabled() {
    let document = super::desk::Document { admin_enabled: false, ..Default::default() };
    let desk = document.start();
    desk.get("", &admin()).expect(401);
    desk.basic(&admin(), "GET /v2/").expect(401);
    desk.seawall.edit(&super::desk::Document::default().text(desk.seawall.place()));
    desk.get("", &admin()).expect(200);
}

/// Threat class H, S0-32: two registries behind one listener, one name and one password in both.
#[test]
fn an_access_token_of_one_registry_is_refused_at_the_other() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let server = desk.server();
    let login = |host: &str| {
        let line = format!("GET /oauth2/token?service={host}&scope=repository:team/app:pull,push");
        token(desk.request_at(host, &line, &[("Authorization", &builder().basic())], ""))
    };
    let hosts = [server.as_str(), PUBLIC];
    let tokens = hosts.map(login);
    for (issued, token) in hosts.iter().zip(&tokens) {
        for host in hosts {
            let headers = format!("Bearer {token}");
            for (line, good) in [("GET /v2/", 200), ("POST /v2/team/app/blobs/uploads/", 202)] {
                let answer = desk.request_at(host, line, &[("Authorization", &headers)], "");
                let expected = if host == *issued { good } else { 401 };
                assert_eq!(answer.status, expected, "{line} at {host} with a token of {issued}");
                if expected == 401 {
                    assert!(answer.expect_header("WWW-Authenticate").contains("error=\"invalid_token\""));
                }
            }
        }
    }
}
