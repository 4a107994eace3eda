//! The processes of the host's engine, found through /proc.
//!
//! An engine inside of a container (docker in docker) has the same name and is none of the host's: only processes in
//! the pid namespace of the host's PID 1 count.

use crate::boot::since_boot;
use crate::files;
use crate::tool::find_program;
use careen_host::facts::restart::EngineProcess;
use careen_host::removal::EngineInstance;
use nix::unistd::{SysconfVar, sysconf};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The programs that keep running, and that an upgrade replaces below their feet.
const PROGRAMS: [&str; 2] = ["dockerd", "containerd"];

/// The running dockerd: by its pid file, or else by its name.
pub fn engine_instance() -> Option<EngineInstance> {
    let by_file = ["/run/docker.pid", "/var/run/docker.pid"]
        .iter()
        .find_map(|path| files::read_to_string(path).ok()?.trim().parse::<u32>().ok());
    by_file
        .and_then(instance)
        .or_else(|| processes_named(&["dockerd"]).into_iter().find_map(|(_, pid)| instance(pid)))
}

/// How long this process has run; `None` where that cannot be told.
pub fn age(instance: EngineInstance) -> Option<Duration> {
    let ticks = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|ticks| *ticks > 0)?;
    let started = Duration::from_millis(instance.start_ticks.saturating_mul(1000) / ticks);
    Some(since_boot().ok()?.saturating_sub(started))
}

/// Every running dockerd and containerd of the host, and whether its program is still installed.
pub fn engine_processes() -> Vec<EngineProcess> {
    let process = |(program, pid): (String, u32)| {
        // A process that ended meanwhile has no link.
        let executable = files::read_link(format!("/proc/{pid}/exe")).ok()?;
        let executable = executable.to_string_lossy().into_owned();
        let installed = find_program(&program).is_some();
        Some(EngineProcess { program, pid, executable, installed })
    };
    processes_named(&PROGRAMS).into_iter().filter_map(process).collect()
}

/// Whether the host's process of this name runs another file than the one that is installed. One that was removed
/// does not count: restarting it would be its end.
pub fn is_replaced(program: &str) -> bool {
    let is_it =
        |process: &EngineProcess| process.program == program && process.installed && process.is_replaced();
    engine_processes().iter().any(is_it)
}

/// The programs that run, and of which every process runs the very file that is installed.
pub fn running_as_installed() -> Vec<&'static str> {
    let processes = processes_named(&PROGRAMS);
    let is_current = |program: &&str| {
        let installed = find_program(program).and_then(|path| file_id(&path));
        let mut its = processes.iter().filter(|(name, _)| name == program).peekable();
        // Through the link, not by its text: that is the file that runs, even when it has no name any more.
        let runs = |pid: u32| file_id(Path::new(&format!("/proc/{pid}/exe")));
        installed.is_some() && its.peek().is_some() && its.all(|(_, pid)| runs(*pid) == installed)
    };
    PROGRAMS.into_iter().filter(is_current).collect()
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    files::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Name and id of the host's processes with one of these names (of which the kernel keeps 15 characters).
pub fn processes_named(names: &[&str]) -> Vec<(String, u32)> {
    // Where PID 1 is shut off even from root, this process is the host's itself, unless it came by chroot alone.
    let namespace = pid_namespace("1").or_else(|_| pid_namespace("self")).ok();
    let processes = files::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: files::DirEntry| {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok()?;
        let comm = files::read_to_string(entry.path().join("comm")).ok()?;
        let name = names.iter().find(|name| **name == comm.trim_end())?;
        // One that has ended has no program any more, while nobody has waited for it.
        let program = files::read_link(entry.path().join("exe"));
        if program.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return None;
        }
        let is_the_hosts = match pid_namespace(&pid.to_string()) {
            Ok(its) => Some(its) == namespace,
            // It is ending, or gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            // Of a process that we may not look into, only its name speaks.
            Err(_) => true,
        };
        is_the_hosts.then(|| ((*name).to_owned(), pid))
    };
    processes.filter_map(process).collect()
}

fn pid_namespace(pid: &str) -> io::Result<PathBuf> {
    files::read_link(format!("/proc/{pid}/ns/pid"))
}

fn instance(pid: u32) -> Option<EngineInstance> {
    let stat = files::read_to_string(format!("/proc/{pid}/stat")).ok()?;
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
    use std::fs;

    #[test]
    fn name_and_start_time_are_read_whatever_the_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 8675309 20";
        assert_eq!(parse_stat(&format!("7 (dockerd) {rest}")), Some(("dockerd", 8_675_309)));
        assert_eq!(parse_stat(&format!("7 (a) b (c) {rest}")), Some(("a) b (c", 8_675_309)));
        assert_eq!(parse_stat("7 (short) S 1"), None);
    }

    #[test]
    fn processes_are_found_by_their_name() {
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        let found = processes_named(&[own.trim_end()]);
        // A test that runs in a container of its own pid namespace sees its own PID 1, so this holds there, too.
        assert!(found.iter().any(|(_, pid)| *pid == std::process::id()), "{found:?}");
        assert!(processes_named(&["no such process"]).is_empty());
    }

    #[test]
    fn a_process_that_has_ended_does_not_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("careen-ended");
        std::os::unix::fs::symlink(find_program("true").unwrap(), &program).unwrap();
        let mut child = std::process::Command::new(program).spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        // Nobody has waited for it: it is a zombie until somebody does.
        while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(processes_named(&["careen-ended"]), []);
        child.wait().unwrap();
    }
}
