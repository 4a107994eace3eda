//! Nodes that wait before anything was taken down on them: whose limit ends that. The table is in docs/rollout-states.md.

use super::*;
use crate::on_hold::{self, HoldClock, HoldPolicy, OnHold};
use std::collections::BTreeSet;

const LIMIT: u64 = 1000;

/// Each limit is another one, and most are below that of holds.
fn spec_with(action: OnHold) -> Spec {
    let mut spec = spec();
    let seconds = Duration::from_secs;
    spec.drain = crate::spec::DrainPolicy::Always;
    (spec.limits.entering, spec.limits.preparing) = (seconds(600), seconds(700));
    (spec.limits.node_down, spec.limits.draining) = (seconds(800), seconds(500));
    spec.policy.holds = HoldPolicy { action, limit: seconds(LIMIT) };
    spec
}

/// A swarm in which what a pass writes of one node comes true, and whose services are refused as the first one was.
struct Story {
    observed: Observed,
    spec: Spec,
    name: &'static str,
    watch: Watch,
    refusal: Option<Refusal>,
}

impl Story {
    fn new(observed: Observed, name: &'static str, action: OnHold) -> Self {
        let mut spec = spec_with(action);
        spec.selection.nodes = vec![name.to_owned()];
        let refusal = observed.jobs.iter().find_map(|job| job.refused.clone());
        Self { observed, spec, name, watch: Watch::default(), refusal }
    }

    /// One pass, and how it ends the wait, if it does.
    fn pass(&mut self, seconds: u64) -> Option<&'static str> {
        let pass =
            pass(&self.observed, &self.spec, &me(), &self.watch, Duration::from_secs(seconds)).unwrap();
        self.watch = pass.watch;
        let mut end = None;
        for act in pass.actions {
            if let Action::SetControl { control: Control::Paused { why }, .. } = &act.action {
                assert!(
                    matches!(why, PauseReason::NodeHeld { .. } | PauseReason::NodeFailed { .. }),
                    "{why:?}"
                );
                let held = matches!(why, PauseReason::NodeHeld { .. });
                end = Some(if held { "paused" } else { "failed" });
            } else if let Action::UpdateNode { node, labels, .. } = act.action {
                end = self.writes(&node, labels).or(end);
            } else if let Action::CreateJob { agent } = act.action {
                self.refuses(agent.key);
            } else if let Action::CreateGate { key } = act.action {
                self.refuses(key);
            }
        }
        end
    }

    fn writes(&mut self, id: &NodeId, labels: BTreeMap<String, Option<String>>) -> Option<&'static str> {
        if id.0 != self.name {
            return None;
        }
        let node = super::node(&mut self.observed, self.name);
        for (label, value) in labels {
            drop(match value {
                Some(value) => node.labels.insert(label, value),
                None => node.labels.remove(&label),
            });
        }
        let record = NodeRecord::of(node).unwrap();
        record.is_some_and(|record| record.state.is_skipped_for_a_hold()).then_some("skipped")
    }

    fn refuses(&mut self, key: JobKey) {
        let (tasks, refused) = (vec![TaskState::Rejected], self.refusal.clone());
        self.observed.jobs.push(Job {
            key,
            version: Version(2),
            stopped: false,
            on: None,
            tasks,
            swept: false,
            refused,
        });
    }

    /// How the wait ends, and when, with a look every ten seconds.
    fn end(&mut self, from: u64) -> Option<(u64, &'static str)> {
        (from..from + 3000).step_by(10).find_map(|seconds| Some((seconds, self.pass(seconds)?)))
    }
}

fn pending(change: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = cluster();
    change(&mut observed);
    observed
}

/// A task of `w1` would have no place elsewhere.
fn nowhere(observed: &mut Observed) {
    observed.services.push(service("db", 1));
    observed.tasks.push(task("db", "w1"));
    observed.nodes.iter_mut().filter(|node| node.hostname != "w1").for_each(|node| node.availability = Drain);
}

fn preparing(said: Said) -> Observed {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Preparing));
    jobs(&mut observed, "w1", TaskState::Running, Some(said));
    observed
}

fn refused() -> Observed {
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Entering));
    jobs(&mut observed, "w1", TaskState::Rejected, None);
    let refusal = Refusal { why: "No such image".into(), no_image: true };
    observed.jobs.iter_mut().for_each(|job| job.refused = Some(refusal.clone()));
    observed
}

/// One of each row: the hold's name, on which node, and what is so.
fn waits() -> Vec<(&'static str, &'static str, Observed)> {
    let unreachable = |observed: &mut Observed| {
        node(observed, "m3").manager =
            Some(Manager { leader: false, reachability: Reachability::Unreachable });
    };
    let mut prepared_and_nowhere = preparing(prepared(Expectation::Yes));
    nowhere(&mut prepared_and_nowhere);
    vec![
        ("quorum-at-risk", "m2", pending(unreachable)),
        ("no-place", "w1", pending(nowhere)),
        ("no-place", "w1", prepared_and_nowhere),
        ("node-down", "w1", pending(|observed| node(observed, "w1").status = NodeStatus::Down)),
        ("image-missing", "w1", refused()),
        ("host-busy", "w1", preparing(Said::Busy { transaction: "other".into() })),
    ]
}

/// The rows of the table: the holds' names, and what ends the wait with each action.
fn rows() -> Vec<(Vec<String>, [String; 3])> {
    let text = include_str!("../../../../../docs/rollout-states.md");
    let table = text.split("### Which limit ends a wait").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [holds, wait, pause, skip] = cells[..] else { panic!("{row}") };
        let names = holds.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (names, [wait, pause, skip].map(str::to_owned))
    })
    .collect()
}

#[test]
fn which_limit_ends_a_wait_is_what_the_documents_say() {
    let cell = |end: Option<(u64, &str)>| match end {
        None => "nothing".to_owned(),
        Some((600, "failed")) => "`entering`: failed".to_owned(),
        Some((700, "failed")) => "`preparing`: failed".to_owned(),
        Some((800, "failed")) => "`node-down`: failed".to_owned(),
        Some((LIMIT..=1060, "paused")) => "`--hold-limit`: the rollout pauses".to_owned(),
        Some((LIMIT..=1060, "skipped")) => "`--hold-limit`: left out".to_owned(),
        Some(other) => format!("{other:?}"),
    };
    let rows = rows();
    for (hold, name, observed) in waits() {
        let (_, told) = rows.iter().find(|(names, _)| names.iter().any(|one| one == hold)).unwrap();
        let mut first = Story::new(observed.clone(), name, OnHold::Wait);
        let found = pass(&first.observed, &first.spec, &me(), &Watch::default(), Duration::ZERO).unwrap();
        assert_eq!(found.holds[&NodeId(name.into())].name(), hold);
        let pause = Story::new(observed.clone(), name, OnHold::Pause).end(0);
        let skip = Story::new(observed, name, OnHold::Skip).end(0);
        assert_eq!([first.end(0), pause, skip].map(cell), *told, "{hold}");
    }
    let named: BTreeSet<String> = rows.into_iter().flat_map(|(names, _)| names).collect();
    let placing = Hold::Placing { placed: 1, of: 7, why: Some("no space".into()) };
    let all = Hold::examples().into_iter().chain([placing]);
    let counted: BTreeSet<String> = all
        .filter(|hold| HoldClock::of(hold) == HoldClock::Runs)
        .map(|hold| hold.name().to_owned())
        .collect();
    assert_eq!(named, counted, "the holds of the table are those that are counted");
}

#[test]
fn a_hold_goes_on_under_another_controller() {
    for action in [OnHold::Pause, OnHold::Skip] {
        for (hold, name, observed) in waits() {
            let mut story = Story::new(observed, name, action);
            for seconds in (0..500).step_by(10) {
                assert_eq!(story.pass(seconds), None, "{hold}");
            }
            // Its clock is another one, and it knows nothing but what is written.
            story.watch = Watch::default();
            let (at, _) = story.end(100_000).unwrap();
            assert!((100_490..100_580).contains(&at), "{hold}: {at}");
        }
    }
}

#[test]
fn what_was_taken_down_is_never_left_out_and_never_paused_for() {
    let taken = Some(Taken { was: Active, set: Drain });
    let down = |taken, generation| {
        let mut observed = cluster();
        put(&mut observed, "w1", &NodeRecord { taken, generation, agent: 0, ..record(NodeState::Pending) });
        node(&mut observed, "w1").status = NodeStatus::Down;
        observed
    };
    let mut draining = cluster();
    put(&mut draining, "w1", &record(NodeState::Draining { goal: Goal::Run }));
    jobs(&mut draining, "w1", TaskState::Running, Some(prepared(Expectation::Yes)));
    draining.tasks.push(task("web", "w1"));
    let table = [
        ("tried again, and still drained from the try before", down(taken, 2), (800, "failed")),
        ("tried again: its host may be at work", down(None, 2), (800, "failed")),
        ("drained by an earlier rollout", down(taken, 1), (800, "failed")),
        ("draining", draining, (500, "failed")),
    ];
    for (what, observed, expected) in table {
        for action in [OnHold::Pause, OnHold::Skip] {
            let mut story = Story::new(observed.clone(), "w1", action);
            assert_eq!(story.end(0), Some(expected), "{what}");
            assert!(!story.observed.nodes.iter().any(|node| node.labels.contains_key(label::HELD)), "{what}");
        }
    }
}

#[test]
fn a_pause_and_the_nodes_turn_end_the_time_and_what_was_written_of_it() {
    let held = |observed: &Observed| on_hold::read(&observed.nodes[3], &rollout(), 1).as_secs();
    let mut story = Story::new(pending(nowhere), "w1", OnHold::Skip);
    (0..300).step_by(10).for_each(|seconds| assert_eq!(story.pass(seconds), None));
    assert!((250..300).contains(&held(&story.observed)));
    let paused = Control::Paused { why: PauseReason::Asked };
    story.observed.rollout.as_mut().unwrap().control = paused;
    story.pass(300);
    assert_eq!(held(&story.observed), 0, "an operator is asked already");
    story.observed.rollout.as_mut().unwrap().control = Control::Running;
    let (at, _) = story.end(310).unwrap();
    assert!((310 + LIMIT..310 + LIMIT + 60).contains(&at), "its time begins anew: {at}");
    let mut story = Story::new(pending(nowhere), "w1", OnHold::Skip);
    (0..300).step_by(10).for_each(|seconds| assert_eq!(story.pass(seconds), None));
    story.observed.tasks.clear();
    story.observed.services.clear();
    story.pass(300);
    assert!(story.observed.nodes[3].labels[label::NODE].ends_with("entering"));
    assert_eq!(held(&story.observed), 0);
}

#[test]
fn the_limit_of_a_state_is_for_what_comes_behind_the_hold() {
    let mut story = Story::new(preparing(Said::Busy { transaction: "other".into() }), "w1", OnHold::Pause);
    (0..900).step_by(10).for_each(|seconds| assert_eq!(story.pass(seconds), None));
    says(&mut story.observed, "w1", Some(Said::Preparing));
    let (at, how) = story.end(900).unwrap();
    assert_eq!(how, "failed");
    assert!((1580..=1600).contains(&at), "700 s behind the hold: {at}");
}

#[test]
fn who_is_left_out_keeps_what_it_waited_for_and_the_end_takes_the_label_away() {
    let mut story = Story::new(pending(nowhere), "w1", OnHold::Skip);
    story.end(0).unwrap();
    let node = &story.observed.nodes[3];
    assert!(node.labels[label::NODE].ends_with("skipped:held"));
    assert!(!node.labels.contains_key(label::HELD));
    let words = last_words(node, &rollout(), 1).unwrap();
    assert!(words.starts_with("it waited: db would have no place elsewhere"), "{words}");
    // Of one that was held when the rollout was aborted only this label is there.
    let mut observed = cluster();
    observed.nodes[3]
        .labels
        .insert(label::HELD.into(), on_hold::written(&rollout(), 1, Duration::from_secs(60)));
    observed.nodes[4].labels.insert(label::HELD.into(), "other g1 60".into());
    observed.history_written = true;
    observed.rollout.as_mut().unwrap().control = Control::Finished { outcome: RolloutOutcome::Aborted };
    assert_eq!(words_of_nodes(&now(&observed, &spec())), ["w1"]);
}

fn words_of_nodes(pass: &Pass) -> Vec<String> {
    let of = |act: &Act| {
        let Action::UpdateNode { node, labels, .. } = &act.action else { return None };
        assert_eq!(labels[label::HELD], None);
        Some(node.to_string())
    };
    pass.actions.iter().filter_map(of).collect()
}
