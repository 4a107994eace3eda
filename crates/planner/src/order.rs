//! Which nodes, in which waves. The same for `careen plan` and for the controller.

use crate::constraint::{self, Constraint, InvalidConstraint};
use crate::ids::NodeId;
use crate::observed::{Node, Observed};
use crate::spec::{NodeOrder, Spec};
use crate::state::Skip;

/// Nodes that may be in maintenance together.
pub type Wave = Vec<NodeId>;

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selected<'a> {
    /// Those that are worked on.
    pub nodes: Vec<&'a Node>,
    /// Those that were meant and cannot be worked on.
    pub skipped: Vec<(&'a Node, Skip)>,
}

/// The lowest API version that everything careen needs is in.
pub const OLDEST_API: (u32, u32) = (1, 41);

/// The nodes that a rollout is about.
pub fn select<'a>(observed: &'a Observed, spec: &Spec) -> Result<Selected<'a>, InvalidConstraint> {
    let constraints = spec.selection.constraints.iter().map(|text| Constraint::parse(text));
    let constraints = constraints.collect::<Result<Vec<_>, _>>()?;
    let mut selected = Selected::default();
    for node in &observed.nodes {
        let named = spec.selection.names(&node.id, &node.hostname);
        if !named || !constraints.iter().all(|constraint| constraint.fits(node)) {
            continue;
        }
        match unfit(node) {
            Some(why) => selected.skipped.push((node, why)),
            None => selected.nodes.push(node),
        }
    }
    Ok(selected)
}

fn unfit(node: &Node) -> Option<Skip> {
    if node.os == "windows" {
        Some(Skip::Windows)
    } else if node.api < OLDEST_API {
        Some(Skip::OldEngine)
    } else {
        None
    }
}

/// All waves, nodes that are through included: so a wave keeps its nodes while the rollout goes on. Canaries, workers
/// of one zone after the other, then managers one by one: the controller's node next to last, the leader last.
pub fn waves(observed: &Observed, spec: &Spec, nodes: &[&Node]) -> Vec<Wave> {
    let (mut managers, mut workers): (Vec<&Node>, Vec<&Node>) =
        nodes.iter().partition(|node| node.is_manager());
    let zone = |node: &Node| zone_of(spec, node).to_owned();
    workers.sort_by_key(|node| (zone(node), node.hostname.clone(), node.id.clone()));
    let controller = observed.controller.as_ref().map(|place| &place.node);
    managers.sort_by_key(|node| {
        (node.is_leader(), controller == Some(&node.id), zone(node), node.hostname.clone(), node.id.clone())
    });
    let alone = |nodes: &[&Node]| nodes.iter().map(|node| vec![node.id.clone()]).collect::<Vec<Wave>>();
    let canaries = spec.policy.canaries.min(workers.len());
    let mut of_workers = alone(&workers[..canaries]);
    for zone in workers[canaries..].chunk_by(|a, b| zone_of(spec, a) == zone_of(spec, b)) {
        let waves = zone.chunks(spec.policy.parallelism.max(1));
        of_workers.extend(waves.map(|wave| wave.iter().map(|node| node.id.clone()).collect::<Wave>()));
    }
    let of_managers = alone(&managers);
    match spec.policy.order {
        NodeOrder::WorkersFirst => [of_workers, of_managers].concat(),
        NodeOrder::ManagersFirst => [of_managers, of_workers].concat(),
    }
}

fn zone_of<'a>(spec: &Spec, node: &'a Node) -> &'a str {
    spec.selection.spread.as_deref().and_then(|key| constraint::value_of(key, node)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::ControllerPlace;
    use crate::testing::{manager, spec, worker};

    fn cluster() -> Observed {
        let mut nodes = vec![manager("m1"), manager("m2"), manager("m3")];
        nodes[0].manager.as_mut().unwrap().leader = true;
        nodes[1].manager.as_mut().unwrap().leader = false;
        nodes[2].manager.as_mut().unwrap().leader = false;
        for (name, zone) in [("w4", "b"), ("w1", "a"), ("w3", "a"), ("w2", "a"), ("w5", "b")] {
            let mut node = worker(name);
            node.labels.insert("zone".into(), zone.into());
            nodes.push(node);
        }
        let controller = Some(ControllerPlace { node: NodeId("m2".into()), movable: true });
        Observed { nodes, controller, ..Observed::default() }
    }

    fn text(observed: &Observed, spec: &Spec) -> String {
        let selected = select(observed, spec).unwrap();
        let waves = waves(observed, spec, &selected.nodes);
        let words =
            waves.iter().map(|wave| wave.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join("+"));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn canary_workers_managers_the_controllers_node_and_the_leader() {
        let mut spec = spec();
        assert_eq!(text(&cluster(), &spec), "w1 w2 w3 w4 w5 m3 m2 m1");
        spec.policy.parallelism = 2;
        assert_eq!(text(&cluster(), &spec), "w1 w2+w3 w4+w5 m3 m2 m1");
        spec.policy.canaries = 0;
        spec.policy.order = NodeOrder::ManagersFirst;
        assert_eq!(text(&cluster(), &spec), "m3 m2 m1 w1+w2 w3+w4 w5");
    }

    #[test]
    fn one_wave_has_nodes_of_one_zone() {
        let mut spec = spec();
        spec.policy.parallelism = 4;
        spec.policy.canaries = 0;
        assert_eq!(text(&cluster(), &spec), "w1+w2+w3+w4 w5 m3 m2 m1");
        spec.selection.spread = Some("node.labels.zone".into());
        assert_eq!(text(&cluster(), &spec), "w1+w2+w3 w4+w5 m3 m2 m1");
    }

    #[test]
    fn selection_by_name_and_constraint_and_what_cannot_be_worked_on() {
        let mut spec = spec();
        spec.selection.nodes = vec!["w1".into(), "m1".into()];
        assert_eq!(text(&cluster(), &spec), "w1 m1");
        spec.selection.constraints = vec!["node.role==worker".into()];
        assert_eq!(text(&cluster(), &spec), "w1");
        let mut observed = cluster();
        observed.nodes[4].os = "windows".into();
        let selected = select(&observed, &spec).unwrap();
        assert!(selected.nodes.is_empty());
        assert_eq!(selected.skipped[0].1, Skip::Windows);
        spec.selection.constraints = vec!["w1".into()];
        assert!(select(&observed, &spec).is_err());
    }
}
