//! A host: what outlives its containers. Its state directory, its supervisors, and what the payload will do there.

use careen_host::journal::Record;
use careen_host::transaction::{Policy, State, TransactionStage};
use careen_planner::observed::{Expectation, Restart};
use careen_planner::{NodeId, RolloutId};
use careen_protocol::agent::{CheckSaid, Known, Ran, Step};
use careen_protocol::go::Go;
use careen_protocol::supervisor::Leave;
use std::collections::{BTreeMap, BTreeSet};

pub mod process;

use process::Process;

/// What the payload does on one host, decided before the history begins.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct HostPlan {
    /// Whether the node refuses the agent: it does not get its image.
    pub refuses_the_agent: bool,
    /// Until when it refuses it.
    pub refuses_until: u64,
    /// Whether preflight finds the host fit.
    pub is_fit: bool,
    /// What `check` says, where the payload has one. Behind a command that did its work the host is in sync.
    pub check: Option<CheckEnd>,
    pub prepare_works: bool,
    /// What `prepare` says of a restart.
    pub expects: Expectation,
    /// How each attempt of the command ends; the last one counts for all that follow.
    pub attempts: Vec<AttemptEnd>,
    /// Whether the engine is restarted in the middle of the command.
    pub engine_restarts_midway: bool,
    /// Whether the command stops the engine in its middle, and leaves it so.
    pub stops_the_engine: bool,
    /// What the host wants after a good end.
    pub wants: Option<Restart>,
    pub verify_works: bool,
    /// Whether the payload has a `rollback`.
    pub has_rollback: bool,
    /// Whether a new container starts there when the command is done.
    pub starts_containers: bool,
    /// Whether the host never comes back from its first reboot.
    pub dies_at_reboot: bool,
    /// How many seconds the command takes.
    pub takes: u64,
    /// How many seconds a reboot takes.
    pub boots_in: u64,
    /// How many seconds an engine is down that is restarted; at random where it is not said.
    pub engine_takes: Option<u64>,
}

/// What `check` finds on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum CheckEnd {
    InSync,
    Drift,
    /// It cannot tell.
    Fails,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With status 0.
    Well,
    /// With status 1.
    Failed,
    /// With status 194.
    RebootMe,
}

impl Default for HostPlan {
    fn default() -> Self {
        Self {
            refuses_the_agent: false,
            refuses_until: u64::MAX,
            is_fit: true,
            check: None,
            prepare_works: true,
            expects: Expectation::Unknown,
            attempts: vec![AttemptEnd::Well],
            engine_restarts_midway: false,
            stops_the_engine: false,
            wants: None,
            verify_works: true,
            has_rollback: false,
            starts_containers: true,
            dies_at_reboot: false,
            takes: 10,
            boots_in: 25,
            engine_takes: None,
        }
    }
}

impl HostPlan {
    /// How this attempt of the command ends, counted from 1.
    pub fn attempt(&self, attempt: u32) -> AttemptEnd {
        let last = self.attempts.len().saturating_sub(1);
        let at = usize::try_from(attempt).unwrap_or(1).saturating_sub(1).min(last);
        self.attempts.get(at).copied().unwrap_or(AttemptEnd::Well)
    }
}

/// Which try: its rollout, and which try of it on this host.
pub type Try = (RolloutId, u32);

/// One transaction of a host: a command of the payload for one try.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Id {
    pub rollout: RolloutId,
    pub node: NodeId,
    pub generation: u32,
    /// Which of the payload's commands.
    pub part: PayloadCommand,
}

/// A command of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum PayloadCommand {
    /// The rollout's own command.
    Command,
    Prepare,
    Verify,
    Rollback,
    Check,
}

impl Id {
    /// The transaction of the rollout's own command.
    pub fn command(rollout: &RolloutId, node: &NodeId, generation: u32) -> Self {
        Self { rollout: rollout.clone(), node: node.clone(), generation, part: PayloadCommand::Command }
    }

    /// The transaction of another command of the payload.
    pub fn of(&self, step: Step) -> Self {
        let part = match step {
            Step::Check => PayloadCommand::Check,
            Step::Prepare => PayloadCommand::Prepare,
            Step::Verify => PayloadCommand::Verify,
            Step::Rollback => PayloadCommand::Rollback,
        };
        Self { part, ..self.clone() }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suffix = match self.part {
            PayloadCommand::Command => "",
            PayloadCommand::Prepare => "-p",
            PayloadCommand::Verify => "-v",
            PayloadCommand::Rollback => "-r",
            PayloadCommand::Check => "-c",
        };
        write!(f, "{}-g{}{suffix}", self.rollout, self.generation)
    }
}

/// What lies in a transaction's directory.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Files {
    pub journal: Vec<Record>,
    /// What the replayed journal says.
    pub state: State,
    /// The policy that its manifest says.
    pub policy: Policy,
    /// What its supervisor asks a go for.
    pub wish: Option<careen_protocol::supervisor::Wish>,
    /// The go for a restart that was passed on.
    pub go: Option<Go>,
    /// Why the last supervisor left.
    pub left: Option<Leave>,
    /// When it was created.
    pub created: u64,
}

impl Files {
    /// The files of a new transaction.
    pub fn new(policy: Policy, created: u64) -> Self {
        let (journal, state) = (Vec::new(), State::default());
        Self { journal, state, policy, wish: None, go: None, left: None, created }
    }

    /// Whether the result stands, and what it is to an agent.
    pub fn ran(&self) -> Option<Ran> {
        let TransactionStage::Closed(result) = &self.state.stage else { return None };
        Some(Ran::of(&self.state, result))
    }

    /// The same of a `check`.
    pub fn checked(&self) -> Option<CheckSaid> {
        let TransactionStage::Closed(result) = &self.state.stage else { return None };
        Some(CheckSaid::of(result))
    }
}

/// What outlives a node's containers: its state directory, its supervisors, its boots.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// What the payload does on it.
    pub plan: HostPlan,
    /// Its state directory, by transaction.
    pub files: BTreeMap<Id, Files>,
    /// What its engine remembers of tries that an agent without gates was about to offer. It goes with the node's identity.
    pub marks: BTreeSet<Id>,
    /// The supervisors that live.
    pub processes: Vec<Process>,
    /// How often it booted.
    pub boot: u64,
    /// The installed engine is not the one that runs.
    pub engine_replaced: bool,
    /// The distribution wants a reboot.
    pub reboot_wanted: bool,
}

impl Host {
    /// The kernel's boot id.
    pub fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// The supervisor of a transaction.
    pub fn process(&self, id: &Id) -> Option<&Process> {
        self.processes.iter().find(|process| process.id == *id)
    }

    /// The supervisor of a transaction, to speak to it.
    pub fn process_mut(&mut self, id: &Id) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.id == *id)
    }

    /// Who has the host, when it is not this transaction.
    pub fn holder(&self, id: &Id) -> Option<&Process> {
        self.processes.iter().find(|process| process.has_lock && process.id != *id)
    }

    /// What the host knows of a try of a rollout.
    pub fn known(&self, id: &Id) -> Known {
        let newer = |(one, _): (&Id, &Files)| one.rollout == id.rollout && one.generation > id.generation;
        if self.files.iter().any(newer) {
            return Known::Newer;
        }
        match self.files.get(id) {
            None if self.found_in_sync(id) => Known::InSync,
            None => Known::Nothing,
            Some(files) if files.state.is_begun() => Known::Begun,
            Some(files) => Known::NotBegun { offered: files.state.history.offered },
        }
    }

    /// Whether `check` has found the host in sync, in this try.
    pub fn found_in_sync(&self, id: &Id) -> bool {
        let checked = self.files.get(&id.of(Step::Check)).and_then(Files::checked);
        checked == Some(CheckSaid::InSync)
    }

    /// Somebody removes the whole state directory. A supervisor that lives has its files open.
    pub fn forget(&mut self) {
        for process in &mut self.processes {
            if let Some(files) = self.files.get(&process.id) {
                process.orphan.get_or_insert_with(|| files.clone());
            }
        }
        self.files.clear();
    }
}
