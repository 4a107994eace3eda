//! Following a rollout that a controller in the swarm carries out, and how a followed rollout ends here.

use super::Session;
use crate::backend::{Backend, BackendError, EndedNode, LogLine, LogPlace, Speaker, Summary};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::follow::{Follower, Seen, Verdict};
use crate::render::events::{Ended, Paused, Tails};
use crate::render::live::{Canvas, News};
use crate::render::notes::Note;
use crate::render::status;
use crate::render::step::Step;
use crate::view::Standing;
use careen_contract::terminal::log_line;
use careen_controller::{Pause, REST};
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::{JobKey, NodeId, Observed, Spec};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a follower waits between two looks: so long whatever rings, and so long when nothing does.
const LEAST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(2);

/// So many of the last lines of a failed node are shown.
const LAST_LINES: usize = 10;

/// What is remembered of a rollout that is followed.
pub(super) struct Following {
    pub(super) follower: Follower,
    canvas: Canvas,
    /// How far the nodes' logs were read: of which agent, and to which place.
    places: BTreeMap<NodeId, (JobKey, LogPlace)>,
    tails: Tails,
    pub(super) silent: bool,
}

impl Following {
    pub(super) fn new(spec: Spec) -> Self {
        Self {
            follower: Follower::new(spec),
            canvas: Canvas::default(),
            places: BTreeMap::new(),
            tails: Tails::new(),
            silent: false,
        }
    }
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Until it is over or paused, or somebody presses Ctrl-C.
    pub(super) fn follow(&mut self, spec: Spec) -> Result<Exit, Failure> {
        self.console.catch_interrupts()?;
        let bell = self.backend.bell();
        let mut following = Following::new(spec);
        loop {
            let began = self.console.now();
            let verdict = match self.backend.observe(Some(&following.follower.spec().id)) {
                Ok(observed) => {
                    let task = self.controller_task(following.follower.spec(), &observed)?;
                    following.follower.heard_of_the_controller(task);
                    self.saw(&mut following, &observed)?
                }
                Err(BackendError::NoManager(away)) => {
                    self.is_away(&mut following, &away.to_string())?;
                    Verdict::GoesOn
                }
                Err(error) => return Err(error.into()),
            };
            match verdict {
                Verdict::GoesOn => {
                    let least = LEAST.max((self.console.now().saturating_sub(began)) * REST);
                    self.console.wait_for(Pause { least, most: MOST.max(least) }, bell.as_ref());
                }
                Verdict::Paused => return self.paused(&mut following, false),
                Verdict::Over(outcome) => return self.over(&mut following, outcome),
                Verdict::Removed => return self.removed(&mut following),
            }
            if self.console.interrupted() {
                self.wipe(&mut following)?;
                self.show(&Note::YouLeft { rollout: &following.follower.spec().id })?;
                return Ok(Exit::Other);
            }
        }
    }

    /// Shows what one look brought.
    pub(super) fn saw(&mut self, following: &mut Following, observed: &Observed) -> Result<Verdict, Failure> {
        following.silent = false;
        let Seen { changes, verdict } = following.follower.look(observed, self.console.now())?;
        self.read_logs(following);
        let Following { follower, canvas, tails, .. } = following;
        let news = News { changes: &changes, standing: follower.standing(), tails };
        canvas.show(news, self.format, self.console)?;
        Ok(verdict)
    }

    /// Takes the picture away, for what is to stay.
    pub(super) fn wipe(&mut self, following: &mut Following) -> Result<(), Failure> {
        following.canvas.wipe(self.console)
    }

    /// Says once that nobody answers.
    pub(super) fn unavailable(&mut self, following: &mut Following, why: &str) -> Result<(), Failure> {
        if std::mem::replace(&mut following.silent, true) {
            return Ok(());
        }
        self.wipe(following)?;
        self.show(&Note::Unavailable { why })
    }

    /// Keeps the last lines of nodes at work. A log that cannot be read now is read at the next look.
    fn read_logs(&mut self, following: &mut Following) {
        let Some(standing) = following.follower.standing() else { return };
        for node in standing.nodes.iter().filter(|node| node.works() || node.has_failed()) {
            let Some(agent) = &node.agent else { continue };
            let start = || (agent.clone(), LogPlace::default());
            let (known, place) = following.places.entry(node.node.clone()).or_insert_with(start);
            if known != agent {
                (*known, *place) = start();
            }
            let lines = following.tails.entry(node.node.clone()).or_default();
            let mut keep = |line: LogLine| {
                if is_progress(&line) {
                    if lines.len() == LAST_LINES {
                        lines.pop_front();
                    }
                    lines.push_back(log_line(&line.text));
                }
            };
            let _best_effort = self.backend.logs(Speaker::Agent(agent), place, &mut keep);
        }
    }

    /// It waits for an operator: what happened, where, and what can be typed.
    pub(super) fn paused(&mut self, following: &mut Following, local: bool) -> Result<Exit, Failure> {
        self.wipe(following)?;
        let Some(standing) = following.follower.standing() else { return Ok(Exit::Paused) };
        let next = status::next(standing).into_iter();
        let next: Vec<Step> = next.map(|step| if local { step.locally() } else { step }).collect();
        self.show(&Paused { standing, tails: &following.tails, next: &next })?;
        Ok(Exit::Paused)
    }

    /// Its config was removed before it was over.
    pub(super) fn removed(&mut self, following: &mut Following) -> Result<Exit, Failure> {
        self.wipe(following)?;
        Err(Failure::RolloutRemoved { rollout: following.follower.spec().id.clone() })
    }

    pub(super) fn over(
        &mut self,
        following: &mut Following,
        outcome: Option<RolloutOutcome>,
    ) -> Result<Exit, Failure> {
        self.wipe(following)?;
        let id = following.follower.spec().id.clone();
        let summary = self.rollouts()?.into_iter().find(|summary| summary.spec.id == id);
        let outcome = outcome.or_else(|| summary.as_ref().and_then(ended));
        let Some(standing) = following.follower.standing().cloned() else {
            self.show(&Note::Over { rollout: &id })?;
            return Ok(exit_of(outcome));
        };
        // Between the last look and the end something may have moved: the history knows.
        let standing = with_history(standing, summary.as_ref());
        let (nodes, record) = summary.map(|summary| (summary.nodes, summary.record)).unwrap_or_default();
        let parity = record.as_ref().and_then(|record| record.parity.as_ref());
        let (standing, tails) = (&standing, &following.tails);
        self.show(&Ended { standing, outcome, tails, nodes: &nodes, parity })?;
        Ok(exit_of(outcome))
    }
}

/// Whether a line shows how far a host is. What changed is told with the result, and would push the command's last words out.
fn is_progress(line: &LogLine) -> bool {
    let of_result = line.text.starts_with("careen: changed: ");
    !line.is_report() && !of_result && !line.text.trim().is_empty()
}

/// How a rollout ended; `None` while it goes on.
pub(super) fn ended(summary: &Summary) -> Option<RolloutOutcome> {
    match summary.control {
        Control::Finished { outcome } => Some(outcome),
        Control::Running | Control::Paused { .. } | Control::Aborting => None,
    }
}

fn with_history(mut standing: Standing, summary: Option<&Summary>) -> Standing {
    let ended = summary.into_iter().flat_map(|summary| &summary.nodes);
    let ended: BTreeMap<&NodeId, &EndedNode> = ended.map(|node| (&node.node, node)).collect();
    for node in &mut standing.nodes {
        if let Some(ended) = ended.get(&node.node) {
            (node.stage, node.hold) = (ended.stage.clone(), None);
        }
    }
    standing
}

pub(super) const fn exit_of(outcome: Option<RolloutOutcome>) -> Exit {
    match outcome {
        Some(RolloutOutcome::Done) => Exit::Done,
        Some(RolloutOutcome::WithFailures | RolloutOutcome::Aborted) => Exit::FailedNodes,
        None => Exit::Other,
    }
}
