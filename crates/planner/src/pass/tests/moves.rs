//! A rollout that brings a new version of an enforcement, pass by pass. The steps themselves are tested beside them.

use super::*;
use crate::enforcement::EnforcementState;
use crate::moves::{Amiss, EnforcerSeen, MoveStep, Moves, Moving, StateSeen, VersionSeen};

const LABEL: &str = "careen.enforce.sysctl";

fn moves() -> Moves {
    Moves { enforcement: "sysctl".into(), from: "aaaaaaaa".into(), to: "bbbbbbbb".into() }
}

fn short_spec() -> Spec {
    let mut spec = spec();
    (spec.drain, spec.reboot) = (crate::spec::DrainPolicy::Never, crate::spec::RebootPolicy::Never);
    (spec.engine_restart, spec.touches_engine) = (false, false);
    spec.moves = Some(moves());
    spec
}

fn seen(state: EnforcementState, constraint: String) -> VersionSeen {
    let config = Some(StateSeen { at: Version(4), state });
    VersionSeen { config, service: Some(EnforcerSeen { at: Version(4), constraints: vec![constraint] }) }
}

/// Both versions are beside each other.
fn laid() -> Observed {
    let updating = EnforcementState::Updating { to: moves().to, rollout: rollout() };
    let coming = EnforcementState::Coming { from: moves().from, rollout: rollout() };
    let from = seen(updating, moves().not_new());
    Observed { moving: Some(Moving { from, to: seen(coming, moves().only_new()) }), ..cluster() }
}

/// What is written of the label, node by node.
fn labelled(pass: &Pass) -> Vec<(String, Option<String>)> {
    let written = |act: &Act| {
        let Action::UpdateNode { node, labels, .. } = &act.action else { return None };
        Some((node.to_string(), labels.get(LABEL)?.clone()))
    };
    pass.actions.iter().filter_map(written).collect()
}

fn steps(pass: &Pass) -> Vec<&'static str> {
    let step = |act: &Act| {
        let Action::Move { step, .. } = &act.action else { return None };
        Some(step.name())
    };
    pass.actions.iter().filter_map(step).collect()
}

fn is_on(observed: &mut Observed, name: &str) {
    node(observed, name).labels.insert(LABEL.into(), moves().to);
}

/// All nodes are done, and have the new version.
fn all_done() -> Observed {
    let mut observed = laid();
    for name in ["m1", "m2", "m3", "w1", "w2"] {
        put(&mut observed, name, &record(NodeState::Done));
        is_on(&mut observed, name);
    }
    observed
}

#[test]
fn no_node_begins_before_both_versions_are_there() {
    let mut observed = laid();
    observed.moving.as_mut().unwrap().to.service = None;
    let pass = now(&observed, &short_spec());
    assert_eq!((steps(&pass), labelled(&pass)), (vec!["create-service"], vec![]));
    let hold = Hold::SettingUp { enforcement: "sysctl".into() };
    assert!(pass.holds.values().all(|one| *one == hold), "{:?}", pass.holds);
    observed.moving = None;
    assert!(now(&observed, &short_spec()).actions.is_empty(), "what nobody has looked at is not there");
}

#[test]
fn a_node_gets_the_new_version_with_the_label_that_says_that_it_begins_and_no_other_node() {
    for spec in [short_spec(), Spec { moves: Some(moves()), ..spec() }] {
        let pass = now(&laid(), &spec);
        assert_eq!(labelled(&pass), [("w1".to_owned(), Some(moves().to))], "the canary");
        let Some(Action::UpdateNode { labels, .. }) = pass.actions.first().map(|act| &act.action) else {
            panic!("{:?}", pass.actions)
        };
        assert!(labels.contains_key(label::NODE), "in the same write");
    }
}

#[test]
fn a_node_that_is_left_out_goes_back_and_one_that_is_tried_again_stays() {
    let mut observed = laid();
    put(
        &mut observed,
        "w1",
        &record(NodeState::Restoring { then: AfterRestoring::Skip { why: Skip::Asked } }),
    );
    is_on(&mut observed, "w1");
    // The next one begins behind it, in the same pass.
    let written = labelled(&now(&observed, &short_spec()));
    assert_eq!(written, [("w1".to_owned(), None), ("w2".to_owned(), Some(moves().to))]);
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(1) };
    put(&mut observed, "w1", &record(failed));
    for (ask, expected) in [(Ask::Retry, None), (Ask::Skip, Some(("w1".to_owned(), None)))] {
        node(&mut observed, "w1").labels.insert(label::ASK.into(), ask.label(&rollout()));
        let written = labelled(&now(&observed, &short_spec()));
        assert_eq!(written.first().cloned(), expected, "{ask:?}");
    }
}

#[test]
fn a_label_that_somebody_removed_meanwhile_is_not_set_again() {
    let mut observed = laid();
    let running = NodeRecord { short: true, ..record(NodeState::Running { drained: false }) };
    put(&mut observed, "w1", &running);
    observed.results.push(NodeResult {
        node: NodeId("w1".into()),
        generation: 1,
        outcome: NodeOutcome::Succeeded,
        record: None,
        seconds: None,
    });
    let pass = now(&observed, &short_spec());
    assert!(!pass.actions.is_empty());
    assert_eq!(labelled(&pass), []);
}

#[test]
fn what_somebody_changed_when_a_node_had_begun_pauses_the_rollout() {
    let mut observed = laid();
    put(&mut observed, "w1", &record(NodeState::Done));
    observed.moving.as_mut().unwrap().to.service = None;
    let pass = now(&observed, &short_spec());
    let amiss = Amiss::NewService;
    let why = PauseReason::EnforcementChanged { enforcement: "sysctl".into(), amiss };
    let paused = |act: &Act| matches!(&act.action, Action::SetControl { control, .. } if *control == Control::Paused { why: why.clone() });
    assert!(pass.actions.iter().any(paused), "{:?}", pass.actions);
    assert_eq!(steps(&pass), Vec::<&str>::new());
}

#[test]
fn a_success_is_promoted_before_it_is_recorded() {
    let mut observed = all_done();
    assert_eq!(steps(&now(&observed, &short_spec())), ["say"]);
    let moving = observed.moving.as_mut().unwrap();
    moving.to.config.as_mut().unwrap().state = EnforcementState::Running {};
    assert_eq!(steps(&now(&observed, &short_spec())), ["remove-service"]);
    // An abort that comes now does not take it back.
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    assert_eq!(steps(&now(&observed, &short_spec())), ["remove-service"]);
    observed.moving.as_mut().unwrap().from.service = None;
    observed.moving.as_mut().unwrap().to.service.as_mut().unwrap().constraints.clear();
    assert_eq!(labelled(&now(&observed, &short_spec())).len(), 5, "then the labels go");
}

fn writes_history(pass: &Pass) -> bool {
    pass.actions.iter().any(|act| matches!(act.action, Action::WriteHistory { .. }))
}

#[test]
fn failures_leave_both_versions_and_an_abort_takes_the_new_one_back() {
    let mut observed = all_done();
    let failed = NodeState::Failed { during: StateName::Running, reason: Reason::Exit(1) };
    put(&mut observed, "w2", &record(failed));
    let pass = now(&observed, &short_spec());
    assert!(writes_history(&pass) && steps(&pass).is_empty() && labelled(&pass).is_empty());
    observed.rollout.as_mut().unwrap().control = Control::Aborting;
    let pass = now(&observed, &short_spec());
    assert!(!writes_history(&pass));
    assert_eq!(steps(&pass), ["remove-service"]);
    observed.moving.as_mut().unwrap().to.service = None;
    assert_eq!(labelled(&now(&observed, &short_spec())).len(), 5);
}

#[test]
fn a_version_that_no_host_has_taken_is_taken_back() {
    let mut observed = laid();
    for name in ["m1", "m2", "m3", "w1", "w2"] {
        put(&mut observed, name, &record(NodeState::Skipped { why: Skip::Asked }));
    }
    assert_eq!(steps(&now(&observed, &short_spec())), ["remove-service"]);
    let moving = observed.moving.as_mut().unwrap();
    moving.to.service = None;
    // Nothing sets it up again on the way back.
    let pass = now(&observed, &short_spec());
    let [Act { action: Action::Move { step: MoveStep::Constrain { present: false, .. }, .. }, .. }] =
        &pass.actions[..]
    else {
        panic!("{:?}", pass.actions)
    };
}

#[test]
fn what_was_written_late_is_removed_behind_the_end() {
    for (outcome, removed) in
        [(RolloutOutcome::Aborted, 1), (RolloutOutcome::Done, 1), (RolloutOutcome::WithFailures, 0)]
    {
        let mut observed = laid();
        is_on(&mut observed, "w1");
        observed.rollout.as_mut().unwrap().control = Control::Finished { outcome };
        observed.history_written = true;
        assert_eq!(labelled(&now(&observed, &short_spec())).len(), removed, "{outcome:?}");
    }
}
