//! When it ends: what was disabled, deleted, rotated or has expired is refused on the next request, and so is whatever
//! it obtained.

use crate::harness::registry::{Distribution, Registry};
use crate::harness::session::Account;
use crate::harness::wait_until;

use super::desk::{Desk, Document, PASSWORD, PASSWORD2, builder, desk_before, token};

const UPLOAD: &str = "POST /v2/team/app/blobs/uploads/";

fn access_token(desk: &Desk, account: &Account) -> String {
    token(desk.get("&scope=repository:team/app:pull,push", account))
}

/// Whether the account can log in, and whether each access token still works.
fn standing(desk: &Desk, account: &Account, tokens: &[&String]) -> (bool, bool, Vec<bool>) {
    let logs_in = desk.get("", account).status == 200;
    let by_password = desk.basic(account, UPLOAD).status == 202;
    (logs_in, by_password, tokens.iter().map(|token| desk.bearer(token, UPLOAD).status == 202).collect())
}

/// S3-93, S3-67, S3-10.
#[test]
fn a_disabled_token_and_what_it_obtained_are_refused_until_it_is_enabled() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let url = upstream.url();
    let token = access_token(&desk, &builder());
    assert_eq!(standing(&desk, &builder(), &[&token]), (true, true, vec![true]));

    let disabled = Document { upstream: &url, builder_status: "disabled", ..Document::default() };
    desk.seawall.edit(&disabled.text(desk.seawall.place()));
    assert_eq!(standing(&desk, &builder(), &[&token]), (false, false, vec![false]));

    desk.seawall.edit(&Document { upstream: &url, ..Document::default() }.text(desk.seawall.place()));
    assert_eq!(standing(&desk, &builder(), &[&token]), (true, true, vec![true]));
}

/// S3-95.
#[test]
fn a_deleted_token_ends_everything_it_obtained() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let token = access_token(&desk, &builder());
    let without = Document { upstream: &upstream.url(), builder: false, ..Document::default() };
    desk.seawall.edit(&without.text(desk.seawall.place()));
    assert_eq!(standing(&desk, &builder(), &[&token]), (false, false, vec![false]));
    let refused = desk.bearer(&token, UPLOAD).expect(401);
    assert!(refused.expect_header("WWW-Authenticate").ends_with(",error=\"invalid_token\""));
}

/// S1-49: whoever uses the admin account is cut off when it is switched off.
#[test]
fn disabling_the_admin_account_cuts_off_everybody_who_uses_it() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let accounts = [PASSWORD, PASSWORD2].map(|password| Account::new("myregistry", password));
    let tokens = accounts.clone().map(|account| access_token(&desk, &account));
    let off = Document { upstream: &upstream.url(), admin_enabled: false, ..Document::default() };
    desk.seawall.edit(&off.text(desk.seawall.place()));
    for account in &accounts {
        assert_eq!(standing(&desk, account, &[&tokens[0], &tokens[1]]), (false, false, vec![false, false]));
    }
    assert_eq!(standing(&desk, &builder(), &[]), (true, true, vec![]), "others go on");
}

/// S1-51, S1-52, S3-57, S3-58 (D1: at once), for a token and for the admin account: the secret's file is all that changes.
#[test]
fn a_rotated_password_ends_its_access_tokens_and_leaves_those_of_the_other() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let of = |user: &str, password: &str| Account::new(user, password);
    let before: Vec<_> = ["builder", "myregistry"]
        .into_iter()
        .map(|user| (user, [PASSWORD, PASSWORD2].map(|password| access_token(&desk, &of(user, password)))))
        .collect();
    let version = desk.seawall.metric("seawall_policy_version");
    desk.seawall.place().secret("first", "a new first password");
    wait_until("the new secret is in force", || desk.seawall.metric("seawall_policy_version") > version);
    for (user, [first, second]) in before {
        assert_eq!(standing(&desk, &of(user, PASSWORD), &[&first]), (false, false, vec![false]), "{user}");
        assert_eq!(standing(&desk, &of(user, PASSWORD2), &[&second]), (true, true, vec![true]), "{user}: no outage");
        let new = of(user, "a new first password");
        let token = access_token(&desk, &new);
        assert_eq!(standing(&desk, &new, &[&token]), (true, true, vec![true]), "{user}");
    }
}

/// S3-1, S3-10, S3-56: time passes without an edit.
#[test]
fn a_password_ends_at_its_expiry_and_its_access_tokens_with_it() {
    let upstream = Registry::start(Distribution::V2);
    let desk = desk_before(&upstream);
    let secret = desk.seawall.place().secret("brief", "a brief secret").display().to_string();
    let lasting = desk.seawall.place().secret("lasting", "a lasting secret").display().to_string();
    // The machine's clock as HTTP tells it, in whole seconds.
    let date = desk.request("GET /v2/", &[], "").expect_header("Date").to_owned();
    let now = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp();
    let expiry = now + jiff::SignedDuration::from_secs(4);
    let tokens = format!(
        "      brief: {{ scopeMap: team-a, passwords: [{{ name: password1, file: \"{secret}\", expiry: {expiry} }}, \
         {{ name: password2, file: \"{lasting}\" }}] }}\n"
    );
    let document = Document { upstream: &upstream.url(), tokens: &tokens, ..Document::default() };
    desk.seawall.edit(&document.text(desk.seawall.place()));
    let accounts = ["a brief secret", "a lasting secret"].map(|password| Account::new("brief", password));
    let [brief, other] = accounts.clone().map(|account| access_token(&desk, &account));
    assert_eq!(standing(&desk, &accounts[0], &[&brief]), (true, true, vec![true]));
    wait_until("the password has expired", || desk.get("", &accounts[0]).status == 401);
    assert_eq!(standing(&desk, &accounts[0], &[&brief]), (false, false, vec![false]));
    assert_eq!(standing(&desk, &accounts[1], &[&other]), (true, true, vec![true]), "each has its own expiry");
}
