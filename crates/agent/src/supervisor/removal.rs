//! Watches the agents' containers, under `CAREEN_ON_REMOVE=stop`. What is seen is judged by [`RemovalWatch`].

use crate::engine::Engine;
use crate::layout::{TransactionDir, file};
use careen_model::removal::{EngineInstance, Look, RemovalWatch};
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts watching in a thread of its own. The returned stream becomes readable when the containers were removed while
/// the engine stayed up. `None`, with the reason said, when the engine's process cannot be told.
pub fn watch(directory: &TransactionDir) -> std::io::Result<Option<(UnixStream, mpsc::Sender<()>)>> {
    let Some(engine) = engine_instance() else {
        crate::say::say(
            "CAREEN_ON_REMOVE=stop: no dockerd process was found on this host, so nothing is watched",
        );
        return Ok(None);
    };
    let (ours, theirs) = UnixStream::pair()?;
    let (keep_alive, ended) = mpsc::channel();
    let agents = directory.file(file::AGENTS);
    std::thread::Builder::new().name("removal".into()).spawn(move || run(engine, agents, theirs, &ended))?;
    Ok(Some((ours, keep_alive)))
}

fn run(engine: EngineInstance, agents: PathBuf, mut tell: UnixStream, ended: &mpsc::Receiver<()>) {
    let mut watch = RemovalWatch::new(engine);
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if watch.removed(&look(&agents)) {
            let _ = tell.write_all(b"removed"); // the supervisor ended meanwhile: nobody to tell
            return;
        }
    }
}

fn look(agents: &std::path::Path) -> Look {
    let containers = Engine::connect().ok().and_then(|engine| known_containers(&engine, agents));
    Look { engine: engine_instance(), containers }
}

/// How many of the agents' containers the engine knows; `None` when it did not answer to one of them.
fn known_containers(engine: &Engine, agents: &std::path::Path) -> Option<usize> {
    let mut known = 0;
    for entry in fs::read_dir(agents).ok()? {
        match engine.container(&entry.ok()?.file_name().to_string_lossy()) {
            Ok(_) => known += 1,
            Err(error) if error.is_not_found() => {}
            Err(_) => return None,
        }
    }
    Some(known)
}

/// The running dockerd: by its pid file, or else by its name.
pub fn engine_instance() -> Option<EngineInstance> {
    let by_file = ["/run/docker.pid", "/var/run/docker.pid"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u32>().ok());
    by_file.and_then(instance).or_else(|| {
        let mut processes = fs::read_dir("/proc").ok()?;
        processes.find_map(|entry| instance(entry.ok()?.file_name().to_string_lossy().parse().ok()?))
    })
}

fn instance(pid: u32) -> Option<EngineInstance> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, start_ticks) = parse_stat(&stat)?;
    (name == "dockerd").then_some(EngineInstance { pid, start_ticks })
}

/// Name and start time out of a proc_pid_stat(5). The name may contain anything, parentheses and blanks too.
fn parse_stat(stat: &str) -> Option<(&str, u64)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    // `after` begins with field 3; the start time is field 22.
    Some((name, after.split(' ').nth(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_start_time_are_read_whatever_the_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 8675309 20";
        assert_eq!(parse_stat(&format!("7 (dockerd) {rest}")), Some(("dockerd", 8_675_309)));
        assert_eq!(parse_stat(&format!("7 (a) b (c) {rest}")), Some(("a) b (c", 8_675_309)));
        assert_eq!(parse_stat("7 (short) S 1"), None);
    }
}
