//! The agent's machine against its picture, and along the ways that matter.

use super::following::GATES_FOR_A_RESTART;
use super::*;
use crate::gates::{APART, Gate};
use careen_contract::report::Restart;
use careen_host::outcome::{StopReason, TransactionPhase};
use careen_host::removal::EngineInstance;
use std::collections::BTreeSet;

fn part() -> Part {
    Part {
        agent: 2,
        gates: 6,
        collects: false,
        rolls_back: true,
        checks: false,
        has_prepare: true,
        has_verify: true,
        has_rollback: true,
    }
}

fn copied() -> Known {
    Known::Copied { from: "machine 4f2a (host web-1)".into() }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn look(gates: &[(u8, Gate)]) -> Look {
    let engine = Some(EngineInstance { pid: 1, start_ticks: 7 });
    let gates = gates.iter().map(|(number, gate)| (*number, (*gate, i64::from(*number)))).collect();
    Look { engine, agent_runs: true, gates, killed: std::collections::BTreeSet::new() }
}

fn six() -> Look {
    look(&(1..=6).map(|number| (number, Gate::Running)).collect::<Vec<_>>())
}

fn without(all: &Look, gone: impl Fn(u8) -> bool) -> Look {
    let mut left = all.clone();
    left.gates.retain(|number, _| !gone(*number));
    left
}

fn broken() -> Look {
    let mut broken = six();
    broken.gates.insert(1, (Gate::Ended, 1));
    broken
}

fn looked(look: &Look, at: u64) -> Event {
    Event::Looked { look: Some(look.clone()), asked: seconds(at), now: seconds(at), random: 7 }
}

fn ran(is_success: bool) -> Event {
    Event::Ran(Ran { exit: u8::from(!is_success), is_success, rolled_back: None })
}

fn agent(part: Part) -> Agent {
    Agent::new(part)
}

fn checked(checked: CheckSaid) -> Event {
    Event::Checked(checked)
}

/// An agent after these events.
fn after(part: Part, events: impl IntoIterator<Item = Event>) -> Agent {
    let mut agent = agent(part);
    for event in events {
        agent.step(event).expect("a way that there is");
    }
    agent
}

fn begun() -> Vec<Event> {
    vec![Event::Begin, Event::Known(Known::Begun)]
}

fn fresh() -> Vec<Event> {
    vec![Event::Begin, Event::Known(Known::Nothing), Event::Fit, ran(true), looked(&six(), 1)]
}

fn prepared() -> Vec<Event> {
    let offered = Event::Offered { expects: Expectation::No };
    [fresh(), vec![offered, looked(&six(), 2)]].concat()
}

fn drawn(agent: &Agent) -> [u8; 2] {
    if let At::Waiting(watch) = &agent.at {
        return watch.draw().gates;
    }
    let At::Following(following) = &agent.at else { panic!("it has drawn nothing: {:?}", agent.at) };
    following.watch.as_ref().expect("a watch").draw().gates
}

fn go(agent: &Agent) -> Look {
    let drawn = drawn(agent);
    without(&six(), |number| drawn.contains(&number))
}

fn refusal(agent: &Agent) -> Look {
    let drawn = drawn(agent);
    without(&six(), |number| !drawn.contains(&number))
}

fn starts(starts: bool) -> Event {
    Event::Probed { starts }
}

fn says(effects: &[Effect]) -> Option<&Said> {
    effects.iter().find_map(|effect| match effect {
        Effect::Say(said) => Some(said),
        Effect::PassGo { .. } | Effect::TakeBackGo | Effect::CancelWait | Effect::Do(_) => None,
    })
}

/// Agents in every state, with what decides there.
#[expect(clippy::too_many_lines, reason = "one in each state")]
fn all_agents() -> Vec<Agent> {
    let bare = Part { has_prepare: false, has_verify: false, has_rollback: false, ..part() };
    let collects = Part { collects: true, gates: 4, ..part() };
    let free = Part { gates: 0, ..bare.clone() };
    let told = |mut agent: Agent| {
        agent.step(Event::ToldToLeave).expect("it hears that");
        agent
    };
    let saw = |mut agent: Agent, look: &Look, at: u64| {
        agent.step(looked(look, at)).expect("it looks");
        agent
    };
    let waiting = after(part(), prepared());
    let said_go = saw(waiting.clone(), &go(&waiting), 3);
    let said_no = saw(waiting.clone(), &refusal(&waiting), 3);
    let offering = after(part(), fresh());
    let mut offered = offering.clone();
    offered.step(Event::Offered { expects: Expectation::No }).expect("offered");
    let gathering = after(bare.clone(), [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
    let free = after(free, [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
    let mut free_and_offered = saw(free.clone(), &six(), 1);
    free_and_offered.step(Event::Offered { expects: Expectation::No }).expect("offered");
    let checks = Part { checks: true, ..part() };
    let checking = |gates, has_prepare, look: &Look| {
        let part = Part { gates, has_prepare, ..checks.clone() };
        let gathering = after(part, [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
        [gathering.clone(), saw(gathering, look, 1)]
    };
    let checking = [checking(6, true, &six()), checking(6, false, &six()), checking(0, false, &look(&[]))];
    let following = after(part(), begun());
    let rolling_back = after(part(), [begun(), vec![ran(false)]].concat());
    let verifying = after(part(), [begun(), vec![ran(true)]].concat());
    let probing = after(bare.clone(), [begun(), vec![ran(true)]].concat());
    let staying = after(bare.clone(), [begun(), vec![ran(true), starts(true)]].concat());
    let others = vec![
        agent(part()),
        after(part(), [Event::Begin]),
        after(collects.clone(), [Event::Begin]),
        after(part(), [Event::Begin, Event::Known(Known::Nothing)]),
        after(bare.clone(), [Event::Begin, Event::Known(Known::Nothing)]),
        after(part(), [Event::Begin, Event::Known(Known::Nothing), Event::Fit]),
        offering,
        gathering.clone(),
        saw(gathering, &broken(), 1),
        offered.clone(),
        saw(offered, &broken(), 1),
        waiting.clone(),
        said_go,
        said_no.clone(),
        told(waiting.clone()),
        saw(said_no, &refusal(&waiting), 9),
        saw(waiting.clone(), &without(&six(), |_| true), 3),
        after(collects, [Event::Begin, Event::Known(Known::NotBegun { offered: 1 })]),
        free,
        saw(free_and_offered.clone(), &six(), 2),
        free_and_offered,
        following,
        after(bare, begun()),
        rolling_back,
        verifying,
        probing,
        after(part(), [begun(), vec![ran(true), ran(true)]].concat()),
        staying.clone(),
        told(staying),
    ];
    others.into_iter().chain(checking.into_iter().flatten()).collect()
}

fn all_events() -> Vec<Event> {
    let waiting = after(part(), prepared());
    let mut events = vec![
        Event::Begin,
        Event::Known(Known::Nothing),
        Event::Known(Known::Lost),
        Event::Known(Known::NotBegun { offered: 1 }),
        Event::Known(Known::NotBegun { offered: 2 }),
        Event::Known(Known::Begun),
        Event::Known(Known::InSync),
        Event::Known(Known::Newer),
        Event::Known(copied()),
        Event::Fit,
        Event::Unfit { exit: 248 },
        ran(true),
        ran(false),
        starts(true),
        starts(false),
        checked(CheckSaid::InSync),
        checked(CheckSaid::Drift),
        checked(CheckSaid::Failed { exit: 1 }),
        Event::Busy { holder: "t".into(), only_waits: true },
        Event::Busy { holder: "t".into(), only_waits: false },
        Event::Offered { expects: Expectation::No },
        Event::Looked { look: None, asked: seconds(2), now: seconds(2), random: 0 },
        Event::Revoked,
        Event::TooLate,
        Event::Records(vec![Record::Interrupted]),
        Event::Wish(None),
        Event::ToldToLeave,
    ];
    for look in [six(), broken(), go(&waiting), refusal(&waiting), without(&six(), |_| true)] {
        events.push(looked(&look, 3));
        events.push(looked(&look, 900));
    }
    events
}

/// The edges of the picture with this heading in docs/protocol.md, as `from --> to: event`.
pub(crate) fn edges_of_the_picture(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../../../docs/protocol.md");
    let (_, text) = text.split_once(heading).expect("the picture's heading");
    let (_, text) = text.split_once("```mermaid").expect("a picture");
    let (text, _) = text.split_once("```").expect("its end");
    let mut edges = BTreeSet::new();
    for line in text.lines().filter(|line| !line.contains("[*]")) {
        let Some((from, rest)) = line.trim().split_once(" --> ") else { continue };
        let (to, events) = rest.split_once(": ").expect("an event");
        for event in events.split(", ") {
            edges.insert(format!("{from} --> {to}: {event}").replace('_', "-"));
        }
    }
    edges
}

#[test]
fn the_codes_edges_are_those_of_the_picture() {
    let mut edges = BTreeSet::new();
    for agent in all_agents() {
        for event in all_events() {
            let (from, word) = (agent.at.name(), event.name());
            let mut stepped = agent.clone();
            match stepped.step(event) {
                Ok(_) => {
                    edges.insert(format!("{from} --> {}: {word}", stepped.at.name()));
                }
                Err(unexpected) => {
                    assert_eq!(stepped, agent, "what is unexpected changes nothing");
                    assert_eq!((unexpected.at, unexpected.event), (from, word));
                }
            }
        }
    }
    assert_eq!(edges, edges_of_the_picture("## The agent"), "left: the code, right: the picture");
}

#[test]
fn a_go_is_followed_and_a_refusal_and_an_accident_are_revoked_first() {
    for (seen, follows) in [("go", true), ("refusal", false), ("accident", false)] {
        let mut agent = after(part(), prepared());
        let look = match seen {
            "go" => go(&agent),
            "refusal" => refusal(&agent),
            _ => without(&six(), |number| !(3..=4).contains(&number)),
        };
        agent.step(looked(&look, 10)).unwrap();
        if seen != "accident" {
            let effects = agent.step(looked(&look, 10 + APART.as_secs())).unwrap();
            assert_eq!(effects.contains(&Effect::Do(Do::Follow)), follows, "{seen}: {effects:?}");
        }
        if !follows {
            assert!(matches!(agent.at, At::Revoking(_)), "{seen}: {:?}", agent.at);
            let effects = agent.step(Event::Revoked).unwrap();
            let said = says(&effects).expect("a word");
            assert_eq!(matches!(said, Said::Revoked), seen == "refusal", "{said:?}");
            assert_eq!(matches!(said, Said::Cancelled { .. }), seen == "accident", "{said:?}");
            assert_eq!(effects.last(), Some(&Effect::Do(Do::Stay(0))));
        }
    }
}

#[test]
fn one_without_gates_offers_and_goes_and_passes_that_on_as_long_as_its_engine_knows_it() {
    let free = Part { gates: 0, has_prepare: false, ..part() };
    let mut agent = after(free, [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
    let lost = Look { agent_runs: false, ..look(&[]) };
    assert_eq!(agent.step(looked(&lost, 1)).unwrap(), [Effect::Do(Do::LookAtGates)]);
    assert_eq!(agent.step(looked(&look(&[]), 2)).unwrap(), [Effect::Do(Do::Offer)]);
    agent.step(Event::Offered { expects: Expectation::No }).unwrap();
    let go = |at| Effect::PassGo { number: COMMAND, seen: seconds(at) };
    assert_eq!(agent.step(looked(&look(&[]), 3)).unwrap(), [go(3), Effect::Do(Do::Follow)]);
    assert_eq!(agent.step(looked(&look(&[]), 4)).unwrap(), [go(4)]);
    assert_eq!(agent.step(looked(&lost, 5)).unwrap(), [], "it may have been replaced");
}

#[test]
fn one_without_gates_that_its_engine_does_not_know_cancels() {
    let free = Part { gates: 0, has_prepare: false, ..part() };
    let mut agent = after(free, [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
    let lost = Look { agent_runs: false, ..look(&[]) };
    agent.step(looked(&lost, 1)).unwrap();
    let effects = agent.step(looked(&lost, 1 + GATHERING.as_secs())).unwrap();
    assert!(matches!(says(&effects), Some(Said::Cancelled { .. })), "{effects:?}");
}

#[test]
fn one_that_is_told_to_leave_writes_revoked_first_and_the_journal_decides() {
    for events in [prepared(), begun()] {
        let mut agent = after(part(), events);
        let effects = agent.step(Event::ToldToLeave).unwrap();
        assert!(matches!(effects.last(), Some(Effect::Do(Do::Revoke { .. }))), "{effects:?}");
        let mut loser = agent.clone();
        assert_eq!(loser.step(Event::TooLate).unwrap(), [Effect::Do(Do::Leave(DETACHED))]);
        let effects = agent.step(Event::Revoked).unwrap();
        assert_eq!(effects, [Effect::Say(Said::Revoked), Effect::Do(Do::Leave(DETACHED))]);
    }
    let mut twice = after(part(), [prepared(), vec![Event::ToldToLeave]].concat());
    let effects = twice.step(Event::ToldToLeave).unwrap();
    assert!(matches!(effects.as_slice(), [Effect::Do(Do::Revoke { .. })]), "it still writes it down");
    let mut early = after(part(), [Event::Begin, Event::Known(Known::Nothing), Event::Fit, ran(true)]);
    assert_eq!(
        early.step(Event::ToldToLeave).unwrap(),
        [Effect::Do(Do::Leave(DETACHED))],
        "it offered nothing"
    );
}

/// An agent that the swarm has started again behind its go finds the host as new when it was installed anew meanwhile. The
/// gates that were opened tell: it never offers, and the collecting agent finds what there is, nothing.
#[test]
fn a_try_is_offered_only_when_all_gates_run() {
    let mut agent = after(part(), [Event::Begin, Event::Known(Known::Nothing), Event::Fit, ran(true)]);
    let opened = without(&six(), |number| number == 2 || number == 5);
    for at in 1..50 {
        assert_eq!(agent.step(looked(&opened, at * 30)).unwrap(), [Effect::Do(Do::LookAtGates)]);
    }
    assert_eq!(agent.step(looked(&six(), 2000)).unwrap(), [Effect::Do(Do::Offer)]);
    let effects = agent.step(Event::Known(Known::Newer)).unwrap();
    assert_eq!(effects, [Effect::Do(Do::Leave(REFUSED))], "a later agent was here meanwhile");
    let mut late = after(part(), fresh());
    assert_eq!(late.step(Event::TooLate).unwrap(), [Effect::TakeBackGo, Effect::Do(Do::Follow)]);
}

/// The host's `check` decides, before anything else of the payload; one that is in sync is said to be, and nothing follows.
#[test]
fn a_host_that_is_in_sync_is_left_as_it_is_and_one_whose_check_fails_is_not_worked_on() {
    for gates in [6, 0] {
        let checks = Part { checks: true, gates, ..part() };
        let all = if gates == 0 { look(&[]) } else { six() };
        let way = [Event::Begin, Event::Known(Known::Nothing), Event::Fit, looked(&all, 1)];
        let agent = after(checks, way);
        assert_eq!(agent.at, At::Checking);
        // In the middle of somebody's work its answer says little.
        let busy = Event::Busy { holder: "t".into(), only_waits: false };
        let then = Box::new(Do::Run(Step::Check));
        assert_eq!(agent.clone().step(busy).unwrap().last(), Some(&Effect::Do(Do::WaitForHost { then })));
        let says_then = |event: Event| {
            let mut agent = agent.clone();
            let effects = agent.step(event).unwrap();
            (says(&effects).cloned(), effects.last().cloned())
        };
        let finished = |outcome| Some(Said::Finished { outcome, record: None });
        let stays = |exit| Some(Effect::Do(Do::Stay(exit)));
        assert_eq!(says_then(checked(CheckSaid::InSync)), (finished(NodeOutcome::InSync), stays(0)));
        let failed = NodeOutcome::Failed { phase: HostPhase::Check, exit: 124, rolled_back: None };
        assert_eq!(says_then(checked(CheckSaid::Failed { exit: 124 })), (finished(failed), stays(124)));
        let goes_on = Some(Effect::Do(Do::Run(Step::Prepare)));
        assert_eq!(says_then(checked(CheckSaid::Drift)), (Some(Said::Preparing), goes_on));
    }
}

/// An agent that was started again behind its go, on a host that has forgotten, must not take what its command did for the state
/// in which it found the host.
#[test]
fn check_is_asked_only_when_all_gates_run() {
    let checks = Part { checks: true, ..part() };
    let mut agent = after(checks, [Event::Begin, Event::Known(Known::Nothing), Event::Fit]);
    let opened = without(&six(), |number| number == 2 || number == 5);
    for at in 1..50 {
        assert_eq!(agent.step(looked(&opened, at * 30)).unwrap(), [Effect::Do(Do::LookAtGates)]);
    }
    let effects = agent.step(looked(&six(), 2000)).unwrap();
    assert_eq!(effects.last(), Some(&Effect::Do(Do::Run(Step::Check))));
}

/// Whoever comes later in the same try, to work or to collect, finds the record; what was begun counts before it.
#[test]
fn a_try_that_found_its_host_in_sync_stays_so_whoever_comes() {
    for collects in [false, true] {
        let mut agent = after(Part { collects, checks: true, ..part() }, [Event::Begin]);
        let effects = agent.step(Event::Known(Known::InSync)).unwrap();
        let in_sync = Said::Finished { outcome: NodeOutcome::InSync, record: None };
        assert_eq!(effects, [Effect::Say(in_sync), Effect::Do(Do::Stay(0))], "collects: {collects}");
    }
}

#[test]
fn one_that_collects_begins_nothing_and_says_what_the_journal_knows() {
    let collects = Part { collects: true, gates: 4, ..part() };
    let known = |known: Known| {
        let mut agent = after(collects.clone(), [Event::Begin]);
        let effects = agent.step(Event::Known(known)).unwrap();
        (agent, effects)
    };
    let (_, effects) = known(Known::Nothing);
    assert_eq!(says(&effects), Some(&Said::Forgotten));
    let (_, effects) = known(Known::Begun);
    assert_eq!(effects, [Effect::TakeBackGo, Effect::Do(Do::Follow)]);
    let (mut agent, effects) = known(Known::NotBegun { offered: 1 });
    assert!(matches!(effects.as_slice(), [Effect::Do(Do::Revoke { .. })]), "{effects:?}");
    let mut loser = agent.clone();
    let follows = [Effect::TakeBackGo, Effect::Do(Do::Follow)];
    assert_eq!(loser.step(Event::TooLate).unwrap(), follows, "it was begun meanwhile");
    assert_eq!(says(&agent.step(Event::Revoked).unwrap()), Some(&Said::NotBegun));
    let (_, effects) = known(Known::Newer);
    assert_eq!(effects, [Effect::Do(Do::Leave(REFUSED))]);
    let mut older = after(part(), [Event::Begin]);
    let effects = older.step(Event::Known(Known::NotBegun { offered: 2 })).unwrap();
    assert_eq!(effects, [Effect::Do(Do::Leave(REFUSED))], "it was started again, or a later one was here");
}

#[test]
fn a_host_that_forgets_is_said_to() {
    let nothing = Event::Known(Known::Nothing);
    let mut following = after(part(), begun());
    assert_eq!(says(&following.step(nothing.clone()).unwrap()), Some(&Said::Forgotten));
    let mut leaving = after(part(), [prepared(), vec![Event::ToldToLeave]].concat());
    let effects = leaving.step(nothing).unwrap();
    assert_eq!(effects, [Effect::Say(Said::Forgotten), Effect::Do(Do::Leave(DETACHED))]);
}

#[test]
fn a_supervisor_that_revoked_by_itself_is_heard() {
    let mut following = after(part(), begun());
    let effects = following.step(Event::Revoked).unwrap();
    assert_eq!(effects, [Effect::Say(Said::Revoked), Effect::Do(Do::Stay(0))]);
}

fn wishes(number: u32) -> Event {
    Event::Wish(Some(Wish { number, kind: Restart::Reboot }))
}

#[test]
fn a_wish_is_drawn_for_and_its_go_passed_on_or_refused_or_cancelled() {
    for seen in ["go", "refusal", "accident"] {
        let mut agent = after(part(), [begun(), vec![wishes(1)]].concat());
        assert!(agent.wants_looks());
        let effects = agent.step(looked(&six(), 1)).unwrap();
        let Some(Said::WantsRestart { kind: Restart::Reboot, draw }) = says(&effects) else {
            panic!("{effects:?}")
        };
        assert_eq!(draw.number, 1);
        let look = match seen {
            "go" => go(&agent),
            "refusal" => refusal(&agent),
            _ => without(&six(), |_| true),
        };
        let mut effects = agent.step(looked(&look, 3)).unwrap();
        if seen != "accident" {
            effects = agent.step(looked(&look, 5)).unwrap();
        }
        match seen {
            "go" => {
                assert_eq!(effects, [Effect::PassGo { number: 1, seen: seconds(5) }]);
                let slow = Event::Looked { look: Some(look), asked: seconds(6), now: seconds(9), random: 7 };
                let again = [Effect::PassGo { number: 1, seen: seconds(6) }];
                assert_eq!(agent.step(slow).unwrap(), again, "it counts from the look's beginning on");
                let accident = agent.step(looked(&without(&six(), |_| true), 10)).unwrap();
                let [Effect::TakeBackGo, Effect::Say(Said::Cancelled { .. })] = accident.as_slice() else {
                    panic!("taken back before anybody hears of it: {accident:?}")
                };
            }
            "refusal" => assert_eq!(effects, [Effect::CancelWait]),
            _ => {
                assert!(matches!(says(&effects), Some(Said::Cancelled { .. })), "{effects:?}");
                assert!(!agent.wants_looks(), "another agent takes its place");
                assert_eq!(agent.step(looked(&six(), 9)).unwrap(), []);
            }
        }
    }
}

#[test]
fn one_that_comes_and_one_that_leaves_takes_a_restarts_go_back() {
    let mut agent = after(part(), [Event::Begin]);
    assert_eq!(agent.step(Event::Known(Known::Begun)).unwrap()[0], Effect::TakeBackGo);
    agent.step(wishes(1)).unwrap();
    assert_eq!(agent.step(Event::ToldToLeave).unwrap()[0], Effect::TakeBackGo);
}

#[test]
fn another_wish_is_drawn_for_anew_and_gates_that_never_come_cancel() {
    let mut agent = after(part(), [begun(), vec![wishes(1), looked(&six(), 1)]].concat());
    let four = go(&agent);
    agent.step(wishes(2)).unwrap();
    let effects = agent.step(looked(&four, 9)).unwrap();
    let Some(Said::WantsRestart { draw, .. }) = says(&effects) else { panic!("{effects:?}") };
    assert_eq!(draw.number, 2);
    let mut agent = after(part(), [begun(), vec![wishes(1)]].concat());
    let two = without(&six(), |number| number > 2);
    assert_eq!(agent.step(looked(&two, 10)).unwrap(), []);
    let late = agent.step(looked(&two, 10 + GATES_FOR_A_RESTART.as_secs())).unwrap();
    assert!(matches!(says(&late), Some(Said::Cancelled { .. })), "{late:?}");
}

#[test]
fn a_busy_host_is_freed_of_who_only_waits_and_waited_for_otherwise() {
    let states = [
        (fresh()[..3].to_vec(), Do::Run(Step::Prepare)),
        (fresh(), Do::Offer),
        (begun(), Do::Follow),
        ([begun(), vec![ran(true)]].concat(), Do::Run(Step::Verify)),
        ([begun(), vec![ran(false)]].concat(), Do::Run(Step::Rollback)),
    ];
    for (events, then) in states {
        let agent = after(part(), events);
        let busy = |only_waits| Event::Busy { holder: "t".into(), only_waits };
        let mut frees = agent.clone();
        let free = Do::Free { holder: "t".into(), then: Box::new(then.clone()) };
        assert_eq!(frees.step(busy(true)).unwrap(), [Effect::Do(free)]);
        let mut waits = agent.clone();
        let effects = waits.step(busy(false)).unwrap();
        assert_eq!(says(&effects), Some(&Said::Busy { transaction: "t".into() }));
        assert_eq!(effects.last(), Some(&Effect::Do(Do::WaitForHost { then: Box::new(then) })));
        assert_eq!((&frees.at, &waits.at), (&agent.at, &agent.at), "it tries the same again");
    }
}

#[test]
fn what_is_over_when_an_agent_comes_is_not_told_as_if_it_went_on() {
    let starting = Record::Starting { phase: TransactionPhase::Command, attempt: 2, engine_up: true };
    let records = |records: &[Record]| {
        let mut agent = after(part(), begun());
        let effects = agent.step(Event::Records(records.to_vec())).unwrap();
        says(&effects).cloned()
    };
    assert_eq!(records(std::slice::from_ref(&starting)), Some(Said::Running { attempt: 2 }));
    assert_eq!(records(&[starting.clone(), Record::Running { pid: 1 }]), Some(Said::Running { attempt: 2 }));
    assert_eq!(records(&[starting.clone(), Record::Interrupted]), None);
    let stopping = Record::Stopping { reason: StopReason::TimeLimit };
    assert_eq!(records(&[starting, stopping]), Some(Said::Running { attempt: 2 }));
    let rebooting = Record::Rebooting { reason: "kernel".into(), from_boot: "a".into() };
    let restarting = Some(Said::Restarting { kind: Restart::Reboot });
    assert_eq!(records(std::slice::from_ref(&rebooting)), restarting);
    assert_eq!(records(&[rebooting, Record::Rebooted { boot: "b".into() }]), None);
}

#[test]
fn the_last_word_is_how_it_ended_and_a_failure_is_taken_back_where_the_rollout_says_so() {
    let outcome = |part: Part, events: Vec<Event>| {
        let mut agent = after(part, begun());
        let mut effects = Vec::new();
        for event in events {
            effects = agent.step(event).unwrap();
        }
        match says(&effects) {
            Some(Said::Finished { outcome, .. }) => Some(outcome.clone()),
            _ => None,
        }
    };
    assert_eq!(outcome(part(), vec![ran(true), ran(true)]), None, "a container has to start first");
    assert_eq!(outcome(part(), vec![ran(true), ran(true), starts(true)]), Some(NodeOutcome::Succeeded));
    let failed = |phase, rolled_back| Some(NodeOutcome::Failed { phase, exit: 1, rolled_back });
    let keeps = Part { rolls_back: false, ..part() };
    assert_eq!(outcome(keeps.clone(), vec![ran(false)]), failed(HostPhase::Command, None));
    assert_eq!(outcome(keeps.clone(), vec![ran(true), ran(false)]), failed(HostPhase::Verify, None));
    assert_eq!(outcome(keeps, vec![ran(true), ran(true), starts(false)]), failed(HostPhase::Verify, None));
    assert_eq!(outcome(part(), vec![ran(false), ran(true)]), failed(HostPhase::Command, Some(true)));
    let saved = Event::Ran(Ran { exit: 249, is_success: false, rolled_back: Some(false) });
    let down = NodeOutcome::Failed { phase: HostPhase::Command, exit: 249, rolled_back: Some(false) };
    assert_eq!(outcome(part(), vec![saved]), Some(down), "the supervisor has tried it");
    let mut unfit = after(part(), [Event::Begin, Event::Known(Known::Nothing)]);
    let effects = unfit.step(Event::Unfit { exit: 248 }).unwrap();
    let refused = NodeOutcome::Failed { phase: HostPhase::Preflight, exit: 248, rolled_back: None };
    assert_eq!(says(&effects), Some(&Said::Finished { outcome: refused, record: None }));
    assert_eq!(effects.last(), Some(&Effect::Do(Do::Stay(248))), "until it is taken away");
    assert_eq!(unfit.step(Event::ToldToLeave).unwrap(), [Effect::Do(Do::Leave(248))]);
}
