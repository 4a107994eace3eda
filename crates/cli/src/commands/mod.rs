//! One flow for each command: ask the swarm, let the pure parts decide, print, write.

mod follow;
mod local;
mod logs;
mod restore;
mod run;
mod show;
mod steer;

use crate::args::{Command, Format};
use crate::backend::{Backend, BackendError, Rollouts, Summary};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::text::{self, Page};
use crate::view::{self, NodeStanding, Standing};
use careen_planner::{Observed, RolloutId, Spec, Watch};
use careen_swarm::ControllerTask;
use serde::Serialize;

/// A call of careen.
pub struct Session<'a, B, C> {
    /// The swarm.
    pub backend: &'a mut B,
    /// Who called.
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
            Command::Pause => self.pause(),
            Command::Resume(args) => self.resume(args),
            Command::Retry(args) => self.retry(args),
            Command::Skip(args) => self.skip(args),
            Command::Abort(args) => self.abort(args),
            Command::Restore(args) => self.restore(args),
            // They need no swarm, so they are answered before there is one.
            Command::Completions { .. } | Command::Image(_) => Ok(Exit::Done),
        }
    }

    /// Prints a page, or JSON.
    fn print(&mut self, json: &impl Serialize, page: impl FnOnce(&mut Page)) -> Result<(), Failure> {
        let text = match self.format {
            Format::Json => text::json_page(json)? + "\n",
            Format::Text => {
                let mut text = Page::new(self.console.colours().out);
                page(&mut text);
                text.into_text()
            }
        };
        Ok(self.console.out(&text)?)
    }

    /// Prints a line for people to standard error, and nothing for programs.
    fn say(&mut self, line: &str) -> Result<(), Failure> {
        match self.format {
            Format::Text => Ok(self.console.err(&format!("{}\n", text::neutral(line)))?),
            Format::Json => Ok(()),
        }
    }

    /// The rollout that is going on.
    fn active(&mut self) -> Result<Spec, Failure> {
        self.backend.active()?.ok_or(Failure::NoRollout)
    }

    /// The rollouts that the swarm knows of, the newest first. A record that cannot be read is named, and keeps nobody from the others.
    fn rollouts(&mut self) -> Result<Vec<Summary>, Failure> {
        let Rollouts { known, unreadable } = self.backend.rollouts()?;
        for why in unreadable {
            self.say(&format!("the record of a rollout that is over is left out: {why}"))?;
        }
        Ok(known)
    }

    /// Where it stands.
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
