//! In which waves. The same for `careen plan` and for the controller.

use crate::ids::NodeId;
use crate::objects::Role;
use crate::participant::{Participant, Turn};
use crate::spec::{NodeOrder, Spec};

/// Nodes that may be in maintenance together.
pub type Wave = Vec<NodeId>;

/// All waves, nodes that are through or gone included: so a wave keeps its nodes while the rollout goes on. Canaries,
/// workers of one zone after the other, then managers one by one, the leader last; behind them what was down at the start,
/// one by one: nobody waits for it, and it is nobody's canary.
pub fn waves(spec: &Spec, participants: &[Participant]) -> Vec<Wave> {
    let taking_part = participants.iter().filter(|node| node.skip.is_none());
    let places = places(spec, participants);
    let (mut down, up): (Vec<&Participant>, Vec<&Participant>) =
        taking_part.partition(|node| node.turn == Turn::Down);
    let (mut managers, mut workers): (Vec<&Participant>, Vec<&Participant>) =
        up.into_iter().partition(|node| node.role == Role::Manager);
    workers.sort_by_key(|node| (&node.zone, &node.hostname, &node.id));
    managers.sort_by_key(|node| (node.turn, &node.zone, &node.hostname, &node.id));
    down.sort_by_key(|node| (node.role, &node.hostname, &node.id));
    let alone =
        |nodes: &[&Participant]| nodes.iter().map(|node| vec![node.id.clone()]).collect::<Vec<Wave>>();
    let canaries = spec.policy.canaries.min(workers.len());
    let mut of_workers = alone(&workers[..canaries]);
    for zone in workers[canaries..].chunk_by(|a, b| a.zone == b.zone) {
        let waves = zone.chunks(places);
        of_workers.extend(waves.map(|wave| wave.iter().map(|node| node.id.clone()).collect::<Wave>()));
    }
    let of_managers = match leaves_engines_alone(spec) {
        true => {
            managers.chunks(places).map(|wave| wave.iter().map(|node| node.id.clone()).collect()).collect()
        }
        false => alone(&managers),
    };
    let of_down = alone(&down);
    match spec.policy.order {
        NodeOrder::WorkersFirst => [of_workers, of_managers, of_down].concat(),
        NodeOrder::ManagersFirst => [of_managers, of_workers, of_down].concat(),
    }
}

/// How many nodes may be in maintenance together: a part is one of those that the rollout began with, whoever leaves meanwhile. What was
/// down then is none of them: entries of hosts that left long ago would make a small part one of all that are left.
pub fn places(spec: &Spec, participants: &[Participant]) -> usize {
    let counts = |node: &&Participant| node.skip.is_none() && node.turn != Turn::Down;
    spec.policy.parallelism.of(participants.iter().filter(counts).count())
}

/// Whether the work is declared to leave every engine, and so every manager, as it is: then managers go together like others.
pub const fn leaves_engines_alone(spec: &Spec) -> bool {
    !spec.touches_engine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{NodeStatus, Observed};
    use crate::parallelism::Parallelism;
    use crate::participants::selected;
    use crate::state::Skip;
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
        Observed { nodes, ..Observed::default() }
    }

    fn text(observed: &Observed, spec: &Spec) -> String {
        let waves = waves(spec, &selected(observed, spec).unwrap());
        let words =
            waves.iter().map(|wave| wave.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join("+"));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn canary_workers_managers_and_the_leader() {
        let mut spec = spec();
        assert_eq!(text(&cluster(), &spec), "w1 w2 w3 w4 w5 m2 m3 m1");
        spec.policy.parallelism = Parallelism::Nodes(2);
        assert_eq!(text(&cluster(), &spec), "w1 w2+w3 w4+w5 m2 m3 m1");
        spec.policy.canaries = 0;
        spec.policy.order = NodeOrder::ManagersFirst;
        assert_eq!(text(&cluster(), &spec), "m2 m3 m1 w1+w2 w3+w4 w5");
    }

    #[test]
    fn a_part_is_of_all_that_take_part() {
        let mut spec = spec();
        spec.policy.canaries = 0;
        for (percent, waves) in [
            ("1%", "w1 w2 w3 w4 w5 m2 m3 m1"),
            ("37%", "w1+w2 w3+w4 w5 m2 m3 m1"),
            ("40%", "w1+w2+w3 w4+w5 m2 m3 m1"),
            ("100%", "w1+w2+w3+w4+w5 m2 m3 m1"),
        ] {
            spec.policy.parallelism = percent.parse().unwrap();
            assert_eq!(text(&cluster(), &spec), waves, "{percent} of eight");
        }
        spec.touches_engine = false;
        spec.policy.parallelism = "25%".parse().unwrap();
        assert_eq!(text(&cluster(), &spec), "w1+w2 w3+w4 w5 m2+m3 m1");
    }

    #[test]
    fn hosts_that_left_without_a_word_make_no_part_larger() {
        let mut spec = spec();
        (spec.policy.canaries, spec.policy.parallelism) = (0, "40%".parse().unwrap());
        let mut observed = cluster();
        observed.nodes.extend((0..500).map(|number| {
            let mut dead = worker(&format!("d{number}"));
            dead.status = NodeStatus::Down;
            dead
        }));
        assert_eq!(places(&spec, &selected(&observed, &spec).unwrap()), 3);
        assert!(text(&observed, &spec).starts_with("w1+w2+w3 w4+w5 m2 m3 m1 d0 d1 "));
    }

    #[test]
    fn who_cannot_be_worked_on_is_no_part_of_the_whole() {
        let mut spec = spec();
        spec.policy.parallelism = "50%".parse().unwrap();
        let mut participants = selected(&cluster(), &spec).unwrap();
        assert_eq!(places(&spec, &participants), 4);
        participants[0].skip = Some(Skip::Windows);
        participants[1].skip = Some(Skip::Windows);
        assert_eq!(places(&spec, &participants), 3);
    }

    #[test]
    fn what_is_down_at_the_start_is_last_and_no_canary() {
        let mut observed = cluster();
        let down = |name: &str, observed: &mut Observed| {
            let node = observed.nodes.iter_mut().find(|node| node.hostname == name);
            node.unwrap().status = NodeStatus::Down;
        };
        down("w1", &mut observed);
        down("m2", &mut observed);
        assert_eq!(text(&observed, &spec()), "w2 w3 w4 w5 m3 m1 w1 m2");
    }

    #[test]
    fn one_wave_has_nodes_of_one_zone() {
        let mut spec = spec();
        spec.policy.parallelism = Parallelism::Nodes(4);
        spec.policy.canaries = 0;
        assert_eq!(text(&cluster(), &spec), "w1+w2+w3+w4 w5 m2 m3 m1");
        spec.selection.spread = Some("node.labels.zone".into());
        assert_eq!(text(&cluster(), &spec), "w1+w2+w3 w4+w5 m2 m3 m1");
    }
}
