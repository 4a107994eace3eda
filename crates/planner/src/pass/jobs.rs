//! The services that careen has on a node: the current agent, and its gates.

use super::Work;
use super::node::Here;
use crate::action::{Action, AgentSpec};
use crate::ids::{Go, JobRole};
use crate::observed::Job;
use crate::spec::{FailureAction, RebootPolicy};

impl Work<'_> {
    /// Whether the current agent is gone; its service may have been removed by hand.
    pub(super) fn is_lost(&self, here: &Here<'_>) -> bool {
        self.observed.job(&here.agent).is_none() || self.lost_its_jobs(here)
    }

    /// Whether the agent's container is gone, or that of a gate that was not opened: without it no go can be given. (A
    /// leader change may start the one again and not the other.)
    pub(super) fn lost_its_jobs(&self, here: &Here<'_>) -> bool {
        self.jobs_of(here).iter().any(|job| job.is_lost() && (job.key.role == JobRole::Agent || !job.stopped))
    }

    /// A gate of the current agent that was not opened yet.
    pub(super) fn closed_gate(&self, here: &Here<'_>, go: Go) -> Option<&Job> {
        self.observed.job(&here.agent.with_role(JobRole::Gate(go))).filter(|gate| !gate.stopped)
    }

    pub(super) fn jobs_of(&self, here: &Here<'_>) -> Vec<&Job> {
        let same = |job: &&Job| job.key.with_role(JobRole::Agent) == here.agent;
        self.observed.jobs.iter().filter(same).collect()
    }

    /// What creates the agent and those gates that do not exist.
    pub(super) fn missing(&self, here: &Here<'_>, gates: &[JobRole]) -> Vec<Action> {
        let exists = |role: JobRole| self.observed.job(&here.agent.with_role(role)).is_some();
        let gates = gates.iter().filter(|role| !exists(**role));
        let mut actions: Vec<Action> =
            gates.map(|role| Action::CreateGate { key: here.agent.with_role(*role) }).collect();
        if !exists(JobRole::Agent) {
            actions.push(Action::CreateJob { agent: Box::new(self.agent_spec(here)) });
        }
        actions
    }

    fn agent_spec(&self, here: &Here<'_>) -> AgentSpec {
        let spec = self.spec;
        let locked_out = self.observed.autolock && here.node.is_manager() && !spec.unlock_by_hand;
        AgentSpec {
            key: here.agent.clone(),
            rollout: spec.id.clone(),
            image: spec.image.clone(),
            payload: self.spec.payload.clone(),
            command: spec.command.clone(),
            args: spec.args.clone(),
            collects: here.record.stage.is_after_the_go(),
            reboot: if locked_out { RebootPolicy::Never } else { spec.reboot },
            engine_restart: spec.engine_restart,
            rollback: spec.policy.failure_action == FailureAction::Rollback,
            time_limit: spec.limits.running,
            unlock_key: spec.unlock_key.clone().filter(|_| here.node.is_manager()),
            unlock_by_hand: spec.unlock_by_hand,
            allow_unfit: spec.allow_unfit_hosts,
        }
    }
}
