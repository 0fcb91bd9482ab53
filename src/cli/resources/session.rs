//! One run of a command against one server: its requests, its warnings, its questions.

use std::io::{self, BufRead, IsTerminal, Write};

use http::{Method, StatusCode};
use serde_json::Value;

use super::arguments::Common;
use super::failure::Failure;
use crate::cli::{output, visible};
use crate::management::client::{Answer, Client, ClientError, Request};

/// How often a change is tried when others change the same thing meanwhile.
const ATTEMPTS: usize = 5;

/// The path of the service principals.
pub(super) const SERVICE_PRINCIPALS: &str = "/seawall/v1/servicePrincipals";

/// The path of the role assignments in a scope.
pub(super) fn role_assignments(scope: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/roleAssignments")
}

/// The path of a service principal.
pub(super) fn service_principal(name: &str) -> String {
    format!("{SERVICE_PRINCIPALS}/{name}")
}

/// A command's way to the server and to the person who runs it.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    subscription: String,
    resource_group: String,
    warns: bool,
    verbose: bool,
    debug: bool,
}

impl Session {
    /// Finds the server and the credential; asks nothing of it yet.
    pub(super) fn open(common: &Common) -> Result<Self, Failure> {
        let (server, global) = (&common.server, &common.global);
        let settings = server.settings()?;
        let session = Self {
            client: Client::new(settings.clone())?,
            subscription: server.subscription.clone(),
            resource_group: server.resource_group.clone(),
            warns: !global.only_show_errors,
            verbose: global.verbose || global.debug,
            debug: global.debug,
        };
        session.debug(|| format!("the management API is {}", settings.endpoint));
        Ok(session)
    }

    /// The path of the registries in the resource group.
    pub(super) fn registries(&self) -> String {
        let (subscription, group) = (&self.subscription, &self.resource_group);
        format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries")
    }

    /// The path of a registry, which is its id too.
    pub(super) fn registry(&self, name: &str) -> String {
        format!("{}/{name}", self.registries())
    }

    /// The path of a scope map, which is its id too.
    pub(super) fn scope_map(&self, registry: &str, name: &str) -> String {
        format!("{}/scopeMaps/{name}", self.registry(registry))
    }

    /// The path of a token, which is its id too.
    pub(super) fn token(&self, registry: &str, name: &str) -> String {
        format!("{}/tokens/{name}", self.registry(registry))
    }

    /// The id of a subnet of a virtual network in the resource group, as `az` makes it.
    pub(super) fn subnet(&self, network: &str, subnet: &str) -> String {
        let (subscription, group) = (&self.subscription, &self.resource_group);
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{subnet}"
        )
    }

    /// The scope of all registries.
    pub(super) fn everything(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }

    /// The path of the identities.
    pub(super) fn identities(&self) -> String {
        let (subscription, group) = (&self.subscription, &self.resource_group);
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
        )
    }

    /// The path of an identity, which is its id too.
    pub(super) fn identity(&self, name: &str) -> String {
        format!("{}/{name}", self.identities())
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.send(Request::new(Method::GET, path)).await?.body)
    }

    /// `None` when it does not exist.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, Failure> {
        match self.get(path).await {
            Err(failure) if failure.has_status(StatusCode::NOT_FOUND) => Ok(None),
            found => found.map(Some),
        }
    }

    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let result = self.client.list(path).await;
        self.trace(&Method::GET, path, result.as_ref().err());
        Ok(result?)
    }

    /// What is at `path` from now on, and whether something was there before.
    pub(super) async fn put(&self, path: &str, body: &Value) -> Result<(Value, bool), Failure> {
        let answer = self.send(Request { body: Some(body), ..Request::new(Method::PUT, path) }).await?;
        Ok((answer.body, answer.status != StatusCode::CREATED))
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        Ok(self.send(Request { body: Some(body), ..Request::new(Method::PATCH, path) }).await?.body)
    }

    pub(super) async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        Ok(self.send(Request { body, ..Request::new(Method::POST, path) }).await?.body)
    }

    /// Deletes what is at `path`. As in `az` it is no error when there is nothing, but it must not look like a deletion either:
    /// what has the name in other letters is there still.
    pub(super) async fn delete(
        &self,
        path: &str,
        query: &[(&str, &str)],
        what: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let answer = self.send(Request { query, ..Request::new(Method::DELETE, path) }).await?;
        // ARM's word for it; a deletion is answered 200.
        if answer.status == StatusCode::NO_CONTENT {
            self.warn(&format!("There is no {what} '{name}'; nothing was deleted. Names are case-sensitive."));
        }
        Ok(())
    }

    /// Reads what is at `path` and sends what `change` makes of it; again, if it was changed by another meanwhile.
    pub(super) async fn modify(
        &self,
        path: &str,
        mut change: impl FnMut(&Value) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        for _ in 0..ATTEMPTS {
            let Answer { body: current, etag, .. } = self.send(Request::new(Method::GET, path)).await?;
            let body = change(&current)?;
            let request = Request { body: Some(&body), if_match: etag.as_deref(), ..Request::new(Method::PATCH, path) };
            match self.send(request).await {
                Err(ClientError::Refused(refusal)) if refusal.status == StatusCode::PRECONDITION_FAILED => {}
                result => return Ok(result?.body),
            }
        }
        Err(Failure::new("others are changing the same thing all the time; nothing was changed").hint("Try again."))
    }

    async fn send(&self, request: Request<'_>) -> Result<Answer, ClientError> {
        let (method, path) = (request.method.clone(), request.path);
        let result = self.client.send(request).await;
        self.trace(&method, path, result.as_ref().err());
        result
    }

    fn trace(&self, method: &Method, path: &str, error: Option<&ClientError>) {
        self.debug(|| match error {
            None => format!("{method} {path}: done"),
            Some(ClientError::Refused(refusal)) => format!("{method} {path}: {}", refusal.status),
            Some(error) => format!("{method} {path}: {error}"),
        });
    }

    fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug {
            say("DEBUG", &text());
        }
    }

    /// With `--verbose`, what is being done.
    pub(super) fn inform(&self, text: &str) {
        if self.verbose {
            say("INFO", text);
        }
    }

    /// What the person should know though nothing failed.
    pub(super) fn warn(&self, text: &str) {
        if self.warns {
            say("WARNING", text);
        }
    }
}

/// One line, whatever others have written into it.
fn say(level: &str, text: &str) {
    output::complain(format_args!("{level}: {}", visible::line(text)));
}

/// Asks for a yes. Whoever cannot be asked must have said it.
pub(in crate::cli) fn confirmed(question: &str, said: bool) -> Result<bool, Failure> {
    if said {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new("Unable to prompt for confirmation as no tty available. Use --yes."));
    }
    let answer = ask(question, io::stdin().lock(), io::stderr().lock());
    answer.map_err(|error| Failure::new(format!("cannot ask for confirmation: {error}")))
}

/// Asks until the answer is one. The end of the input is a no.
fn ask(question: &str, mut input: impl BufRead, mut screen: impl Write) -> io::Result<bool> {
    loop {
        write!(screen, "{question} (y/n): ")?;
        screen.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            return Ok(false);
        }
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" => return Ok(true),
            "n" => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let table: [(&str, bool, usize); 6] = [
            ("y\n", true, 1),
            ("Y\n", true, 1),
            ("n\n", false, 1),
            ("", false, 1),
            ("\nyes\ny\n", true, 3),
            ("\n", false, 2),
        ];
        for (typed, expected, asked) in table {
            let mut screen = Vec::new();
            assert_eq!(ask("Proceed?", typed.as_bytes(), &mut screen).unwrap(), expected, "{typed:?}");
            assert_eq!(String::from_utf8(screen).unwrap(), "Proceed? (y/n): ".repeat(asked), "{typed:?}");
        }
    }
}
