//! What a rollout would do, for `careen plan`: asked of the same functions that the controller asks, and nothing is
//! changed.

use crate::ahead::Ahead;
use crate::availability;
use crate::estimate::{Estimate, Took, estimate};
use crate::hold::Hold;
use crate::ids::{NodeId, RolloutId, ServiceId};
use crate::image_places::{NotPullable, OtherPlatform};
use crate::indexed::Indexed;
use crate::observed::{Expectation, Node, Observed, Reachability};
use crate::order;
use crate::parallelism::Parallelism;
use crate::participants::Participant;
pub use crate::planned::{Meanwhile, NodeLoad, PlannedDrain, PlannedNode, PlannedWave, QuorumStep};
use crate::quorum;
pub use crate::risk::Risk;
use crate::risk::risks;
use crate::selection::select;
use crate::spec::{Policy, RebootPolicy, Spec};
use crate::state::{NodeRecord, Skip};
use crate::surge;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a rollout would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the field's name says it")]
pub struct Plan {
    pub rollout: RolloutId,
    /// Whether it goes the short way ([`crate::short`]).
    #[serde(default)]
    pub short: bool,
    /// How many nodes may be in maintenance together.
    pub places: usize,
    /// In the order in which they are worked on.
    pub waves: Vec<PlannedWave>,
    /// How long it takes.
    pub estimate: Estimate,
    /// What may hurt, and does not keep it from going on.
    #[serde(default)]
    pub risks: Vec<Risk>,
    /// How many tasks each node of the swarm has, now and at the end.
    #[serde(default)]
    pub loads: Vec<NodeLoad>,
    /// Nodes that were meant and cannot be worked on.
    pub skipped: Vec<SkippedNode>,
    /// Why it would be refused. Empty when it would not.
    pub refusals: Vec<PlanRefusal>,
    /// What an operator should know before.
    pub warnings: Vec<Warning>,
}

/// A node that was meant and cannot be worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct SkippedNode {
    pub node: NodeId,
    pub hostname: String,
    pub why: Skip,
    /// What its operator says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a rollout would be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "refusal")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum PlanRefusal {
    /// No node is left to work on.
    NoNodes,
    /// A node was named that is not there.
    NoSuchNode { name: String },
    /// Several nodes are called so.
    AmbiguousNode { name: String, ids: Vec<NodeId> },
    /// A constraint cannot be understood.
    BadConstraint { text: String },
    /// Until when a node is excluded cannot be understood.
    BadExclude { node: NodeId, text: String },
    /// No node at a time is no rollout.
    ParallelismZero,
    /// The command is declared to leave the engine alone, and hosts are to be rebooted, or engines restarted.
    EngineIsTouched,
    /// Nobody leads, so nothing that is seen of the managers counts.
    NoLeader,
    /// Too few managers would be left.
    QuorumAtRisk {
        /// While this one is down.
        node: NodeId,
        /// The managers while it is down.
        step: QuorumStep,
    },
    /// The manager would ask for a key after its reboot.
    AutolockedReboot { node: NodeId },
    /// The manager would stay locked after an engine restart.
    AutolockedEngine { node: NodeId },
    /// The given key is not the swarm's.
    WrongUnlockKey,
    /// There is no such secret.
    NoSuchSecret { name: String },
    /// The image is not made for careen.
    ImageLacks {
        image: String,
        /// Files that it has to have.
        files: Vec<String>,
    },
    /// The image is made for another careen.
    ImageOfAnother {
        image: String,
        /// Its number; none when it has none.
        has: Option<String>,
        /// The number that this careen wants.
        wants: String,
    },
    /// A node's label cannot be read.
    CorruptRecord {
        node: NodeId,
        /// The label's value, at most 120 characters of it.
        text: String,
    },
    /// The image is not made for these nodes.
    OtherPlatform(OtherPlatform),
}

/// What an operator should know before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "warning")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Warning {
    /// The swarm has no manager while its only one is down.
    OnlyManager { node: NodeId },
    /// It was asked for.
    QuorumLoss {
        /// While this one is down.
        node: NodeId,
    },
    /// Autolocked managers are not rebooted.
    NoRebootOfAutolocked { node: NodeId },
    /// Somebody has to type the key on this host.
    UnlockByHand { node: NodeId },
    /// It is down: its turn is the last.
    NodeDown { node: NodeId },
    /// The controller runs from another image than the payload's, which is on the asked manager and perhaps nowhere else.
    ControllerStays { image: String },
    /// An earlier rollout left it so.
    LeftBehind {
        node: NodeId,
        rollout: RolloutId,
        /// Whether it left the node drained, or paused.
        #[serde(default)]
        drained: bool,
    },
    /// No node can pull the image.
    NotPullable(NotPullable),
    /// Services are scaled up before drains, and what they were given back is what a rollback of theirs finds.
    Surges {
        /// By their names.
        services: Vec<String>,
    },
}

impl Plan {
    /// Whether a run would be refused (exit code 6).
    pub fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// The same with an estimate by what earlier rollouts took, the newest first.
    #[must_use]
    pub fn in_the_light_of(mut self, policy: &Policy, past: &[Took]) -> Self {
        let of_wave = |wave: &PlannedWave| wave.nodes.iter().map(|node| node.node.clone()).collect();
        let waves: Vec<order::Wave> = self.waves.iter().map(of_wave).collect();
        self.estimate = estimate(policy, &waves, past);
        self
    }
}

/// The controller's program, in careen's image and in those that are built from it.
pub const CONTROLLER: &str = "/careen-controller";

/// What this rollout would do, as it is stored, to the swarm as it was seen. Nothing is changed.
pub fn plan(observed: &Observed, spec: &Spec) -> Plan {
    plan_with(observed, spec, spec.unlock_key.is_some(), &BTreeMap::new())
}

/// Plans a rollout that is not in the swarm yet. `has_key` is whether managers can be unlocked: with a secret that the spec names, or
/// with a key that comes with the rollout; `expected` what is known of the hosts that were asked.
pub fn plan_with(
    observed: &Observed,
    spec: &Spec,
    has_key: bool,
    expected: &BTreeMap<NodeId, Expectation>,
) -> Plan {
    let mut plan = Plan {
        rollout: spec.id.clone(),
        short: crate::short::is_short(spec),
        places: 0,
        waves: Vec::new(),
        estimate: Estimate::default(),
        risks: Vec::new(),
        loads: Vec::new(),
        skipped: Vec::new(),
        refusals: refusals_of_spec(observed, spec),
        warnings: Vec::new(),
    };
    let seen = &Indexed::of(observed);
    let selected = match select(observed, spec) {
        Ok(selected) => selected,
        Err(invalid) => {
            plan.refusals.push(PlanRefusal::BadConstraint { text: invalid.given });
            return plan;
        }
    };
    let skipped = |(node, why): &(&Node, Skip)| SkippedNode {
        node: node.id.clone(),
        hostname: node.hostname.clone(),
        why: *why,
        reason: spec.selection.exclude.get(&node.id).cloned().filter(|reason| !reason.is_empty()),
    };
    plan.skipped = selected.skipped.iter().map(skipped).collect();
    if selected.nodes.is_empty() {
        plan.refusals.push(PlanRefusal::NoNodes);
    }
    if quorum::count(seen).is_none() {
        plan.refusals.push(PlanRefusal::NoLeader);
    }
    let participants: Vec<Participant> =
        selected.nodes.iter().map(|node| Participant::of(node, spec, None)).collect();
    plan.places = order::places(spec, &participants);
    let surging: BTreeMap<NodeId, BTreeMap<ServiceId, u64>> =
        selected.nodes.iter().map(|node| (node.id.clone(), surge::wanted(seen, spec, node))).collect();
    // What each wave finds is what those before it leave: tasks do not move back by themselves.
    let mut ahead = Ahead::of(seen, spec, expected);
    for wave in order::waves(spec, &participants) {
        let nodes: Vec<&Node> = wave.iter().filter_map(|id| seen.node(id)).collect();
        for node in &nodes {
            look_at(seen, spec, has_key, node, &mut plan);
        }
        let quorum = nodes.iter().filter(|_| spec.touches_engine).find_map(|node| step(seen, node));
        plan.waves.push(PlannedWave { nodes: ahead.wave(&nodes), quorum });
    }
    plan.loads = ahead.loads();
    plan.risks = risks(seen, spec, &plan.waves, &plan.loads);
    plan.warnings.extend(surges(seen, &surging, &plan));
    plan.in_the_light_of(&spec.policy, &[])
}

/// What is scaled up before drains, as things are now.
fn surges(
    seen: &Indexed<'_>,
    of: &BTreeMap<NodeId, BTreeMap<ServiceId, u64>>,
    plan: &Plan,
) -> Option<Warning> {
    let drained = |node: &&PlannedNode| matches!(node.drain, PlannedDrain::Yes | PlannedDrain::IfNeeded);
    let nodes = plan.waves.iter().flat_map(|wave| &wave.nodes).filter(drained);
    let services: BTreeSet<&ServiceId> =
        nodes.filter_map(|node| of.get(&node.node)).flat_map(BTreeMap::keys).collect();
    let mut services: Vec<String> =
        services.into_iter().filter_map(|id| Some(seen.service(id)?.name.clone())).collect();
    services.sort();
    (!services.is_empty()).then_some(Warning::Surges { services })
}

/// Whether a name does not say which node is meant. An id does, whatever hosts are called.
pub(crate) fn names_no_node(observed: &Observed, given: &str) -> Option<PlanRefusal> {
    if observed.nodes.iter().any(|node| node.id.0 == given) {
        return None;
    }
    let named = observed.nodes.iter().filter(|node| node.hostname == given);
    let ids: Vec<NodeId> = named.map(|node| node.id.clone()).collect();
    match ids.len() {
        0 => Some(PlanRefusal::NoSuchNode { name: given.to_owned() }),
        1 => None,
        _ => Some(PlanRefusal::AmbiguousNode { name: given.to_owned(), ids }),
    }
}

fn refusals_of_spec(observed: &Observed, spec: &Spec) -> Vec<PlanRefusal> {
    let mut refusals: Vec<PlanRefusal> =
        spec.selection.nodes.iter().filter_map(|name| names_no_node(observed, name)).collect();
    if spec.policy.parallelism == Parallelism::Nodes(0) {
        refusals.push(PlanRefusal::ParallelismZero);
    }
    if !spec.touches_engine && (spec.restarts || spec.engine_restart || spec.reboot != RebootPolicy::Never) {
        refusals.push(PlanRefusal::EngineIsTouched);
    }
    let spread = spec.selection.spread.as_ref();
    let no_key = |key: &&String| {
        observed.nodes.first().is_some_and(|node| crate::constraint::value_of(key, node).is_none())
    };
    refusals.extend(spread.filter(no_key).map(|key| PlanRefusal::BadConstraint { text: key.clone() }));
    refusals
}

/// The managers while this one is down; `None` for a worker, and when nobody leads.
fn step(seen: &Indexed<'_>, node: &Node) -> Option<QuorumStep> {
    let quorum = node.is_manager().then(|| quorum::count(seen)).flatten()?;
    Some(QuorumStep {
        members: quorum.members,
        left: quorum.reachable - usize::from(takes_part(node)),
        needed: quorum.members / 2 + 1,
    })
}

fn takes_part(node: &Node) -> bool {
    node.manager.is_some_and(|manager| manager.reachability == Reachability::Reachable)
}

/// Refusals and warnings about one node.
fn look_at(seen: &Indexed<'_>, spec: &Spec, has_key: bool, node: &Node, plan: &mut Plan) {
    let id = || node.id.clone();
    if let Some(step) = step(seen, node).filter(|_| spec.touches_engine) {
        // One that is off already takes nothing away.
        let at_risk = takes_part(node) && quorum::may_go_down(seen, node, false).is_err();
        if step.members == 1 {
            plan.warnings.push(Warning::OnlyManager { node: id() });
        } else if at_risk && spec.allow_quorum_loss {
            plan.warnings.push(Warning::QuorumLoss { node: id() });
        } else if at_risk {
            plan.refusals.push(PlanRefusal::QuorumAtRisk { node: id(), step });
        }
    }
    if seen.autolock && node.is_manager() && spec.reboot != RebootPolicy::Never {
        match (spec.unlock_by_hand, spec.reboot) {
            (true, _) => plan.warnings.push(Warning::UnlockByHand { node: id() }),
            (false, RebootPolicy::Always) => plan.refusals.push(PlanRefusal::AutolockedReboot { node: id() }),
            (false, RebootPolicy::Never | RebootPolicy::Asked | RebootPolicy::Auto) => {
                plan.warnings.push(Warning::NoRebootOfAutolocked { node: id() });
            }
        }
    }
    let unlocks = has_key || spec.unlock_by_hand;
    if seen.autolock && node.is_manager() && spec.engine_restart && !unlocks {
        plan.refusals.push(PlanRefusal::AutolockedEngine { node: id() });
    }
    if !node.is_ready() {
        plan.warnings.push(Warning::NodeDown { node: id() });
    }
    match NodeRecord::of(node) {
        Err(corrupt) => plan.refusals.push(PlanRefusal::CorruptRecord { node: id(), text: corrupt.text }),
        // While it goes on it has nodes that are done, too: those it does not leave behind.
        Ok(Some(record))
            if record.rollout != spec.id
                && matches!(record.state, crate::state::NodeState::Failed { .. }) =>
        {
            let drained = availability::left_by_another(seen, node, &spec.id).is_some();
            plan.warnings.push(Warning::LeftBehind { node: id(), rollout: record.rollout, drained });
        }
        Ok(Some(_) | None) => {}
    }
}

const ENGINE_IS_TOUCHED: &str = "--touches-engine no says that every engine is left alone, and a reboot ends it: leave one of the two out";

fn lacks(image: &str, files: &[String]) -> String {
    let or = match files {
        [only] if only == CONTROLLER => {
            ", or say with --controller-image from which of careen's images the controller runs"
        }
        _ => "",
    };
    let files = files.join(" and no ");
    format!(
        "the image {image} has no {files}: build it FROM careen/installer, with the command below /install{or}"
    )
}

impl fmt::Display for PlanRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => f.write_str("no node is left to work on"),
            Self::NoSuchNode { name } => write!(f, "there is no node '{name}'"),
            Self::AmbiguousNode { name, ids } => {
                let ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
                write!(
                    f,
                    "{} nodes are called '{name}': say which by its id, {}",
                    ids.len(),
                    ids.join(" or ")
                )
            }
            Self::BadConstraint { text } => write!(f, "'{text}' is no placement constraint or key of one"),
            Self::BadExclude { node, text } => {
                write!(
                    f,
                    "the label careen.exclude.until of {node} says '{text}', which is no day (2026-12-24)"
                )
            }
            Self::EngineIsTouched => f.write_str(ENGINE_IS_TOUCHED),
            Self::ParallelismZero => f.write_str("parallelism 0: no node at a time is no rollout"),
            Self::NoLeader => write!(f, "{}", Hold::NoLeader),
            Self::QuorumAtRisk { node, step } => write!(
                f,
                "without {node} only {} of {} managers would take part, {} must; --allow-quorum-loss if you mean it",
                step.left, step.members, step.needed
            ),
            Self::AutolockedReboot { node } => write!(
                f,
                "{node} would ask for the swarm's unlock key after its reboot: --unlock-by-hand, or --reboot auto"
            ),
            Self::AutolockedEngine { node } => write!(
                f,
                "{node} would stay locked after an engine restart: give the unlock key (--unlock-key-file, \
                 CAREEN_UNLOCK_KEY or --unlock-key-secret), or --engine-restart never"
            ),
            Self::WrongUnlockKey => {
                f.write_str("the unlock key is not this swarm's: 'docker swarm unlock-key' shows it")
            }
            Self::NoSuchSecret { name } => write!(f, "there is no secret '{name}' in the swarm"),
            Self::ImageLacks { image, files } => f.write_str(&lacks(image, files)),
            Self::ImageOfAnother { image, has, wants } => write!(
                f,
                "the image {image} is made for another careen: its label careen.protocol is {}, and this one wants {wants}; build \
                 it FROM careen/installer of this version",
                has.as_deref().unwrap_or("missing")
            ),
            Self::CorruptRecord { node, text } => {
                write!(
                    f,
                    "the label careen.node of {node} says '{text}', which this version does not understand"
                )
            }
            Self::OtherPlatform(other) => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyManager { node } => {
                write!(f, "{node} is the only manager: the swarm stands still while it is down")
            }
            Self::QuorumLoss { node } => {
                write!(f, "the swarm loses its quorum while {node} is down, as allowed")
            }
            Self::NoRebootOfAutolocked { node } => {
                write!(
                    f,
                    "{node} is not rebooted: it would ask for the swarm's unlock key (--unlock-by-hand)"
                )
            }
            Self::UnlockByHand { node } => {
                write!(f, "after a reboot of {node} somebody has to type the unlock key there")
            }
            Self::NodeDown { node } => {
                write!(
                    f,
                    "{node} is down: its turn is the last, and it fails if it does not come back for it"
                )
            }
            Self::ControllerStays { image } => write!(
                f,
                "the image {image} has no controller, so it runs from careen's own on this manager alone, beside the swarm: it \
                 comes back with this engine, and nobody takes its place while it is away (--controller-image names an image \
                 that every manager can pull)"
            ),
            Self::LeftBehind { node, rollout, drained: false } => {
                write!(f, "the rollout {rollout} failed on {node} and left it as it is")
            }
            Self::Surges { services } => write!(
                f,
                "before a node with their tasks is drained these services are scaled up, and back when all of it runs elsewhere: {}; \
                 'docker service rollback' then leads to the number of tasks that they had meanwhile (--surge, careen.surge)",
                services.join(", ")
            ),
            Self::LeftBehind { node, rollout, drained: true } => write!(
                f,
                "the rollout {rollout} failed on {node} and left it drained: a success there gives it back, or \
                 'careen restore {node}' now"
            ),
            Self::NotPullable(nodes) => write!(f, "{nodes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Availability, Mode, Mount, MountKind, NodeStatus, Service};
    use crate::state::Taken;
    use crate::testing::{manager, service, spec, task, worker};
    use careen_contract::label;

    fn cluster() -> Observed {
        let mut data = service("data", 1);
        data.mounts = vec![Mount { kind: MountKind::LocalVolume, source: "pg".into(), read_only: false }];
        let global = Service { mode: Mode::Global, ..service("global", 4) };
        Observed {
            nodes: vec![manager("m1"), manager("m2"), manager("m3"), worker("w1"), worker("w2")],
            services: vec![service("web", 2), data, global],
            tasks: vec![task("web", "w1"), task("web", "w2"), task("data", "w2")],
            ..Observed::default()
        }
    }

    #[test]
    fn a_plan_says_order_drain_moves_and_quorum() {
        let plan = plan(&cluster(), &spec());
        assert!(!plan.is_refused(), "{:?}", plan.refusals);
        let order: Vec<&str> = plan.waves.iter().map(|wave| wave.nodes[0].hostname.as_str()).collect();
        assert_eq!(order, ["w1", "w2", "m2", "m3", "m1"]);
        assert_eq!(plan.waves[0].quorum, None);
        assert_eq!(plan.waves[4].quorum, Some(QuorumStep { members: 3, left: 2, needed: 2 }));
        let w2 = &plan.waves[1].nodes[0];
        assert_eq!(w2.drain, PlannedDrain::IfNeeded);
        assert_eq!(w2.tasks.len(), 2);
        assert!(matches!(&w2.holds[..], [Hold::VolumeWouldMove { service, .. }] if service == "data"));
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn what_hosts_say_decides_who_is_drained() {
        let expected = [("w1", Expectation::No), ("m2", Expectation::Yes), ("m3", Expectation::Unknown)]
            .map(|(node, expectation)| (NodeId(node.into()), expectation));
        let drains = |drain| {
            let spec = Spec { drain, ..spec() };
            let plan = plan_with(&cluster(), &spec, false, &expected.clone().into());
            let nodes = plan.waves.into_iter().flat_map(|wave| wave.nodes);
            nodes.map(|node| (node.hostname, node.drain, node.tasks.len())).collect::<Vec<_>>()
        };
        use crate::spec::DrainPolicy::{Always, Auto, Never};
        let of = |node: &str, drain, tasks| (node.to_owned(), drain, tasks);
        let auto = drains(Auto);
        assert_eq!(auto[0], of("w1", PlannedDrain::NotExpected, 0), "its task stays");
        assert_eq!(auto[1], of("w2", PlannedDrain::IfNeeded, 2));
        assert_eq!((auto[2].1, auto[3].1), (PlannedDrain::Yes, PlannedDrain::IfNeeded));
        assert!(drains(Always).iter().all(|(_, drain, _)| *drain == PlannedDrain::Yes));
        assert!(drains(Never).iter().all(|(_, drain, _)| *drain == PlannedDrain::No));
    }

    #[test]
    fn a_plan_looks_ahead_at_what_earlier_waves_leave() {
        let mut observed = cluster();
        observed.nodes.retain(|node| !node.is_manager());
        observed.services.truncate(1);
        observed.tasks.truncate(2);
        observed.nodes.insert(0, manager("m1"));
        observed.nodes[0].availability = Availability::Drain;
        let plan = plan(&observed, &spec());
        assert!(plan.waves[0].nodes[0].holds.is_empty(), "w2 serves meanwhile");
        let w2 = &plan.waves[1].nodes[0];
        assert_eq!(w2.holds, [Hold::AtZero { service: "web".into() }], "both tasks are there by then");
        assert_eq!(w2.tasks.len(), 2);
    }

    #[test]
    fn what_another_rollout_left_is_a_warning_when_it_ended_and_a_hold_when_it_did_not() {
        let mut observed = cluster();
        let other = RolloutId::parse("other").unwrap();
        let mut left = |index: usize, state| {
            let record = NodeRecord { state, ..NodeRecord::new(&other, 1) };
            observed.nodes[index].labels.insert(label::NODE.into(), record.encode());
        };
        let (during, reason) = (crate::state::StateName::Running, crate::state::Reason::Exit(1));
        let failed = crate::state::NodeState::Failed { during, reason };
        left(3, failed.clone());
        left(4, crate::state::NodeState::Preparing);
        left(0, crate::state::NodeState::Done);
        let plan = plan(&observed, &spec());
        let warning =
            |drained| Warning::LeftBehind { node: NodeId("w1".into()), rollout: other.clone(), drained };
        assert_eq!(plan.warnings, [warning(false)]);
        assert!(plan.waves[0].nodes[0].holds.is_empty());
        assert_eq!(plan.waves[1].nodes[0].holds[0], Hold::OtherRollout { rollout: other.clone() });
        // What careen drained is not kept so by its operator.
        let taken = Some(Taken { was: Availability::Active, set: Availability::Drain });
        let record = NodeRecord { state: failed, taken, ..NodeRecord::new(&other, 1) };
        observed.nodes[3].labels.insert(label::NODE.into(), record.encode());
        observed.nodes[3].availability = Availability::Drain;
        let drained = crate::plan(&observed, &spec());
        assert_eq!(drained.waves[0].nodes[0].drain, PlannedDrain::IfNeeded);
        assert_eq!(drained.warnings, [warning(true)]);
        assert!(drained.warnings[0].to_string().contains("'careen restore w1'"));
    }

    #[test]
    fn a_node_that_is_kept_drained_says_what_it_attracts() {
        let mut observed = cluster();
        observed.nodes[4].availability = Availability::Drain;
        observed.services[0].running = 1;
        observed.nodes[3].status = NodeStatus::Down;
        let plan = plan(&observed, &spec());
        let w2 = &plan.waves[0].nodes[0];
        assert_eq!(w2.drain, PlannedDrain::Kept);
        assert_eq!(w2.attracts, ["web", "global"]);
        let last = &plan.waves[4].nodes[0];
        assert_eq!((last.hostname.as_str(), &last.holds[..]), ("w1", &[Hold::NodeDown][..]));
        assert_eq!(plan.warnings, [Warning::NodeDown { node: NodeId("w1".into()) }]);
    }

    #[test]
    fn what_is_refused() {
        let text = |observed: &Observed, spec: &Spec| {
            let refusals = plan(observed, spec).refusals;
            refusals.iter().map(PlanRefusal::to_string).collect::<Vec<_>>().join("; ")
        };
        let mut observed = cluster();
        let mut spec = spec();
        spec.policy.parallelism = Parallelism::Nodes(0);
        spec.selection.nodes = vec!["nobody".into()];
        let said = text(&observed, &spec);
        // One that joined anew, and what Swarm still has of it from before.
        let mut twice = cluster();
        let ghost = Node { id: NodeId("ghost".into()), ..twice.nodes[0].clone() };
        let (id, name) = (twice.nodes[0].id.0.clone(), ghost.hostname.clone());
        twice.nodes.push(ghost);
        let named = |given: &str| {
            let selection = crate::spec::Selection { nodes: vec![given.into()], ..spec.selection.clone() };
            text(&twice, &Spec { selection, ..crate::testing::spec() })
        };
        let ambiguous = format!("2 nodes are called '{name}': say which by its id, {id} or ghost");
        assert!(id == name || named(&name).contains(&ambiguous), "{}", named(&name));
        assert!(!named("ghost").contains("are called"));
        for part in ["parallelism 0", "no node 'nobody'", "no node is left"] {
            assert!(said.contains(part), "{said}");
        }
        let spec = crate::testing::spec();
        observed.nodes.remove(2);
        assert!(text(&observed, &spec).contains("without m2 only 1 of 2 managers"), "two managers");
        let allowed = Spec { allow_quorum_loss: true, ..spec.clone() };
        assert!(!plan(&observed, &allowed).is_refused());
        assert_eq!(plan(&observed, &allowed).warnings.len(), 2);
        observed.nodes.remove(1);
        let one = plan(&observed, &spec);
        assert!(!one.is_refused() && one.warnings == [Warning::OnlyManager { node: NodeId("m1".into()) }]);
        observed.nodes[0].manager = None;
        assert!(text(&observed, &spec).contains("the managers have no leader"));
        let mut spread = spec.clone();
        spread.selection.spread = Some("zone".into());
        assert!(text(&cluster(), &spread).contains("'zone'"));
        let mut corrupt = cluster();
        corrupt.nodes[3].labels.insert("careen.node".into(), "9 later".into());
        assert!(text(&corrupt, &spec).contains("'9 later'"));
    }

    #[test]
    fn autolocked_managers() {
        let mut observed = cluster();
        observed.autolock = true;
        let mut spec = spec();
        let refused = plan(&observed, &spec).refusals;
        let engine = |refusal: &&PlanRefusal| matches!(refusal, PlanRefusal::AutolockedEngine { .. });
        assert_eq!(refused.iter().filter(engine).count(), 3, "{refused:?}");
        spec.engine_restart = false;
        assert!(!plan(&observed, &spec).is_refused(), "engines are left alone");
        spec.engine_restart = true;
        spec.unlock_key = Some(crate::spec::UnlockKey { id: "s".into(), name: "key".into() });
        assert!(!plan(&observed, &spec).is_refused());
        assert_eq!(plan(&observed, &spec).warnings.len(), 3);
        spec.reboot = RebootPolicy::Always;
        assert_eq!(plan(&observed, &spec).refusals.len(), 3);
        spec.unlock_by_hand = true;
        assert!(!plan(&observed, &spec).is_refused());
        spec.reboot = RebootPolicy::Never;
        assert!(plan(&observed, &spec).warnings.is_empty());
    }
}
