//! A supervisor of a host: what it is at, between two seconds.

use super::{Files, Host, Id};
use careen_contract::entry::Way;
use careen_host::journal::Record;
use careen_protocol::supervisor::{Effect, Event, Start, Supervisor};

/// A supervisor that lives.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Process {
    pub id: Id,
    /// The decisions of the supervisor that ships.
    pub machine: Supervisor,
    /// The agent whose go it was started with.
    pub go: Option<u32>,
    /// Whether it has the host's lock.
    pub has_lock: bool,
    /// Its files, when their directory was removed under it.
    pub orphan: Option<Files>,
    /// Until when it is frozen.
    pub frozen_until: u64,
    pub(crate) doing: Doing,
    pub(crate) since: u64,
    pub(crate) acted: bool,
    pub(crate) program: Option<Program>,
    pub(crate) unwritten: Option<Record>,
}

#[derive(Debug, Clone)]
pub(crate) enum Doing {
    /// It is told this next.
    Told(Event),
    Does(Effect),
}

#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) until: u64,
    pub(crate) midway: Option<u64>,
    pub(crate) stopped: bool,
    pub(crate) start: Start,
}

impl Process {
    pub(crate) fn new(id: Id, files: &Files, go: Option<u32>, now: u64) -> Self {
        Self {
            machine: Supervisor::new(files.policy, !files.policy.only_looks, Way::Systemd, go),
            id,
            go,
            has_lock: false,
            orphan: None,
            frozen_until: 0,
            doing: Doing::Told(Event::Begin),
            since: now,
            acted: false,
            program: None,
            unwritten: None,
        }
    }

    /// Whether it only waits for something.
    pub fn only_waits(&self) -> bool {
        self.machine.at().is_a_wait()
    }

    /// Whether a command of the payload lives.
    pub fn runs_a_command(&self) -> bool {
        self.program.is_some()
    }

    /// Somebody ends what it waits for.
    pub fn end_wait(&mut self, by: &str) {
        if self.only_waits() && matches!(self.doing, Doing::Does(_)) {
            self.doing = Doing::Told(Event::Cancelled(by.to_owned()));
        }
    }

    /// The host shuts down, or somebody stops its unit.
    pub(crate) fn told_to_end(&mut self) {
        if let Some(program) = &mut self.program {
            program.stopped = true;
        } else if self.only_waits() && matches!(self.doing, Doing::Does(_)) {
            self.doing = Doing::Told(Event::ToldToEnd);
        }
    }

    /// The go that it acts on.
    pub(crate) fn given(&self, host: &Host) -> Option<(u32, u32)> {
        let files = self.orphan.as_ref().or_else(|| host.files.get(&self.id))?;
        files.go.as_ref().map(|go| (go.number, go.agent))
    }

    pub(crate) fn files<'a>(&'a mut self, host: &'a mut Host) -> Option<&'a mut Files> {
        self.orphan.as_mut().or_else(|| host.files.get_mut(&self.id))
    }
}
