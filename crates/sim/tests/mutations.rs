//! The invariants bite: a planner that is made to break one of its rules is caught, within a few histories.

use careen_planner::action::Action;
use careen_planner::observed::{Manager, Reachability};
use careen_planner::rollout::{ASK_LABEL, Ask, GoneMark};
use careen_planner::state::{NodeRecord, RECORD_LABEL};
use careen_planner::{ControllerId, Go, JobRole, NodeId, Observed, Pass, Stage};
use careen_sim::world::World;
use careen_sim::{Faults, Run, scenario};

/// Runs histories until one is caught at what it was expected to be.
fn caught(change: impl Fn(&mut Run), expected: &str) {
    let mut others = Vec::new();
    for seed in 0..400 {
        let mut run = Run::new(scenario::random(seed)).with(Faults::all());
        change(&mut run);
        if let Err(failure) = run.to_the_end() {
            // A broken planner may also get stuck first.
            if failure.what.iter().any(|what| what.contains(expected)) {
                return;
            }
            others.push(format!("seed {seed}: {}", failure.what.join("; ")));
        }
    }
    panic!("nobody notices; expected was '{expected}', but: {others:#?}");
}

#[test]
fn a_planner_that_ignores_the_quorum() {
    fn all_managers_are_well(observed: &mut Observed, _: &ControllerId) {
        for node in observed.nodes.iter_mut().filter(|node| node.is_manager()) {
            node.manager = Some(Manager { leader: true, reachability: Reachability::Reachable });
        }
    }
    let change = |run: &mut Run| {
        run.distort = all_managers_are_well;
        run.world.agents_check_quorum = false;
    };
    caught(change, "managers");
}

#[test]
fn a_planner_that_ignores_parallelism() {
    let change = |run: &mut Run| {
        run.disobey = |spec| {
            spec.policy.parallelism = 5;
            spec.policy.canaries = 0;
        };
        run.world.spec.policy.parallelism = 1;
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
            if record.is_some_and(|record| matches!(record.stage, Stage::Failed { .. })) {
                node.labels.insert(ASK_LABEL.into(), Ask::Retry.label(&scenario::spec().id));
            }
        }
    }
    caught(|run| run.distort = retry, "after 0 retries");
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
                let record = labels.get(RECORD_LABEL).cloned().flatten();
                if record.is_some_and(|record| record.contains(" settling")) {
                    *availability = None;
                }
            }
        }
    }
    caught(|run| run.mutate = keep, "is left");
}

#[test]
fn a_planner_that_takes_a_gate_away_while_its_agent_waits() {
    fn gates_first(pass: &mut Pass, world: &World) {
        for act in &mut pass.actions {
            if let Action::StopJob { key, .. } = &act.action {
                let gate = key.with_role(JobRole::Gate(Go::Run));
                let gate = world.jobs.iter().find(|job| job.key == gate && !job.stopped);
                if let Some(gate) = gate {
                    act.action = Action::StopJob { key: gate.key.clone(), version: gate.version };
                }
            }
        }
    }
    caught(|run| run.mutate = gates_first, "the command begins on");
}

#[test]
fn a_planner_that_acts_before_it_has_written_what_it_does() {
    fn go_at_once(pass: &mut Pass, world: &World) {
        for act in &mut pass.actions {
            let Action::UpdateNode { node, labels, .. } = &act.action else { continue };
            let goes = labels.values().flatten().any(|record| record.contains(" running"));
            let gate = world
                .jobs
                .iter()
                .find(|job| job.key.node == *node && job.key.role == JobRole::Gate(Go::Run) && !job.stopped);
            if let (true, Some(gate)) = (goes, gate) {
                act.action = Action::OpenGate { key: gate.key.clone(), version: gate.version };
            }
        }
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

/// Who takes part is looked up anew: a node that left is no participant any more.
#[test]
fn a_planner_that_forgets_who_left() {
    fn only_those_that_are_there(observed: &mut Observed, _: &ControllerId) {
        let there: Vec<NodeId> = observed.nodes.iter().map(|node| node.id.clone()).collect();
        if let Some(nodes) = observed.baseline.as_mut().and_then(|baseline| baseline.nodes.as_mut()) {
            nodes.retain(|one| there.contains(&one.id));
        }
    }
    caught(|run| run.distort = only_those_that_are_there, "left, and the rollout is called done");
}

#[test]
fn a_planner_that_takes_in_who_joins() {
    fn whoever_is_selected_now(observed: &mut Observed, _: &ControllerId) {
        if let Some(baseline) = &mut observed.baseline {
            baseline.nodes = None;
        }
    }
    caught(|run| run.distort = whoever_is_selected_now, "joined later, and the command begins on it");
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
    caught(|run| run.distort = nobody_waits, "nodes in maintenance");
}

#[test]
fn a_planner_that_takes_a_node_without_a_label_for_a_new_one() {
    fn as_if_nothing_was_there(observed: &mut Observed, _: &ControllerId) {
        let new = |id: &NodeId| {
            observed.nodes.iter().any(|node| node.id == *id && !node.labels.contains_key(RECORD_LABEL))
        };
        let jobs = observed.jobs.iter().filter(|job| !new(&job.key.node)).cloned().collect();
        let results = observed.results.iter().filter(|result| !new(&result.node)).cloned().collect();
        (observed.jobs, observed.results) = (jobs, results);
    }
    caught(|run| run.distort = as_if_nothing_was_there, "begins anew, and all that had happened");
}
