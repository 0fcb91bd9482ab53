//! Somebody with a browser who signs in where a device asked for it: the forms of the provider for development, posted in
//! their order, with the cookies that go with them.

use std::net::SocketAddr;

use super::http::{self, Response};

pub(crate) struct Browser {
    address: SocketAddr,
    /// Path, name and value.
    cookies: Vec<(String, String, String)>,
}

impl Browser {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, cookies: Vec::new() }
    }

    /// Signs in as `user` and lets the device have what it asks for.
    pub(crate) fn approve(&mut self, user_code: &str, user: &str) {
        let xsrf = self.enter(user_code);
        let mut page = self.post("/device", &format!("xsrf={xsrf}&user_code={user_code}&confirm=yes")).expect(303);
        for prompt in [format!("prompt=login&login={user}&password=any"), "prompt=consent".to_owned()] {
            let form = self.follow(&page);
            page = self.post(&form, &prompt).expect(303);
        }
        let target = path(page.expect_header("Location"));
        let page = self.get(&target).expect(200).text();
        assert!(page.contains("Sign-in Success"), "{page}");
    }

    /// Does not.
    pub(crate) fn abort(&mut self, user_code: &str) {
        let xsrf = self.enter(user_code);
        self.post("/device", &format!("xsrf={xsrf}&user_code={user_code}&confirm=yes&abort=yes"));
    }

    /// Types the code; what the next form needs.
    fn enter(&mut self, user_code: &str) -> String {
        let page = self.get("/device").expect(200).text();
        let (_, rest) = page.split_once("name=\"xsrf\" value=\"").unwrap();
        let xsrf = rest.split('"').next().unwrap().to_owned();
        self.post("/device", &format!("xsrf={xsrf}&user_code={user_code}")).expect(200);
        xsrf
    }

    /// Goes where the answer leads until there is a form; where that is.
    fn follow(&mut self, answer: &Response) -> String {
        let mut target = path(answer.expect_header("Location"));
        loop {
            let page = self.get(&target);
            match page.status {
                303 => target = path(page.expect_header("Location")),
                _ => return target,
            }
        }
    }

    fn get(&mut self, target: &str) -> Response {
        self.send("GET", target, "")
    }

    fn post(&mut self, target: &str, form: &str) -> Response {
        self.send("POST", target, form)
    }

    fn send(&mut self, method: &str, target: &str, form: &str) -> Response {
        let fitting = self.cookies.iter().filter(|(path, ..)| target.starts_with(path));
        let cookies = fitting.map(|(_, name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let headers = [("Cookie", cookies.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = http::request(self.address, method, target, &headers, form.as_bytes()).unwrap();
        for (_, line) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            let path = line.split("; path=").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or("/");
            self.cookies.retain(|(old_path, old_name, _)| (old_path.as_str(), old_name.as_str()) != (path, name));
            self.cookies.push((path.to_owned(), name.to_owned(), value.to_owned()));
        }
        answer
    }
}

/// The path of a URL, which may be one already.
fn path(url: &str) -> String {
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned()),
        None => url.to_owned(),
    }
}
