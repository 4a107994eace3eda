//! The loop that carries a rollout out: look at the swarm, decide (careen-planner), act, look again.
//!
//! It is stateless between passes but for what it has watched on its own clock, which may be lost at any time. What
//! waits between two passes, and what talks to Docker, is behind [`Cluster`].

mod pace;

pub use pace::{Pace, Pause, REST};

use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::{Act, ControllerId, Pass, PassEnd, PassError, Spec, Watch, pass};
use std::collections::VecDeque;

/// The controller of one rollout, and what it has watched on its own clock.
#[derive(Debug, Clone)]
pub struct Controller {
    id: ControllerId,
    spec: Spec,
    watch: Watch,
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
        Self { id, spec, watch: Watch::default() }
    }

    /// Its id: new with each process.
    pub fn id(&self) -> &ControllerId {
        &self.id
    }

    /// Looks at the swarm and decides; nothing is carried out yet.
    pub fn look(&mut self, cluster: &mut impl Cluster) -> Result<Turn, ControllerError> {
        let observed = cluster.observe()?;
        let pass = pass(&observed, &self.spec, &self.id, &self.watch, cluster.now())?;
        self.watch = pass.watch.clone();
        Ok(Turn::of(pass))
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
    let done = std::iter::from_fn(|| turn.step(cluster)).collect();
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
    use careen_planner::Observed;
    use careen_planner::observed::Lock;
    use careen_planner::rollout::{Control, RolloutOutcome, RolloutRecord};
    use careen_planner::{Action, RolloutId, Version};
    use std::time::Duration;

    /// A swarm that answers what it is told to.
    struct Fake {
        observed: Observed,
        looks: u32,
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

        fn act(&mut self, act: &Act) -> Result<(), ActError> {
            self.asked.push(act.action.clone());
            self.answer.clone()
        }

        fn now(&self) -> Duration {
            Duration::from_secs(self.looks.into())
        }
    }

    fn fake(control: Control, holder: Option<&str>) -> Fake {
        let holder = holder.map(|name| ControllerId(name.into()));
        let observed = Observed {
            lock: Some(Lock { version: Version(1), holder, epoch: 1, rollout: None, place: None }),
            rollout: Some(RolloutRecord::new(Version(1), control)),
            ..Observed::default()
        };
        Fake { observed, looks: 0, away_until_look: 0, answer: Ok(()), asked: Vec::new() }
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
