//! What an enforcing agent does next.
//!
//! It looks at its host with the payload's `check` from time to time, and soon after an owned path has changed; where the host is not
//! as it should be it runs `install`, and looks again. It never restarts anything, waits while another transaction has the host,
//! tries later each time what fails, and stops to mend what comes back again and again. It says a word only when that is another one.
//!
//! It does one thing at a time: it is told what came of the last one (an [`Event`]) and says the next ([`EnforceAct`]). What has to
//! outlive the agent is in [`EnforceMemory`], which whoever drives the machine keeps on the host. States and times are in
//! docs/enforce.md.

mod event;
mod schedule;
#[cfg(test)]
mod tests;
mod words;

use careen_contract::enforce_part::EnforcePart;
use careen_contract::standing::{EnforcePass, EnforceState, PathWatch, Standing};
use careen_host::enforcement::{Drift, EnforceMemory, Mending, RolloutNeed, RunningPass, SCHEMA};
use schedule::{Cause, Schedule, SelfMade, seed};
use std::collections::BTreeSet;
use std::time::Duration;

pub use event::{Beside, EnforceAct, Event, Installed, Looked, Now, Remembered, Step, Unexpected};

/// The same drift is mended so often within [`MENDINGS_WITHIN`]; when it comes back once more it is left.
pub const MOST_MENDINGS: usize = 2;

/// See [`MOST_MENDINGS`].
pub const MENDINGS_WITHIN: Duration = Duration::from_secs(3600);

/// An enforcing agent: decides, and acts on nothing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcer {
    part: EnforcePart,
    memory: EnforceMemory,
    /// What was to be on the disk last.
    written: Option<EnforceMemory>,
    said: Option<Standing>,
    at: At,
    schedule: Schedule,
    self_made: SelfMade,
    watch: PathWatch,
    /// Why the host is where it is.
    why: Option<String>,
    not_written: Option<String>,
    /// How often in a row `install` failed, and `check`.
    failures: u32,
    unknowns: u32,
}

/// Which agent this is, and of which host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    /// What it enforces.
    pub part: EnforcePart,
    /// `CAREEN_RUN`.
    pub run: String,
    /// The id of its service; empty outside of a swarm.
    pub service: String,
    /// The host's boot.
    pub boot: String,
    /// The node's id; any text that other hosts do not have.
    pub node: String,
}

/// What it was asked to do last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    New,
    Waiting,
    Checking(Look),
    Installing(RunningPass),
    AskingHost,
    /// It waits until what the host remembers can be used.
    Unusable,
    Gone,
}

/// A `check` that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    began: Duration,
    cause: Cause,
    /// It follows this `install`.
    after: Option<After>,
}

/// An `install` that did what it can.
#[derive(Debug, Clone, PartialEq, Eq)]
struct After {
    running: RunningPass,
    exit: u8,
    wants: Option<String>,
}

impl At {
    const fn name(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Waiting => "waiting",
            Self::Checking(_) => "checking",
            Self::Installing(_) => "installing",
            Self::AskingHost => "asking-host",
            Self::Unusable => "unusable",
            Self::Gone => "gone",
        }
    }
}

impl Enforcer {
    /// One that has done nothing yet. The first thing that it is told is what the host remembers.
    pub fn new(of: Of) -> Self {
        let Of { part, run, service, boot, node } = of;
        Self {
            memory: EnforceMemory {
                schema: SCHEMA,
                name: part.name.clone(),
                version: part.version.clone(),
                run,
                service,
                state: EnforceState::Looking,
                at: 0,
                was_in_sync: false,
                mended: 0,
                last: None,
                boot,
                mendings: Vec::new(),
                gave_up: None,
                needs: None,
                running: None,
            },
            written: None,
            said: None,
            at: At::New,
            schedule: Schedule::new(part.interval, seed(&node)),
            self_made: SelfMade::default(),
            watch: PathWatch::Nothing,
            why: None,
            not_written: None,
            failures: 0,
            unknowns: 0,
            part,
        }
    }

    /// What follows.
    pub fn step(&mut self, event: Event, beside: Beside, now: Now) -> Result<Step, Unexpected> {
        let unexpected = Unexpected { at: self.at.name(), event: event.name() };
        let Beside { changed, lost, watch, not_written } = beside;
        self.watch = watch;
        if not_written.is_some() {
            self.written = None;
        }
        self.not_written = not_written;
        let at = std::mem::replace(&mut self.at, At::Gone);
        let act = match (at, event) {
            (_, Event::ToldToLeave) => EnforceAct::Leave,
            (At::New | At::Unusable, Event::Remembered(remembered)) => self.begin(remembered, now),
            (At::Unusable, Event::Woken) => self.recall(now),
            (At::Waiting, Event::Woken) => {
                self.schedule.changed(&changed, lost, false, now.since_boot);
                self.woken(now)
            }
            (At::AskingHost, Event::Host { holder }) => {
                self.schedule.changed(&changed, lost, false, now.since_boot);
                self.host(holder, now)
            }
            (At::Checking(look), Event::Looked { looked, life }) => {
                let quiet = look.cause.is_quiet();
                let act = self.looked(look, looked, &life, &changed, now);
                // What leads to an install is mended by that.
                if matches!(act, EnforceAct::Wait { .. }) {
                    self.heed(&changed, lost, quiet, now.since_boot);
                    self.wait()
                } else {
                    act
                }
            }
            // What has changed until now our own install may have changed.
            (At::Installing(running), Event::Installed(installed)) => self.installed(running, installed, now),
            (at, _) => {
                self.at = at;
                return Err(unexpected);
            }
        };
        Ok(self.told(act, now))
    }

    /// The step with what is to be written and said.
    fn told(&mut self, act: EnforceAct, now: Now) -> Step {
        if act == EnforceAct::Leave {
            return Step { write: None, say: None, act };
        }
        let standing = self.standing(now);
        let is_new =
            self.said.as_ref().is_none_or(|said| Standing { at: said.at, ..standing.clone() } != *said);
        let say = is_new.then(|| Box::new(standing.clone()));
        if is_new {
            self.memory.at = standing.at;
            self.said = Some(standing);
        }
        // What cannot be used is somebody's to look at, and is not written over.
        let keeps = !matches!(self.at, At::Unusable | At::New);
        let write =
            (keeps && self.written.as_ref() != Some(&self.memory)).then(|| Box::new(self.memory.clone()));
        if write.is_some() {
            self.written = Some(self.memory.clone());
        }
        Step { write, say, act }
    }

    fn standing(&self, now: Now) -> Standing {
        let notes = [
            self.not_written
                .as_ref()
                .map(|why| format!("what the host is to remember cannot be written: {why}")),
            self.self_made.paths().map(words::note_on_check),
            self.schedule.is_crowded().then(|| words::CROWDED.to_owned()),
        ];
        Standing {
            name: self.part.name.clone(),
            version: self.part.version.clone(),
            state: self.memory.state,
            why: self.why.clone(),
            watch: self.watch.clone(),
            mended: self.memory.mended,
            last: self.memory.last.clone(),
            at: now.seconds(),
            notes: notes.into_iter().flatten().collect(),
        }
    }

    fn is(&mut self, state: EnforceState, why: Option<String>) {
        self.memory.state = state;
        self.why = why;
    }

    fn wait(&mut self) -> EnforceAct {
        self.at = At::Waiting;
        EnforceAct::Wait { until: self.schedule.until() }
    }

    fn begin(&mut self, remembered: Remembered, now: Now) -> EnforceAct {
        match remembered {
            Remembered::Nothing => {}
            Remembered::Known(memory) => {
                self.written = Some((*memory).clone());
                self.take_over(*memory);
            }
            Remembered::Unusable { why } => {
                self.unknowns += 1;
                self.is(EnforceState::Unknown, Some(why));
                self.schedule.look_later(self.unknowns, now.since_boot);
                self.at = At::Unusable;
                return EnforceAct::Wait { until: self.schedule.until() };
            }
        }
        self.unknowns = 0;
        if let Some(running) = self.memory.running.clone() {
            self.is(EnforceState::Mending, Some(words::drift(&running.drift)));
            let rejoined = EnforceAct::Rejoin(running.transaction.clone());
            self.at = At::Installing(running);
            return rejoined;
        }
        self.is(EnforceState::Looking, None);
        self.schedule.begin(now.since_boot);
        self.wait()
    }

    /// What is known of another version is about that one, and what is known of another service is what was before its operator stopped it
    /// and started it again. Another CAREEN_RUN is an operator's word to try again.
    fn take_over(&mut self, memory: EnforceMemory) {
        if (&memory.version, &memory.service) != (&self.memory.version, &self.memory.service) {
            return;
        }
        let fresh = std::mem::replace(&mut self.memory, memory);
        if self.memory.run != fresh.run {
            self.memory.run = fresh.run;
            (self.memory.gave_up, self.memory.needs) = (None, None);
            self.memory.mendings.clear();
        }
        // Behind a boot nobody knows any more how long ago that was.
        if self.memory.boot != fresh.boot {
            self.memory.boot = fresh.boot;
            self.memory.mendings.clear();
            if let Some(running) = &mut self.memory.running {
                running.seen_ms = 0;
            }
        }
    }

    fn recall(&mut self, now: Now) -> EnforceAct {
        self.at = At::Unusable;
        if now.since_boot < self.schedule.until() {
            return EnforceAct::Wait { until: self.schedule.until() };
        }
        EnforceAct::Recall
    }

    fn woken(&mut self, now: Now) -> EnforceAct {
        if now.since_boot < self.schedule.until() {
            return self.wait();
        }
        if self.schedule.is_busy() {
            self.at = At::AskingHost;
            return EnforceAct::AskHost;
        }
        self.check(None, now)
    }

    fn host(&mut self, holder: Option<String>, now: Now) -> EnforceAct {
        if let Some(holder) = holder {
            self.is(EnforceState::HostBusy, Some(format!("transaction {holder} has the host")));
            self.schedule.host_is_busy(now.since_boot);
            return self.wait();
        }
        self.schedule.host_is_free();
        self.check(None, now)
    }

    fn check(&mut self, after: Option<After>, now: Now) -> EnforceAct {
        let cause = self.schedule.take_cause(now.since_boot);
        self.at = At::Checking(Look { began: now.since_boot, cause, after });
        EnforceAct::Check
    }

    /// What changed while `check` ran: somebody changed it, or `check` did.
    fn heed(&mut self, changed: &BTreeSet<String>, lost: bool, quiet: bool, now: Duration) {
        if !self.self_made.saw(changed, quiet) {
            self.schedule.changed(changed, lost, true, now);
        }
    }

    fn looked(
        &mut self,
        look: Look,
        looked: Looked,
        life: &str,
        changed: &BTreeSet<String>,
        now: Now,
    ) -> EnforceAct {
        self.schedule.looked(now.since_boot);
        if !matches!(looked, Looked::Fails { .. }) {
            self.unknowns = 0;
        }
        match looked {
            Looked::InSync => self.in_sync(look.after, life, now),
            Looked::Drift { output } => return self.drift(look, output, life, changed, now),
            Looked::Fails { why } => {
                if let Some(after) = look.after {
                    self.passed(&after.running, after.exit, Vec::new(), now);
                    self.needs(after, None, life);
                }
                self.unknowns += 1;
                self.schedule.look_later(self.unknowns, now.since_boot);
                self.is(EnforceState::Unknown, Some(why));
            }
        }
        self.wait()
    }

    /// Behind an `install` that wants what only a rollout does; `left` is the drift that is still there.
    fn needs(&mut self, after: After, left: Option<Drift>, life: &str) {
        let Some(why) = after.wants else { return };
        let mut drifts = self.memory.needs.take().map(|needs| needs.drifts).unwrap_or_default();
        let is_seen = left.is_some();
        drifts.insert(after.running.drift);
        drifts.extend(left);
        self.memory.needs = Some(RolloutNeed { why, drifts, is_seen, life: life.to_owned() });
    }

    fn in_sync(&mut self, after: Option<After>, life: &str, now: Now) {
        self.failures = 0;
        self.schedule.settled();
        self.memory.was_in_sync = true;
        if self.memory.gave_up.take().is_some() {
            self.memory.mendings.clear();
        }
        if let Some(after) = after {
            self.passed(&after.running, after.exit, Vec::new(), now);
            if after.running.corrective && after.wants.is_none() {
                self.memory.mended += 1;
                self.mended(after.running.drift.clone(), now);
            }
            self.needs(after, None, life);
        }
        // What `check` does not see is there when the host or its engine were started anew.
        self.memory.needs = self.memory.needs.take().filter(|needs| !needs.is_seen && needs.life == life);
        match &self.memory.needs {
            Some(needs) => self.is(EnforceState::NeedsRollout, Some(needs.why.clone())),
            None => self.is(EnforceState::InSync, None),
        }
    }

    fn drift(
        &mut self,
        look: Look,
        output: String,
        life: &str,
        changed: &BTreeSet<String>,
        now: Now,
    ) -> EnforceAct {
        let output = Drift::Output(output);
        if let Some(after) = look.after {
            self.still_drifts(after, output, life, now);
            return self.wait();
        }
        let mut paths = look.cause.paths;
        if !self.self_made.is_known() {
            paths.extend(changed.iter().cloned());
        }
        let drift = if paths.is_empty() { output } else { Drift::Paths(paths) };
        self.memory.needs = self.memory.needs.take().filter(|needs| needs.life == life);
        if let Some(drift) = &self.memory.gave_up {
            let why = words::gave_up(&self.memory, drift);
            self.is(EnforceState::GaveUp, Some(why));
            self.schedule.settled();
            return self.wait();
        }
        if let Some(needs) = self.memory.needs.as_ref().filter(|needs| needs.drifts.contains(&drift)) {
            let why = needs.why.clone();
            self.is(EnforceState::NeedsRollout, Some(why));
            self.schedule.settled();
            return self.wait();
        }
        if !self.schedule.may_install(now.since_boot) {
            return self.wait();
        }
        if self.has_come_back(&drift, now) {
            self.give_up(drift);
            return self.wait();
        }
        if look.cause.since.is_some() {
            self.schedule.was_worth_it();
        }
        let seen = look.cause.since.unwrap_or(look.began);
        self.install(drift, seen, now)
    }

    /// `install` has ended, and the host is still not as it should be.
    fn still_drifts(&mut self, after: After, output: Drift, life: &str, now: Now) {
        self.passed(&after.running, after.exit, Vec::new(), now);
        if let Some(why) = after.wants.clone() {
            self.needs(after, Some(output), life);
            self.is(EnforceState::NeedsRollout, Some(why));
            return;
        }
        if let Some(needs) =
            self.memory.needs.as_ref().filter(|needs| needs.life == life && needs.drifts.contains(&output))
        {
            let why = needs.why.clone();
            self.memory.mended += u32::from(after.running.corrective);
            self.mended(after.running.drift, now);
            self.is(EnforceState::NeedsRollout, Some(why));
            return;
        }
        let drift = after.running.drift;
        self.mended(drift.clone(), now);
        if self.has_come_back(&drift, now) {
            return self.give_up(drift);
        }
        self.failures += 1;
        self.schedule.install_later(self.failures, now.since_boot);
        self.is(EnforceState::Failing, Some(words::STILL_DRIFTS.to_owned()));
    }

    fn give_up(&mut self, drift: Drift) {
        let why = words::gave_up(&self.memory, &drift);
        self.memory.gave_up = Some(drift);
        self.schedule.settled();
        self.is(EnforceState::GaveUp, Some(why));
    }

    fn mended(&mut self, drift: Drift, now: Now) {
        self.memory.mendings.push(Mending { since_boot_ms: now.since_boot_ms(), drift });
        self.forget_old_mendings(now);
    }

    fn forget_old_mendings(&mut self, now: Now) {
        let within = u64::try_from(MENDINGS_WITHIN.as_millis()).unwrap_or(u64::MAX);
        let is_of_the_hour =
            |mending: &Mending| now.since_boot_ms().saturating_sub(mending.since_boot_ms) < within;
        self.memory.mendings.retain(is_of_the_hour);
    }

    /// Whether this drift was mended so often already that mending it is no remedy.
    fn has_come_back(&mut self, drift: &Drift, now: Now) -> bool {
        self.forget_old_mendings(now);
        self.memory.mendings.iter().filter(|mending| mending.drift == *drift).count() >= MOST_MENDINGS
    }

    fn install(&mut self, drift: Drift, seen: Duration, now: Now) -> EnforceAct {
        let Some(transaction) = self.part.transaction(now.unix_ms) else {
            self.is(EnforceState::Unknown, Some(format!("'{}' is too long for a name", self.part.name)));
            return self.wait();
        };
        self.is(EnforceState::Mending, Some(words::drift(&drift)));
        let running = RunningPass {
            transaction: transaction.clone(),
            drift,
            corrective: self.memory.was_in_sync,
            at: now.seconds(),
            seen_ms: u64::try_from(seen.as_millis()).unwrap_or(u64::MAX),
        };
        self.memory.running = Some(running.clone());
        self.at = At::Installing(running);
        EnforceAct::Install(transaction)
    }

    fn installed(&mut self, running: RunningPass, installed: Installed, now: Now) -> EnforceAct {
        self.memory.running = None;
        match installed {
            Installed::Ended { exit, wants, .. } if exit == 0 || wants.is_some() => {
                return self.check(Some(After { running, exit, wants }), now);
            }
            Installed::Ended { exit, why, lines, .. } => {
                self.passed(&running, exit, lines, now);
                self.fails(format!("'install' {why}"), now);
            }
            Installed::Refused { why } => self.fails(why, now),
            Installed::Busy { why } => {
                self.is(EnforceState::HostBusy, Some(why));
                self.schedule.host_is_busy(now.since_boot);
                // They are still as somebody left them.
                if let Drift::Paths(paths) = &running.drift {
                    self.schedule.changed(paths, false, false, Duration::from_millis(running.seen_ms));
                }
            }
            Installed::Lost => return self.check(None, now),
        }
        self.wait()
    }

    fn fails(&mut self, why: String, now: Now) {
        self.failures += 1;
        self.schedule.install_later(self.failures, now.since_boot);
        self.is(EnforceState::Failing, Some(why));
    }

    /// A pass is over.
    fn passed(&mut self, running: &RunningPass, exit: u8, lines: Vec<String>, now: Now) {
        let paths = match &running.drift {
            Drift::Paths(paths) => paths.iter().cloned().collect(),
            Drift::Output(_) => Vec::new(),
        };
        self.memory.last = Some(EnforcePass {
            corrective: running.corrective,
            at: running.at,
            took_ms: now.since_boot_ms().saturating_sub(running.seen_ms),
            exit,
            transaction: running.transaction.to_string(),
            paths,
            lines,
        });
    }
}
