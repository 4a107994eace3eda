//! The look at the host before `prepare`: what is seen is gathered here, and judged in [`careen_host::preflight`].

mod engine_start;

use super::{INTERVAL, Request};
use crate::container::identity::Place;
use crate::facts;
use crate::say::say;
use crate::stop::Stop;
use crate::unit::{find_systemd_run, systemd_version};
use crate::{files, memory, others, tool};
use careen_contract::chain;
use careen_contract::object::UNLOCK_KEY;
use careen_contract::settings::{EngineRestarts, Reboot, RolloutPart, Settings};
use careen_engine::{ApiPath, Engine, EngineError};
use careen_host::facts::DPKG_FORMAT;
use careen_host::preflight::{
    Ahead, Dpkg, EngineAnswer, EngineSays, HostFacts, Manners, Problem, Selinux, Unlock, dpkg_state, judge,
    wait_for,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often an engine that does not answer is asked again.
const TRIES: u32 = 10;

/// How long dockerd or dpkg may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What may come of the work.
fn ahead(request: &Request, part: &RolloutPart) -> Ahead {
    let works = request.takes_host_lock();
    let Settings { engine_restart, reboot, .. } = &request.settings;
    let reboots = *reboot != Reboot::Never;
    Ahead {
        engine_start: works && (*engine_restart == EngineRestarts::Auto || reboots),
        reboot: works && reboots,
        works,
        unlock_by_hand: part.unlock_by_hand,
        // What only looks may look at anything.
        allow_unfit: part.allows_unfit || !works,
    }
}

/// Who else acts on the host and is waited for, in words; `None` when nobody is, or not any more.
pub fn waits_for(request: &Request, part: &RolloutPart, waited: Duration) -> Option<String> {
    let ahead = ahead(request, part);
    let manners = Manners {
        works: ahead.works && !ahead.allow_unfit,
        goes_down: ahead.engine_start,
        respects: request.settings.respect_inhibitors,
    };
    if !manners.works { None } else { wait_for(&others::look(), manners, waited) }
}

/// Says what is to be known of the host, and refuses one that is not fit.
pub fn pass(request: &Request, part: &RolloutPart, place: &Place) -> Result<(), Stop> {
    let ahead = ahead(request, part);
    let found = judge(&look(place, ahead), ahead);
    let lines = |problems: &[Problem]| {
        problems.iter().map(|problem| format!("preflight: {problem}")).collect::<Vec<_>>()
    };
    lines(&found.warnings).iter().for_each(|line| say(format_args!("warning: {line}")));
    if ahead.engine_start {
        name_plain_containers(place);
    }
    if found.problems.is_empty() {
        return Ok(());
    }
    let reasons: Vec<String> = found.problems.iter().map(Problem::to_string).collect();
    Err(Stop::refused(reasons.join("; ")))
}

fn look(place: &Place, ahead: Ahead) -> HostFacts {
    let start = engine_start::look();
    let engine = ask_engine(place);
    let data_root = engine.says().map(|says| says.root.clone()).unwrap_or_default();
    HostFacts {
        engine,
        installed: start.installed,
        unit: start.unit,
        daemon_json: start.daemon_json,
        dropped: start.dropped,
        dpkg: dpkg(),
        unlock: unlock(place),
        memory: memory::look(&data_root, ahead.reboot),
        others: others::look(),
        selinux: selinux(),
        systemd: find_systemd_run().ok().and_then(|path| systemd_version(&path)),
    }
}

fn selinux() -> Selinux {
    let read = |path: &str| files::read_to_string(path).ok();
    let context = read("/proc/self/attr/current").unwrap_or_default();
    Selinux::of(read("/sys/fs/selinux/enforce").as_deref(), &context)
}

fn ask_engine(place: &Place) -> EngineAnswer {
    // It has just started this container; under load it may still answer late.
    let ask = || Engine::connect().and_then(|engine| engine.info());
    let mut answer = ask();
    for _ in 0..TRIES {
        if answer.is_ok() || place.engine.is_some() {
            break;
        }
        std::thread::sleep(INTERVAL);
        answer = ask();
    }
    match answer {
        Ok(info) => EngineAnswer::Says(EngineSays {
            live_restore: info.live_restore_enabled,
            driver: info.driver,
            root: info.docker_root_dir,
        }),
        Err(error) => EngineAnswer::Silent { why: chain(&error) },
    }
}

fn dpkg() -> Dpkg {
    let list = tool::output("dpkg-query", &["-W", "-f", DPKG_FORMAT], &mut Vec::new()).unwrap_or_default();
    let rehearse = || {
        let went = tool::must(&["dpkg", "--configure", "-a", "--no-act"], TIME_LIMIT);
        went.err().map(|error| chain(&error))
    };
    let state = dpkg_state(&list, rehearse);
    // Somebody is at it: what is half done now need not stay so.
    let is_at_work = matches!(state, Dpkg::Broken { .. }) && others::dpkg_is_locked();
    if is_at_work { Dpkg::Mendable } else { state }
}

/// An engine that cannot be asked is a problem of its own.
fn unlock(place: &Place) -> Unlock {
    let Some(engine) = place.engine.as_ref().filter(|_| place.info.swarm.is_manager()) else {
        return Unlock::NotAsked;
    };
    match (engine.unlock_key(), place.own.secrets.text(UNLOCK_KEY)) {
        (Ok(Some(right)), Some(given)) if right == given.trim() => Unlock::Right,
        (Ok(Some(_)), Some(_)) => Unlock::Wrong,
        (Ok(Some(_)), None) => Unlock::Missing,
        (Ok(None) | Err(_), _) => Unlock::NotAsked,
    }
}

/// A manager does not see the containers of other hosts that belong to no service; who is on the host does.
fn name_plain_containers(place: &Place) {
    let Some(engine) = &place.engine else { return };
    let agents = place.container.iter().map(|container| container.id.clone()).collect::<BTreeSet<_>>();
    let found = facts::plain_containers(engine, &agents, &mut Vec::new()).unwrap_or_default();
    for container in found.iter().filter(|container| container.running) {
        let after = match restart_policy(engine, &container.name).as_deref() {
            Ok("always" | "unless-stopped") => "starts again with it",
            Ok(_) => "stays stopped then: its restart policy does not start it again",
            Err(_) => continue, // gone meanwhile
        };
        say(format_args!(
            "note: '{}' is a container of no service: it stops with the engine, and {after}",
            container.name
        ));
    }
}

fn restart_policy(engine: &Engine, name: &str) -> Result<String, EngineError> {
    let container: serde_json::Value = engine.get(&ApiPath::container(name))?;
    let policy = container.pointer("/HostConfig/RestartPolicy/Name").and_then(serde_json::Value::as_str);
    Ok(policy.unwrap_or_default().to_owned())
}
