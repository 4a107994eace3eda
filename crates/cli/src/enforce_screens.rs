//! The screens of `careen enforce`, kept as the others are (`screens`): `UPDATE_SCREENS=1` writes them anew.

use crate::enforcement::EnforcementLook;
use crate::render::Screen;
use crate::render::enforce::{Begun, EnforcementList, EnforcementPages, Preview, Steered, WaitsForHosts};
use crate::render::text::Page;
use crate::screens::assert_kept;
use careen_contract::standing::{EnforcePass, EnforceState, PathWatch, Standing};
use careen_planner::enforcement::hosts::{Coverage, EnforcedHost, LastWord, Uncovered};
use careen_planner::enforcement::{Beginning, EnforcerService, FoundConfig};
use careen_planner::names::Names;
use careen_planner::testing::enforcement;
use careen_planner::{Enforcement, EnforcementState, FoundEnforcement, NodeId, RolloutId, ServiceId};
use careen_swarm::{EnforcementDraft, PayloadFile};
use std::time::Duration;

fn said(state: EnforceState) -> Standing {
    Standing {
        name: "sysctl".into(),
        version: "0a1b2c3d".into(),
        state,
        why: None,
        watch: PathWatch::Watched,
        mended: 0,
        last: None,
        at: 1_795_000_001,
        notes: Vec::new(),
    }
}

fn pass(corrective: bool, exit: u8) -> EnforcePass {
    EnforcePass {
        corrective,
        at: 1_795_000_000,
        took_ms: 1234,
        exit,
        transaction: "e-sysctl-k3x9ab12".into(),
        paths: if corrective { vec!["/etc/sysctl.d/50-app.conf".into()] } else { Vec::new() },
        lines: Vec::new(),
    }
}

fn covered(name: &str, said: Standing) -> EnforcedHost {
    host(name, Coverage::Covered(LastWord::Said(Box::new(said))))
}

fn host(name: &str, coverage: Coverage) -> EnforcedHost {
    EnforcedHost { node: NodeId(name.into()), hostname: name.into(), coverage }
}

fn not(name: &str, why: Uncovered) -> EnforcedHost {
    host(name, Coverage::Not(why))
}

fn look(name: &str, state: EnforcementState, hosts: Vec<EnforcedHost>) -> EnforcementLook {
    let spec = Enforcement { name: name.into(), ..enforcement() };
    let stopped = matches!(state, EnforcementState::Paused { .. });
    EnforcementLook {
        found: FoundEnforcement {
            name: name.into(),
            version: spec.version.clone(),
            config: FoundConfig::There { spec: Box::new(spec), state },
            service: Some(EnforcerService { id: ServiceId("s1".into()), stopped, changed: Vec::new() }),
        },
        hosts,
        other_protocol: None,
    }
}

fn in_sync() -> EnforcementLook {
    let hosts = ["m1", "w1", "w2"].map(|name| covered(name, said(EnforceState::InSync)));
    look("sysctl", EnforcementState::Running {}, hosts.to_vec())
}

/// A host in each way that one can be.
fn mixed() -> EnforcementLook {
    let why = |state, why: &str| Standing { why: Some(why.into()), ..said(state) };
    let mended = Standing { mended: 2, last: Some(pass(true, 0)), ..said(EnforceState::InSync) };
    let mut failing =
        why(EnforceState::Failing, "install ended with exit code 1; it is tried again in 2 min");
    failing.last = Some(EnforcePass { lines: vec!["sysctl: cannot stat".into()], ..pass(false, 1) });
    let interval =
        PathWatch::Interval { why: "no room for more watches (fs.inotify.max_user_watches)".into() };
    let told = Standing {
        watch: interval,
        notes: vec!["check changes /etc/sysctl.d/50-app.conf".into()],
        ..said(EnforceState::InSync)
    };
    let hosts = vec![
        covered("m1", said(EnforceState::InSync)),
        covered("w01", mended),
        covered("w02", told),
        covered("w03", said(EnforceState::Mending)),
        covered("w04", why(EnforceState::HostBusy, "the transaction upgrade-k3x9 has it")),
        covered("w05", failing),
        covered("w06", why(EnforceState::GaveUp, "the same drift came back 3 times within an hour")),
        covered("w07", why(EnforceState::NeedsRollout, "install wants a reboot")),
        covered("w08", why(EnforceState::Unknown, "check ended with exit code 127")),
        host("w09", Coverage::Covered(LastWord::Nothing)),
        host("w10", Coverage::Covered(LastWord::Unintelligible)),
        host("w11", Coverage::Covered(LastWord::Unread { why: "it did not answer in time".into() })),
        not("w12", Uncovered::Drained),
        not("w13", Uncovered::Paused),
        not("w14", Uncovered::Down),
        not("w15", Uncovered::NoImage { why: "No such image: registry.example/sysctl@sha256:00".into() }),
        not("w16", Uncovered::Fails { why: "task: non-zero exit (248)".into() }),
        not("w17", Uncovered::NotPlaced),
    ];
    EnforcementLook {
        other_protocol: Some("1".into()),
        ..look("sysctl", EnforcementState::Running {}, hosts)
    }
}

/// What somebody did by hand, and what a rollout does.
fn damaged() -> Vec<EnforcementLook> {
    let by = |service: Option<(bool, &[&str])>, look: EnforcementLook| {
        let service = service.map(|(stopped, changed)| EnforcerService {
            id: ServiceId("s1".into()),
            stopped,
            changed: changed.iter().map(|what| (*what).to_owned()).collect(),
        });
        EnforcementLook { found: FoundEnforcement { service, ..look.found }, ..look }
    };
    let running = |name: &str| look(name, EnforcementState::Running {}, Vec::new());
    let paused = || EnforcementState::Paused { by: "root@m1".into(), since: 1_795_000_000 };
    let config = |config: FoundConfig, look: EnforcementLook| EnforcementLook {
        found: FoundEnforcement { config, ..look.found },
        ..look
    };
    let rollout = || RolloutId::parse("k3x9").unwrap();
    let updating = EnforcementState::Updating { to: "ffff0000".into(), rollout: rollout() };
    vec![
        by(None, running("a")),
        config(FoundConfig::Missing, running("b")),
        config(FoundConfig::Unreadable { why: "its format is '2'".into() }, running("c")),
        by(Some((false, &["image", "environment"])), running("d")),
        by(Some((false, &[])), look("e", paused(), Vec::new())),
        by(Some((true, &[])), running("f")),
        look("g", paused(), vec![not("w1", Uncovered::Stopped)]),
        look("h", updating, vec![covered("w1", said(EnforceState::InSync))]),
    ]
}

fn names() -> Names {
    Names::new((1..=17).map(|n| format!("w{n:02}")).map(|name| (NodeId(name.clone()), name)))
}

fn shown(command: &str, screen: &impl Screen) -> String {
    let mut page = Page::new(false);
    screen.text(&mut page);
    format!("$ careen {command}\n{}", page.into_text())
}

fn draft(spec: Enforcement) -> EnforcementDraft {
    let file = |name: &str| PayloadFile {
        target: format!("/install/{name}"),
        digest: "00".into(),
        mode: 0o755,
        content: b"#!/bin/sh\n".to_vec(),
    };
    EnforcementDraft { spec, files: vec![file("check"), file("install")] }
}

fn begins() -> String {
    let (plain, mut wide) = (draft(enforcement()), draft(enforcement()));
    wide.spec.owns.clear();
    wide.spec.args = vec!["--strict".into()];
    wide.spec.given.environment = vec!["TOKEN=secret".into()];
    let names = names();
    let hosts =
        [not("m1", Uncovered::NotPlaced), not("w01", Uncovered::NotPlaced), not("w02", Uncovered::Drained)];
    let rollout = RolloutId::parse("k3x9").unwrap();
    let of = |draft, going_on, warning| Preview {
        draft,
        hosts: &hosts,
        nodes: 4,
        names: &names,
        warning,
        going_on,
    };
    let warning = "w01 may not have the image registry.example/sysctl:1, which no registry has".to_owned();
    let spec = &plain.spec;
    [
        shown("enforce registry.example/sysctl:1", &of(&plain, None, None)),
        shown("enforce ./sysctl", &of(&wide, Some(&rollout), Some(warning))),
        shown("enforce --yes …", &Begun { spec, hosts: &hosts, beginning: Beginning::New }),
        shown("enforce --yes …", &Begun { spec, hosts: &hosts, beginning: Beginning::Completed }),
        shown("enforce --yes …", &Begun { spec, hosts: &hosts, beginning: Beginning::Nothing }),
        shown("enforce pause sysctl", &Steered::Paused { spec }),
        shown("enforce resume sysctl", &Steered::Resumed { spec }),
        shown(
            "enforce stop sysctl --yes",
            &Steered::Stopped { name: "sysctl", removed: &["careen-enforce-sysctl-0a1b2c3d".into()] },
        ),
    ]
    .join("\n")
}

#[test]
fn what_is_enforced_is_shown_as_it_is_kept() {
    let names = names();
    let pages = |looks: &[EnforcementLook], waited| {
        let pages = EnforcementPages { looks, names: &names, waited };
        shown("enforce status", &pages)
    };
    let (all, one) = ([in_sync()], [mixed()]);
    let every: Vec<EnforcementLook> = [in_sync(), mixed()].into_iter().chain(damaged()).collect();
    let json = EnforcementPages { looks: &one, names: &names, waited: None }.json().unwrap();
    let hosts: Vec<&EnforcedHost> = one[0].hosts.iter().filter(|host| host.is_awaited()).collect();
    let waits = WaitsForHosts { hosts: &hosts, left: Duration::from_secs(590) };
    let status = [
        pages(&all, None),
        pages(&one, Some(Duration::from_secs(600))),
        pages(&damaged(), None),
        pages(&[], None),
        shown("enforce status --wait", &waits),
    ];
    assert_kept([
        ("enforce.txt".to_owned(), begins()),
        ("enforce-ls.txt".to_owned(), shown("enforce ls", &EnforcementList(&every))),
        ("enforce-status.txt".to_owned(), status.join("\n")),
        ("enforce-status-json.txt".to_owned(), json),
    ]);
}

#[test]
fn what_others_chose_does_nothing_to_a_terminal_and_has_an_end() {
    let bad = "\u{1b}[2J\u{202e}\r\n$ careen abort'; reboot; '".repeat(500);
    let mut hosts = mixed().hosts;
    for host in &mut hosts {
        host.hostname = format!("{}{bad}", host.hostname);
        if let Coverage::Covered(LastWord::Said(said)) = &mut host.coverage {
            said.why = Some(bad.clone());
            said.notes = vec![bad.clone()];
            said.watch = PathWatch::Interval { why: bad.clone() };
            said.last = Some(EnforcePass {
                paths: vec![bad.clone(); 9],
                lines: vec![bad.clone()],
                transaction: bad.clone(),
                ..pass(true, 1)
            });
        }
    }
    let mut looks = vec![EnforcementLook { hosts, ..mixed() }];
    looks[0].found.config = FoundConfig::There {
        spec: Box::new(Enforcement {
            image_name: Some(bad.clone()),
            owns: vec![bad.clone(); 20],
            args: vec![bad.clone()],
            by: bad.clone(),
            ..enforcement()
        }),
        state: EnforcementState::Running {},
    };
    let names = Names::new(looks[0].hosts.iter().map(|host| (host.node.clone(), host.hostname.clone())));
    let text = shown("enforce status", &EnforcementPages { looks: &looks, names: &names, waited: None });
    let text = text + &shown("enforce ls", &EnforcementList(&looks));
    let harm = text.chars().find(|c| *c != '\n' && careen_contract::terminal::is_harmful(*c));
    assert_eq!(harm, None, "{text}");
    let long = text.lines().find(|line| line.chars().count() > 2000);
    assert_eq!(long, None);
    assert!(!text.lines().any(|line| line.starts_with("$ careen abort")), "{text}");
}
