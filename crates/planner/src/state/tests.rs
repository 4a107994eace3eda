//! The state machine against its picture, and the label against everything that could be in it.

use super::*;
use crate::observed::Availability;
use crate::testing::rollout;
use std::collections::BTreeSet;
use strum::{IntoEnumIterator, VariantArray};

const FAILED: Reason = Reason::Exit(7);

fn all_stages() -> Vec<Stage> {
    let goals = [Goal::Run, Goal::Restart(Restart::Engine), Goal::Restart(Restart::Reboot)];
    let mut stages = vec![
        Stage::Pending,
        Stage::Entering,
        Stage::Preparing,
        Stage::Running { drained: true },
        Stage::Running { drained: false },
        Stage::RestartingEngine,
        Stage::Rebooting,
        Stage::Verifying,
        Stage::Restoring { then: Then::Settle },
        Stage::Restoring { then: Then::Fail { phase: Phase::Preparing, reason: FAILED } },
        Stage::Settling,
        Stage::Done,
    ];
    stages.extend(goals.map(|goal| Stage::Draining { goal }));
    for why in [Skip::Asked, Skip::Aborted, Skip::Windows, Skip::OldEngine] {
        stages.push(Stage::Skipped { why });
        stages.push(Stage::Restoring { then: Then::Skip { why } });
    }
    let left = [Left::BeforeItsTurn, Left::AtWork, Left::GivenUp, Left::Failed, Left::Done];
    stages.extend(left.map(|left| Stage::Gone { left }));
    for phase in Phase::VARIANTS.iter().copied() {
        for reason in Reason::iter().chain([FAILED, Reason::Exit(-1)]) {
            stages.push(Stage::Failed { phase, reason });
        }
    }
    stages
}

fn all_events() -> Vec<Event> {
    let restarts = [Restart::Engine, Restart::Reboot];
    let mut events = vec![
        Event::Enter,
        Event::Withdraw,
        Event::Placed,
        Event::AgentLost,
        Event::Cancelled,
        Event::Drain(Goal::Run),
        Event::Go { drained: true },
        Event::Go { drained: false },
        Event::Ended,
        Event::NotBegun,
        Event::Verified,
        Event::Restored,
        Event::Settled,
        Event::Fail(FAILED),
        Event::Skip(Skip::Asked),
        Event::Retry,
        Event::Leave(Left::AtWork),
        Event::GiveUp,
    ];
    events.extend(restarts.map(|kind| Event::Drain(Goal::Restart(kind))));
    events.extend(restarts.map(Event::Restart));
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
    for stage in all_stages() {
        for event in all_events() {
            let from = stage.name();
            if let Ok(to) = stage.clone().step(&event) {
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
    let illegal = Stage::Done.step(&Event::Retry).unwrap_err();
    assert_eq!(illegal.to_string(), "'retry' cannot happen to a node that is done");
    for stage in [Stage::Done, Stage::Skipped { why: Skip::Asked }] {
        for event in all_events().into_iter().filter(|event| *event != Event::Leave(Left::AtWork)) {
            assert!(stage.clone().step(&event).is_err(), "{event:?} after {}", stage.name());
        }
    }
}

#[test]
fn only_what_was_not_begun_is_taken_back() {
    for stage in all_stages() {
        let before = stage.is_before_the_go();
        assert!(!(before && stage.is_after_the_go()), "{stage:?}");
        if let Ok(failed) = stage.clone().step(&Event::Fail(FAILED)) {
            assert_eq!(matches!(failed, Stage::Restoring { .. }), before, "{stage:?}");
        }
        for lost in [Event::AgentLost, Event::Cancelled] {
            if let Ok(again) = stage.clone().step(&lost) {
                let expected = if before { Stage::Entering } else { Stage::Verifying };
                assert_eq!(again, expected, "after the go another agent only asks");
            }
        }
    }
}

#[test]
fn a_record_is_one_short_label_and_comes_back_as_it_was() {
    let availabilities = [Availability::Active, Availability::Pause, Availability::Drain];
    for stage in all_stages() {
        for was in availabilities {
            let taken = [None, Some(Taken { was, set: Availability::Drain })];
            for taken in taken {
                let record = NodeRecord {
                    rollout: rollout(),
                    generation: 2,
                    agent: 3,
                    cancelled: u32::from(was == Availability::Pause),
                    begun: was == Availability::Drain,
                    epoch: 70,
                    stage: stage.clone(),
                    taken,
                };
                let text = record.encode();
                assert!(text.len() < 100, "{text}");
                assert_eq!(text.contains(" c1 "), record.cancelled > 0, "{text}");
                if matches!(stage, Stage::Gone { .. }) {
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
