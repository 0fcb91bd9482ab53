//! The storages that an upstream may redirect to.

use std::sync::Arc;

use ipnet::IpNet;

use crate::policy::address::{Timeouts, UpstreamTarget};
use crate::policy::document::RedirectsDocument;
use crate::policy::network::parse_network;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::redirects::{RedirectMode, Redirects};
use crate::secret::Secret;

use super::{Compiler, report, upstream};

/// `None`: redirects are refused.
pub(super) fn compile(
    document: &At<RedirectsDocument>,
    timeouts: Timeouts,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<Arc<Redirects>> {
    let RedirectsDocument { mode, origins, networks, ca } = &document.value;
    if *mode != RedirectMode::Refuse && origins.is_empty() {
        let problem = Problem::new(&document.origin, "redirects can lead nowhere: there are no `origins`");
        problems.push(problem.hint("add `origins: [ https://storage.example.com ]`"));
    }
    let authorities = ca.as_ref().and_then(|path| authorities(path, compiler, problems));
    let storage = |origin: &At<String>| {
        let mut storage = report(origin, UpstreamTarget::parse(origin), "https://storage.example.com", problems)?;
        storage.timeouts = timeouts;
        if let Some(tls) = &mut storage.tls {
            tls.authorities.clone_from(&authorities);
        }
        Some(Arc::new(storage))
    };
    let storages: Box<[_]> = origins.iter().filter_map(storage).collect();
    if let Some(path) = ca.as_ref().filter(|_| storages.iter().all(|storage| storage.tls.is_none())) {
        let problem = Problem::new(&path.origin, "`ca` has no meaning without an https:// origin");
        problems.push(problem.hint("remove it, or use https:// origins"));
    }
    if let Some(list) = networks.as_ref().filter(|list| *mode != RedirectMode::Pass || list.is_empty()) {
        let problem = Problem::new(&list.origin, "`networks` says to whom URLs are passed, with `mode: pass`");
        problems.push(problem.hint("list at least one network with `mode: pass`, or remove it"));
    }
    let networks = networks.as_ref().map(|list| list.iter().filter_map(|text| network(text, problems)).collect());
    (*mode != RedirectMode::Refuse).then(|| Arc::new(Redirects { mode: *mode, storages, networks }))
}

fn authorities(path: &At<String>, compiler: Compiler<'_>, problems: &mut Problems) -> Option<Secret> {
    let read = compiler.references.file(path).and_then(upstream::authorities);
    read.map_err(|error| problems.push(Problem::new(&path.origin, error))).ok()
}

fn network(text: &At<String>, problems: &mut Problems) -> Option<IpNet> {
    let refuse = |invalid: crate::policy::network::InvalidNetwork| {
        problems.push(Problem::new(&text.origin, invalid.to_string()).hint(invalid.hint()));
    };
    parse_network(text).map_err(refuse).ok()
}
