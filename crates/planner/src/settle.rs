//! 'Not worse than before': how services stood when the rollout began, and how they stand now.

use crate::hold::Hold;
use crate::indexed::Indexed;
use crate::observed::{Node, Observed, Reachability, Service};
use crate::rollout::{Baseline, Strength};
use careen_contract::label;

/// How all services stand. Who takes part is not looked at here.
pub fn baseline(observed: &Observed) -> Baseline {
    let strength = |service: &Service| Strength { running: service.running, desired: service.desired };
    Baseline {
        services: observed.services.iter().map(|service| (service.id.clone(), strength(service))).collect(),
        nodes: None,
    }
}

/// What is not well yet about a node that is given back, and about the services.
pub fn unwell(seen: &Indexed<'_>, baseline: &Baseline, node: &Node) -> Option<Hold> {
    if !node.is_ready() {
        return Some(Hold::NodeDown);
    }
    let reachable = |node: &Node| node.manager.is_some_and(|one| one.reachability == Reachability::Reachable);
    if node.is_manager() && !reachable(node) {
        return Some(Hold::ManagerUnreachable);
    }
    let services = worse(seen, baseline);
    let why = seen.troubles_of(&services);
    (!services.is_empty()).then_some(Hold::ServicesWorse { services, why })
}

/// The services that are worse than before and could be better: one that no node takes now waits for one that is
/// down, drained, failed or full, and is reported there.
fn worse(seen: &Indexed<'_>, baseline: &Baseline) -> Vec<String> {
    let worse = |service: &&Service| !is_ignored(service) && is_worse(service, baseline);
    let worse: Vec<&Service> = seen.services.iter().filter(worse).collect();
    if worse.is_empty() {
        return Vec::new();
    }
    let mut board = seen.board();
    let numbers: Vec<usize> = worse.iter().filter_map(|service| board.service(&service.id)).collect();
    let could_run = board.with_a_place(&numbers);
    let worse = worse.into_iter().zip(could_run).filter(|(_, could_run)| *could_run);
    let mut names: Vec<String> = worse.map(|(service, _)| service.name.clone()).collect();
    names.sort();
    names
}

pub(crate) fn is_ignored(service: &Service) -> bool {
    service.labels.get(label::SETTLE).is_some_and(|value| value == "ignore")
}

/// A service that was not there before is not compared; one that was scaled down is measured by what it should have.
pub(crate) fn is_worse(service: &Service, baseline: &Baseline) -> bool {
    let before = baseline.services.get(&service.id);
    before.is_some_and(|before| service.running < before.running.min(service.desired))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::NodeStatus;
    use crate::testing::{manager, service, worker};
    use std::collections::BTreeMap;

    #[test]
    fn services_are_compared_with_how_they_stood() {
        // before: running of 3; now: running of desired; ignored; worse?
        let table = [
            (3, 3, 3, false, false),
            (3, 2, 3, false, true),
            (3, 2, 3, true, false),
            (1, 1, 3, false, false),
            (3, 1, 1, false, false),
            (3, 3, 5, false, false),
        ];
        for (before, running, desired, ignored, worse) in table {
            let mut observed = Observed {
                nodes: vec![worker("w1")],
                services: vec![service("web", 3)],
                ..Observed::default()
            };
            observed.services[0].running = before;
            let baseline = baseline(&observed);
            observed.services[0].running = running;
            observed.services[0].desired = desired;
            if ignored {
                observed.services[0].labels.insert(label::SETTLE.into(), "ignore".into());
            }
            let hold =
                worse.then(|| Hold::ServicesWorse { services: vec!["web".into()], why: BTreeMap::new() });
            assert_eq!(unwell(&Indexed::of(&observed), &baseline, &observed.nodes[0]), hold);
        }
    }

    #[test]
    fn a_service_that_is_worse_is_told_with_what_keeps_it_from_running() {
        let mut observed =
            Observed { nodes: vec![worker("w1")], services: vec![service("web", 3)], ..Observed::default() };
        let baseline = baseline(&observed);
        observed.services[0].running = 1;
        let trouble = "rejected on w1: No such image: web:9".to_owned();
        observed.troubles.insert("web".into(), trouble.clone());
        observed.troubles.insert("other".into(), "pending: no suitable node".into());
        let why = BTreeMap::from([("web".to_owned(), trouble)]);
        let hold = Hold::ServicesWorse { services: vec!["web".into()], why };
        assert_eq!(unwell(&Indexed::of(&observed), &baseline, &observed.nodes[0]), Some(hold));
    }

    #[test]
    fn nodes_and_services_that_cannot_be_well_elsewhere() {
        let mut pinned = service("pinned", 1);
        pinned.constraints = vec!["node.hostname==w2".into()];
        let mut observed = Observed {
            nodes: vec![worker("w1"), worker("w2"), manager("m1")],
            services: vec![pinned],
            ..Observed::default()
        };
        let baseline = baseline(&observed);
        observed.nodes[1].status = NodeStatus::Down;
        observed.services[0].running = 0;
        assert_eq!(unwell(&Indexed::of(&observed), &baseline, &observed.nodes[0]), None);
        assert_eq!(unwell(&Indexed::of(&observed), &baseline, &observed.nodes[1]), Some(Hold::NodeDown));
        observed.nodes[2].manager = None;
        assert_eq!(
            unwell(&Indexed::of(&observed), &baseline, &observed.nodes[2]),
            Some(Hold::ManagerUnreachable)
        );
        observed.services.push(service("new", 9));
        observed.services[1].running = 0;
        assert_eq!(
            unwell(&Indexed::of(&observed), &baseline, &observed.nodes[0]),
            None,
            "it was not there before"
        );
    }
}
