//! Names of what a rollout deals with, and of the services that careen creates.

use careen_contract::TransactionId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A node's id, as the swarm gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

/// A service's id, as the swarm gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub String);

/// One life of one controller process. A restarted controller is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ControllerId(pub String);

/// An object's version index in the swarm's store. A write with another one than the object's is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A rollout's id: short, because it stands in the names of services (63 characters) and in labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RolloutId(String);

/// Why a text is no rollout id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no rollout id: 1 to 12 of the characters a-z and 0-9")]
pub struct InvalidRolloutId {
    /// What was given, shortened.
    pub given: String,
}

impl RolloutId {
    /// Takes 1 to 12 of the characters a-z and 0-9.
    pub fn parse(text: &str) -> Result<Self, InvalidRolloutId> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !text.is_empty() && text.len() <= 12 && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRolloutId {
                given: text.chars().take(40).collect::<String>().escape_default().to_string(),
            })
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RolloutId {
    type Error = InvalidRolloutId;

    fn try_from(text: String) -> Result<Self, InvalidRolloutId> {
        Self::parse(&text)
    }
}

impl From<RolloutId> for String {
    fn from(id: RolloutId) -> Self {
        id.0
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many gates an agent has that may begin a command which may ask for a restart: two go with the go for the command, and of
/// the other four two with the go for the restart. A go never covers restarts that come later: an agent that is gone with its
/// engine cannot say what still follows, and the node has to be active for the next one.
pub const GATES: u8 = 6;

/// How many gates an agent has that needs one go at most: it only collects, or its rollout restarts nothing.
pub const FEW_GATES: u8 = careen_contract::settings::LEAST_GATES;

/// What one of careen's services is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the variant's name says it")]
pub enum JobRole {
    Agent,
    /// A process that only waits, with its number from 1: taking the two away that the agent has drawn is the go.
    Gate(u8),
}

/// Which of careen's services one is. The name says it all, so two controllers that create the same one collide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct JobKey {
    pub rollout: RolloutId,
    /// The node that it is for.
    pub node: NodeId,
    /// Which try of the rollout on this node: 1, and one more for each `retry`.
    pub generation: u32,
    /// Which agent of this try: 1, and one more for each that was lost.
    pub agent: u32,
    /// What it is for.
    pub role: JobRole,
}

impl JobKey {
    /// The service's name: at most 63 characters.
    pub fn name(&self) -> String {
        let Self { rollout, node, generation, agent, role } = self;
        let role = match role {
            JobRole::Agent => String::new(),
            JobRole::Gate(number) => format!("-gate{number}"),
        };
        format!("careen-{rollout}-{node}-g{generation}-a{agent}{role}")
    }

    /// So many gates of this service's agent.
    pub fn gates(&self, count: u8) -> impl Iterator<Item = Self> + use<'_> {
        (1..=count).map(|number| self.with_role(JobRole::Gate(number)))
    }

    /// The same agent's service with another role.
    pub fn with_role(&self, role: JobRole) -> Self {
        Self { role, ..self.clone() }
    }

    /// The transaction that the agent of this service works on. A `retry` is another transaction.
    pub fn transaction(&self) -> Option<TransactionId> {
        transaction(&self.rollout, &self.node, self.generation)
    }
}

/// The transaction of one try on one node; none when the node's id has characters that no swarm gives.
pub fn transaction(rollout: &RolloutId, node: &NodeId, generation: u32) -> Option<TransactionId> {
    TransactionId::parse(&format!("{rollout}-{node}-g{generation}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_what_swarm_and_hosts_allow() {
        let key = JobKey {
            rollout: RolloutId::parse("abcdef012345").unwrap(),
            node: NodeId("f3tu280ls0gp01obdjoe97xy5".into()),
            generation: 12,
            agent: 12,
            role: JobRole::Gate(9),
        };
        assert!(key.name().len() <= 63, "{}", key.name());
        assert!(key.transaction().is_some());
        assert_ne!(key.name(), key.with_role(JobRole::Gate(1)).name());
        for bad in ["", "abcdef0123456", "Ab", "a-b"] {
            assert!(RolloutId::parse(bad).is_err(), "{bad}");
        }
    }
}
