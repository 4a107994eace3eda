//! Following a rollout that a controller in the swarm carries out, and how a followed rollout ends here.

use super::Session;
use super::logs::is_report;
use crate::args::Format;
use crate::backend::{Backend, BackendError, LogLine, LogPlace, Summary};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::follow::{Change, Follower, Seen, Verdict};
use crate::progress::{Screen, picture};
use crate::step::{Step, Verb};
use crate::text::{self, Look, Page, Span};
use crate::view::{NodeStanding, Standing};
use crate::{status, status_json, words};
use careen_planner::rollout::{Control, RolloutOutcome};
use careen_planner::{JobKey, NodeId, Observed, Spec};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a follower waits between two looks.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);

/// So many of the last lines of a failed node are shown.
const LAST_LINES: usize = 10;

/// What is remembered of a rollout that is followed.
pub(super) struct Following {
    pub(super) follower: Follower,
    screen: Screen,
    tails: BTreeMap<NodeId, Tail>,
    silent: bool,
}

/// The end of a node's log.
#[derive(Default)]
struct Tail {
    agent: Option<JobKey>,
    place: LogPlace,
    lines: VecDeque<String>,
}

impl Following {
    pub(super) fn new(spec: Spec) -> Self {
        let follower = Follower::new(spec);
        Self { follower, screen: Screen::default(), tails: BTreeMap::new(), silent: false }
    }
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Until it is over or paused, or somebody presses Ctrl-C.
    pub(super) fn follow(&mut self, spec: Spec) -> Result<Exit, Failure> {
        self.console.catch_interrupts()?;
        let mut following = Following::new(spec);
        loop {
            let verdict = match self.backend.observe(Some(&following.follower.spec().id)) {
                Ok(observed) => {
                    let task = self.controller_task(following.follower.spec(), &observed)?;
                    following.follower.heard_of_the_controller(task);
                    self.saw(&mut following, &observed)?
                }
                Err(BackendError::NoManager(away)) => {
                    // The engine that is asked may be the one that is being restarted.
                    self.unavailable(&mut following, &away.to_string())?;
                    Verdict::GoesOn
                }
                Err(error) => return Err(error.into()),
            };
            match verdict {
                Verdict::GoesOn => self.console.wait(INTERVAL),
                Verdict::Paused => return self.paused(&mut following, false),
                Verdict::Over(outcome) => return self.over(&mut following, outcome),
                Verdict::Removed => return self.removed(&mut following),
            }
            if self.console.interrupted() {
                self.wipe(&mut following)?;
                let id = &following.follower.spec().id;
                self.say(&format!(
                    "you left; the rollout {id} goes on in the swarm: 'careen status -f', 'careen pause', 'careen abort'"
                ))?;
                return Ok(Exit::Other);
            }
        }
    }

    /// Shows what one look brought.
    pub(super) fn saw(&mut self, following: &mut Following, observed: &Observed) -> Result<Verdict, Failure> {
        following.silent = false;
        let Seen { changes, verdict } = following.follower.look(observed, self.console.now())?;
        self.read_logs(following);
        match self.format {
            Format::Json => {
                for change in &changes {
                    let line = text::json_line(change)? + "\n";
                    self.console.out(&line)?;
                }
            }
            Format::Text => self.show(following, &changes)?,
        }
        Ok(verdict)
    }

    fn show(&mut self, following: &mut Following, changes: &[Change]) -> Result<(), Failure> {
        let mut page = Page::new(self.console.colours().err);
        for change in changes {
            page.line(change.line());
            change.below().into_iter().for_each(|line| page.line(line));
        }
        let lines = page.into_text();
        if !self.console.is_live() {
            return Ok(self.console.err(&lines)?);
        }
        let Some(standing) = following.follower.standing() else { return Ok(()) };
        let last = following
            .tails
            .iter()
            .filter_map(|(node, tail)| Some((node.clone(), tail.lines.back()?.clone())));
        let picture = picture(standing, &last.collect(), self.console.colours().err);
        let drawn = following.screen.draw(&lines, &picture);
        Ok(self.console.err(&drawn)?)
    }

    /// Takes the picture away, for what is to stay.
    pub(super) fn wipe(&mut self, following: &mut Following) -> Result<(), Failure> {
        let erased = following.screen.erase();
        if erased.is_empty() { Ok(()) } else { Ok(self.console.err(&erased)?) }
    }

    /// Says once that nobody answers.
    pub(super) fn unavailable(&mut self, following: &mut Following, why: &str) -> Result<(), Failure> {
        if std::mem::replace(&mut following.silent, true) {
            return Ok(());
        }
        self.wipe(following)?;
        self.say(&format!("{why}; trying again"))
    }

    /// Keeps the last lines of nodes at work. A log that cannot be read now is read at the next look.
    fn read_logs(&mut self, following: &mut Following) {
        let Some(standing) = following.follower.standing() else { return };
        for node in standing.nodes.iter().filter(|node| node.works() || node.has_failed()) {
            let Some(agent) = &node.agent else { continue };
            let tail = following.tails.entry(node.node.clone()).or_default();
            if tail.agent.as_ref() != Some(agent) {
                (tail.agent, tail.place) = (Some(agent.clone()), LogPlace::default());
            }
            let Tail { place, lines, .. } = tail;
            let mut keep = |line: LogLine| {
                if is_progress(&line) {
                    if lines.len() == LAST_LINES {
                        lines.pop_front();
                    }
                    lines.push_back(text::log_line(&line.text));
                }
            };
            let _best_effort = self.backend.logs(agent, place, &mut keep);
        }
    }

    /// It waits for an operator: what happened, where, and what can be typed.
    pub(super) fn paused(&mut self, following: &mut Following, local: bool) -> Result<Exit, Failure> {
        self.wipe(following)?;
        let Some(standing) = following.follower.standing() else { return Ok(Exit::Paused) };
        let next = status::next(standing).into_iter();
        let next: Vec<Step> = next.map(|step| if local { step.locally() } else { step }).collect();
        if self.format == Format::Json {
            let event = json!({
                "event": "paused", "rollout": standing.rollout, "control": standing.control,
                "totals": standing.totals(), "next": next,
            });
            self.console.out(&(text::json_line(&event)? + "\n"))?;
            return Ok(Exit::Paused);
        }
        let mut page = Page::new(self.console.colours().err);
        page.gap();
        page.spans(&[
            format!("rollout {} is ", standing.rollout).into(),
            Span::new(Look::Warn, standing.with_names(&words::control(standing.control.as_ref()))),
        ]);
        last_words(standing, &following.tails, &mut page);
        page.line(status::totals(&standing.totals()));
        page.line("what next:");
        next.iter().for_each(|command| page.line(format!("  {command}")));
        self.console.err(&page.into_text())?;
        Ok(Exit::Paused)
    }

    /// Its config was removed before it was over.
    pub(super) fn removed(&mut self, following: &mut Following) -> Result<Exit, Failure> {
        self.wipe(following)?;
        Err(Failure::RolloutRemoved { rollout: following.follower.spec().id.clone() })
    }

    /// It is over.
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
            self.say(&format!("rollout {id} is over"))?;
            return Ok(exit_of(outcome));
        };
        // Between the last look and the end something may have moved: the history knows.
        let standing = with_history(standing, summary.as_ref());
        let text = outcome.map_or("over", words::outcome);
        if self.format == Format::Json {
            let nodes: Vec<_> =
                standing.nodes.iter().map(|node| status_json::node(&standing, node)).collect();
            let event = json!({
                "event": "end", "rollout": id, "outcome": outcome,
                "totals": standing.totals(), "nodes": nodes, "next": give_back(&standing),
            });
            self.console.out(&(text::json_line(&event)? + "\n"))?;
            return Ok(exit_of(outcome));
        }
        let mut page = Page::new(self.console.colours().out);
        let look = status::control_look(outcome.map(|outcome| Control::Finished { outcome }).as_ref());
        let totals = status::totals(&standing.totals());
        page.spans(&[
            format!("rollout {id} is ").into(),
            Span::new(look, text),
            format!(": {totals}").into(),
        ]);
        last_words(&standing, &following.tails, &mut page);
        let nodes = summary.map(|summary| summary.nodes).unwrap_or_default();
        if nodes.iter().any(|node| node.record.is_some()) {
            status::results(&nodes, &mut page);
        }
        let next = give_back(&standing);
        if !next.is_empty() {
            page.gap();
            page.line("careen left nodes drained; this gives them back:");
            next.iter().for_each(|step| page.line(format!("  {step}")));
        }
        self.console.out(&page.into_text())?;
        Ok(exit_of(outcome))
    }
}

/// The nodes that failed or left, with the last lines of their logs.
fn last_words(standing: &Standing, tails: &BTreeMap<NodeId, Tail>, page: &mut Page) {
    for node in standing.nodes.iter().filter(|node| node.has_failed() || node.is_gone()) {
        let why = words::detail(node).map(|text| standing.with_names(&text)).unwrap_or_default();
        page.spans(&[Span::new(Look::Bad, &node.shown), format!(": {why}").into()]);
        let lines = tails.get(&node.node).map(|tail| tail.lines.iter()).into_iter().flatten();
        lines.for_each(|line| page.spans(&["    ".into(), Span::new(Look::Dim, line)]));
    }
}

/// What gives back the nodes that stay drained behind the rollout.
fn give_back(standing: &Standing) -> Vec<Step> {
    let drained = standing.nodes.iter().filter(|node| node.stays_drained());
    drained.map(|node| Verb::Restore.node(&node.typed)).collect()
}

/// Whether a line shows how far a host is. What changed is told with the result, and would push the command's last words out.
fn is_progress(line: &LogLine) -> bool {
    let of_result = line.text.starts_with("careen: changed: ");
    !is_report(line) && !of_result && !line.text.trim().is_empty()
}

/// How a rollout ended; `None` while it goes on.
pub(super) fn ended(summary: &Summary) -> Option<RolloutOutcome> {
    match summary.control {
        Control::Finished { outcome } => Some(outcome),
        Control::Running | Control::Paused { .. } | Control::Aborting => None,
    }
}

fn with_history(mut standing: Standing, summary: Option<&Summary>) -> Standing {
    for ended in summary.map(|summary| summary.nodes.iter()).into_iter().flatten() {
        if let Some(node) = standing.nodes.iter_mut().find(|node| node.node == ended.node) {
            let hold = None;
            *node = NodeStanding { stage: ended.stage.clone(), hold, ..node.clone() };
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
