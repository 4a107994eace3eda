//! An inquiry: one question to many hosts at once, and what they answer. Nothing of a rollout is in it: no lock, no label on
//! a node, no order. Who is asked, when nobody is waited for any more, and why somebody does not answer is decided here.

use crate::ids::NodeId;
use crate::observed::{Availability, Node, NodeStatus, Observed, TaskState};
use crate::plan::{PlanRefusal, names_no_node};
use crate::selection::{Selected, select};
use crate::spec::Spec;
use crate::state::Skip;
use careen_contract::answer::Answer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the rest of a host's output is waited for, once its answer is there.
const OUTPUT_LATE: Duration = Duration::from_secs(2);

/// So many tasks fail on a node before nobody waits for another one.
const MOST_FAILURES: usize = 3;

/// So much of what a host prints is kept, in bytes.
const MOST_PRINTED: usize = 64 << 10;

/// Something that was heard of the hosts.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Heard {
    /// A host printed a line.
    Line { task: String, node: NodeId, line: Line },
    /// What a task printed comes once more, from its beginning.
    Afresh { task: String, node: NodeId },
    /// A host answered.
    Said { task: String, node: NodeId, answer: Answer },
    /// All tasks that there are for it.
    Tasks(Vec<TaskSeen>),
    /// All nodes.
    Nodes(Vec<Node>),
}

/// A line that a host printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Line {
    pub to: PrintedTo,
    pub text: String,
}

/// Where a line was printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PrintedTo {
    Stdout,
    Stderr,
}

/// A task of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TaskSeen {
    pub id: String,
    /// Its node; the managers say it before they place it, for each node has its own.
    pub node: NodeId,
    pub state: TaskState,
    /// Whether Swarm wants it to end, or to be over.
    pub leaves: bool,
    /// What keeps it from running, or ended it.
    pub trouble: Option<String>,
    /// Whether its node does not have the image, and cannot get it.
    pub no_image: bool,
}

/// Why a host does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unreachable {
    Drained,
    Paused,
    Down,
    /// Nothing of careen's runs there.
    Unfit(Skip),
    /// Its tasks end before they can answer.
    Fails {
        why: String,
    },
    /// Its engine does not have the image, and cannot get it.
    NoImage {
        why: String,
    },
    /// It has not answered in time.
    Silent {
        limit: Duration,
        /// What is known of its task.
        why: String,
    },
}

/// How it stands with one host.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Reply {
    /// It is waited for; why, in words.
    Awaited {
        why: String,
    },
    Answered {
        answer: Answer,
        /// Whether lines that it printed did not come.
        lost_lines: bool,
    },
    Unreachable(Unreachable),
}

/// A host that is asked.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Asked {
    pub node: NodeId,
    pub hostname: String,
    pub reply: Reply,
    /// What it printed, as far as it is kept.
    pub lines: Vec<Line>,
    /// Lines that are not kept.
    pub more: u64,
    kept: usize,
    /// Which of its tasks answered, and when.
    answered: Option<(String, Duration)>,
    /// How many lines each of its tasks has written to standard output, as far as they came.
    came: BTreeMap<String, u64>,
    /// Its tasks that ended without an answer.
    failed: BTreeSet<String>,
}

/// The roll of those who are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Roll {
    asked: Vec<Asked>,
    limit: Duration,
}

/// Whom Swarm is told to place a task on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The constraints of the one service.
    pub constraints: Vec<String>,
    /// Nodes that are to be made active for it, and what they are now.
    pub activate: BTreeMap<NodeId, Availability>,
}

impl Roll {
    /// Calls the roll of the nodes that the spec selects. With `activate` those that their operator keeps drained or paused are
    /// asked too; not one that a rollout has taken down.
    pub fn call(
        observed: &Observed,
        spec: &Spec,
        activate: bool,
        limit: Duration,
    ) -> Result<(Self, Placement), PlanRefusal> {
        if let Some(refusal) = spec.selection.nodes.iter().find_map(|name| names_no_node(observed, name)) {
            return Err(refusal);
        }
        let bad =
            |error: crate::constraint::InvalidConstraint| PlanRefusal::BadConstraint { text: error.given };
        let Selected { nodes, skipped } = select(observed, spec).map_err(bad)?;
        if nodes.is_empty() && skipped.is_empty() {
            return Err(PlanRefusal::NoNodes);
        }
        let wakes = |node: &&&Node| {
            activate && node.is_ready() && node.availability != Availability::Active && !is_in_a_rollout(node)
        };
        let activate: BTreeMap<NodeId, Availability> =
            nodes.iter().filter(wakes).map(|node| (node.id.clone(), node.availability)).collect();
        let meant = nodes.iter().map(|node| {
            let can = activate.contains_key(&node.id).then_some(Availability::Active);
            Asked::new(node, reply_of(node, can.unwrap_or(node.availability)))
        });
        let unfit = skipped
            .iter()
            .map(|(node, skip)| Asked::new(node, Reply::Unreachable(Unreachable::Unfit(*skip))));
        let mut asked: Vec<Asked> = meant.chain(unfit).collect();
        asked.sort_by(|a, b| (&a.hostname, &a.node).cmp(&(&b.hostname, &b.node)));
        let constraints = constraints(observed, spec, &asked);
        Ok((Self { asked, limit }, Placement { constraints, activate }))
    }

    /// Those who are asked, by their hosts' names.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Whether anybody can answer at all.
    pub fn is_worth_asking(&self) -> bool {
        self.asked.iter().any(Asked::is_awaited)
    }

    /// Takes in what was heard. What comes late, twice or of nobody who is asked changes nothing.
    pub fn hear(&mut self, heard: Heard, now: Duration) {
        match heard {
            Heard::Line { task, node, line } => self.with(&node, |asked| asked.printed(&task, line)),
            Heard::Afresh { task, node } => self.with(&node, |asked| asked.begins_afresh(&task)),
            Heard::Said { task, node, answer } => self.with(&node, |asked| asked.said(task, answer, now)),
            Heard::Tasks(tasks) => {
                for task in tasks {
                    self.with(&task.node, |asked| asked.saw(&task));
                }
            }
            Heard::Nodes(nodes) => {
                for node in nodes {
                    self.with(&node.id, |asked| asked.stands(&node));
                }
            }
        }
        self.tick(now);
    }

    /// Takes in that time goes by.
    pub fn tick(&mut self, now: Duration) {
        for asked in &mut self.asked {
            if now >= self.limit {
                asked.give_up(self.limit);
            }
            asked.settle(now);
        }
    }

    /// Whether nobody is waited for any more.
    pub fn is_over(&self, now: Duration) -> bool {
        self.asked.iter().all(|asked| asked.is_over(now))
    }

    /// Tasks that are over and whose answer has not come: their logs are worth reading once more.
    pub fn unheard(&self, tasks: &[TaskSeen]) -> Vec<String> {
        let unheard = |task: &&TaskSeen| {
            task.state.is_over()
                && self.asked.iter().any(|asked| {
                    asked.node == task.node && (asked.is_awaited() || asked.misses_lines_of(&task.id))
                })
        };
        tasks.iter().filter(unheard).map(|task| task.id.clone()).collect()
    }

    fn with(&mut self, node: &NodeId, what: impl FnOnce(&mut Asked)) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.node == *node) {
            what(asked);
        }
    }
}

impl Asked {
    fn new(node: &Node, reply: Reply) -> Self {
        Self {
            node: node.id.clone(),
            hostname: node.hostname.clone(),
            reply,
            lines: Vec::new(),
            more: 0,
            kept: 0,
            answered: None,
            came: BTreeMap::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Whether it has answered well: the command ran, and ended with this status.
    pub fn status(&self) -> Option<u8> {
        match &self.reply {
            Reply::Answered { answer: Answer::Answered { exit, why: None, .. }, .. } => Some(*exit),
            Reply::Answered { .. } | Reply::Awaited { .. } | Reply::Unreachable(_) => None,
        }
    }

    /// What it answered.
    pub const fn answer(&self) -> Option<&Answer> {
        match &self.reply {
            Reply::Answered { answer, .. } => Some(answer),
            Reply::Awaited { .. } | Reply::Unreachable(_) => None,
        }
    }

    /// Whether it is waited for.
    pub fn is_awaited(&self) -> bool {
        matches!(self.reply, Reply::Awaited { .. })
    }

    fn printed(&mut self, task: &str, line: Line) {
        if line.to == PrintedTo::Stdout {
            *self.came.entry(task.to_owned()).or_default() += 1;
        }
        if self.kept + line.text.len() > MOST_PRINTED {
            self.more += 1;
            return;
        }
        self.kept += line.text.len();
        self.lines.push(line);
    }

    fn begins_afresh(&mut self, task: &str) {
        self.lines.clear();
        (self.kept, self.more) = (0, 0);
        self.came.remove(task);
    }

    fn said(&mut self, task: String, answer: Answer, now: Duration) {
        if !self.is_awaited() {
            return;
        }
        self.answered = Some((task, now));
        self.reply = Reply::Answered { answer, lost_lines: false };
    }

    fn saw(&mut self, task: &TaskSeen) {
        let Reply::Awaited { why } = &mut self.reply else { return };
        *why = task.trouble.clone().unwrap_or_else(|| on_its_way(task.state).to_owned());
        // One that is complete has answered: what it said is on its way.
        if task.state.ended_by_itself() {
            self.failed.insert(task.id.clone());
        }
        if self.failed.len() >= MOST_FAILURES || task.no_image {
            let why = why.clone();
            self.reply = Reply::Unreachable(match task.no_image {
                true => Unreachable::NoImage { why },
                false => Unreachable::Fails { why },
            });
        }
    }

    fn stands(&mut self, node: &Node) {
        if self.is_awaited() && node.status == NodeStatus::Down {
            self.reply = Reply::Unreachable(Unreachable::Down);
        }
    }

    fn give_up(&mut self, limit: Duration) {
        if let Reply::Awaited { why } = &self.reply {
            self.reply = Reply::Unreachable(Unreachable::Silent { limit, why: why.clone() });
        }
    }

    /// Once its answer is there for long enough, what has not come does not come.
    fn settle(&mut self, now: Duration) {
        let late = self.answered.as_ref().is_some_and(|(_, at)| now >= *at + OUTPUT_LATE);
        let misses = self.answered.as_ref().is_some_and(|(task, _)| self.misses_lines_of(task));
        if let Reply::Answered { lost_lines, .. } = &mut self.reply {
            *lost_lines = late && misses;
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        match (&self.reply, &self.answered) {
            (Reply::Awaited { .. }, _) => false,
            (Reply::Unreachable(_), _) | (Reply::Answered { .. }, None) => true,
            (Reply::Answered { .. }, Some((task, at))) => {
                !self.misses_lines_of(task) || now >= *at + OUTPUT_LATE
            }
        }
    }

    fn misses_lines_of(&self, task: &str) -> bool {
        match (&self.reply, &self.answered) {
            (Reply::Answered { answer: Answer::Answered { lines, .. }, .. }, Some((answered, _))) => {
                answered == task && self.came.get(task).copied().unwrap_or_default() < *lines
            }
            (Reply::Answered { .. } | Reply::Awaited { .. } | Reply::Unreachable(_), _) => false,
        }
    }
}

fn on_its_way(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending => "its task has no place yet",
        TaskState::Starting => "its task is starting",
        TaskState::Running => "its command runs",
        TaskState::Complete => "its task is complete, and its answer has not come",
        TaskState::Failed | TaskState::Rejected => "its task ended without an answer",
        TaskState::Shutdown => "its task was stopped",
    }
}

fn reply_of(node: &Node, availability: Availability) -> Reply {
    match (node.status, availability) {
        (NodeStatus::Down | NodeStatus::Disconnected, _) => Reply::Unreachable(Unreachable::Down),
        (_, Availability::Drain) => Reply::Unreachable(Unreachable::Drained),
        (_, Availability::Pause) => Reply::Unreachable(Unreachable::Paused),
        (NodeStatus::Ready | NodeStatus::Unknown, Availability::Active) => {
            Reply::Awaited { why: "it has no task yet".to_owned() }
        }
    }
}

/// What a rollout has done to a node is the rollout's to undo.
fn is_in_a_rollout(node: &Node) -> bool {
    node.labels.contains_key(careen_contract::label::NODE)
}

/// Swarm knows no list of nodes. One node is named; of several all others are kept out.
fn constraints(observed: &Observed, spec: &Spec, asked: &[Asked]) -> Vec<String> {
    if spec.selection.nodes.is_empty() {
        return spec.selection.constraints.clone();
    }
    if let [one] = asked {
        return vec![format!("node.id=={}", one.node)];
    }
    let meant: BTreeSet<&NodeId> = asked.iter().map(|asked| &asked.node).collect();
    let others = observed.nodes.iter().filter(|node| !meant.contains(&node.id));
    others.map(|node| format!("node.id!={}", node.id)).collect()
}

#[cfg(test)]
mod tests;
