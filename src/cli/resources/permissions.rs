//! `--repository REPO ACTION…` and its kin: what a scope map permits, as `az` takes it on the command line.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::failure::Failure;

/// What can be permitted on something, and how ARM calls that something.
#[derive(Debug, Clone, Copy)]
struct Kind {
    prefix: &'static str,
    placeholder: &'static str,
    actions: &'static [&'static str],
}

const REPOSITORY: Kind = Kind {
    prefix: "repositories",
    placeholder: "REPO",
    actions: &["content/delete", "content/read", "content/write", "metadata/read", "metadata/write"],
};
const GATEWAY: Kind = Kind {
    prefix: "gateway",
    placeholder: "GATEWAY",
    actions: &["config/read", "config/write", "message/read", "message/write"],
};

/// What follows one flag: a name and its actions.
type Rule = Vec<String>;

/// `--repository` and `--gateway`.
#[derive(Debug, Clone, Default)]
pub(super) struct Permissions {
    repositories: Vec<Rule>,
    gateways: Vec<Rule>,
}

impl Permissions {
    /// Whether there is no flag.
    pub(super) fn is_empty(&self) -> bool {
        self.repositories.is_empty() && self.gateways.is_empty()
    }

    /// In ARM's words, in the order of the flags.
    pub(super) fn actions(&self) -> Result<Vec<String>, Failure> {
        let mut actions = Vec::new();
        for (kind, rules) in [(REPOSITORY, &self.repositories), (GATEWAY, &self.gateways)] {
            for rule in rules {
                actions.extend(kind.read(rule)?);
            }
        }
        Ok(actions)
    }

    fn arguments(command: Command, flags: [Flag; 2]) -> Command {
        let [repository, gateway] = flags;
        command.arg(repository.argument(REPOSITORY)).arg(gateway.argument(GATEWAY))
    }

    fn read(matches: &ArgMatches, flags: [Flag; 2]) -> Self {
        let [repositories, gateways] = flags.map(|flag| flag.rules(matches));
        Self { repositories, gateways }
    }
}

impl Kind {
    fn read(self, rule: &[String]) -> Result<Vec<String>, Failure> {
        let (name, actions) = rule.split_first().map_or(("", &[][..]), |(name, actions)| (name.as_str(), actions));
        let name = name.to_lowercase();
        if actions.is_empty() {
            return Err(Failure::new(format!("At least one action must be specified with \"{name}\".")));
        }
        actions.iter().map(|action| self.action(&name, action)).collect()
    }

    fn action(self, name: &str, written: &str) -> Result<String, Failure> {
        let action = written.to_lowercase();
        if self.actions.contains(&action.as_str()) {
            return Ok(format!("{}/{name}/{action}", self.prefix));
        }
        let valid: Vec<String> = self.actions.iter().map(|action| format!("'{action}'")).collect();
        let message = format!("Invalid action \"{action}\" provided. \nValid actions are {{{}}}.", valid.join(", "));
        let failure = Failure::new(message);
        // `*` without quotes is replaced by the names of all files here before this program sees it.
        if Path::new(written).exists() {
            let hint =
                "\"{}\" is a file here: did the shell expand a `*`? Put it in quotes, such as '*' or 'samples/*'.";
            return Err(failure.hint(hint.replace("{}", written)));
        }
        Err(failure)
    }
}

/// A flag that is repeated, each time with a name and its actions.
#[derive(Debug, Clone, Copy)]
struct Flag {
    name: &'static str,
    /// What `az` once called it.
    alias: Option<&'static str>,
    help: &'static str,
}

impl Flag {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, alias: None, help }
    }

    fn argument(self, kind: Kind) -> Arg {
        let argument = Arg::new(self.name)
            .long(self.name)
            .action(ArgAction::Append)
            .num_args(1..)
            .value_names([kind.placeholder, "ACTION"])
            .help(format!("{} Repeat it for each. Actions: {}", self.help, kind.actions.join(", ")));
        match self.alias {
            Some(alias) => argument.alias(alias),
            None => argument,
        }
    }

    fn rules(self, matches: &ArgMatches) -> Vec<Rule> {
        let occurrences = matches.get_occurrences::<String>(self.name).into_iter().flatten();
        occurrences.map(|values| values.cloned().collect()).collect()
    }
}

const CREATE: [Flag; 2] = [
    Flag::new("repository", "What is permitted on a repository: its name, or PREFIX/* or *, and actions."),
    Flag::new("gateway", "What is permitted on a connected registry: its name and actions."),
];
const ADD: [Flag; 2] = [
    Flag { alias: Some("add"), ..Flag::new("add-repository", "What is permitted on a repository besides.") },
    Flag::new("add-gateway", "What is permitted on a connected registry besides."),
];
const REMOVE: [Flag; 2] = [
    Flag { alias: Some("remove"), ..Flag::new("remove-repository", "What is no longer permitted on a repository.") },
    Flag::new("remove-gateway", "What is no longer permitted on a connected registry."),
];

/// Clap's derive cannot tell which values followed which occurrence of a flag.
impl Args for Permissions {
    fn augment_args(command: Command) -> Command {
        Self::arguments(command, CREATE)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Permissions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self::read(matches, CREATE))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What a scope map is to permit besides, and no longer.
#[derive(Debug, Clone, Default)]
pub(super) struct Difference {
    pub(super) add: Permissions,
    pub(super) remove: Permissions,
}

impl Difference {
    /// Whether there is no flag.
    pub(super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

impl Args for Difference {
    fn augment_args(command: Command) -> Command {
        Permissions::arguments(Permissions::arguments(command, ADD), REMOVE)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Difference {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Ok(Self { add: Permissions::read(matches, ADD), remove: Permissions::read(matches, REMOVE) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
