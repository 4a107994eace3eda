//! `careen enforce` against a simulated swarm: what is refused, what is started, and what is told of hosts.

use crate::simulated::Sim;
use crate::{exit, swarm};
use careen_contract::standing::{EnforceState, PathWatch, Standing};
use careen_planner::EnforcementState;
use careen_planner::enforcement::FoundConfig;
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::observed::Availability;

const IMAGE: &str = "sysctl@sha256:00";

/// A swarm whose engine has the image, with both commands.
fn with_the_image(workers: usize) -> Sim {
    let sim = swarm(workers);
    let has = vec!["/careen-agent", "/install/check", "/install/install"];
    sim.0.borrow_mut().images.insert(IMAGE.into(), has);
    sim
}

fn says(sim: &Sim, node: &str, state: EnforceState) {
    let said = Standing {
        name: "sysctl".into(),
        version: "0a1b2c3d".into(),
        state,
        why: None,
        watch: PathWatch::Watched,
        mended: 0,
        last: None,
        at: 1,
        notes: Vec::new(),
    };
    sim.0.borrow_mut().last_words.insert(node.into(), LastWord::Said(Box::new(said)));
}

fn state(sim: &Sim) -> EnforcementState {
    match &sim.0.borrow().enforced[0].config {
        FoundConfig::There { state, .. } => state.clone(),
        FoundConfig::Unreadable { .. } | FoundConfig::Missing => panic!("no config"),
    }
}

#[test]
fn what_is_enforced_is_shown_asked_about_and_started_once() {
    let sim = with_the_image(2);
    sim.0.borrow_mut().world.nodes[2].availability = Availability::Drain;
    let line = "enforce sysctl --owns /etc/sysctl.d/50-app.conf --interval 5m";
    assert_eq!(exit(sim.call(line)), 2, "nobody is there to answer");
    assert!(sim.out().contains("hosts    2 of 3: m1, w1\n"), "{}", sim.out());
    assert!(sim.out().contains("not w2: its node is drained\n"), "{}", sim.out());
    sim.0.borrow_mut().answer = Some(false);
    assert_eq!(exit(sim.call(line)), 1);
    assert!(sim.0.borrow().enforced.is_empty());
    sim.0.borrow_mut().answer = Some(true);
    assert_eq!(exit(sim.call(line)), 0, "{}", sim.err());
    let FoundConfig::There { spec, .. } = sim.0.borrow().enforced[0].config.clone() else {
        panic!("no config")
    };
    assert_eq!((spec.name.as_str(), spec.image.as_str(), spec.by.as_str()), ("sysctl", IMAGE, "tester"));
    assert_eq!((spec.owns.concat().as_str(), spec.interval.as_secs()), ("/etc/sysctl.d/50-app.conf", 300));
    sim.0.borrow_mut().answer = None;
    assert_eq!(exit(sim.call(line)), 0, "the same once more asks nobody, and does nothing");
    assert!(sim.out().contains("is enforced already: nothing to do"), "{}", sim.out());
    assert_eq!(sim.0.borrow().enforced.len(), 1);
    assert!(sim.0.borrow().spec.is_none(), "there is no rollout");
}

#[test]
fn what_would_do_harm_is_refused_and_what_lacks_a_command_too() {
    let sim = with_the_image(1);
    assert_eq!(exit(sim.call("enforce sysctl --owns /etc/app/ --yes")), 0);
    let other = sim.call("enforce sysctl --owns /etc/app/ --interval 1m --yes").unwrap_err();
    assert_eq!(other.exit().code(), 6, "{other}");
    assert!(other.to_string().contains("sysctl is enforced already, in the version"), "{other}");
    let twice = sim.call("enforce sysctl --name motd --owns /etc/app/motd --yes").unwrap_err();
    assert!(
        twice.to_string().starts_with("/etc/app/motd is owned by the enforcement sysctl already"),
        "{twice}"
    );
    for (line, code) in [
        ("enforce sysctl --name Motd --yes", 2),
        ("enforce sysctl --name motd --owns motd --yes", 2),
        ("enforce sysctl --name motd --interval 1s --yes", 2),
        ("enforce one --image two --yes", 2),
        ("enforce status nobody", 2),
        ("enforce pause nobody", 2),
        ("enforce stop nobody --yes", 2),
    ] {
        assert_eq!(exit(sim.call(line)), code, "{line}");
    }
    sim.0.borrow_mut().images.insert("bare@sha256:00".into(), vec!["/careen-agent", "/install/install"]);
    let bare = sim.call("enforce bare --yes").unwrap_err();
    assert!(bare.to_string().contains("/install/check"), "{bare}");
    assert_eq!((bare.exit().code(), sim.0.borrow().enforced.len()), (2, 1));
}

#[test]
fn a_directory_brings_both_commands_along() {
    let sim = swarm(1);
    sim.0.borrow_mut().images.insert("sha256:11".into(), vec!["/careen-agent"]);
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("install");
    let line = format!("enforce {} --name motd --yes", directory.path().display());
    let without = sim.call(&line).unwrap_err();
    assert!(without.to_string().contains("/install/check"), "{without}");
    write("check");
    assert_eq!(exit(sim.call(&line)), 0, "{}", sim.err());
    assert!(sim.out().contains("files    check, install\n"), "{}", sim.out());
}

#[test]
fn every_host_is_told_of_and_one_that_is_not_covered_has_its_reason() {
    let sim = with_the_image(2);
    assert_eq!(exit(sim.call("enforce status")), 0);
    assert_eq!(sim.out(), "nothing is enforced\n");
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0);
    assert_eq!(exit(sim.call("enforce status")), 5, "nobody has said anything");
    for node in ["m1", "w1", "w2"] {
        says(&sim, node, EnforceState::InSync);
    }
    assert_eq!(exit(sim.call("enforce status sysctl")), 0, "{}", sim.out());
    assert!(sim.out().contains("hosts    3: 3 in sync\nin sync: m1, w1, w2\n"), "{}", sim.out());
    says(&sim, "w1", EnforceState::NeedsRollout);
    sim.0.borrow_mut().world.nodes[2].availability = Availability::Drain;
    assert_eq!(exit(sim.call("enforce status")), 5);
    let out = sim.out();
    assert!(out.contains("    careen run --image sysctl --node w1\n"), "{out}");
    assert!(out.contains("w2  not covered: its node is drained\n"), "{out}");
    assert_eq!(exit(sim.call("enforce status --format json")), 5);
    let json: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!(json[0]["hosts"][2]["next"], "docker node update --availability active w2");
    assert_eq!((&json[0]["state"], &json[0]["counts"]["in sync"]), (&"running".into(), &1.into()));
    assert_eq!(exit(sim.call("enforce ls")), 0);
    assert!(sim.out().contains("2 of 3"), "{}", sim.out());
}

#[test]
fn it_is_waited_for_hosts_that_may_come_to_be_in_sync_and_not_for_ever() {
    let sim = with_the_image(1);
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0);
    says(&sim, "m1", EnforceState::InSync);
    says(&sim, "w1", EnforceState::Mending);
    assert_eq!(exit(sim.call("enforce status --wait --timeout 1m")), 5);
    assert!(sim.err().contains("waiting for w1 (mending)"), "{}", sim.err());
    assert!(sim.out().contains("not every host came to be in sync within 1m"), "{}", sim.out());
    let done = sim.0.borrow().world.now + 20;
    sim.0.borrow_mut().at(move |shared| {
        let now = shared.world.now >= done;
        let in_sync = shared.last_words.get("m1").cloned();
        shared.last_words.extend(in_sync.filter(|_| now).map(|word| ("w1".to_owned(), word)));
        now
    });
    assert_eq!(exit(sim.call("enforce status --wait --timeout 5m")), 0, "{}", sim.out());
    says(&sim, "w1", EnforceState::GaveUp);
    let begun = sim.0.borrow().world.now;
    assert_eq!(exit(sim.call("enforce status --wait")), 5);
    assert_eq!(sim.0.borrow().world.now, begun, "nobody waits for what an operator has to mend");
}

#[test]
fn pause_resume_and_stop() {
    let sim = with_the_image(1);
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0);
    assert_eq!(exit(sim.call("enforce pause sysctl")), 0);
    let EnforcementState::Paused { by, since } = state(&sim) else { panic!("{:?}", state(&sim)) };
    assert!(by == "tester" && since > 1_700_000_000);
    assert_eq!(exit(sim.call("enforce status")), 5);
    assert!(sim.out().contains("w1  not covered: the enforcement is paused\n"), "{}", sim.out());
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 6, "it is paused, and is not started by the way");
    assert_eq!(exit(sim.call("enforce resume sysctl")), 0);
    assert_eq!(state(&sim), EnforcementState::Running {});
    assert_eq!(exit(sim.call("enforce stop sysctl")), 2, "nobody is there to answer");
    assert_eq!(exit(sim.call("enforce stop sysctl --yes --format json")), 0);
    let json: serde_json::Value = serde_json::from_str(&sim.out()).unwrap();
    assert_eq!(json["outcome"], "stopped");
    assert!(sim.0.borrow().enforced.is_empty());
}

#[test]
fn what_somebody_removed_by_hand_is_told_completed_and_cleaned_up() {
    let sim = with_the_image(1);
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0);
    sim.0.borrow_mut().enforced[0].service = None;
    assert_eq!(exit(sim.call("enforce status")), 5);
    assert!(sim.out().contains("damaged  its service is not there"), "{}", sim.out());
    let damaged = sim.call("enforce pause sysctl").unwrap_err();
    assert!(damaged.to_string().starts_with("sysctl is damaged: its service is not there"), "{damaged}");
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0, "the same call completes it");
    assert!(sim.0.borrow().enforced[0].service.is_some());
    sim.0.borrow_mut().enforced[0].config = FoundConfig::Missing;
    let half = sim.call("enforce sysctl --yes").unwrap_err();
    assert_eq!(half.exit().code(), 6, "{half}");
    assert_eq!(exit(sim.call("enforce stop sysctl --yes")), 0);
    assert!(sim.0.borrow().enforced.is_empty());
}

#[test]
fn an_update_under_way_is_its_rollouts_alone() {
    let sim = with_the_image(1);
    assert_eq!(exit(sim.call("enforce sysctl --yes")), 0);
    assert_eq!(exit(sim.call("run --image update --detach --yes --node m1")), 0);
    let rollout = sim.0.borrow().spec.as_ref().unwrap().id.clone();
    if let FoundConfig::There { state, .. } = &mut sim.0.borrow_mut().enforced[0].config {
        *state = EnforcementState::Updating { to: "ffff0000".into(), rollout };
    }
    for line in
        ["enforce pause sysctl", "enforce resume sysctl", "enforce stop sysctl --yes", "enforce sysctl --yes"]
    {
        assert_eq!(exit(sim.call(line)), 6, "{line}");
    }
}

const LABEL: &str = "careen.enforce.sysctl";

/// With version 1 enforced, and an image of a second one.
fn with_an_update() -> Sim {
    let sim = with_the_image(2);
    assert_eq!(exit(sim.call("enforce sysctl --interval 5m --yes")), 0, "{}", sim.err());
    let has = vec!["/careen-agent", "/careen-controller", "/install/check", "/install/install"];
    sim.0.borrow_mut().images.insert("sysctl2@sha256:00".into(), has);
    sim
}

/// The versions that are there, and how.
fn versions(sim: &Sim) -> Vec<EnforcementState> {
    let state = |one: &careen_planner::FoundEnforcement| one.spec().map(|(_, state)| state.clone());
    sim.0.borrow().enforced.iter().filter_map(state).collect()
}

const UPDATE: &str = "enforce update sysctl --image sysctl2";

#[test]
fn an_update_is_shown_asked_about_and_submitted_as_a_rollout() {
    let sim = with_an_update();
    sim.0.borrow_mut().answer = Some(false);
    assert_eq!(exit(sim.call(UPDATE)), 1, "{}", sim.err());
    assert!(
        sim.out().contains("enforces sysctl ") && sim.out().contains(" in the place of "),
        "{}",
        sim.out()
    );
    assert_eq!(versions(&sim).len(), 1, "nothing is there before the answer");
    assert_eq!(exit(sim.call(&format!("{UPDATE} --yes --detach"))), 0, "{}", sim.err());
    let spec = sim.0.borrow().spec.clone().unwrap();
    let moves = spec.moves.unwrap();
    assert_eq!((moves.enforcement.as_str(), spec.command.as_str()), ("sysctl", "install"));
    let coming = EnforcementState::Coming { from: moves.from.clone(), rollout: spec.id };
    assert_eq!(versions(&sim), [EnforcementState::Running {}, coming]);
    let interval = sim.0.borrow().enforced[1].spec().unwrap().0.interval;
    assert_eq!(interval.as_secs(), 300, "what is not said stays");
    assert_eq!(exit(sim.call(UPDATE)), 6, "its rollout goes on: {}", sim.err());
    assert_eq!(exit(sim.call("enforce update sysctl --back --yes")), 6);
}

#[test]
fn the_same_version_is_nothing_to_do_and_what_cannot_be_updated_is_refused() {
    let sim = with_an_update();
    assert_eq!(exit(sim.call("enforce update sysctl --image sysctl")), 0);
    assert!(sim.err().contains("is enforced already"), "{}", sim.err());
    assert_eq!(exit(sim.call("enforce update sysctl")), 0, "nothing is said, and all stays");
    assert_eq!(exit(sim.call("enforce update nobody")), 2);
    assert_eq!(exit(sim.call("enforce update sysctl --back")), 0, "{}", sim.err());
    assert_eq!(exit(sim.call("enforce pause sysctl")), 0);
    assert_eq!(exit(sim.call(UPDATE)), 6);
    assert!(sim.0.borrow().spec.is_none(), "no rollout was submitted");
}

#[test]
fn an_update_that_is_not_through_is_taken_back_or_finished() {
    for promoted in [false, true] {
        let sim = with_an_update();
        let rollout = careen_planner::RolloutId::parse("k3x9").unwrap();
        let (old, new) = (sim.0.borrow().enforced[0].clone(), "11112222".to_owned());
        {
            let shared = &mut *sim.0.borrow_mut();
            let FoundConfig::There { spec, state } = &mut shared.enforced[0].config else { panic!() };
            let (from, to) = (spec.version.clone(), new.clone());
            *state = EnforcementState::Updating { to, rollout: rollout.clone() };
            let spec = Box::new(careen_planner::Enforcement { version: new.clone(), ..(**spec).clone() });
            let state = match promoted {
                true => EnforcementState::Running {},
                false => EnforcementState::Coming { from, rollout },
            };
            let config = FoundConfig::There { spec, state };
            shared.enforced.push(careen_planner::FoundEnforcement {
                version: new.clone(),
                config,
                ..old.clone()
            });
            shared.world.nodes[1].labels.insert(LABEL.into(), new.clone());
        }
        if !promoted {
            let refused = sim.call(UPDATE).unwrap_err();
            assert_eq!(refused.exit().code(), 6, "it is another payload");
            assert!(refused.to_string().contains("is not through"), "{refused}");
        }
        assert_eq!(exit(sim.call("enforce update sysctl --back --yes")), 0, "{}", sim.err());
        let left = sim.0.borrow().enforced[0].version.clone();
        assert_eq!(left, if promoted { new } else { old.version }, "{}", sim.err());
        assert_eq!(versions(&sim), [EnforcementState::Running {}]);
        assert!(!sim.0.borrow().world.nodes[1].labels.contains_key(LABEL));
    }
}

#[test]
fn stop_removes_the_labels_of_an_update_too() {
    let sim = with_an_update();
    sim.0.borrow_mut().world.nodes[1].labels.insert(LABEL.into(), "11112222".into());
    assert_eq!(exit(sim.call("enforce stop sysctl --yes")), 0, "{}", sim.err());
    assert!(!sim.0.borrow().world.nodes[1].labels.contains_key(LABEL));
}
