use super::hosts::{Coverage, EnforcedHost, LastWord, Uncovered, hosts};
use super::*;
use crate::ids::NodeId;
use crate::inquiry::TaskSeen;
use crate::observed::{Availability, Node, NodeStatus, TaskState};
use crate::testing::{enforcement, manager, rollout, worker};
use careen_contract::standing::{EnforceState, PathWatch, Standing};
use std::collections::BTreeMap;

fn found(name: &str, version: &str, owns: &[&str]) -> FoundEnforcement {
    let owns = owns.iter().map(|path| (*path).to_owned()).collect();
    let spec = Enforcement { name: name.into(), version: version.into(), owns, ..enforcement() };
    FoundEnforcement {
        name: name.into(),
        version: version.into(),
        config: FoundConfig::There { spec: Box::new(spec), state: EnforcementState::Running {} },
        service: Some(EnforcerService { id: ServiceId("s1".into()), stopped: false, changed: Vec::new() }),
    }
}

fn with_state(state: EnforcementState) -> FoundEnforcement {
    let mut found = found("sysctl", "0a1b2c3d", &[]);
    let spec = Box::new(enforcement());
    found.config = FoundConfig::There { spec, state };
    found
}

fn paused() -> EnforcementState {
    EnforcementState::Paused { by: "me".into(), since: 1 }
}

fn new(owns: &[&str]) -> Enforcement {
    Enforcement { owns: owns.iter().map(|path| (*path).to_owned()).collect(), ..enforcement() }
}

#[test]
fn a_name_can_be_typed_and_stands_in_names_of_objects() {
    for good in ["sysctl", "a", "0-a", &"x".repeat(24)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    for bad in ["", "Sysctl", "-a", "a.b", "a b", "ä", &"x".repeat(25), &"x\n".repeat(9999)] {
        let error = check_name(bad).unwrap_err().to_string();
        assert!(error.len() < 300 && !error.contains('\n'), "{error}");
    }
}

#[test]
fn what_no_host_could_carry_out_is_refused_before_it_is_anywhere() {
    let often = Enforcement { interval: Duration::from_secs(1), ..enforcement() };
    assert_eq!(often.check(), Err(CannotEnforce::TooOften));
    assert!(matches!(new(&["etc"]).check(), Err(CannotEnforce::Path(_))));
    assert_eq!(new(&["/etc/x"; 257]).check(), Err(CannotEnforce::TooMany { count: 257 }));
    let constraint = "zone".to_owned();
    let where_to = Enforcement { constraints: vec![constraint.clone()], ..enforcement() };
    assert_eq!(where_to.check(), Err(CannotEnforce::Constraint { constraint }));
    assert_eq!(enforcement().check(), Ok(()));
}

#[test]
fn the_same_version_begins_once_and_another_one_is_an_update() {
    assert_eq!(may_start(&[], &new(&[])), Ok(Beginning::New));
    assert_eq!(may_start(&[found("sysctl", "0a1b2c3d", &[])], &new(&[])), Ok(Beginning::Nothing));
    let half = FoundEnforcement { service: None, ..found("sysctl", "0a1b2c3d", &[]) };
    assert_eq!(may_start(&[half], &new(&[])), Ok(Beginning::Completed));
    let other = may_start(&[found("sysctl", "ffff0000", &[])], &new(&[]));
    assert_eq!(other, Err(CannotEnforce::OtherVersion { name: "sysctl".into(), runs: "ffff0000".into() }));
    let is = may_start(&[with_state(paused())], &new(&[]));
    assert_eq!(is, Err(CannotEnforce::Paused { name: "sysctl".into() }));
    let updating = EnforcementState::Updating { to: "ffff0000".into(), rollout: rollout() };
    let is = may_start(&[with_state(updating)], &new(&[]));
    assert_eq!(is, Err(CannotEnforce::Updating { name: "sysctl".into(), rollout: rollout() }));
}

#[test]
fn two_that_own_one_path_are_refused_and_what_cannot_be_read_may_own_everything() {
    let others = [found("motd", "11111111", &["/etc/motd", "/etc/app/"])];
    assert_eq!(may_start(&others, &new(&["/etc/sysctl.d/50-app.conf"])), Ok(Beginning::New));
    for path in ["/etc/motd", "/etc/app/x", "/etc/app", "/etc/"] {
        let refused = may_start(&others, &new(&["/srv/x", path])).unwrap_err();
        let CannotEnforce::OwnedTwice(twice) = refused else { panic!("{refused}") };
        assert_eq!((twice.path.as_str(), twice.by.as_str()), (path, "motd"));
    }
    let mut unreadable = others[0].clone();
    unreadable.config = FoundConfig::Unreadable { why: "its format is '2'".into() };
    let refused = may_start(&[unreadable], &new(&[])).unwrap_err();
    assert!(matches!(refused, CannotEnforce::Unreadable { .. }), "{refused}");
}

#[test]
fn what_somebody_did_by_hand_is_told() {
    let whole = with_state(EnforcementState::Running {});
    assert_eq!(whole.damage(), None);
    let without = FoundEnforcement { service: None, ..whole.clone() };
    assert_eq!(without.damage(), Some(Damage::NoService));
    let without = FoundEnforcement { config: FoundConfig::Missing, ..whole.clone() };
    assert_eq!(without.damage(), Some(Damage::NoConfig));
    let stopped = |found: FoundEnforcement, stopped, changed: &[&str]| {
        let changed = changed.iter().map(|what| (*what).to_owned()).collect();
        let service = EnforcerService { id: ServiceId("s1".into()), stopped, changed };
        FoundEnforcement { service: Some(service), ..found }.damage()
    };
    assert_eq!(stopped(whole.clone(), true, &[]), Some(Damage::Stopped));
    assert_eq!(stopped(with_state(paused()), false, &[]), Some(Damage::NotStopped));
    assert_eq!(stopped(with_state(paused()), true, &[]), None);
    let changed = Damage::Changed { what: vec!["image".into()] };
    assert_eq!(stopped(whole, false, &["image"]), Some(changed));
}

#[test]
fn swarm_places_it_where_its_operator_said_and_nowhere_while_it_is_paused() {
    let spec = Enforcement { constraints: vec!["node.role==worker".into()], ..enforcement() };
    let placed = |state: &EnforcementState| spec.placement(state).split_off(1).join(" ");
    assert_eq!(spec.placement(&paused())[0], "node.role==worker");
    assert_eq!(placed(&EnforcementState::Running {}), "node.platform.os==linux");
    assert_eq!(placed(&paused()), "node.platform.os==linux node.id==none");
    let (to, from) = ("ffff0000".to_owned(), "ffff0000".to_owned());
    let updating = EnforcementState::Updating { to, rollout: rollout() };
    let label = "node.labels.careen.enforce.sysctl";
    assert_eq!(placed(&updating), format!("node.platform.os==linux {label}!=ffff0000"));
    let coming = EnforcementState::Coming { from, rollout: rollout() };
    assert_eq!(placed(&coming), format!("node.platform.os==linux {label}==0a1b2c3d"));
}

#[test]
fn the_version_is_of_what_hosts_get() {
    let by_another = Enforcement { by: "you".into(), image_name: None, version: "x".into(), ..enforcement() };
    assert_eq!(by_another.hashed(), enforcement().hashed());
    let other = Enforcement { args: vec!["--strict".into()], ..enforcement() };
    assert_ne!(other.hashed(), enforcement().hashed());
}

fn said(state: EnforceState) -> LastWord {
    LastWord::Said(Box::new(Standing {
        name: "sysctl".into(),
        version: "0a1b2c3d".into(),
        state,
        why: None,
        watch: PathWatch::Watched,
        mended: 0,
        last: None,
        at: 1,
        notes: Vec::new(),
    }))
}

fn seen(id: &str, node: &str, state: TaskState, trouble: Option<&str>) -> TaskSeen {
    let trouble = trouble.map(str::to_owned);
    let no_image = trouble.as_deref().is_some_and(|trouble| trouble.contains("No such image"));
    TaskSeen { id: id.into(), node: NodeId(node.into()), state, leaves: false, trouble, no_image }
}

fn coverage(node: Node, tasks: &[TaskSeen], words: &[(&str, LastWord)]) -> EnforcedHost {
    let words: BTreeMap<String, LastWord> =
        words.iter().map(|(task, word)| ((*task).to_owned(), word.clone())).collect();
    let mut all = hosts(&enforcement(), &EnforcementState::Running {}, &[node], Some(tasks), &words);
    all.remove(0)
}

#[test]
fn every_host_is_covered_or_has_a_reason() {
    let down = Node { status: NodeStatus::Down, ..worker("w1") };
    let drained = Node { availability: Availability::Drain, ..worker("w1") };
    let paused = Node { availability: Availability::Pause, ..worker("w1") };
    let windows = Node { os: "windows".into(), ..worker("w1") };
    let runs = [seen("t1", "w1", TaskState::Running, None)];
    let crashed = [
        seen("t1", "w1", TaskState::Failed, Some("task: non-zero exit (2)")),
        seen("t2", "w1", TaskState::Starting, None),
    ];
    let refused = [seen("t1", "w1", TaskState::Rejected, Some("No such image: x"))];
    let starts = [seen("t1", "w1", TaskState::Starting, None), seen("t2", "w2", TaskState::Running, None)];
    let not = |why: Uncovered| Coverage::Not(why);
    let why = || "No such image: x".to_owned();
    for (node, tasks, expected) in [
        (down, &runs[..], not(Uncovered::Down)),
        (drained, &runs[..], not(Uncovered::Drained)),
        (paused.clone(), &[][..], not(Uncovered::Paused)),
        (paused, &runs[..], Coverage::Covered(LastWord::Nothing)),
        (windows, &[][..], not(Uncovered::Unfit(Skip::Windows))),
        (worker("w1"), &crashed[..], not(Uncovered::Fails { why: "task: non-zero exit (2)".into() })),
        (worker("w1"), &refused[..], not(Uncovered::NoImage { why: why() })),
        (worker("w1"), &starts[..], not(Uncovered::OnItsWay)),
        (worker("w1"), &[][..], not(Uncovered::NotPlaced)),
    ] {
        assert_eq!(coverage(node, tasks, &[]).coverage, expected);
    }
    let host = coverage(worker("w1"), &runs, &[("t1", said(EnforceState::InSync))]);
    assert!(host.is_in_sync() && !host.is_awaited());
}

use crate::state::Skip;

#[test]
fn what_an_operator_has_to_mend_is_not_waited_for() {
    let runs = [seen("t1", "w1", TaskState::Running, None)];
    for (state, awaited) in [
        (EnforceState::Looking, true),
        (EnforceState::Mending, true),
        (EnforceState::HostBusy, true),
        (EnforceState::Failing, true),
        (EnforceState::Unknown, true),
        (EnforceState::InSync, false),
        (EnforceState::GaveUp, false),
        (EnforceState::NeedsRollout, false),
    ] {
        let host = coverage(worker("w1"), &runs, &[("t1", said(state))]);
        assert_eq!(host.is_awaited(), awaited, "{state:?}");
    }
    assert!(coverage(worker("w1"), &runs, &[]).is_awaited());
    assert!(!coverage(worker("w1"), &runs, &[("t1", LastWord::Unintelligible)]).is_awaited());
}

#[test]
fn only_hosts_that_are_meant_are_in_the_list_and_each_in_that_of_its_version() {
    let spec = Enforcement { constraints: vec!["node.role==worker".into()], ..enforcement() };
    let mut moved = worker("w2");
    moved.labels.insert(format!("{}sysctl", label::ENFORCE_VERSION_ON), "ffff0000".into());
    let nodes = [manager("m1"), worker("w1"), moved];
    let of = |state: &EnforcementState, tasks: Option<&[TaskSeen]>| {
        let all = hosts(&spec, state, &nodes, tasks, &BTreeMap::new());
        all.into_iter().map(|host| (host.hostname, host.coverage)).collect::<Vec<_>>()
    };
    let not = |name: &str, why: Uncovered| (name.to_owned(), Coverage::Not(why));
    let stopped = [not("w1", Uncovered::Stopped), not("w2", Uncovered::Stopped)];
    assert_eq!(of(&paused(), Some(&[])), stopped);
    let none = [not("w1", Uncovered::NoService), not("w2", Uncovered::NoService)];
    assert_eq!(of(&EnforcementState::Running {}, None), none);
    let updating = EnforcementState::Updating { to: "ffff0000".into(), rollout: rollout() };
    assert_eq!(of(&updating, Some(&[])), [not("w1", Uncovered::NotPlaced)]);
}

#[test]
fn what_is_enforced_stands_on_the_services() {
    let mut service = crate::testing::service("careen-enforce-sysctl-0a1b2c3d", 1);
    assert!(enforced(&[service.clone()]).is_empty());
    service.labels.insert(label::ENFORCED.into(), "sysctl".into());
    service.labels.insert(label::ENFORCED_VERSION.into(), "0a1b2c3d".into());
    assert_eq!(enforced(&[service]), [("sysctl", "0a1b2c3d")]);
}
