//! The supervisor's machine against its picture, and along the ways that matter.

use super::*;
use crate::agent::tests::edges_of_the_picture;
use careen_host::journal::TransactionResult;
use careen_host::outcome::CommandEnd;
use std::collections::BTreeSet;

const ROLLOUT: Policy = Policy {
    reboot: Reboot::Wanted,
    engine_restart: true,
    idempotent: false,
    has_rollback: true,
    awaits_go: true,
    only_looks: false,
};

const MAY_RUN: Event = Event::MayRun { engine_up: true };

fn alone() -> Policy {
    Policy { awaits_go: false, ..ROLLOUT }
}

fn state(records: &[Record]) -> State {
    records.iter().fold(State::default(), |state, record| state.step(record).expect("a journal"))
}

fn host() -> HostView {
    HostView { boot_id: "one".into(), engine_up: true, ..HostView::default() }
}

fn wants_reboot() -> HostView {
    HostView { reboot_wanted: Some("kernel".into()), ..host() }
}

fn wants_engine() -> HostView {
    HostView { engine_restart_wanted: Some("docker".into()), ..host() }
}

fn seen(view: HostView) -> Event {
    Event::Seen { view, secrets_are_missing: false }
}

fn offered() -> Record {
    Record::Offered { agent: 3 }
}

fn starting() -> Record {
    Record::Starting { phase: TransactionPhase::Command, attempt: 1, engine_up: true }
}

fn ended_with(status: i32) -> Vec<Record> {
    let end = Record::Ended { end: CommandEnd::Exited(status), left_behind: Vec::new(), notes: Vec::new() };
    vec![offered(), starting(), Record::Running { pid: 9 }, end]
}

fn rebooting() -> Record {
    Record::Rebooting { reason: "kernel".into(), from_boot: "one".into() }
}

fn closed() -> Record {
    let outcome = Outcome::Exited { status: 0 };
    Record::Closed {
        result: TransactionResult {
            exit_code: outcome.exit_code(),
            outcome,
            output_bytes: 0,
            duration_ms: None,
            notes: Vec::new(),
            changes: None,
            answer: None,
        },
    }
}

fn settled(outcome: EngineOutcome) -> Record {
    Record::EngineSettled { outcome }
}

/// Journals that lead to all that is decided.
fn all_journals() -> Vec<State> {
    let ended = ended_with(0);
    let with = |records: &[Record]| state(&[&ended[..], records].concat());
    let why = EngineRestart::Replaced;
    let restarting = Record::RestartingEngine { why };
    let down = Record::RestartingEngine { why: EngineRestart::Down };
    let is_down = settled(EngineOutcome::Down { words: "no".into() });
    vec![
        state(&[]),
        state(&[offered()]),
        state(&[offered(), Record::Revoked { by: "x".into() }]),
        state(&ended[..2]),
        state(&ended[..3]),
        state(&[&ended[..3], &[Record::Interrupted]].concat()),
        with(&[]),
        state(&ended_with(194)),
        state(&ended_with(7)),
        with(std::slice::from_ref(&restarting)),
        with(&[restarting, settled(EngineOutcome::Up)]),
        with(std::slice::from_ref(&down)),
        with(&[down, is_down]),
        with(&[Record::RestartingEngine { why: EngineRestart::CalledDown }]),
        with(&[rebooting()]),
        state(&[ended_with(194), vec![rebooting(), Record::Rebooted { boot: "two".into() }]].concat()),
        with(&[rebooting(), Record::Rebooted { boot: "two".into() }]),
        with(&[closed()]),
    ]
}

fn wish_of(kind: Restart) -> Wish {
    Wish { number: 1, kind, reason: "x".into(), boot: "one".into() }
}

fn all_ats() -> Vec<At> {
    let start = Start { phase: TransactionPhase::Command, attempt: 1, engine_up: true };
    let again = Start { attempt: 2, ..start };
    let mut ats = vec![
        At::New,
        At::Host,
        At::Engine,
        At::Looking,
        At::TurnToRun(start),
        At::TurnToRun(again),
        At::GoToRun(start),
        At::Go(wish_of(Restart::Engine)),
        At::Go(wish_of(Restart::Reboot)),
        At::TurnToRestart(wish_of(Restart::Engine)),
        At::TurnToRestart(wish_of(Restart::Reboot)),
        At::LookingAtGo(wish_of(Restart::Engine)),
        At::LookingAtGo(wish_of(Restart::Reboot)),
        At::StartingProgram,
        At::Program,
        At::RestartingEngine,
        At::Rebooting,
        At::Swarm("two".into()),
        At::Closing,
        At::Gone,
    ];
    let why = EngineRestart::Replaced;
    let after = [
        Then::Decide,
        Then::Run(start),
        Then::Watch,
        Then::Restart(why, Some(1)),
        Then::Reboot(Some(1)),
        Then::Leave(Leave::NoGo),
    ];
    ats.extend(after.map(At::Writing));
    ats
}

fn all_events() -> Vec<Event> {
    let end = CommandEnd::Exited(0);
    let down = HostView { engine_up: false, ..host() };
    let other_boot = HostView { boot_id: "two".into(), ..host() };
    let mut events = vec![
        Event::Begin,
        Event::HostLock(true),
        Event::HostLock(false),
        Event::Written,
        Event::Waited,
        Event::MayRun { engine_up: true },
        Event::GoIsVoid,
        Event::TurnIsLost,
        Event::GaveUp("x".into()),
        Event::Cancelled("x".into()),
        Event::ToldToEnd,
        Event::Started { pid: 9 },
        Event::Ended { end: end.clone(), left_behind: Vec::new(), notes: Vec::new(), cut_off: false },
        Event::Ended { end, left_behind: Vec::new(), notes: Vec::new(), cut_off: true },
        Event::Settled(EngineOutcome::Up),
        Event::Closed,
    ];
    let called_down = HostView { called_down: true, ..host() };
    for view in [host(), wants_reboot(), wants_engine(), down, other_boot, called_down] {
        events.push(seen(view.clone()));
        events.push(Event::Seen { view, secrets_are_missing: true });
    }
    events
}

fn all_supervisors() -> Vec<Supervisor> {
    let mut all = Vec::new();
    for at in all_ats() {
        for policy in [ROLLOUT, alone(), Policy { idempotent: true, ..ROLLOUT }] {
            for (go, cancelled) in [(Some(3), None), (None, None), (Some(3), Some("x".to_owned()))] {
                for takes_host_lock in [true, false] {
                    let at = at.clone();
                    let cancelled = cancelled.clone();
                    all.push(Supervisor { policy, takes_host_lock, go, cancelled, at });
                }
            }
        }
    }
    all
}

#[test]
fn the_codes_edges_are_those_of_the_picture() {
    let mut edges = BTreeSet::new();
    for supervisor in all_supervisors() {
        for journal in all_journals() {
            for event in all_events() {
                let (from, word) = (supervisor.at.name(), event.name());
                let mut stepped = supervisor.clone();
                match stepped.step(&journal, event) {
                    Ok(_) => {
                        edges.insert(format!("{from} --> {}: {word}", stepped.at.name()));
                    }
                    Err(unexpected) => {
                        assert_eq!(stepped, supervisor, "what is unexpected changes nothing");
                        assert_eq!((unexpected.at, unexpected.event), (from, word));
                    }
                }
            }
        }
    }
    assert_eq!(edges, edges_of_the_picture("## The supervisor"), "left: the code, right: the picture");
}

/// Whoever drives it: records go into a journal, everything else is answered.
#[derive(Debug)]
struct Driven {
    machine: Supervisor,
    state: State,
    last: Effect,
}

impl Driven {
    fn new(policy: Policy, go: Option<u32>, records: &[Record]) -> Self {
        let mut machine = Supervisor::new(policy, true, Way::Systemd, go);
        let state = state(records);
        let last = machine.step(&state, Event::Begin).unwrap();
        Self { machine, state, last }
    }

    fn told(&mut self, event: Event) -> &Effect {
        self.last = self.machine.step(&self.state, event).unwrap();
        // A record is written before anything else happens.
        while let Some(record) = self.record() {
            self.state = self.state.clone().step(&record).expect("a record that may follow");
            self.last = self.machine.step(&self.state, Event::Written).unwrap();
        }
        &self.last
    }

    fn record(&self) -> Option<Record> {
        if let Effect::WriteSupervised = &self.last {
            return Some(Record::Supervised { entry: Way::Systemd, pid: 1, boot_id: "one".into() });
        }
        if let Effect::Write(record) = &self.last { Some(record.clone()) } else { None }
    }

    /// Up to its look at the host.
    fn looks(policy: Policy, go: Option<u32>, records: &[Record]) -> Self {
        let mut driven = Self::new(policy, go, records);
        driven.told(Event::HostLock(true));
        if driven.last == Effect::LetEngineComeUp {
            driven.told(Event::Waited);
        }
        assert_eq!(driven.last, Effect::Look);
        driven
    }
}

#[test]
fn nothing_begins_without_the_go_of_the_agent_that_offered_last() {
    let revoked = [offered(), Record::Revoked { by: "x".into() }];
    for (go, records) in [
        (None, vec![offered()]),
        (Some(2), vec![offered()]),
        (Some(3), vec![]),
        (Some(3), revoked.to_vec()),
        (None, vec![]),
    ] {
        let mut driven = Driven::new(ROLLOUT, go, &records);
        let before = driven.state.clone();
        assert_eq!(driven.told(Event::HostLock(true)), &Effect::Leave(Leave::NoGo), "{go:?} {records:?}");
        assert_eq!(driven.state, before, "not even a record is written");
    }
    let mut driven = Driven::looks(ROLLOUT, Some(3), &[offered()]);
    assert_eq!(driven.told(seen(host())), &Effect::AwaitTurnToRun, "the quorum, right before the command");
    assert_eq!(driven.told(MAY_RUN), &Effect::AwaitGoToRun, "the wait for its turn may have been long");
    // The engine was killed meanwhile: what is so now counts.
    let started = driven.told(Event::MayRun { engine_up: false });
    assert!(matches!(started, Effect::StartProgram(Start { engine_up: false, .. })), "{started:?}");
    assert!(
        matches!(driven.state.stage, TransactionStage::Starting { .. }),
        "its attempt is used before it is started"
    );
}

#[test]
fn a_command_whose_agent_passes_the_go_on_no_more_is_revoked() {
    let behind_its_turn = || {
        let mut driven = Driven::looks(ROLLOUT, Some(3), &[offered()]);
        driven.told(seen(host()));
        driven.told(MAY_RUN);
        driven
    };
    for event in [Event::GaveUp("its agent is gone".into()), Event::Cancelled("abort".into())] {
        let mut driven = behind_its_turn();
        assert_eq!(driven.told(event), &Effect::Leave(Leave::NoGo));
        assert_eq!(driven.state.stage, TransactionStage::Revoked);
    }
    let mut driven = behind_its_turn();
    let record = driven.machine.step(&driven.state, MAY_RUN).unwrap();
    assert!(matches!(record, Effect::Write(Record::Starting { .. })));
    assert_eq!(driven.told(Event::GoIsVoid), &Effect::Leave(Leave::NoGo), "the record could not be written");
    assert_eq!(driven.state.stage, TransactionStage::Revoked);
}

#[test]
fn a_cancel_before_the_command_revokes_and_one_that_comes_too_late_is_none() {
    for event in [Event::Cancelled("abort".into()), Event::GaveUp("no quorum".into())] {
        let mut driven = Driven::looks(ROLLOUT, Some(3), &[offered()]);
        driven.told(seen(host()));
        assert_eq!(driven.told(event), &Effect::Leave(Leave::NoGo));
        assert_eq!(driven.state.stage, TransactionStage::Revoked);
    }
    let mut driven = Driven::looks(ROLLOUT, Some(3), &[offered()]);
    driven.told(seen(host()));
    driven.told(MAY_RUN);
    driven.told(MAY_RUN);
    let unexpected = driven.machine.step(&driven.state, Event::Cancelled("abort".into()));
    assert!(unexpected.is_err(), "whoever watches the program stops it");
}

#[test]
fn a_second_attempt_that_gets_no_turn_is_closed() {
    let records = [ended_with(194), vec![rebooting(), Record::Rebooted { boot: "two".into() }]].concat();
    for event in [Event::Cancelled("abort".into()), Event::GaveUp("no quorum".into())] {
        let mut driven = Driven::looks(ROLLOUT, None, &records);
        assert_eq!(driven.told(seen(host())), &Effect::AwaitTurnToRun);
        assert!(
            matches!(driven.told(event), Effect::Close(Outcome::RestartWanted { .. })),
            "{:?}",
            driven.last
        );
    }
}

#[test]
fn a_cancel_in_every_wait_ends_the_transaction() {
    let ended = ended_with(0);
    let reached: Vec<(&str, Driven)> = vec![
        ("awaiting-go", {
            let mut driven = Driven::looks(ROLLOUT, None, &ended);
            driven.told(seen(wants_engine()));
            driven
        }),
        ("awaiting-turn-to-restart", {
            let mut driven = Driven::looks(ROLLOUT, None, &ended);
            driven.told(seen(wants_reboot()));
            driven.told(Event::Waited);
            driven
        }),
        ("rebooting", {
            let mut driven = Driven::looks(alone(), None, &ended);
            driven.told(seen(wants_reboot()));
            driven.told(Event::Waited);
            driven
        }),
        ("restarting-engine", {
            let mut driven = Driven::looks(alone(), None, &ended);
            driven.told(seen(wants_engine()));
            driven
        }),
        ("awaiting-engine", {
            let mut driven = Driven::new(ROLLOUT, None, &ended);
            driven.told(Event::HostLock(true));
            driven
        }),
        ("awaiting-swarm", {
            let records = [&ended[..], &[rebooting()]].concat();
            let mut driven = Driven::looks(ROLLOUT, None, &records);
            driven.told(seen(HostView { boot_id: "two".into(), ..host() }));
            driven
        }),
    ];
    for (at, mut driven) in reached {
        assert_eq!(driven.machine.at().name(), at);
        driven.told(Event::Cancelled("abort".into()));
        for _ in 0..4 {
            if matches!(driven.last, Effect::Close(_)) {
                break;
            }
            assert!(matches!(driven.last, Effect::Look), "{at}: {:?}", driven.last);
            driven.told(seen(wants_reboot()));
        }
        let Effect::Close(outcome) = driven.last.clone() else { panic!("{at}: {:?}", driven.last) };
        // After the reboot all is done that was to be.
        let code = if at == "awaiting-swarm" { 0 } else { 246 };
        assert_eq!(outcome.exit_code(), code, "{at}: {outcome}");
        assert_eq!(driven.told(Event::Closed), &Effect::Leave(Leave::Done));
    }
}

#[test]
fn a_restart_waits_for_its_go_and_for_its_turn_and_gives_up_after_a_day() {
    let mut driven = Driven::looks(ROLLOUT, None, &ended_with(0));
    let Effect::AwaitGo(wish) = driven.told(seen(wants_reboot())).clone() else {
        panic!("{:?}", driven.last)
    };
    assert_eq!((wish.number, wish.kind), (1, Restart::Reboot));
    assert_eq!(driven.told(Event::Waited), &Effect::AwaitTurnToRestart);
    assert_eq!(driven.told(Event::Waited), &Effect::LookAtGo(1), "the wait may have been long");
    assert!(matches!(driven.state.stage, TransactionStage::Ended { .. }), "nothing is recorded yet");
    assert_eq!(driven.told(Event::Waited), &Effect::Reboot { go: Some(1) });
    assert!(matches!(driven.state.stage, TransactionStage::Rebooting { .. }));
    let mut driven = Driven::looks(ROLLOUT, None, &ended_with(0));
    driven.told(seen(wants_engine()));
    let Effect::Close(outcome) = driven.told(Event::GaveUp("nobody gave it".into())).clone() else {
        panic!("{:?}", driven.last)
    };
    assert_eq!(outcome.exit_code(), 246);
}

/// A go is for the node as it was: whoever comes after a supervisor that was lost asks anew.
#[test]
fn a_restart_that_was_recorded_by_one_that_is_lost_needs_another_go() {
    let records = [ended_with(0), vec![rebooting()]].concat();
    let mut driven = Driven::looks(ROLLOUT, None, &records);
    let Effect::AwaitGo(wish) = driven.told(seen(wants_reboot())).clone() else {
        panic!("{:?}", driven.last)
    };
    assert_eq!(wish.number, 2);
    assert_eq!(driven.told(Event::Waited), &Effect::AwaitTurnToRestart);
    assert_eq!(driven.told(Event::Waited), &Effect::LookAtGo(2));
    assert_eq!(driven.told(Event::Waited), &Effect::Reboot { go: Some(2) });

    let restarting = Record::RestartingEngine { why: EngineRestart::Replaced };
    let records = [ended_with(0), vec![restarting]].concat();
    let mut done = Driven::looks(ROLLOUT, None, &records);
    assert_eq!(done.told(seen(host())), &Effect::Look, "the installed engine runs: it was restarted");
    assert_eq!(done.state.stage, TransactionStage::EngineSettled);
    let mut not_done = Driven::looks(ROLLOUT, None, &records);
    assert!(matches!(not_done.told(seen(wants_engine())), Effect::AwaitGo(wish) if wish.number == 2));
    for event in [Event::Cancelled("abort".into()), Event::GaveUp("nobody gave it".into())] {
        let mut refused = Driven::looks(ROLLOUT, None, &records);
        refused.told(seen(wants_engine()));
        assert_eq!(refused.told(event), &Effect::Look);
        let Effect::Close(outcome) = refused.told(seen(wants_engine())).clone() else {
            panic!("{refused:?}")
        };
        assert_eq!(outcome.exit_code(), 246, "what was not done is said: {outcome}");
    }
    let mut down = Driven::looks(ROLLOUT, None, &records);
    let down_view = HostView { engine_up: false, ..wants_engine() };
    let start = Effect::RestartEngine { why: EngineRestart::Down, go: None };
    assert_eq!(down.told(seen(down_view)), &start, "it takes nobody down, and stops none that has come up");
    let mut alone = Driven::looks(self::alone(), None, &[ended_with(0), vec![rebooting()]].concat());
    assert_eq!(alone.told(seen(host())), &Effect::AwaitTurnToRestart, "the quorum is asked again");
    assert_eq!(alone.told(Event::Waited), &Effect::Reboot { go: None }, "alone nobody gives a go");
}

#[test]
fn an_engine_whose_node_is_called_down_is_restarted_under_the_go_that_there_was() {
    let rebooted = [ended_with(0), vec![rebooting(), Record::Rebooted { boot: "two".into() }]].concat();
    let called_down = HostView { boot_id: "two".into(), called_down: true, ..host() };
    let why = EngineRestart::CalledDown;
    for policy in [ROLLOUT, alone()] {
        let mut driven = Driven::looks(policy, None, &rebooted);
        let restart = Effect::RestartEngine { why, go: None };
        assert_eq!(driven.told(seen(called_down.clone())), &restart);
        assert_eq!(driven.state.stage, TransactionStage::RestartingEngine { why }, "recorded before");
        assert_eq!(driven.told(Event::Settled(EngineOutcome::Up)), &Effect::Look);
        let close = Effect::Close(Outcome::Exited { status: 0 });
        assert_eq!(driven.told(seen(called_down.clone())), &close, "once");

        // It is listed again, or the supervisor was killed behind its record.
        let records = [rebooted.clone(), vec![Record::RestartingEngine { why }]].concat();
        let mut over = Driven::looks(policy, None, &records);
        assert_eq!(
            over.told(seen(called_down.clone())),
            &Effect::Look,
            "one that is up is not stopped again"
        );
        assert_eq!(over.state.stage, TransactionStage::EngineSettled);
        let mut stopped = Driven::looks(policy, None, &records);
        let down = HostView { engine_up: false, called_down: false, ..called_down.clone() };
        let start = Effect::RestartEngine { why: EngineRestart::Down, go: None };
        assert_eq!(stopped.told(seen(down)), &start, "what it had stopped is started");

        let mut cancelled = Driven::looks(policy, None, &rebooted);
        cancelled.told(seen(called_down.clone()));
        cancelled.told(Event::Cancelled("abort".into()));
        assert_eq!(cancelled.state.stage, TransactionStage::EngineSettled);
    }
}

/// It was frozen, or waited long for its turn, and its agent is gone: the node may run tasks by now.
#[test]
fn a_go_that_counts_no_more_is_asked_for_again_before_the_record_and_behind_it() {
    for (view, kind) in [(wants_engine(), Restart::Engine), (wants_reboot(), Restart::Reboot)] {
        let mut driven = Driven::looks(ROLLOUT, None, &ended_with(0));
        driven.told(seen(view.clone()));
        driven.told(Event::Waited);
        driven.told(Event::Waited);
        let Effect::AwaitGo(again) = driven.told(Event::GoIsVoid).clone() else { panic!("{driven:?}") };
        assert_eq!((again.number, again.kind), (1, kind), "nothing was recorded");
        assert!(matches!(driven.state.stage, TransactionStage::Ended { .. }));

        driven.told(Event::Waited);
        driven.told(Event::Waited);
        let acts = driven.told(Event::Waited).clone();
        assert!(
            matches!(acts, Effect::RestartEngine { go: Some(1), .. } | Effect::Reboot { go: Some(1) }),
            "{acts:?}"
        );
        assert_eq!(driven.told(Event::GoIsVoid), &Effect::Look, "recorded, and not done");
        let Effect::AwaitGo(anew) = driven.told(seen(view)).clone() else { panic!("{driven:?}") };
        assert_eq!((anew.number, anew.kind), (2, kind));
    }
}

/// The journal cannot be written: what the record announces is not done.
#[test]
fn a_record_that_is_waited_for_can_be_cancelled_while_it_only_announces() {
    let reached = |records: &[Record], view: HostView, go| {
        let mut machine = Supervisor::new(alone(), true, Way::Systemd, go);
        let state = state(records);
        for event in [Event::Begin, Event::HostLock(true), Event::Written] {
            machine.step(&state, event).unwrap();
        }
        if *machine.at() == At::Engine {
            machine.step(&state, Event::Waited).unwrap();
        }
        machine.step(&state, seen(view)).unwrap();
        if matches!(machine.at(), At::TurnToRestart(_)) {
            machine.step(&state, Event::Waited).unwrap();
        }
        let effect = machine.step(&state, Event::Cancelled("somebody".into()));
        effect.unwrap_or_else(|error| panic!("{error}: {machine:?}"))
    };
    let revoked = reached(&[], host(), None);
    assert!(matches!(revoked, Effect::Write(Record::Revoked { .. })), "nothing was begun: {revoked:?}");
    for view in [wants_engine(), wants_reboot(), HostView { engine_up: false, ..host() }] {
        let Effect::Close(outcome) = reached(&ended_with(0), view, None) else { panic!("not closed") };
        assert_eq!(outcome.exit_code(), 246, "{outcome}");
    }
    let mut ended = Supervisor::new(alone(), false, Way::Systemd, None);
    ended.at = At::Writing(Then::Decide);
    let heard = ended.step(&state(&ended_with(0)), Event::Cancelled("somebody".into()));
    assert!(heard.is_err(), "what has happened is recorded all the same");
}

#[test]
fn a_host_that_another_transaction_has_is_left_alone() {
    let busy = |policy, records: &[Record]| {
        let mut driven = Driven::new(policy, Some(3), records);
        driven.told(Event::HostLock(false)).clone()
    };
    assert_eq!(busy(ROLLOUT, &[offered()]), Effect::Leave(Leave::HostBusy), "what the host knows stays");
    assert_eq!(busy(alone(), &[]), Effect::Withdraw);
    assert_eq!(busy(ROLLOUT, &ended_with(0)), Effect::Leave(Leave::Later));
}

#[test]
fn below_a_container_nothing_is_restarted() {
    let mut machine = Supervisor::new(alone(), false, Way::Chroot, None);
    let state = state(&ended_with(0));
    machine.step(&state, Event::Begin).unwrap();
    machine.step(&state, Event::Written).unwrap();
    machine.step(&state, Event::Waited).unwrap();
    let effect = machine.step(&state, seen(wants_reboot())).unwrap();
    assert!(matches!(effect, Effect::Close(Outcome::RestartWanted { .. })), "{effect:?}");
}

#[test]
fn a_shutdown_ends_every_wait_without_a_record() {
    for at in all_ats().into_iter().filter(At::is_a_wait) {
        let mut machine =
            Supervisor { policy: ROLLOUT, takes_host_lock: true, go: None, cancelled: None, at };
        let effect = machine.step(&state(&ended_with(0)), Event::ToldToEnd).unwrap();
        assert_eq!(effect, Effect::Leave(Leave::ToldToEnd));
    }
}
