//! Why a command failed, what it exits with, and what to do next.

use crate::backend::BackendError;
use crate::connect::{NoManager, UnusableHost};
use crate::exit::Exit;
use careen_planner::{NodeId, PassError, RolloutId};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The swarm did not do it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The engine's address is of no use.
    #[error(transparent)]
    Host(#[from] UnusableHost),
    /// A rollout would do harm.
    #[error("the rollout is refused, for the reasons above; nothing was changed")]
    Refused,
    /// It is stored, and nobody carries it out.
    #[error("the rollout {rollout} is stored in the swarm, but its controller was not started")]
    NoController {
        /// Which.
        rollout: RolloutId,
        /// Why not.
        source: BackendError,
    },
    /// There is nobody to ask, and no `--yes`.
    #[error(
        "standard input is no terminal, so nobody can be asked whether the rollout may start; nothing was changed"
    )]
    NobodyToAsk,
    /// The file with the unlock key cannot be read.
    #[error("cannot read the unlock key from {path}; nothing was changed")]
    NoKeyFile {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is empty.
    #[error("the file with the unlock key is empty; nothing was changed")]
    EmptyKey,
    /// The operator said no.
    #[error("not started; nothing was changed")]
    Declined,
    /// There is no rollout to steer or to look at.
    #[error("no rollout is going on")]
    NoRollout,
    /// No such node in the swarm, or not in this rollout.
    #[error("the rollout {rollout} has no node '{given}'")]
    NoSuchNode {
        /// The rollout.
        rollout: RolloutId,
        /// What was given.
        given: String,
    },
    /// A host name that several nodes have.
    #[error("'{given}' is the host name of several nodes: {}", ids(.nodes))]
    Ambiguous {
        /// The name.
        given: String,
        /// Whose.
        nodes: Vec<NodeId>,
    },
    /// Only failed nodes are tried again.
    #[error("{node} has not failed (it is {state}); nothing was changed")]
    NotFailed {
        /// Its host's name.
        node: String,
        /// What it is.
        state: String,
    },
    /// A node that is done, or that cannot be left out any more.
    #[error("{node} cannot be left out: it is {state}; nothing was changed")]
    CannotSkip {
        /// Its host's name.
        node: String,
        /// What it is.
        state: String,
    },
    /// The rollout cannot be carried out as it is.
    #[error("the rollout cannot be carried out")]
    Pass(#[from] PassError),
    /// Nothing can be printed.
    #[error("cannot write the output")]
    Output(#[from] std::io::Error),
    /// Nothing can be printed as JSON.
    #[error("cannot write the output")]
    Json(#[from] serde_json::Error),
}

fn ids(nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| node.0.as_str()).collect::<Vec<_>>().join(", ")
}

impl From<NoManager> for Failure {
    fn from(error: NoManager) -> Self {
        Self::Backend(error.into())
    }
}

impl Failure {
    /// What the process exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Backend(BackendError::NoManager(_)) => Exit::NoManager,
            Self::NoController { source: BackendError::NoManager(_), .. } => Exit::NoManager,
            Self::Backend(BackendError::OtherRollout { .. }) | Self::Refused => Exit::Refused,
            Self::Host(_)
            | Self::NobodyToAsk
            | Self::NoKeyFile { .. }
            | Self::EmptyKey
            | Self::NoSuchNode { .. }
            | Self::Ambiguous { .. }
            | Self::NotFailed { .. }
            | Self::CannotSkip { .. } => Exit::Usage,
            Self::Backend(
                BackendError::Over { .. }
                | BackendError::NoImage { .. }
                | BackendError::Changed
                | BackendError::Refused { .. }
                | BackendError::Corrupt { .. }
                | BackendError::Unclear { .. },
            )
            | Self::Declined
            | Self::NoController { .. }
            | Self::NoRollout
            | Self::Pass(_)
            | Self::Output(_)
            | Self::Json(_) => Exit::Other,
        }
    }

    /// What to do next, where careen knows.
    pub fn next(&self) -> Option<&'static str> {
        match self {
            Self::Backend(error) => match error {
                BackendError::NoManager(error) => Some(error.next()),
                BackendError::OtherRollout { .. } => Some("'careen status' shows it; 'careen abort' ends it"),
                BackendError::Changed => Some("try again; 'careen status' shows what is so now"),
                BackendError::Unclear { .. } => Some("'careen status' shows what is so"),
                BackendError::NoImage { .. } => {
                    Some("push the image to a registry that all nodes reach, and name it with that registry")
                }
                BackendError::Over { .. } | BackendError::Refused { .. } | BackendError::Corrupt { .. } => {
                    None
                }
            },
            Self::Host(_) => Some(
                "run careen on a manager's host, or say --host unix:///run/docker.sock for this machine's engine",
            ),
            Self::NobodyToAsk => Some("say --yes; 'careen plan' with the same flags shows what would happen"),
            Self::NoKeyFile { .. } | Self::EmptyKey => {
                Some("'docker swarm unlock-key' on a manager shows the key")
            }
            Self::NoController { .. } => {
                Some("'careen resume' tries again, 'careen resume --local' runs it in your terminal")
            }
            Self::NoRollout => Some("'careen run --image IMAGE' starts one"),
            Self::NoSuchNode { .. } => Some("'careen status' lists its nodes"),
            Self::Ambiguous { .. } => Some("name the node by its id"),
            Self::NotFailed { .. } | Self::CannotSkip { .. } => {
                Some("'careen why NODE' says what it waits for; 'careen abort' ends the rollout")
            }
            Self::Refused | Self::Declined | Self::Pass(_) | Self::Output(_) | Self::Json(_) => None,
        }
    }
}
