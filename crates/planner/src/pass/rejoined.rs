//! A host is asked what became of a command, by an agent that begins nothing.
//!
//! A participant's host may join the swarm again under another node's id.
//! The swarm cannot tell that two nodes are one host; the host can, for its journals name the node that a try was for. So an
//! agent that begins nothing is placed on every host that may be it. One that knows nothing of the try is another host. Of two
//! that know it one is a copy, and none is trusted.

use super::Work;
use crate::action::Action;
use crate::hold::Hold;
use crate::ids::{JobKey, JobRole, NodeId};
use crate::observed::{Job, Node, NodeOutcome, Said};
use crate::participants::{self, Participant};
use crate::rollout::{GoneMark, NodeResult};
use std::collections::BTreeSet;

/// So often one host is asked: an agent may be lost.
const QUESTIONS: usize = 3;

/// What hosts that may be the participant's say.
enum Answer<'a> {
    /// None says that it is.
    None,
    /// This one is, and its command goes on.
    Works(&'a Node),
    /// This one is, and waits for a restart that nobody gives any more.
    Waits,
    /// This one is, and nothing was begun there, nor can be.
    NotBegun,
    /// This one is, and it is through.
    Ended(&'a Node, &'a NodeOutcome, Option<&'a str>),
    /// More than one says that it is.
    Several(Vec<NodeId>),
}

impl Work<'_> {
    /// Whether the host of a participant that left in its turn is known to be in the swarm again: then what it says is dealt with.
    /// Asks those that may be it.
    pub(super) fn is_asked(&mut self, id: &NodeId) -> bool {
        let hold = match self.answer(id) {
            Answer::None => {
                self.ask_the_next(id);
                return false;
            }
            Answer::Waits => return false,
            Answer::Works(node) => Hold::Rejoined { node: node.id.clone(), hostname: node.hostname.clone() },
            Answer::Several(nodes) => Hold::SeveralRejoined { nodes },
            Answer::NotBegun => {
                self.mark(id, GoneMark::GivenUp, None);
                Hold::Recording
            }
            Answer::Ended(node, outcome, record) => {
                let as_whom = format!("its host joined again as {} ({})", node.hostname, node.id);
                let record = record.map_or_else(|| as_whom.clone(), |record| format!("{as_whom}\n{record}"));
                let generation = self.tried(id).0;
                let (node, outcome) = (id.clone(), outcome.clone());
                let result = NodeResult { node, generation, outcome, record: Some(record), seconds: None };
                self.actions.push(Action::WriteResult { result });
                Hold::Recording
            }
        };
        let is_certain = !matches!(hold, Hold::SeveralRejoined { .. });
        self.holds.insert(id.clone(), hold);
        is_certain
    }

    fn answer(&self, id: &NodeId) -> Answer<'_> {
        let asked = self.questions(id, self.tried(id).0);
        let mut answers: Vec<(&NodeId, Answer<'_>)> = asked.filter_map(|job| self.answer_of(job)).collect();
        let nodes: BTreeSet<&NodeId> = answers.iter().map(|(node, _)| *node).collect();
        if nodes.len() > 1 {
            return Answer::Several(nodes.into_iter().cloned().collect());
        }
        answers.pop().map_or(Answer::None, |(_, answer)| answer)
    }

    /// What a host answers that knows the try.
    fn answer_of(&self, job: &Job) -> Option<(&NodeId, Answer<'_>)> {
        let node = self.observed.node(job.on.as_ref()?)?;
        let answer = match self.observed.report(&job.key)? {
            Said::Running { .. } | Said::Restarting { .. } | Said::Verifying => Answer::Works(node),
            Said::WantsRestart { .. } | Said::Cancelled { .. } => Answer::Waits,
            Said::NotBegun => Answer::NotBegun,
            Said::Finished { outcome, record } => Answer::Ended(node, outcome, record.as_deref()),
            Said::Busy { .. }
            | Said::Copied { .. }
            | Said::Preparing
            | Said::Prepared { .. }
            | Said::Revoked
            | Said::Forgotten => return None,
        };
        Some((&node.id, answer))
    }

    /// The agents that ask for one try of a participant.
    pub(super) fn questions(&self, id: &NodeId, generation: u32) -> impl Iterator<Item = &Job> {
        let about = move |job: &&Job| {
            let key = &job.key;
            job.on.is_some() && key.generation == generation && key.rollout == self.spec.id
        };
        self.observed.jobs_for(id).iter().copied().filter(about)
    }

    /// One agent more, on a host that was not asked yet.
    fn ask_the_next(&mut self, id: &NodeId) {
        let Some(gone) = self.participants.iter().find(|one| one.id == *id) else { return };
        let hosts: Vec<NodeId> = self.may_be(gone).into_iter().map(|node| node.id.clone()).collect();
        self.ask(id, self.tried(id), &hosts);
    }

    /// One agent more that asks for a try of a participant, whose last agent is known, on the first of these hosts that was not
    /// asked yet, or whose question was lost.
    pub(super) fn ask(&mut self, id: &NodeId, (generation, last): (u32, u32), hosts: &[NodeId]) {
        let unasked = |host: &&NodeId| {
            let asked: Vec<&Job> =
                self.questions(id, generation).filter(|job| job.on.as_ref() == Some(host)).collect();
            asked.len() < QUESTIONS
                && asked.iter().all(|job| job.is_lost() && self.observed.report(&job.key).is_none())
        };
        let Some(host) = hosts.iter().find(unasked) else { return };
        let of_questions = self.questions(id, generation).map(|job| job.key.agent).max();
        let agent = last.max(of_questions.unwrap_or(0)) + 1;
        let key = JobKey {
            rollout: self.spec.id.clone(),
            node: id.clone(),
            generation,
            agent,
            role: JobRole::Agent,
        };
        let agent = self.question(key, host.clone());
        self.actions.push(Action::CreateJob { agent: Box::new(agent) });
    }

    /// The try and its last agent.
    fn tried(&self, id: &NodeId) -> (u32, u32) {
        participants::last_try(self.observed, &self.spec.id, id).unwrap_or((1, 0))
    }

    /// The nodes that may be the host of a participant that left: ready ones that take no part, and have its name, or would have
    /// been selected.
    fn may_be(&self, gone: &Participant) -> Vec<&Node> {
        let late = participants::latecomers(self.observed, self.spec).unwrap_or_default();
        let ids = |all: &[Participant]| all.iter().map(|one| one.id.clone()).collect::<BTreeSet<NodeId>>();
        let (late, known) = (ids(&late), ids(&self.participants));
        let may_be = |node: &&Node| {
            let fits = node.hostname == gone.hostname || late.contains(&node.id);
            node.is_ready() && !known.contains(&node.id) && fits
        };
        self.observed.nodes.iter().filter(may_be).collect()
    }
}
