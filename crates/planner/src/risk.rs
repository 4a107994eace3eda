//! What a plan's rollout may hurt, and does not keep it from going on: what would, is a hold or a refusal.

use crate::drain::Goes;
use crate::ids::NodeId;
use crate::indexed::Indexed;
use crate::objects::Node;
use crate::planned::{Meanwhile, NodeLoad, PlannedNode, PlannedWave};
use crate::settle;
use crate::spec::Spec;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What may hurt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "risk")]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum Risk {
    /// Nothing of a service runs until Swarm has started its tasks elsewhere.
    Interrupted {
        service: String,
        /// While these are drained.
        at: Vec<NodeId>,
    },
    /// Tasks of a service have no place until these nodes are back.
    NoPlace { service: String, at: Vec<NodeId> },
    /// Tasks start elsewhere without the data that they wrote there, as allowed.
    WithoutData { service: String, at: Vec<NodeId>, source: String },
    /// Tasks stop when the host or engine goes down: nothing is drained.
    StopsWithTheHost { service: String, at: Vec<NodeId> },
    /// Containers of no service stop with the engine.
    ContainersStop { node: NodeId, containers: Vec<String> },
    /// Containers on overlay networks stay down: Docker does not bring them back.
    ContainersStayDown { node: NodeId, containers: Vec<String> },
    /// What goes over encrypted networks does not arrive between these engines.
    EncryptedApart {
        networks: Vec<String>,
        /// Nodes with an engine of the few that mark encrypted packets in their own way.
        nodes: Vec<NodeId>,
    },
    /// The service has fewer tasks than it should have, before anything is done.
    ShortAlready { service: String, running: u64, desired: u64 },
    /// The node has far more tasks at the end than others have: Swarm moves none back.
    PilesUp {
        node: NodeId,
        now: usize,
        after: usize,
        /// How many half of the nodes have at most.
        median: usize,
    },
}

/// So many tasks above twice the median are many.
const FAR_MORE: usize = 3;

/// All that may hurt, in the order of the kinds.
pub(crate) fn risks(seen: &Indexed<'_>, spec: &Spec, waves: &[PlannedWave], loads: &[NodeLoad]) -> Vec<Risk> {
    let nodes: Vec<&PlannedNode> = waves.iter().flat_map(|wave| &wave.nodes).collect();
    let interrupted = by_service(&nodes, |node| {
        // Of several tasks it is a hold, where gaps are not allowed.
        let tolerated = |service: &&Meanwhile| spec.allow_gaps || service.desired == 1;
        let none = node.meanwhile.iter().filter(|service| service.left == 0).filter(tolerated);
        let down =
            |service: &str| node.tasks.iter().any(|task| task.service == service && is_down(&task.goes));
        none.map(|one| one.service.as_str()).filter(|service| !down(service)).collect()
    });
    let of = |is: fn(&Goes) -> bool| {
        by_service(&nodes, move |node| {
            let tasks = node.tasks.iter().filter(|task| is(&task.goes));
            tasks.map(|task| task.service.as_str()).collect()
        })
    };
    let mut risks = Vec::new();
    risks.extend(interrupted.into_iter().map(|(service, at)| Risk::Interrupted { service, at }));
    // Where gaps are not allowed it is a hold.
    let no_place = of(|goes| matches!(goes, Goes::Nowhere { .. }));
    let no_place = no_place.into_iter().filter(|_| spec.allow_gaps);
    risks.extend(no_place.map(|(service, at)| Risk::NoPlace { service, at }));
    risks.extend(without_data(spec, &nodes));
    let stop = of(|goes| *goes == Goes::StopsWithTheHost);
    risks.extend(stop.into_iter().map(|(service, at)| Risk::StopsWithTheHost { service, at }));
    risks.extend(nodes.iter().filter(|_| spec.touches_engine).flat_map(|node| containers(node)));
    risks.extend(encrypted(seen));
    risks.extend(short(seen));
    let ready = loads.iter().filter(|load| seen.node(&load.node).is_some_and(Node::is_ready));
    risks.extend(piles(ready));
    risks
}

/// Whether a task is told as down already, for another reason.
const fn is_down(goes: &Goes) -> bool {
    match goes {
        Goes::Nowhere { .. } | Goes::StopsWithTheHost => true,
        Goes::Elsewhere { .. } | Goes::Unknown { .. } | Goes::WithTheNode | Goes::Stays => false,
    }
}

/// Services with the nodes at which something is so.
fn by_service<'n>(
    nodes: &[&'n PlannedNode],
    which: impl Fn(&'n PlannedNode) -> BTreeSet<&'n str>,
) -> Vec<(String, Vec<NodeId>)> {
    let mut found: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    for node in nodes {
        for service in which(node) {
            found.entry(service).or_default().push(node.node.clone());
        }
    }
    found.into_iter().map(|(service, at)| (service.to_owned(), at)).collect()
}

/// Where that is not allowed it is a hold.
fn without_data(spec: &Spec, nodes: &[&PlannedNode]) -> Vec<Risk> {
    let mut found: BTreeMap<(&str, &str), Vec<NodeId>> = BTreeMap::new();
    for node in nodes.iter().filter(|_| spec.allow_volume_moves) {
        let left =
            node.tasks.iter().filter_map(|task| Some((&*task.service, task.leaves_behind.as_deref()?)));
        for key in left.collect::<BTreeSet<_>>() {
            found.entry(key).or_default().push(node.node.clone());
        }
    }
    let risk = |((service, source), at): ((&str, &str), Vec<NodeId>)| Risk::WithoutData {
        service: service.to_owned(),
        at,
        source: source.to_owned(),
    };
    found.into_iter().map(risk).collect()
}

/// Containers of no service on one node.
fn containers(node: &PlannedNode) -> Vec<Risk> {
    let stays = |name: &&String| node.plain_on_overlays.contains(*name);
    let (stay, come_back): (Vec<&String>, Vec<&String>) = node.plain_containers.iter().partition(stays);
    let named = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<String>>();
    let (node, stay, come_back) = (node.node.clone(), named(stay), named(come_back));
    let stop =
        (!come_back.is_empty()).then(|| Risk::ContainersStop { node: node.clone(), containers: come_back });
    let down = (!stay.is_empty()).then_some(Risk::ContainersStayDown { node, containers: stay });
    stop.into_iter().chain(down).collect()
}

/// Engines that do not hear each other on encrypted networks (docs/swarm-facts.md).
fn encrypted(seen: &Indexed<'_>) -> Option<Risk> {
    if seen.encrypted_networks.is_empty() {
        return None;
    }
    let ready = seen.nodes.iter().filter(|node| node.is_ready());
    let (odd, others): (Vec<&Node>, Vec<&Node>) = ready.partition(|node| marks_in_its_own_way(&node.engine));
    let nodes = odd.iter().map(|node| node.id.clone()).collect();
    let networks = seen.encrypted_networks.clone();
    (!odd.is_empty() && !others.is_empty()).then_some(Risk::EncryptedApart { networks, nodes })
}

/// 29.0.0 to 29.2.0: moby #51798.
fn marks_in_its_own_way(engine: &str) -> bool {
    let mut parts = engine.split(['.', '-', '+', '~']).map(|part| part.parse::<u32>().ok());
    match [parts.next().flatten(), parts.next().flatten(), parts.next().flatten()] {
        [Some(29), Some(0 | 1), _] => true,
        [Some(29), Some(2), patch] => patch == Some(0),
        _ => false,
    }
}

fn short<'a>(seen: &'a Indexed<'_>) -> impl Iterator<Item = Risk> + 'a {
    let short = seen.services.iter().filter(|one| one.running < one.desired && !settle::is_ignored(one));
    short.map(|one| Risk::ShortAlready {
        service: one.name.clone(),
        running: one.running,
        desired: one.desired,
    })
}

/// Nodes that end with far more tasks than half of the others. What is down has none, and is not counted.
fn piles<'a>(loads: impl Iterator<Item = &'a NodeLoad> + Clone) -> Vec<Risk> {
    let mut sorted: Vec<usize> = loads.clone().map(|load| load.after).collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let far_more = |load: &&NodeLoad| load.after > load.now && load.after >= median * 2 + FAR_MORE;
    let piles = loads.filter(far_more).map(|load| Risk::PilesUp {
        node: load.node.clone(),
        now: load.now,
        after: load.after,
        median,
    });
    piles.collect()
}

impl Risk {
    /// The nodes that it is about: a plan shows them by name.
    pub fn nodes(&self) -> &[NodeId] {
        match self {
            Self::Interrupted { at, .. }
            | Self::NoPlace { at, .. }
            | Self::WithoutData { at, .. }
            | Self::StopsWithTheHost { at, .. } => at,
            Self::EncryptedApart { nodes, .. } => nodes,
            Self::ContainersStop { node, .. }
            | Self::ContainersStayDown { node, .. }
            | Self::PilesUp { node, .. } => std::slice::from_ref(node),
            Self::ShortAlready { .. } => &[],
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |nodes: &[NodeId]| nodes.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(", ");
        match self {
            Self::Interrupted { service, at } => {
                write!(f, "nothing of {service} runs while it moves away from {}", named(at))
            }
            Self::NoPlace { service, at } => {
                write!(f, "{service} cannot run elsewhere: down until {} is back", named(at))
            }
            Self::WithoutData { service, at, source } => {
                write!(f, "{service} starts elsewhere without its data in {source} on {}", named(at))
            }
            Self::StopsWithTheHost { service, at } => write!(
                f,
                "{service} stops with {}: nothing is drained, and Swarm starts it again when it sees that",
                named(at)
            ),
            Self::ContainersStop { node, containers } => {
                write!(
                    f,
                    "containers of no service stop when the engine of {node} does: {}",
                    containers.join(", ")
                )
            }
            Self::ContainersStayDown { node, containers } => write!(
                f,
                "Docker does not start containers on overlay networks again when the engine of {node} is back: {}; \
                 'docker start NAME' does",
                containers.join(", ")
            ),
            Self::EncryptedApart { networks, nodes } => write!(
                f,
                "the engines of {} and those of the other nodes do not hear each other on encrypted networks (29.0.0 to 29.2.0): {}",
                named(nodes),
                networks.join(", ")
            ),
            Self::ShortAlready { service, running, desired } => {
                write!(f, "{service} runs {running} of {desired} tasks already")
            }
            Self::PilesUp { node, now, after, median } => write!(
                f,
                "{node} ends with {after} tasks (now {now}), half of the nodes with {median} at most: Swarm moves none back, \
                 'docker service update --force SERVICE' spreads a service again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Observed;
    use crate::observed::{Mount, MountKind};
    use crate::plan::plan;
    use crate::spec::{DrainPolicy, RebootPolicy};
    use crate::testing::{manager, service, spec, task, worker};

    fn id(name: &str) -> NodeId {
        NodeId(name.into())
    }

    /// A single service, one with data, one that is pinned, and one that is short.
    fn cluster() -> Observed {
        let mut pinned = service("pinned", 1);
        pinned.constraints = vec!["node.hostname==w1".into()];
        let mut data = service("data", 1);
        data.mounts = vec![Mount { kind: MountKind::LocalVolume, source: "pg".into(), read_only: false }];
        let mut short = service("short", 3);
        short.running = 2;
        let mut m1 = manager("m1");
        m1.plain_containers = vec!["attached".into(), "by-hand".into()];
        m1.plain_on_overlays = vec!["attached".into()];
        Observed {
            nodes: vec![m1, worker("w1"), worker("w2")],
            services: vec![pinned, data, short],
            tasks: vec![task("pinned", "w1"), task("data", "w2"), task("short", "w1"), task("short", "w2")],
            ..Observed::default()
        }
    }

    fn told(observed: &Observed, spec: &Spec) -> Vec<String> {
        plan(observed, spec).risks.iter().map(Risk::to_string).collect()
    }

    #[test]
    fn each_kind_is_told_with_its_nodes() {
        let mut spec = Spec { allow_gaps: true, allow_volume_moves: true, ..spec() };
        spec.selection.nodes = vec!["w1".into(), "w2".into(), "m1".into()];
        let told_now = told(&cluster(), &spec);
        for expected in [
            "nothing of data runs while it moves away from w2",
            "pinned cannot run elsewhere: down until w1 is back",
            "data starts elsewhere without its data in pg on w2",
            "containers of no service stop when the engine of m1 does: by-hand",
            "short runs 2 of 3 tasks already",
        ] {
            assert!(told_now.iter().any(|text| text.starts_with(expected)), "{expected}: {told_now:#?}");
        }
        assert!(
            told_now.iter().any(|text| text.contains("'docker start NAME'") && text.contains(": attached"))
        );
        let down = |risk: &Risk| matches!(risk, Risk::Interrupted { service, .. } if service == "pinned");
        assert!(!plan(&cluster(), &spec).risks.iter().any(down), "it is told once");
    }

    #[test]
    fn what_is_held_is_not_at_risk() {
        let told = told(&cluster(), &spec());
        assert!(!told.iter().any(|text| text.contains("without its data")), "{told:#?}");
        let quiet =
            Spec { touches_engine: false, reboot: RebootPolicy::Never, engine_restart: false, ..spec() };
        let told = self::told(&cluster(), &Spec { drain: DrainPolicy::Never, ..quiet });
        assert_eq!(told, ["short runs 2 of 3 tasks already"]);
    }

    #[test]
    fn tasks_pile_up_where_a_node_has_far_more_than_half_of_the_others() {
        let load = |name: &str, now, after| NodeLoad { node: id(name), hostname: name.into(), now, after };
        type Row = (Vec<(usize, usize)>, &'static str);
        let table: [Row; 4] = [
            (vec![(4, 6), (4, 6), (4, 0)], ""),
            (vec![(2, 11), (4, 4), (4, 3), (4, 0)], "a"),
            (vec![(11, 11), (4, 4), (4, 3), (4, 0)], ""),
            (vec![(1, 4), (1, 0)], ""),
        ];
        for (loads, expected) in table {
            let loads: Vec<NodeLoad> = loads
                .iter()
                .zip(["a", "b", "c", "d"])
                .map(|((now, after), name)| load(name, *now, *after))
                .collect();
            let piles = piles(loads.iter());
            let nodes: String = piles.iter().flat_map(Risk::nodes).map(|id| id.0.as_str()).collect();
            assert_eq!(nodes, expected, "{loads:?}");
        }
    }

    #[test]
    fn engines_that_do_not_hear_each_other_on_encrypted_networks() {
        let table = [
            ("28.5.2", "29.1.3", true),
            ("28.5.2", "29.0.0-rc.1", true),
            ("29.3.1", "29.2.0", true),
            ("29.1.3", "29.0.1", false),
            ("28.5.2", "29.2.1", false),
            ("20.10.24+dfsg1", "26.1.5", false),
        ];
        for (one, other, apart) in table {
            let mut observed = Observed { nodes: vec![worker("w1"), worker("w2")], ..Observed::default() };
            (observed.nodes[0].engine, observed.nodes[1].engine) = (one.into(), other.into());
            observed.encrypted_networks = vec!["secret".into()];
            assert_eq!(encrypted(&Indexed::of(&observed)).is_some(), apart, "{one} {other}");
            observed.encrypted_networks.clear();
            assert_eq!(encrypted(&Indexed::of(&observed)), None);
        }
    }

    #[test]
    fn a_risk_is_read_as_it_was_written() {
        let risks = plan(&cluster(), &Spec { allow_gaps: true, ..spec() }).risks;
        let json = serde_json::to_string(&risks).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Risk>>(&json).unwrap(), risks);
    }
}
