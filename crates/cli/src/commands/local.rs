//! `--local`: the controller's loop in this process. It is one controller like any other: what it does can be taken over,
//! and it can take over.

use super::Session;
use super::follow::Following;
use crate::backend::Backend;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::follow::Verdict;
use crate::render::notes::Note;
use careen_controller::{Controller, Done, Pace, begin, release, run};
use careen_engine::Bell;
use careen_planner::cluster::{ActError, Cluster, Unseen};
use careen_planner::{Act, Action, ControllerId, Observed, Pass, PassEnd, Spec};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A cluster over the manager that is asked now.
struct Asked<C> {
    cluster: C,
    /// How long the clocks of those before it ran: a controller's time goes on.
    before: Duration,
}

impl<C: Cluster> Asked<C> {
    const fn new(cluster: C) -> Self {
        Self { cluster, before: Duration::ZERO }
    }

    fn now(&self) -> Duration {
        self.before + self.cluster.now()
    }

    /// Over another manager from now on.
    fn ask(&mut self, cluster: C) {
        self.before = self.now().saturating_sub(cluster.now());
        self.cluster = cluster;
    }
}

/// A cluster whose manager others can replace, and whose last look they can have.
struct Shared<C> {
    asked: Rc<RefCell<Asked<C>>>,
    last: Rc<RefCell<Option<Observed>>>,
}

impl<C: Cluster> Cluster for Shared<C> {
    fn observe(&mut self) -> Result<Observed, Unseen> {
        let observed = self.asked.borrow_mut().cluster.observe()?;
        *self.last.borrow_mut() = Some(observed.clone());
        Ok(observed)
    }

    fn act(&mut self, act: &Act) -> Result<(), ActError> {
        self.asked.borrow_mut().cluster.act(act)
    }

    fn now(&self) -> Duration {
        self.asked.borrow().now()
    }
}

/// What is done between two passes is done with this.
struct Between<C> {
    me: ControllerId,
    asked: Rc<RefCell<Asked<C>>>,
    last: Rc<RefCell<Option<Observed>>>,
    clock: Clock,
}

/// When it is looked next.
struct Clock {
    pace: Pace,
    bell: Option<Bell>,
    looked: Duration,
}

/// Why the loop was left before the end.
enum Left {
    Paused,
    Interrupted,
    Failed(Failure),
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Carries the rollout out in this process, until it is over or paused, or somebody presses Ctrl-C.
    pub(super) fn follow_here(&mut self, spec: Spec) -> Result<Exit, Failure> {
        let me = self.new_controller()?;
        let last = Rc::new(RefCell::new(None));
        let asked = Rc::new(RefCell::new(Asked::new(self.backend.cluster(&spec.id, &me)?)));
        let mut cluster = Shared { asked: Rc::clone(&asked), last: Rc::clone(&last) };
        let mut controller = Controller::new(me.clone(), spec.clone());
        let mut following = Following::new(spec);
        let mut left = None;
        let clock = Clock { pace: Pace::default(), bell: self.backend.bell(), looked: self.console.now() };
        let mut between = Between { me: me.clone(), asked, last: Rc::clone(&last), clock };
        self.console.catch_interrupts()?;
        let end = run(&mut controller, &mut cluster, |passed| {
            left = self.between_passes(&mut following, &mut between, passed).err();
            left.is_none()
        });
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                let _or_it_is_dead_soon = release(&mut cluster, &me);
                return Err(error.into());
            }
        };
        match end {
            PassEnd::Finished => {
                // A service whose controller never came up does not go by itself, and Swarm would start it for ever. Where it
                // cannot be removed now, the next sweep does it.
                let _best_effort = self.backend.remove_controller(&following.follower.spec().id);
                let observed = last.borrow_mut().take();
                let verdict = observed.map(|observed| self.saw(&mut following, &observed)).transpose()?;
                let outcome = match verdict {
                    Some(Verdict::Over(outcome)) => outcome,
                    Some(Verdict::GoesOn | Verdict::Paused | Verdict::Removed) | None => None,
                };
                self.over(&mut following, outcome)
            }
            PassEnd::Removed => {
                let _or_it_is_dead_soon = release(&mut cluster, &me);
                let _best_effort = self.backend.remove_controller(&following.follower.spec().id);
                self.removed(&mut following)
            }
            PassEnd::Superseded => {
                self.wipe(&mut following)?;
                self.show(&Note::TakenOver)?;
                self.follow(following.follower.spec().clone())
            }
            PassEnd::GoOn => {
                let _or_it_is_dead_soon = release(&mut cluster, &me);
                self.left(following, left)
            }
        }
    }

    /// Begins a rollout of the short way before its controller is up, which takes as long as the agents need to come up. Whatever
    /// cannot be begun here the controller begins.
    pub(super) fn begin_here(&mut self, spec: &Spec) -> Result<(), Failure> {
        if !careen_planner::short::may_begin_anywhere(spec) {
            return Ok(());
        }
        // Whoever is killed here leaves a lock that is dead in some time.
        self.console.catch_interrupts()?;
        let me = self.new_controller()?;
        if let Ok(mut cluster) = self.backend.cluster(&spec.id, &me) {
            let _or_it_is_dead_soon = begin(&mut Controller::new(me, spec.clone()), &mut cluster);
        }
        Ok(())
    }

    fn new_controller(&mut self) -> Result<ControllerId, Failure> {
        Ok(ControllerId(format!("cli-{}", super::random_text(self.console.random()?))))
    }

    fn between_passes(
        &mut self,
        following: &mut Following,
        between: &mut Between<B::Cluster>,
        passed: Result<&(Pass, Vec<Done>), &Unseen>,
    ) -> Result<(), Left> {
        let now = self.console.now();
        let clock = &mut between.clock;
        let pause = clock.pace.after(passed, now, now.saturating_sub(clock.looked));
        match passed {
            Ok((_, done)) => {
                let observed = between.last.borrow_mut().take();
                let saw = observed.map(|observed| self.saw(following, &observed)).transpose();
                let busy = done.iter().any(|done| !matches!(done.act.action, Action::Beat { .. }));
                match saw.map_err(Left::Failed)? {
                    Some(Verdict::Paused) if !busy => return Err(Left::Paused),
                    Some(Verdict::Paused | Verdict::GoesOn | Verdict::Over(_) | Verdict::Removed) | None => {}
                }
            }
            Err(unseen) => self.cannot_see(following, between, unseen).map_err(Left::Failed)?,
        }
        let clock = &mut between.clock;
        self.console.wait_for(pause, clock.bell.as_ref());
        clock.looked = self.console.now();
        if self.console.interrupted() { Err(Left::Interrupted) } else { Ok(()) }
    }

    /// Says it, and goes on over another manager where one was named.
    fn cannot_see(
        &mut self,
        following: &mut Following,
        between: &Between<B::Cluster>,
        unseen: &Unseen,
    ) -> Result<(), Failure> {
        let why = unseen.to_string();
        match unseen {
            Unseen::Corrupt { .. } => self.unavailable(following, &why)?,
            Unseen::Away { .. } => {
                let rollout = following.follower.spec().id.clone();
                // One that went away meanwhile is found out by the next look.
                if self.is_away(following, &why)?
                    && let Ok(cluster) = self.backend.cluster(&rollout, &between.me)
                {
                    between.asked.borrow_mut().ask(cluster);
                }
            }
        }
        Ok(())
    }

    fn left(&mut self, mut following: Following, left: Option<Left>) -> Result<Exit, Failure> {
        match left {
            Some(Left::Failed(failure)) => Err(failure),
            Some(Left::Paused) => self.paused(&mut following, true),
            Some(Left::Interrupted) | None => {
                self.wipe(&mut following)?;
                self.show(&Note::ControllerStopped { rollout: &following.follower.spec().id })?;
                Ok(Exit::Other)
            }
        }
    }
}
