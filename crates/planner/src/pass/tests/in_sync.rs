//! Hosts that are in sync: nothing is run there, and nothing is waited for.

use super::*;

const IN_SYNC: Said = Said::Finished { outcome: NodeOutcome::InSync, record: None };

fn found(observed: &mut Observed, outcome: NodeOutcome) {
    let node = NodeId("w1".into());
    observed.results = vec![NodeResult { node, generation: 1, outcome, record: None, seconds: None }];
}

/// Its result is written first, then careen's services go; it does not settle, and what was drained is given back.
#[test]
fn a_host_that_is_in_sync_is_done_as_soon_as_nothing_of_careens_is_there() {
    for state in [
        NodeState::Entering,
        NodeState::Preparing,
        NodeState::Draining { goal: Goal::Run },
        NodeState::Running { drained: false },
        NodeState::Verifying,
    ] {
        let name = state.name();
        let mut observed = cluster();
        put(&mut observed, "w1", &record(state));
        jobs(&mut observed, "w1", TaskState::Running, Some(IN_SYNC));
        assert_eq!(words(&now(&observed, &spec())), ["write-result"], "{name}");
        found(&mut observed, NodeOutcome::InSync);
        let written = words(&now(&observed, &spec()));
        assert!(written.len() == 1 && written[0].starts_with("w1 e5 restoring:done"), "{name}: {written:?}");
    }
    let mut observed = cluster();
    let then = crate::state::AfterRestoring::Done;
    let taken = Some(Taken { was: Availability::Active, set: Availability::Drain });
    put(&mut observed, "w1", &NodeRecord { taken, ..record(NodeState::Restoring { then }) });
    node(&mut observed, "w1").availability = Availability::Drain;
    found(&mut observed, NodeOutcome::InSync);
    let pass = now(&observed, &spec());
    assert_eq!(pass.states[&NodeId("w1".into())], NodeState::Done, "services are not watched");
    let active = Some(Availability::Active);
    let given_back =
        |act: &Act| matches!(&act.action, Action::UpdateNode { availability, .. } if *availability == active);
    assert!(pass.actions.iter().any(given_back), "{:?}", pass.actions);
}

#[test]
fn on_the_short_way_it_is_the_same() {
    let mut observed = cluster();
    put(&mut observed, "w1", &short_record(SHORT_RUNNING));
    observed.tickets.push(key("w1", JobRole::Agent));
    jobs(&mut observed, "w1", TaskState::Running, Some(IN_SYNC));
    observed.jobs.retain(|job| job.key.role == JobRole::Agent);
    assert_eq!(short_pass(&observed).0, ["write-result"]);
    found(&mut observed, NodeOutcome::InSync);
    let (_, pass) = short_pass(&observed);
    let then = crate::state::AfterRestoring::Done;
    assert_eq!(pass.states[&NodeId("w1".into())], NodeState::Restoring { then });
}

/// It wanted a restart, so its command was begun: its host has lost what it knew, and the state in which it is says nothing.
#[test]
fn of_a_try_that_has_begun_nobody_may_say_so() {
    let mut observed = cluster();
    put(&mut observed, "w1", &NodeRecord { begun: true, ..record(NodeState::Verifying) });
    jobs(&mut observed, "w1", TaskState::Running, Some(IN_SYNC));
    let why = PauseReason::NodeFailed {
        node: NodeId("w1".into()),
        during: StateName::Verifying,
        why: Reason::Forgotten,
    };
    let pass = now(&observed, &spec());
    let pauses = |act: &Act| matches!(&act.action, Action::SetControl { control: Control::Paused { why: said }, .. } if *said == why);
    assert!(pass.actions.iter().any(pauses), "{:?}", pass.actions);
}

#[test]
fn a_check_that_cannot_tell_fails_the_node_before_anything_was_begun() {
    let outcome = NodeOutcome::Failed { phase: HostPhase::Check, exit: 1, rolled_back: None };
    let mut observed = cluster();
    put(&mut observed, "w1", &record(NodeState::Preparing));
    let said = Said::Finished { outcome: outcome.clone(), record: Some("it is locked".into()) };
    jobs(&mut observed, "w1", TaskState::Running, Some(said));
    assert_eq!(words(&now(&observed, &spec())), ["write-result"]);
    found(&mut observed, outcome);
    observed.rollout.as_mut().unwrap().control = Control::Paused { why: PauseReason::Asked };
    assert_eq!(words(&now(&observed, &spec())), ["w1 e5 restoring:failed:preparing:check"]);
}
