use std::sync::Arc;

use super::*;
use crate::client::address::RegistryAddress;
use crate::client::exchange::Credential;
use crate::client::http::Http;
use crate::client::tests::Server;
use crate::clock::SystemClock;
use crate::secret::Secret;

/// A registry whose content is `answer`'s, behind a token service that gives a token to everybody.
async fn serve(answer: impl Fn(&str, &str) -> (u16, String, String) + Send + 'static) -> (Server, Registry) {
    let server = Server::start(move |line, body| {
        if line == "get /v2/" {
            let challenge = "www-authenticate: Bearer realm=\"http://HERE/oauth2/token\",service=\"r\"\r\n";
            return (401, challenge.to_owned(), String::new());
        }
        if line.starts_with("get /oauth2/token") {
            return (200, String::new(), "{\"access_token\":\"t\",\"expires_in\":300}".to_owned());
        }
        answer(line, body)
    })
    .await;
    let address = RegistryAddress::parse(&format!("http://{}", server.address)).unwrap();
    let credential = Credential::Password { user: "ci".to_owned(), password: Secret::new("p") };
    let registry = Registry::new(Http::new(None).unwrap(), address, credential, Arc::new(SystemClock));
    (server, registry)
}

fn scope() -> Scope {
    Scope::new("repository", "a", ["metadata_read"])
}

/// What was asked besides tokens.
fn content(server: &Server) -> Vec<String> {
    let is_content = |line: &String| line.contains("/acr/") || line.contains("/v2/a");
    server.asked().into_iter().filter(is_content).map(|line| line.trim_end().to_owned()).collect()
}

fn page(items: &[&str], link: &str) -> (u16, String, String) {
    let link = if link.is_empty() { String::new() } else { format!("link: {link}\r\n") };
    (200, link, serde_json::json!({ "tags": items }).to_string())
}

#[tokio::test]
async fn a_listing_is_read_to_its_end() {
    let (server, registry) = serve(|line, _| match line {
        "get /acr/v1/a/_tags?n=100&orderby=timedesc" => {
            // The link's host is nobody's business.
            page(&["1", "2"], "<https://evil.test/acr/v1/b/_tags?last=2&n=100&orderby=timedesc>; rel=\"next\"")
        }
        "get /acr/v1/a/_tags?last=2&n=100&orderby=timedesc" => page(&["3"], ""),
        _ => (404, String::new(), String::new()),
    })
    .await;
    let wanted = Wanted::paged("tags", None, Some(Order::NewestFirst));
    assert_eq!(registry.list("/acr/v1/a/_tags", &scope(), wanted).await.unwrap(), ["1", "2", "3"]);
    assert_eq!(content(&server).len(), 2);
}

#[tokio::test]
async fn no_more_is_asked_than_is_wanted() {
    let (server, registry) = serve(|line, _| match line {
        "get /acr/v1/a/_tags?n=3" => page(&["1", "2"], "</acr/v1/a/_tags?last=2&n=3&orderby=>; rel=\"next\""),
        "get /acr/v1/a/_tags?last=2&orderby=&n=1" => page(&["3", "4"], "</acr/v1/a/_tags?last=4>; rel=\"next\""),
        _ => (404, String::new(), String::new()),
    })
    .await;
    let wanted = Wanted::paged("tags", Some(3), None);
    assert_eq!(registry.list("/acr/v1/a/_tags", &scope(), wanted).await.unwrap(), ["1", "2", "3"]);
    assert_eq!(content(&server).len(), 2);
}

/// Neither a registry whose pages lead in a circle nor one that sends something else is believed.
#[tokio::test]
async fn what_is_no_listing_is_an_error() {
    let table = [
        ("{\"tags\":[\"1\"]}", "link: </x?last=1>; rel=\"next\"\r\n", "its pages do not end"),
        ("{\"tags\":{}}", "", "there are no tags in it"),
        ("{}", "", "there are no tags in it"),
        ("<html>", "", "it is not JSON"),
    ];
    for (body, link, expected) in table {
        let (_server, registry) = serve(move |_, _| (200, link.to_owned(), body.to_owned())).await;
        let listed = registry.list("/acr/v1/a/_tags", &scope(), Wanted::all("tags")).await;
        let error = listed.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let (_server, registry) = serve(|_, _| (200, String::new(), "{\"repositories\":null}".to_owned())).await;
    let listed = registry.list("/v2/_catalog", &scope(), Wanted::all("repositories")).await.unwrap();
    assert_eq!(listed, Vec::<Value>::new(), "an empty catalogue may be null (B.1-12)");
}

#[tokio::test]
async fn answers_without_a_body_are_answers() {
    let (server, registry) = serve(|line, body| match line {
        "patch /acr/v1/a" => (200, String::new(), body.to_owned()),
        "delete /acr/v1/a" => (202, String::new(), "{\"tagsDeleted\":[]}".to_owned()),
        _ => (202, String::new(), String::new()),
    })
    .await;
    let (scope, body) = (scope(), serde_json::json!({ "x": 1 }));
    let ask = |method: Method, path: &'static str| Question::new(method, path, &scope);
    let patch = Question { body: Some(&body), ..ask(Method::PATCH, "/acr/v1/a") };
    assert_eq!(registry.ask(&patch).await.unwrap(), body);
    let deleted = registry.ask(&ask(Method::DELETE, "/acr/v1/a")).await.unwrap();
    assert_eq!(deleted, serde_json::json!({ "tagsDeleted": [] }));
    assert_eq!(registry.ask(&ask(Method::DELETE, "/acr/v1/a/_tags/b")).await.unwrap(), Value::Null);
    assert_eq!(content(&server).len(), 3);
}

/// B.1-14.
#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_az() {
    let error = |text: &str| format!("{{\"errors\":[{text}]}}");
    let table = [
        (404, error("{\"message\":\"no such\",\"detail\":{}}"), "", "Error: no such."),
        (409, error("{\"message\":\"no.\",\"detail\":\"why\"}"), "", "Error: no. Detail: why."),
        (405, String::new(), "", "This operation is not supported."),
        (
            404,
            "{}".to_owned(),
            "x-ms-correlation-request-id: 7\r\n",
            "The requested data does not exist. Correlation ID: 7.",
        ),
        (409, String::new(), "", "Failed to request data due to a conflict."),
        (401, String::new(), "", "Authentication required."),
        (503, error("{\"message\":\"a\\u001b[31m\\nb\"}"), "", "Error: a[31mb."),
        (500, String::new(), "", "Could not delete the requested data."),
    ];
    for (status, body, headers, expected) in table {
        let headers = format!("{headers}x-seawall-denial: 0a1b\r\n");
        let (_server, registry) = serve(move |_, _| (status, headers.clone(), body.clone())).await;
        let refused = registry.ask(&Question::new(Method::DELETE, "/acr/v1/a", &scope())).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
        let AskError::Refused(refusal) = refused else { panic!("{refused}") };
        assert_eq!((refusal.status, refusal.ids.denial.as_deref()), (status, Some("0a1b")));
    }
}
