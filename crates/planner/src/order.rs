//! Which nodes, in which waves. The same for `careen plan` and for the controller.

use crate::constraint::{Constraint, InvalidConstraint};
use crate::ids::NodeId;
use crate::observed::{Node, Observed, Role};
use crate::participants::Participant;
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

/// All waves, nodes that are through or gone included: so a wave keeps its nodes while the rollout goes on. Canaries,
/// workers of one zone after the other, then managers one by one: the controller's node next to last, the leader last.
pub fn waves(observed: &Observed, spec: &Spec, participants: &[Participant]) -> Vec<Wave> {
    let (mut managers, mut workers): (Vec<&Participant>, Vec<&Participant>) =
        participants.iter().filter(|node| node.skip.is_none()).partition(|node| node.role == Role::Manager);
    workers.sort_by_key(|node| (&node.zone, &node.hostname, &node.id));
    let controller = observed.controller.as_ref().map(|place| &place.node);
    let leads = |node: &Participant| observed.node(&node.id).is_some_and(Node::is_leader);
    managers.sort_by_key(|node| {
        (leads(node), controller == Some(&node.id), &node.zone, &node.hostname, &node.id)
    });
    let alone =
        |nodes: &[&Participant]| nodes.iter().map(|node| vec![node.id.clone()]).collect::<Vec<Wave>>();
    let canaries = spec.policy.canaries.min(workers.len());
    let mut of_workers = alone(&workers[..canaries]);
    for zone in workers[canaries..].chunk_by(|a, b| a.zone == b.zone) {
        let waves = zone.chunks(spec.policy.parallelism.max(1));
        of_workers.extend(waves.map(|wave| wave.iter().map(|node| node.id.clone()).collect::<Wave>()));
    }
    let of_managers = alone(&managers);
    match spec.policy.order {
        NodeOrder::WorkersFirst => [of_workers, of_managers].concat(),
        NodeOrder::ManagersFirst => [of_managers, of_workers].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::ControllerPlace;
    use crate::participants::selected;
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
        let waves = waves(observed, spec, &selected(observed, spec).unwrap());
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
        assert_eq!(text(&observed, &spec), "");
        let selected = select(&observed, &spec).unwrap();
        assert!(selected.nodes.is_empty());
        assert_eq!(selected.skipped[0].1, Skip::Windows);
        spec.selection.constraints = vec!["w1".into()];
        assert!(select(&observed, &spec).is_err());
    }
}
