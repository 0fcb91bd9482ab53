//! From the name of a registry to the host that its clients use.

use serde_json::Value;

use super::arguments::Common;
use super::failure::Failure;
use super::session::Session;

/// What spares the question.
const NO_NAME: &str =
    "A login server in place of the name, such as `-n registry.example.com`, needs no management API.";

/// Whether a text is a login server rather than a name: names have neither dots nor ports.
pub(super) fn is_one(text: &str) -> bool {
    text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost")
}

/// What the management API says; else, on the server's own machine, what its file says.
pub(super) async fn find(name: &str, common: &Common) -> Result<String, Failure> {
    match asked(name, common).await {
        Ok(told) => Ok(told),
        Err(failure) => common.server.declared_login_server(name).ok_or_else(|| {
            // Where the management API answered, it is the name that is wrong.
            if failure.was_answered() { failure } else { failure.hint(NO_NAME) }
        }),
    }
}

async fn asked(name: &str, common: &Common) -> Result<String, Failure> {
    let session = Session::open(common)?;
    let registry = session.get(&session.registry(name)).await?;
    let server = registry.pointer("/properties/loginServer").and_then(Value::as_str);
    server.map(str::to_owned).ok_or_else(|| Failure::new("The answer names none."))
}
