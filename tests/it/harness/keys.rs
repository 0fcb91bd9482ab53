//! Signing directories as the version before the store left them: a seawall that starts there takes the keys over.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use seawall::auth::keys::{KeyMaterial, Keyring, SigningAlgorithm, parse_hash_key, random_key};
use seawall::clock::{Clock, SystemClock};

/// The files that [`leave_keys`] makes.
pub(crate) const FORMER_FILES: [&str; 3] = ["hash.key", "signing-rs256.crt", "signing-rs256.key"];

/// New keys.
pub(crate) fn make_keys() -> Arc<Keyring> {
    keep(|_, _| ())
}

/// New keys, in the signing directory `directory`.
pub(crate) fn leave_keys(directory: &Path) -> Arc<Keyring> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).unwrap();
    keep(|name, text| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    })
}

fn keep(write: impl Fn(&str, &str)) -> Arc<Keyring> {
    let key = KeyMaterial::generate(SigningAlgorithm::Rs256, SystemClock.now()).unwrap();
    let hash_key = random_key().unwrap();
    for (name, text) in FORMER_FILES.iter().zip([hash_key.expose(), &key.certificate_pem, key.private_key_pem.expose()])
    {
        write(name, text);
    }
    Arc::new(Keyring::new(&[key], parse_hash_key(&hash_key).unwrap()).unwrap())
}
