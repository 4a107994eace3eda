//! Whether a host wants a reboot, and its engine a restart. Decided from what was seen; whether it may happen is
//! the transaction's to say.

use super::kernel;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was seen on a host that may ask for a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebootSigns {
    /// The marker of Debian, Ubuntu and whoever does as they do.
    pub marker: Option<Marker>,
    /// What `needs-restarting -r` answered, where there is one.
    pub needs_restarting: Option<Answer>,
    /// What `zypper needs-rebooting` answered, where there is one.
    pub zypper: Option<Answer>,
    /// The kernel that runs.
    pub running_kernel: Option<String>,
    /// The newest installed kernel (see [`super::newest_kernel`]).
    pub newest_kernel: Option<String>,
}

impl RebootSigns {
    /// Whether a newer kernel than the running one is installed.
    pub fn wants_newer_kernel(&self) -> bool {
        newer_kernel(self).is_some()
    }
}

/// `/run/reboot-required`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// When it was last written, by the host's clock.
    pub modified: Timestamp,
    /// The text of `/run/reboot-required.pkgs`: the packages that ask, one a line, also several times.
    pub packages: String,
}

/// How a tool ended, and what it wrote to its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Answer {
    pub status: i32,
    pub output: String,
}

/// Why a host wants a reboot. As words it stands in the journal, and tells whether this wish was granted already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sign", rename_all = "kebab-case")]
pub enum RebootReason {
    /// The marker is there.
    Marker {
        /// Which packages ask, without doubles.
        packages: Vec<String>,
    },
    /// A newer kernel than the running one is installed.
    Kernel {
        /// The one that runs.
        running: String,
        /// The newest that is installed.
        installed: String,
    },
    /// `needs-restarting -r` says so.
    NeedsRestarting,
    /// `zypper needs-rebooting` says so.
    Zypper,
}

/// A host's wish for a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RebootWish {
    None,
    Wanted {
        reason: RebootReason,
    },
    /// The host was rebooted for just this, and still says so. To be reported, and not to be repeated.
    Survived {
        reason: RebootReason,
    },
}

/// The exit status of `zypper needs-rebooting` for 'yes' (ZYPPER_EXIT_INF_REBOOT_NEEDED).
const ZYPPER_YES: i32 = 102;

/// What all `needs-restarting -r` write when they mean it (yum-utils, dnf 4, dnf 5). Their status of 1 alone is also
/// that of a missing plugin and of any other error of dnf.
const NEEDS_RESTARTING_YES: &str = "Reboot is required";

/// Decides whether a reboot is wanted. `since` is when the transaction began, by the host's clock: an older marker is
/// somebody else's. `granted` are the reasons, in words, for which this transaction has rebooted the host already.
pub fn reboot_wanted(signs: &RebootSigns, since: Timestamp, granted: &[String]) -> RebootWish {
    let (granted, new): (Vec<_>, Vec<_>) =
        reboot_reasons(signs, since).into_iter().partition(|reason| granted.contains(&reason.to_string()));
    match (new.into_iter().next(), granted.into_iter().next()) {
        (Some(reason), _) => RebootWish::Wanted { reason },
        (None, Some(reason)) => RebootWish::Survived { reason },
        (None, None) => RebootWish::None,
    }
}

/// All reasons for a reboot, that which says most first.
pub fn reboot_reasons(signs: &RebootSigns, since: Timestamp) -> Vec<RebootReason> {
    let reasons = [marker(signs, since), newer_kernel(signs), needs_restarting(signs), zypper(signs)];
    reasons.into_iter().flatten().collect()
}

fn marker(signs: &RebootSigns, since: Timestamp) -> Option<RebootReason> {
    let marker = signs.marker.as_ref().filter(|marker| marker.modified >= since)?;
    let mut packages: Vec<String> = marker.packages.split_whitespace().map(str::to_owned).collect();
    packages.sort_unstable();
    packages.dedup();
    Some(RebootReason::Marker { packages })
}

fn newer_kernel(signs: &RebootSigns) -> Option<RebootReason> {
    let (running, installed) = (signs.running_kernel.clone()?, signs.newest_kernel.clone()?);
    kernel::is_newer(&installed, &running).then_some(RebootReason::Kernel { running, installed })
}

fn needs_restarting(signs: &RebootSigns) -> Option<RebootReason> {
    let answer = signs.needs_restarting.as_ref()?;
    let means_it = answer.status == 1 && answer.output.contains(NEEDS_RESTARTING_YES);
    means_it.then_some(RebootReason::NeedsRestarting)
}

fn zypper(signs: &RebootSigns) -> Option<RebootReason> {
    let answer = signs.zypper.as_ref()?;
    (answer.status == ZYPPER_YES).then_some(RebootReason::Zypper)
}

impl fmt::Display for RebootReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marker { packages } if packages.is_empty() => f.write_str("/run/reboot-required is there"),
            Self::Marker { packages } => {
                write!(f, "/run/reboot-required is there, for {}", packages.join(", "))
            }
            Self::Kernel { running, installed } => {
                write!(f, "kernel {installed} is installed and {running} runs")
            }
            Self::NeedsRestarting => f.write_str("'needs-restarting -r' asks for a reboot"),
            Self::Zypper => f.write_str("'zypper needs-rebooting' asks for a reboot"),
        }
    }
}

/// A process of the host's engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EngineProcess {
    /// Its name: `dockerd` or `containerd`.
    pub program: String,
    pub pid: u32,
    /// What `/proc/<pid>/exe` points to.
    pub executable: String,
    /// Whether a program of this name is installed now.
    pub installed: bool,
}

impl EngineProcess {
    /// Whether the file that this process runs is no longer in its place: the kernel says so behind the name.
    pub fn is_replaced(&self) -> bool {
        self.executable.ends_with(" (deleted)")
    }
}

/// Why the engine must be restarted for what is installed to take effect: the programs that were replaced, without
/// doubles. A program that was removed altogether counts for nothing here: a restart would be its end.
pub fn engine_restart_wanted(processes: &[EngineProcess]) -> Option<String> {
    let replaced = processes.iter().filter(|process| process.installed && process.is_replaced());
    let mut replaced: Vec<&str> = replaced.map(|process| process.program.as_str()).collect();
    replaced.sort_unstable();
    replaced.dedup();
    match replaced.as_slice() {
        [] => None,
        [one] => Some(format!("the installed {one} is not the one that runs")),
        several => Some(format!("the installed {} are not those that run", several.join(" and "))),
    }
}

/// The programs of the engine that run and are not installed any more: they will not start again.
pub fn removed_programs(processes: &[EngineProcess]) -> Vec<&str> {
    let removed = processes.iter().filter(|process| !process.installed && process.is_replaced());
    removed.map(|process| process.program.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: Timestamp = Timestamp::constant(1_700_000_000, 0);

    fn marked(seconds: i64, packages: &str) -> RebootSigns {
        let modified = Timestamp::constant(1_700_000_000 + seconds, 0);
        RebootSigns { marker: Some(Marker { modified, packages: packages.into() }), ..RebootSigns::default() }
    }

    fn kernels(running: &str, newest: &str) -> RebootSigns {
        let (running_kernel, newest_kernel) = (Some(running.into()), Some(newest.into()));
        RebootSigns { running_kernel, newest_kernel, ..RebootSigns::default() }
    }

    fn answered(status: i32, output: &str) -> Option<Answer> {
        Some(Answer { status, output: output.into() })
    }

    fn red_hat(status: i32, output: &str) -> RebootSigns {
        RebootSigns { needs_restarting: answered(status, output), ..RebootSigns::default() }
    }

    fn suse(status: i32) -> RebootSigns {
        RebootSigns { zypper: answered(status, ""), ..RebootSigns::default() }
    }

    #[test]
    fn each_sign_by_itself() {
        let yes = "Core libraries or services have been updated since boot-up:\n  * glibc\n\n\
                   Reboot is required to fully utilize these updates.\n";
        let cases = [
            (RebootSigns::default(), None),
            (marked(-1, ""), None),
            (marked(0, ""), Some("/run/reboot-required is there")),
            (marked(5, "linux\nlibc6\nlinux\n"), Some("/run/reboot-required is there, for libc6, linux")),
            (
                kernels("6.1.0-9-amd64", "6.1.0-10-amd64"),
                Some("kernel 6.1.0-10-amd64 is installed and 6.1.0-9-amd64 runs"),
            ),
            (kernels("6.1.0-10-amd64", "6.1.0-9-amd64"), None),
            (kernels("6.1.0-10-amd64", "6.1.0-10-amd64"), None),
            (red_hat(1, yes), Some("'needs-restarting -r' asks for a reboot")),
            (red_hat(0, "Reboot should not be necessary.\n"), None),
            (red_hat(1, "No such command: needs-restarting.\n"), None),
            (red_hat(137, yes), None),
            (suse(102), Some("'zypper needs-rebooting' asks for a reboot")),
            (suse(0), None),
            (suse(2), None),
        ];
        for (signs, expected) in cases {
            let said = match reboot_wanted(&signs, BEGAN, &[]) {
                RebootWish::Wanted { reason } => Some(reason.to_string()),
                RebootWish::None => None,
                RebootWish::Survived { reason } => panic!("{reason} was never granted"),
            };
            assert_eq!(said.as_deref(), expected, "{signs:?}");
        }
    }

    #[test]
    fn a_wish_that_survives_its_reboot_is_not_repeated() {
        let signs = kernels("6.1.0-9-amd64", "6.1.0-10-amd64");
        let RebootWish::Wanted { reason } = reboot_wanted(&signs, BEGAN, &[]) else { panic!("no wish") };
        let granted = [reason.to_string()];
        assert_eq!(reboot_wanted(&signs, BEGAN, &granted), RebootWish::Survived { reason });
    }

    #[test]
    fn another_wish_after_a_reboot_is_a_new_one() {
        let granted = ["kernel 6.1.0-10-amd64 is installed and 6.1.0-9-amd64 runs".to_owned()];
        let newer = kernels("6.1.0-10-amd64", "6.1.0-11-amd64");
        assert!(matches!(reboot_wanted(&newer, BEGAN, &granted), RebootWish::Wanted { .. }));
        let both = RebootSigns { zypper: answered(102, ""), ..kernels("6.1.0-9-amd64", "6.1.0-10-amd64") };
        let expected = RebootWish::Wanted { reason: RebootReason::Zypper };
        assert_eq!(reboot_wanted(&both, BEGAN, &granted), expected);
    }

    fn process(program: &str, executable: &str, installed: bool) -> EngineProcess {
        EngineProcess { program: program.into(), pid: 7, executable: executable.into(), installed }
    }

    #[test]
    fn an_engine_whose_file_was_replaced_wants_a_restart() {
        let current = process("dockerd", "/usr/sbin/dockerd", true);
        let replaced = process("dockerd", "/usr/sbin/dockerd (deleted)", true);
        let containerd = process("containerd", "/usr/bin/containerd;66f1a2b3 (deleted)", true);
        let cases: [(Vec<EngineProcess>, Option<&str>); 7] = [
            (vec![], None),
            (vec![current.clone()], None),
            (vec![replaced.clone()], Some("the installed dockerd is not the one that runs")),
            (vec![current, containerd.clone()], Some("the installed containerd is not the one that runs")),
            (
                vec![replaced.clone(), containerd.clone(), containerd],
                Some("the installed containerd and dockerd are not those that run"),
            ),
            (vec![process("dockerd", "", true), process("dockerd", "(deleted)", true)], None),
            (vec![process("dockerd", "/usr/sbin/dockerd (deleted)", false)], None),
        ];
        for (processes, expected) in cases {
            assert_eq!(engine_restart_wanted(&processes).as_deref(), expected, "{processes:?}");
        }
    }

    #[test]
    fn an_engine_that_was_removed_is_named_and_not_restarted() {
        let removed = [process("dockerd", "/usr/sbin/dockerd (deleted)", false)];
        assert_eq!(removed_programs(&removed), ["dockerd"]);
        assert!(removed_programs(&[process("dockerd", "/snap/dockerd", false)]).is_empty());
    }
}
