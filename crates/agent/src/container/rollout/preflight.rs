//! The look at the host before `prepare`: what is seen is gathered here, and judged in [`careen_model::preflight`].

use super::{INTERVAL, Request};
use crate::container::identity::Place;
use crate::engine_restart::UNLOCK_KEY;
use crate::facts;
use crate::files::{self, OpenOptions};
use crate::say::{chain, say};
use crate::stop::Stop;
use crate::tool;
use careen_engine::{Engine, EngineError};
use careen_model::facts::{DPKG_FORMAT, version_of_dockerd};
use careen_model::payload::takes_host_lock;
use careen_model::preflight::{
    Ahead, DaemonJson, Dpkg, EngineSays, HostFacts, Problem, Unlock, dpkg_state, judge,
};
use careen_model::settings::{EngineRestarts, Reboot, RolloutPart};
use nix::fcntl::{FcntlArg, fcntl};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Where an engine looks for its configuration.
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// What a process that works on the packages has locked.
const DPKG_LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];

/// The first release whose `dockerd` can be asked whether a configuration is valid.
const VALIDATES_SINCE: u32 = 23;

/// How often an engine that does not answer is asked again.
const TRIES: u32 = 10;

/// How long dockerd or dpkg may take.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Says what is to be known of the host, and refuses one that is not fit.
pub fn pass(request: &Request, part: &RolloutPart, place: &Place) -> Result<(), Stop> {
    let works = takes_host_lock(&request.command);
    let settings = &request.settings;
    let restarts = settings.engine_restart == EngineRestarts::Auto || settings.reboot != Reboot::Never;
    let ahead = Ahead {
        engine_start: works && restarts,
        unlock_by_hand: part.unlock_by_hand,
        // What only looks may look at anything.
        allow_unfit: part.allows_unfit || !works,
    };
    let found = judge(&look(place), ahead);
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

fn look(place: &Place) -> HostFacts {
    let installed = tool::output("dockerd", &["--version"], &mut Vec::new());
    let installed = installed.as_deref().and_then(version_of_dockerd);
    HostFacts {
        engine: engine_says(place),
        daemon_json: daemon_json(installed.as_deref()),
        installed,
        dpkg: dpkg(),
        unlock: unlock(place),
    }
}

fn engine_says(place: &Place) -> Result<EngineSays, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Info {
        #[serde(default)]
        live_restore_enabled: bool,
        #[serde(default)]
        driver: String,
    }
    // It has just started this container; under load it may still answer late.
    let ask = || Engine::connect().and_then(|engine| engine.get::<Info>("/info"));
    let mut answer = ask();
    for _ in 0..TRIES {
        if answer.is_ok() || place.engine.is_some() {
            break;
        }
        std::thread::sleep(INTERVAL);
        answer = ask();
    }
    let info = answer.map_err(|error| chain(&error))?;
    Ok(EngineSays { live_restore: info.live_restore_enabled, driver: info.driver })
}

fn daemon_json(installed: Option<&str>) -> DaemonJson {
    let text = match files::read_to_string(DAEMON_JSON) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DaemonJson::Well,
        Err(error) => return DaemonJson::Invalid { why: error.to_string() },
    };
    let major = installed.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    let asks = major.is_some_and(|major| major >= VALIDATES_SINCE);
    let words = ["dockerd", "--validate", "--config-file", DAEMON_JSON];
    DaemonJson::of(&text, if asks { tool::must(&words, TIME_LIMIT).err() } else { None })
}

fn dpkg() -> Dpkg {
    let list = tool::output("dpkg-query", &["-W", "-f", DPKG_FORMAT], &mut Vec::new()).unwrap_or_default();
    let rehearse = || tool::must(&["dpkg", "--configure", "-a", "--no-act"], TIME_LIMIT);
    match dpkg_state(&list, rehearse) {
        // Somebody is at it: what is half done now need not stay so.
        Dpkg::Broken { .. } if DPKG_LOCKS.iter().any(|path| is_locked(path)) => Dpkg::Mendable,
        state => state,
    }
}

fn is_locked(path: &str) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
    let (kind, whence) = (nix::libc::F_WRLCK as i16, nix::libc::SEEK_SET as i16);
    let mut lock = nix::libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).is_ok() && lock.l_type != nix::libc::F_UNLCK as i16
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
    let container: serde_json::Value = engine.get(&format!("/containers/{name}/json"))?;
    let policy = container.pointer("/HostConfig/RestartPolicy/Name").and_then(serde_json::Value::as_str);
    Ok(policy.unwrap_or_default().to_owned())
}
