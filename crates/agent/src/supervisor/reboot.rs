//! What takes the host or its engine down, and what a supervisor waits for before it. The intent is in the journal before
//! either is called.

use super::Supervisor;
use super::waiting::Waiting;
use crate::engine_restart::{self, Ended, INTERVAL, NoTurn, Patience};
use crate::layout::{TransactionDir, file};
use crate::signals::with_signals_unblocked;
use crate::{durable, files, go, hold, others, tool};
use anyhow::{Context, bail};
use careen_contract::chain;
use careen_contract::report::Restart;
use careen_contract::settings::COMMAND_PATH;
use careen_host::journal::EngineOutcome;
use careen_host::outcome::{EngineRestart, Outcome};
use careen_host::preflight::{Manners, UPDATER_LIMIT, wait_for};
use careen_host::transaction::TransactionStage;
use careen_protocol::go::COMMAND;
use careen_protocol::supervisor::{Event, GO_LIMIT, GO_TO_RUN_LIMIT, Wish};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A shutdown may wait for the stop time limits of the host's units.
const REBOOT_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// When it is looked again whether somebody else still works on the host.
const OTHERS_AGAIN: Duration = Duration::from_secs(5);

impl Supervisor<'_> {
    /// Somebody who waits on this transaction's behalf: a cancel ends the wait, and so does the end of this process.
    fn waiting(&mut self) -> Waiting<'_> {
        Waiting::new(&self.signals, &mut self.control, self.directory)
    }

    /// Waits for something, and tells how that ended.
    pub(super) fn wait_for<T>(
        &mut self,
        wait: impl FnOnce(&careen_host::manifest::Manifest, &mut Waiting<'_>) -> Result<T, Ended>,
        done: impl FnOnce(T) -> Event,
    ) -> Event {
        let mut waiting = Waiting::new(&self.signals, &mut self.control, self.directory);
        match wait(&self.manifest, &mut waiting) {
            Ok(waited) => done(waited),
            Err(Ended) => {
                waiting.hold(None);
                waiting.ended()
            }
        }
    }

    /// Until the swarm can do without this host; on a worker that is at once.
    pub(super) fn await_turn_to_run(&mut self) -> Event {
        // A lock that was held again for an interrupted attempt is taken anew: the quorum is asked with it.
        self.engine_lock = None;
        let attempt = self.journal.state().history.attempts + 1;
        let (mut held, mut notes) = (None, Vec::new());
        let event = self.wait_for(
            |manifest, waiting| engine_restart::before_command(manifest, attempt, waiting),
            |begin| turn(begin.map(|begin| (held, notes) = (begin.held, begin.notes))),
        );
        self.engine_lock = held;
        self.notes.extend(notes);
        if event == Event::Waited {
            return may_run();
        }
        // The wait may have ended behind the moment in which the lock was taken.
        engine_restart::give_back(&self.manifest);
        event
    }

    /// Until its agent has passed the go for the command on once more, behind the wait for its turn; nobody does it where that
    /// agent is gone, and the node may run tasks again.
    pub(super) fn await_go_to_run(&mut self) -> Event {
        let limit = files::patience(GO_TO_RUN_LIMIT);
        let deadline = Instant::now() + limit;
        let given = self.directory.file(file::GO);
        let mut waiting = self.waiting();
        let event = loop {
            if go::counts(&given, COMMAND) {
                break Event::Waited;
            }
            if Instant::now() >= deadline {
                let limit = limit.as_secs();
                break Event::GaveUp(format!("its agent did not pass the go on any more, for {limit} s"));
            }
            waiting.hold(Some("its agent, which has to pass the go on once more"));
            if let Err(Ended) = waiting.pause_for_a_go(INTERVAL) {
                break waiting.ended();
            }
        };
        waiting.hold(None);
        let event = if event == Event::Waited { self.may_still_run() } else { event };
        if !matches!(event, Event::MayRun { .. }) {
            self.engine_lock = None;
            engine_restart::give_back(&self.manifest);
        }
        event
    }

    /// The last look at the quorum before a command begins.
    fn may_still_run(&self) -> Event {
        match engine_restart::may_still_run(&self.manifest) {
            Ok(()) => may_run(),
            Err(why) => {
                tracing::info!(hold = chain(&why), "waiting for its turn again");
                Event::TurnIsLost
            }
        }
    }

    /// Whether the go for the command counts now.
    pub(super) fn has_go_to_run(&self) -> bool {
        go::counts(&self.directory.file(file::GO), COMMAND)
    }

    /// Until this host may go down, for a restart of its engine or of itself. Where it may not, it gives its turn back.
    pub(super) fn await_turn_to_restart(&mut self) -> Event {
        // In a rollout that was waited for before the go; without one only a reboot comes this way.
        if !self.manifest.awaits_go
            && let Some(ended) = self.await_others()
        {
            return ended;
        }
        self.engine_lock = None; // taken over
        let event = self.wait_for(|manifest, waiting| engine_restart::await_restart(manifest, waiting), turn);
        if event != Event::Waited {
            go::forget(self.directory);
            engine_restart::give_turn_back(&self.manifest);
        }
        event
    }

    /// Until nobody else works on the host who would not bear its reboot, or who asks for none, as far as they are waited for.
    /// Before the go and the turn: neither is held meanwhile. `None` when it is over.
    fn await_others(&mut self) -> Option<Event> {
        let begun = Instant::now();
        let respects = self.manifest.respect_inhibitors;
        let mut waiting = self.waiting();
        loop {
            let others = others::look();
            let Some(why) = wait_for(&others, before_a_reboot(respects), begun.elapsed()) else {
                others.iter().for_each(|other| tracing::warn!("rebooting although {other}"));
                waiting.hold(None);
                return None;
            };
            if begun.elapsed() >= GO_LIMIT {
                waiting.hold(None);
                return Some(Event::GaveUp(why));
            }
            waiting.hold(Some(&format!("to reboot this host: {why}")));
            if let Err(Ended) = waiting.pause(OTHERS_AGAIN) {
                waiting.hold(None);
                return Some(waiting.ended());
            }
        }
    }

    /// In a rollout: until an agent passes the go for this restart on. The node must be empty first.
    pub(super) fn await_go(&mut self, wish: &Wish) -> Event {
        if wish.kind == Restart::Reboot
            && let Some(ended) = self.await_others()
        {
            return ended;
        }
        let (asked, given) = (self.directory.file(file::RESTART_WISH), self.directory.file(file::GO));
        // One that lies there was given to a supervisor that was lost, for a node as it was then.
        if let Err(error) = durable::remove_file(&given) {
            return Event::GaveUp(format!("{}: {error}", given.display()));
        }
        let deadline = Instant::now() + GO_LIMIT;
        let mut waiting = self.waiting();
        let event = loop {
            if go::counts(&given, wish.number) {
                break Event::Waited;
            }
            if Instant::now() >= deadline {
                break Event::GaveUp(format!("nobody gave the go, for {} h", GO_LIMIT.as_secs() / 3600));
            }
            if !go::is_asked(&asked, wish)
                && let Err(error) = go::ask(&asked, wish)
            {
                tracing::warn!(file = %asked.display(), error = chain(&error), "the go cannot be asked for");
            }
            waiting.hold(Some(&format!("{}, because {}", hold::FOR_A_GO, wish.reason)));
            if let Err(Ended) = waiting.pause_for_a_go(INTERVAL) {
                break waiting.ended();
            }
        };
        waiting.hold(None);
        if event != Event::Waited {
            go::forget(self.directory);
        }
        event
    }

    /// Whether the go still counts, behind the wait for its turn. A turn that is of no use is given back.
    pub(super) fn look_at_go(&self, number: u32) -> Event {
        if go::counts(&self.directory.file(file::GO), number) {
            return Event::Waited;
        }
        tracing::info!(
            "the go for the restart counts no more, its agent may be gone: asking for another one"
        );
        engine_restart::give_turn_back(&self.manifest);
        Event::GoIsVoid
    }

    /// Until an engine that was up before the command, and that the command has started again, answers.
    pub(super) fn let_engine_come_up(&mut self) -> Event {
        self.wait_for(|_, waiting| engine_restart::let_come_up(waiting), |()| Event::Waited)
    }

    /// Until the rebooted host takes part in its swarm again, or that has taken too long.
    pub(super) fn await_swarm(&mut self) -> Event {
        self.wait_for(|manifest, waiting| engine_restart::after_reboot(manifest, waiting), |()| Event::Waited)
    }

    /// Starts or restarts the engine. One that needs a go is stopped only while that counts.
    pub(super) fn restart_engine(&mut self, why: EngineRestart, go: Option<u32>) -> Event {
        let settled = |outcome: Option<EngineOutcome>| {
            let Some(outcome) = outcome else { return Event::GoIsVoid };
            match &outcome {
                EngineOutcome::Up => {}
                EngineOutcome::Refused { reason } => {
                    tracing::warn!(error = reason, "the engine was not restarted");
                }
                EngineOutcome::Down { words } => tracing::warn!(error = words, "the engine stays down"),
            }
            Event::Settled(outcome)
        };
        self.engine_lock = None; // taken over
        let directory = self.directory;
        let may = || match why {
            EngineRestart::Down | EngineRestart::Replaced => may_restart(directory, go),
            EngineRestart::CalledDown => engine_restart::is_called_down(),
        };
        self.wait_for(|manifest, waiting| engine_restart::carry_out(why, manifest, waiting, &may), settled)
    }

    /// Reboots the host. Returns when this process is told to end, for it is resumed after the boot, or when the host does
    /// not go down.
    pub(super) fn reboot(&mut self, go: Option<u32>) -> Event {
        if let Some(event) = self.what_keeps_it_up(go) {
            engine_restart::give_turn_back(&self.manifest);
            return event;
        }
        if let Err(error) = ask_for_reboot(self.manifest.respect_inhibitors) {
            return Event::GaveUp(format!("{error:#}"));
        }
        let late =
            format!("a reboot was asked for, and did not happen within {} s", REBOOT_DEADLINE.as_secs());
        self.wait_for(|_, waiting| waiting.pause(REBOOT_DEADLINE), |()| Event::GaveUp(late))
    }

    /// The last look before a reboot.
    fn what_keeps_it_up(&self, go: Option<u32>) -> Option<Event> {
        let manners = before_a_reboot(self.manifest.respect_inhibitors);
        // Somebody may have come since they were waited for. Those who end by themselves had their time.
        if let Some(why) = wait_for(&others::look(), manners, UPDATER_LIMIT) {
            tracing::info!(hold = why, "not rebooted: waiting for that once more");
            return Some(Event::GoIsVoid);
        }
        if let Err(why) = engine_restart::may_still_go_down(&self.manifest) {
            tracing::info!(hold = chain(&why), "the host is not rebooted now");
            return Some(Event::TurnIsLost);
        }
        (!may_restart(self.directory, go)).then_some(Event::GoIsVoid)
    }

    /// Before a transaction closes whose restart was to be done and was not: nothing goes down for it any more, so its turn is
    /// another manager's. Where the host may still go down, or its engine does not take part, the turn stays until it is dead.
    pub(super) fn give_back_turn(&self, outcome: &Outcome) {
        let waits = matches!(outcome, Outcome::RestartWanted { .. }) && self.manifest.takes_host_lock;
        let rebooting = matches!(self.journal.state().stage, TransactionStage::Rebooting { .. });
        if waits && !(rebooting && may_go_down_yet()) {
            engine_restart::give_turn_back_where_up(&self.manifest);
        }
    }
}

/// What the command begins with: the engine may have gone, or come, while it was waited.
fn may_run() -> Event {
    Event::MayRun { engine_up: engine_restart::is_up() }
}

/// The last look, right before the act. What it needs a go for is wanted no more when it begins.
fn may_restart(directory: &TransactionDir, go: Option<u32>) -> bool {
    let Some(number) = go else { return true };
    let counts = go::counts(&directory.file(file::GO), number);
    match counts {
        true => go::forget(directory),
        false => {
            tracing::info!(
                "the go for the restart counts no more, and nothing was restarted: asking for another one"
            );
        }
    }
    counts
}

fn turn(turn: Result<(), NoTurn>) -> Event {
    match turn {
        Ok(()) => Event::Waited,
        Err(why) => Event::GaveUp(chain(&why)),
    }
}

/// Whether a reboot that was asked for may still come. Where nobody can tell, it may.
fn may_go_down_yet() -> bool {
    let ask = |words: &[&str]| tool::ask("systemctl", words).ok().flatten();
    let (state, jobs) = (ask(&["is-system-running"]), ask(&["list-jobs", "--no-legend", "--no-pager"]));
    !state.zip(jobs).is_some_and(|(state, jobs)| stays_up(&state.output, &jobs.output))
}

/// Whether systemd says that it is up, and has no job that ends that.
fn stays_up(state: &str, jobs: &str) -> bool {
    let is_up = ["running", "degraded", "starting", "maintenance"].contains(&state.trim());
    let ends = ["reboot.target", "shutdown.target", "poweroff.target", "halt.target", "kexec.target"];
    is_up && !jobs.split_whitespace().any(|word| ends.contains(&word))
}

/// Who is waited for before a reboot.
fn before_a_reboot(respects: bool) -> Manners {
    Manners { works: true, goes_down: true, respects }
}

/// What is tried, in this order. Since 257 systemd refuses root, too, while somebody inhibits a shutdown, unless it is told not to
/// look.
fn ways_to_reboot(respects: bool) -> Vec<&'static [&'static str]> {
    const OVERRIDING: &[&str] = &["systemctl", "reboot", "-i"];
    const PLAIN: [&[&str]; 3] = [&["systemctl", "reboot"], &["shutdown", "-r", "now"], &["reboot"]];
    let overriding = (!respects).then_some(OVERRIDING);
    overriding.into_iter().chain(PLAIN).collect()
}

fn ask_for_reboot(respects: bool) -> anyhow::Result<()> {
    let mut refusals = Vec::new();
    for way in ways_to_reboot(respects) {
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).env_clear().env("PATH", COMMAND_PATH).stdin(Stdio::null());
        match with_signals_unblocked(&mut command).output().with_context(|| format!("start {}", way[0])) {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => refusals.push(format!(
                "{}: {}",
                way.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )),
            Err(error) => refusals.push(format!("{error:#}")),
        }
    }
    bail!("the host cannot be rebooted: {}", refusals.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inhibitors_are_overridden_unless_they_are_respected() {
        assert_eq!(ways_to_reboot(false)[0], ["systemctl", "reboot", "-i"]);
        assert!(ways_to_reboot(true).iter().all(|way| !way.contains(&"-i")));
        assert_eq!(ways_to_reboot(true).len(), 3);
    }

    #[test]
    fn a_host_stays_up_only_when_systemd_says_so_and_nothing_is_to_end_it() {
        let install = "  123 apt-daily.service start running\n";
        let reboot = "  124 reboot.target start waiting\n  125 umount.target start waiting\n";
        for state in ["running\n", "degraded\n", "starting\n"] {
            assert!(stays_up(state, "") && stays_up(state, install), "{state}");
            assert!(!stays_up(state, reboot), "{state}");
        }
        for state in ["stopping\n", "offline\n", "unknown\n", ""] {
            assert!(!stays_up(state, ""), "{state}");
        }
    }
}
