//! Whether a host, or its engine, has to be restarted, since when and why: for people, who are told all reasons.

use super::restart::{EngineProcess, RebootSigns, engine_restart_wanted, reboot_reasons};
use careen_contract::facts::{RestartNeed, VersionPair};
use jiff::Timestamp;

/// What is known of an engine's programs.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct EngineSigns {
    pub engine: VersionPair,
    pub containerd: VersionPair,
    /// The processes whose programs could be looked at. In a container that mostly is none.
    pub processes: Vec<EngineProcess>,
    /// When the dockerd that runs was started, in seconds since 1970.
    pub started: Option<u64>,
    /// When the installed dockerd was put there, likewise.
    pub installed: Option<u64>,
}

/// Nothing tells whether the engine that runs is the one that is installed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the engine's processes cannot be looked at, and when dockerd was started, or put there, is not known"
)]
pub struct EngineUnseen;

/// `kernel_installed` is when the newest kernel was put there, in seconds since 1970.
pub fn reboot(signs: &RebootSigns, kernel_installed: Option<u64>) -> RestartNeed {
    let why: Vec<String> = reboot_reasons(signs, Timestamp::MIN).iter().map(ToString::to_string).collect();
    let marked = signs.marker.as_ref().and_then(|marker| u64::try_from(marker.modified.as_second()).ok());
    let kernel = kernel_installed.filter(|_| signs.wants_newer_kernel());
    let since = [marked, kernel].into_iter().flatten().min().filter(|_| !why.is_empty());
    RestartNeed { needed: !why.is_empty(), since, why }
}

/// The engine's. Where no process can be looked at, versions and times tell; where these tell nothing, it is an error that says why.
pub fn engine(signs: &EngineSigns) -> Result<RestartNeed, EngineUnseen> {
    let need = |why: Vec<String>| {
        let since = signs.installed.filter(|_| !why.is_empty());
        Ok(RestartNeed { needed: !why.is_empty(), since, why })
    };
    if signs.processes.iter().any(|process| process.program == "dockerd") {
        return need(engine_restart_wanted(&signs.processes).into_iter().collect());
    }
    let programs = [("dockerd", &signs.engine), ("containerd", &signs.containerd)];
    let differing: Vec<String> = programs
        .into_iter()
        .filter_map(|(program, pair)| {
            let (running, installed) = (pair.running.as_ref()?, pair.installed.as_ref()?);
            (running != installed).then(|| format!("{program} {installed} is installed and {running} runs"))
        })
        .collect();
    if !differing.is_empty() {
        return need(differing);
    }
    match (signs.started, signs.installed) {
        (Some(started), Some(installed)) if installed > started => {
            need(vec!["the installed dockerd was put there after the one that runs was started".to_owned()])
        }
        (Some(_), Some(_)) => need(Vec::new()),
        (None, _) | (_, None) => Err(EngineUnseen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::restart::{Answer, Marker};

    fn marked(at: i64, packages: &str) -> RebootSigns {
        let modified = Timestamp::constant(at, 0);
        RebootSigns { marker: Some(Marker { modified, packages: packages.into() }), ..RebootSigns::default() }
    }

    #[test]
    fn a_reboot_is_wanted_since_the_first_reason_and_for_all_of_them() {
        let kernels = RebootSigns {
            running_kernel: Some("6.1.0-37-amd64".into()),
            newest_kernel: Some("6.1.0-40-amd64".into()),
            ..marked(2000, "linux-image\nlibc6\nlibc6\n")
        };
        let need = reboot(&kernels, Some(1500));
        assert_eq!((need.needed, need.since), (true, Some(1500)));
        assert_eq!(
            need.why,
            [
                "/run/reboot-required is there, for libc6, linux-image",
                "kernel 6.1.0-40-amd64 is installed and 6.1.0-37-amd64 runs"
            ]
        );
        assert_eq!(reboot(&marked(2000, ""), Some(1500)).since, Some(2000), "the kernel is no reason here");
        let red_hat = Answer { status: 1, output: "Reboot is required".into() };
        let asked = RebootSigns { needs_restarting: Some(red_hat), ..RebootSigns::default() };
        assert_eq!((reboot(&asked, None).needed, reboot(&asked, None).since), (true, None));
        assert_eq!(reboot(&RebootSigns::default(), Some(1)), RestartNeed::default());
    }

    fn pair(running: &str, installed: &str) -> VersionPair {
        VersionPair { running: Some(running.into()), installed: Some(installed.into()) }
    }

    fn signs(running: &str, installed: &str) -> EngineSigns {
        EngineSigns {
            engine: pair(running, installed),
            containerd: pair("1.7", "1.7"),
            ..EngineSigns::default()
        }
    }

    #[test]
    fn a_process_that_can_be_looked_at_decides() {
        let process = |executable: &str| EngineProcess {
            program: "dockerd".into(),
            pid: 7,
            executable: executable.into(),
            installed: true,
        };
        let replaced = vec![process("/usr/sbin/dockerd (deleted)")];
        let need =
            engine(&EngineSigns { processes: replaced, installed: Some(9), ..signs("28", "28") }).unwrap();
        assert_eq!((need.needed, need.since), (true, Some(9)));
        let current = vec![process("/usr/sbin/dockerd")];
        let touched =
            EngineSigns { processes: current, started: Some(1), installed: Some(9), ..signs("28", "28") };
        assert_eq!(engine(&touched).unwrap(), RestartNeed::default());
    }

    #[test]
    fn else_versions_and_times_decide_and_nothing_is_guessed() {
        let need = engine(&signs("20.10", "26.1")).unwrap();
        assert_eq!(need.why, ["dockerd 26.1 is installed and 20.10 runs"]);
        let times = |started, installed| engine(&EngineSigns { started, installed, ..signs("28", "28") });
        assert!(times(Some(1), Some(2)).unwrap().needed, "the same version, built anew");
        assert!(!times(Some(2), Some(1)).unwrap().needed);
        assert!(times(None, Some(1)).is_err() && times(Some(1), None).is_err());
    }
}
