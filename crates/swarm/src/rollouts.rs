//! Submitting, steering and listing rollouts: what an operator does, from any manager, with or without a controller.

use crate::api::{LabelChange, Swarm};
use crate::decode::{self, ConfigObject};
use crate::encode;
use crate::error::{SwarmError, refusal};
use crate::history::{self, Remembered, Verification};
use crate::names;
use careen_contract::label;
use careen_contract::object;
use careen_engine::{EngineError, Kind, Meaning};
use careen_planner::cluster::ActError;
use careen_planner::enforcement::CannotEnforce;
use careen_planner::observed::Node;
use careen_planner::rollout::{Ask, Control, GoneMark};
use careen_planner::{NodeId, PauseReason, RolloutId, Spec, Version};
use std::collections::BTreeMap;

/// How often a write is tried anew when somebody else was faster.
pub(crate) const TRIES: usize = 10;

/// A rollout that is stored in the swarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// What it is to do.
    pub spec: Spec,
    /// What it is told to do now.
    pub control: Control,
    /// The version of its config.
    pub version: Version,
    /// Who submitted it, as they say themselves.
    pub by: Option<String>,
    /// When, by the leader's clock, in RFC 3339.
    pub submitted: String,
}

/// What an operator tells a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start no further node; what has begun is finished.
    Pause,
    /// Go on.
    Resume,
    /// Undo what has not begun, and end.
    Abort,
}

/// Why an operator's request was not carried out. Nothing was changed, except where it says so.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// One rollout at a time.
    #[error("the rollout {rollout} is not finished; wait for it, or 'careen abort' it. Nothing was changed")]
    Busy {
        /// The one that was first.
        rollout: RolloutId,
    },
    /// The id is taken.
    #[error("there is a rollout {rollout} already, or a record of one. Nothing was changed")]
    Taken {
        /// Which.
        rollout: RolloutId,
    },
    /// There is no such rollout.
    #[error("there is no rollout {rollout}")]
    Unknown {
        /// Which.
        rollout: RolloutId,
    },
    /// It is over, or being ended, and takes no such order.
    #[error("the rollout {rollout} is {state}. Nothing was changed")]
    Over {
        /// Which.
        rollout: RolloutId,
        /// `finished` or `being aborted`.
        state: &'static str,
    },
    /// No node, or more than one, is called so.
    #[error("{count} nodes are called '{name}'; 'docker node ls' lists names and ids. Nothing was changed")]
    NoSuchNode {
        /// What was given.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The spec does not fit into a config.
    #[error(
        "the rollout's spec has {bytes} bytes, and a config takes {}. Nothing was changed",
        encode::LARGEST
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// An enforcement that must not be started.
    #[error("{0}. Nothing was changed")]
    Enforce(CannotEnforce),
    /// Somebody else was faster, again and again.
    #[error("{object} is being changed all the time; nothing was changed, try again")]
    Contended {
        /// What.
        object: String,
    },
    /// The swarm says no, or nothing.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// The swarm refuses a write, or does not answer to it.
    #[error("{object}: {why}")]
    Write {
        /// What was to be written.
        object: String,
        /// Why it was not, or is not known to be.
        why: ActError,
    },
}

impl Swarm {
    /// Submits a rollout; `by` is who does so. A controller is not started by this.
    ///
    /// Two that are submitted at the same moment may refuse each other. Never are both accepted: each is created before
    /// its submitter looks for others.
    pub fn submit(&self, spec: &Spec, by: Option<&str>) -> Result<(), RequestError> {
        let data =
            serde_json::to_vec(spec).map_err(|error| SwarmError::corrupt("the rollout's spec", error))?;
        if data.len() > encode::LARGEST {
            return Err(RequestError::TooLarge { bytes: data.len() });
        }
        self.refuse_beside_another(&spec.id)?;
        // Nothing depends on it: what cannot be removed now is removed by the next one.
        let _best_effort = self.sweep();
        let name = names::rollout(&spec.id);
        if self.config(&names::history(&spec.id, 1))?.is_some() {
            return Err(RequestError::Taken { rollout: spec.id.clone() });
        }
        let running = control_text(&Control::Running)?;
        let mut labels = BTreeMap::from([
            (label::ROLLOUT.to_owned(), spec.id.to_string()),
            (label::CONTROL.to_owned(), running),
        ]);
        labels.extend(by.map(|by| (label::BY.to_owned(), by.to_owned())));
        match self.create_config(&name, &labels, &data) {
            Err(error) if error.meaning() == Meaning::Exists => {
                return Err(RequestError::Taken { rollout: spec.id.clone() });
            }
            created => created.map_err(|error| write_error(&name, &error))?,
        }
        let refused = self.refuse_beside_another(&spec.id);
        if refused.is_err() {
            let mine = self.config(&name)?.map(|(_, config)| config.id).unwrap_or_default();
            self.remove_config(&mine).map_err(|error| write_error(&name, &error))?;
            return refused;
        }
        Ok(())
    }

    fn refuse_beside_another(&self, id: &RolloutId) -> Result<(), RequestError> {
        let other = self.rollouts()?.into_iter().find(|one| !one.is_finished() && one.spec.id != *id);
        other.map_or(Ok(()), |other| Err(RequestError::Busy { rollout: other.spec.id }))
    }

    /// All rollouts whose config is there, the oldest first.
    pub fn rollouts(&self) -> Result<Vec<Rollout>, SwarmError> {
        let configs = self.configs(&[object::ROLLOUTS])?;
        let mut rollouts: Vec<Rollout> = configs.iter().map(read).collect::<Result<_, _>>()?;
        rollouts.sort_by(|a, b| (&a.submitted, &a.spec.id).cmp(&(&b.submitted, &b.spec.id)));
        Ok(rollouts)
    }

    /// The rollout that is not finished.
    pub fn find_active(&self) -> Result<Option<Rollout>, SwarmError> {
        Ok(self.rollouts()?.into_iter().find(|rollout| !rollout.is_finished()))
    }

    /// One rollout.
    pub fn rollout(&self, id: &RolloutId) -> Result<Option<Rollout>, SwarmError> {
        self.config(&names::rollout(id))?.map(|(_, config)| read(&config)).transpose()
    }

    /// What became of earlier rollouts.
    pub fn history(&self) -> Result<Remembered, SwarmError> {
        Ok(history::assemble(&self.any_configs(&[object::HISTORIES])?))
    }

    /// Whether the records of earlier rollouts are those that were written.
    pub fn verify_history(&self) -> Result<Verification, SwarmError> {
        // First the rollouts: one that ends in between is taken for open.
        let rollouts = self.rollouts()?;
        let of = |over: bool| {
            let some = rollouts.iter().filter(|rollout| rollout.is_finished() == over);
            some.map(|rollout| rollout.spec.id.clone()).collect::<Vec<_>>()
        };
        Ok(history::verify(&self.any_configs(&[object::HISTORIES])?, &of(true), &of(false)))
    }

    /// Tells a rollout something, and says what it is told now.
    pub fn control(&self, id: &RolloutId, order: Order) -> Result<Control, RequestError> {
        let name = names::rollout(id);
        for _ in 0..TRIES {
            let found = self.config(&name)?;
            let (raw, config) = found.ok_or_else(|| RequestError::Unknown { rollout: id.clone() })?;
            let control = decode::control(&config)?;
            let over = |state| RequestError::Over { rollout: id.clone(), state };
            let next = order.applied_to(&control).map_err(over)?;
            if next == control {
                return Ok(control);
            }
            let labels = LabelChange::from([(label::CONTROL.to_owned(), Some(control_text(&next)?))]);
            if written(&name, self.label_config(&raw, &labels))? {
                return Ok(next);
            }
        }
        Err(RequestError::Contended { object: format!("the config {name}") })
    }

    /// Says that nobody waits any more for the host of a participant that left the swarm. It has no labels on which that
    /// could be asked.
    pub fn give_up(&self, id: &RolloutId, node: &NodeId) -> Result<(), RequestError> {
        let name = names::rollout(id);
        for _ in 0..TRIES {
            let found = self.config(&name)?;
            let (raw, config) = found.ok_or_else(|| RequestError::Unknown { rollout: id.clone() })?;
            if let Control::Finished { .. } = decode::control(&config)? {
                return Err(RequestError::Over { rollout: id.clone(), state: "finished" });
            }
            let mut gone = decode::gone(&config)?;
            if gone.insert(node.clone(), GoneMark::GivenUp) == Some(GoneMark::GivenUp) {
                return Ok(());
            }
            let text = serde_json::to_string(&gone)
                .map_err(|error| SwarmError::corrupt("the marks of nodes that left", error))?;
            let labels = LabelChange::from([(label::GONE.to_owned(), Some(text))]);
            if written(&name, self.label_config(&raw, &labels))? {
                return Ok(());
            }
        }
        Err(RequestError::Contended { object: format!("the config {name}") })
    }

    /// Asks for something on one node of a rollout, by its id or host name. The controller answers it by taking the label
    /// away.
    pub fn ask(&self, rollout: &RolloutId, node: &str, ask: Ask) -> Result<NodeId, RequestError> {
        for _ in 0..TRIES {
            let node = find_node(self.nodes()?, node)?;
            // Whoever writes it gives all of it back, also what is not understood here.
            let raw = self.raw(Kind::Nodes, &node.id.0).map_err(SwarmError::from)?;
            let labels = LabelChange::from([(label::ASK.to_owned(), Some(ask.label(rollout)))]);
            let spec = encode::node_spec(&raw["Spec"], &labels, None);
            if written(&format!("the node {}", node.hostname), self.update(Kind::Nodes, &raw, &spec))? {
                return Ok(node.id);
            }
        }
        Err(RequestError::Contended { object: format!("the node {node}") })
    }
}

impl Rollout {
    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        matches!(self.control, Control::Finished { .. })
    }
}

impl Order {
    /// What a rollout is told after this order, or why it takes none.
    fn applied_to(self, control: &Control) -> Result<Control, &'static str> {
        match (self, control) {
            (_, Control::Finished { .. }) => Err("finished"),
            (Self::Abort, Control::Running | Control::Paused { .. } | Control::Aborting) => {
                Ok(Control::Aborting)
            }
            (Self::Pause | Self::Resume, Control::Aborting) => Err("being aborted"),
            (Self::Pause, Control::Running) => Ok(Control::Paused { why: PauseReason::Asked }),
            (Self::Resume, Control::Paused { .. }) => Ok(Control::Running),
            (Self::Pause, Control::Paused { .. }) | (Self::Resume, Control::Running) => Ok(control.clone()),
        }
    }
}

fn read(config: &ConfigObject) -> Result<Rollout, SwarmError> {
    Ok(Rollout {
        spec: decode::spec(config)?,
        control: decode::control(config)?,
        version: config.version,
        by: config.labels.get(label::BY).cloned(),
        submitted: config.created.clone(),
    })
}

fn control_text(control: &Control) -> Result<String, SwarmError> {
    serde_json::to_string(control).map_err(|error| SwarmError::corrupt("the rollout's control record", error))
}

/// Whether a write was done; `false` when somebody else was faster.
pub(crate) fn written(object: &str, answer: Result<(), EngineError>) -> Result<bool, RequestError> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) if refusal(&error) == ActError::Conflict => Ok(false),
        Err(error) => Err(write_error(object, &error)),
    }
}

pub(crate) fn write_error(object: &str, error: &EngineError) -> RequestError {
    RequestError::Write { object: object.to_owned(), why: refusal(error) }
}

/// A node by its id, or by its host's name when there is one of that name only.
fn find_node(nodes: Vec<Node>, name: &str) -> Result<Node, RequestError> {
    let mut found = Vec::new();
    for node in nodes {
        if node.id.0 == name {
            return Ok(node);
        }
        if node.hostname == name {
            found.push(node);
        }
    }
    let count = found.len();
    let only = (count == 1).then(|| found.pop()).flatten();
    only.ok_or_else(|| RequestError::NoSuchNode { name: name.to_owned(), count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::rollout::RolloutOutcome;
    use serde_json::Value;

    #[test]
    fn orders_and_what_follows() {
        let paused = Control::Paused { why: PauseReason::Asked };
        let finished = Control::Finished { outcome: RolloutOutcome::Done };
        let table = [
            (Order::Pause, &Control::Running, Ok(&paused)),
            (Order::Pause, &paused, Ok(&paused)),
            (Order::Resume, &paused, Ok(&Control::Running)),
            (Order::Resume, &Control::Running, Ok(&Control::Running)),
            (Order::Abort, &paused, Ok(&Control::Aborting)),
            (Order::Abort, &Control::Aborting, Ok(&Control::Aborting)),
            (Order::Resume, &Control::Aborting, Err("being aborted")),
            (Order::Pause, &Control::Aborting, Err("being aborted")),
            (Order::Abort, &finished, Err("finished")),
            (Order::Resume, &finished, Err("finished")),
        ];
        for (order, control, expected) in table {
            assert_eq!(
                order.applied_to(control).as_ref(),
                expected.as_ref().copied(),
                "{order:?} {control:?}"
            );
        }
    }

    #[test]
    fn a_node_is_found_by_its_id_and_by_a_name_that_only_it_has() {
        let mut nodes: Vec<Value> = serde_json::from_str(include_str!("../fixtures/nodes.json")).unwrap();
        let id = |name: &str, nodes: &[Value]| {
            let nodes = nodes.iter().map(|value| decode::node(&decode::json(value)).unwrap()).collect();
            find_node(nodes, name).map(|node| node.id.0)
        };
        assert_eq!(id("n2", &nodes).unwrap(), "npmbrblb0k9i5q2wq3ygvfls8");
        assert_eq!(id("npmbrblb0k9i5q2wq3ygvfls8", &nodes).unwrap(), "npmbrblb0k9i5q2wq3ygvfls8");
        let text = id("n3", &nodes).unwrap_err().to_string();
        assert!(text.starts_with("0 nodes are called 'n3'"), "{text}");
        nodes[1]["Description"]["Hostname"] = "n2".into();
        let text = id("n2", &nodes).unwrap_err().to_string();
        assert!(text.starts_with("2 nodes are called 'n2'"), "{text}");
    }
}
