//! A program that is run to its end, with the signals that were meant for it.

use std::io;
use std::io::IsTerminal;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use super::super::failure::Failure;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// How long a step may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(10);

/// How a program is run.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli::resources) enum Manners {
    /// With our terminal and our input: it ends when it wants to.
    Ours,
    /// Without input, in a group of its own, all of which ends when the time is over or we are told to end.
    Group { timeout: Duration },
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli::resources) enum Ended {
    Exited(ExitStatus),
    TimedOut,
    /// We were told to end.
    Stopped,
}

/// The signals that end programs. From when this is made they do not end ours.
#[derive(Debug)]
pub(in crate::cli::resources) struct Signals {
    interrupts: tokio::signal::unix::Signal,
    ends: tokio::signal::unix::Signal,
    hangups: tokio::signal::unix::Signal,
    quits: tokio::signal::unix::Signal,
}

impl Signals {
    pub(in crate::cli::resources) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen to signals: {error}")));
        Ok(Self {
            interrupts: listen(SignalKind::interrupt())?,
            ends: listen(SignalKind::terminate())?,
            hangups: listen(SignalKind::hangup())?,
            // By default it would write our memory, with the logins in it, to a file.
            quits: listen(SignalKind::quit())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupts.recv() => Signal::INT,
            _ = self.ends.recv() => Signal::TERM,
            _ = self.hangups.recv() => Signal::HUP,
            _ = self.quits.recv() => Signal::QUIT,
        }
    }

    /// What `work` has to say, unless a signal comes before: then everything it holds is let go in good order.
    pub(in crate::cli::resources) async fn unless_stopped<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            signal = self.next() => Err(Failure::new(match signal {
                Signal::INT => "interrupted",
                _ => "told to end",
            })),
        }
    }
}

/// Runs `command`. A signal that ends programs is passed on to it, and we wait for its end all the same.
///
/// # Errors
/// It could not be started.
pub(in crate::cli::resources) async fn run(
    mut command: Command,
    manners: Manners,
    signals: &mut Signals,
) -> io::Result<Ended> {
    if let Manners::Group { .. } = manners {
        command.process_group(0).stdin(Stdio::null());
    }
    let mut child = command.spawn()?;
    let pid = pid_of(&child);
    let mut waiting = tokio::task::spawn_blocking(move || child.wait());
    let timeout = match manners {
        Manners::Ours => Duration::MAX,
        Manners::Group { timeout } => timeout,
    };
    let over = tokio::time::sleep(timeout);
    tokio::pin!(over);
    loop {
        let (received, ended) = tokio::select! {
            biased;
            status = &mut waiting => return exited(status),
            () = &mut over => (Signal::TERM, Ended::TimedOut),
            signal = signals.next() => (signal, Ended::Stopped),
        };
        match (manners, pid) {
            (_, None) => {}
            // A terminal sends Ctrl-C and Ctrl-\ to both of us.
            (Manners::Ours, _) if matches!(received, Signal::INT | Signal::QUIT) && io::stdin().is_terminal() => {}
            // It may have ended just now.
            (Manners::Ours, Some(pid)) => drop(kill_process(pid, received)),
            (Manners::Group { .. }, Some(pid)) => {
                end_group(pid, &mut waiting).await;
                return Ok(ended);
            }
        }
    }
}

/// Asks all programs of the group to end, then makes them.
async fn end_group(pid: Pid, waiting: &mut JoinHandle<io::Result<ExitStatus>>) {
    let _ = kill_process_group(pid, Signal::TERM);
    let _ = tokio::time::timeout(GRACE, &mut *waiting).await;
    // Also what the first one left behind.
    let _ = kill_process_group(pid, Signal::KILL);
    if !waiting.is_finished() {
        let _ = waiting.await;
    }
}

fn exited(status: Result<io::Result<ExitStatus>, tokio::task::JoinError>) -> io::Result<Ended> {
    status.map_err(io::Error::other)?.map(Ended::Exited)
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// As shells have it: 128 and the signal, for a program that a signal ended.
pub(in crate::cli::resources) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
