//! `--assignee`: whom somebody means by a name, a client id, a principal id or a resource id.

use http::StatusCode;
use serde_json::Value;

use crate::cli::resources::failure::Failure;
use crate::cli::resources::session::{SERVICE_PRINCIPALS, Session};

/// The principal id of whom `assignee` names.
pub(super) async fn principal_id(session: &Session, assignee: &str) -> Result<String, Failure> {
    let all = match everybody(session).await {
        Ok(all) => all,
        // Who may assign roles on one registry need not know all identities, but he may name one.
        Err(failure) if failure.has_status(StatusCode::FORBIDDEN) && is_guid(assignee) => {
            return Ok(assignee.to_owned());
        }
        Err(failure) if failure.has_status(StatusCode::FORBIDDEN) => {
            return Err(failure.hint("You may not see all identities: give --assignee a principal id."));
        }
        Err(failure) => return Err(failure),
    };
    // The surest first: anybody may call himself by another one's id.
    for pointer in ["/properties/principalId", "/properties/clientId", "/id", "/name"] {
        let is_meant = |one: &&Value| text(one, pointer).is_some_and(|text| is_same(pointer, text, assignee));
        if let Some(id) = all.iter().find(is_meant).and_then(|one| text(one, "/properties/principalId")) {
            return Ok(id.to_owned());
        }
    }
    Err(Failure::new(format!("Cannot find an identity or service principal '{assignee}'."))
        .hint("`seawall identity list` and `seawall service-principal list` print what there is."))
}

async fn everybody(session: &Session) -> Result<Vec<Value>, Failure> {
    let mut all = session.list(&session.identities()).await?;
    all.extend(session.list(SERVICE_PRINCIPALS).await?);
    Ok(all)
}

fn text<'a>(one: &'a Value, pointer: &str) -> Option<&'a str> {
    one.pointer(pointer).and_then(Value::as_str)
}

/// Names differ by case, ids do not.
fn is_same(pointer: &str, text: &str, assignee: &str) -> bool {
    if pointer == "/name" { text == assignee } else { text.eq_ignore_ascii_case(assignee) }
}

fn is_guid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}
