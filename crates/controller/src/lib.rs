//! The loop that carries a rollout out: look at the swarm, decide (careen-planner), act, look again.
//!
//! It is stateless between passes but for what it has watched on its own clock, and for what it saw last of a swarm that costs much
//! to look at ([`careen_planner::glance`]). Both may be lost at any time. What waits between two passes, and what talks to Docker, is
//! behind [`Cluster`].

mod begin;
mod pace;

pub use begin::{NotReleased, begin, release};
pub use pace::{Pace, Pause, REST};

use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::glance::{Memory, needs_a_look};
use careen_planner::{Act, Action, ControllerId, Pass, PassEnd, PassError, Spec, Watch, pass};
use std::collections::VecDeque;
use std::time::Duration;

/// With fewer tasks a swarm is looked at as a whole each time: that costs less than to decide twice.
const WORTH_A_MEMORY: usize = 1000;

/// The controller of one rollout, and what it has watched on its own clock.
#[derive(Debug, Clone)]
pub struct Controller {
    id: ControllerId,
    spec: Spec,
    watch: Watch,
    /// What was seen last, where the next pass may be made with a glance.
    last: Option<Last>,
    worth_a_memory: usize,
}

/// The last look, and what is known by it and by glances since.
#[derive(Debug, Clone)]
struct Last {
    memory: Memory,
    /// When the look began, and how long it took.
    looked: Duration,
    took: Duration,
    /// Whether this controller wrote a node since nodes were read.
    wrote_a_node: bool,
}

/// A pass that is being carried out.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Turn {
    pub pass: Pass,
    queue: VecDeque<Act>,
}

/// What came of one action.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Done {
    pub act: Act,
    /// What came of it.
    pub result: Result<(), ActError>,
}

/// Why a pass could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// Nothing can be seen. The swarm is asked again.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// The rollout cannot be carried out as it is.
    #[error(transparent)]
    Pass(#[from] PassError),
}

impl Controller {
    /// A controller that has seen nothing yet. Its id must be new: a restarted process is another controller.
    pub fn new(id: ControllerId, spec: Spec) -> Self {
        Self { id, spec, watch: Watch::default(), last: None, worth_a_memory: WORTH_A_MEMORY }
    }

    /// One that makes do with glances where there are so many tasks or more.
    #[must_use]
    pub fn with_memory_from(self, tasks: usize) -> Self {
        Self { worth_a_memory: tasks, ..self }
    }

    /// Its id: new with each process.
    pub fn id(&self) -> &ControllerId {
        &self.id
    }

    /// Looks at the swarm and decides; nothing is carried out yet. A glance is enough as long as nothing follows from it that only a
    /// look may decide.
    pub fn look(&mut self, cluster: &mut impl Cluster) -> Result<Turn, ControllerError> {
        if let Some(turn) = self.glance(cluster)? {
            return Ok(turn);
        }
        let looked = cluster.now();
        let observed = cluster.observe()?;
        let now = cluster.now();
        let pass = pass(&observed, &self.spec, &self.id, &self.watch, now)?;
        self.watch = pass.watch.clone();
        let is_worth_it = observed.tasks.len() >= self.worth_a_memory;
        let took = now.saturating_sub(looked);
        let memory = is_worth_it.then(|| Memory::of(observed));
        self.last = memory.map(|memory| Last { memory, looked, took, wrote_a_node: false });
        Ok(Turn::of(pass))
    }

    /// What follows from a glance. `None` where it is time for a look, or only that helps; memory is gone then.
    fn glance(&mut self, cluster: &mut impl Cluster) -> Result<Option<Turn>, ControllerError> {
        let Some(mut last) = self.last.take() else { return Ok(None) };
        if pace::is_old(cluster.now().saturating_sub(last.looked), last.took) {
            return Ok(None);
        }
        // What went wrong is asked once more as a whole.
        let Ok(Some(glance)) = cluster.glance(&last.memory, last.wrote_a_node) else { return Ok(None) };
        last.wrote_a_node = false;
        last.memory.renew(glance);
        let pass = pass(last.memory.observed(), &self.spec, &self.id, &self.watch, cluster.now())?;
        if pass.end != PassEnd::GoOn || pass.actions.iter().any(|act| needs_a_look(&act.action)) {
            return Ok(None);
        }
        self.watch = pass.watch.clone();
        self.last = Some(last);
        Ok(Some(Turn::of(pass)))
    }

    /// Hears what came of an act. Behind one that was not done, or may not have been, everything is looked at.
    pub fn hear(&mut self, done: &Done) {
        let writes_a_node = matches!(done.act.action, Action::UpdateNode { .. });
        match &mut self.last {
            Some(_) if done.result.is_err() => self.last = None,
            Some(last) => last.wrote_a_node |= writes_a_node,
            None => {}
        }
    }
}

impl Turn {
    /// A pass of which nothing is carried out yet.
    pub fn of(pass: Pass) -> Self {
        Self { queue: pass.actions.iter().cloned().collect(), pass }
    }

    /// Carries out the next action; `None` when there is none.
    pub fn step(&mut self, cluster: &mut impl Cluster) -> Option<Done> {
        let act = self.queue.pop_front()?;
        let result = cluster.act(&act);
        if matches!(result, Err(ActError::Unavailable { .. })) {
            // The swarm is away: what is left was decided on an old look.
            self.queue.clear();
        }
        Some(Done { act, result })
    }
}

/// One whole pass: what was decided, and what came of it.
pub fn run_pass(
    controller: &mut Controller,
    cluster: &mut impl Cluster,
) -> Result<(Pass, Vec<Done>), ControllerError> {
    let mut turn = controller.look(cluster)?;
    let done: Vec<Done> = std::iter::from_fn(|| turn.step(cluster)).collect();
    done.iter().for_each(|done| controller.hear(done));
    Ok((turn.pass, done))
}

/// Passes until the rollout is over, or another controller has taken it. Between two passes `wait` is called with what
/// the last one decided, or why there was none; it waits, reports, and says whether to go on.
pub fn run(
    controller: &mut Controller,
    cluster: &mut impl Cluster,
    mut wait: impl FnMut(Result<&(Pass, Vec<Done>), &Unseen>) -> bool,
) -> Result<PassEnd, PassError> {
    loop {
        let goes_on = match run_pass(controller, cluster) {
            Ok((pass, _)) if pass.end != PassEnd::GoOn => return Ok(pass.end),
            Ok(passed) => wait(Ok(&passed)),
            Err(ControllerError::Unseen(unseen)) => wait(Err(&unseen)),
            Err(ControllerError::Pass(error)) => return Err(error),
        };
        if !goes_on {
            return Ok(PassEnd::GoOn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_contract::label;
    use careen_planner::glance::{Glance, TasksOf};
    use careen_planner::observed::{Lock, NodeStatus};
    use careen_planner::rollout::{Baseline, Control, RolloutOutcome, RolloutRecord};
    use careen_planner::testing::{manager, worker};
    use careen_planner::{NodeRecord, NodeState, Observed, PauseReason, RolloutId, Version};

    /// A swarm that answers what it is told to.
    struct Fake {
        observed: Observed,
        /// What a glance shows; `None` where it fails.
        glanced: Option<Observed>,
        now: Duration,
        looks: u32,
        /// Whether all nodes were to be read, of each glance.
        glances: Vec<bool>,
        away_until_look: u32,
        answer: Result<(), ActError>,
        asked: Vec<Action>,
    }

    impl Cluster for Fake {
        fn observe(&mut self) -> Result<Observed, Unseen> {
            self.looks += 1;
            if self.looks <= self.away_until_look {
                return Err(Unseen::Away { why: "no leader".into() });
            }
            Ok(self.observed.clone())
        }

        fn glance(&mut self, _: &Memory, all_nodes: bool) -> Result<Option<Glance>, Unseen> {
            self.glances.push(all_nodes);
            let away = || Unseen::Away { why: "a service is gone".into() };
            let seen = self.glanced.clone().ok_or_else(away)?;
            Ok(Some(Glance { seen, all_nodes: true, of: TasksOf::default() }))
        }

        fn act(&mut self, act: &Act) -> Result<(), ActError> {
            self.asked.push(act.action.clone());
            self.answer.clone()
        }

        fn now(&self) -> Duration {
            self.now
        }
    }

    fn fake(control: Control, holder: Option<&str>) -> Fake {
        let holder = holder.map(|name| ControllerId(name.into()));
        let observed = Observed {
            lock: Some(Lock { version: Version(1), holder, epoch: 1, rollout: None, place: None }),
            rollout: Some(RolloutRecord::new(Version(1), control)),
            ..Observed::default()
        };
        Fake {
            glanced: Some(observed.clone()),
            observed,
            now: Duration::ZERO,
            looks: 0,
            glances: Vec::new(),
            away_until_look: 0,
            answer: Ok(()),
            asked: Vec::new(),
        }
    }

    /// One in which a node waits, so that nothing is to be done.
    fn waiting() -> Fake {
        let mut cluster = fake(Control::Paused { why: PauseReason::Asked }, Some("me"));
        cluster.observed.nodes = vec![manager("m1"), worker("w1")];
        cluster.observed.baseline = Some(Baseline::default());
        cluster.glanced = Some(cluster.observed.clone());
        cluster
    }

    fn with_memory() -> Controller {
        controller().with_memory_from(0)
    }

    fn passes(controller: &mut Controller, cluster: &mut Fake, at: &[u64]) -> (u32, usize) {
        for now in at {
            cluster.now = Duration::from_secs(*now);
            run_pass(controller, cluster).unwrap();
        }
        (cluster.looks, cluster.glances.len())
    }

    #[test]
    fn a_glance_is_enough_until_it_is_time_for_a_look() {
        let mut cluster = waiting();
        let mut controller = with_memory();
        assert_eq!(passes(&mut controller, &mut cluster, &[0, 1, 9, 30, 59]), (1, 4));
        assert!(matches!(cluster.asked[..], [Action::Beat { .. }, Action::Beat { .. }]));
        assert_eq!(passes(&mut controller, &mut cluster, &[60, 61]), (2, 5));
    }

    #[test]
    fn what_only_a_look_may_decide_is_decided_on_a_look() {
        let mut cluster = waiting();
        let mut controller = with_memory();
        passes(&mut controller, &mut cluster, &[0]);
        // A node in its turn that is settled, as far as a glance tells.
        let record = NodeRecord { state: NodeState::Settling, ..NodeRecord::new(&controller.spec.id, 1) };
        let node = |seen: &mut Observed, is_ready: bool| {
            seen.nodes[1].labels.insert(label::NODE.into(), record.encode());
            seen.nodes[1].status = if is_ready { NodeStatus::Ready } else { NodeStatus::Down };
        };
        controller.spec.policy.monitor = Duration::ZERO;
        node(cluster.glanced.as_mut().unwrap(), true);
        node(&mut cluster.observed, false);
        assert_eq!(passes(&mut controller, &mut cluster, &[1]), (2, 1));
        assert_eq!(cluster.asked, [], "the look sees that it is down");
        node(&mut cluster.observed, true);
        assert_eq!(passes(&mut controller, &mut cluster, &[2]), (3, 2));
        assert!(matches!(cluster.asked[..], [Action::UpdateNode { .. }]));
        passes(&mut controller, &mut cluster, &[3]);
        assert_eq!(cluster.glances[2..], [true], "it wrote a node");
    }

    #[test]
    fn an_end_is_found_by_a_look() {
        let mut cluster = waiting();
        let mut controller = with_memory();
        passes(&mut controller, &mut cluster, &[0]);
        cluster.glanced.as_mut().unwrap().lock = None;
        assert_eq!(passes(&mut controller, &mut cluster, &[1]), (2, 1));
    }

    #[test]
    fn behind_an_error_everything_is_looked_at() {
        let mut cluster = waiting();
        let mut controller = with_memory();
        passes(&mut controller, &mut cluster, &[0]);
        cluster.answer = Err(ActError::Conflict);
        assert_eq!(passes(&mut controller, &mut cluster, &[20]), (1, 1), "a beat, which is refused");
        cluster.answer = Ok(());
        assert_eq!(passes(&mut controller, &mut cluster, &[21]), (2, 1));
        let seen = cluster.glanced.take();
        assert_eq!(passes(&mut controller, &mut cluster, &[22]), (3, 2), "a glance that fails");
        cluster.glanced = seen;
        assert_eq!(passes(&mut controller, &mut cluster, &[23]), (3, 3));
    }

    #[test]
    fn a_small_swarm_is_looked_at_each_time() {
        assert_eq!(passes(&mut controller(), &mut waiting(), &[0, 1, 2]), (3, 0));
    }

    fn controller() -> Controller {
        Controller::new(ControllerId("me".into()), Spec::run(RolloutId::parse("k3x9").unwrap(), "image"))
    }

    #[test]
    fn it_ends_when_the_rollout_is_over() {
        let mut cluster = fake(Control::Finished { outcome: RolloutOutcome::Done }, None);
        assert_eq!(run(&mut controller(), &mut cluster, |_| true), Ok(PassEnd::Finished));
    }

    #[test]
    fn a_swarm_that_does_not_answer_is_asked_again() {
        let mut cluster = fake(Control::Running, Some("other"));
        cluster.away_until_look = 3;
        let mut away = 0;
        let end = run(&mut controller(), &mut cluster, |passed| {
            away += u32::from(passed.is_err());
            passed.is_err()
        });
        assert_eq!(
            (end, away, cluster.asked.len()),
            (Ok(PassEnd::GoOn), 3, 0),
            "and it waits for the lock's holder"
        );
    }

    #[test]
    fn what_was_decided_is_dropped_when_the_swarm_goes_away_and_goes_on_after_a_conflict() {
        for (answer, asked) in [(ActError::Unavailable { why: "gone".into() }, 1), (ActError::Conflict, 2)] {
            let mut cluster = fake(Control::Running, Some("me"));
            cluster.answer = Err(answer);
            let mut controller = controller();
            let (mut pass, _) = run_pass(&mut controller, &mut cluster).unwrap();
            let act = Act { epoch: 1, action: Action::RemoveResults };
            pass.actions = vec![act.clone(), act];
            let mut turn = Turn::of(pass);
            cluster.asked.clear();
            while turn.step(&mut cluster).is_some() {}
            assert_eq!(cluster.asked.len(), asked);
        }
    }
}
