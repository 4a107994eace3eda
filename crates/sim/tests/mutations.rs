//! The invariants bite: a planner that is made to break one of its rules is caught, within a few histories.

use careen_contract::label;
use careen_planner::action::Action;
use careen_planner::observed::{AgentReport, Manager, Node, Reachability, Said, TaskState};
use careen_planner::rollout::{Ask, Control, GoneMark};
use careen_planner::spec::{DrainPolicy, RebootPolicy, UnlockKey};
use careen_planner::state::{AfterRestoring, NodeRecord, Skip};
use careen_planner::{
    Act, ControllerId, Hold, JobKey, JobRole, NodeId, NodeState, Observed, Parallelism, Pass, PauseReason,
};
use careen_protocol::agent::CheckSaid;
use careen_sim::whole::Whole;
use careen_sim::world::World;
use careen_sim::{Accidents, Faults, Run, scenario};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use support::{caught, caught_under};

mod support;

#[test]
fn a_planner_that_ignores_the_quorum() {
    fn all_managers_are_well(observed: &mut Observed, _: &ControllerId) {
        for node in observed.nodes.iter_mut().filter(|node| node.is_manager()) {
            node.manager = Some(Manager { leader: true, reachability: Reachability::Reachable });
        }
    }
    let change = |run: &mut Run| {
        run.distort = all_managers_are_well;
        run.world.bend.ignores_quorum = true;
    };
    caught(change, "managers");
}

#[test]
fn a_planner_that_ignores_parallelism() {
    let change = |run: &mut Run| {
        run.disobey = |spec| {
            spec.policy.parallelism = Parallelism::Nodes(5);
            spec.policy.canaries = 0;
        };
        run.world.spec.policy.parallelism = Parallelism::Nodes(1);
    };
    caught(change, "nodes in maintenance");
}

#[test]
fn a_planner_that_does_not_see_what_an_operator_changed() {
    fn as_careen_left_it(observed: &mut Observed, _: &ControllerId) {
        for node in &mut observed.nodes {
            if let Some(taken) = NodeRecord::of(node).ok().flatten().and_then(|record| record.taken) {
                node.availability = taken.set;
            }
        }
    }
    caught(|run| run.distort = as_careen_left_it, "its operator wants");
}

#[test]
fn a_planner_that_tries_again_by_itself() {
    fn retry(observed: &mut Observed, _: &ControllerId) {
        for node in &mut observed.nodes {
            let record = NodeRecord::of(node).ok().flatten();
            if record.is_some_and(|record| matches!(record.state, NodeState::Failed { .. })) {
                node.labels.insert(label::ASK.into(), Ask::Retry.label(&scenario::spec().id));
            }
        }
    }
    caught(|run| run.distort = retry, "after 0 retries");
}

#[test]
fn a_controller_that_leaves_the_unlock_key_behind() {
    fn no_key_is_left(observed: &mut Observed, _: &ControllerId) {
        observed.key_is_left = false;
    }
    let change = |run: &mut Run| {
        run.distort = no_key_is_left;
        run.world.delivered = false;
        let key = || UnlockKey { id: "key".into(), name: "key".into() };
        run.world.spec.unlock_key.get_or_insert_with(key);
    };
    caught(change, "the unlock key is left");
}

/// Makes the rollout one that goes the short way.
fn goes_short(run: &mut Run) {
    let spec = &mut run.world.spec;
    (spec.drain, spec.reboot) = (DrainPolicy::Never, RebootPolicy::Never);
    (spec.engine_restart, spec.restarts) = (false, false);
}

#[test]
fn an_agent_without_gates_that_leaves_no_mark() {
    let change = |run: &mut Run| {
        goes_short(run);
        run.world.bend.leaves_no_mark = true;
    };
    caught(change, "began twice");
}

/// Every payload has a `check`.
fn checks_first(run: &mut Run) {
    let seed = run.world.version;
    scenario::checks_first(&mut run.world, seed);
    run.world.spec.force = false;
}

#[test]
fn an_agent_that_takes_drift_for_in_sync() {
    let change = |run: &mut Run| {
        checks_first(run);
        run.world.bend.checked = |checked| *checked = CheckSaid::InSync;
    };
    caught(change, "is called in sync, and its check does not say so");
}

#[test]
fn an_agent_that_works_on_a_host_that_is_in_sync() {
    let change = |run: &mut Run| {
        checks_first(run);
        run.world.bend.checked = |checked| *checked = CheckSaid::Drift;
    };
    caught(change, "which was found in sync");
}

#[test]
fn a_planner_that_waits_without_a_word() {
    caught(|run| run.mutate = |pass, _| pass.holds.clear(), "nobody says why");
}

#[test]
fn a_planner_that_forgets_to_give_a_node_back() {
    fn keep(pass: &mut Pass, _: &World) {
        for act in &mut pass.actions {
            if let Action::UpdateNode { labels, availability, .. } = &mut act.action {
                let record = labels.get(label::NODE).cloned().flatten();
                if record.is_some_and(|record| record.contains(" settling")) {
                    *availability = None;
                }
            }
        }
    }
    caught(|run| run.mutate = keep, "is left");
}

/// Puts other actions into the place of one; it stays where there are none.
fn replace(pass: &mut Pass, with: impl Fn(&Action) -> Vec<Action>) {
    let others = |act: Act| {
        let others = with(&act.action);
        let epoch = act.epoch;
        match others.is_empty() {
            true => vec![act],
            false => others.into_iter().map(|action| Act { epoch, action }).collect(),
        }
    };
    pass.actions = std::mem::take(&mut pass.actions).into_iter().flat_map(others).collect();
}

/// What gives the go for the command to an agent that waits for it.
fn the_go(world: &World, of: impl Fn(&JobKey) -> bool) -> Vec<Action> {
    let agents = world.nodes.iter().flat_map(|node| &node.containers).filter(|one| of(&one.key));
    let gates = agents.filter_map(|agent| match world.last_said(&agent.key) {
        Some(Said::Prepared { draw, .. }) => {
            Some(draw.gates.map(|number| agent.key.with_role(JobRole::Gate(number))))
        }
        _ => None,
    });
    let gates: Vec<JobKey> = gates.flatten().collect();
    let closed = world.jobs.iter().filter(|job| gates.contains(&job.key) && !job.stopped);
    closed.map(|job| Action::OpenGate { key: job.key.clone(), version: job.version }).collect()
}

#[test]
fn a_planner_that_takes_the_drawn_gates_away_before_their_agent() {
    fn gates_first(pass: &mut Pass, world: &World) {
        replace(pass, |action| {
            let Action::StopJob { key, .. } = action else { return Vec::new() };
            if key.role == JobRole::Agent { the_go(world, |agent| agent == key) } else { Vec::new() }
        });
    }
    caught(|run| run.mutate = gates_first, "the command begins on");
}

#[test]
fn a_planner_that_acts_before_it_has_written_what_it_does() {
    fn go_at_once(pass: &mut Pass, world: &World) {
        let goes = |labels: &std::collections::BTreeMap<String, Option<String>>| {
            labels.values().flatten().any(|record| record.contains(" running"))
        };
        replace(pass, |action| {
            let Action::UpdateNode { node, labels, .. } = action else { return Vec::new() };
            if goes(labels) { the_go(world, |agent: &JobKey| agent.node == *node) } else { Vec::new() }
        });
    }
    caught(|run| run.mutate = go_at_once, "the command begins on");
}

#[test]
fn a_planner_that_does_not_wait_for_a_node_to_be_empty() {
    fn nothing_runs(observed: &mut Observed, _: &ControllerId) {
        observed.tasks.clear();
        for service in &mut observed.services {
            service.running = service.desired;
        }
    }
    caught(|run| run.distort = nothing_runs, "is restarted with");
}

#[test]
fn controllers_that_ignore_the_lock() {
    fn it_is_mine(observed: &mut Observed, me: &ControllerId) {
        if let Some(holder) = observed.lock.as_mut().and_then(|lock| lock.holder.as_mut()) {
            *holder = me.clone();
        }
    }
    let change = |run: &mut Run| {
        run.distort = it_is_mine;
        run.faults.second = 100;
    };
    caught(change, "has the lock");
}

#[test]
fn a_planner_that_gives_the_go_in_a_paused_rollout() {
    fn goes_on(observed: &mut Observed, _: &ControllerId) {
        if let Some(rollout) = observed.rollout.as_mut()
            && matches!(rollout.control, Control::Paused { .. })
        {
            rollout.control = Control::Running;
        }
    }
    caught(|run| run.distort = goes_on, "gets the go although the rollout is paused");
}

#[test]
fn a_planner_that_gives_the_go_to_a_node_that_is_to_be_left_out() {
    fn nobody_asks(observed: &mut Observed, _: &ControllerId) {
        for node in &mut observed.nodes {
            node.labels.remove(label::ASK);
        }
    }
    let change = |run: &mut Run| {
        run.distort = nobody_asks;
        run.faults.operator = 60;
    };
    caught(change, "gets the go although the rollout is to leave the node out");
}

#[test]
fn a_planner_that_does_not_know_of_autolock() {
    caught(|run| run.distort = |observed, _| observed.autolock = false, "nobody will unlock it");
}

#[test]
fn a_planner_that_does_not_see_volumes() {
    fn no_volumes(observed: &mut Observed, _: &ControllerId) {
        observed.services.iter_mut().for_each(|service| service.mounts.clear());
    }
    caught(|run| run.distort = no_volumes, "would start empty elsewhere");
}

#[test]
fn a_planner_that_takes_a_service_to_zero() {
    let change = |run: &mut Run| {
        run.disobey = |spec| spec.allow_gaps = true;
        run.world.spec.allow_gaps = false;
    };
    caught(change, "runs meanwhile");
}

#[test]
fn a_planner_that_does_not_see_that_a_node_refuses_the_image() {
    fn on_its_way(observed: &mut Observed, _: &ControllerId) {
        for job in &mut observed.jobs {
            job.refused = None;
            job.tasks.iter_mut().filter(|task| **task == TaskState::Rejected).for_each(|task| {
                *task = TaskState::Pending;
            });
        }
    }
    caught(|run| run.distort = on_its_way, "refuses the image, and nobody says so");
}

thread_local! {
    /// Tries of which some agent has said that nothing of them was begun.
    static NOT_BEGUN: RefCell<BTreeSet<(NodeId, u32)>> = const { RefCell::new(BTreeSet::new()) };
}

/// An agent that collects has said that nothing was begun, and the try went on with another one: its word is not that one's.
#[test]
fn a_planner_that_takes_what_any_agent_said_for_the_word_of_the_last() {
    fn of_the_last(observed: &mut Observed, _: &ControllerId) {
        let says_so = observed.reports.iter().filter(|report| report.said == Said::NotBegun);
        let said: Vec<(NodeId, u32)> =
            says_so.map(|report| (report.node.clone(), report.generation)).collect();
        NOT_BEGUN.with_borrow_mut(|not_begun| not_begun.extend(said));
        let asks = |node: &Node| {
            let record = NodeRecord::of(node).ok().flatten()?;
            (record.state == NodeState::Verifying).then(|| (node.id.clone(), record.generation, record.agent))
        };
        for (node, generation, agent) in observed.nodes.iter().filter_map(asks) {
            if NOT_BEGUN.with_borrow(|not_begun| not_begun.contains(&(node.clone(), generation))) {
                let (transaction, said) = (String::new(), Said::NotBegun);
                observed.reports.insert(
                    0,
                    AgentReport { node, transaction, generation, agent, said, waits: None, printed: None },
                );
            }
        }
    }
    let change = |run: &mut Run| {
        NOT_BEGUN.with_borrow_mut(BTreeSet::clear);
        run.distort = of_the_last;
    };
    caught_under(many_agents(), change, "is taken back although its command has begun");
}

/// Agents are lost again and again, and operators leave nodes out meanwhile.
fn many_agents() -> Faults {
    let lost = Accidents { container: 40, oom: 10, freeze: 20, ..Accidents::all() };
    Faults { accidents: lost, operator: 20, ..Faults::but_members() }
}

#[test]
fn writes_that_are_taken_whatever_version_they_are_for() {
    caught(|run| run.world.bend.ignores_versions = true, "its operator wants");
}

/// Who takes part is looked up anew: a node that left is no participant any more.
#[test]
fn a_planner_that_forgets_who_left() {
    fn only_those_that_are_there(observed: &mut Observed, _: &ControllerId) {
        let there: Vec<NodeId> = observed.nodes.iter().map(|node| node.id.clone()).collect();
        if let Some(nodes) = observed.baseline.as_mut().and_then(|baseline| baseline.nodes.as_mut()) {
            nodes.retain(|one| there.contains(&one.id));
        }
    }
    caught_under(
        Faults::all(),
        |run| run.distort = only_those_that_are_there,
        "left, and the rollout is called done",
    );
}

#[test]
fn a_planner_that_takes_in_who_joins() {
    fn whoever_is_selected_now(observed: &mut Observed, _: &ControllerId) {
        if let Some(baseline) = &mut observed.baseline {
            baseline.nodes = None;
        }
    }
    caught_under(
        Faults::all(),
        |run| run.distort = whoever_is_selected_now,
        "joined later, and the command begins on it",
    );
}

#[test]
fn a_planner_that_gives_the_place_of_a_node_that_left_to_the_next_one() {
    fn nobody_waits(observed: &mut Observed, _: &ControllerId) {
        let nodes =
            observed.baseline.as_ref().and_then(|baseline| baseline.nodes.clone()).unwrap_or_default();
        let absent: Vec<NodeId> =
            nodes.into_iter().map(|one| one.id).filter(|id| observed.node(id).is_none()).collect();
        if let Some(rollout) = &mut observed.rollout {
            rollout.gone.extend(absent.into_iter().map(|id| (id, GoneMark::GivenUp)));
        }
    }
    caught_under(Faults::all(), |run| run.distort = nobody_waits, "nodes in maintenance");
}

#[test]
fn a_planner_that_takes_a_node_without_a_label_for_a_new_one() {
    fn as_if_nothing_was_there(observed: &mut Observed, _: &ControllerId) {
        let new = |id: &NodeId| {
            observed.nodes.iter().any(|node| node.id == *id && !node.labels.contains_key(label::NODE))
        };
        let jobs = observed.jobs.iter().filter(|job| !new(&job.key.node)).cloned().collect();
        let results = observed.results.iter().filter(|result| !new(&result.node)).cloned().collect();
        (observed.jobs, observed.results) = (jobs, results);
    }
    caught_under(
        Faults::all(),
        |run| run.distort = as_if_nothing_was_there,
        "begins anew, and all that had happened",
    );
}

/// A controller that was frozen creates an agent's service whose ticket its successor has removed.
#[test]
fn services_that_are_created_although_their_ticket_is_gone() {
    let change = |run: &mut Run| {
        scenario::needs_no_go(&mut run.world.spec);
        run.world.bend.ignores_tickets = true;
    };
    caught_under(frozen_controllers(), change, "while its label says");
}

/// It is the tickets: where the swarm keeps to them, the same faults do no harm.
#[test]
fn frozen_controllers_place_no_agent_whose_ticket_is_gone() {
    for seed in 0..200 {
        let whole = Whole { seed, faults: frozen_controllers() };
        let played = whole.first_bent(|run| scenario::needs_no_go(&mut run.world.spec));
        played.unwrap_or_else(|failure| panic!("{failure}\nseed {seed}"));
    }
}

/// Controllers freeze often, for longer than their lock lives, while operators pause, leave out and abort.
fn frozen_controllers() -> Faults {
    Faults { freeze: 150, second: 5, operator: 40, until: 600, ..Faults::default() }
}

/// A node that is drained for the command, as its label says, and its version.
fn drained(world: &World) -> Option<(NodeId, NodeRecord, careen_planner::Version)> {
    world.nodes.iter().find_map(|node| {
        let record = node.labels.get(label::NODE).and_then(|text| NodeRecord::decode(text).ok())?;
        let drained = matches!(record.state, NodeState::Draining { .. }) && node.availability != node.wish;
        drained.then(|| (node.id.clone(), record, node.version))
    })
}

#[test]
fn a_planner_that_leaves_out_a_node_that_it_has_drained() {
    fn leave_out(pass: &mut Pass, world: &World) {
        let (Some((node, record, version)), Some(epoch)) =
            (drained(world), pass.actions.first().map(|act| act.epoch))
        else {
            return;
        };
        let state = NodeState::Restoring { then: AfterRestoring::Skip { why: Skip::Held } };
        let label = NodeRecord { state, epoch, ..record }.encode();
        let labels = BTreeMap::from([(label::NODE.to_owned(), Some(label))]);
        pass.actions =
            vec![Act { epoch, action: Action::UpdateNode { node, version, labels, availability: None } }];
    }
    caught(|run| run.mutate = leave_out, "is left out because it is held");
}

#[test]
fn a_planner_that_pauses_for_a_node_that_it_has_drained() {
    fn pause(pass: &mut Pass, world: &World) {
        let (Some((node, ..)), Some(epoch)) = (drained(world), pass.actions.first().map(|act| act.epoch))
        else {
            return;
        };
        let why = PauseReason::NodeHeld { node, hold: Box::new(Hold::NodeDown), seconds: 80 };
        let (control, version) = (Control::Paused { why }, world.rollout.version);
        pass.actions = vec![Act { epoch, action: Action::SetControl { control, version } }];
    }
    caught(|run| run.mutate = pause, "pauses the rollout because it is held");
}
