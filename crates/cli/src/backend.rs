//! What the command line needs of a swarm. One implementation talks to a real one; tests have others.
//!
//! Synchronous, as [`careen_planner::cluster::Cluster`] is. Nothing here waits for a rollout: whoever follows asks again.

use crate::connect::NoManager;
use crate::parity::Parity;
use crate::registry::CredentialsError;
use careen_contract::chain;
use careen_engine::{Bell, FileInContainer};
use careen_planner::cluster::Cluster;
use careen_planner::enforcement::CannotEnforce;
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::inquiry::{Roll, TaskSeen};
use careen_planner::moves::{MoveStep, Moves, Moving};
use careen_planner::needs::Platform;
use careen_planner::observed::{ControllerPlace, Node, NodeOutcome, Report};
use careen_planner::remains::Giving;
use careen_planner::rollout::{Ask, Control, NodeResult};
use careen_planner::spec::UnlockKey;
use careen_planner::state::Left;
use careen_planner::{
    ControllerId, Enforcement, EnforcementState, FoundEnforcement, JobKey, NodeId, NodeState, Observed,
    RolloutId, Spec,
};
pub use careen_swarm::Order;
use careen_swarm::{
    Before, ControllerTask, Draft, EnforcementDraft, GivenKind, Inquiry, KeptFile, Key, NotGivenBack,
    Possession, Stored, Verification,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// A swarm, as an operator's commands need it.
pub trait Backend {
    /// What a controller in this process works with (`--local`).
    type Cluster: Cluster;

    /// Everything at one moment, as new as the leader knows. With a rollout its record, its results and its services
    /// are part of it. `Observed::controller` is where that rollout's controller runs.
    fn observe(&mut self, rollout: Option<&RolloutId>) -> Result<Observed, BackendError>;

    /// How long ago each node's object was written last, by the managers' own clock: for people to read, never for a
    /// decision. What is not known is left out.
    fn ages(&mut self) -> Result<BTreeMap<NodeId, Duration>, BackendError> {
        Ok(BTreeMap::new())
    }

    /// Rings from now on when it may be worth looking again. `None` where nothing tells: then it is looked by the clock.
    fn bell(&mut self) -> Option<Bell> {
        None
    }

    /// Asks another manager from now on, behind an error that says that this one cannot be asked: its name. `None` when nobody else
    /// was named, or can be asked.
    fn ask_another(&mut self) -> Option<String> {
        None
    }

    /// The spec of the rollout that is not over; `None` when there is none.
    fn active(&mut self) -> Result<Option<Spec>, BackendError>;

    /// All rollouts that the swarm knows of, those that are over included.
    fn rollouts(&mut self) -> Result<Rollouts, BackendError>;

    /// Whether the records of rollouts that are over are those that were written.
    fn verify_history(&mut self) -> Result<Verification, BackendError>;

    /// An image by digest, or by id where no registry has it. Nothing is pulled.
    fn pin(&mut self, image: &str) -> Result<String, BackendError>;

    /// The same for an image that only the asked engine is to be asked for.
    fn pin_here(&mut self, image: &str) -> Result<String, BackendError>;

    /// Where this rollout's controller would be placed; `None` where Swarm chooses among managers.
    fn place_of_controller(&self, nodes: &[Node], spec: &Spec) -> Option<ControllerPlace>;

    /// Looks into an image, for these files. `None` when the asked engine does not have it: nothing is pulled.
    fn look_into(&mut self, _image: &str, _files: &[String]) -> Result<Option<ImageLook>, BackendError> {
        Ok(None)
    }

    /// Reads a file of an image's, of so many bytes at most. `None` when the asked engine does not have the image: nothing is pulled.
    fn read_in_image(
        &mut self,
        _image: &str,
        _path: &str,
        _most: usize,
    ) -> Result<Option<FileInContainer>, BackendError> {
        Ok(None)
    }

    /// The platforms that an image is made for, as the asked engine or the image's registry says; none when nobody knows.
    fn platforms(&mut self, _image: &str) -> Result<Vec<Platform>, BackendError> {
        Ok(Vec::new())
    }

    /// The node whose engine is asked.
    fn here(&self) -> Option<NodeId> {
        None
    }

    /// Whether this user has credentials for the registry of an image.
    fn has_credentials(&mut self, image: &str) -> Result<bool, BackendError>;

    /// The id of a secret or a config of this name; `None` when there is none.
    fn find_given(&mut self, kind: GivenKind, name: &str) -> Result<Option<String>, BackendError>;

    /// Whether managers of this swarm are unlocked with this key.
    fn is_unlock_key(&mut self, key: &Key) -> Result<bool, BackendError>;

    /// The Swarm secret of this name.
    fn secret(&mut self, name: &str) -> Result<Option<UnlockKey>, BackendError>;

    /// Brings a rollout into the swarm, with all that comes with it, and says what became of its spec; of one that is refused nothing
    /// stays. `by` is who submits it, as they say themselves. [`BackendError::OtherRollout`] when one is going on.
    fn submit(&mut self, draft: &Draft, by: &str) -> Result<Spec, BackendError>;

    /// Makes sure that a controller works on the rollout in the swarm. Nothing happens when one does.
    fn start_controller(&mut self, rollout: &RolloutId) -> Result<(), BackendError>;

    /// What is known of its controller: of its service, or of its container on the manager that is asked. `held` is whether
    /// a controller has the lock for this rollout.
    fn controller_task(&mut self, rollout: &RolloutId, held: bool) -> Result<ControllerTask, BackendError>;

    /// Tells the rollout what to do. Nothing is written when it is told so already.
    fn control(&mut self, rollout: &RolloutId, order: Order) -> Result<(), BackendError>;

    /// Asks something for one node (the label `careen.ask`); the controller takes the label away with its answer.
    fn ask(&mut self, rollout: &RolloutId, node: &NodeId, ask: Ask) -> Result<(), BackendError>;

    /// Says that nobody waits any more for the host of a participant that left the swarm.
    fn give_up(&mut self, rollout: &RolloutId, node: &NodeId) -> Result<(), BackendError>;

    /// Configs and secrets of rollouts, in the order in which they are to be removed.
    fn stored(&mut self) -> Result<Vec<Stored>, BackendError>;

    /// Removes one of them; `false` when a service still refers to it.
    fn remove_stored(&mut self, stored: &Stored) -> Result<bool, BackendError>;

    /// All that careen has in the swarm beside labels on nodes, in the order in which it is to be removed.
    fn possessions(&mut self) -> Result<Vec<Possession>, BackendError> {
        Ok(Vec::new())
    }

    /// Removes one of them; `false` when a service still refers to it.
    fn remove_possession(&mut self, _one: &Possession) -> Result<bool, BackendError> {
        Ok(true)
    }

    /// Carries out one step of [`careen_planner::remains::next`], without a lock.
    fn give_back(&mut self, giving: &Giving) -> Result<(), BackendError>;

    /// Takes the controller of a rollout away that does nothing more. What is gone is no error.
    fn remove_controller(&mut self, rollout: &RolloutId) -> Result<(), BackendError>;

    /// Gives what somebody printed behind a place in the log, line by line, careen's own reports among them, and moves the place
    /// behind each: what there is now, without waiting, as far as it can be read in some seconds. Who is gone has printed nothing.
    fn logs(
        &mut self,
        of: Speaker<'_>,
        place: &mut LogPlace,
        each: &mut dyn FnMut(LogLine),
    ) -> Result<LogRead, BackendError>;

    /// All nodes of the swarm.
    fn nodes(&mut self) -> Result<Vec<Node>, BackendError>;

    /// Asks hosts. Whatever comes of it, it is to be ended. Nodes that an earlier inquiry left active, and that cannot be given back,
    /// are said.
    fn inquire(&mut self, inquiry: &Inquiry) -> Result<Vec<NotGivenBack>, BackendError>;

    /// Hears what hosts answer until the roll is over or `tick` breaks off. When this manager goes away and others were named, that is
    /// the error: behind [`Backend::ask_another`] it is heard from the next one.
    fn hear(
        &mut self,
        inquiry: &Inquiry,
        roll: &mut Roll,
        tick: &mut dyn FnMut(&Roll) -> ControlFlow<()>,
    ) -> Result<(), BackendError>;

    /// Removes what an inquiry brought, and gives the nodes back that were made active for it; which could not be is said.
    fn end_inquiry(&mut self, id: &RolloutId) -> Result<Vec<NotGivenBack>, BackendError>;

    /// All enforcements, those that somebody has damaged among them.
    fn enforcements(&mut self) -> Result<Vec<FoundEnforcement>, BackendError>;

    /// Starts one, or completes one of which only the config is there, and says what became of its spec.
    fn start_enforcement(&mut self, draft: &EnforcementDraft) -> Result<Enforcement, BackendError>;

    /// Writes how an enforcement is, and has Swarm place its agents so.
    fn change_enforcement(
        &mut self,
        spec: &Enforcement,
        state: &EnforcementState,
    ) -> Result<(), BackendError>;

    /// Removes all that there is of a version in the swarm, and says the names.
    fn stop_enforcement(&mut self, name: &str, version: &str) -> Result<Vec<String>, BackendError>;

    /// Brings another version of an enforcement into the swarm, in the place of the first, for a rollout that is submitted next; and says
    /// what became of its spec.
    fn store_version(
        &mut self,
        draft: &EnforcementDraft,
        from: &str,
        rollout: &RolloutId,
    ) -> Result<Enforcement, BackendError>;

    /// What is seen of both versions of an enforcement while it moves.
    fn moving(&mut self, moves: &Moves) -> Result<Moving, BackendError>;

    /// Takes one step on the way to the one version or back to the other.
    fn take_move_step(&mut self, moves: &Moves, step: &MoveStep) -> Result<(), BackendError>;

    /// The tasks of a version's service, the oldest first.
    fn enforcer_tasks(&mut self, name: &str, version: &str) -> Result<Vec<TaskSeen>, BackendError>;

    /// What the agents said last whose tasks run, by their tasks' ids, as far as it can be read in some seconds.
    fn last_words(&mut self, tasks: &[TaskSeen]) -> Result<BTreeMap<String, LastWord>, BackendError>;

    /// What the controller `me` works with, on this rollout.
    fn cluster(&mut self, rollout: &RolloutId, me: &ControllerId) -> Result<Self::Cluster, BackendError>;
}

/// Whose log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker<'a> {
    /// An agent's, with what its command printed.
    Agent(&'a JobKey),
    /// The log of a rollout's controller.
    Controller(&'a RolloutId),
    /// What the hosts print that are asked something.
    Inquiry(&'a RolloutId),
}

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct ImageLook {
    pub id: String,
    /// For which contract it was made; none when it does not say.
    pub protocol: Option<String>,
    /// Whether its payload leaves engines alone, as it says.
    pub leaves_engine: bool,
    /// What it does not have of what it was asked for.
    pub missing: Vec<String>,
}

/// What the swarm knows of rollouts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollouts {
    /// What can be read, the newest first.
    pub known: Vec<Summary>,
    /// Records of rollouts that are over and cannot be read, in words.
    pub unreadable: Vec<String>,
}

/// A rollout in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What it is, or was.
    pub spec: Spec,
    /// What it is told to do, or how it ended.
    pub control: Control,
    /// Who submitted it, as they said themselves.
    pub by: Option<String>,
    /// When, by the leader's clock, in RFC 3339.
    pub submitted: Option<String>,
    /// Where its nodes stood at the end; empty while it goes on.
    pub nodes: Vec<EndedNode>,
    /// What else its record says, where it is over and there is one.
    pub record: Option<Record>,
}

/// The record of a rollout that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When it was written, by the leader's clock, in RFC 3339.
    pub ended: String,
    /// The files of a payload that came without an image.
    pub files: Vec<KeptFile>,
    /// Its own sha-256, in hexadecimal.
    pub sha256: String,
    /// The record before it. One that an older careen wrote does not say.
    pub before: Option<Before>,
    /// How its nodes ended beside the first one that was done; `None` where none was.
    pub parity: Option<Parity>,
}

/// A node in a rollout that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct EndedNode {
    pub node: NodeId,
    /// Its host's name then.
    pub hostname: String,
    /// Where it stood at the end.
    pub stage: NodeState,
    /// Its transaction on its host.
    pub transaction: Option<String>,
    /// What its agent said last: what changed on its host, a line each; of what failed the last lines.
    pub record: Option<String>,
    /// How long its try took, where it succeeded and that is known.
    pub seconds: Option<u64>,
    /// Which try that was.
    pub generation: u32,
    /// The results of all its tries, the first one first.
    pub tries: Vec<NodeResult>,
}

/// The state, in JSON, of a node that is done although nothing was run there.
pub const IN_SYNC: &str = "in-sync";

impl EndedNode {
    /// Whether its work failed.
    pub const fn has_failed(&self) -> bool {
        matches!(self.stage, NodeState::Failed { .. })
    }

    /// Whether its host was in sync, so that nothing was run there.
    pub fn is_in_sync(&self) -> bool {
        let last = self.tries.iter().find(|result| result.generation == self.generation);
        let done = matches!(self.stage, NodeState::Done | NodeState::Gone { left: Left::Done });
        done && last.is_some_and(|result| result.outcome == NodeOutcome::InSync)
    }

    /// The name of how it ended: its stage, or `in-sync`.
    pub fn state(&self) -> &'static str {
        if self.is_in_sync() { IN_SYNC } else { self.stage.name() }
    }
}

/// A place in an agent's log. Only the backend knows what it says; the default is the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPlace(pub String);

/// How far a log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRead {
    /// To the end that it had then.
    Whole,
    /// As far as the time went. There is more behind the place.
    Partly,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was printed to.
    pub stream: Stream,
    /// What, without newline; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// When, as the node's engine says.
    pub time: Option<String>,
}

impl LogLine {
    /// Whether an agent speaks to its controller there, and not to people.
    pub fn is_report(&self) -> bool {
        self.stream == Stream::Stderr && Report::of_line(&self.text).is_some()
    }
}

/// Where a line was printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants' names say it")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Why the swarm did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum BackendError {
    /// No manager could be asked.
    #[error(transparent)]
    NoManager(#[from] NoManager),
    /// Another rollout is not over.
    #[error("the rollout {rollout} is going on; nothing was changed")]
    OtherRollout { rollout: RolloutId },
    /// The rollout is over, or is not there.
    #[error("the rollout {rollout} is over; nothing was changed")]
    Over { rollout: RolloutId },
    /// An enforcement that must not be started.
    #[error("{0}; nothing was changed")]
    CannotEnforce(CannotEnforce),
    /// An image that nobody has.
    #[error(
        "no registry and no engine that could be asked has the image {image}: {why}; nothing was changed"
    )]
    NoImage {
        image: String,
        /// What was tried, and what came of it.
        why: String,
    },
    /// docker's credentials for a registry cannot be had.
    #[error("{}; nothing was changed", chain(.0))]
    Credentials(CredentialsError),
    /// Somebody else changed the same object.
    #[error("somebody else changed it at the same moment; nothing was changed")]
    Changed,
    /// The swarm says no.
    #[error("the swarm refuses it: {why}; nothing was changed")]
    Refused { why: String },
    /// An object that this version does not understand.
    #[error("{object} cannot be understood: {why}; nothing was changed")]
    Corrupt {
        object: String,
        /// What is wrong with it.
        why: String,
    },
    /// No answer came to a write.
    #[error("the swarm did not answer: {why}; it may have been done")]
    Unclear {
        /// What came instead of an answer.
        why: String,
    },
}
