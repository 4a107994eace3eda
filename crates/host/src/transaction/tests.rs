//! The state machine against its diagram, and what follows in each state.

use super::*;
use careen_contract::entry::Way;

const ALL_ALLOWED: Policy = Policy {
    reboot: Reboot::Wanted,
    engine_restart: true,
    idempotent: false,
    has_rollback: true,
    awaits_go: false,
    only_looks: false,
};
const NOTHING_ALLOWED: Policy = Policy {
    reboot: Reboot::Never,
    engine_restart: false,
    idempotent: false,
    has_rollback: false,
    awaits_go: false,
    only_looks: false,
};

fn start(phase: TransactionPhase, attempt: u32) -> Record {
    Record::Starting { phase, attempt, engine_up: true }
}

fn ended(end: CommandEnd) -> Record {
    Record::Ended { end, left_behind: Vec::new(), notes: Vec::new() }
}

fn settled(outcome: EngineOutcome) -> Record {
    Record::EngineSettled { outcome }
}

fn revoked() -> Record {
    Record::Revoked { by: "an abort".into() }
}

fn rebooting() -> Record {
    Record::Rebooting { reason: "kernel".into(), from_boot: "one".into() }
}

fn closed() -> Record {
    let result = TransactionResult {
        outcome: Outcome::Interrupted,
        exit_code: 245,
        output_bytes: 0,
        duration_ms: None,
        notes: Vec::new(),
        changes: None,
        answer: None,
    };
    Record::Closed { result }
}

fn after(records: &[Record]) -> State {
    records.iter().fold(State::default(), |state, record| state.step(record).unwrap())
}

fn ran(end: CommandEnd) -> Vec<Record> {
    vec![start(TransactionPhase::Command, 1), Record::Running { pid: 9 }, ended(end)]
}

fn host() -> HostView {
    HostView { boot_id: "one".into(), engine_up: true, ..HostView::default() }
}

fn decide(records: &[Record], host: &HostView, policy: Policy) -> Action {
    next(&after(records), host, policy)
}

/// One state for each stage, with the history that leads there.
fn all_states() -> Vec<State> {
    let up_to_the_end = ran(CommandEnd::Exited(0));
    let with = |more: &[Record]| after(&[&up_to_the_end[..], more].concat());
    let down = EngineRestart::Down;
    vec![
        State::default(),
        after(&[Record::Offered { agent: 1 }]),
        after(&[Record::Offered { agent: 1 }, revoked()]),
        after(&up_to_the_end[..1]),
        after(&up_to_the_end[..2]),
        after(&[&up_to_the_end[..2], &[Record::Stopping { reason: StopReason::TimeLimit }]].concat()),
        with(&[]),
        after(&[&up_to_the_end[..2], &[Record::Interrupted]].concat()),
        with(&[Record::RestartingEngine { why: down }]),
        with(&[Record::RestartingEngine { why: down }, settled(EngineOutcome::Up)]),
        with(&[rebooting()]),
        with(&[rebooting(), Record::Rebooted { boot: "two".into() }]),
        with(&[closed()]),
    ]
}

fn all_records() -> Vec<Record> {
    vec![
        Record::Supervised { entry: Way::Systemd, pid: 1, boot_id: "b".into() },
        Record::Offered { agent: 2 },
        revoked(),
        start(TransactionPhase::Command, 1),
        start(TransactionPhase::Command, 2),
        start(TransactionPhase::Rollback, 1),
        Record::Running { pid: 9 },
        Record::Stopping { reason: StopReason::TimeLimit },
        ended(CommandEnd::Exited(0)),
        ended(CommandEnd::NotStarted("x".into())),
        Record::Interrupted,
        Record::RestartingEngine { why: EngineRestart::Down },
        settled(EngineOutcome::Up),
        rebooting(),
        Record::Rebooted { boot: "two".into() },
        closed(),
    ]
}

/// The edges of the diagram in docs/state-machine.md, as `from --> to: record`.
fn edges_of_the_diagram() -> std::collections::BTreeSet<String> {
    let text = include_str!("../../../../docs/state-machine.md");
    let edge = |line: &str| {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, record) = rest.split_once(": ")?;
        Some(format!("{from} --> {to}: {record}").replace('_', "-"))
    };
    text.lines().filter_map(edge).filter(|edge| !edge.contains("[*]")).collect()
}

#[test]
fn the_codes_edges_are_those_of_the_diagram() {
    let mut edges = std::collections::BTreeSet::new();
    for state in all_states() {
        for record in all_records() {
            let from = state.stage.name();
            if let Ok(to) = state.clone().step(&record) {
                if !matches!(record, Record::Supervised { .. }) {
                    edges.insert(format!("{from} --> {}: {}", to.stage.name(), record.name()));
                } else {
                    assert_eq!(from, to.stage.name(), "a new supervisor changes nothing");
                }
            }
        }
    }
    assert_eq!(edges, edges_of_the_diagram(), "left: the code, right: the diagram");
}

#[test]
fn a_used_attempt_is_never_started_again() {
    for state in all_states() {
        for policy in [ALL_ALLOWED, NOTHING_ALLOWED] {
            if let Action::Start { phase: TransactionPhase::Command, attempt } = next(&state, &host(), policy)
            {
                assert_eq!(attempt, state.history.attempts + 1, "{}", state.stage.name());
                assert_eq!(state.stage, TransactionStage::Prepared);
                assert!(!policy.awaits_go);
            }
        }
    }
    assert!(
        State::default().step(&start(TransactionPhase::Command, 2)).is_err(),
        "attempts are counted without gaps"
    );
}

#[test]
fn a_go_is_for_the_agent_that_offered_last_and_for_nobody_once_it_is_revoked() {
    let of_rollout = Policy { awaits_go: true, ..ALL_ALLOWED };
    let go = |agent| HostView { go: Some(agent), ..host() };
    let begins = Action::Start { phase: TransactionPhase::Command, attempt: 1 };
    let offered = |agent| Record::Offered { agent };
    assert_eq!(decide(&[], &go(1), of_rollout), Action::Nothing, "nobody has offered it");
    assert_eq!(
        decide(&[offered(1)], &host(), of_rollout),
        Action::Nothing,
        "a boot, or a takeover, is no go"
    );
    assert_eq!(decide(&[offered(1)], &go(1), of_rollout), begins);
    assert_eq!(decide(&[offered(1), offered(2)], &go(1), of_rollout), Action::Nothing);
    assert_eq!(decide(&[offered(1), revoked()], &go(1), of_rollout), Action::Nothing);
    assert_eq!(decide(&[offered(1), revoked(), offered(2)], &go(2), of_rollout), begins);
    let state = after(&[offered(2), revoked()]);
    for agent in [1, 2] {
        assert!(state.clone().step(&offered(agent)).is_err(), "an agent that came before");
    }
    assert!(!state.is_begun() && state.step(&start(TransactionPhase::Command, 1)).is_err());
    assert!(
        after(&ran(CommandEnd::Exited(0))[..2]).step(&revoked()).is_err(),
        "what has begun is not revoked"
    );
}

#[test]
fn every_action_leads_to_a_record_that_may_follow() {
    let views = [
        host(),
        HostView { engine_up: false, ..host() },
        HostView { boot_id: "two".into(), ..host() },
        HostView {
            reboot_wanted: Some("kernel".into()),
            engine_restart_wanted: Some("new".into()),
            ..host()
        },
    ];
    let idempotent = Policy { idempotent: true, ..ALL_ALLOWED };
    for state in all_states() {
        for view in &views {
            for policy in [ALL_ALLOWED, NOTHING_ALLOWED, idempotent] {
                let record = match next(&state, view, policy) {
                    Action::Start { phase, attempt } => start(phase, attempt),
                    Action::RecordInterrupted => Record::Interrupted,
                    Action::RestartEngine(why) => Record::RestartingEngine { why },
                    Action::Reboot { reason } => {
                        Record::Rebooting { reason, from_boot: view.boot_id.clone() }
                    }
                    Action::RecordRebooted => Record::Rebooted { boot: view.boot_id.clone() },
                    Action::Close(_) => closed(),
                    Action::RebootNow | Action::Nothing => continue,
                };
                let stepped = state.clone().step(&record);
                assert!(stepped.is_ok(), "{stepped:?} in {state:?}");
            }
        }
    }
}

#[test]
fn a_clean_end_closes_and_an_interruption_is_not_run_again_unless_it_may_be() {
    let exited = Outcome::Exited { status: 0 };
    assert_eq!(decide(&ran(CommandEnd::Exited(0)), &host(), ALL_ALLOWED), Action::Close(exited));
    let running = [start(TransactionPhase::Command, 1), Record::Running { pid: 9 }];
    assert_eq!(decide(&running, &host(), ALL_ALLOWED), Action::RecordInterrupted);
    let interrupted = [&running[..], &[Record::Interrupted]].concat();
    assert_eq!(decide(&interrupted, &host(), ALL_ALLOWED), Action::Close(Outcome::Interrupted));
    let idempotent = Policy { idempotent: true, ..ALL_ALLOWED };
    let again = Action::Start { phase: TransactionPhase::Command, attempt: 2 };
    assert_eq!(decide(&interrupted, &host(), idempotent), again);
}

#[test]
fn an_engine_that_stays_down_is_tried_rolled_back_and_tried_again() {
    let down = HostView { engine_up: false, ..host() };
    let mut records = ran(CommandEnd::Exited(1));
    let restart = Action::RestartEngine(EngineRestart::Down);
    assert_eq!(decide(&records, &down, ALL_ALLOWED), restart, "whatever the command's status");
    let failed = [
        Record::RestartingEngine { why: EngineRestart::Down },
        settled(EngineOutcome::Down { words: "no".into() }),
    ];
    records.extend(failed.clone());
    let hopeless = Outcome::EngineDown { words: "no".into(), rollback: Rollback::None };
    assert_eq!(decide(&records, &down, NOTHING_ALLOWED), Action::Close(hopeless));
    assert_eq!(
        decide(&records, &down, ALL_ALLOWED),
        Action::Start { phase: TransactionPhase::Rollback, attempt: 1 }
    );
    records.extend([
        start(TransactionPhase::Rollback, 1),
        Record::Running { pid: 9 },
        ended(CommandEnd::Exited(0)),
    ]);
    assert_eq!(decide(&records, &down, ALL_ALLOWED), restart);
    records.extend(failed);
    let hopeless = Outcome::EngineDown { words: "no".into(), rollback: Rollback::Failed };
    assert_eq!(hopeless.exit_code(), 249);
    assert_eq!(decide(&records, &down, ALL_ALLOWED), Action::Close(hopeless));
    let saved = Outcome::EngineDown { words: "no".into(), rollback: Rollback::BroughtBack };
    assert_eq!(decide(&records, &host(), ALL_ALLOWED), Action::Close(saved), "a rollback is never a success");
}

#[test]
fn a_replaced_engine_is_restarted_once_and_only_for_a_clean_end() {
    let replaced = HostView { engine_restart_wanted: Some("docker is replaced".into()), ..host() };
    let mut records = ran(CommandEnd::Exited(0));
    let restart = Action::RestartEngine(EngineRestart::Replaced);
    assert_eq!(decide(&records, &replaced, ALL_ALLOWED), restart);
    let failed = Action::Close(Outcome::Exited { status: 1 });
    assert_eq!(decide(&ran(CommandEnd::Exited(1)), &replaced, ALL_ALLOWED), failed);
    let Action::Close(wish) = decide(&records, &replaced, NOTHING_ALLOWED) else { panic!("it may not") };
    assert_eq!(wish.exit_code(), 246);
    records.push(Record::RestartingEngine { why: EngineRestart::Replaced });
    assert_eq!(decide(&records, &replaced, ALL_ALLOWED), restart, "a supervisor that takes over goes on");
    let mut refused = records.clone();
    refused.push(settled(EngineOutcome::Refused { reason: "quorum at risk".into() }));
    let Action::Close(wish) = decide(&refused, &replaced, ALL_ALLOWED) else { panic!("not twice") };
    assert!(wish.exit_code() == 246 && wish.to_string().contains("quorum at risk"), "{wish}");
    records.push(settled(EngineOutcome::Up));
    assert_eq!(decide(&records, &host(), ALL_ALLOWED), Action::Close(Outcome::Exited { status: 0 }));
    assert_eq!(decide(&records, &replaced, ALL_ALLOWED), Action::Close(Outcome::Exited { status: 0 }));
}

#[test]
fn a_wanted_reboot_is_done_once_and_seen_by_its_boot_id() {
    let wants = HostView { reboot_wanted: Some("a newer kernel".into()), ..host() };
    let mut records = ran(CommandEnd::Exited(0));
    assert_eq!(decide(&records, &wants, ALL_ALLOWED), Action::Reboot { reason: "a newer kernel".into() });
    let Action::Close(wish) = decide(&records, &wants, NOTHING_ALLOWED) else { panic!("it may not") };
    assert!(wish.exit_code() == 246 && wish.to_string().contains("CAREEN_REBOOT is never"), "{wish}");
    records.push(rebooting());
    assert_eq!(decide(&records, &wants, ALL_ALLOWED), Action::RebootNow);
    let rebooted = HostView { boot_id: "two".into(), ..wants };
    assert_eq!(decide(&records, &rebooted, ALL_ALLOWED), Action::RecordRebooted);
    records.push(Record::Rebooted { boot: "two".into() });
    let done = Action::Close(Outcome::Exited { status: 0 });
    assert_eq!(decide(&records, &rebooted, ALL_ALLOWED), done, "a wish that survives is not repeated");
}

#[test]
fn a_node_that_its_swarm_goes_on_calling_down_gets_its_engine_started_once_more() {
    let view = HostView { boot_id: "two".into(), called_down: true, ..host() };
    let rebooted = |status| {
        [ran(CommandEnd::Exited(status)), vec![rebooting(), Record::Rebooted { boot: "two".into() }]].concat()
    };
    let restart = Action::RestartEngine(EngineRestart::CalledDown);
    let done = Action::Close(Outcome::Exited { status: 0 });
    let mut records = rebooted(0);
    assert_eq!(decide(&records, &view, ALL_ALLOWED), restart);
    assert_eq!(decide(&records, &view, NOTHING_ALLOWED), done, "where restarts are not allowed it is none");
    let again = Action::Start { phase: TransactionPhase::Command, attempt: 2 };
    assert_eq!(decide(&rebooted(REBOOT_ME), &view, ALL_ALLOWED), again, "the command is due");
    records.push(Record::RestartingEngine { why: EngineRestart::CalledDown });
    assert_eq!(decide(&records, &view, ALL_ALLOWED), restart, "a supervisor that takes over goes on");
    let mut down = records.clone();
    down.push(settled(EngineOutcome::Down { words: "no".into() }));
    let start = Action::RestartEngine(EngineRestart::Down);
    let is_down = HostView { engine_up: false, called_down: false, ..view.clone() };
    assert_eq!(
        decide(&down[..], &is_down, ALL_ALLOWED),
        Action::Start { phase: TransactionPhase::Rollback, attempt: 1 }
    );
    let mut up = records.clone();
    up.push(settled(EngineOutcome::Up));
    assert_eq!(decide(&up, &is_down, ALL_ALLOWED), start, "up, and down again");
    assert_eq!(decide(&up, &view, ALL_ALLOWED), done, "once");
    let replaced = [Record::RestartingEngine { why: EngineRestart::Replaced }, settled(EngineOutcome::Up)];
    let records = [ran(CommandEnd::Exited(0)), replaced.to_vec()].concat();
    assert_eq!(decide(&records, &view, ALL_ALLOWED), restart, "behind a restart of the engine, too");
    assert_eq!(decide(&records, &host(), ALL_ALLOWED), done);
}

#[test]
fn a_reboot_that_was_wanted_before_the_command_is_no_fault_of_the_command() {
    let records = ran(CommandEnd::Exited(0));
    let wants = HostView { reboot_wanted: Some("kernel".into()), reboot_wanted_before: true, ..host() };
    let done = Action::Close(Outcome::Exited { status: 0 });
    assert_eq!(decide(&records, &wants, NOTHING_ALLOWED), done);
    assert_eq!(decide(&records, &wants, ALL_ALLOWED), Action::Reboot { reason: "kernel".into() });
    let asked = decide(&ran(CommandEnd::Exited(REBOOT_ME)), &wants, NOTHING_ALLOWED);
    assert!(matches!(asked, Action::Close(Outcome::RestartWanted { .. })), "{asked:?}");
}

#[test]
fn behind_a_command_that_only_looks_nothing_is_restarted_whatever_the_host_wants() {
    let looks = Policy { only_looks: true, ..ALL_ALLOWED };
    let wishes = HostView {
        engine_up: false,
        called_down: true,
        engine_restart_wanted: Some("docker was replaced".into()),
        reboot_wanted: Some("a newer kernel".into()),
        ..host()
    };
    // Drift, a wish for a reboot, and one of the payload's own errors are all told, and that is all.
    for status in [0, 2, 194, 1] {
        let closes = Action::Close(Outcome::Exited { status });
        assert_eq!(decide(&ran(CommandEnd::Exited(status)), &wishes, looks), closes, "{status}");
        assert_ne!(decide(&ran(CommandEnd::Exited(status)), &wishes, ALL_ALLOWED), closes, "{status}");
    }
}

#[test]
fn how_far_reboots_are_allowed() {
    let wants = HostView { reboot_wanted: Some("kernel".into()), ..host() };
    let policy = |reboot| Policy { reboot, ..ALL_ALLOWED };
    let done = Action::Close(Outcome::Exited { status: 0 });
    let records = ran(CommandEnd::Exited(0));
    assert_eq!(decide(&records, &wants, policy(Reboot::Asked)), done, "only the command may ask");
    let asks = decide(&ran(CommandEnd::Exited(REBOOT_ME)), &host(), policy(Reboot::Asked));
    assert!(matches!(asks, Action::Reboot { .. }), "{asks:?}");
    let always = decide(&records, &host(), policy(Reboot::Always));
    assert!(matches!(always, Action::Reboot { .. }), "{always:?}");
    let rebooted = [records, vec![rebooting(), Record::Rebooted { boot: "two".into() }]].concat();
    let host = HostView { boot_id: "two".into(), ..host() };
    assert_eq!(decide(&rebooted, &host, policy(Reboot::Always)), done, "once");
}

#[test]
fn status_194_runs_the_next_attempt_after_each_reboot_up_to_a_limit() {
    let mut records = Vec::new();
    let mut boot = 0;
    let mut view = host();
    let last = loop {
        let action = next(&after(&records), &view, ALL_ALLOWED);
        if let Action::Start { phase: TransactionPhase::Command, attempt } = action {
            records.extend([
                start(TransactionPhase::Command, attempt),
                Record::Running { pid: 9 },
                ended(CommandEnd::Exited(REBOOT_ME)),
            ]);
        } else if let Action::Reboot { reason } = action {
            records.push(Record::Rebooting { reason, from_boot: view.boot_id.clone() });
            boot += 1;
            view.boot_id = boot.to_string();
        } else if action == Action::RecordRebooted {
            records.push(Record::Rebooted { boot: view.boot_id.clone() });
        } else {
            let Action::Close(outcome) = action else { panic!("{action:?}") };
            break outcome;
        }
    };
    assert_eq!((boot, after(&records).history.attempts), (MAX_REBOOTS, MAX_REBOOTS + 1));
    assert!(last.exit_code() == 246 && last.to_string().contains("after 5 reboots"), "{last}");
}

#[test]
fn after_a_killed_command_nothing_restarts() {
    let wants = HostView {
        reboot_wanted: Some("kernel".into()),
        engine_restart_wanted: Some("docker".into()),
        ..host()
    };
    let killed = [
        start(TransactionPhase::Command, 1),
        Record::Running { pid: 9 },
        Record::Stopping { reason: StopReason::TimeLimit },
        Record::Stopping { reason: StopReason::ContainerRemoved },
        ended(CommandEnd::Signaled(9)),
    ];
    assert_eq!(
        decide(&killed, &wants, ALL_ALLOWED),
        Action::Close(Outcome::TimedOut),
        "the first reason counts"
    );
}

#[test]
fn exit_codes_follow_the_contract() {
    let code =
        |end: CommandEnd, stopped: Option<StopReason>| Outcome::of(&Ended { end, stopped }, 1).exit_code();
    assert_eq!(code(CommandEnd::Exited(0), None), 0);
    assert_eq!(code(CommandEnd::Exited(7), None), 7);
    assert_eq!(code(CommandEnd::Signaled(11), None), 139);
    assert_eq!(code(CommandEnd::Exited(0), Some(StopReason::TimeLimit)), 124);
    assert_eq!(code(CommandEnd::Exited(0), Some(StopReason::Cancelled("x".into()))), 245);
    assert_eq!(code(CommandEnd::NotStarted("x".into()), None), 126);
    assert_eq!(Outcome::Interrupted.exit_code(), 245);
    // What an earlier attempt had begun was not 'nothing'.
    let again = Outcome::of(&Ended { end: CommandEnd::NotStarted("EIO".into()), stopped: None }, 2);
    assert_eq!(again.exit_code(), 245);
    assert_eq!(again.to_string(), "was interrupted: attempt 2 could not be started: EIO");
}

#[test]
fn an_engine_that_was_left_alone_and_is_down_later_is_started_before_anything_is_rolled_back() {
    let replaced = Record::RestartingEngine { why: EngineRestart::Replaced };
    let left_alone = settled(EngineOutcome::Refused { reason: "quorum".into() });
    let records = [&ran(CommandEnd::Exited(0))[..], &[replaced, left_alone]].concat();
    let down = HostView { engine_up: false, ..host() };
    assert_eq!(decide(&records, &down, ALL_ALLOWED), Action::RestartEngine(EngineRestart::Down));
}

#[test]
fn what_a_rollback_brought_back_is_started_however_often_that_failed_before() {
    let down = HostView { engine_up: false, ..host() };
    let start_it = Record::RestartingEngine { why: EngineRestart::Down };
    let failed = settled(EngineOutcome::Down { words: "no".into() });
    let twice = [start_it.clone(), settled(EngineOutcome::Up), start_it.clone(), failed.clone()];
    let rolled_back =
        [start(TransactionPhase::Rollback, 1), Record::Running { pid: 10 }, ended(CommandEnd::Exited(0))];
    let records = [&ran(CommandEnd::Exited(0))[..], &twice, &rolled_back].concat();
    assert_eq!(decide(&records, &down, ALL_ALLOWED), Action::RestartEngine(EngineRestart::Down));
    let hopeless = Outcome::EngineDown { words: "no".into(), rollback: Rollback::Failed };
    let records = [records, vec![start_it, failed]].concat();
    assert_eq!(decide(&records, &down, ALL_ALLOWED), Action::Close(hopeless));
}

#[test]
fn secrets_are_needed_where_the_command_may_still_start() {
    let open = |policy: Policy| -> Vec<&'static str> {
        let needing = all_states().into_iter().filter(|state| state.may_start_command(policy));
        needing.map(|state| state.stage.name()).collect()
    };
    assert_eq!(open(ALL_ALLOWED), ["prepared", "offered"]);
    let idempotent = Policy { idempotent: true, ..ALL_ALLOWED };
    assert_eq!(open(idempotent), ["prepared", "offered", "starting", "running", "stopping", "interrupted"]);
    let asked = after(&[&ran(CommandEnd::Exited(194))[..], &[rebooting()]].concat());
    assert!(asked.may_start_command(ALL_ALLOWED));
    assert!(asked.step(&Record::Rebooted { boot: "two".into() }).unwrap().may_start_command(ALL_ALLOWED));
}

#[test]
fn a_restart_that_the_settings_forbid_is_a_success_and_one_that_was_not_done_is_none() {
    let wants = HostView {
        reboot_wanted: Some("kernel".into()),
        engine_restart_wanted: Some("replaced".into()),
        ..host()
    };
    let Action::Close(forbidden) = decide(&ran(CommandEnd::Exited(0)), &wants, NOTHING_ALLOWED) else {
        panic!("it is closed")
    };
    assert!(forbidden.is_success(true) && !forbidden.is_success(false), "{forbidden}");
    let mut records = ran(CommandEnd::Exited(0));
    records.push(Record::RestartingEngine { why: EngineRestart::Replaced });
    records.push(Record::EngineSettled { outcome: EngineOutcome::Refused { reason: "no".into() } });
    let wants = HostView { engine_restart_wanted: Some("replaced".into()), ..host() };
    let Action::Close(refused) = decide(&records, &wants, ALL_ALLOWED) else { panic!("it is closed") };
    assert!(refused.to_string().contains("which was not done"), "{refused}");
    assert!(!refused.is_success(true), "{refused}");
}
