//! `seawall hash-password`: what stands behind `hash:` in the configuration file.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use super::output;
use crate::secret::Secret;
use crate::server::{generate_password, hash_password};

/// Longest password that is read, in bytes.
const LIMIT: u64 = 4096;

pub(super) fn run(generate: bool) -> ExitCode {
    match password(generate).and_then(|password| Ok((hash_password(&password).map_err(io::Error::other)?, password))) {
        Ok((hash, password)) => {
            if generate {
                output::complain("The password, shown once:");
                output::line(password.expose());
                output::complain("Its hash, for `hash:`:");
            }
            output::line(hash)
        }
        Err(error) => {
            output::complain(format_args!("seawall: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn password(generate: bool) -> io::Result<Secret> {
    if generate {
        return generate_password().map_err(io::Error::other);
    }
    if io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ")?;
        let second = rpassword::prompt_password("Again: ")?;
        return if first == second { checked(&first) } else { Err(io::Error::other("the two passwords differ")) };
    }
    let mut bytes = Vec::new();
    // A line break may follow the longest password.
    io::stdin().take(LIMIT + 2).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("the password is not UTF-8 text"))?;
    checked(text.trim_end_matches(['\r', '\n']))
}

fn checked(password: &str) -> io::Result<Secret> {
    match password.len() as u64 {
        0 => Err(io::Error::other("the password is empty")),
        length if length > LIMIT => Err(io::Error::other("the password is over 4096 bytes")),
        _ => Ok(Secret::new(password)),
    }
}
