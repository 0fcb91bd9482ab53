//! The program that builds, pushes and runs: buildah, which needs no daemon, else docker.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::build::Build;
use super::manage::is_installed;
use crate::cli::resources::failure::Failure;

/// Where the files of a task are for a command that runs in a container, as in ACR.
const WORKSPACE: &str = "/workspace";

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Buildah,
    Docker,
}

/// What is run in a container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    /// Of the container.
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    pub(super) words: &'a [String],
    /// `NAME=VALUE`.
    pub(super) env: &'a [String],
    /// The files of the task.
    pub(super) files: &'a Path,
}

/// What `buildah inspect` says of a container, as far as it matters.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Inspected {
    #[serde(default, rename = "OCIv1")]
    image: InspectedImage,
}

#[derive(Debug, Default, Deserialize)]
struct InspectedImage {
    #[serde(default)]
    config: Defaults,
}

/// What an image runs when nothing else is said (OCI image specification, `config`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Defaults {
    #[serde(default)]
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    cmd: Option<Vec<String>>,
}

impl Engine {
    pub(super) fn find() -> Result<Self, Failure> {
        let found = [Self::Buildah, Self::Docker].into_iter().find(|engine| is_installed(engine.program()));
        found.ok_or_else(|| {
            Failure::new("there is neither buildah nor docker on this machine; one of them is needed to run a task")
        })
    }

    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Buildah => "buildah",
            Self::Docker => "docker",
        }
    }

    fn command(self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(words);
        command
    }

    /// `context` and `file` are paths of this machine.
    pub(super) fn build(self, build: &Build, context: &Path, file: &Path) -> Command {
        let mut command = self.command(&["build"]);
        command.arg("--file").arg(file);
        let arguments = build.arguments.iter().map(|(name, value)| ("--build-arg", format!("{name}={value}")));
        let tags = build.tags.iter().map(|tag| ("--tag", tag.clone()));
        let labels = build.labels.iter().map(|label| ("--label", label.clone()));
        let target = build.target.iter().map(|target| ("--target", target.clone()));
        let platform = build.platform.iter().map(|platform| ("--platform", platform.clone()));
        for (option, value) in tags.chain(labels).chain(arguments).chain(target).chain(platform) {
            command.arg(option).arg(value);
        }
        if build.no_cache {
            command.arg("--no-cache");
        }
        command.arg(context);
        command
    }

    pub(super) fn push(self, image: &str) -> Command {
        self.command(&["push", image])
    }

    /// Runs `job` in its container.
    pub(super) fn run(self, job: Job<'_>, inspected: &Inspected) -> Command {
        let volume = format!("{}:{WORKSPACE}", job.files.display());
        let env = job.env.iter().flat_map(|one| ["--env", one.as_str()]);
        match self {
            Self::Docker => {
                let mut command = self.command(&["run", "--rm", "--name", job.name, "--volume", &volume]);
                command.args(["--workdir", WORKSPACE]).args(env).arg(job.image).args(job.words);
                command
            }
            Self::Buildah => {
                let mut command = self.command(&["run", "--volume", &volume, "--workingdir", WORKSPACE]);
                command.args(env).arg(job.name).arg("--").args(inspected.image.config.words(job.words));
                command
            }
        }
    }

    /// Makes the container, where that has to be done first.
    pub(super) fn before(self, job: Job<'_>) -> Option<Command> {
        (self == Self::Buildah).then(|| self.command(&["from", "--name", job.name, job.image]))
    }

    /// Prints what the image runs.
    pub(super) fn inspect(self, job: Job<'_>) -> Option<Command> {
        (self == Self::Buildah).then(|| self.command(&["inspect", "--type", "container", job.name]))
    }

    /// Removes the container.
    pub(super) fn after(self, name: &str) -> Command {
        match self {
            Self::Buildah => self.command(&["rm", name]),
            Self::Docker => self.command(&["rm", "--force", name]),
        }
    }
}

impl Defaults {
    /// As container engines put it together.
    fn words<'a>(&'a self, given: &'a [String]) -> impl Iterator<Item = &'a String> {
        let rest = if given.is_empty() { self.cmd.as_deref().unwrap_or_default() } else { given };
        self.entrypoint.iter().flatten().chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        let program = std::iter::once(command.get_program());
        program.chain(command.get_args()).map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_value_is_one_word() {
        let build = Build {
            tags: vec!["r/a:1".into()],
            arguments: vec![("X".into(), "a b; rm -rf /".into())],
            target: Some("last".into()),
            context: ".".into(),
            ..Build::default()
        };
        let command = Engine::Buildah.build(&build, Path::new("/src"), Path::new("/src/Dockerfile"));
        let expected = [
            "buildah",
            "build",
            "--file",
            "/src/Dockerfile",
            "--tag",
            "r/a:1",
            "--build-arg",
            "X=a b; rm -rf /",
            "--target",
            "last",
            "/src",
        ];
        assert_eq!(words(&command), expected);
        assert_eq!(words(&Engine::Docker.push("r/a:1")), ["docker", "push", "r/a:1"]);
    }

    #[test]
    fn a_command_runs_what_the_image_says() {
        let given = ["x".to_owned()];
        let job = Job { name: "c", image: "r/a:1", words: &[], env: &["A=b".into()], files: Path::new("/w") };
        let inspected = r#"{"OCIv1":{"config":{"Entrypoint":["/run"],"Cmd":["usual"]}}}"#;
        let inspected: Inspected = serde_json::from_str(inspected).unwrap();
        let start =
            ["buildah", "run", "--volume", "/w:/workspace", "--workingdir", "/workspace", "--env", "A=b", "c", "--"];
        let run = |job| words(&Engine::Buildah.run(job, &inspected));
        assert_eq!(run(job), [&start[..], &["/run", "usual"]].concat());
        assert_eq!(run(Job { words: &given, ..job }), [&start[..], &["/run", "x"]].concat());
        let docker = words(&Engine::Docker.run(Job { words: &given, ..job }, &inspected));
        assert_eq!(docker.last_chunk::<2>().unwrap(), &["r/a:1".to_owned(), "x".to_owned()]);
    }
}
