//! `seawall explain`: what a request would get and why, or why one was denied.
//!
//! With `--config` on the command line the files alone are asked, on this machine and without a server; else the server,
//! which knows what its API has set, too.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{Common, name};
use super::columns;
use super::failure::Failure;
use super::session::Session;
use crate::cli::format::{self, Outcome};
use crate::cli::output;
use crate::clock::{Clock, SystemClock};
use crate::policy::PolicySnapshot;
use crate::policy::explain::{Explanation, Recorded, Request, explain};
use crate::server;

/// `explain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The name of the registry.
    #[arg(short, long, value_name = "NAME", value_parser = name, required_unless_present = "denial")]
    registry: Option<String>,
    /// The address that the request comes from.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "denial")]
    source: Option<String>,
    /// How it comes, in the words of the audit log: "private endpoint NAME" or "virtual network NAME". Default: public.
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Somebody whom an identity provider vouches for. Several times: the groups that he is in, too.
    #[arg(long, value_name = "NAME", group = "who")]
    identity: Vec<String>,
    /// A token.
    #[arg(long, value_name = "NAME", group = "who")]
    token: Option<String>,
    /// A service principal, by its name or its client id.
    #[arg(long, value_name = "NAME", group = "who")]
    service_principal: Option<String>,
    /// The admin account.
    #[arg(long, group = "who")]
    admin: bool,
    /// Whoever comes without a credential. So it is when nobody is named.
    #[arg(long, group = "who")]
    anonymous: bool,
    /// What an access token was issued for, such as "repository:team/app:pull": it allows no more. Several times: several. Default:
    /// the login itself, which is for everything.
    #[arg(long, value_name = "SCOPE", conflicts_with = "denial")]
    scope: Vec<String>,
    /// Explain the denial with this id, which its answer carries as X-Seawall-Denial.
    #[arg(long, value_name = "ID", conflicts_with_all = ["registry", "source", "network", "who", "words"])]
    denial: Option<String>,
    /// The audit log in which to look for the denial. Default: the server's memory of the last 10,000.
    #[arg(long, value_name = "FILE", requires = "denial")]
    audit: Option<PathBuf>,
    /// pull, push, delete or list (tags), or an action such as content/read, and REPOSITORY[:TAG]; mount FROM REPOSITORY; catalog.
    #[arg(value_name = "ACTION", num_args = 1..=3, required_unless_present = "denial")]
    words: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Exit code 0: allowed. 1: denied, or it cannot be told.
pub(super) fn run(arguments: &Explain) -> ExitCode {
    match explained(arguments) {
        Ok((text, allowed)) if output::bytes(text.as_bytes()) == ExitCode::SUCCESS && allowed => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

/// What is printed, and whether the answer is that it is allowed.
fn explained(arguments: &Explain) -> Result<(String, bool), Failure> {
    let value = match &arguments.denial {
        Some(id) => arguments.denial(&id.to_ascii_lowercase())?,
        None => arguments.question()?,
    };
    let explanation = value.get("explanation").unwrap_or(&value);
    let allowed = explanation.get("allowed").and_then(Value::as_bool).unwrap_or(false);
    let global = &arguments.common.global;
    let outcome = Outcome::table(value, columns::explanation);
    let text = format::text(outcome, global.query.as_ref(), global.output, io::stdout().is_terminal());
    Ok((text.map_err(Failure::new)?, allowed))
}

impl Explain {
    fn request(&self) -> Result<Request, Failure> {
        let (action, repository, from) = match self.words.as_slice() {
            [action] => (action, None, None),
            [action, repository] => (action, Some(repository), None),
            [action, from, repository] => (action, Some(repository), Some(from)),
            _ => return Err(Failure::usage("say what is to be done, such as: pull team/app:v1")),
        };
        let request = Request {
            registry: self.registry.clone().unwrap_or_default(),
            source: self.source.clone().unwrap_or_default(),
            network: self.network.clone(),
            action: action.clone(),
            repository: repository.cloned(),
            from: from.cloned(),
            identities: self.identity.clone(),
            token: self.token.clone(),
            service_principal: self.service_principal.clone(),
            admin: self.admin,
            anonymous: self.anonymous,
            scopes: self.scope.clone(),
        };
        request.question().map_err(Failure::usage)?;
        Ok(request)
    }

    fn question(&self) -> Result<Value, Failure> {
        let request = self.request()?;
        if let Some(file) = self.common.server.typed_config() {
            let question = request.question().map_err(Failure::usage)?;
            let explanation = explain(&policy_of(file)?, &request.registry, &question, SystemClock.now());
            return value(&explanation.map_err(Failure::not_found)?);
        }
        let body = serde_json::to_value(&request).map_err(|error| Failure::new(error.to_string()))?;
        self.ask(async |session| session.post("/seawall/v1/explain", Some(&body)).await)
    }

    fn denial(&self, id: &str) -> Result<Value, Failure> {
        if id.is_empty() || !id.bytes().all(|one| one.is_ascii_hexdigit()) {
            return Err(Failure::usage("the id of a denial has digits and the letters a to f"));
        }
        let Some(file) = &self.audit else {
            return self.ask(async |session| session.get(&format!("/seawall/v1/denials/{id}")).await);
        };
        let record = find(file, id)?;
        let recorded: Recorded = serde_json::from_value(record.clone())
            .map_err(|error| Failure::new(format!("the record of denial {id} cannot be read: {error}")))?;
        let again = recorded.explainable().and_then(|(registry, question)| {
            let config = self.common.server.typed_config();
            let config = config.ok_or("give --config to have it explained by these files")?;
            let policy = policy_of(config).map_err(|failure| failure.to_string())?;
            explain(&policy, registry, &question, SystemClock.now())
        });
        Ok(match again {
            Ok(explanation) => json!({ "record": record, "explanation": value(&explanation)? }),
            Err(reason) => json!({ "record": record, "unexplained": reason }),
        })
    }

    /// Asks the server.
    fn ask(&self, question: impl AsyncFnOnce(&Session) -> Result<Value, Failure>) -> Result<Value, Failure> {
        let session = Session::open(&self.common)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("cannot start: {error}")))?;
        runtime.block_on(question(&session))
    }
}

fn value(explanation: &Explanation) -> Result<Value, Failure> {
    serde_json::to_value(explanation).map_err(|error| Failure::new(error.to_string()))
}

/// The policy of the files alone. What is wrong with them is printed.
pub(super) fn policy_of(file: &Path) -> Result<PolicySnapshot, Failure> {
    server::policy_of(file).map_err(|problems| {
        output::problems(problems);
        Failure::new(format!("the configuration file {} has problems", file.display()))
    })
}

/// The last record of the denial in the audit log.
fn find(file: &Path, id: &str) -> Result<Value, Failure> {
    let shown = file.display();
    let unreadable = |error: io::Error| Failure::new(format!("cannot read the audit log {shown}: {error}"));
    let lines = BufReader::new(File::open(file).map_err(unreadable)?).lines();
    let mut found = None;
    for line in lines {
        let line = line.map_err(unreadable)?;
        // Most lines are others': they are not worth a parser.
        if !line.contains(id) {
            continue;
        }
        let record = serde_json::from_str::<Value>(&line).ok();
        let is_it = |record: &Value| record.get("denialId").and_then(Value::as_str) == Some(id);
        found = record.filter(is_it).or(found);
    }
    found.ok_or_else(|| Failure::not_found(format!("there is no denial {id} in {shown}")))
}
