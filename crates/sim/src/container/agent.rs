//! An agent's process in its container: what it is at, between two seconds.

use crate::host::Id;
use careen_contract::report::Draw;
use careen_contract::settings::Reboot;
use careen_host::transaction::Policy;
use careen_planner::JobKey;
use careen_planner::action::AgentSpec;
use careen_planner::spec::RebootPolicy;
use careen_protocol::agent::{self, Agent, Do, Event, Step};

/// The process of an agent: the decisions that ship, and what the simulator does for them.
#[derive(Debug, Clone)]
pub struct AgentProcess {
    /// The decisions of the agent that ships.
    pub machine: Agent,
    /// The transaction of the rollout's command.
    pub id: Id,
    /// Which agent of the try.
    pub number: u32,
    /// Until when it is frozen.
    pub frozen_until: u64,
    /// It was sent SIGTERM.
    pub told_to_leave: bool,
    /// What it exits with, when it is over.
    pub exit: Option<u8>,
    pub(crate) heard: bool,
    pub(crate) spec: AgentSpec,
    pub(crate) doing: Do,
    pub(crate) since: u64,
    pub(crate) started: u64,
    pub(crate) looked: u64,
    pub(crate) seen: usize,
    pub(crate) drawn: Option<Draw>,
}

/// What the payload has beside `prepare` and `verify`.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    /// A `rollback`.
    pub has_rollback: bool,
    /// A `check`, which the rollout asks first.
    pub checks: bool,
}

impl AgentProcess {
    /// One that was just started.
    pub fn new(key: &JobKey, spec: &AgentSpec, payload: Payload, now: u64) -> Self {
        let part = agent::Part {
            agent: key.agent,
            gates: spec.gates,
            collects: spec.collects,
            rolls_back: spec.rollback,
            checks: payload.checks,
            has_prepare: true,
            has_verify: true,
            has_rollback: payload.has_rollback,
        };
        let mut machine = Agent::new(part);
        // Its first word is always the same.
        let _ = machine.step(Event::Begin);
        Self {
            machine,
            id: Id::command(&key.rollout, &key.node, key.generation),
            number: key.agent,
            frozen_until: 0,
            told_to_leave: false,
            exit: None,
            heard: false,
            spec: spec.clone(),
            doing: Do::Read,
            since: now,
            started: now,
            looked: now,
            seen: 0,
            drawn: None,
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            reboot: match self.spec.reboot {
                RebootPolicy::Never => Reboot::Never,
                RebootPolicy::Asked => Reboot::Asked,
                RebootPolicy::Auto => Reboot::Wanted,
                RebootPolicy::Always => Reboot::Always,
            },
            engine_restart: self.spec.engine_restart,
            idempotent: false,
            has_rollback: false,
            awaits_go: true,
            only_looks: false,
        }
    }
}

/// Of `check`, `prepare`, `verify` and `rollback`: nothing restarts for them.
pub(crate) fn aside(step: Step) -> Policy {
    Policy {
        reboot: Reboot::Never,
        engine_restart: false,
        idempotent: false,
        has_rollback: false,
        awaits_go: false,
        only_looks: step == Step::Check,
    }
}
