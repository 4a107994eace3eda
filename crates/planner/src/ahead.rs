//! The swarm as it will be when a wave's turn comes, as far as Swarm's scheduler is known: each wave finds what the one before leaves.
//!
//! Where Swarm chooses among equal nodes, the plan goes on with the first of them.

use crate::availability;
use crate::board::ahead::Without;
use crate::drain::{self, Goes, TaskMove};
use crate::hold::Hold;
use crate::ids::NodeId;
use crate::indexed::Indexed;
use crate::observed::{Availability, Expectation, Mode, Node, Service};
use crate::participants;
use crate::planned::{Meanwhile, NodeLoad, PlannedDrain, PlannedNode};
use crate::spec::{RebootPolicy, Spec};
use crate::state::NodeRecord;
use crate::surge;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of hosts that were asked.
type Expected = BTreeMap<NodeId, Expectation>;

/// The swarm, wave after wave.
pub(crate) struct Ahead<'a> {
    seen: &'a Indexed<'a>,
    spec: &'a Spec,
    expected: &'a Expected,
    /// How many tasks each node had at first.
    at_first: BTreeMap<NodeId, usize>,
    /// The nodes of this wave that are drained already.
    away: BTreeSet<NodeId>,
}

impl<'a> Ahead<'a> {
    /// Before the first wave.
    pub(crate) fn of(seen: &'a Indexed<'a>, spec: &'a Spec, expected: &'a Expected) -> Self {
        let at_first = seen.board().tasks_on();
        let mut ahead = Self { seen, spec, expected, at_first, away: BTreeSet::new() };
        ahead.all_are_back();
        ahead
    }

    /// What happens to the nodes of one wave, and to the swarm by it.
    pub(crate) fn wave(&mut self, nodes: &[&Node]) -> Vec<PlannedNode> {
        let drained = nodes.iter().filter(|node| drains(self.drain_of(node)));
        let mut later: BTreeSet<NodeId> = drained.map(|node| node.id.clone()).collect();
        let away = nodes.iter().filter(|node| drains(self.drain_of(node)) || self.goes_down(node));
        let away: BTreeSet<NodeId> = away.map(|node| node.id.clone()).collect();
        // They begin together: what one of them loses the others do not have, either.
        let without = self.seen.board().without(&away);
        let meanwhile: BTreeMap<&str, Meanwhile> =
            without.into_values().map(|one| (one.service.name.as_str(), self.meanwhile(one))).collect();
        let mut planned = Vec::new();
        for node in nodes {
            later.remove(&node.id);
            let surged = self.surged(node);
            let mut node = self.node(node, &later);
            let mut services: BTreeSet<&str> = node.tasks.iter().map(|task| task.service.as_str()).collect();
            services.retain(|service| meanwhile.contains_key(service) && !surged.contains(service));
            node.meanwhile = services.into_iter().map(|service| meanwhile[service].clone()).collect();
            planned.push(node);
        }
        for (service, on) in self.all_are_back() {
            let back = planned.iter_mut().find(|node| node.node == on);
            back.into_iter().for_each(|node| node.gets.push(service.clone()));
        }
        planned
    }

    /// The services that are scaled up before the node is drained: none of their tasks is missing.
    fn surged(&self, node: &Node) -> BTreeSet<&'a str> {
        if !drains(self.drain_of(node)) {
            return BTreeSet::new();
        }
        let wanted = surge::wanted(self.seen, self.spec, node);
        let surged = wanted.keys().filter_map(|id| self.seen.service(id));
        surged.map(|service| service.name.as_str()).collect()
    }

    /// Without gaps that are allowed, nodes on which a service has its last tasks wait for each other.
    fn meanwhile(&self, without: Without<'_>) -> Meanwhile {
        let Without { service, now, then, on } = without;
        let keeps_one = !self.spec.allow_gaps && service.desired > 1 && on > 1;
        let left = if keeps_one { then.max(1) } else { then };
        Meanwhile { service: service.name.clone(), desired: service.desired, now, left }
    }

    /// How many tasks each node has at the end.
    pub(crate) fn loads(&self) -> Vec<NodeLoad> {
        let after = self.seen.board().tasks_on();
        let load = |node: &Node| NodeLoad {
            node: node.id.clone(),
            hostname: node.hostname.clone(),
            now: self.at_first.get(&node.id).copied().unwrap_or_default(),
            after: after.get(&node.id).copied().unwrap_or_default(),
        };
        self.seen.nodes.iter().map(load).collect()
    }

    fn node(&mut self, node: &Node, later: &BTreeSet<NodeId>) -> PlannedNode {
        let (seen, spec) = (self.seen, self.spec);
        let drain = self.drain_of(node);
        let down = (!node.is_ready()).then_some(Hold::NodeDown);
        let against = drains(drain).then(|| drain::hold(seen, spec, &self.away, node)).flatten();
        let unfinished =
            |record: &NodeRecord| record.rollout != spec.id && !participants::is_over(seen, node, record);
        let other = NodeRecord::of(node).ok().flatten().filter(unfinished);
        let other = other.map(|record| Hold::OtherRollout { rollout: record.rollout });
        PlannedNode {
            node: node.id.clone(),
            hostname: node.hostname.clone(),
            role: node.role,
            drain,
            tasks: match drains(drain) {
                true => self.drain(node, later),
                false if self.goes_down(node) => drain::stops(seen, node),
                false => Vec::new(),
            },
            plain_containers: node.plain_containers.clone(),
            plain_on_overlays: node.plain_on_overlays.clone(),
            meanwhile: Vec::new(),
            gets: Vec::new(),
            attracts: if drain == PlannedDrain::Kept { attracts(seen, node) } else { Vec::new() },
            holds: down.into_iter().chain(other).chain(against).collect(),
        }
    }

    fn drain_of(&self, node: &Node) -> PlannedDrain {
        let left = availability::left_by_another(self.seen, node, &self.spec.id);
        let expected = self.expectation(node);
        if availability::operators(node, left) != Availability::Active {
            PlannedDrain::Kept
        } else if drain::before_the_command(self.spec, expected) {
            PlannedDrain::Yes
        } else if drain::before_the_command(self.spec, Expectation::Yes) {
            if expected == Expectation::No { PlannedDrain::NotExpected } else { PlannedDrain::IfNeeded }
        } else {
            PlannedDrain::No
        }
    }

    /// Whether its engine or host is known to go down although nobody drains it.
    fn goes_down(&self, node: &Node) -> bool {
        let for_sure = self.spec.reboot == RebootPolicy::Always || self.spec.restarts;
        let expected = self.expectation(node) == Expectation::Yes;
        self.drain_of(node) == PlannedDrain::No && (for_sure || expected)
    }

    fn expectation(&self, node: &Node) -> Expectation {
        self.expected.get(&node.id).copied().unwrap_or(Expectation::Unknown)
    }

    /// The wave before is through: what waits for a place has one where there is one. Which services got one, and where.
    fn all_are_back(&mut self) -> Vec<(String, NodeId)> {
        self.away.clear();
        let mut board = self.seen.board();
        let placed = board.all_are_back().into_iter();
        let placed: Vec<_> =
            placed.map(|(task, node)| (board.task(task), board.seen(node).id.clone())).collect();
        drop(board);
        placed.into_iter().map(|(task, node)| (self.seen.task_name(task), node)).collect()
    }

    /// Drains a node. Those of the wave whose turn comes right behind take none of its tasks, as long as others do.
    fn drain(&mut self, node: &Node, later: &BTreeSet<NodeId>) -> Vec<TaskMove> {
        let nowhere = |moves: &[TaskMove]| moves.iter().any(|task| matches!(task.goes, Goes::Nowhere { .. }));
        self.seen.board().close(later);
        let mut moves = drain::moves(self.seen, &self.away, node);
        if !later.is_empty() && nowhere(&moves) {
            self.seen.board().close(&BTreeSet::new());
            moves = drain::moves(self.seen, &self.away, node);
        }
        let mut board = self.seen.board();
        if let Some(number) = board.node(&node.id) {
            board.drain(&self.away, number);
        }
        board.close(&BTreeSet::new());
        self.away.insert(node.id.clone());
        moves
    }
}

const fn drains(drain: PlannedDrain) -> bool {
    match drain {
        PlannedDrain::Yes | PlannedDrain::IfNeeded => true,
        PlannedDrain::NotExpected | PlannedDrain::No | PlannedDrain::Kept => false,
    }
}

/// What Swarm would place on a node as soon as it is active: global services, and tasks that wait for a place.
fn attracts(seen: &Indexed<'_>, node: &Node) -> Vec<String> {
    let waits = |service: &Service| match service.mode {
        Mode::Global => true,
        Mode::Replicated => service.running < service.desired,
    };
    let mut board = seen.board();
    let Some(here) = board.node(&node.id) else { return Vec::new() };
    let fits = |(number, _): &(usize, &Service)| board.could_take(here, *number);
    let waiting = seen.services.iter().enumerate().filter(|(_, service)| waits(service));
    waiting.filter(fits).map(|(_, service)| service.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use crate::Observed;
    use crate::drain::Goes;
    use crate::observed::{Availability, Mode, Service, Task};
    use crate::parallelism::Parallelism;
    use crate::plan::{Meanwhile, Plan, PlannedNode, plan};
    use crate::spec::{DrainPolicy, RebootPolicy, Spec};
    use crate::testing::{manager, service, spec, task, worker};

    /// Three workers, and a manager that takes no tasks.
    fn cluster(services: Vec<Service>, tasks: &[(&str, &str)]) -> Observed {
        let mut only = manager("m1");
        only.availability = Availability::Drain;
        let tasks = tasks.iter().enumerate().map(|(number, (service, node))| Task {
            id: format!("{service}.{number}"),
            ..task(service, node)
        });
        Observed {
            nodes: vec![only, worker("w1"), worker("w2"), worker("w3")],
            services,
            tasks: tasks.collect(),
            ..Observed::default()
        }
    }

    fn node<'a>(plan: &'a Plan, name: &str) -> &'a PlannedNode {
        let mut nodes = plan.waves.iter().flat_map(|wave| &wave.nodes);
        nodes.find(|node| node.hostname == name).unwrap()
    }

    /// `web>w2+w3` of each task: the nodes among which Swarm chooses.
    fn moves(plan: &Plan, name: &str) -> String {
        let told = node(plan, name).tasks.iter().map(|task| {
            let to = match &task.goes {
                Goes::Elsewhere { among, .. } => {
                    among.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join("+")
                }
                Goes::Nowhere { .. } => "nowhere".to_owned(),
                Goes::WithTheNode => "back".to_owned(),
                Goes::StopsWithTheHost => "stops".to_owned(),
                Goes::Unknown { .. } | Goes::Stays => "?".to_owned(),
            };
            format!("{}>{to}", task.service)
        });
        told.collect::<Vec<_>>().join(" ")
    }

    fn loads(plan: &Plan) -> Vec<(usize, usize)> {
        plan.loads.iter().map(|load| (load.now, load.after)).collect()
    }

    #[test]
    fn each_wave_finds_what_the_one_before_left_and_the_last_node_ends_without_tasks() {
        let observed = cluster(vec![service("web", 3)], &[("web", "w1"), ("web", "w2"), ("web", "w3")]);
        let plan = plan(&observed, &Spec { drain: DrainPolicy::Always, allow_gaps: true, ..spec() });
        assert_eq!(moves(&plan, "w1"), "web>w2+w3", "equal nodes are both named");
        // The plan goes on with w2, which has two tasks then; w1 is back, and has none.
        assert_eq!(moves(&plan, "w2"), "web>w1+w3 web>w1+w3");
        assert_eq!(moves(&plan, "w3"), "web>w2");
        assert_eq!(loads(&plan), [(0, 0), (1, 2), (1, 1), (1, 0)]);
    }

    #[test]
    fn a_node_that_is_back_gets_what_waited_for_it_and_its_global_services_and_nothing_else() {
        let mut pinned = service("pinned", 1);
        pinned.constraints = vec!["node.hostname==w1".into()];
        let global = Service { mode: Mode::Global, ..service("global", 3) };
        let tasks =
            [("pinned", "w1"), ("global", "w1"), ("global", "w2"), ("global", "w3"), ("single", "w1")];
        let observed = cluster(vec![pinned, global, service("single", 1)], &tasks);
        let plan = plan(&observed, &Spec { drain: DrainPolicy::Always, allow_gaps: true, ..spec() });
        assert_eq!(moves(&plan, "w1"), "pinned>nowhere global>back single>w2+w3");
        let w1 = node(&plan, "w1");
        assert_eq!(w1.gets, ["pinned"]);
        let away = |service: &str| Meanwhile { service: service.into(), desired: 1, now: 1, left: 0 };
        assert_eq!(w1.meanwhile, [away("pinned"), away("single")]);
        assert!(moves(&plan, "w2").contains("single>"), "it has moved there by then");
        assert_eq!(loads(&plan).iter().map(|(_, after)| after).sum::<usize>(), tasks.len());
    }

    #[test]
    fn nodes_of_one_wave_do_not_take_each_others_tasks_as_long_as_others_do() {
        let tasks = [("web", "w1"), ("web", "w2"), ("db", "w1")];
        let mut observed = cluster(vec![service("web", 2), service("db", 1)], &tasks);
        let mut spec = Spec { drain: DrainPolicy::Always, allow_gaps: true, ..spec() };
        (spec.policy.parallelism, spec.policy.canaries) = (Parallelism::Nodes(2), 0);
        let of_both = plan(&observed, &spec);
        assert_eq!((moves(&of_both, "w1"), moves(&of_both, "w2")), ("web>w3 db>w3".into(), "web>w3".into()));
        let web = |left| Meanwhile { service: "web".into(), desired: 2, now: 2, left };
        assert_eq!(node(&of_both, "w2").meanwhile, [web(0)], "both are away at once");
        let no_gaps = plan(&observed, &Spec { allow_gaps: false, ..spec.clone() });
        assert_eq!(node(&no_gaps, "w2").meanwhile, [web(1)], "one waits for the other");
        observed.nodes.pop();
        let without = plan(&observed, &spec);
        assert!(moves(&without, "w1").starts_with("web>w2"), "{}", moves(&without, "w1"));
    }

    #[test]
    fn what_nothing_drains_stops_with_a_host_that_is_rebooted_in_any_case() {
        let observed =
            cluster(vec![service("web", 2), service("db", 1)], &[("web", "w1"), ("db", "w1"), ("web", "w2")]);
        let mut spec = Spec { drain: DrainPolicy::Never, reboot: RebootPolicy::Always, ..spec() };
        let stopped = plan(&observed, &spec);
        assert_eq!(moves(&stopped, "w1"), "web>stops db>stops");
        let meanwhile =
            |service: &str, now, left| Meanwhile { service: service.into(), desired: now as u64, now, left };
        assert_eq!(node(&stopped, "w1").meanwhile, [meanwhile("db", 1, 0), meanwhile("web", 2, 1)]);
        assert_eq!(loads(&stopped)[1], (2, 2), "a host that is soon back has them again");
        spec.reboot = RebootPolicy::Asked;
        assert_eq!(moves(&plan(&observed, &spec), "w1"), "", "it may stay up");
    }
}
