//! A canned server, the real binary, and the transcript of what they said to each other.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::{env, fs, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The owner's credential, which the server asks for.
pub(crate) const CREDENTIAL: &str = "the-owners-credential";
/// The password of the registry's user, `MyToken`.
pub(crate) const PASSWORD: &str = "xxxxxxxxxx";

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    etag: Option<&'static str>,
    /// Further headers, each with its line break.
    headers: String,
    body: Option<Value>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, etag: None, headers: String::new(), body: Some(body) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, etag: None, headers: String::new(), body: None }
    }

    /// An error as ARM says it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, json!({ "error": { "code": code, "message": message } }))
    }

    /// An error as registries say it.
    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, json!({ "errors": [{ "code": code, "message": message, "detail": {} }] }))
            .header("x-ms-correlation-request-id", "7")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.headers, "{name}: {value}\r\n").unwrap();
        self
    }

    pub(crate) fn etag(self, etag: &'static str) -> Self {
        Self { etag: Some(etag), ..self }
    }
}

#[derive(Default)]
struct Script {
    /// By method and path without its query. The last of several is given for ever.
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// By method and a part of the path.
    others: Vec<(&'static str, &'static str, Reply)>,
    requests: Vec<String>,
}

/// A server of canned answers. What it has no answer for does not exist.
#[derive(Clone)]
pub(crate) struct Server {
    script: Arc<Mutex<Script>>,
    address: SocketAddr,
}

impl Server {
    /// Listens on a port of its own.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { script: Arc::default(), address: listener.local_addr().unwrap() };
        let answering = server.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answering.answer(stream, true)));
        server
    }

    /// Listens on a Unix socket too, where nobody is asked who he is.
    pub(crate) fn listen_at(&self, socket: &Path) {
        let listener = UnixListener::bind(socket).unwrap();
        let answering = self.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answering.answer(stream, false)));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is answered to `method` of `path`, after what was said before for the same.
    pub(crate) fn on(&self, method: &str, path: &str, reply: Reply) {
        self.script.lock().unwrap().replies.entry(format!("{method} {path}")).or_default().push_back(reply);
    }

    /// What is answered to `method` of any other path with `part` in it.
    pub(crate) fn any(&self, method: &'static str, part: &'static str, reply: Reply) {
        self.script.lock().unwrap().others.push((method, part, reply));
    }

    /// What was asked since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.script.lock().unwrap().requests)
    }

    /// Answers one request and closes.
    pub(crate) fn answer(&self, mut stream: impl Read + Write, asks: bool) {
        let mut reader = BufReader::new(&mut stream);
        // A TLS greeting, from whoever tries that first.
        if reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&0x16)) {
            return;
        }
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let reply = self.reply(first.trim_end(), &headers, &body, asks);
        let text = reply.body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\n{}", reply.status, reply.headers);
        if let Some(etag) = reply.etag {
            write!(head, "etag: {etag}\r\n").unwrap();
        }
        if reply.status != 204 {
            write!(head, "content-type: application/json\r\ncontent-length: {}\r\n", text.len()).unwrap();
        }
        // A client that ended early has seen enough.
        let _ = stream.write_all(format!("{head}\r\n{text}").as_bytes());
        let _ = stream.flush();
    }

    fn reply(&self, first: &str, headers: &BTreeMap<String, String>, body: &[u8], asks: bool) -> Reply {
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        if ["/v2/", "/oauth2/", "/acr/"].iter().any(|part| target.starts_with(part)) {
            return self.registry(method, target, headers, body);
        }
        let (path, query) = target.split_once('?').unwrap();
        let query = query.strip_prefix("api-version=2025-11-01").unwrap();
        let mut request = format!("{method} {}", shortened(path));
        if !query.is_empty() {
            write!(request, "?{}", &query[1..]).unwrap();
        }
        if let Some(tag) = headers.get("if-match") {
            write!(request, " if-match: {tag}").unwrap();
        }
        if !body.is_empty() {
            let body: Value = serde_json::from_slice(body).unwrap();
            write!(request, " {}", shortened(&timeless(body).to_string())).unwrap();
        }
        let mut script = self.script.lock().unwrap();
        script.requests.push(request);
        if asks && headers.get("authorization").map(String::as_str) != Some(&format!("Bearer {CREDENTIAL}")) {
            return Reply::error(401, "AuthenticationFailed", "The management API needs the owner's credential.");
        }
        let other = script.others.iter().find(|(of, part, _)| *of == method && path.contains(part));
        let other = other.map(|(_, _, reply)| reply.clone());
        match script.replies.get_mut(&format!("{method} {path}")) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) => replies[0].clone(),
            None if other.is_some() => other.unwrap(),
            None => {
                let message = format!("The resource '{}' was not found.", shortened(path));
                Reply::error(404, "ResourceNotFound", &message)
            }
        }
    }
}

/// The registry whose login server is the same server: it has one user, and gives everything to it.
impl Server {
    fn registry(&self, method: &str, target: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> Reply {
        let authorization = headers.get("authorization").map(String::as_str);
        if let Some(query) = target.strip_prefix("/oauth2/token?") {
            let right = format!("Basic {}", STANDARD.encode(format!("MyToken:{PASSWORD}")));
            let scope = query.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
            let scope = scope.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/").replace('*', "any");
            return if authorization == Some(&right) {
                Reply::json(200, json!({ "access_token": scope, "expires_in": 300 }))
            } else {
                Reply::refusal(401, "UNAUTHORIZED", "authentication required")
            };
        }
        let Some(scope) = authorization.and_then(|text| text.strip_prefix("Bearer ")) else {
            let address = self.address;
            let challenge = format!("Bearer realm=\"http://{address}/oauth2/token\",service=\"{address}\"");
            return Reply::refusal(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", &challenge);
        };
        let mut request = format!("{method} {target} for {scope}");
        if !body.is_empty() {
            let body: Value = serde_json::from_slice(body).unwrap();
            write!(request, " {body}").unwrap();
        }
        let mut script = self.script.lock().unwrap();
        script.requests.push(request);
        match script.replies.get_mut(&format!("{method} {target}")) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) => replies[0].clone(),
            None => Reply::refusal(404, "NAME_UNKNOWN", "repository name not known to registry"),
        }
    }
}

/// Ids are long and all alike.
fn shortened(text: &str) -> String {
    text.replace(crate::arm::GROUP, "…")
}

/// A moment that depends on when the test runs, in days from now.
fn timeless(mut body: Value) -> Value {
    if let Some(expiry) = body.get_mut("expiry")
        && let Some(text) = expiry.as_str()
        && text.contains('.')
    {
        let moment: jiff::Timestamp = text.parse().unwrap();
        let hours = moment.duration_since(seawall::clock::Clock::now(&seawall::clock::SystemClock)).as_hours() + 1;
        *expiry = format!("in {} days", hours / 24).into();
    }
    body
}

/// What one run of the binary did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Commands with everything that came of them, in the order in which they ran.
pub(crate) struct Transcript {
    pub(crate) server: Server,
    /// Where the commands run.
    pub(crate) folder: TempDir,
    text: String,
    /// Variables of the environment, besides those that say where the server is.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Transcript {
    /// With a server of its own.
    pub(crate) fn new() -> Self {
        let server = Server::start();
        let environment = vec![
            ("SEAWALL_ENDPOINT", format!("http://{}", server.address())),
            ("SEAWALL_CREDENTIAL", CREDENTIAL.to_owned()),
        ];
        Self { server, folder: TempDir::new().unwrap(), text: String::new(), environment }
    }

    /// Runs `seawall` with the arguments of `line`, which knows single quotes.
    pub(crate) fn run(&mut self, line: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
        command.args(words(line)).env_clear().envs(self.environment.clone()).current_dir(self.folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace(&self.server.address().to_string(), "127.0.0.1:8444");
            text.replace(self.folder.path().to_str().unwrap(), "<folder>")
        };
        let run = Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        let line = line.replace(&self.server.address().to_string(), "127.0.0.1:8444");
        writeln!(self.text, "$ seawall {line}").unwrap();
        for request in self.server.requests() {
            writeln!(self.text, "> {request}").unwrap();
        }
        self.text.push_str(&run.out);
        for line in run.err.lines() {
            writeln!(self.text, "! {line}").unwrap();
        }
        writeln!(self.text, "exit code {}\n", run.code).unwrap();
        run
    }

    /// Compares everything that was run with what is expected.
    pub(crate) fn check(&self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/transcripts").join(format!("{name}.txt"));
        if env::var_os("SEAWALL_BLESS").is_some() {
            fs::write(&path, &self.text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(self.text == expected, "{name}: expected\n{expected}\nbut it was\n{}", self.text);
    }
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
