//! Docker's configuration file as far as it is about credentials (`config.json`, also read by podman, helm and oras): who
//! is logged in where, and which credential helpers keep the secrets instead.
//!
//! What is not known is kept. Secrets lie in it as Docker writes them, readable by their owner only.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::exchange::{Credential, NULL_GUID};
use super::file;
use crate::secret::Secret;

/// The user name that says that the secret is a refresh token (docker-credential-helpers).
pub const TOKEN_USER: &str = "<token>";
/// What helpers write when they know nothing of a server (docker-credential-helpers).
pub const NOT_FOUND: &str = "credentials not found in native keychain";
/// Docker Hub's key, for historical reasons.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
const FILE: &str = "config.json";

/// What is wrong with the file or with a helper.
#[derive(Debug, Error)]
pub enum DockerConfigError {
    #[error("there is no home directory to keep Docker's configuration in; set DOCKER_CONFIG")]
    NoHome,
    #[error("Docker's configuration {path} cannot be {verb}: {cause}", path = path.display())]
    File { path: PathBuf, verb: &'static str, cause: io::Error },
    #[error("Docker's configuration {path} is not a JSON object{place}", path = path.display())]
    Malformed { path: PathBuf, place: String },
    #[error("the credential helper `docker-credential-{name}` failed: {cause}")]
    Helper { name: String, cause: String },
}

/// The file, as it was read and changed since.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    path: PathBuf,
    document: Map<String, Value>,
}

impl DockerConfig {
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub fn default_directory() -> Result<PathBuf, DockerConfigError> {
        let set = |name: &str| env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").map(|home| home.join(".docker"));
        set("DOCKER_CONFIG").or_else(home).ok_or(DockerConfigError::NoHome)
    }

    /// Reads `directory/config.json`; a file that does not exist is an empty one.
    pub fn open(directory: &Path) -> Result<Self, DockerConfigError> {
        let path = directory.join(FILE);
        let failed = |cause| DockerConfigError::File { path: path.clone(), verb: "read", cause };
        let text = file::read(&path).map_err(failed)?.unwrap_or_default();
        if text.trim().is_empty() {
            return Ok(Self { path, document: Map::new() });
        }
        // The error of the parser could repeat a secret, its place cannot.
        let document = serde_json::from_str(&text).map_err(|error| DockerConfigError::Malformed {
            path: path.clone(),
            place: format!(" (line {}, column {})", error.line(), error.column()),
        })?;
        Ok(Self { path, document })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who is logged in at `server`, as [`super::address::RegistryAddress::server`] names it.
    pub fn credential(&self, server: &str) -> Result<Option<Credential>, DockerConfigError> {
        if let Some(helper) = self.helper(server) {
            return asked(&helper, server);
        }
        let entry = self.entries().find(|(key, _)| is_key_of(key, server)).map(|(_, entry)| entry);
        Ok(entry.and_then(inline))
    }

    /// From now on `server` gets this refresh token, written as `docker login` writes it.
    pub fn put_identity_token(&mut self, server: &str, refresh: &Secret) -> Result<(), DockerConfigError> {
        let user = STANDARD.encode(format!("{NULL_GUID}:"));
        let inline = json!({ "auth": user, "identitytoken": refresh.expose() });
        self.put(server, TOKEN_USER, refresh, inline)
    }

    /// From now on `server` gets this user name and password.
    pub fn put_password(&mut self, server: &str, user: &str, password: &Secret) -> Result<(), DockerConfigError> {
        let both = STANDARD.encode(format!("{user}:{}", password.expose()));
        self.put(server, user, password, json!({ "auth": both }))
    }

    /// From now on the program `docker-credential-NAME` is asked for `server`'s credential.
    pub fn put_helper(&mut self, server: &str, name: &str) {
        self.forget("auths", server);
        self.insert("credHelpers", key(server), name.into());
    }

    /// The helper that keeps `server`'s credential, if one does.
    pub fn helper(&self, server: &str) -> Option<String> {
        let own = self.document.get("credHelpers").and_then(Value::as_object);
        let own = own.and_then(|helpers| helpers.iter().find(|(key, _)| is_key_of(key, server)));
        let all = || self.document.get("credsStore");
        let name = own.map(|(_, name)| name).or_else(all)?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Forgets `server`'s credential, here and at the helper that keeps it.
    pub fn remove(&mut self, server: &str) -> Result<(), DockerConfigError> {
        if let Some(helper) = self.helper(server) {
            // Like Docker: that there was nothing is no failure.
            run(&helper, "erase", key(server)).map(drop)?;
        }
        self.forget("auths", server);
        Ok(())
    }

    /// The helper is not asked for `server` any more.
    pub fn remove_helper(&mut self, server: &str) {
        self.forget("credHelpers", server);
    }

    /// Writes the file, at once or not at all.
    pub fn save(&self) -> Result<(), DockerConfigError> {
        let failed = |cause| DockerConfigError::File { path: self.path.clone(), verb: "written", cause };
        let mut text = serde_json::to_string_pretty(&self.document).map_err(|error| failed(error.into()))?;
        text.push('\n');
        file::replace(&self.path, &text).map_err(failed)
    }

    /// The registries that somebody is logged in to, as the file names them.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(key, _)| key.as_str())
    }

    fn put(&mut self, server: &str, user: &str, secret: &Secret, inline: Value) -> Result<(), DockerConfigError> {
        let key = key(server);
        let helper = self.helper(server);
        if let Some(helper) = &helper {
            let stored = json!({ "ServerURL": key, "Username": user, "Secret": secret.expose() });
            run(helper, "store", &stored.to_string())?.map_err(|cause| failure(helper, &cause))?;
        }
        self.forget("auths", server);
        // Docker writes an empty entry where a helper keeps the secret, and lists it as a login.
        let entry = if helper.is_some() { json!({}) } else { inline };
        self.insert("auths", key, entry);
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document.get("auths").and_then(Value::as_object).into_iter().flatten()
    }

    fn insert(&mut self, list: &str, key: &str, entry: Value) {
        let value = self.document.entry(list).or_insert_with(|| json!({}));
        match value {
            Value::Object(object) => drop(object.insert(key.to_owned(), entry)),
            other => *other = json!({ key: entry }),
        }
    }

    /// Drops the entries of `server`, and the list with its last one.
    fn forget(&mut self, list: &str, server: &str) {
        if let Some(object) = self.document.get_mut(list).and_then(Value::as_object_mut) {
            object.retain(|key, _| !is_key_of(key, server));
        }
        self.drop_empty(list);
    }

    fn drop_empty(&mut self, name: &str) {
        if self.document.get(name).and_then(Value::as_object).is_some_and(Map::is_empty) {
            self.document.remove(name);
        }
    }
}

/// The key that a new entry of `server` gets.
fn key(server: &str) -> &str {
    if server == "docker.io" { DOCKER_HUB_KEY } else { server }
}

/// Whether an entry under `key` is about `server`: older clients wrote URLs.
fn is_key_of(key: &str, server: &str) -> bool {
    if server == "docker.io" && key == DOCKER_HUB_KEY {
        return true;
    }
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let host = bare.strip_suffix('/').unwrap_or(bare);
    let host = host.strip_suffix("/v1").or_else(|| host.strip_suffix("/v2")).unwrap_or(host);
    host.eq_ignore_ascii_case(server)
}

/// What stands in the file itself.
fn inline(entry: &Value) -> Option<Credential> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(refresh) = text("identitytoken") {
        return Some(Credential::RefreshToken(Secret::new(refresh)));
    }
    let both = text("auth").and_then(|auth| STANDARD.decode(auth).ok()).and_then(|both| String::from_utf8(both).ok());
    let both = both.as_deref().map(|both| both.trim_end_matches('\0')).and_then(|both| both.split_once(':'));
    let (user, password) = both.or_else(|| text("username").zip(text("password")))?;
    Some(Credential::Password { user: user.to_owned(), password: Secret::new(password) })
}

/// What a helper has for `server`.
fn asked(helper: &str, server: &str) -> Result<Option<Credential>, DockerConfigError> {
    let text = match run(helper, "get", key(server))? {
        Ok(text) => text,
        Err(cause) if cause.contains(NOT_FOUND) => return Ok(None),
        Err(cause) => return Err(failure(helper, &cause)),
    };
    let answer: Value = serde_json::from_slice(&text).map_err(|_| failure(helper, "its answer is not JSON"))?;
    let field = |name: &str| answer.get(name).and_then(Value::as_str);
    let (Some(user), Some(secret)) = (field("Username"), field("Secret")) else {
        return Err(failure(helper, "its answer has no `Username` and `Secret`"));
    };
    let secret = Secret::new(secret);
    Ok(Some(match user {
        TOKEN_USER => Credential::RefreshToken(secret),
        user => Credential::Password { user: user.to_owned(), password: secret },
    }))
}

/// Runs a helper; what it wrote, or what it said went wrong. It may ask the person on the terminal.
fn run(helper: &str, verb: &str, input: &str) -> Result<Result<Vec<u8>, String>, DockerConfigError> {
    let failed = |error: io::Error| failure(helper, &error.to_string());
    let plain = |one: char| one.is_ascii_alphanumeric() || "._-".contains(one);
    if !helper.chars().all(plain) {
        return Err(failure(helper, "its name is not one"));
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that has read enough may have closed it.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = || super::http::quoted(String::from_utf8_lossy(&output.stdout).trim());
    Ok(if output.status.success() { Ok(output.stdout) } else { Err(said()) })
}

fn failure(helper: &str, cause: &str) -> DockerConfigError {
    DockerConfigError::Helper { name: super::http::quoted(helper), cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(config: &DockerConfig) -> Value {
        config.save().unwrap();
        serde_json::from_str(&std::fs::read_to_string(config.path()).unwrap()).unwrap()
    }

    #[test]
    fn a_login_is_written_as_docker_writes_it_and_the_rest_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("docker");
        let mut config = DockerConfig::open(&directory).unwrap();
        config.document.insert("psFormat".to_owned(), "x".into());
        config.put_identity_token("r.example.com", &Secret::new("refresh")).unwrap();
        config.put_password("other.example.com:5000", "user", &Secret::new("a:b")).unwrap();
        let text = written(&config);
        let auth = "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOg==";
        assert_eq!(text["auths"]["r.example.com"], json!({"auth": auth, "identitytoken": "refresh"}));
        assert_eq!(text["auths"]["other.example.com:5000"], json!({"auth": "dXNlcjphOmI="}));
        assert_eq!(text["psFormat"], "x");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(config.path())), (0o700, 0o600));

        let mut again = DockerConfig::open(&directory).unwrap();
        assert_eq!(again.servers().collect::<Vec<_>>(), ["other.example.com:5000", "r.example.com"]);
        let found = again.credential("r.example.com").unwrap();
        assert!(matches!(found, Some(Credential::RefreshToken(token)) if token.expose() == "refresh"));
        let Some(Credential::Password { user, password }) = again.credential("other.example.com:5000").unwrap() else {
            panic!("no password");
        };
        assert_eq!((&*user, password.expose()), ("user", "a:b"));
        again.remove("r.example.com").unwrap();
        assert!(again.credential("r.example.com").unwrap().is_none());
        assert!(written(&again)["auths"].get("r.example.com").is_none());
    }

    #[test]
    fn old_spellings_of_a_server_are_found_and_others_are_not() {
        for key in ["r.example.com", "https://r.example.com", "https://r.example.com/v1/", "http://r.example.com/v2"] {
            assert!(is_key_of(key, "r.example.com"), "{key}");
        }
        for key in ["r.example.com:443", "r.example.com/team", "example.com", "r.example.com.evil.test"] {
            assert!(!is_key_of(key, "r.example.com"), "{key}");
        }
        assert!(is_key_of("https://index.docker.io/v1/", "docker.io"));
    }

    #[test]
    fn a_helper_replaces_what_stood_in_the_file() {
        let home = tempfile::tempdir().unwrap();
        let mut config = DockerConfig::open(home.path()).unwrap();
        config.put_password("r.example.com", "user", &Secret::new("secret")).unwrap();
        config.put_helper("r.example.com", "seawall");
        assert_eq!(written(&config), json!({"credHelpers": {"r.example.com": "seawall"}}));
        assert_eq!(config.helper("r.example.com").as_deref(), Some("seawall"));
        config.remove_helper("r.example.com");
        assert_eq!(written(&config), json!({}));
    }

    #[test]
    fn what_is_no_configuration_is_told_without_its_text() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(FILE), "{\"auths\": hunter2}").unwrap();
        let refused = DockerConfig::open(home.path()).unwrap_err().to_string();
        assert!(refused.contains("line 1") && !refused.contains("hunter2"), "{refused}");
        std::fs::write(home.path().join(FILE), "[]").unwrap();
        assert!(DockerConfig::open(home.path()).is_err());
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let home = tempfile::tempdir().unwrap();
        let elsewhere = home.path().join("elsewhere.json");
        std::fs::write(&elsewhere, "{}").unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.path().join(FILE)).unwrap();
        let mut config = DockerConfig::open(home.path()).unwrap();
        config.put_helper("r.example.com", "seawall");
        config.save().unwrap();
        assert!(home.path().join(FILE).is_symlink());
        assert!(std::fs::read_to_string(elsewhere).unwrap().contains("seawall"));
    }
}
