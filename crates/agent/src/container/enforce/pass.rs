//! One pass: a command of the payload as a transaction of its own, and what it came to in the words of [`careen_protocol::enforce`].

use super::super::create::Joined;
use super::super::follow::Nobody;
use super::super::identity::Place;
use super::super::inquiry::forget;
use super::super::{Followed, Request, carry_out, host, last_lines};
use crate::files::{self, File};
use crate::layout::{self, TransactionDir, file};
use crate::payload::{Source, pump};
use crate::say::say;
use crate::signals::Signals;
use crate::stop::{OrRefuse, Stop};
use careen_contract::command::judge;
use careen_contract::exit::REBOOT_ME;
use careen_contract::id::hex;
use careen_contract::payload::{CHECK_COMMAND, DEFAULT_COMMAND, DRIFT};
use careen_contract::settings::{DEFAULT_OUTPUT_LIMIT, EngineRestarts, Reboot, Settings};
use careen_contract::{AgentExit, TransactionId};
use careen_host::journal::TransactionResult;
use careen_host::outcome::Outcome;
use careen_protocol::enforce::{Installed, Looked};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a `check` may take where `CAREEN_TIMEOUT` says nothing: it is run again and again, and nothing is mended meanwhile.
const CHECK_LIMIT: Duration = Duration::from_secs(120);

/// How long an `install` may take likewise: nobody watches it, and it has the host for itself.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// How much output of a `check` is kept: nobody reads it but this agent.
const CHECK_OUTPUT: u64 = 1024 * 1024;

/// So many lines travel.
const LINES: usize = 4;

/// What passes are made from.
pub struct Passes<'a> {
    pub request: Request,
    pub source: Source,
    pub place: Place,
    pub signals: &'a Signals,
}

impl Passes<'_> {
    /// Runs `check`; `None` when this agent was told to leave.
    pub fn check(&mut self, id: TransactionId) -> Option<Looked> {
        let request = for_check(&self.request);
        Some(match self.run(&request, id) {
            Ok(Followed::Detached) => return None,
            Ok(Followed::Closed(joined, result)) => {
                let looked = looked(&joined, &result);
                remove(&joined.directory);
                looked
            }
            Err(stop) => Looked::Fails { why: format!("'check' was not run: {}", stop.message) },
        })
    }

    /// Runs `install`. Where the transaction is there, an earlier agent began it; `is_new` is whether that must not be.
    pub fn install(&mut self, id: TransactionId, is_new: bool) -> Option<Installed> {
        let directory = TransactionDir::new(Path::new(layout::ROOT), &id);
        match files::exists(directory.file(file::MANIFEST)) {
            Ok(false) if !is_new => return Some(Installed::Lost),
            Ok(true) if is_new => {
                let why = format!("the transaction {id} is on this host already: was its clock set back?");
                return Some(Installed::Refused { why });
            }
            Err(error) => return Some(Installed::Refused { why: format!("cannot look for {id}: {error}") }),
            Ok(_) => {}
        }
        let request = for_install(&self.request);
        Some(match self.run(&request, id) {
            Ok(Followed::Detached) => return None,
            Ok(Followed::Closed(joined, result)) => installed(&joined, &result),
            Err(stop) if stop.exit == AgentExit::HostBusy => Installed::Busy { why: stop.message },
            Err(stop) => Installed::Refused { why: format!("'install' was not run: {}", stop.message) },
        })
    }

    fn run(&mut self, request: &Request, id: TransactionId) -> Result<Followed, Stop> {
        self.place.id = id;
        self.place.refresh();
        let found = self.source.command(&request.command).or_refuse("read the payload")?;
        let found = found.ok_or_else(|| no_command(&request.command))?;
        let how = judge(found.as_file(), &host::machine(), host::has_executable).map_err(|why| {
            Stop::new(why.exit(), format_args!("the payload's command '{}' {why}", request.command))
        })?;
        carry_out(request, &self.source, how, &self.place, self.signals, &mut Nobody, None)
    }
}

pub fn no_command(command: &str) -> Stop {
    Stop::new(
        AgentExit::UnknownCommand,
        format_args!(
            "the payload has no command '{command}': what is enforced has a 'check' and an 'install'"
        ),
    )
}

/// Removes a transaction of which nobody asks for the record.
pub fn remove(directory: &TransactionDir) {
    if let Err(error) = forget(directory) {
        let name = directory.path().file_name().unwrap_or_default().display();
        say(format_args!("the transaction {name} stays on this host: {error:#}"));
    }
}

fn for_check(request: &Request) -> Request {
    let given = &request.settings;
    let settings = Settings {
        timeout: Some(given.timeout.unwrap_or(CHECK_LIMIT)),
        output_limit: given.output_limit.min(CHECK_OUTPUT),
        ..settings(given)
    };
    Request { command: CHECK_COMMAND.to_owned(), settings, ..request.clone() }
}

fn for_install(request: &Request) -> Request {
    let given = &request.settings;
    let settings = Settings { timeout: Some(given.timeout.unwrap_or(INSTALL_LIMIT)), ..settings(given) };
    Request { command: DEFAULT_COMMAND.to_owned(), settings, ..request.clone() }
}

/// Nothing is restarted for the sake of what is enforced, and the container's log is not the place for what passes print.
fn settings(given: &Settings) -> Settings {
    Settings {
        reboot: Reboot::Never,
        engine_restart: EngineRestarts::Never,
        log_offset: u64::MAX,
        linger: false,
        inquires: false,
        rollout: None,
        ..given.clone()
    }
}

fn looked(joined: &Joined, result: &TransactionResult) -> Looked {
    let is_drift = |status: i32| status == i32::from(DRIFT);
    match &result.outcome {
        Outcome::Exited { status: 0 } => Looked::InSync,
        Outcome::Exited { status } if is_drift(*status) => match digest(&joined.directory) {
            Ok(output) => Looked::Drift { output },
            Err(error) => Looked::Fails { why: format!("what 'check' printed cannot be read: {error}") },
        },
        Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::RestartWanted { .. }
        | Outcome::EngineDown { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => {
            let lines = last_of(joined, CHECK_OUTPUT);
            let said = if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" / ")) };
            Looked::Fails { why: format!("'check' {}{said}", result.outcome) }
        }
    }
}

fn installed(joined: &Joined, result: &TransactionResult) -> Installed {
    let is_well = matches!(result.outcome, Outcome::Exited { status: 0 });
    let lines = if is_well { Vec::new() } else { last_of(joined, DEFAULT_OUTPUT_LIMIT) };
    Installed::Ended {
        exit: result.exit_code,
        wants: wants(&result.outcome),
        why: result.outcome.to_string(),
        lines,
    }
}

/// What only a rollout does.
fn wants(outcome: &Outcome) -> Option<String> {
    const ROLLOUT: &str = "a rollout of the same payload does it";
    match outcome {
        Outcome::RestartWanted { reasons } => {
            Some(format!("'install' did its work, but {}: {ROLLOUT}", reasons.join("; ")))
        }
        Outcome::Exited { status }
            if [REBOOT_ME, AgentExit::RestartWanted.code().into()].contains(status) =>
        {
            Some(format!(
                "'install' ended with {status}: it needs a drain, a reboot or a restart of the engine: {ROLLOUT}"
            ))
        }
        Outcome::Exited { .. }
        | Outcome::Signaled { .. }
        | Outcome::EngineDown { .. }
        | Outcome::TimedOut
        | Outcome::Stopped { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => None,
    }
}

fn last_of(joined: &Joined, most: u64) -> Vec<String> {
    let mut lines = last_lines::of(&joined.directory, joined.output_limit.min(most));
    lines.drain(..lines.len().saturating_sub(LINES));
    lines
}

/// Of what was kept of the output.
fn digest(directory: &TransactionDir) -> io::Result<String> {
    let mut hash = Sha256::new();
    for name in [file::OUTPUT, file::TAIL] {
        let (sha256, bytes) = pump(&mut File::open(directory.file(name))?, &mut io::sink())?;
        hash.update(bytes.to_le_bytes());
        hash.update(sha256);
    }
    Ok(hex(&hash.finalize()[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::output::OutputLog;
    use careen_host::output::Stream;
    use std::collections::BTreeMap;

    fn joined(base: &Path, printed: &[u8]) -> Joined {
        let directory = TransactionDir::at(base.to_owned());
        let mut output = OutputLog::open(&directory, CHECK_OUTPUT).unwrap();
        output.append(Stream::Stdout, printed);
        output.finish();
        Joined {
            directory,
            way: None,
            was_closed: false,
            terminal: false,
            output_limit: CHECK_OUTPUT,
            printed_before: 0,
        }
    }

    fn result(outcome: Outcome) -> TransactionResult {
        TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes: 0,
            duration_ms: None,
            notes: Vec::new(),
            changes: None,
            answer: None,
        }
    }

    fn look(printed: &[u8], outcome: Outcome) -> Looked {
        let base = tempfile::tempdir().unwrap();
        looked(&joined(base.path(), printed), &result(outcome))
    }

    #[test]
    fn a_check_says_in_sync_or_drift_and_everything_else_is_that_nobody_knows() {
        assert_eq!(look(b"x", Outcome::Exited { status: 0 }), Looked::InSync);
        let drift = look(b"net.ipv4.ip_forward is 0\n", Outcome::Exited { status: 2 });
        assert_eq!(look(b"net.ipv4.ip_forward is 0\n", Outcome::Exited { status: 2 }), drift);
        assert_ne!(look(b"vm.swappiness is 60\n", Outcome::Exited { status: 2 }), drift);
        for outcome in [Outcome::Exited { status: 1 }, Outcome::TimedOut, Outcome::Interrupted] {
            let words = outcome.to_string();
            let Looked::Fails { why } = look(b"E: no lock\n", outcome) else { panic!("{words}") };
            assert_eq!(why, format!("'check' {words}: E: no lock"));
        }
    }

    #[test]
    fn an_install_that_wants_a_restart_wants_a_rollout() {
        let base = tempfile::tempdir().unwrap();
        let joined = joined(base.path(), b"1\n2\n3\n4\n5\n");
        let of = |outcome| installed(&joined, &result(outcome));
        let Installed::Ended { exit: 0, wants: None, lines, .. } = of(Outcome::Exited { status: 0 }) else {
            panic!()
        };
        assert!(lines.is_empty(), "nobody asks what a command printed that did its work");
        let Installed::Ended { exit: 7, wants: None, lines, why } = of(Outcome::Exited { status: 7 }) else {
            panic!()
        };
        assert_eq!((lines.join(""), why.as_str()), ("2345".to_owned(), "exited with status 7"));
        for outcome in [
            Outcome::RestartWanted { reasons: vec!["a reboot is wanted".into()] },
            Outcome::Exited { status: 194 },
            Outcome::Exited { status: 246 },
        ] {
            let Installed::Ended { wants: Some(wants), .. } = of(outcome) else { panic!() };
            assert!(wants.contains("a rollout of the same payload"), "{wants}");
        }
    }

    #[test]
    fn passes_restart_nothing_print_nothing_and_end() {
        let mut request = Request {
            command: "install".into(),
            args: vec!["--fast".into()],
            environment: BTreeMap::new(),
            settings: Settings { reboot: Reboot::Always, linger: true, ..Settings::default() },
        };
        for one in [for_check(&request), for_install(&request)] {
            let settings = &one.settings;
            assert_eq!((settings.reboot, settings.engine_restart), (Reboot::Never, EngineRestarts::Never));
            assert!(settings.timeout.is_some() && !settings.linger && settings.log_offset == u64::MAX);
            assert_eq!(one.args, ["--fast"]);
        }
        assert!(!for_check(&request).takes_host_lock() && for_install(&request).takes_host_lock());
        request.settings.timeout = Some(Duration::from_secs(7));
        assert_eq!(for_install(&request).settings.timeout, Some(Duration::from_secs(7)));
        assert_eq!(for_check(&request).settings.timeout, Some(Duration::from_secs(7)));
    }
}
