//! The services that careen has on a node: the current agent, and its gates.

use super::Work;
use super::node::Here;
use crate::action::{Action, AgentSpec};
use crate::hold::Hold;
use crate::ids::{JobKey, JobRole, NodeId};
use crate::observed::Job;
use crate::short;
use crate::spec::{OnFailure, RebootPolicy};

impl Work<'_> {
    /// Whether the current agent is gone; its service may have been removed by hand.
    pub(super) fn is_lost(&self, here: &Here<'_>) -> bool {
        self.observed.job(&here.agent).is_none_or(Job::is_lost)
    }

    /// Whether a container of the current agent's is gone, or one of a gate that was not opened.
    pub(super) fn lost_its_jobs(&self, here: &Here<'_>) -> bool {
        self.observed.job(&here.agent).is_some_and(Job::is_lost) || self.lost_a_gate(here)
    }

    /// Whether a gate went away that nobody has opened: no go can reach this agent any more, and it says so, too.
    pub(super) fn lost_a_gate(&self, here: &Here<'_>) -> bool {
        self.gates_of(here).any(|gate| gate.is_lost() && !gate.stopped)
    }

    /// How many gates of the current agent were not opened.
    pub(super) fn closed_gates(&self, here: &Here<'_>) -> usize {
        self.gates_of(here).filter(|gate| !gate.stopped).count()
    }

    pub(super) fn gates_of(&self, here: &Here<'_>) -> impl Iterator<Item = &Job> {
        self.jobs_of(here).into_iter().filter(|job| job.key.role != JobRole::Agent)
    }

    pub(super) fn jobs_of(&self, here: &Here<'_>) -> Vec<&Job> {
        let same = |job: &&Job| job.key.with_role(JobRole::Agent) == here.agent;
        self.observed.jobs_for(&here.agent.node).iter().copied().filter(same).collect()
    }

    /// How many of the services are placed, and what keeps one of the others from being so.
    pub(super) fn placing(&self, here: &Here<'_>, placed: usize, of: usize) -> Hold {
        let jobs = self.jobs_of(here);
        let why = jobs.iter().filter(|job| !job.runs() && !job.stopped);
        let why = why.filter_map(|job| self.observed.troubles.get(&job.key.name())).next();
        Hold::Placing { placed, of, why: why.cloned() }
    }

    /// What creates the agent and those gates that do not exist.
    pub(super) fn missing(&self, here: &Here<'_>) -> Vec<Action> {
        let exists = |key: &JobKey| self.observed.job(key).is_some();
        let gates = here.agent.gates(self.gates_for(here)).filter(|key| !exists(key));
        let mut actions: Vec<Action> = gates.map(|key| Action::CreateGate { key }).collect();
        if !exists(&here.agent) {
            actions.push(Action::CreateJob { agent: Box::new(self.agent_spec(here)) });
        }
        actions
    }

    /// How many gates the current agent has where it is placed now.
    pub(super) fn gates_for(&self, here: &Here<'_>) -> u8 {
        short::gates(self.spec, here.record.state.is_after_the_go())
    }

    pub(super) fn agent_spec(&self, here: &Here<'_>) -> AgentSpec {
        let spec = self.spec;
        let locked_out = self.observed.autolock && here.node.is_manager() && !spec.unlock_by_hand;
        AgentSpec {
            collects: here.record.state.is_after_the_go() && !here.record.short,
            short: here.record.short,
            gates: if here.record.short { 0 } else { self.gates_for(here) },
            reboot: if locked_out { RebootPolicy::Never } else { spec.reboot },
            unlock_key: spec.unlock_key.clone().filter(|_| here.node.is_manager()),
            ..self.any_agent(here.agent.clone())
        }
    }

    /// An agent that asks for a participant on another node what became of its try.
    pub(super) fn question(&self, key: JobKey, on: NodeId) -> AgentSpec {
        AgentSpec { on: Some(on), collects: true, reboot: RebootPolicy::Never, ..self.any_agent(key) }
    }

    fn any_agent(&self, key: JobKey) -> AgentSpec {
        let spec = self.spec;
        AgentSpec {
            key,
            on: None,
            rollout: spec.id.clone(),
            image: spec.image.clone(),
            payload: self.spec.payload.clone(),
            command: spec.command.clone(),
            args: spec.args.clone(),
            short: false,
            gates: short::gates(spec, true),
            collects: false,
            reboot: spec.reboot,
            engine_restart: spec.engine_restart,
            rollback: spec.policy.failure_action == OnFailure::Rollback,
            time_limit: spec.limits.running,
            unlock_key: None,
            unlock_by_hand: spec.unlock_by_hand,
            allow_unfit: spec.allow_unfit_hosts,
        }
    }
}
