//! `restore`, and `abort` of a rollout whose config is gone: what careen holds is given back from labels and services alone.

use super::Session;
use crate::args::{Format, RestoreArgs};
use crate::backend::{Backend, BackendError};
use crate::console::Console;
use crate::error::Failure;
use crate::exit::Exit;
use crate::left::{self, LeftBehind};
use crate::step::Verb;
use crate::text::{self, neutral};
use careen_contract::label;
use careen_planner::names::Names;
use careen_planner::observed::{Availability, Node};
use careen_planner::remains::{CannotRestore, Giving, Next, Scope, may_restore, next, remains};
use careen_planner::{JobKey, NodeId, Observed, RolloutId};
use careen_swarm::{GivenKind, Stored};
use serde_json::json;
use std::time::Duration;

/// How long containers may take to go.
const LIMIT: Duration = Duration::from_secs(120);

/// How long one waits between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was given back.
#[derive(Default)]
struct GivenBack {
    nodes: Vec<GivenNode>,
    services: Vec<String>,
    stored: Vec<Stored>,
    /// Services on nodes that do not report, and what these refer to.
    left: Vec<String>,
}

/// A node whose label was written.
struct GivenNode {
    node: NodeId,
    hostname: String,
    /// What it is called in a command.
    typed: String,
    was: Availability,
    is: Availability,
    /// Whether it keeps its label: it failed, or its host may be at work.
    keeps_its_label: bool,
}

impl<B: Backend, C: Console> Session<'_, B, C> {
    pub(super) fn restore(&mut self, args: &RestoreArgs) -> Result<Exit, Failure> {
        let going_on = self.backend.active()?.map(|spec| spec.id);
        let observed = self.backend.observe(None)?;
        let (node, name) = named(&observed, &args.node)?;
        match may_restore(&observed, &node, going_on.as_ref()) {
            Ok(()) => {}
            Err(CannotRestore::Nothing) => {
                self.say(&format!("nothing of careen's is left on {name}"))?;
                return Ok(Exit::Done);
            }
            Err(why) => return Err(Failure::CannotRestore { node: name, why }),
        }
        for (rollout, mut left) in remains(&observed, going_on.as_ref()) {
            left.nodes.retain(|one| one.id == node);
            left.services.retain(|key| key.node == node);
            if left.nodes.is_empty() && left.services.is_empty() {
                continue;
            }
            let left = LeftBehind { rollout: Some(rollout), remains: left, ..LeftBehind::default() };
            self.tell(&left)?;
        }
        let question = format!("Give {} back, and remove what careen has there? [y/N] ", neutral(&name));
        self.ask_once(&question, args.yes)?;
        let mut given = GivenBack::default();
        self.give_back(&Scope::Node { node, going_on }, &mut given)?;
        self.told_given(&given)
    }

    /// An abort without a rollout that could be told so: of all those whose config was removed.
    pub(super) fn abort_removed(&mut self, yes: bool) -> Result<Exit, Failure> {
        let observed = self.backend.observe(None)?;
        let mut all = self.remains(&observed, None)?;
        all.retain(|left| left.removed);
        if all.is_empty() {
            return Err(Failure::NoRollout);
        }
        all.iter().try_for_each(|left| self.tell(left))?;
        let question = "Give the nodes back, and remove what is left? Nodes that failed or may be at work stay as they \
                        are. [y/N] ";
        self.ask_once(question, yes)?;
        let mut given = GivenBack::default();
        for left in all {
            let Some(rollout) = left.rollout.clone() else { continue };
            self.backend.remove_controller(&rollout)?;
            self.give_back(&Scope::Rollout(rollout), &mut given)?;
            for stored in left.stored {
                match self.backend.remove_stored(&stored)? {
                    true => given.stored.push(stored),
                    false => given.left.push(stored.name),
                }
            }
        }
        self.told_given(&given)
    }

    /// What rollouts that do not go on have left.
    pub(super) fn remains(
        &mut self,
        observed: &Observed,
        going_on: Option<&RolloutId>,
    ) -> Result<Vec<LeftBehind>, Failure> {
        let known: Vec<RolloutId> = self.rollouts()?.into_iter().map(|one| one.spec.id).collect();
        let stored = self.backend.stored()?;
        Ok(left::left_behind(observed, stored, &known, going_on))
    }

    fn tell(&mut self, left: &LeftBehind) -> Result<(), Failure> {
        let id = left.rollout.as_ref().map_or("", RolloutId::as_str);
        self.say(&format!("of the rollout {id}:"))?;
        left::lines(left).iter().try_for_each(|line| self.say(&format!("  {line}")))
    }

    fn ask_once(&mut self, question: &str, yes: bool) -> Result<(), Failure> {
        match yes || self.console.ask(question)?.ok_or(Failure::NobodyToAskAboutThat)? {
            true => Ok(()),
            false => Err(Failure::NotGivenBack),
        }
    }

    fn give_back(&mut self, scope: &Scope, given: &mut GivenBack) -> Result<(), Failure> {
        let deadline = self.console.now() + LIMIT;
        loop {
            let observed = self.backend.observe(None)?;
            let late = self.console.now() >= deadline;
            match next(&observed, scope) {
                Next::Done(left) => {
                    given.left.extend(left.iter().map(JobKey::name));
                    return Ok(());
                }
                Next::Wait(services) if late => {
                    let services = services.iter().map(JobKey::name).collect::<Vec<_>>().join(", ");
                    return Err(Failure::StillThere { services });
                }
                Next::Wait(_) => self.console.wait(INTERVAL),
                Next::Act(steps) => {
                    for giving in &steps {
                        match self.backend.give_back(giving) {
                            Ok(()) => given.note(&observed, giving),
                            // Somebody was faster: what is so now is looked at anew.
                            Err(BackendError::Changed) if !late => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
            }
        }
    }

    /// Says what was done.
    fn told_given(&mut self, given: &GivenBack) -> Result<Exit, Failure> {
        let names = |kind| {
            given
                .stored
                .iter()
                .filter(|one| one.kind == kind)
                .map(|one| one.name.as_str())
                .collect::<Vec<_>>()
        };
        let (configs, secrets) = (names(GivenKind::Config), names(GivenKind::Secret));
        let services: Vec<&str> = given.services.iter().map(String::as_str).collect();
        let left: Vec<&str> = given.left.iter().map(String::as_str).collect();
        if self.format == Format::Json {
            let node = |one: &GivenNode| {
                json!({
                    "node": one.node, "hostname": one.hostname, "was": one.was.word(), "is": one.is.word(),
                    "keeps_its_label": one.keeps_its_label,
                })
            };
            let nodes: Vec<_> = given.nodes.iter().map(node).collect();
            let event = json!({
                "event": "restored", "nodes": nodes, "services": services, "configs": configs, "secrets": secrets,
                "left": left,
            });
            self.console.out(&(text::json_line(&event)? + "\n"))?;
        } else {
            let listed = |what: &str, names: &[&str]| match names {
                [] => String::new(),
                names => format!("{what}: {}\n", neutral(&names.join(", "))),
            };
            let nodes: String = given.nodes.iter().map(GivenNode::line).collect();
            let text = nodes
                + &listed("removed services", &services)
                + &listed("removed configs", &configs)
                + &listed("removed secrets", &secrets)
                + &listed("left, because their nodes do not report or a service still refers to them", &left);
            self.console.out(&text)?;
        }
        Ok(if left.is_empty() { Exit::Done } else { Exit::Other })
    }
}

impl GivenBack {
    fn note(&mut self, observed: &Observed, giving: &Giving) {
        match giving {
            Giving::Stop { .. } => {}
            Giving::Remove { key } => self.services.push(key.name()),
            Giving::Write { node, labels, availability, .. } => {
                let Some(found) = observed.node(node) else { return };
                self.nodes.push(GivenNode {
                    node: node.clone(),
                    hostname: found.hostname.clone(),
                    typed: Names::of(observed).typed(node),
                    was: found.availability,
                    is: availability.unwrap_or(found.availability),
                    keeps_its_label: labels.get(label::NODE).is_some_and(Option::is_some),
                });
            }
        }
    }
}

impl GivenNode {
    fn line(&self) -> String {
        let name = neutral(&self.hostname);
        if self.keeps_its_label {
            return format!(
                "{name} stays as it is ({}): its host may be at work; '{}' gives it back\n",
                self.is.word(),
                Verb::Restore.node(&self.typed)
            );
        }
        match self.was == self.is {
            true => format!("{name}: its label is removed; it stays {}\n", self.is.word()),
            false => format!("{name} is {} again (was {})\n", self.is.word(), self.was.word()),
        }
    }
}

/// A node by its id or host name; one that left by its id, where services for it are left.
fn named(observed: &Observed, given: &str) -> Result<(NodeId, String), Failure> {
    let told = |node: &Node| (node.id.clone(), node.hostname.clone());
    if let Some(node) = observed.nodes.iter().find(|node| node.id.0 == given) {
        return Ok(told(node));
    }
    let found: Vec<&Node> = observed.nodes.iter().filter(|node| node.hostname == given).collect();
    match found[..] {
        [node] => Ok(told(node)),
        [] if observed.jobs.iter().any(|job| job.key.node.0 == given) => {
            Ok((NodeId(given.to_owned()), given.to_owned()))
        }
        [] => Err(Failure::NoNode { given: given.to_owned() }),
        _ => Err(Failure::Ambiguous {
            given: given.to_owned(),
            nodes: found.iter().map(|node| node.id.clone()).collect(),
        }),
    }
}
