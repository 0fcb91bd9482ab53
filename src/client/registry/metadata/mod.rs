//! What ACR adds to the OCI specification, as a client asks for it: `/acr/v1`, listings in pages, deletions (wire contract 3
//! and 4; requirements B.1-13, B.1-14).

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use thiserror::Error;

use super::{Ids, Registry, RegistryError};
use crate::client::http::{bounded, quoted};
use crate::oci::Scope;

/// How many items a page has, as in `az`.
const PAGE: usize = 100;
/// The largest answer that is read, in bytes: a deletion names every manifest that is gone.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// For one answer, as in `az`: a repository goes manifest by manifest.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Why a question has no answer. No text holds a secret.
#[derive(Debug, Error)]
pub enum AskError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A status that is no success, in the words of `az`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    pub status: u16,
    method: Method,
    /// The first error's.
    message: Option<String>,
    detail: Option<String>,
    pub ids: Ids,
}

/// A request for something small.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub method: Method,
    /// Encoded; begins with `/`.
    pub path: &'a str,
    /// What the access token has to be good for.
    pub scope: &'a Scope,
    pub body: Option<&'a Value>,
}

impl<'a> Question<'a> {
    /// One without a body.
    pub const fn new(method: Method, path: &'a str, scope: &'a Scope) -> Self {
        Self { method, path, scope, body: None }
    }
}

/// The order of a listing other than by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    OldestFirst,
    NewestFirst,
}

/// Which items of a listing are wanted.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Where the items stand in an answer.
    pub key: &'a str,
    /// The query of the first page.
    query: Vec<(String, String)>,
    /// `None`: all of them.
    top: Option<usize>,
}

impl<'a> Wanted<'a> {
    /// Items page by page; at most `top`.
    pub fn paged(key: &'a str, top: Option<usize>, order: Option<Order>) -> Self {
        let order = order.map(|order| match order {
            Order::OldestFirst => "timeasc",
            Order::NewestFirst => "timedesc",
        });
        let query = [("n", Some(PAGE.to_string())), ("orderby", order.map(str::to_owned))];
        let query = query.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Self { key, query, top }
    }

    /// All items, in pages of the registry's own size.
    pub const fn all(key: &'a str) -> Self {
        Self { key, query: Vec::new(), top: None }
    }

    /// Only those for which this holds.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Registry {
    /// Sends `question` and reads the JSON of its answer; `Null` where there is none.
    ///
    /// # Errors
    /// [`AskError::Refused`] for every status but 200, 201, 202 and 204.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Value, AskError> {
        self.asked(question, &[]).await.map(|(value, _)| value)
    }

    /// The items of a listing, of as many pages as it takes.
    ///
    /// # Errors
    /// Those of [`Registry::ask`], and for an answer that is no page of it.
    pub async fn list(&self, path: &str, scope: &Scope, wanted: Wanted<'_>) -> Result<Vec<Value>, AskError> {
        let Wanted { key, mut query, top } = wanted;
        let question = Question::new(Method::GET, path, scope);
        let (mut items, mut before) = (Vec::new(), None);
        loop {
            if let Some(top) = top {
                let left = top.saturating_sub(items.len()).min(PAGE).to_string();
                query.retain(|(name, _)| name != "n");
                query.push(("n".to_owned(), left));
            }
            let (mut page, headers) = self.asked(&question, &query).await?;
            match page.get_mut(key).map(Value::take) {
                Some(Value::Array(some)) => items.extend(some),
                // An empty catalogue.
                Some(Value::Null) => {}
                Some(_) | None => return Err(self.wrong(path, &format!("there are no {key} in it")).into()),
            }
            if top.is_some_and(|top| items.len() >= top) {
                break;
            }
            let Some(next) = self.next(&headers) else { break };
            if before.as_ref() == Some(&next) {
                return Err(self.wrong(path, "its pages do not end").into());
            }
            before = Some(next.clone());
            query = next;
        }
        items.truncate(top.unwrap_or(usize::MAX));
        Ok(items)
    }

    async fn asked(&self, question: &Question<'_>, query: &[(String, String)]) -> Result<(Value, HeaderMap), AskError> {
        let mut url = self.address.url(question.path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = || {
            let request = self.http.patient(question.method.clone(), url.clone(), TIMEOUT)?;
            Ok(match question.body {
                Some(body) => request.json(body),
                None => request,
            })
        };
        let mut answer = self.send(std::slice::from_ref(question.scope), request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = bounded(&mut answer, LARGEST_ANSWER).await.map_err(|error| self.unreachable(&error))?;
        let body = body.ok_or_else(|| self.wrong(question.path, "it is larger than 64 MiB"))?;
        let value = serde_json::from_slice::<Value>(&body);
        match status {
            StatusCode::OK => {
                value.map(|value| (value, headers)).map_err(|_| self.wrong(question.path, "it is not JSON").into())
            }
            StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
                Ok((value.unwrap_or_default(), headers))
            }
            status => Err(refusal(question.method.clone(), status, &headers, &value.unwrap_or_default()).into()),
        }
    }

    /// The query of the next page. Only this is taken of a link: it leads nowhere else (`az` does the same).
    fn next(&self, headers: &HeaderMap) -> Option<Vec<(String, String)>> {
        let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok());
        let next = links.filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'));
        let (target, _) = next.into_iter().find(|(_, relation)| relation.contains("next"))?;
        let url = self.address.url(target);
        Some(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }
}

fn refusal(method: Method, status: StatusCode, headers: &HeaderMap, body: &Value) -> Refusal {
    let of = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(quoted);
    Refusal {
        status: status.as_u16(),
        method,
        message: of("/errors/0/message"),
        detail: of("/errors/0/detail"),
        ids: Ids::of(headers),
    }
}

impl fmt::Display for Refusal {
    /// As `az` has it, but for the time in front.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (&self.message, &self.detail, self.status) {
            (Some(message), Some(detail), _) => format!("Error: {message} Detail: {detail}"),
            (Some(message), None, _) => format!("Error: {message}"),
            (None, _, 401) => "Authentication required.".to_owned(),
            (None, _, 404) => "The requested data does not exist.".to_owned(),
            (None, _, 405) => "This operation is not supported.".to_owned(),
            (None, _, 409) => "Failed to request data due to a conflict.".to_owned(),
            (None, ..) => format!("Could not {} the requested data.", self.method.as_str().to_ascii_lowercase()),
        };
        write!(f, "{text}{}", if text.ends_with('.') { "" } else { "." })?;
        self.ids.correlation.iter().try_for_each(|id| write!(f, " Correlation ID: {id}."))
    }
}

#[cfg(test)]
mod tests;
