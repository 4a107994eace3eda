//! Whether a node is drained, what moves then, and when it is empty.

use crate::board::MANY;
use crate::hold::Hold;
use crate::ids::{NodeId, ServiceId};
use crate::indexed::Indexed;
use crate::observed::{Availability, Expectation, Mode, Mount, MountKind, Node, Service, Task};
use crate::rollout::Baseline;
use crate::scheduler::{self, Gap, Place};
use crate::spec::{DrainPolicy, Spec};
use crate::surge;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// What a drain does to one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct TaskMove {
    pub service: String,
    pub goes: Goes,
    /// What it writes on this node and will not find elsewhere.
    pub leaves_behind: Option<String>,
}

/// Where a task goes when its node is drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum Goes {
    /// To one of so many other nodes.
    Elsewhere {
        /// How many fit and are active now.
        nodes: usize,
        /// Among which of them Swarm chooses; empty where these are more than eight.
        #[serde(default)]
        among: Vec<NodeId>,
    },
    /// Nowhere: no other node takes it. It is down until the node is back.
    Nowhere {
        /// Why, as Swarm says it.
        why: String,
    },
    /// Nobody knows: it has a constraint that this version of careen cannot read.
    Unknown {
        /// The constraint as it was written.
        constraint: String,
    },
    /// It is stopped and started again with the node: a global service.
    WithTheNode,
    /// It goes on: a drain does not stop the tasks of jobs.
    Stays,
    /// Nothing is drained, and it stops when its host or engine goes down. Swarm starts it again there, or elsewhere when the host is
    /// away for longer than some heartbeats.
    StopsWithTheHost,
}

/// Whether the node is to be drained before the command.
pub fn before_the_command(spec: &Spec, expectation: Expectation) -> bool {
    match spec.drain {
        DrainPolicy::Always => true,
        DrainPolicy::Never => false,
        DrainPolicy::Auto => spec.restarts || expectation == Expectation::Yes,
    }
}

/// Whether the node is to be drained before a restart that the command wants.
pub fn before_a_restart(spec: &Spec) -> bool {
    match spec.drain {
        DrainPolicy::Always | DrainPolicy::Auto => true,
        DrainPolicy::Never => false,
    }
}

/// What a drain of this node does to each of its tasks, while the others are away, too.
pub fn moves(seen: &Indexed<'_>, others: &BTreeSet<NodeId>, node: &Node) -> Vec<TaskMove> {
    let mut board = seen.board();
    let Some(here) = board.node(&node.id) else { return Vec::new() };
    let choices = board.choices(others, here);
    let mut places: BTreeMap<usize, Place> = board.places(others, here).into_iter().collect();
    let running: Vec<usize> = board.running_on(here).collect();
    let running = running.into_iter().map(|number| (number, board.task(number), board.service_of(number)));
    let running: Vec<_> = running.filter(|(_, task, _)| task.wanted || task.job).collect();
    let task_move = |(number, task, service): (usize, &Task, Option<(usize, &Service)>)| {
        let goes = match (places.remove(&number), service) {
            (Some(Place::On { of: nodes, .. }), _) => {
                let among = service.and_then(|(number, _)| choices.get(&number));
                let among = among.into_iter().filter(|among| among.len() <= MANY).flatten();
                Goes::Elsewhere { nodes, among: among.map(|node| board.seen(*node).id.clone()).collect() }
            }
            (Some(Place::Nowhere { why }), _) => Goes::Nowhere { why },
            (Some(Place::Unknown { constraint }), _) => Goes::Unknown { constraint },
            (None, Some((_, Service { mode: Mode::Global, .. }))) if !task.job => Goes::WithTheNode,
            (None, _) => Goes::Stays,
        };
        let leaves_behind = service.and_then(|(number, service)| {
            local_data(&service.mounts).filter(|_| board.could_move(number, here))
        });
        TaskMove { service: task.name_of(service.map(|(_, service)| service)), goes, leaves_behind }
    };
    running.into_iter().map(task_move).collect()
}

/// What becomes of this node's tasks when its host or engine goes down and nothing is drained.
pub fn stops(seen: &Indexed<'_>, node: &Node) -> Vec<TaskMove> {
    let board = seen.board();
    let Some(here) = board.node(&node.id) else { return Vec::new() };
    let running = board.running_on(here).map(|number| (board.task(number), board.service_of(number)));
    let running = running.filter(|(task, _)| task.wanted || task.job);
    let stopped = running.map(|(task, service)| TaskMove {
        service: task.name_of(service.map(|(_, service)| service)),
        goes: Goes::StopsWithTheHost,
        leaves_behind: None,
    });
    stopped.collect()
}

/// What speaks against draining this node while the others are away, too: a task that would start elsewhere without its data,
/// or have no place, or a service of which nothing would run.
pub fn hold(seen: &Indexed<'_>, spec: &Spec, others: &BTreeSet<NodeId>, node: &Node) -> Option<Hold> {
    if node.availability == Availability::Drain {
        return None;
    }
    volume_hold(seen, spec, node)
        .or_else(|| surge_of(seen, spec, others, node, |_| true).err())
        .or_else(|| gap_hold(seen, spec, others, node))
}

/// Which of these services are scaled up before this node is drained, or why they cannot be now. Where gaps are allowed, one that finds no
/// room for that goes without.
pub fn surge_of(
    seen: &Indexed<'_>,
    spec: &Spec,
    others: &BTreeSet<NodeId>,
    node: &Node,
    of: impl Fn(&ServiceId) -> bool,
) -> Result<BTreeMap<ServiceId, u64>, Hold> {
    let mut wanted = surge::wanted(seen, spec, node);
    wanted.retain(|id, _| of(id));
    loop {
        match surge::hold(seen, others, node, &wanted) {
            None => return Ok(wanted),
            Some(Hold::NoRoomToSurge { service, .. }) if spec.allow_gaps => {
                wanted.retain(|id, _| seen.service(id).is_some_and(|one| one.name != service));
            }
            Some(hold) => return Err(hold),
        }
    }
}

fn volume_hold(seen: &Indexed<'_>, spec: &Spec, node: &Node) -> Option<Hold> {
    if spec.allow_volume_moves {
        return None;
    }
    let mut board = seen.board();
    let here = board.node(&node.id)?;
    let running: Vec<usize> = board.running_on(here).collect();
    let mut moving = running.into_iter().filter(|number| {
        let task = board.task(*number);
        task.wanted && !task.job
    });
    let moving: Vec<(usize, &Service)> =
        moving.by_ref().filter_map(|number| board.service_of(number)).collect();
    moving.into_iter().find_map(|(number, service)| {
        let source = local_data(&service.mounts).filter(|_| board.could_move(number, here))?;
        Some(Hold::VolumeWouldMove { service: service.name.clone(), source })
    })
}

fn gap_hold(seen: &Indexed<'_>, spec: &Spec, others: &BTreeSet<NodeId>, node: &Node) -> Option<Hold> {
    if spec.allow_gaps {
        return None;
    }
    // What is scaled up first is neither missing nor without a place: that was looked at.
    let surges = surge::wanted(seen, spec, node);
    scheduler::gap(seen, others, node, |service| !surges.contains_key(service)).map(|gap| match gap {
        Gap::NoPlace { service, why } => Hold::NoPlace { service, why },
        Gap::AtZero { service } => Hold::AtZero { service },
    })
}

/// What keeps a drained node from being empty, by service. Tasks of other people's jobs count: a drain leaves them
/// running, a restart would not.
pub fn still_running(seen: &Indexed<'_>, node: &Node) -> Vec<String> {
    let board = seen.board();
    let running = board.node(&node.id).into_iter().flat_map(|here| board.running_on(here));
    names(running.map(|number| seen.task_name(board.task(number))))
}

/// Services that have fewer tasks than before, and are to run elsewhere. Where gaps are allowed that is what has a place now.
pub fn not_replaced(seen: &Indexed<'_>, spec: &Spec, baseline: &Baseline, node: &Node) -> Vec<String> {
    let mut board = seen.board();
    let short = seen.services.iter().filter(|service| {
        service.mode == Mode::Replicated
            && !crate::settle::is_ignored(service)
            && crate::settle::is_worse(service, baseline)
    });
    let short: Vec<(usize, &Service)> =
        short.filter_map(|service| Some((board.service(&service.id)?, service))).collect();
    let numbers: Vec<usize> = short.iter().map(|(number, _)| *number).collect();
    let elsewhere: Vec<bool> = match (spec.allow_gaps, board.node(&node.id)) {
        (true, _) => board.with_a_place(&numbers),
        (false, Some(here)) => numbers.iter().map(|number| board.could_move(*number, here)).collect(),
        (false, None) => Vec::new(),
    };
    let short = short.iter().zip(elsewhere).filter(|(_, elsewhere)| *elsewhere);
    names(short.map(|((_, service), _)| service.name.clone()))
}

fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

fn local_data(mounts: &[Mount]) -> Option<String> {
    let local = |mount: &&Mount| match mount.kind {
        MountKind::LocalVolume => !mount.read_only,
        MountKind::Bind => !mount.read_only && !is_of_every_host(&mount.source),
        MountKind::Elsewhere => false,
    };
    mounts.iter().find(local).map(|mount| mount.source.clone())
}

/// What each host has of its own and nobody stores data in: sockets, above all the engine's, which many services bind
/// writable without a thought, devices, and the time zone.
fn is_of_every_host(source: &str) -> bool {
    let source = Path::new(source);
    let places = ["/run", "/var/run", "/proc", "/sys", "/dev", "/etc/localtime", "/etc/timezone"];
    // Compared by components: /running is no part of /run. What leads out of the place is not in it.
    let inside = !source.components().any(|part| part == Component::ParentDir);
    inside && places.iter().any(|place| source.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::Observed;
    use crate::testing::{service, spec, task, worker};

    fn cluster() -> Observed {
        let mut pinned = service("pinned", 1);
        pinned.constraints = vec!["node.hostname==w1".into()];
        let mut data = service("data", 1);
        data.mounts = vec![Mount { kind: MountKind::LocalVolume, source: "pgdata".into(), read_only: false }];
        let global = Service { mode: Mode::Global, ..service("global", 2) };
        let mut job = task("backup", "w1");
        job.job = true;
        let tasks = ["web", "pinned", "data", "global"].map(|name| task(name, "w1"));
        Observed {
            nodes: vec![worker("w1"), worker("w2")],
            services: vec![service("web", 2), pinned, data, global],
            tasks: tasks.into_iter().chain([job]).collect(),
            ..Observed::default()
        }
    }

    #[test]
    fn what_moves_and_what_cannot() {
        let observed = cluster();
        let moves = moves(&Indexed::of(&observed), &BTreeSet::new(), &observed.nodes[0]);
        let goes: Vec<&Goes> = moves.iter().map(|task| &task.goes).collect();
        let among = vec![NodeId("w2".into())];
        let elsewhere = Goes::Elsewhere { nodes: 1, among };
        let why =
            "1 node not available for new tasks; scheduling constraints not satisfied on 1 node".to_owned();
        let nowhere = Goes::Nowhere { why };
        assert_eq!(goes, [&elsewhere, &nowhere, &elsewhere, &Goes::WithTheNode, &Goes::Stays]);
        assert_eq!(moves[2].leaves_behind.as_deref(), Some("pgdata"));
    }

    #[test]
    fn local_data_holds_a_drain_unless_it_is_allowed_or_cannot_move() {
        let mut observed = cluster();
        let mut spec = spec();
        let held =
            |observed: &Observed, spec: &Spec| volume_hold(&Indexed::of(observed), spec, &observed.nodes[0]);
        let hold = Hold::VolumeWouldMove { service: "data".into(), source: "pgdata".into() };
        assert_eq!(held(&observed, &spec), Some(hold));
        spec.allow_volume_moves = true;
        assert_eq!(held(&observed, &spec), None);
        spec.allow_volume_moves = false;
        observed.services[2].mounts[0].read_only = true;
        assert_eq!(held(&observed, &spec), None);
        observed.services[2].mounts[0].read_only = false;
        observed.services[2].constraints = vec!["node.id==w1".into()];
        assert_eq!(held(&observed, &spec), None, "pinned data waits for its node");
        observed.services[2].constraints.clear();
        observed.nodes[1].status = crate::observed::NodeStatus::Down;
        assert!(held(&observed, &spec).is_some(), "w2 takes it when it is back");
    }

    #[test]
    fn gaps_hold_a_drain_unless_they_are_allowed() {
        let mut observed = cluster();
        let mut spec = Spec { allow_volume_moves: true, ..spec() };
        let none = BTreeSet::new();
        let held =
            |observed: &Observed, spec: &Spec| hold(&Indexed::of(observed), spec, &none, &observed.nodes[0]);
        let name = |hold: Option<Hold>| hold.map(|hold| hold.name());
        assert_eq!(name(held(&observed, &spec)), Some("no-place"), "the pinned one");
        observed.tasks.retain(|task| task.service.0 != "pinned");
        assert_eq!(name(held(&observed, &spec)), Some("at-zero"), "web has only this task");
        spec.allow_gaps = true;
        assert_eq!(held(&observed, &spec), None);
        spec.allow_gaps = false;
        observed.nodes[0].availability = Availability::Drain;
        assert_eq!(held(&observed, &spec), None, "it is drained");
    }

    #[test]
    fn a_bound_socket_is_no_data() {
        let bind = |source: &str| Mount { kind: MountKind::Bind, source: source.into(), read_only: false };
        for nothing in ["/var/run/docker.sock", "/run/docker.sock", "/dev/shm", "/sys", "/etc/localtime"] {
            assert_eq!(local_data(&[bind(nothing)]), None, "{nothing}");
        }
        for data in ["/srv/data", "/running", "/run/../srv", "/var/lib/x", "/etc", "/"] {
            assert_eq!(local_data(&[bind("/run/x.sock"), bind(data)]).as_deref(), Some(data));
        }
    }

    #[test]
    fn empty_means_that_nothing_runs_and_replaced_that_nothing_is_missing() {
        let mut observed = cluster();
        let w1 = observed.nodes[0].clone();
        assert_eq!(
            still_running(&Indexed::of(&observed), &w1),
            ["backup", "data", "global", "pinned", "web"]
        );
        observed.tasks.retain(|task| task.job);
        assert_eq!(
            still_running(&Indexed::of(&observed), &w1),
            ["backup"],
            "a drain leaves jobs running, a restart would not"
        );
        let baseline = crate::settle::baseline(&observed);
        observed.services[0].running = 1;
        observed.services[1].running = 0;
        let mut spec = spec();
        let missing =
            |observed: &Observed, spec: &Spec| not_replaced(&Indexed::of(observed), spec, &baseline, &w1);
        assert_eq!(missing(&observed, &spec), ["web"], "the pinned one cannot be elsewhere");
        observed.nodes[0].availability = Availability::Drain;
        // With no room anywhere it is waited for, unless that was allowed.
        observed.services[0].needs.max_per_node = 1;
        let more = |node: &str| Task { id: format!("web.{node}.2"), ..task("web", node) };
        observed.tasks.extend([more("w1"), more("w2")]);
        assert_eq!(missing(&observed, &spec), ["web"]);
        spec.allow_gaps = true;
        assert!(missing(&observed, &spec).is_empty());
    }

    #[test]
    fn when_a_node_is_drained() {
        let mut spec = spec();
        assert!(before_the_command(&spec, Expectation::Yes));
        assert!(!before_the_command(&spec, Expectation::Unknown), "then it is drained when it turns out so");
        assert!(before_a_restart(&spec));
        spec.drain = DrainPolicy::Always;
        assert!(before_the_command(&spec, Expectation::No));
        spec.drain = DrainPolicy::Never;
        assert!(!before_the_command(&spec, Expectation::Yes) && !before_a_restart(&spec));
    }
}
