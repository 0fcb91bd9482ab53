//! Requests by programs from elsewhere: wrk, h2load and curl. What they say is read strictly, and a wrong answer ends the run.

use std::io::Read;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use std::{fmt, fs};

use tempfile::TempDir;

use crate::harness::stopwatch::Stopwatch;
use crate::settings::interrupted;

/// wrk calls this once, after the last answer: it costs the measurement nothing.
const REPORT: &str = r#"done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("measured %d %d %d %d %d %d %d %d %.3f %.3f\n", summary.requests, summary.bytes,
    summary.duration, errors.connect, errors.read, errors.write, errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// A request, and the answer that it must get.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) url: String,
    /// `Name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) status: u16,
    /// The body that must come; nothing when any will do.
    pub(crate) body: Option<Vec<u8>>,
}

impl fmt::Debug for Ask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GET {} → {}", self.url, self.status)
    }
}

impl Ask {
    pub(crate) fn new(url: String) -> Self {
        Self { url, headers: Vec::new(), status: 200, body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    fn add_headers(&self, command: &mut Command) {
        for header in &self.headers {
            command.args(["-H", header]);
        }
    }
}

/// Runs a program to its end and returns what it wrote.
///
/// # Panics
///
/// When it fails, or when this process is asked to end meanwhile.
pub(crate) fn run(command: &mut Command) -> String {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?} (`make deps` installs what is missing): {error}"));
    // In threads of their own: a pipe that is full would stop the program.
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let output = std::thread::spawn(move || {
        let mut text = String::new();
        pipes.0.read_to_string(&mut text).unwrap();
        text
    });
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        pipes.1.read_to_string(&mut text).unwrap();
        text
    });
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if interrupted() {
            let _ = child.kill();
        }
        sleep(Duration::from_millis(10));
    };
    let (output, errors) = (output.join().unwrap(), errors.join().unwrap());
    assert!(!interrupted(), "interrupted");
    assert!(status.success(), "{}: {status}\n{output}{errors}", command.get_program().display());
    output
}

/// How many bytes the answer has, head and body, after it was seen to be the right one.
///
/// # Panics
///
/// When it has another status or another body.
pub(crate) fn probe(ask: &Ask) -> u64 {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("body");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--http1.1", "--max-time", "60", "--output"]).arg(&file);
    command.args(["--write-out", "%{http_code} %{size_header} %{size_download}"]);
    ask.add_headers(&mut command);
    let said = run(command.arg(&ask.url));
    let numbers: Vec<u64> = said.split(' ').map(|word| word.parse().unwrap()).collect();
    let [status, head, length] = numbers[..] else { panic!("curl said {said}") };
    let body = fs::read(&file).unwrap_or_default();
    assert_eq!(status, u64::from(ask.status), "{ask:?} was answered with {}", String::from_utf8_lossy(&body));
    if let Some(expected) = &ask.body {
        assert!(body == *expected, "{ask:?} was answered with {}", String::from_utf8_lossy(&body));
    }
    head + length
}

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) requests: f64,
    /// In a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
}

/// As many requests as `connections` kept connections and one thread get answered in this time.
///
/// # Panics
///
/// When answers were not those of [`probe`], which has said that each is of `length` bytes.
pub(crate) fn wrk(ask: &Ask, connections: u32, seconds: u32, length: u64) -> Outcome {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("report.lua");
    fs::write(&script, REPORT).unwrap();
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "60s"]);
    ask.add_headers(&mut command);
    let said = run(command.arg("-s").arg(&script).arg(&ask.url));
    let line = said.lines().find_map(|line| line.strip_prefix("measured "));
    let line = line.unwrap_or_else(|| panic!("wrk said {said}"));
    let numbers: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
    let [requests, bytes, microseconds, connect, read, write, timeout, refused, p50, p99] = numbers[..] else {
        panic!("wrk said {said}")
    };
    assert!(requests > 0.0, "nothing was answered: {ask:?}\n{said}");
    assert!(connect + read + write + timeout < 0.5, "connections failed: {ask:?}\n{said}");
    let expected = if ask.status < 400 { 0.0 } else { requests };
    assert!((refused - expected).abs() < 0.5, "{refused} of {requests} were refused: {ask:?}\n{said}");
    // Answers that were under way at the end count as bytes only; a head may have a digit more.
    let length = u32::try_from(length).unwrap();
    let (due, slack) = (requests * f64::from(length), f64::from(connections * length));
    assert!(
        bytes > due * 0.98 && bytes < due * 1.02 + slack,
        "{requests} answers have {bytes} bytes, which should be {length} each: {ask:?}"
    );
    Outcome { requests, rate: requests / (microseconds / 1e6), p50: p50 / 1e3, p99: p99 / 1e3 }
}

/// Downloads a body of `length` bytes once; returns the seconds that it took.
///
/// # Panics
///
/// When something else came.
pub(crate) fn download(ask: &Ask, length: u64) -> f64 {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--insecure", "--http1.1", "--max-time", "120", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code} %{size_download} %{time_total}"]);
    ask.add_headers(&mut command);
    let said = run(command.arg(&ask.url));
    let words: Vec<&str> = said.split(' ').collect();
    let [status, downloaded, seconds] = words[..] else { panic!("curl said {said}") };
    assert_eq!((status, downloaded), (ask.status.to_string().as_str(), length.to_string().as_str()), "{ask:?}");
    seconds.parse().unwrap()
}

/// So many requests, each on a connection of its own that resumes no earlier one, 16 at a time; returns the seconds.
/// wrk would not do: it resumes TLS sessions.
///
/// # Panics
///
/// When one of them was not answered with `length` bytes of body.
pub(crate) fn connections(ask: &Ask, count: u32, length: u64) -> f64 {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--insecure",
        "--http1.1",
        "--tlsv1.3",
        "--no-sessionid",
        "--no-progress-meter",
    ]);
    command.args(["--parallel", "--parallel-immediate", "--parallel-max", "16", "--header", "Connection: close"]);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code} %{num_connects} %{size_download}\n"]);
    ask.add_headers(&mut command);
    // What follows # is not sent: it only counts.
    command.arg(format!("{}#[1-{count}]", ask.url));
    let watch = Stopwatch::start();
    let said = run(&mut command);
    let seconds = watch.elapsed().as_secs_f64();
    let expected = format!("{} 1 {length}", ask.status);
    let right = said.lines().filter(|line| *line == expected).count();
    assert_eq!(u32::try_from(right).unwrap(), count, "not all answers were `{expected}`: {ask:?}");
    seconds
}

/// Which protocol h2load speaks, with 64 requests at a time either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// 64 connections.
    Http1,
    /// 16 connections of four streams each.
    Http2,
}

/// So many requests over kept connections; returns how many were answered in a second.
///
/// # Panics
///
/// When one was not answered with 200 and `length` bytes of body, or in another protocol.
pub(crate) fn h2load(ask: &Ask, protocol: Protocol, count: u32, length: u64) -> f64 {
    let mut command = Command::new("h2load");
    command.args(["-t1", "-n", &count.to_string()]);
    let (options, name): (&[&str], _) = match protocol {
        Protocol::Http1 => (&["--h1", "-c64"], "http/1.1"),
        Protocol::Http2 if ask.url.starts_with("https:") => (&["-c16", "-m4"], "h2"),
        Protocol::Http2 => (&["-c16", "-m4"], "h2c"),
    };
    command.args(options);
    for header in &ask.headers {
        // It would send a second `Host`.
        command.args(["-H", &header.replace("Host:", ":authority:")]);
    }
    let said = run(command.arg(&ask.url));
    let line = |start: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no `{start}` in what h2load said: {ask:?}\n{said}"))
    };
    assert_eq!(line("Application protocol: "), name, "{ask:?}");
    let all =
        format!("{count} total, {count} started, {count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout");
    assert_eq!(line("requests: "), all, "{ask:?}");
    assert_eq!(line("status codes: "), format!("{count} 2xx, 0 3xx, 0 4xx, 0 5xx"), "{ask:?}");
    let data = format!("({}) data", u64::from(count) * length);
    assert!(line("traffic: ").ends_with(&data), "not {data}: {ask:?}\n{said}");
    let rate = line("finished in ").split(", ").nth(1).and_then(|rate| rate.strip_suffix(" req/s"));
    rate.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}
