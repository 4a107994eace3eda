//! The supervisor as a transient systemd unit, through the host's own systemd-run.

use crate::layout::{self, TransactionDir};
use crate::signals::with_signals_unblocked;
use crate::{durable, files, tool};
use careen_contract::TransactionId;
use careen_contract::entry::Way;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a supervisor is told when it is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub id: TransactionId,
    /// How many supervisions the transaction had, and one: makes the unit's name unique.
    pub supervision: usize,
    /// The supervisor's binary on the host.
    pub binary: PathBuf,
    /// The agent of a rollout whose go it carries.
    pub go: Option<u32>,
}

impl Launch {
    /// The supervisor's command line.
    pub fn arguments(&self, way: Way) -> Vec<String> {
        let words = ["supervise".to_owned(), way.to_string(), self.id.to_string()];
        words.into_iter().chain(self.go.map(|agent| agent.to_string())).collect()
    }

    pub fn unit(&self) -> String {
        format!("careen-{}-{}.service", self.id, self.supervision)
    }

    /// The command that starts the unit. With `over_the_bus`, systemd-run waits for the unit's end: only then does it
    /// go over the system bus, which works from another pid namespace; it may be killed once the unit runs.
    pub fn systemd_run(&self, systemd_run: &Path, way: Way, over_the_bus: bool) -> Command {
        let mut command = Command::new(systemd_run);
        with_signals_unblocked(&mut command);
        command.env_clear().env("PATH", careen_contract::settings::COMMAND_PATH).env("LC_ALL", "C");
        command.args(["--quiet", "--unit", &self.unit()]);
        command.arg(format!("--description=careen transaction {}", self.id));
        command.args(known(systemd_version(systemd_run)));
        if over_the_bus {
            command.arg("--wait");
        }
        command.arg("--").arg(&self.binary).args(self.arguments(way));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// The command that starts the supervisor without systemd: a session of its own, what it says in a file.
    pub fn plain(&self, way: Way, directory: &TransactionDir) -> std::io::Result<Command> {
        use std::os::unix::process::CommandExt;
        let mut options = files::OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let log = options.open(directory.file("supervisor.log"))?;
        let mut command = Command::new(&self.binary);
        command.args(self.arguments(way)).env_clear().env("PATH", careen_contract::settings::COMMAND_PATH);
        command
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(log.try_clone()?))
            .stderr(OwnedFd::from(log))
            .current_dir("/");
        // SAFETY: setsid is async-signal-safe.
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into));
        }
        with_signals_unblocked(&mut command);
        Ok(command)
    }
}

/// What is asked for in a unit, the first systemd that knows it (its NEWS), and what takes its place before that. One that does
/// not know a word refuses the whole unit.
const ASKED: [(&str, u32, Option<&str>); 6] = [
    // Nothing of a unit that failed stays behind.
    ("--collect", 236, None),
    // systemd-run says so when the program cannot be executed; without it, the unit's end does.
    ("--property=Type=exec", 240, Some("--property=Type=simple")),
    // The supervisor ends its command itself, with the command's own grace period; what a command leaves behind belongs to the
    // host.
    ("--property=KillMode=process", 0, None),
    ("--property=TasksMax=infinity", 228, None),
    ("--property=TimeoutStopSec=infinity", 229, Some("--property=TimeoutStopSec=0")),
    // A child of the command's that runs out of memory is the command's to bear: by default systemd then stops the unit, and dpkg
    // with it. Before it had the choice it did not.
    ("--property=OOMPolicy=continue", 243, None),
];

/// What a systemd of this version is asked for; of one that does not tell its version, what every one knows.
fn known(version: Option<u32>) -> impl Iterator<Item = &'static str> {
    let version = version.unwrap_or_default();
    ASKED
        .iter()
        .filter_map(move |(asked, since, before)| if version >= *since { Some(*asked) } else { *before })
}

/// The version of the host's systemd, as its systemd-run tells it. It is asked once in a boot, as long as it stays the same file: each
/// answer takes as long as the start of a unit.
pub fn systemd_version(systemd_run: &Path) -> Option<u32> {
    told_once(systemd_run, Path::new(layout::SYSTEMD_RUN))
}

fn told_once(systemd_run: &Path, memory: &Path) -> Option<u32> {
    let state = tool::file_state(systemd_run);
    let known = || {
        let text = files::read_to_string(memory).ok()?;
        let (version, of) = text.split_once('\n')?;
        (Some(of) == state.as_deref()).then(|| version.parse().ok()).flatten()
    };
    known().or_else(|| {
        let version = ask_version(systemd_run)?;
        if let Some(state) = &state {
            // Best effort: where it is not kept it is asked again.
            let _ = durable::replace_unsynced(memory, 0o600, format!("{version}\n{state}").as_bytes());
        }
        Some(version)
    })
}

fn ask_version(systemd_run: &Path) -> Option<u32> {
    let mut command = Command::new(systemd_run);
    command.arg("--version").env_clear().env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let answer = with_signals_unblocked(&mut command).output().ok()?;
    version_of(&String::from_utf8_lossy(&answer.stdout))
}

/// `systemd 252 (252.38-1~deb12u1)` is how it begins.
fn version_of(answer: &str) -> Option<u32> {
    let digits = |word: &str| word.chars().take_while(char::is_ascii_digit).collect::<String>();
    answer.strip_prefix("systemd ").and_then(|rest| digits(rest).parse().ok())
}

/// Why a host starts no units for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSystemd {
    /// Another init runs.
    #[error("systemd is not this host's PID 1")]
    NotPidOne,
    /// systemd runs, and its tool is not there.
    #[error("the host has no systemd-run")]
    NoTool,
}

/// The host's systemd-run, if systemd is its PID 1 (sd_booted(3)) and it has one.
pub fn find_systemd_run() -> Result<PathBuf, NoSystemd> {
    if !files::is_directory("/run/systemd/system") {
        return Err(NoSystemd::NotPidOne);
    }
    let candidates = ["/usr/bin/systemd-run", "/bin/systemd-run"].map(PathBuf::from);
    candidates.into_iter().find(|path| files::is_file(path)).ok_or(NoSystemd::NoTool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_systemd_tells_its_version() {
        for (answer, version) in [
            ("systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT\n", Some(252)),
            ("systemd 243\n+PAM\n", Some(243)),
            ("systemd 258~rc1 (258~rc1-1)\n", Some(258)),
            ("systemd 219\n", Some(219)),
            ("", None),
        ] {
            assert_eq!(version_of(answer), version, "{answer:?}");
        }
    }

    /// One word that a systemd does not know, and it refuses the unit.
    #[test]
    fn a_systemd_is_asked_for_what_it_knows() {
        let asked =
            |version| known(version).map(|word| word.trim_start_matches("--property=")).collect::<Vec<_>>();
        let (kill, tasks, stop) = ("KillMode=process", "TasksMax=infinity", "TimeoutStopSec=infinity");
        for (version, expected) in [
            (Some(252), vec!["--collect", "Type=exec", kill, tasks, stop, "OOMPolicy=continue"]),
            (Some(241), vec!["--collect", "Type=exec", kill, tasks, stop]),
            (Some(239), vec!["--collect", "Type=simple", kill, tasks, stop]),
            (Some(232), vec!["Type=simple", kill, tasks, stop]),
            (Some(219), vec!["Type=simple", kill, "TimeoutStopSec=0"]),
            (None, vec!["Type=simple", kill, "TimeoutStopSec=0"]),
        ] {
            assert_eq!(asked(version), expected, "{version:?}");
        }
    }

    #[test]
    fn a_systemd_tells_its_version_once() {
        let directory = tempfile::tempdir().unwrap();
        let (program, memory) = (directory.path().join("systemd-run"), directory.path().join("memory"));
        let is = |version: u32| {
            let count = directory.path().join("asked").display().to_string();
            let script = format!("#!/bin/sh\necho x >> {count}\necho 'systemd {version} (x)'\n");
            careen_testing::program(&program, script);
        };
        let asked =
            || std::fs::read_to_string(directory.path().join("asked")).unwrap_or_default().lines().count();
        is(252);
        assert_eq!((told_once(&program, &memory), asked()), (Some(252), 1));
        assert_eq!((told_once(&program, &memory), asked()), (Some(252), 1));
        is(1257);
        assert_eq!((told_once(&program, &memory), asked()), (Some(1257), 2), "another file");
        std::fs::write(&memory, "\0").unwrap();
        assert_eq!((told_once(&program, &memory), asked()), (Some(1257), 3), "a damaged memory");
        let nowhere = directory.path().join("no/memory");
        assert_eq!((told_once(&program, &nowhere), asked()), (Some(1257), 4));
    }

    #[test]
    fn a_unit_is_asked_for_with_what_the_version_knows() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory.path().join("systemd-run");
        careen_testing::program(&old, "#!/bin/sh\necho 'systemd 239 (239-82.el8)'\n");
        let id = TransactionId::parse("t1").unwrap();
        let launch = Launch { id, supervision: 1, binary: "/x".into(), go: None };
        let command = launch.systemd_run(&old, Way::Systemd, true);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.contains(&"--property=Type=simple".to_owned()), "{words:?}");
        assert!(words.contains(&"--wait".to_owned()) && !words.iter().any(|word| word.contains("OOMPolicy")));
    }
}
