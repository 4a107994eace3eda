//! What can go wrong on a node. Every fault verifies that it took effect, and has one that undoes it.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::identity::Power;
use crate::node::{Node, Output};
use crate::poll::{Poll, wait_until};
use crate::swarm;

/// A fault, or what undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A reboot in order, by the node's own init; returns when it is back with a new boot id.
    Reboot,
    /// The same, but returns when the node is on its way down.
    RebootNoWait,
    /// Takes the power away and gives it back; the node stays down for the reboot delay. Returns when it is back.
    PowerCut,
    /// Takes the power away; the node stays off until [`Fault::PowerOn`] or `up`.
    PowerOff,
    /// Turns a node on; returns when it is up.
    PowerOn,
    /// Stops every process where it stands; connections stay open and nothing answers.
    Freeze,
    /// Lets a frozen node go on.
    Thaw,
    /// SIGKILL to dockerd. systemd starts it again; on a host without systemd nobody does.
    KillEngine,
    /// Stops the engine (docker.service and docker.socket), so that no client starts the engine by asking it something.
    StopEngine,
    /// Starts both; returns when the engine answers.
    StartEngine,
    /// Takes the node off the lab network.
    Partition,
    /// Puts it back, with the same address.
    Heal,
    /// Mounts a small full file system over /var/lib/careen.
    FillDisk,
    /// Removes it; what was there before is there again.
    FreeDisk,
    /// A process in the node holds dpkg's frontend lock.
    HoldDpkgLock,
    /// Ends that process, so that the lock is free.
    ReleaseDpkgLock,
}

/// What `up --reboot-delay` accepts at most.
pub const LONGEST_DELAY: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(20);

/// The probe is cp, not a redirection: that would end the shell, and some shells call a full disk an I/O error.
const FILL: &str = "
mkdir -p -m 0700 /var/lib/careen
if [ \"$(findmnt -n -o SOURCE --mountpoint /var/lib/careen | tail -n1)\" != careen-lab-full ]; then
	mount -t tmpfs -o size=64k,mode=0700 careen-lab-full /var/lib/careen || exit 1
fi
dd if=/dev/zero of=/var/lib/careen/full bs=4k 2>/dev/null
if cp /etc/hostname /var/lib/careen/probe 2>/dev/null; then echo 'a file could still be written'; exit 1; fi
rm -f /var/lib/careen/probe
";
const FREE: &str = "
while [ \"$(findmnt -n -o SOURCE --mountpoint /var/lib/careen | tail -n1)\" = careen-lab-full ]; do
	umount /var/lib/careen || exit 1
done
";

impl Node {
    /// Injects a fault, or undoes one, and verifies that it took effect.
    pub fn fault(&self, fault: Fault) -> Result<()> {
        inject(self, fault)
    }
}

fn inject(node: &Node, fault: Fault) -> Result<()> {
    let (holder, identity) = (node.kind().holder(), node.identity());
    match fault {
        Fault::Reboot => reboot(node, true),
        Fault::RebootNoWait => reboot(node, false),
        Fault::PowerCut => {
            let (before, delay) = (node.boot_id()?, reboot_delay(node));
            holder.power_cut(identity)?;
            expect_power(node, "power-cut", Power::Off)?;
            holder.power_on(identity)?;
            wait_for_boot(node, before.as_deref(), delay)
        }
        Fault::PowerOff => {
            holder.power_cut(identity).and_then(|()| expect_power(node, "power-cut", Power::Off))
        }
        Fault::PowerOn => {
            holder.power_on(identity)?;
            expect_power(node, "power-on", Power::On)?;
            wait_for_boot(node, None, reboot_delay(node))
        }
        Fault::Freeze => holder.freeze(identity).and_then(|()| expect_power(node, "freeze", Power::Frozen)),
        Fault::Thaw => holder.thaw(identity).and_then(|()| expect_power(node, "thaw", Power::On)),
        Fault::KillEngine => kill_engine(node),
        Fault::StopEngine => stop_engine(node),
        Fault::StartEngine => {
            start_engine(node)?.ok()?;
            swarm::wait_for_engine(node).map(drop)
        }
        Fault::Partition => holder.unplug(identity).and_then(|()| expect_plugged(node, "partition", false)),
        Fault::Heal => holder.plug(identity).and_then(|()| expect_plugged(node, "heal", true)),
        Fault::FillDisk => node.sh(FILL)?.ok().map(drop),
        Fault::FreeDisk => node.sh(FREE)?.ok().map(drop),
        Fault::HoldDpkgLock => hold_dpkg_lock(node),
        Fault::ReleaseDpkgLock => {
            node.sh(node.init().release_dpkg_lock())?;
            wait_for_dpkg_lock(node, false)
        }
    }
}

fn reboot(node: &Node, wait: bool) -> Result<()> {
    expect_power(node, "reboot", Power::On)?;
    let (before, delay) = (node.boot_id()?, reboot_delay(node));
    // The answer may get lost with the node, or the exec may be killed with it: the boot id tells.
    let said = node.sh(node.init().reboot())?;
    if wait {
        return wait_for_boot(node, before.as_deref(), delay);
    }
    wait_until(&format!("{} goes down", node.name()), LIMIT, || {
        let state = node.sh(node.init().is_up())?;
        Ok(match state.status {
            0 => Poll::Pending(format!("{}{}", state.stdout, said.stderr)),
            _ => Poll::Ready(()),
        })
    })
}

/// Waits until the node is up with another boot id than `before`.
fn wait_for_boot(node: &Node, before: Option<&str>, delay: Duration) -> Result<()> {
    let limit = node.kind().boot_limit() + delay;
    wait_until(&format!("{} is back with a new boot id", node.name()), limit, || {
        Ok(match node.boot_id()? {
            Some(now) if Some(now.as_str()) != before => Poll::Ready(()),
            Some(now) => Poll::Pending(format!("boot id {now}, the one from before")),
            None => Poll::Pending("down".to_owned()),
        })
    })
}

/// How long a reboot of this node takes on top. Where it cannot be read now, the longest that can be set.
fn reboot_delay(node: &Node) -> Duration {
    let read =
        node.outside("cat /var/lib/careen-lab/reboot-delay 2>/dev/null || echo 0").and_then(Output::ok);
    read.ok().and_then(|text| text.trim().parse().ok()).map_or(LONGEST_DELAY, Duration::from_secs)
}

fn kill_engine(node: &Node) -> Result<()> {
    let pid = engine_pid(node)?;
    if pid == "0" {
        return Err(no_effect(node, "kill-engine", "no dockerd is running".to_owned()));
    }
    node.sh(node.init().forgive_starts())?;
    node.exec(["kill", "-KILL", &pid])?.ok()?;
    wait_until(&format!("{}: dockerd {pid} is gone", node.name()), LIMIT, || {
        let now = engine_pid(node)?;
        Ok(if now == pid { Poll::Pending(format!("main pid {now}")) } else { Poll::Ready(()) })
    })
}

fn engine_pid(node: &Node) -> Result<String> {
    Ok(node.sh(node.init().engine_pid())?.ok()?.trim().to_owned())
}

/// Asks the node's init to start the engine, whatever was done to it before.
pub(crate) fn start_engine(node: &Node) -> Result<Output> {
    node.sh(node.init().start_engine())
}

fn stop_engine(node: &Node) -> Result<()> {
    node.sh(node.init().stop_engine())?.ok()?;
    let left = node.sh(node.init().engine_is_stopped())?;
    match left.status {
        0 => Ok(()),
        _ => Err(no_effect(node, "stop-engine", left.stdout)),
    }
}

fn hold_dpkg_lock(node: &Node) -> Result<()> {
    if dpkg_lock_is_held(node)? {
        return Ok(());
    }
    node.sh(node.init().hold_dpkg_lock())?.ok()?;
    wait_for_dpkg_lock(node, true)
}

fn wait_for_dpkg_lock(node: &Node, held: bool) -> Result<()> {
    let what = format!("{}: dpkg's lock is {}", node.name(), if held { "held" } else { "free" });
    wait_until(&what, LIMIT, || {
        let now = dpkg_lock_is_held(node)?;
        Ok(if now == held { Poll::Ready(()) } else { Poll::Pending(format!("held: {now}")) })
    })
}

fn dpkg_lock_is_held(node: &Node) -> Result<bool> {
    let output = node.exec(["perl", "/usr/lib/careen-lab/dpkg-lock.pl", "test"])?;
    match output.status {
        0 => Ok(true),
        1 => Ok(false),
        _ => output.ok().map(|_| false),
    }
}

fn expect_power(node: &Node, fault: &'static str, wanted: Power) -> Result<()> {
    let seen = node.observe()?;
    match seen.power == wanted {
        true => Ok(()),
        false => Err(no_effect(node, fault, format!("the node is {:?}", seen.power))),
    }
}

fn expect_plugged(node: &Node, fault: &'static str, wanted: bool) -> Result<()> {
    let seen = node.observe()?;
    match seen.plugged == wanted {
        true => Ok(()),
        false => Err(no_effect(node, fault, format!("on the lab network: {}", seen.plugged))),
    }
}

fn no_effect(node: &Node, fault: &'static str, seen: String) -> Error {
    Error::NoEffect { fault, node: node.name().to_string(), seen }
}
