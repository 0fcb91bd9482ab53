//! The upstream of a registry: its URL, how its certificate is verified, its timeouts.

use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::policy::address::{Timeouts, UpstreamTarget};
use crate::policy::document::{TimeoutsDocument, UpstreamDocument};
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::policy::quantity;
use crate::secret::Secret;

use super::{Compiler, redirects, report, upstream_credential};

pub(super) fn target(
    document: &UpstreamDocument,
    login_server: &At<String>,
    compiler: Compiler<'_>,
    problems: &mut Problems,
) -> Option<UpstreamTarget> {
    let target =
        report(&document.url, UpstreamTarget::parse(&document.url), "https://registry.internal:5000", problems);
    let timeouts = timeouts(&document.timeouts, problems);
    let mut target = target?;
    target.timeouts = timeouts;
    let only_tls = [("ca", &document.ca), ("serverName", &document.server_name)];
    if target.tls.is_none() {
        for text in only_tls.iter().filter_map(|(key, text)| text.as_ref().map(|text| (key, text))) {
            let what = format!("`{}` has no meaning for an http:// upstream", text.0);
            problems.push(Problem::new(&text.1.origin, what).hint("remove it, or use an https:// URL"));
        }
    }
    if let Some(tls) = &mut target.tls {
        if let Some(name) = &document.server_name {
            if ServerName::try_from(name.as_str()).is_err() {
                problems.push(Problem::new(&name.origin, format!("`{}` is not a server name", name.value)));
            }
            tls.server_name = name.as_str().into();
        }
        if let Some(path) = &document.ca {
            match compiler.references.file(path).and_then(authorities) {
                Ok(pem) => tls.authorities = Some(pem),
                Err(error) => problems.push(Problem::new(&path.origin, error)),
            }
        }
    }
    let redirects = document.redirects.as_ref();
    target.redirects = redirects.and_then(|written| redirects::compile(written, timeouts, compiler, problems));
    target.credential = upstream_credential::compile(document, &target, login_server, compiler, problems)?;
    Some(target)
}

/// Found out now, because later it would refuse every request of the registry, or worse: pingora panics on a certificate
/// that it cannot parse.
pub(super) fn authorities(pem: Secret) -> Result<Secret, String> {
    let mut number = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem.expose().as_bytes()) {
        number += 1;
        let sound = certificate.is_ok_and(|der| X509Certificate::from_der(&der).is_ok_and(|(rest, _)| rest.is_empty()));
        if !sound {
            return Err(format!("certificate number {number} in this file is malformed"));
        }
    }
    if number == 0 { Err("there is no PEM certificate in this file".to_owned()) } else { Ok(pem) }
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
