//! The upstream of a registry: its URL, how its certificate is verified, its timeouts.

use std::time::Duration;

use crate::policy::address::{Timeouts, UpstreamTarget};
use crate::policy::document::{TimeoutsDocument, UpstreamDocument};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::quantity;

use super::{Compiler, report};

pub(super) fn target(
    document: &UpstreamDocument,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<UpstreamTarget> {
    let target = report(&document.url, UpstreamTarget::parse(&document.url), "url", problems);
    let timeouts = timeouts(&document.timeouts, problems);
    let mut target = UpstreamTarget { timeouts, ..target? };
    let only_tls = [("ca", &document.ca), ("serverName", &document.server_name)];
    if target.tls.is_none() {
        for text in only_tls.iter().filter_map(|(key, text)| text.as_ref().map(|text| (key, text))) {
            let what = format!("`{}` has no meaning for an http:// upstream", text.0);
            problems.push(Problem::new(&text.1.origin, what).hint("remove it, or use an https:// URL"));
        }
        return Some(target);
    }
    if let Some(tls) = &mut target.tls {
        if let Some(name) = &document.server_name {
            tls.server_name = name.as_str().into();
        }
        if let Some(path) = &document.ca {
            match compiler.references.file(path) {
                Ok(pem) => tls.authorities = Some(pem),
                Err(error) => problems.push(Problem::new(&path.origin, error)),
            }
        }
    }
    Some(target)
}

fn timeouts(document: &TimeoutsDocument, problems: &mut Problems) -> Timeouts {
    let defaults = Timeouts::default();
    let mut read = |text: &Option<At<String>>, default| time(text.as_ref(), default, problems);
    Timeouts {
        connect: read(&document.connect, defaults.connect),
        read: read(&document.read, defaults.read),
        upload_answer: read(&document.upload_answer, defaults.upload_answer),
        write: read(&document.write, defaults.write),
        idle: read(&document.idle, defaults.idle),
    }
}

fn time(text: Option<&At<String>>, default: Duration, problems: &mut Problems) -> Duration {
    let Some(text) = text else { return default };
    match quantity::duration(text) {
        Ok(time) if time.is_zero() => problems.push(Problem::new(&text.origin, "a timeout must be longer than zero")),
        Ok(time) => return time,
        Err(error) => problems.push(Problem::new(&text.origin, error)),
    }
    default
}
