//! Gathers what may ask for a reboot of the host or a restart of its engine. What it means is decided in
//! [`careen_host::facts::restart`].

use crate::engine_process::engine_processes;
use crate::files;
use crate::tool::ask;
use careen_contract::chain;
use careen_host::facts::restart::{Answer, EngineProcess, Marker, RebootSigns};
use jiff::Timestamp;
use std::path::Path;

#[derive(Debug)]
pub struct RestartNeeds {
    /// What may ask for a reboot.
    pub reboot: RebootSigns,
    /// The engine's processes and what they run.
    pub engine: Vec<EngineProcess>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}

/// Looks at the host. With dnf or zypper that takes seconds, and 20 s at most for each tool: ask where it decides.
pub fn observe() -> RestartNeeds {
    let mut notes = Vec::new();
    let kernel = super::kernel(&mut notes);
    let zypper = answer(&[("zypper", &["--non-interactive", "needs-rebooting"])], &mut notes);
    // SUSE has a 'needs-restarting' too, which asks zypper. Without yum-utils, dnf may have the plugin by itself.
    let red_hats: [(&str, &[&str]); 2] =
        [("needs-restarting", &["-r"]), ("dnf", &["--quiet", "needs-restarting", "-r"])];
    let needs_restarting = if zypper.is_none() { answer(&red_hats, &mut notes) } else { None };
    let marker = marker(Path::new("/run")).or_else(|| marker(Path::new("/var/run")));
    let (running_kernel, newest_kernel) = (kernel.running, kernel.newest_installed);
    let reboot = RebootSigns { marker, needs_restarting, zypper, running_kernel, newest_kernel };
    RestartNeeds { reboot, engine: engine_processes(), notes }
}

/// The answer of the first of these tools that the host has.
fn answer(tools: &[(&str, &[&str])], notes: &mut Vec<String>) -> Option<Answer> {
    tools.iter().find_map(|(program, arguments)| {
        ask(program, arguments).map_err(|error| notes.push(chain(&error))).ok().flatten()
    })
}

fn marker(run: &Path) -> Option<Marker> {
    let modified = files::metadata(run.join("reboot-required")).and_then(|marker| marker.modified()).ok()?;
    // A time that no calendar holds is as new as can be: better one reboot too many than a kernel that never runs.
    let modified = Timestamp::try_from(modified).unwrap_or(Timestamp::MAX);
    let packages = files::read(run.join("reboot-required.pkgs")).unwrap_or_default();
    Some(Marker { modified, packages: String::from_utf8_lossy(&packages).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_marker_is_read_with_its_time_and_the_packages_that_ask() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(marker(run.path()), None);
        let before = Timestamp::now() - jiff::SignedDuration::from_secs(5);
        fs::write(run.path().join("reboot-required"), "*** System restart required ***\n").unwrap();
        assert_eq!(marker(run.path()).unwrap().packages, "");
        fs::write(run.path().join("reboot-required.pkgs"), b"linux\xff\nlibc6\n").unwrap();
        let marker = marker(run.path()).unwrap();
        assert!(marker.modified > before);
        assert_eq!(marker.packages, "linux\u{fffd}\nlibc6\n");
    }
}
