//! `seawall task run`: the logins, the steps, the report (S4-24 to S4-27).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::Args;

use super::OfTask;
use super::build::{Build, argument};
use super::context::{Checkout, Source, below};
use super::dockerfile;
use super::document::{self, Action, Step};
use super::engine::{Engine, Inspected, Job};
use super::log::{Log, date};
use super::report::{Built, Image};
use super::shelf::{Shelf, Task, pairs};
use super::words::Variables;
use crate::cli::output;
use crate::cli::resources::arguments::Common;
use crate::cli::resources::exec::child::{self, Ended, Manners, Signals};
use crate::cli::resources::failure::Failure;
use crate::cli::resources::passes::{Bearer, Desk, Pass, PrivateDirectory, Wallet};
use crate::client::exchange::Credential;
use crate::client::registry::ImageName;
use crate::clock::{Clock, SystemClock};

/// What reads a build when it does not name its file.
const DOCKERFILE: &str = "Dockerfile";
const CONTAINERFILE: &str = "Containerfile";

/// `task run`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    task: OfTask,
    /// A value for {{.Values.NAME}}, instead of the task's; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument)]
    set: Vec<(String, String)>,
    /// An argument for every build, instead of the task's; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument)]
    arg: Vec<(String, String)>,
    #[command(flatten)]
    common: Common,
}

/// Exit code 1: a login or a step failed, which the log names.
pub(in crate::cli) fn run(arguments: &Run) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(execute(arguments)),
        Err(error) => Err(Failure::new(format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

async fn execute(arguments: &Run) -> Result<(), Failure> {
    let shelf = Shelf::open()?;
    let mut task = shelf.get(&arguments.task.registry, &arguments.task.name)?;
    task.values.extend(pairs(&arguments.set));
    task.arguments.extend(pairs(&arguments.arg));
    let engine = Engine::find()?;
    let desk = Desk::new(&arguments.common)?;
    let id = shelf.next_run()?;
    let log = Log::begin();
    log.plain(&format!("Queued a run with ID: {id}"));
    log.plain("Waiting for an agent...");
    let directory = PrivateDirectory::on_disk()?;
    let signals = Signals::new()?;
    let mut work = Work { task: &task, id: &id, engine, desk: &desk, log: &log, directory: &directory, signals };
    let done = work.all().await;
    let seconds = log.elapsed().as_secs();
    match &done {
        Ok(()) => log.plain(&format!("\nRun ID: {id} was successful after {seconds}s")),
        Err(_) => log.plain(&format!("\nRun ID: {id} failed after {seconds}s")),
    }
    done
}

/// One run.
struct Work<'a> {
    task: &'a Task,
    id: &'a str,
    engine: Engine,
    desk: &'a Desk<'a>,
    log: &'a Log,
    directory: &'a PrivateDirectory,
    signals: Signals,
}

/// What the steps have in common.
struct Site {
    passes: Vec<Pass>,
    wallet: Wallet,
    /// The files of the task.
    files: Checkout,
    built: Vec<Built>,
    /// How many repositories were fetched so far.
    fetched: usize,
}

impl Work<'_> {
    async fn all(&mut self) -> Result<(), Failure> {
        self.log.event(&format!("Using {} as the home volume", self.directory.path().display()));
        self.log.event(&format!("Using the network that {} gives its containers", self.engine.program()));
        let (files, steps) = self.steps().await?;
        self.log.event("Setting up Docker configuration...");
        let passes = self.log_in().await?;
        let wallet = Wallet::of(&passes)?;
        let mut site = Site { passes, wallet, files, built: Vec::new(), fetched: 0 };
        let mut marks = Vec::new();
        for step in &steps {
            marks.push(self.step(step, &mut site).await?);
        }
        for mark in &marks {
            self.log.event(mark);
        }
        self.report(&site.built);
        Ok(())
    }

    /// The files of the task, and its steps; all mistakes in them are told before anything is done.
    async fn steps(&mut self) -> Result<(Checkout, Vec<Step>), Failure> {
        let files = match Source::parse(&self.task.context).map_err(Failure::new)? {
            Source::Directory(path) => Checkout { path, head: String::new() },
            Source::Nothing => Checkout { path: self.new_directory("workspace")?, head: String::new() },
            Source::Git(repository) => {
                let to = self.new_directory("source")?;
                repository.fetch(&to, &mut self.signals).await?
            }
        };
        let file = match &self.task.contents {
            Some(contents) => self.directory.write("task.yaml", contents)?,
            None => below(&files.path, &self.task.file)?,
        };
        let steps = document::read(&file, &self.variables()).map_err(|problems| {
            output::problems(problems);
            Failure::new(format!("{} has problems; nothing was run", self.task.file))
        })?;
        Ok((files, steps))
    }

    fn new_directory(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.directory.path().join(name);
        fs::create_dir(&path).map_err(|error| Failure::new(format!("cannot make {}: {error}", path.display())))?;
        Ok(path)
    }

    fn variables(&self) -> Variables {
        Variables {
            registry: self.task.login_server.clone(),
            registry_name: self.task.registry.clone(),
            id: self.id.to_owned(),
            date: date(SystemClock.now()),
            task_name: self.task.name.clone(),
            values: Some(self.task.values.clone()),
        }
    }

    /// S4-27: all logins, and only then the first step.
    async fn log_in(&mut self) -> Result<Vec<Pass>, Failure> {
        let mut wanted: Vec<(&str, &str)> = Vec::new();
        let added = |(server, used): (&String, &String)| match self.task.identity_of(used) {
            Some(identity) => Ok((server.clone(), identity.name.clone())),
            None => Err(Failure::new(format!("the task has no identity {used}, by which it would log in to {server}"))),
        };
        let added = self.task.credentials.iter().map(added).collect::<Result<Vec<_>, _>>()?;
        let own = &self.task.login_server;
        if let Some(identity) = self.task.own.as_ref().filter(|_| !added.iter().any(|(server, _)| server == own)) {
            wanted.push((own, &identity.name));
        }
        // The task's own registry comes first (S4-25).
        let (first, rest): (Vec<_>, Vec<_>) = added.iter().partition(|(server, _)| server == own);
        wanted.extend(first.into_iter().chain(rest).map(|(server, identity)| (server.as_str(), identity.as_str())));
        let mut passes = Vec::new();
        for (server, identity) in wanted {
            self.log.event(&format!("Logging in to registry: {server}"));
            let bearer = Bearer::Identity(identity.to_owned());
            let pass = self.signals.unless_stopped(self.desk.pass(server, &bearer)).await.map_err(|failure| {
                self.log.event(&format!("Failed to log in to registry: {server}"));
                failure.hint(format!("The identity '{identity}' has no login at {server}; no step was run."))
            })?;
            self.log.event(&format!("Successfully logged into {server}"));
            passes.push(pass);
        }
        Ok(passes)
    }

    /// Does one step; what is said of it at the end.
    async fn step(&mut self, step: &Step, site: &mut Site) -> Result<String, Failure> {
        let left = Duration::from_secs(self.task.timeout.into()).saturating_sub(self.log.elapsed());
        let timeout = step.timeout.min(left);
        self.log.event(&format!(
            "Executing step ID: {}. Timeout(sec): {}, Working directory: '{}', Network: 'default'",
            step.id,
            timeout.as_secs(),
            step.working_directory
        ));
        let began = self.log.elapsed();
        let done = match &step.action {
            Action::Build(build) => self.build(step, build, timeout, site).await,
            Action::Push(images) => self.push(images, timeout, site).await,
            Action::Command(words) => self.command(step, words, timeout, site).await,
        };
        let took = self.log.elapsed().saturating_sub(began).as_secs_f64();
        let mark = |how: &str| format!("Step ID: {} marked as {how} (elapsed time in seconds: {took:.6})", step.id);
        let why = match done {
            Ok(()) => return Ok(mark("successful")),
            Err(Broken::Run(failure)) => {
                self.log.event(&mark("failed"));
                return Err(failure.hint(format!("That was step {}.", step.id)));
            }
            Err(Broken::TimedOut) => format!("it took longer than {} s", timeout.as_secs()),
            Err(Broken::Step(why)) => why,
        };
        if step.ignore_errors {
            self.log.event(&format!("Step ID: {} failed, which is ignored: {why}", step.id));
            return Ok(mark("failed"));
        }
        self.log.event(&mark("failed"));
        Err(Failure::new(format!("step {} failed: {why}", step.id)))
    }

    async fn build(&mut self, step: &Step, build: &Build, timeout: Duration, site: &mut Site) -> Result<(), Broken> {
        let directory = below(&site.files.path, &step.working_directory)?;
        let checkout = match Source::parse(&build.context).map_err(Failure::new)? {
            Source::Directory(path) => {
                let path = path.display().to_string();
                Checkout { path: below(&directory, &path)?, head: site.files.head.clone() }
            }
            Source::Nothing => return Err(Failure::new("a build has a context").into()),
            Source::Git(repository) => {
                site.fetched = site.fetched.saturating_add(1);
                let to = self.new_directory(&format!("source-{}", site.fetched))?;
                repository.fetch(&to, &mut self.signals).await?
            }
        };
        let mut build = build.clone();
        for (name, value) in &self.task.arguments {
            build.arguments.retain(|(other, _)| other != name);
            build.arguments.push((name.clone(), value.clone()));
        }
        let file = dockerfile_of(&build, &checkout.path)?;
        self.log.event("Scanning for dependencies...");
        let text = fs::read_to_string(&file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let bases = dockerfile::bases(&text, &build.arguments, build.target.as_deref());
        let head = Some(checkout.head).filter(|head| !head.is_empty());
        let mut made = Built::new(&build.tags, bases, head);
        for base in made.bases() {
            base.digest = self.digest(&base.name, &site.passes).await?;
        }
        self.log.event("Successfully scanned dependencies");
        self.log.event(&format!("Launching container with name: {}", step.id));
        self.done(self.engine.build(&build, &checkout.path, &file), timeout, site).await?;
        build.tags.iter().for_each(|tag| self.log.plain(&format!("Successfully tagged {tag}")));
        self.log.event(&format!("Successfully executed container: {}", step.id));
        site.built.push(made);
        Ok(())
    }

    async fn push(&mut self, images: &[String], timeout: Duration, site: &mut Site) -> Result<(), Broken> {
        let began = self.log.elapsed();
        for image in images {
            let left = timeout.saturating_sub(self.log.elapsed().saturating_sub(began));
            self.log.event(&format!("Pushing image: {image}, attempt 1"));
            self.done(self.engine.push(image), left, site).await?;
            self.log.event(&format!("Successfully pushed image: {image}"));
            let pushed = site.built.iter_mut().flat_map(|built| &mut built.images);
            let pushed: Vec<&mut Image> =
                pushed.filter(|one| ImageName::parse(image).is_ok_and(|name| name == one.name)).collect();
            for one in pushed {
                one.digest = self.digest(&one.name, &site.passes).await?;
            }
        }
        Ok(())
    }

    async fn command(
        &mut self,
        step: &Step,
        words: &[String],
        timeout: Duration,
        site: &mut Site,
    ) -> Result<(), Broken> {
        let Some((image, rest)) = words.split_first() else { return Ok(()) };
        let files = below(&site.files.path, &step.working_directory)?;
        let name = format!("seawall-{}-{}", self.id, step.id);
        let job = Job { name: &name, image, words: rest, env: &step.env, files: &files };
        self.log.event(&format!("Launching container with name: {}", step.id));
        let done = self.container(job, timeout, site).await;
        // It may be gone already.
        let _ = self.engine.after(&name).output();
        done?;
        self.log.event(&format!("Successfully executed container: {}", step.id));
        Ok(())
    }

    async fn container(&mut self, job: Job<'_>, timeout: Duration, site: &mut Site) -> Result<(), Broken> {
        let began = self.log.elapsed();
        if let Some(before) = self.engine.before(job) {
            self.done(before, timeout, site).await?;
        }
        let inspected = match self.engine.inspect(job).map(|mut inspect| inspect.output()) {
            Some(Ok(told)) if told.status.success() => serde_json::from_slice(&told.stdout).unwrap_or_default(),
            _ => Inspected::default(),
        };
        let left = timeout.saturating_sub(self.log.elapsed().saturating_sub(began));
        self.done(self.engine.run(job, &inspected), left, site).await
    }

    /// Runs a program of the step to its end.
    async fn done(&mut self, mut command: Command, timeout: Duration, site: &Site) -> Result<(), Broken> {
        site.wallet.give_to(&mut command);
        let program = command.get_program().display().to_string();
        match child::run(command, Manners::Group { timeout }, &mut self.signals).await {
            Ok(Ended::Exited(status)) if status.success() => Ok(()),
            Ok(Ended::Exited(status)) => Err(Broken::Step(format!("{program}: {status}"))),
            Ok(Ended::TimedOut) => Err(Broken::TimedOut),
            Ok(Ended::Stopped) => Err(Failure::new("told to end").into()),
            Err(error) => Err(Broken::Step(format!("cannot run {program}: {error}"))),
        }
    }

    /// What a registry calls an image; nothing when it does not say.
    async fn digest(&mut self, name: &ImageName, passes: &[Pass]) -> Result<Option<String>, Failure> {
        let server = name.registry.as_deref().unwrap_or("docker.io");
        let pass = passes.iter().find(|pass| pass.address.server() == server);
        let (desk, reference) = (self.desk, name.reference().map_err(|error| Failure::new(error.to_string()))?);
        let asked = async {
            let registry = match pass {
                Some(pass) => desk.registry_of(pass),
                None => desk.registry(desk.reached(server).await?, Credential::None),
            };
            registry.find_manifest(&name.repository, &reference).await.map_err(|error| Failure::new(error.to_string()))
        };
        // The report is no reason to fail: whoever builds or pulls finds out.
        let found = self.signals.unless_stopped(async { Ok(asked.await.unwrap_or(None)) }).await?;
        Ok(found.map(|digest| digest.to_string()))
    }

    /// S4-26.
    fn report(&self, built: &[Built]) {
        if !built.is_empty() {
            self.log.event("The following dependencies were found:");
        }
        for one in built {
            self.log.plain(one.text().trim_end());
        }
    }
}

/// Why a step did not do what it is for.
enum Broken {
    /// Its time is over, which is a failure like others.
    TimedOut,
    /// It failed, which may be ignored.
    Step(String),
    /// Nothing can follow.
    Run(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Run(failure)
    }
}

/// The file of a build, which is in its context.
fn dockerfile_of(build: &Build, context: &Path) -> Result<PathBuf, Failure> {
    if let Some(file) = &build.file {
        return below(context, file);
    }
    let usual = below(context, DOCKERFILE);
    match usual {
        Err(_) if context.join(CONTAINERFILE).is_file() => below(context, CONTAINERFILE),
        usual => usual,
    }
}
