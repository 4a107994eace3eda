//! What an onlooker is told while a rollout goes on: what changed between two looks, and when to stop looking. Pure.

use crate::render::controller::{self, Kind};
use crate::render::step::Step;
use crate::render::words;
use crate::view::{self, NodeStanding, Standing};
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::state::AfterRestoring;
use careen_planner::{NodeId, NodeState, Observed, PassError, Spec, Watch};
use careen_swarm::ControllerTask;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Finds out what changed in a rollout since the last look.
#[derive(Debug, Clone)]
pub struct Follower {
    spec: Spec,
    watch: Watch,
    since: BTreeMap<NodeId, (String, Duration)>,
    /// Where everything stood at the last look at which the rollout was not over.
    standing: Option<Standing>,
    /// What Swarm says of its controller; `None` when it was not asked.
    task: Option<ControllerTask>,
    /// What there is to say of it, since when, and whether it was said.
    controller: Option<OfController>,
}

#[derive(Debug, Clone)]
struct OfController {
    kind: Kind,
    why: Option<String>,
    since: Duration,
    said: bool,
}

/// A controller that is on its way longer than this is worth a word.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one look brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What changed since the last look.
    pub changes: Vec<Change>,
    /// Whether to look again.
    pub verdict: Verdict,
}

/// Whether to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The rollout goes on: look again.
    GoesOn,
    /// It waits for an operator, and nothing moves any more.
    Paused,
    /// It is over; how, where that is known.
    Over(Option<RolloutOutcome>),
    /// Somebody removed its config, and nothing says that it was over.
    Removed,
}

/// What is told of a rollout while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Change {
    /// What the rollout is told.
    Control {
        /// `running`, `paused`, `aborting`, `finished`.
        state: &'static str,
        text: String,
    },
    /// What keeps its controller from carrying it out.
    Controller {
        /// `missing`, `coming-up`, `fails`, or `works` when that is over.
        state: &'static str,
        text: String,
        /// What it printed last.
        lines: Vec<String>,
        /// What can be typed.
        next: Vec<Step>,
    },
    /// Where a node stands.
    State {
        node: NodeId,
        hostname: String,
        /// What it is called where it is shown.
        #[serde(skip)]
        shown: String,
        state: &'static str,
        text: String,
    },
    /// Why a node waits, where that is no routine.
    Hold {
        node: NodeId,
        hostname: String,
        /// What it is called where it is shown.
        #[serde(skip)]
        shown: String,
        hold: &'static str,
        text: String,
    },
}

impl Change {
    /// The line that is printed for it.
    pub fn line(&self) -> String {
        match self {
            Self::Control { text, .. } | Self::Controller { text, .. } => text.clone(),
            Self::State { shown, text, .. } => format!("{shown}: {text}"),
            Self::Hold { shown, text, .. } => format!("{shown} waits: {text}"),
        }
    }

    /// What stands below it: what was printed last, and what can be typed.
    pub fn below(&self) -> Vec<String> {
        match self {
            Self::Controller { lines, next, .. } => {
                let lines = lines.iter().map(|line| format!("    | {line}"));
                lines.chain(next.iter().map(|step| format!("    {step}"))).collect()
            }
            Self::Control { .. } | Self::State { .. } | Self::Hold { .. } => Vec::new(),
        }
    }
}

impl Follower {
    /// One that has seen nothing yet.
    pub fn new(spec: Spec) -> Self {
        Self {
            spec,
            watch: Watch::default(),
            since: BTreeMap::new(),
            standing: None,
            task: None,
            controller: None,
        }
    }

    /// The rollout that it follows.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where everything stood at the last look at which the rollout was not over.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// What Swarm says of its controller, for the next look. Whoever is the controller himself has nothing to ask.
    pub fn heard_of_the_controller(&mut self, task: Option<ControllerTask>) {
        self.task = task;
    }

    /// Looks. What is over has no nodes any more: their labels are gone.
    pub fn look(&mut self, observed: &Observed, now: Duration) -> Result<Seen, PassError> {
        let (mut next, watch) = view::look(observed, &self.spec, &self.watch, now)?;
        self.watch = watch;
        if next.control.is_none() && !observed.history_written {
            return Ok(Seen { changes: Vec::new(), verdict: Verdict::Removed });
        }
        if next.is_over() {
            let outcome = match next.control {
                Some(Control::Finished { outcome }) => Some(outcome),
                Some(Control::Running | Control::Paused { .. } | Control::Aborting) | None => None,
            };
            return Ok(Seen { changes: Vec::new(), verdict: Verdict::Over(outcome) });
        }
        next.task = self.task.take();
        let mut changes = changes(self.standing.as_ref(), &next);
        changes.extend(self.controller_change(&next, now));
        for node in &mut next.nodes {
            node.age = Some(self.age(node, now)).filter(|_| !node.is_waiting());
        }
        let verdict = if next.stands_paused() { Verdict::Paused } else { Verdict::GoesOn };
        self.standing = Some(next);
        Ok(Seen { changes, verdict })
    }

    /// What is new of its controller. One that is on its way is not worth a word at once; one that does not come up is.
    fn controller_change(&mut self, next: &Standing, now: Duration) -> Option<Change> {
        let seat_why = match next.task.as_ref()? {
            ControllerTask::Fails(seat) | ControllerTask::ComingUp(seat) | ControllerTask::Runs(seat) => {
                seat.why.clone()
            }
            ControllerTask::Absent { .. } => None,
        };
        let Some(told) = controller::told(next) else {
            let said = self.controller.take().is_some_and(|before| before.said);
            let text = "its controller works".to_owned();
            let works = Change::Controller { state: "works", text, lines: Vec::new(), next: Vec::new() };
            return said.then_some(works);
        };
        let same = |before: &OfController| before.kind == told.kind && before.why == seat_why;
        if !self.controller.as_ref().is_some_and(same) {
            self.controller = Some(OfController { kind: told.kind, why: seat_why, since: now, said: false });
        }
        let known = self.controller.as_mut()?;
        let patient = told.kind != Kind::Fails && now.saturating_sub(known.since) < PATIENCE;
        if patient || std::mem::replace(&mut known.said, true) {
            return None;
        }
        let next_steps = told.advice.commands;
        let text = next.with_names(&told.text);
        Some(Change::Controller { state: told.kind.word(), text, lines: told.lines, next: next_steps })
    }

    /// How long a node has been where it is, seen from here.
    fn age(&mut self, node: &NodeStanding, now: Duration) -> Duration {
        let state = words::state(node);
        let since = self.since.entry(node.node.clone()).or_insert_with(|| (state.clone(), now));
        if since.0 != state {
            *since = (state, now);
        }
        now.saturating_sub(since.1)
    }
}

/// What is different. At the first look everything is that has begun.
fn changes(before: Option<&Standing>, now: &Standing) -> Vec<Change> {
    let mut changes = Vec::new();
    let control_before = before.and_then(|before| before.control.as_ref());
    if let Some(control) = now.control.as_ref().filter(|control| Some(*control) != control_before) {
        let told = !(before.is_none() && *control == Control::Running);
        let text = now.with_names(&words::control(Some(control)));
        changes.extend(told.then(|| Change::Control { state: control_word(control), text }));
    }
    let before: BTreeMap<&NodeId, &NodeStanding> =
        before.into_iter().flat_map(|before| &before.nodes).map(|node| (&node.node, node)).collect();
    for node in &now.nodes {
        let was = before.get(&node.node).copied();
        changes.extend(state_change(was, node, now));
        changes.extend(hold_change(was, node, now));
    }
    changes
}

fn control_word(control: &Control) -> &'static str {
    match control {
        Control::Running => "running",
        Control::Paused { .. } => "paused",
        Control::Aborting => "aborting",
        Control::Finished { .. } => "finished",
    }
}

fn state_change(was: Option<&NodeStanding>, node: &NodeStanding, now: &Standing) -> Option<Change> {
    let same = was.map_or_else(
        || node.is_waiting(),
        |was| was.stage.name() == node.stage.name() || was.is_waiting() && node.is_waiting(),
    );
    if same {
        return None;
    }
    let ends = matches!(
        node.stage,
        NodeState::Failed { .. }
            | NodeState::Skipped { .. }
            | NodeState::Gone { .. }
            | NodeState::Restoring { then: AfterRestoring::Fail { .. } | AfterRestoring::Skip { .. } }
    ) || node.is_in_sync();
    let why = words::detail(node).filter(|_| ends).map(|text| format!(": {}", now.with_names(&text)));
    Some(Change::State {
        node: node.node.clone(),
        hostname: node.hostname.clone(),
        shown: node.shown.clone(),
        state: node.state(),
        text: format!("{}{}", words::state(node), why.unwrap_or_default()),
    })
}

fn hold_change(was: Option<&NodeStanding>, node: &NodeStanding, now: &Standing) -> Option<Change> {
    // That it left is told as its state.
    let hold = node.hold.as_ref().filter(|hold| !words::is_routine(hold) && !node.is_gone())?;
    let before = was.and_then(|was| was.hold.as_ref()).filter(|hold| !words::is_routine(hold));
    if before.is_some_and(|before| before.name() == hold.name()) {
        return None;
    }
    Some(Change::Hold {
        node: node.node.clone(),
        hostname: node.hostname.clone(),
        shown: node.shown.clone(),
        hold: hold.name(),
        text: now.with_names(&words::hold(hold)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at, cluster, failed_and_paused, quorum_at_risk, spec};
    use careen_contract::label;
    use careen_planner::observed::NodeStatus;

    fn lines(seen: &Seen) -> Vec<String> {
        seen.changes.iter().map(Change::line).collect()
    }

    fn look(follower: &mut Follower, observed: &Observed, second: u64) -> Seen {
        follower.look(observed, Duration::from_secs(second)).unwrap()
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut follower = Follower::new(spec());
        let mut observed = cluster();
        assert_eq!(look(&mut follower, &observed, 0), Seen { changes: vec![], verdict: Verdict::GoesOn });
        at(&mut observed.nodes[1], NodeState::Running { drained: false }, None);
        assert_eq!(lines(&look(&mut follower, &observed, 5)), ["w1: running"]);
        assert!(look(&mut follower, &observed, 65).changes.is_empty());
        let ages = |follower: &Follower| follower.standing().unwrap().nodes[0].age;
        assert_eq!(ages(&follower), Some(Duration::from_secs(60)));
        observed.nodes[1].status = NodeStatus::Down;
        assert!(look(&mut follower, &observed, 66).changes.is_empty(), "a command may restart the engine");
        at(&mut observed.nodes[1], NodeState::Settling, None);
        assert_eq!(
            lines(&look(&mut follower, &observed, 70)),
            ["w1: settling", "w1 waits: the node is down"]
        );
    }

    #[test]
    fn a_failure_is_told_once_and_ends_the_following() {
        let mut follower = Follower::new(spec());
        look(&mut follower, &cluster(), 0);
        let (observed, _) = failed_and_paused();
        let seen = look(&mut follower, &observed, 1);
        assert_eq!(seen.verdict, Verdict::Paused);
        assert_eq!(
            lines(&seen),
            [
                "paused: w2 failed: exit code 100 in the command",
                "w1: done",
                "w2: failed: exit code 100 in the command; it stays drained"
            ]
        );
        let mut asked = observed.clone();
        let label = careen_planner::rollout::Ask::Retry.label(&spec().id);
        asked.nodes[2].labels.insert(label::ASK.into(), label);
        assert_eq!(look(&mut follower, &asked, 2).verdict, Verdict::GoesOn, "an answer is under way");
    }

    #[test]
    fn while_one_node_is_at_work_a_pause_is_not_the_end() {
        let (mut observed, spec) = failed_and_paused();
        at(&mut observed.nodes[3], NodeState::Running { drained: true }, None);
        assert_eq!(look(&mut Follower::new(spec), &observed, 0).verdict, Verdict::GoesOn);
    }

    #[test]
    fn a_hold_that_matters_is_told_and_the_end_is_seen() {
        let (mut observed, spec) = quorum_at_risk();
        let mut follower = Follower::new(spec);
        let told = lines(&look(&mut follower, &observed, 0));
        assert!(
            told.iter().any(|line| line.starts_with("m2 waits: quorum at risk: 2 of 3 managers")),
            "{told:?}"
        );
        let json =
            serde_json::to_value(&look(&mut Follower::new(follower.spec.clone()), &observed, 0).changes[1]);
        assert_eq!(json.unwrap()["hold"], "quorum-at-risk");
        let record = observed.rollout.as_mut().unwrap();
        record.control = Control::Finished { outcome: RolloutOutcome::Done };
        let over = look(&mut follower, &observed, 1);
        assert_eq!(over.verdict, Verdict::Over(Some(RolloutOutcome::Done)));
        assert!(follower.standing().is_some_and(|standing| !standing.is_over()), "the nodes are remembered");
    }
}
