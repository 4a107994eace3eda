//! One flow for each command: ask the swarm, let the pure parts decide, show, write. What is shown is a [`Screen`]; in which format
//! is not known here.

mod ask;
mod check;
mod elsewhere;
mod enforce;
mod enforce_update;
mod facts;
mod follow;
mod history;
mod host_log;
mod list;
mod local;
mod logs;
mod payload_manifest;
mod probe;
mod restore;
mod run;
mod show;
mod steer;
mod uninstall;

use crate::args::{Command, Format};
use crate::backend::{Backend, BackendError, Rollouts, Summary};
use crate::connect::NoManager;
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::named::{Shortened, both, called};
use crate::render::notes::{Note, Question};
use crate::render::{Screen, print};
use crate::view::{self, NodeStanding, Standing};
use careen_planner::observed::Node;
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
            Command::Facts(args) => self.facts(args),
            Command::Check(args) => self.check(args),
            Command::Enforce(args) => self.enforcement(args),
            Command::Pause => self.pause(),
            Command::Resume(args) => self.resume(args),
            Command::Retry(args) => self.retry(args),
            Command::Skip(args) => self.skip(args),
            Command::Abort(args) => self.abort(args),
            Command::Restore(args) => self.restore(args),
            Command::Uninstall(args) => self.uninstall(args),
            // They need no swarm, so they are answered before there is one.
            Command::Completion { .. } | Command::Image(_) | Command::Try(_) => Ok(Exit::Done),
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
fn find<'a>(standing: &'a Standing, given: &str, shortened: Shortened) -> Result<&'a NodeStanding, Failure> {
    let found = called(&standing.nodes, given, shortened, |node| [&node.node.0, &node.hostname]);
    match found[..] {
        [node] => Ok(node),
        [] => Err(Failure::NoSuchNode { rollout: standing.rollout.clone(), given: given.to_owned() }),
        _ => Err(several(given, found.iter().map(|node| both(&node.hostname, &node.node.0)))),
    }
}

/// A name that means several nodes.
fn several(given: &str, nodes: impl Iterator<Item = String>) -> Failure {
    Failure::Ambiguous { given: given.to_owned(), nodes: nodes.collect() }
}

/// Names of nodes as those understand them who know no shortened ids: what is the beginning of one node's id alone becomes that id.
/// What means no node stays as it is.
fn whole_ids(nodes: &[Node], given: &[String]) -> Result<Vec<String>, Failure> {
    let whole = |given: &String| {
        let found = called(nodes, given, Shortened::Ids, |node| [&node.id.0, &node.hostname]);
        let is_name = |node: &&Node| node.hostname == *given;
        match found[..] {
            [] => Ok(given.clone()),
            [node] if is_name(&node) => Ok(given.clone()),
            [node] => Ok(node.id.0.clone()),
            _ => Err(several(given, found.iter().map(|node| both(&node.hostname, &node.id.0)))),
        }
    };
    given.iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::testing::worker;

    #[test]
    fn the_beginning_of_an_id_becomes_the_id_and_a_name_stays_a_name() {
        let node = |id: &str, name: &str| Node { hostname: name.to_owned(), ..worker(id) };
        let nodes = [node("abc1", "w1"), node("abd2", "w10"), node("w1x", "twin"), node("x3", "twin")];
        for (given, expected) in [
            ("w1", Some("w1")),
            ("w10", Some("w10")),
            ("abc1", Some("abc1")),
            ("abc", Some("abc1")),
            ("w1x", Some("w1x")),
            ("x", Some("x3")),
            ("nobody", Some("nobody")),
            ("", Some("")),
            ("ab", None),
            ("twin", None),
        ] {
            let whole = whole_ids(&nodes, &[given.to_owned()]).ok();
            assert_eq!(whole, expected.map(|name| vec![name.to_owned()]), "{given}");
        }
    }
}
