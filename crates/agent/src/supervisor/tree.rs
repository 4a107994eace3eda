//! The processes that descend from the supervisor.
//!
//! The supervisor is their subreaper: whatever a command starts, however often it forks and calls setsid, stays a
//! descendant. That holds with and without systemd, and in a cgroup shared with others.

use crate::files;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;

/// A process as a procfs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id in the pid namespace of that procfs.
    pid: i32,
    parent: i32,
    /// Its id in its own, innermost pid namespace: ours, for a descendant.
    own_pid: i32,
    name: String,
    zombie: bool,
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.own_pid, self.name)
    }
}

/// All descendants of this process that still run.
pub fn descendants() -> io::Result<Vec<Process>> {
    // Below /host the procfs is the host's, with the host's process ids; its `self` says what it calls us.
    let own = files::read_link("/proc/self")?.to_string_lossy().parse::<i32>().map_err(io::Error::other)?;
    let mut all = Vec::new();
    for entry in files::read_dir("/proc")? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()) {
            // A process that ends meanwhile is no descendant any more.
            all.extend(
                files::read_to_string(entry.path().join("status")).ok().as_deref().and_then(parse_status),
            );
        }
    }
    Ok(below(own, all))
}

/// Sends a signal to these processes. One that ended meanwhile is no error.
pub fn signal(processes: &[Process], signal: Signal) {
    for process in processes {
        let _ = kill(Pid::from_raw(process.own_pid), signal);
    }
}

fn parse_status(status: &str) -> Option<Process> {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let pid = field("Pid")?.parse().ok()?;
    let own_pid = match field("NSpid").and_then(|pids| pids.split_whitespace().next_back()) {
        Some(innermost) => innermost.parse().ok()?,
        None => pid,
    };
    Some(Process {
        pid,
        parent: field("PPid")?.parse().ok()?,
        own_pid,
        name: field("Name")?.to_owned(),
        zombie: field("State")?.starts_with('Z'),
    })
}

fn below(ancestor: i32, all: Vec<Process>) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut pending = vec![ancestor];
    while let Some(parent) = pending.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            pending.push(process.pid);
            found.push(process);
        }
    }
    found.retain(|process| !process.zombie);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_its_innermost_pid() {
        let status = "Name:\tsh\nState:\tS (sleeping)\nPid:\t602\nPPid:\t568\nNSpid:\t602\t7\n";
        let process = parse_status(status).unwrap();
        assert_eq!((process.pid, process.own_pid, process.parent), (602, 7, 568));
        assert_eq!(parse_status("Name:\tsh\n"), None);
    }

    #[test]
    fn children_of_children_are_found_and_zombies_and_strangers_are_not() {
        let process = |pid: i32, parent: i32, zombie: bool| Process {
            pid,
            parent,
            own_pid: pid,
            name: "x".into(),
            zombie,
        };
        let all = vec![
            process(1, 0, false),
            process(5, 4, false),
            process(4, 3, false),
            process(6, 3, true),
            process(7, 1, false),
        ];
        let mut pids: Vec<i32> = below(3, all).iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [4, 5]);
    }

    #[test]
    fn a_child_of_this_process_is_seen() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let found = descendants().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().any(|process| u32::try_from(process.own_pid) == Ok(child.id())), "{found:?}");
    }
}
