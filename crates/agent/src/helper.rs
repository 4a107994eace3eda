//! The helper container's process: enters the namespaces of the host's PID 1, and starts the supervisor there.
//!
//! It shares the host's pid, network, IPC and UTS namespaces from the start. What it starts must not be found by the
//! engine when the helper ends: under systemd it is a unit like any other, without systemd it moves to the root of
//! every cgroup hierarchy first.

use crate::files::{self, File};
use crate::layout::{self, TransactionDir};
use crate::unit::{Launch, NoSystemd, find_systemd_run};
use anyhow::{Context, bail};
use careen_contract::TransactionId;
use careen_contract::chain;
use careen_contract::entry::Way;
use careen_host::mountinfo;
use nix::sched::{CloneFlags, setns};
use std::path::Path;

/// Starts the supervisor of a transaction on the host and returns what to say about it.
pub fn run(args: &[String]) -> anyhow::Result<String> {
    let [id, supervision, binary, go @ ..] = args else {
        bail!("usage: careen-agent helper ID SUPERVISION BINARY [AGENT]")
    };
    let launch = Launch {
        id: TransactionId::parse(id)?,
        supervision: supervision.parse().context("SUPERVISION is a number")?,
        binary: binary.into(),
        go: go.first().map(|agent| agent.parse()).transpose().context("AGENT is a number")?,
    };
    enter_host()?;
    match start_unit(&launch) {
        Ok(()) => Ok(format!("transient unit {}", launch.unit())),
        Err(reason) => {
            leave_cgroups()?;
            let directory = TransactionDir::new(Path::new(layout::ROOT), &launch.id);
            launch.plain(Way::Container, &directory)?.spawn().context("failed to start the supervisor")?;
            Ok(format!("a process in the host's root cgroup ({})", chain(&reason)))
        }
    }
}

fn enter_host() -> anyhow::Result<()> {
    // Both are opened before the first is entered: with the file system, /proc becomes another one.
    let files =
        File::open("/proc/1/ns/mnt").context("failed to open the mount namespace of the host's PID 1")?;
    let cgroups = File::open("/proc/1/ns/cgroup").ok(); // kernels before 4.6 have none
    if let Some(cgroups) = cgroups {
        setns(cgroups, CloneFlags::CLONE_NEWCGROUP).context("failed to enter the host's cgroup namespace")?;
    }
    setns(files, CloneFlags::CLONE_NEWNS).context("failed to enter the host's mount namespace")?;
    Ok(std::env::set_current_dir("/")?)
}

/// Why the supervisor does not become a unit.
#[derive(Debug, thiserror::Error)]
enum NoUnit {
    #[error(transparent)]
    NoSystemd(#[from] NoSystemd),
    #[error("systemd-run cannot be started")]
    CannotStart(#[source] std::io::Error),
    #[error("systemd-run failed: {said}")]
    Failed { said: String },
}

fn start_unit(launch: &Launch) -> Result<(), NoUnit> {
    let systemd_run = find_systemd_run()?;
    let output = launch.systemd_run(&systemd_run, Way::Container, false).output();
    let output = output.map_err(NoUnit::CannotStart)?;
    if output.status.success() {
        return Ok(());
    }
    Err(NoUnit::Failed { said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

/// Moves this process to the root of every hierarchy, where no engine looks for the processes of a container.
fn leave_cgroups() -> anyhow::Result<()> {
    let table = files::read_to_string("/proc/self/mountinfo")?;
    let hierarchies = mountinfo::parse(&table).into_iter().filter(|mount| {
        // Containers' own views of a hierarchy are mounted too; the host's shows the hierarchy's root.
        matches!(mount.fs_type.as_str(), "cgroup" | "cgroup2")
            && mount.mount_point.starts_with("/sys/fs/cgroup")
    });
    let mut left = 0;
    for mount in hierarchies {
        let procs = Path::new(&mount.mount_point).join("cgroup.procs");
        files::write(&procs, "0").with_context(|| format!("failed to move to {}", procs.display()))?;
        left += 1;
    }
    if left == 0 {
        bail!(
            "the host has no cgroup hierarchy at /sys/fs/cgroup: the engine would kill the supervisor with the helper"
        );
    }
    Ok(())
}
