//! The machine's own docker engine: used where one answers, installed and started where none does.
//!
//! The only state file of the lab is written here: which dockerd the lab started, by pid and start time, so
//! that a pid that was used again is never killed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::docker::LOCAL_SOCKET;
use crate::error::{Error, Result};
use crate::lock::RUN_DIR;
use crate::poll::{Poll, wait_until};
use crate::process;
use crate::progress::Progress;
use crate::testrepo::file_error;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// What is there before the lab does anything.
#[derive(Debug, Clone, Copy)]
struct Found {
    answers: bool,
    engine_installed: bool,
    systemd: bool,
}

/// One thing to do to have an engine.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Install(&'static str),
    StartService,
    StartByHand,
}

/// The dockerd that the lab started.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// Clock ticks since the machine's boot, from /proc/PID/stat.
    start_time: u64,
}

/// Makes sure that an engine answers. The caller holds the machine's lock.
pub fn ensure(progress: Progress) -> Result<()> {
    for step in steps(look()) {
        match step {
            Step::Install(package) => {
                progress.say(format!("no docker engine answers: installing {package}"));
                install(package)?;
            }
            Step::StartService => {
                progress.say("starting docker.service");
                process::run(Command::new("systemctl").args(["start", "docker.service"]))?;
            }
            // The package's own scripts may have started it meanwhile.
            Step::StartByHand if answers() => {}
            Step::StartByHand => start_by_hand(progress)?,
        }
    }
    // Since Debian 13 the client is a package of its own.
    if !process::is_installed("docker") {
        progress.say("installing docker-cli");
        install("docker-cli")?;
    }
    Ok(())
}

/// True when the machine's engine answers.
pub fn answers() -> bool {
    ping().is_some_and(|answer| answer.trim_end().ends_with("OK"))
}

/// Stops the engine if the lab started it. The caller holds the machine's lock and knows that nothing needs it.
pub fn stop_own(progress: Progress) -> Result<()> {
    let Some(record) = read_record()? else {
        return Ok(());
    };
    if start_time(record.pid) == Some(record.start_time) {
        progress.say(format!("stopping the docker engine that the lab started (pid {})", record.pid));
        // Gone already is as good as stopped.
        let _ = kill(Pid::from_raw(record.pid), Signal::SIGTERM);
        wait_until("the docker engine ends", STOP_LIMIT, || {
            Ok(match start_time(record.pid) {
                Some(time) if time == record.start_time => Poll::Pending(format!("pid {} lives", record.pid)),
                Some(_) | None => Poll::Ready(()),
            })
        })?;
    }
    let path = record_path();
    std::fs::remove_file(&path).map_err(file_error("remove", &path))
}

/// Installs a Debian package; the package lists are fetched only when it cannot be found without.
pub fn install(package: &str) -> Result<()> {
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "--yes"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
        process::run(command.stdin(Stdio::null()))
    };
    let install = ["install", "--no-install-recommends", package];
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

fn look() -> Found {
    Found {
        answers: answers(),
        engine_installed: process::is_installed("dockerd"),
        systemd: Path::new("/run/systemd/system").is_dir(),
    }
}

fn steps(found: Found) -> Vec<Step> {
    if found.answers {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if !found.engine_installed {
        steps.push(Step::Install("docker.io"));
    }
    steps.push(if found.systemd { Step::StartService } else { Step::StartByHand });
    steps
}

fn start_by_hand(progress: Progress) -> Result<()> {
    let log_path = Path::new(RUN_DIR).join("dockerd.log");
    let log = File::create(&log_path).map_err(file_error("create", &log_path))?;
    let both = log.try_clone().map_err(file_error("open", &log_path))?;
    progress.say(format!("starting dockerd (log in {})", log_path.display()));
    // setsid(1) is no process group leader here, so it does not fork: the pid is dockerd's.
    let mut command = Command::new("setsid");
    command.arg("dockerd").stdin(Stdio::null()).stdout(log).stderr(both);
    let mut child =
        command.spawn().map_err(|source| Error::Spawn { command: process::describe(&command), source })?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    if let Some(start_time) = start_time(pid) {
        write_record(&Record { pid, start_time })?;
    }
    wait_until("the docker engine answers", START_LIMIT, || {
        if answers() {
            return Ok(Poll::Ready(()));
        }
        let said = std::fs::read_to_string(&log_path).unwrap_or_default();
        let last = process::last_lines(&said, 3);
        match child.try_wait() {
            Ok(Some(status)) => Err(Error::Command {
                command: "dockerd".to_owned(),
                status: status.to_string(),
                stderr: format!("{last} (all of it is in {})", log_path.display()),
            }),
            Ok(None) | Err(_) => Ok(Poll::Pending(last)),
        }
    })
}

// Without the docker command: an engine may answer on a machine that has none.
fn ping() -> Option<String> {
    let mut stream = UnixStream::connect(LOCAL_SOCKET).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn record_path() -> PathBuf {
    Path::new(RUN_DIR).join("engine.json")
}

fn read_record() -> Result<Option<Record>> {
    let path = record_path();
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|source| Error::Unreadable {
            what: "the record of the lab's own engine",
            text,
            source,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { action: "read", path, source }),
    }
}

fn write_record(record: &Record) -> Result<()> {
    let path = record_path();
    std::fs::write(&path, serde_json::json!(record).to_string()).map_err(file_error("write", &path))
}

/// When this process started, or `None` when there is no such process (a zombie is none).
fn start_time(pid: i32) -> Option<u64> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

// The name in the second field may hold blanks and parentheses: count from the last ')'.
fn parse_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answers: bool, engine_installed: bool, systemd: bool) -> Found {
        Found { answers, engine_installed, systemd }
    }

    #[test]
    fn an_engine_that_answers_is_used_as_it_is() {
        assert_eq!(steps(found(true, true, false)), []);
        assert_eq!(steps(found(true, false, true)), []);
    }

    #[test]
    fn without_one_it_is_installed_and_started_the_machines_way() {
        assert_eq!(steps(found(false, true, false)), [Step::StartByHand]);
        assert_eq!(steps(found(false, true, true)), [Step::StartService]);
        assert_eq!(steps(found(false, false, false)), [Step::Install("docker.io"), Step::StartByHand]);
        assert_eq!(steps(found(false, false, true)), [Step::Install("docker.io"), Step::StartService]);
    }

    #[test]
    fn the_start_time_survives_odd_process_names() {
        let stat = |state: &str| {
            format!(
                "42 (a) b) {state} 1 42 42 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 987654 123 4 18446744073709551615"
            )
        };
        assert_eq!(parse_stat(&stat("S")), Some(987_654));
        assert_eq!(parse_stat(&stat("Z")), None);
        assert_eq!(parse_stat("rubbish"), None);
    }

    #[test]
    fn this_process_has_a_start_time_and_a_pid_that_is_free_has_none() {
        assert!(start_time(std::process::id().try_into().unwrap()).is_some());
        assert_eq!(start_time(i32::MAX), None);
    }
}
