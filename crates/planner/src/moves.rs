//! A new version of an enforcement, brought to the hosts by a rollout: both versions have a service, and a label of a node decides
//! which of them is there. A node without the label keeps the stable version, so one that joins meanwhile has it, too.
//!
//! What lies in the swarm for that is set up before the first node begins ([`lay`]), and at the end the new version becomes the
//! stable one ([`promote`]) or nothing of it is left ([`retract`]). Each says one step from what is seen; whoever comes next goes on
//! from there. The label of an enforcement's config ([`EnforcementState`]) says what is going to be done before it is.

use crate::enforcement::EnforcementState;
use crate::ids::{NodeId, RolloutId, Version};
use crate::objects::Node;
use crate::state::{NodeRecord, NodeState};
use careen_contract::label;
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::IntoStaticStr;

/// Which version of an enforcement a rollout brings in the place of which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moves {
    /// What the enforcement is called.
    pub enforcement: String,
    /// The version that is enforced before: the stable one.
    pub from: String,
    /// The new one.
    pub to: String,
}

/// What is seen of the enforcement that a rollout moves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moving {
    /// The stable version.
    pub from: VersionSeen,
    /// The new one.
    pub to: VersionSeen,
}

/// What is seen of one version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VersionSeen {
    /// The config that holds it; `None` when it is gone.
    pub config: Option<StateSeen>,
    /// Its service; `None` when it is gone.
    pub service: Option<EnforcerSeen>,
}

/// The config of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSeen {
    /// Its version in the store.
    pub at: Version,
    /// What its label says.
    pub state: EnforcementState,
}

/// The service of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnforcerSeen {
    /// Its version in the store.
    pub at: Version,
    /// Which nodes it is for.
    pub constraints: Vec<String>,
}

/// One step. Each names the version of the object that it changes, or creates what must not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case", tag = "step")]
#[strum(serialize_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum MoveStep {
    /// Say how a version is.
    Say { of: String, at: Version, state: EnforcementState },
    /// Add a constraint to a version's service, or remove it, and change nothing else of it.
    Constrain { of: String, at: Version, constraint: String, present: bool },
    /// Create a version's service, from its config, with one constraint more.
    CreateService { of: String, constraint: String },
    /// Remove a version's service.
    RemoveService { of: String, at: Version },
    /// Remove a version's config, and the files that it alone has.
    RemoveConfig { of: String, at: Version },
    /// Remove the label that says that the new version is there.
    Unlabel { node: NodeId, at: Version },
}

/// What keeps two versions from being beside each other: somebody removed or changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amiss {
    /// The config of the stable version is gone.
    StableConfig,
    /// Its service is gone.
    StableService,
    /// The config of the new version is gone.
    NewConfig,
    /// Its service is gone, or is for other nodes than those that had their turn.
    NewService,
    /// The label of a config says something else than that this rollout goes on.
    Label,
}

impl Moves {
    /// The label of a node that has the new version.
    pub fn label(&self) -> String {
        format!("{}{}", label::ENFORCE_VERSION_ON, self.enforcement)
    }

    /// The constraint of the new version's service.
    pub fn only_new(&self) -> String {
        format!("node.labels.{}=={}", self.label(), self.to)
    }

    /// The constraint of the stable version's service.
    pub fn not_new(&self) -> String {
        format!("node.labels.{}!={}", self.label(), self.to)
    }

    /// Whether a node is labelled for the new version.
    pub fn is_on(&self, node: &Node) -> bool {
        node.labels.get(&self.label()).is_some_and(|version| *version == self.to)
    }

    fn updating(&self, rollout: &RolloutId) -> EnforcementState {
        EnforcementState::Updating { to: self.to.clone(), rollout: rollout.clone() }
    }

    fn coming(&self, rollout: &RolloutId) -> EnforcementState {
        EnforcementState::Coming { from: self.from.clone(), rollout: rollout.clone() }
    }

    /// The steps that remove its label wherever it is.
    pub(crate) fn labelled(&self, nodes: &[Node]) -> Vec<MoveStep> {
        let on = nodes.iter().filter(|node| self.is_on(node));
        on.map(|node| MoveStep::Unlabel { node: node.id.clone(), at: node.version }).collect()
    }
}

impl EnforcerSeen {
    fn has(&self, constraint: &str) -> bool {
        self.constraints.iter().any(|one| without_blanks(one) == constraint)
    }
}

/// Swarm takes `a == b` as `a==b`.
pub fn without_blanks(constraint: &str) -> String {
    constraint.chars().filter(|c| !c.is_whitespace()).collect()
}

impl Moving {
    /// Whether the new version is the stable one already, or about to be: no word takes that back.
    pub fn is_promoted(&self) -> bool {
        match self.to.config.as_ref().map(|config| &config.state) {
            Some(EnforcementState::Running {} | EnforcementState::Paused { .. }) => true,
            Some(EnforcementState::Updating { .. } | EnforcementState::Coming { .. }) | None => false,
        }
    }
}

/// The next steps on the way to two versions beside each other; none when they are. The new service is created last: from then on a
/// label takes a node to it, so none that an earlier update left behind may be there.
pub fn lay(
    seen: &Moving,
    moves: &Moves,
    rollout: &RolloutId,
    nodes: &[Node],
) -> Result<Vec<MoveStep>, Amiss> {
    let stable = seen.from.config.as_ref().ok_or(Amiss::StableConfig)?;
    let new = seen.to.config.as_ref().ok_or(Amiss::NewConfig)?;
    let enforcer = seen.from.service.as_ref().ok_or(Amiss::StableService)?;
    let say = |of: &String, at, state| vec![MoveStep::Say { of: of.clone(), at, state }];
    let updating = moves.updating(rollout);
    if stable.state != updating {
        let may = match &stable.state {
            EnforcementState::Running {} => true,
            // An update that ended half way, and is tried again.
            EnforcementState::Updating { to, rollout: _ } => *to == moves.to,
            EnforcementState::Paused { .. } | EnforcementState::Coming { .. } => false,
        };
        return if may { Ok(say(&moves.from, stable.at, updating)) } else { Err(Amiss::Label) };
    }
    let coming = moves.coming(rollout);
    if new.state != coming {
        let may = matches!(&new.state, EnforcementState::Coming { from, .. } if *from == moves.from);
        return if may { Ok(say(&moves.to, new.at, coming)) } else { Err(Amiss::Label) };
    }
    if !enforcer.has(&moves.not_new()) {
        let (of, constraint) = (moves.from.clone(), moves.not_new());
        return Ok(vec![MoveStep::Constrain { of, at: enforcer.at, constraint, present: true }]);
    }
    match &seen.to.service {
        Some(service) if service.has(&moves.only_new()) => Ok(Vec::new()),
        Some(_) => Err(Amiss::NewService),
        None => {
            let left_behind = moves.labelled(nodes);
            let create = MoveStep::CreateService { of: moves.to.clone(), constraint: moves.only_new() };
            Ok(if left_behind.is_empty() { vec![create] } else { left_behind })
        }
    }
}

/// The next steps on the way to the new version as the stable one; none when it is. The old service goes before the new one is for
/// all nodes, and the labels go behind that: never are two versions on one host.
pub fn promote(seen: &Moving, moves: &Moves, nodes: &[Node]) -> Vec<MoveStep> {
    let of = || moves.to.clone();
    let Some(new) = &seen.to.config else { return Vec::new() };
    // Said first: from here there is no way back, whoever goes on.
    if !seen.is_promoted() {
        return vec![MoveStep::Say { of: of(), at: new.at, state: EnforcementState::Running {} }];
    }
    if let Some(old) = &seen.from.service {
        return vec![MoveStep::RemoveService { of: moves.from.clone(), at: old.at }];
    }
    if let Some(service) = seen.to.service.as_ref().filter(|service| service.has(&moves.only_new())) {
        let constraint = moves.only_new();
        return vec![MoveStep::Constrain { of: of(), at: service.at, constraint, present: false }];
    }
    let labelled = moves.labelled(nodes);
    if !labelled.is_empty() {
        return labelled;
    }
    let old = seen.from.config.iter();
    old.map(|old| MoveStep::RemoveConfig { of: moves.from.clone(), at: old.at }).collect()
}

/// The next steps on the way back to the stable version alone; none when nothing of the new one is left. Its service goes first, the
/// labels next, and with them the stable version comes back to those hosts.
pub fn retract(seen: &Moving, moves: &Moves, nodes: &[Node]) -> Vec<MoveStep> {
    if let Some(service) = &seen.to.service {
        return vec![MoveStep::RemoveService { of: moves.to.clone(), at: service.at }];
    }
    let labelled = moves.labelled(nodes);
    if !labelled.is_empty() {
        return labelled;
    }
    if let Some(service) = seen.from.service.as_ref().filter(|service| service.has(&moves.not_new())) {
        let (of, constraint) = (moves.from.clone(), moves.not_new());
        return vec![MoveStep::Constrain { of, at: service.at, constraint, present: false }];
    }
    if let Some(new) = &seen.to.config {
        return vec![MoveStep::RemoveConfig { of: moves.to.clone(), at: new.at }];
    }
    match &seen.from.config {
        Some(StateSeen { at, state: EnforcementState::Updating { .. } }) => {
            vec![MoveStep::Say { of: moves.from.clone(), at: *at, state: EnforcementState::Running {} }]
        }
        Some(_) | None => Vec::new(),
    }
}

impl MoveStep {
    /// Its word, the same as in JSON.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Amiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StableConfig => "somebody removed the config of its stable version",
            Self::StableService => "somebody removed the service of its stable version",
            Self::NewConfig => "somebody removed the config of its new version",
            Self::NewService => "somebody removed the service of its new version, or changed its constraints",
            Self::Label => "the label careen.enforcement of its configs says something else",
        })
    }
}

/// Which version is where while an update goes on or is not through, for `careen enforce status`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VersionsByNode {
    /// The nodes that have the stable version.
    pub stable: Vec<NodeId>,
    /// Those that have the new one.
    pub new: Vec<NodeId>,
    /// Those that had their turn, and whose label somebody removed: they have the stable version again.
    pub unlabelled: Vec<NodeId>,
}

/// Sorts nodes by the version that is for them while this rollout goes on.
pub fn by_node(moves: &Moves, rollout: &RolloutId, nodes: &[Node]) -> VersionsByNode {
    let mut versions = VersionsByNode::default();
    for node in nodes {
        let list = match (moves.is_on(node), had_its_turn(node, rollout)) {
            (true, _) => &mut versions.new,
            (false, true) => &mut versions.unlabelled,
            (false, false) => &mut versions.stable,
        };
        list.push(node.id.clone());
    }
    versions
}

/// Whether the rollout brought the new version to a node, by its label.
fn had_its_turn(node: &Node, rollout: &RolloutId) -> bool {
    let record = NodeRecord::of(node).ok().flatten().filter(|record| record.rollout == *rollout);
    record.is_some_and(|record| match record.state {
        NodeState::Pending => record.generation > 1,
        NodeState::Skipped { .. } => false,
        NodeState::Entering
        | NodeState::Preparing
        | NodeState::Draining { .. }
        | NodeState::Running { .. }
        | NodeState::RestartingEngine
        | NodeState::Rebooting
        | NodeState::Verifying
        | NodeState::Restoring { .. }
        | NodeState::Settling
        | NodeState::Done
        | NodeState::Failed { .. }
        | NodeState::Gone { .. } => true,
    })
}

#[cfg(test)]
mod tests;
