//! The state machine against its picture, and the label against everything that could be in it.

use super::*;
use crate::observed::Availability;
use crate::testing::rollout;
use std::collections::BTreeSet;
use strum::{IntoEnumIterator, VariantArray};

const FAILED: Reason = Reason::Exit(7);

fn all_states() -> Vec<NodeState> {
    let goals = [Goal::Run, Goal::Restart(Restart::Engine), Goal::Restart(Restart::Reboot)];
    let mut states = vec![
        NodeState::Pending,
        NodeState::Entering,
        NodeState::Preparing,
        NodeState::Running { drained: true },
        NodeState::Running { drained: false },
        NodeState::RestartingEngine,
        NodeState::Rebooting,
        NodeState::Verifying,
        NodeState::Restoring { then: AfterRestoring::Settle },
        NodeState::Restoring { then: AfterRestoring::Done },
        NodeState::Restoring { then: AfterRestoring::Fail { during: StateName::Preparing, reason: FAILED } },
        NodeState::Settling,
        NodeState::Done,
    ];
    states.extend(goals.map(|goal| NodeState::Draining { goal }));
    for why in [Skip::Asked, Skip::Aborted, Skip::Excluded, Skip::Windows, Skip::OldEngine, Skip::Held] {
        states.push(NodeState::Skipped { why });
        states.push(NodeState::Restoring { then: AfterRestoring::Skip { why } });
    }
    let left = [Left::BeforeItsTurn, Left::AtWork, Left::GivenUp, Left::Failed, Left::Done];
    states.extend(left.map(|left| NodeState::Gone { left }));
    for during in StateName::VARIANTS.iter().copied() {
        for reason in Reason::iter().chain([FAILED, Reason::Exit(-1)]) {
            states.push(NodeState::Failed { during, reason });
        }
    }
    states
}

fn all_events() -> Vec<NodeEvent> {
    let restarts = [Restart::Engine, Restart::Reboot];
    let mut events = vec![
        NodeEvent::Enter,
        NodeEvent::Start,
        NodeEvent::NeverPlaced,
        NodeEvent::Refused,
        NodeEvent::Withdraw,
        NodeEvent::Placed,
        NodeEvent::AgentLost,
        NodeEvent::Cancelled,
        NodeEvent::Drain(Goal::Run),
        NodeEvent::Go { drained: true },
        NodeEvent::Go { drained: false },
        NodeEvent::Ended,
        NodeEvent::NotBegun,
        NodeEvent::Verified,
        NodeEvent::InSync,
        NodeEvent::Restored,
        NodeEvent::Settled,
        NodeEvent::Fail(FAILED),
        NodeEvent::Skip(Skip::Asked),
        NodeEvent::Retry,
        NodeEvent::Leave(Left::AtWork),
        NodeEvent::GiveUp,
    ];
    events.extend(restarts.map(|kind| NodeEvent::Drain(Goal::Restart(kind))));
    events.extend(restarts.map(NodeEvent::Restart));
    events
}

/// The edges of the picture in docs/rollout-states.md, as `from --> to: event`.
fn edges_of_the_picture() -> BTreeSet<String> {
    let text = include_str!("../../../../docs/rollout-states.md");
    let edges = |line: &str| -> Vec<String> {
        let Some((from, rest)) = line.trim().split_once(" --> ") else { return Vec::new() };
        let Some((to, events)) = rest.split_once(": ") else { return Vec::new() };
        let edge = |event: &str| format!("{from} --> {to}: {event}").replace('_', "-");
        events.split(", ").map(edge).collect()
    };
    text.lines().flat_map(edges).filter(|edge| !edge.contains("[*]")).collect()
}

#[test]
fn the_codes_edges_are_those_of_the_picture() {
    let mut edges = BTreeSet::new();
    for state in all_states() {
        for event in all_events() {
            let from = state.name();
            if let Ok(to) = state.clone().step(&event) {
                edges.insert(format!("{from} --> {}: {}", to.name(), event.name()));
            }
        }
    }
    let picture = edges_of_the_picture();
    let only_code: Vec<_> = edges.difference(&picture).collect();
    let only_picture: Vec<_> = picture.difference(&edges).collect();
    assert!(
        only_code.is_empty() && only_picture.is_empty(),
        "code: {only_code:#?} picture: {only_picture:#?}"
    );
}

#[test]
fn an_illegal_step_says_what_cannot_happen() {
    let illegal = NodeState::Done.step(&NodeEvent::Retry).unwrap_err();
    assert_eq!(illegal.to_string(), "'retry' cannot happen to a node that is done");
    for state in [NodeState::Done, NodeState::Skipped { why: Skip::Asked }] {
        for event in all_events().into_iter().filter(|event| *event != NodeEvent::Leave(Left::AtWork)) {
            assert!(state.clone().step(&event).is_err(), "{event:?} after {}", state.name());
        }
    }
}

#[test]
fn only_what_was_not_begun_is_taken_back() {
    for state in all_states() {
        let before = state.is_before_the_go();
        assert!(!(before && state.is_after_the_go()), "{state:?}");
        if let Ok(failed) = state.clone().step(&NodeEvent::Fail(FAILED)) {
            assert_eq!(matches!(failed, NodeState::Restoring { .. }), before, "{state:?}");
        }
        for lost in [NodeEvent::AgentLost, NodeEvent::Cancelled] {
            if let Ok(again) = state.clone().step(&lost) {
                let expected = if before { NodeState::Entering } else { NodeState::Verifying };
                assert_eq!(again, expected, "after the go another agent only asks");
            }
        }
    }
}

#[test]
fn a_record_is_one_short_label_and_comes_back_as_it_was() {
    let availabilities = [Availability::Active, Availability::Pause, Availability::Drain];
    for state in all_states() {
        for was in availabilities {
            let taken = [None, Some(Taken { was, set: Availability::Drain })];
            for taken in taken {
                let record = NodeRecord {
                    rollout: rollout(),
                    generation: 2,
                    agent: 3,
                    cancelled: u32::from(was == Availability::Pause),
                    begun: was == Availability::Drain,
                    short: was == Availability::Active,
                    epoch: 70,
                    state: state.clone(),
                    taken,
                };
                let text = record.encode();
                assert!(text.len() < 100, "{text}");
                assert_eq!(text.contains(" c1 "), record.cancelled > 0, "{text}");
                if matches!(state, NodeState::Gone { .. }) {
                    assert!(NodeRecord::decode(&text).is_err(), "a node that left has no label: {text}");
                    continue;
                }
                assert_eq!(NodeRecord::decode(&text).unwrap(), record);
            }
        }
    }
}

#[test]
fn what_is_not_written_exactly_so_is_corrupt() {
    let record = NodeRecord { taken: None, ..NodeRecord::new(&rollout(), 7) };
    let text = record.encode();
    assert_eq!(text, "1 k3x9 g1 a0 e7 pending");
    let newer = format!("2{}", &text[1..]);
    let bad = [
        "",
        "1",
        &newer,
        "1 k3x9 g1 a0 e7 pending ",
        "1 k3x9 g01 a0 e7 pending",
        "1 k3x9 g1 a0 c0 e7 pending",
        "1 k3x9 g1 a0 c01 e7 pending",
        "1 k3x9 g1 a0 c e7 pending",
        "1 k3x9 g1 c1 a0 e7 pending",
        "1 k3x9 g1 a0 c1 pending",
        "1 k3x9 g1 a0 e7 c1 pending",
        "1 k3x9 g1 a0 s s e7 pending",
        "1 k3x9 g1 a0 s b e7 pending",
        "1 k3x9 g1 a0 e7 held",
        "1 k3x9 g1 a0 e7 failed",
        "1 k3x9 g1 a0 e7 failed:nowhere:node-down",
        "1 k3x9 g1 a0 e7 done:x",
        "1 K g1 a0 e7 pending",
        "1 k3x9 g1 a0 e7 pending active",
        "1 k3x9 g1 a0 e7 pending active>gone",
        "1 k3x9 g1 a0 e7 pending active>drain more",
    ];
    for bad in bad {
        assert_eq!(NodeRecord::decode(bad), Err(CorruptRecord { text: bad.to_owned() }));
    }
    for end in 0..text.len() {
        assert!(NodeRecord::decode(&text[..end]).is_err(), "{}", &text[..end]);
    }
}
