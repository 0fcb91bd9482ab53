//! Where a registry is: the login server that people write, and the URL behind it.

use std::fmt;

use reqwest::{Method, Url};
use thiserror::Error;

use super::http::{Http, HttpError, ask, is_loopback};

/// Docker Hub's name in references.
const DOCKER_HUB: &str = "docker.io";
/// Where Docker Hub's registry is.
const DOCKER_HUB_REGISTRY: &str = "registry-1.docker.io";

/// Why a text is no login server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("{0:?} is not a login server: write a host name with an optional port, such as registry.example.com:8443")]
    Malformed(String),
    #[error("{0} is not on this machine: plain http is not used there")]
    ClearText(String),
}

/// A registry as its clients name it, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddress {
    server: String,
    base: Url,
}

impl RegistryAddress {
    /// Reads `host[:port]`, also after `https://`, or after `http://` where the host is this machine.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(super::http::quoted(text));
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let fits = |one: char| one.is_ascii_alphanumeric() || ".-_:[]".contains(one);
        if authority.is_empty() || !authority.chars().all(fits) || !matches!(scheme, "https" | "http") {
            return Err(malformed());
        }
        let base = |host: &str| Url::parse(&format!("{scheme}://{host}/")).map_err(|_| malformed());
        let written = base(authority)?;
        // `Url` leaves out the port that is the scheme's own, as clients do.
        let host = written.host_str().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        let server = written.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let base = if server == DOCKER_HUB { base(DOCKER_HUB_REGISTRY)? } else { written };
        if scheme == "http" && !is_loopback(&base) {
            return Err(AddressError::ClearText(server));
        }
        Ok(Self { server, base })
    }

    /// The same registry by plain http where it is on this machine and TLS does not succeed, as Docker has it.
    ///
    /// # Errors
    /// That it cannot be reached in any way.
    pub async fn reached(self, http: &Http) -> Result<Self, HttpError> {
        if !is_loopback(&self.base) || self.base.scheme() == "http" {
            return Ok(self);
        }
        let Err(secure) = ask(http.question(Method::GET, self.url("/v2/"))?).await else { return Ok(self) };
        let Some(plain) = self.plain() else { return Err(secure) };
        match ask(http.question(Method::GET, plain.url("/v2/"))?).await {
            Ok(_) => Ok(plain),
            Err(_) => Err(secure),
        }
    }

    fn plain(&self) -> Option<Self> {
        // Not by changing the scheme: 443 would become 80.
        let port = self.base.port_or_known_default()?;
        let base = Url::parse(&format!("http://{}:{port}/", self.base.host_str()?)).ok()?;
        Some(Self { server: self.server.clone(), base })
    }

    /// The name by which references and Docker's configuration know it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether it is Docker Hub, whose names have a history.
    pub fn is_docker_hub(&self) -> bool {
        self.server == DOCKER_HUB
    }

    /// Whether only this machine can be meant.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.base)
    }

    /// A URL of the registry; `path` begins with `/` and is encoded. A query may follow.
    pub fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    /// Whether `url` leads to the same server: scheme, host and port.
    pub fn is_origin_of(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }
}

impl fmt::Display for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_server_has_one_spelling() {
        let table = [
            ("registry.example.com", "registry.example.com", "https://registry.example.com/v2/"),
            ("Registry.Example.com:8443", "registry.example.com:8443", "https://registry.example.com:8443/v2/"),
            ("https://registry.example.com:443/", "registry.example.com", "https://registry.example.com/v2/"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
            ("[::1]:5000", "[::1]:5000", "https://[::1]:5000/v2/"),
            ("docker.io", "docker.io", "https://registry-1.docker.io/v2/"),
        ];
        for (text, server, url) in table {
            let address = RegistryAddress::parse(text).unwrap();
            assert_eq!((address.server(), address.url("/v2/").as_str()), (server, url), "{text}");
        }
    }

    #[test]
    fn what_is_no_login_server_is_refused() {
        for text in ["", "https://", "a/b", "user@host", "host?x", "host#x", "host:port", "ftp://host", "ho st", "..\n"]
        {
            assert!(matches!(RegistryAddress::parse(text), Err(AddressError::Malformed(_))), "{text:?}");
        }
        assert!(matches!(RegistryAddress::parse("http://registry.example.com"), Err(AddressError::ClearText(_))));
    }

    #[test]
    fn a_path_never_leads_to_another_host() {
        let address = RegistryAddress::parse("registry.example.com").unwrap();
        assert!(address.is_origin_of(&address.url("/v2/a/blobs/uploads/?x=1")));
        assert!(!address.is_origin_of(&"https://registry.example.com.evil.test/".parse().unwrap()));
        assert!(!address.is_origin_of(&"http://registry.example.com/".parse().unwrap()));
    }
}
