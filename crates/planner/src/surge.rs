//! Which services are scaled up before a node is drained, what the node's label remembers of it, and how far it is.
//!
//! `1 ROLLOUT PHASE ID@VERSION:FROM>TO …`, for example `1 k3x9 up x1b2@417:6>7`. The label is written with the availability that the
//! phase needs, before any service is. A service is scaled up at the very version that the label names, or not at all: so whoever
//! reads the label later knows from the service's version whether that was done, and a write to the service, whatever it says, is
//! the end of what a frozen controller might still do.

use crate::hold::Hold;
use crate::ids::{NodeId, RolloutId, ServiceId, Version};
use crate::indexed::Indexed;
use crate::objects::{Availability, Mode, Node, Scale, Service, TaskState};
use crate::rollout::Baseline;
use crate::scheduler;
use crate::settle;
use crate::spec::Spec;
use crate::state::NodeRecord;
use careen_contract::label;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The format's number. A record with another one is not guessed at.
const FORMAT: &str = "1";

/// The services that are scaled up for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Surge {
    pub rollout: RolloutId,
    pub phase: Phase,
    pub services: BTreeMap<ServiceId, Scaling>,
}

/// How far a surge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The node is paused; the services are scaled up.
    Up,
    /// The node is drained; when everything runs elsewhere the services are given back.
    Down,
}

/// How one service is scaled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Scaling {
    /// The service's version at which it is done.
    pub at: Version,
    pub from: u64,
    pub to: u64,
}

/// How a service stands that a label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand {
    /// It is as it was when the label was written.
    Intended,
    /// It is scaled up.
    Made(Scale),
    /// Somebody else has scaled it since, or it was given back, or it is gone.
    Theirs,
}

/// A label that no careen of this version wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the label {label} says '{text}', which this version does not understand", label = label::SURGE)]
pub struct CorruptSurge {
    /// The label's value, at most 120 characters of it.
    pub text: String,
}

impl Surge {
    /// What the label of a node says.
    pub fn of(node: &Node) -> Result<Option<Self>, CorruptSurge> {
        node.labels.get(label::SURGE).map(|text| Self::decode(text)).transpose()
    }

    /// Reads the label's value.
    pub fn decode(text: &str) -> Result<Self, CorruptSurge> {
        Self::read(text).ok_or_else(|| CorruptSurge { text: text.chars().take(120).collect() })
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != FORMAT {
            return None;
        }
        let rollout = RolloutId::parse(words.next()?).ok()?;
        let phase = match words.next()? {
            "up" => Phase::Up,
            "down" => Phase::Down,
            _ => return None,
        };
        let services = words.map(scaling).collect::<Option<BTreeMap<ServiceId, Scaling>>>()?;
        let surge = Self { rollout, phase, services };
        // What is not written exactly so was written by somebody else.
        (surge.to_string() == text).then_some(surge)
    }
}

fn scaling(word: &str) -> Option<(ServiceId, Scaling)> {
    let (id, rest) = word.split_once('@')?;
    let (at, rest) = rest.split_once(':')?;
    let (from, to) = rest.split_once('>')?;
    let scaling = Scaling { at: Version(at.parse().ok()?), from: from.parse().ok()?, to: to.parse().ok()? };
    (!id.is_empty()).then(|| (ServiceId(id.to_owned()), scaling))
}

/// The value of the node's label.
impl fmt::Display for Surge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rollout, phase, services } = self;
        let phase = match phase {
            Phase::Up => "up",
            Phase::Down => "down",
        };
        write!(f, "{FORMAT} {rollout} {phase}")?;
        services.iter().try_for_each(|(id, Scaling { at, from, to })| {
            let (id, Version(at)) = (&id.0, at);
            write!(f, " {id}@{at}:{from}>{to}")
        })
    }
}

impl Scaling {
    /// How the service stands now.
    pub fn stand(&self, service: Option<&Service>) -> Stand {
        match service.and_then(|service| service.scale) {
            Some(scale) if scale.version == self.at && scale.replicas == self.from => Stand::Intended,
            Some(scale) if scale.version != self.at && scale.replicas == self.to => Stand::Made(scale),
            Some(_) | None => Stand::Theirs,
        }
    }

    /// How many tasks it had before the rollout of those that it should have: no more is waited for.
    fn strength(&self, id: &ServiceId, baseline: &Baseline) -> u64 {
        let before = baseline.services.get(id).map_or(self.from, |before| before.running);
        before.min(self.from)
    }

    /// Whether so many run beside those on this node that it can be drained.
    pub fn is_healthy(&self, seen: &Indexed<'_>, id: &ServiceId, baseline: &Baseline, node: &Node) -> bool {
        let others = seen.nodes.iter().filter(|other| other.id != node.id && stays(other));
        let others: BTreeSet<&NodeId> = others.map(|other| &other.id).collect();
        let elsewhere = seen.tasks.iter().filter(|task| {
            task.service == *id
                && task.wanted
                && task.state == TaskState::Running
                && task.node.as_ref().is_some_and(|on| others.contains(on))
        });
        elsewhere.count() as u64 >= self.strength(id, baseline)
    }

    /// Whether so many run that, whichever Swarm takes away, none is missing.
    pub fn is_replaced(&self, service: &Service, baseline: &Baseline) -> bool {
        service.running >= self.strength(&service.id, baseline) + self.to.saturating_sub(self.from)
    }
}

/// Whether tasks that run on a node go on there, as far as careen is concerned: one that its operator keeps drained is active for a
/// moment alone.
fn stays(node: &Node) -> bool {
    let record = NodeRecord::of(node).ok().flatten();
    let for_a_moment =
        record.and_then(|record| record.taken).is_some_and(|taken| taken.set == Availability::Active);
    node.is_ready() && node.availability != Availability::Drain && !for_a_moment
}

/// Whether a service is scaled up before a node with its tasks is drained. Of a service of one task two must be able to run at
/// once, which its operator says by the label alone.
pub fn surges(spec: &Spec, service: &Service) -> bool {
    let Some(scale) = service.scale.filter(|scale| scale.replicas > 0) else { return false };
    let replicated = service.mode == Mode::Replicated && !service.labels.contains_key(label::ROLE);
    replicated
        && match service.labels.get(label::SURGE_SERVICE).map(String::as_str) {
            Some("true") => true,
            Some("false") => false,
            Some(_) | None => spec.surge && scale.replicas > 1 && !settle::is_ignored(service),
        }
}

/// The services that would be scaled up for this node, by their ids, and by how many: those with tasks there that can be elsewhere.
pub fn wanted(seen: &Indexed<'_>, spec: &Spec, node: &Node) -> BTreeMap<ServiceId, u64> {
    let mut wanted = BTreeMap::new();
    let mut board = seen.board();
    let Some(here) = board.node(&node.id) else { return wanted };
    let running: Vec<usize> = board.running_on(here).collect();
    for number in running {
        let task = board.task(number);
        let Some((service_number, service)) = board.service_of(number) else { continue };
        if task.wanted && !task.job && surges(spec, service) && board.could_move(service_number, here) {
            *wanted.entry(service.id.clone()).or_default() += 1;
        }
    }
    wanted
}

/// What speaks against scaling these services up for this node, and draining it then, while the others are away, too.
pub fn hold(
    seen: &Indexed<'_>,
    others: &BTreeSet<NodeId>,
    node: &Node,
    wanted: &BTreeMap<ServiceId, u64>,
) -> Option<Hold> {
    if wanted.is_empty() {
        return None;
    }
    let services = || wanted.keys().filter_map(|id| seen.service(id));
    let updating = services().find_map(|service| {
        let update = service.scale?.update?;
        Some(Hold::ServiceUpdating { service: service.name.clone(), update })
    });
    updating.or_else(|| elsewhere(seen, node, wanted)).or_else(|| no_room(seen, others, node, wanted))
}

/// A service that is scaled up for another node at the moment: what is given back has to be one number.
fn elsewhere(seen: &Indexed<'_>, node: &Node, wanted: &BTreeMap<ServiceId, u64>) -> Option<Hold> {
    let surges = seen.nodes.iter().filter_map(|other| Some((other, Surge::of(other).ok()??)));
    surges.filter(|(other, _)| other.id != node.id).find_map(|(other, surge)| {
        let service = surge.services.keys().find(|id| wanted.contains_key(*id))?;
        let service = seen.service(service).map_or_else(|| service.0.clone(), |one| one.name.clone());
        Some(Hold::SurgeElsewhere { service, node: other.id.clone() })
    })
}

/// Beside those that run now as many more have to find a place as are on the node, and then those that replace them.
fn no_room(
    seen: &Indexed<'_>,
    others: &BTreeSet<NodeId>,
    node: &Node,
    wanted: &BTreeMap<ServiceId, u64>,
) -> Option<Hold> {
    let doubled = seen.board().doubled(node, wanted);
    let no_place = scheduler::no_place(&Indexed::of(&doubled), others, node, |id| wanted.contains_key(id));
    no_place.map(|(service, why)| Hold::NoRoomToSurge { service, why })
}
