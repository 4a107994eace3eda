//! A node's state as one label: short, versioned, and written together with the availability that it speaks of.
//!
//! `1 ROLLOUT gN aN [cN] [b] [s] eN STATE [was>set]`, for example `1 k3x9 g1 a2 e7 draining:reboot active>drain`. Labels and
//! availability lie in the same object of the swarm, so one write changes both: there is no moment in which a node is
//! drained and nobody knows by whom.

use super::{AfterRestoring, Goal, NodeState, Reason, StateName};
use crate::ids::RolloutId;
use crate::objects::{Availability, Node};
use careen_contract::label;
use careen_contract::report::{HostPhase, Restart};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write as _};
use strum::VariantArray;

/// The format's number. A record with another one is not guessed at.
const FORMAT: &str = "1";

/// What a rollout knows of one node, between two passes and after every crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct NodeRecord {
    pub rollout: RolloutId,
    /// Which try: 1, and one more for each `retry`.
    pub generation: u32,
    /// Which agent of this try; 0 before the first.
    pub agent: u32,
    /// How many goes of this try were cancelled on the host: something else than a go happened to an agent's gates.
    pub cancelled: u32,
    /// Whether the command of this try wanted a restart: so it was begun, whatever its host knows of it behind that restart.
    pub begun: bool,
    /// Whether its agent needs no go: the short way.
    #[serde(default)]
    pub short: bool,
    /// The epoch of the controller that wrote it.
    pub epoch: u64,
    /// Where the node stands.
    #[serde(rename = "stage")]
    pub state: NodeState,
    /// What careen did to the node's availability and has not undone yet.
    pub taken: Option<Taken>,
}

/// An availability that careen changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// What it was before careen changed it.
    pub was: Availability,
    /// What careen made of it.
    pub set: Availability,
}

/// A label that no careen of this version wrote. Never read as 'no label': nobody knows what was begun on that node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the label {label} says '{text}', which this version does not understand", label = label::NODE)]
pub struct CorruptRecord {
    /// The label's value, at most 120 characters of it.
    pub text: String,
}

impl NodeRecord {
    /// A node of which nothing was begun.
    pub fn new(rollout: &RolloutId, epoch: u64) -> Self {
        Self {
            rollout: rollout.clone(),
            generation: 1,
            agent: 0,
            cancelled: 0,
            begun: false,
            short: false,
            epoch,
            state: NodeState::Pending,
            taken: None,
        }
    }

    /// Whether it says of a node that its agent is about to be placed, and nothing more: without a service nothing was begun.
    pub fn is_an_intent(&self) -> bool {
        self.state == NodeState::Entering
            || (self.short && self.state == NodeState::Running { drained: false })
    }

    /// The record of a node, from its labels.
    pub fn of(node: &Node) -> Result<Option<Self>, CorruptRecord> {
        node.labels.get(label::NODE).map(|text| Self::decode(text)).transpose()
    }

    /// As the label's value.
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Reads the label's value.
    pub fn decode(text: &str) -> Result<Self, CorruptRecord> {
        Self::read(text).ok_or_else(|| CorruptRecord { text: text.chars().take(120).collect() })
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != FORMAT {
            return None;
        }
        let rollout = RolloutId::parse(words.next()?).ok()?;
        let generation = number(words.next()?, 'g')?;
        let agent = number(words.next()?, 'a')?;
        let mut word = words.next()?;
        let mut cancelled = 0;
        if word.starts_with('c') {
            cancelled = number(word, 'c')?;
            word = words.next()?;
        }
        let begun = word == "b";
        if begun {
            word = words.next()?;
        }
        let short = word == "s";
        if short {
            word = words.next()?;
        }
        let epoch = word.strip_prefix('e')?.parse().ok()?;
        let state = decode_state(words.next()?)?;
        let taken = match words.next() {
            Some(word) => Some(decode_taken(word)?),
            None => None,
        };
        let record = Self { rollout, generation, agent, cancelled, begun, short, epoch, state, taken };
        // What is not written exactly so was written by somebody else.
        (words.next().is_none() && Unread(text).is(&record)).then_some(record)
    }
}

/// The value of the node's label.
impl fmt::Display for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rollout, generation, agent, cancelled, begun, short, epoch, state, taken } = self;
        write!(f, "{FORMAT} {rollout} g{generation} a{agent}")?;
        // Rare, and so not in every label.
        if *cancelled > 0 {
            write!(f, " c{cancelled}")?;
        }
        if *begun {
            f.write_str(" b")?;
        }
        if *short {
            f.write_str(" s")?;
        }
        write!(f, " e{epoch} ")?;
        write_state(f, state)?;
        match taken {
            Some(Taken { was, set }) => write!(f, " {}>{}", was.word(), set.word()),
            None => Ok(()),
        }
    }
}

/// What of a text is not compared yet with what is written.
struct Unread<'a>(&'a str);

impl Unread<'_> {
    /// Whether the text is just how something is written.
    fn is(mut self, what: &impl fmt::Display) -> bool {
        write!(self, "{what}").is_ok() && self.0.is_empty()
    }
}

impl fmt::Write for Unread<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(piece).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn number(word: &str, prefix: char) -> Option<u32> {
    word.strip_prefix(prefix)?.parse().ok()
}

fn decode_taken(word: &str) -> Option<Taken> {
    let (was, set) = word.split_once('>')?;
    Some(Taken { was: availability(was)?, set: availability(set)? })
}

fn availability(word: &str) -> Option<Availability> {
    Availability::VARIANTS.iter().copied().find(|one| one.word() == word)
}

fn write_state(f: &mut fmt::Formatter<'_>, state: &NodeState) -> fmt::Result {
    let name = state.name();
    match state {
        NodeState::Draining { goal: Goal::Run } => write!(f, "{name}:run"),
        NodeState::Draining { goal: Goal::Restart(Restart::Engine) } => write!(f, "{name}:engine"),
        NodeState::Draining { goal: Goal::Restart(Restart::Reboot) } => write!(f, "{name}:reboot"),
        NodeState::Running { drained: true } => write!(f, "{name}:drained"),
        NodeState::Restoring { then: AfterRestoring::Done } => write!(f, "{name}:done"),
        NodeState::Restoring { then: AfterRestoring::Fail { during, reason } } => {
            write!(f, "{name}:failed:{}:{}", during.word(), reason)
        }
        NodeState::Restoring { then: AfterRestoring::Skip { why } } => {
            write!(f, "{name}:skipped:{}", <&str>::from(why))
        }
        NodeState::Failed { during, reason } => write!(f, "{name}:{}:{}", during.word(), reason),
        NodeState::Skipped { why } => write!(f, "{name}:{}", <&str>::from(why)),
        // A node that left has no label. Whoever wrote one would write what nobody reads.
        NodeState::Gone { .. }
        | NodeState::Running { drained: false }
        | NodeState::Restoring { then: AfterRestoring::Settle }
        | NodeState::Pending
        | NodeState::Entering
        | NodeState::Preparing
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Settling
        | NodeState::Done => f.write_str(name),
    }
}

fn decode_state(text: &str) -> Option<NodeState> {
    let (name, data) = match text.split_once(':') {
        Some((name, data)) => (name, Some(data)),
        None => (text, None),
    };
    Some(match (name, data) {
        ("pending", None) => NodeState::Pending,
        ("entering", None) => NodeState::Entering,
        ("preparing", None) => NodeState::Preparing,
        ("draining", Some("run")) => NodeState::Draining { goal: Goal::Run },
        ("draining", Some("engine")) => NodeState::Draining { goal: Goal::Restart(Restart::Engine) },
        ("draining", Some("reboot")) => NodeState::Draining { goal: Goal::Restart(Restart::Reboot) },
        ("running", None) => NodeState::Running { drained: false },
        ("running", Some("drained")) => NodeState::Running { drained: true },
        ("restarting-engine", None) => NodeState::RestartingEngine,
        ("rebooting", None) => NodeState::Rebooting,
        ("verifying", None) => NodeState::Verifying,
        ("restoring", None) => NodeState::Restoring { then: AfterRestoring::Settle },
        ("restoring", Some("done")) => NodeState::Restoring { then: AfterRestoring::Done },
        ("restoring", Some(data)) => NodeState::Restoring { then: decode_then(data)? },
        ("settling", None) => NodeState::Settling,
        ("done", None) => NodeState::Done,
        ("failed", Some(data)) => {
            let (during, reason) = decode_failure(data)?;
            NodeState::Failed { during, reason }
        }
        ("skipped", Some(word)) => NodeState::Skipped { why: word.parse().ok()? },
        (_, _) => return None,
    })
}

fn decode_then(data: &str) -> Option<AfterRestoring> {
    let (what, data) = data.split_once(':')?;
    match what {
        "failed" => {
            let (during, reason) = decode_failure(data)?;
            Some(AfterRestoring::Fail { during, reason })
        }
        "skipped" => Some(AfterRestoring::Skip { why: data.parse().ok()? }),
        _ => None,
    }
}

fn decode_failure(data: &str) -> Option<(StateName, Reason)> {
    let (during, reason) = data.split_once(':')?;
    let exit = || reason.strip_prefix("exit-")?.parse().ok().map(Reason::Exit);
    Some((during.parse().ok()?, reason.parse().ok().or_else(exit)?))
}

impl StateName {
    /// Its word in labels and in JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

impl Reason {
    /// Why a host's part failed.
    pub(crate) fn of(phase: HostPhase, exit: i32) -> Self {
        match phase {
            HostPhase::Preflight => Self::Preflight,
            HostPhase::Check => Self::Check,
            HostPhase::Prepare | HostPhase::Command | HostPhase::Verify => Self::Exit(exit),
        }
    }

    /// As a label says it.
    pub fn word(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Exit(status) = self { write!(f, "exit-{status}") } else { f.write_str(self.into()) }
    }
}
