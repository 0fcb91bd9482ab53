//! Where a login is kept for Docker and all that read its configuration: in that file, at the helper that it names, or with
//! the sign-ins, which `docker-credential-seawall` hands out.

use std::env;

use super::Desk;
use super::helper::PROGRAM;
use crate::cli::resources::failure::Failure;
use crate::client::docker_config::{DockerConfig, TOKEN_USER};
use crate::clock::SystemClock;
use crate::secret::Secret;

/// What Docker's configuration calls our helper.
pub(super) const HELPER: &str = "seawall";

/// Docker's configuration, as it is now.
pub(super) fn configuration() -> Result<DockerConfig, Failure> {
    Ok(DockerConfig::open(&DockerConfig::default_directory()?)?)
}

/// Before anybody signs in for nothing.
pub(super) fn require_helper() -> Result<(), Failure> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|directory| directory.join(PROGRAM).is_file()) {
        return Ok(());
    }
    let own = env::current_exe().map_or_else(|_| "seawall".to_owned(), |path| path.display().to_string());
    let failure = Failure::new(format!("there is no {PROGRAM} in PATH, which Docker would run"));
    Err(failure.hint(format!("It is this program under that name: ln -s {own} /usr/local/bin/{PROGRAM}")))
}

/// A refresh token; where it `renews`, the sign-in behind it is saved already.
pub(super) async fn keep_refresh_token(
    desk: &Desk,
    token: &Secret,
    renews: bool,
    by_helper: bool,
) -> Result<(), Failure> {
    let server = desk.address.server();
    let mut config = configuration()?;
    if by_helper {
        config.put_helper(server, HELPER);
    } else if config.helper(server).as_deref() != Some(HELPER) {
        config.put_identity_token(server, token)?;
    } else if !renews {
        desk.sign_ins.put_password(server, TOKEN_USER, token.clone(), &SystemClock).await?;
    }
    Ok(config.save()?)
}

/// A user name and a password.
pub(super) async fn keep_password(desk: &Desk, user: &str, password: &Secret, by_helper: bool) -> Result<(), Failure> {
    let server = desk.address.server();
    let mut config = configuration()?;
    if by_helper {
        config.put_helper(server, HELPER);
    }
    if config.helper(server).as_deref() == Some(HELPER) {
        desk.sign_ins.put_password(server, user, password.clone(), &SystemClock).await?;
    } else {
        config.put_password(server, user, password)?;
    }
    Ok(config.save()?)
}
