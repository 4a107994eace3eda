//! What a host said last before nothing more was heard of it. Its agent's log is gone with its engine, and the host's own record
//! cannot be read as long as the engine is down: what is known is kept beside the node's state.

use super::Work;
use super::node::agent_of;
use crate::action::Action;
use crate::hold::Hold;
use crate::ids::{JobKey, NodeId, RolloutId};
use crate::indexed::Indexed;
use crate::observed::{Availability, Job, Node, NodeOutcome, Said};
use crate::rollout::NodeResult;
use crate::state::{NodeRecord, NodeState, Reason, StateName};
use careen_contract::label;

/// In front of what a node waited for.
const WAITED: &str = "it waited: ";

/// How much of it is kept: labels lie in every manager's memory.
const MOST_CHARACTERS: usize = 200;

/// What an agent's last report says of its host's work, in words. What it waits for says more than what was printed before.
pub(super) fn of_report(observed: &Indexed<'_>, agent: &JobKey) -> Option<String> {
    let waits = observed.host_waits(agent).map(|why| format!("before that its host waited: {why}"));
    let printed = || {
        observed
            .printed(agent)
            .map(|printed| format!("before that the command had printed: {}", printed.line))
    };
    Some(in_short(&waits.or_else(printed)?))
}

fn in_short(words: &str) -> String {
    words.chars().take(MOST_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a hold names something beside careen that a node's time runs out over.
const fn is_cause(hold: &Hold) -> bool {
    match hold {
        Hold::Placing { why, .. } => why.is_some(),
        Hold::ImageMissing { .. }
        | Hold::AgentRejected { .. }
        | Hold::NotEmpty { .. }
        | Hold::NotReplaced { .. }
        | Hold::Surging { .. }
        | Hold::SurgeBack { .. }
        | Hold::ServicesWorse { .. } => true,
        Hold::LockHeld { .. }
        | Hold::TakingOver
        | Hold::Starting
        | Hold::SettingUp { .. }
        | Hold::Paused { .. }
        | Hold::EarlierWave { .. }
        | Hold::Parallelism { .. }
        | Hold::Delay { .. }
        | Hold::QuorumAtRisk { .. }
        | Hold::NoLeader
        | Hold::OtherManager { .. }
        | Hold::ControllerHere
        | Hold::NodeDown
        | Hold::NotReporting
        | Hold::CalledDown
        | Hold::HostBusy { .. }
        | Hold::Copied { .. }
        | Hold::HostAtWork { .. }
        | Hold::HostWaits { .. }
        | Hold::NoReport { .. }
        | Hold::VolumeWouldMove { .. }
        | Hold::NoPlace { .. }
        | Hold::AtZero { .. }
        | Hold::SurgeElsewhere { .. }
        | Hold::NoRoomToSurge { .. }
        | Hold::ServiceUpdating { .. }
        | Hold::CorruptSurge { .. }
        | Hold::AvailabilityChanged { .. }
        | Hold::GivingTheGo
        | Hold::RefusingTheRestart
        | Hold::Restarting { .. }
        | Hold::UnlockNeeded { .. }
        | Hold::CleaningUp
        | Hold::ManagerUnreachable
        | Hold::Monitoring { .. }
        | Hold::CorruptRecord { .. }
        | Hold::OtherRollout { .. }
        | Hold::NodeGone { .. }
        | Hold::Rejoined { .. }
        | Hold::SeveralRejoined { .. }
        | Hold::RecordRemoved
        | Hold::BaselineRemoved
        | Hold::Recording => false,
    }
}

/// The last words of one try on a node; `None` where nothing is kept, or where it is of another try.
pub fn of_try(node: &Node, rollout: &RolloutId, generation: u32) -> Option<String> {
    let label = node.labels.get(label::LAST_WORDS)?;
    label.strip_prefix(&prefix(rollout, generation)).map(str::to_owned)
}

fn prefix(rollout: &RolloutId, generation: u32) -> String {
    format!("{rollout} g{generation} ")
}

/// Whether it failed behind its go because nothing was heard of its host, which may have gone on meanwhile.
pub(super) fn is_late(state: &NodeState) -> bool {
    let NodeState::Failed { during, reason } = state else { return false };
    let behind_the_go = match during {
        StateName::Running | StateName::RestartingEngine | StateName::Rebooting | StateName::Verifying => {
            true
        }
        StateName::Pending
        | StateName::Entering
        | StateName::Preparing
        | StateName::Draining
        | StateName::Restoring
        | StateName::Settling => false,
    };
    behind_the_go && reason.is_silent()
}

impl Work<'_> {
    /// What the host of a failed node says after all is kept as its result. Where its agent is gone, with the engine or otherwise,
    /// the host is asked once it takes tasks. The node stays failed: what its services missed is for its operator to judge.
    pub(super) fn listens_on(&mut self, node: &Node, record: &NodeRecord) {
        let generation = record.generation;
        if !is_late(&record.state) || self.observed.result(&node.id, generation).is_some() {
            return;
        }
        let agent = agent_of(&node.id, record);
        if let Some((outcome, text)) = self.told(&agent) {
            let (node, outcome, record) = (node.id.clone(), outcome.clone(), text.map(str::to_owned));
            let result = NodeResult { node, generation, outcome, record, seconds: None };
            self.actions.push(Action::WriteResult { result });
            return;
        }
        // An abort waits for nothing, and takes such an agent away again.
        let is_gone = self.observed.job(&agent).is_none_or(Job::is_lost);
        if self.control.goes_on() && is_gone && node.is_ready() && node.availability == Availability::Active {
            self.ask(&node.id, (generation, record.agent), std::slice::from_ref(&node.id));
        }
    }

    /// How the try of an agent ended, as it says, or one that asked for it afterwards.
    fn told(&self, agent: &JobKey) -> Option<(&NodeOutcome, Option<&str>)> {
        let asked = self.questions(&agent.node, agent.generation).map(|job| &job.key);
        std::iter::once(agent).chain(asked).find_map(|key| {
            let Said::Finished { outcome, record } = self.observed.report(key)? else { return None };
            Some((outcome, record.as_deref()))
        })
    }

    /// Keeps in mind what the node's agent says now; nothing new leaves what was said before.
    pub(super) fn listen(&mut self, node: &NodeId, agent: &JobKey) {
        if let Some(words) = of_report(self.observed, agent) {
            self.watching.after.words.insert(node.clone(), (agent.generation, words));
        }
    }

    /// Keeps in mind what a node waited for, where that would be why it fails: past the limit its services may be well again.
    pub(super) fn note_cause(&mut self, node: &NodeId, generation: u32, hold: &Hold) {
        let words = &mut self.watching.after.words;
        if is_cause(hold) {
            words.insert(node.clone(), (generation, in_short(&format!("{WAITED}{hold}"))));
        } else if words.get(node).is_some_and(|(_, words)| words.starts_with(WAITED)) {
            words.remove(node);
        }
    }

    /// What a node waited for when it was left out for that.
    pub(super) fn note_hold(&mut self, node: &NodeId, generation: u32, hold: &Hold) {
        let words = in_short(&format!("{WAITED}{hold}"));
        self.watching.after.words.insert(node.clone(), (generation, words));
    }

    /// What a write makes of the label; `None` when it stays as it is.
    pub(super) fn last_words(&self, node: &Node, record: &NodeRecord) -> Option<Option<String>> {
        let heard = self.watching.after.words.get(&node.id);
        let heard = heard.filter(|(generation, _)| *generation == record.generation);
        let heard = heard.map(|(_, words)| words.clone());
        let words = heard.or_else(|| of_try(node, &record.rollout, record.generation));
        let silent = record.state.failed_because().is_some_and(Reason::is_silent);
        let words = words.filter(|_| silent || record.state.is_skipped_for_a_hold());
        let label = words.map(|words| prefix(&record.rollout, record.generation) + &words);
        (node.labels.get(label::LAST_WORDS) != label.as_ref()).then_some(label)
    }
}
