//! One flow for each command: ask the swarm, let the pure parts decide, show, write. What is shown is a [`Screen`]; in which format
//! is not known here.

mod ask;
mod elsewhere;
mod follow;
mod history;
mod list;
mod local;
mod logs;
mod probe;
mod restore;
mod run;
mod show;
mod steer;

use crate::args::{Command, Format};
use crate::backend::{Backend, BackendError, Rollouts, Summary};
use crate::connect::NoManager;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::render::notes::{Note, Question};
use crate::render::{Screen, print};
use crate::view::{self, NodeStanding, Standing};
use careen_planner::{Observed, RolloutId, Spec, Watch};
use careen_swarm::ControllerTask;

/// A call of careen.
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Session<'a, B, C> {
    pub backend: &'a mut B,
    pub console: &'a mut C,
    /// How results are printed.
    pub format: Format,
    /// Who calls, as they say themselves.
    pub by: String,
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    /// Carries a command out.
    pub fn execute(&mut self, command: &Command) -> Result<Exit, Failure> {
        match command {
            Command::Run(args) => self.run(args),
            Command::Plan(args) => self.plan(args),
            Command::Upgrade(args) => self.upgrade(args),
            Command::Status { follow } => self.status(*follow),
            Command::Why { node } => self.why(node.as_deref()),
            Command::Logs(args) => self.logs(args),
            Command::History(args) => self.history(args),
            Command::Show(args) => self.record(args),
            Command::Ls(args) => self.list(args),
            Command::Inspect(args) => self.inspect(args),
            Command::Ask(args) => self.inquire(args),
            Command::Pause => self.pause(),
            Command::Resume(args) => self.resume(args),
            Command::Retry(args) => self.retry(args),
            Command::Skip(args) => self.skip(args),
            Command::Abort(args) => self.abort(args),
            Command::Restore(args) => self.restore(args),
            // They need no swarm, so they are answered before there is one.
            Command::Completion { .. } | Command::Image(_) => Ok(Exit::Done),
        }
    }

    /// Says which of the hosts that were named could not be asked, before one that can.
    pub fn tell_who_was_passed(&mut self, passed: &[NoManager]) -> Result<(), Failure> {
        passed.iter().try_for_each(|why| self.show(&Note::PassedOver { why: &why.to_string() }))
    }

    /// Shows a result, an event or a note, in the wanted format.
    fn show(&mut self, screen: &impl Screen) -> Result<(), Failure> {
        print(screen, self.format, self.console)
    }

    /// Asks before something is done; `Ok(None)` when there is nobody to answer.
    fn ask(&mut self, question: Question<'_>) -> Result<Option<bool>, Failure> {
        Ok(self.console.ask(&question.to_string())?)
    }

    /// The rollout that is going on.
    fn active(&mut self) -> Result<Spec, Failure> {
        self.backend.active()?.ok_or(Failure::NoRollout)
    }

    /// The rollouts that the swarm knows of, the newest first. A record that cannot be read is named, and keeps nobody from the others.
    fn rollouts(&mut self) -> Result<Vec<Summary>, Failure> {
        let Rollouts { known, unreadable } = self.backend.rollouts()?;
        for why in unreadable {
            self.show(&Note::RecordUnreadable { why: &why })?;
        }
        Ok(known)
    }

    fn standing(&mut self, spec: &Spec) -> Result<(Standing, Observed), Failure> {
        let observed = self.backend.observe(Some(&spec.id))?;
        let ages = self.backend.ages()?;
        let (standing, _) = view::look(&observed, spec, &Watch::default(), self.console.now())?;
        Ok((standing.with_ages(&ages), observed))
    }

    /// The same, and what is known of its controller.
    fn standing_with_controller(&mut self, spec: &Spec) -> Result<(Standing, Observed), Failure> {
        let (standing, observed) = self.standing(spec)?;
        let task = self.controller_task(spec, &observed)?;
        Ok((standing.with_task(task), observed))
    }

    /// What Swarm and the engine say of its controller. Nothing when nobody answers: that is said of the rest, too.
    fn controller_task(
        &mut self,
        spec: &Spec,
        observed: &Observed,
    ) -> Result<Option<ControllerTask>, Failure> {
        let lock = observed.lock.as_ref().filter(|lock| lock.rollout.as_ref() == Some(&spec.id));
        let held = lock.is_some_and(|lock| lock.holder.is_some());
        match self.backend.controller_task(&spec.id, held) {
            Ok(task) => Ok(Some(task)),
            Err(BackendError::NoManager(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// An id that no other rollout has.
    fn new_id(&mut self) -> Result<RolloutId, Failure> {
        let text = random_text(self.console.random()?);
        // Six letters and digits are an id; a text that is none would be a defect of this line.
        RolloutId::parse(&text).map_err(|invalid| Failure::Output(std::io::Error::other(invalid)))
    }
}

/// Six letters and digits that are told apart when they are read out.
fn random_text(bytes: [u8; 8]) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    bytes.iter().take(6).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}

/// A node of a rollout, by its id or its host's name.
fn find<'a>(standing: &'a Standing, given: &str) -> Result<&'a NodeStanding, Failure> {
    if let Some(node) = standing.nodes.iter().find(|node| node.node.0 == given) {
        return Ok(node);
    }
    let named: Vec<&NodeStanding> = standing.nodes.iter().filter(|node| node.hostname == given).collect();
    let given = given.to_owned();
    match named[..] {
        [node] => Ok(node),
        [] => Err(Failure::NoSuchNode { rollout: standing.rollout.clone(), given }),
        _ => Err(Failure::Ambiguous { given, nodes: named.iter().map(|node| node.node.clone()).collect() }),
    }
}
