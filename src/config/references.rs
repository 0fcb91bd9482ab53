//! What the process configuration refers to outside itself: files that must be there, and secrets.
//!
//! Only `check` and the start ask: whether a file is there says nothing about the configuration itself.

use std::path::PathBuf;

use super::settings::{
    CertificateFiles, Config, EncryptionKeySource, ManagementAddress, SecretSource, StoreLocation, Tls,
};
use crate::policy::References;
use crate::policy::origin::At;
use crate::policy::problem::{Problem, Problems};
use crate::provider::MachineReferences;
use crate::secret::{EncryptionKey, Secret};

/// The fewest characters of an encryption key: half the digits of 256 bits in hexadecimal, all of them in base64.
const SHORTEST_KEY: usize = 32;

/// Looks for the files and secrets that `config` names, and says which are missing or unusable.
pub fn missing_files(config: &Config) -> Problems {
    let mut problems = Problems::new();
    let listeners = config.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    for CertificateFiles { certificate, key } in
        listeners.chain(management_tls(config)).flat_map(|tls| &tls.certificates)
    {
        [certificate, key].into_iter().filter_map(missing_file).for_each(|problem| problems.push(problem));
    }
    for clients in config.listeners.iter().filter_map(|listener| listener.tls.as_ref()?.clients.as_ref()) {
        let files = clients.authorities.iter().chain(&clients.revocation_lists);
        files.filter_map(missing_file).for_each(|problem| problems.push(problem));
    }
    if let StoreLocation::Postgres { password, ca, .. } = &config.store.location {
        ca.as_ref().and_then(missing_file).into_iter().for_each(|problem| problems.push(problem));
        password.as_ref().and_then(|source| source.read().err()).into_iter().for_each(|problem| problems.push(problem));
    }
    config.encryption_key.given().err().into_iter().for_each(|problem| problems.push(problem));
    problems
}

fn management_tls(config: &Config) -> Option<&Tls> {
    match &config.management.address {
        ManagementAddress::Tcp { tls, .. } => tls.as_ref(),
        ManagementAddress::Unix(_) | ManagementAddress::None => None,
    }
}

fn missing_file(path: &At<PathBuf>) -> Option<Problem> {
    let error = std::fs::File::open(&path.value).err()?;
    Some(Problem::new(&path.origin, format!("cannot read {}: {error}", path.display())))
}

impl SecretSource {
    /// The secret, as it is now.
    ///
    /// # Errors
    /// Why it cannot be read, or that it is empty, at the place that names it.
    pub fn read(&self) -> Result<Secret, Problem> {
        let references = MachineReferences::default();
        let (place, found) = match self {
            Self::File(path) => (path, references.file(path)),
            Self::Environment(name) => (name, references.environment(name)),
        };
        let secret = found.map_err(|what| Problem::new(&place.origin, what))?.without_line_break();
        if secret.expose().is_empty() {
            return Err(Problem::new(&place.origin, "the secret is empty"));
        }
        Ok(secret)
    }

    /// The encryption key that the secret stands for.
    ///
    /// # Errors
    /// Like [`SecretSource::read`]; and for a secret that is too short for a key, because it is not stretched.
    pub fn encryption_key(&self) -> Result<EncryptionKey, Problem> {
        let secret = self.read()?;
        if secret.expose().chars().count() < SHORTEST_KEY {
            let what = format!("an encryption key has at least {SHORTEST_KEY} characters");
            let problem = Problem::new(&self.place().origin, what);
            return Err(problem.hint("`openssl rand -base64 32` makes one"));
        }
        Ok(EncryptionKey::of_secret(&secret))
    }

    fn place(&self) -> &At<String> {
        match self {
            Self::File(place) | Self::Environment(place) => place,
        }
    }
}

impl EncryptionKeySource {
    /// The key that the operator gives. `None`: seawall makes its own.
    ///
    /// # Errors
    /// Like [`SecretSource::encryption_key`].
    pub fn given(&self) -> Result<Option<EncryptionKey>, Problem> {
        match self {
            Self::Given(source) => source.encryption_key().map(Some),
            Self::Made(_) => Ok(None),
        }
    }
}
