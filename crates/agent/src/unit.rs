//! The supervisor as a transient systemd unit, through the host's own systemd-run.

use crate::files;
use crate::layout::TransactionDir;
use crate::signals::with_signals_unblocked;
use careen_model::TransactionId;
use careen_model::entry::Way;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a supervisor is told when it is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The transaction.
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

    /// The unit's name.
    pub fn unit(&self) -> String {
        format!("careen-{}-{}.service", self.id, self.supervision)
    }

    /// The command that starts the unit. With `over_the_bus`, systemd-run waits for the unit's end: only then does it
    /// go over the system bus, which works from another pid namespace; it may be killed once the unit runs.
    pub fn systemd_run(&self, systemd_run: &Path, way: Way, over_the_bus: bool) -> Command {
        let mut command = Command::new(systemd_run);
        with_signals_unblocked(&mut command);
        command.env_clear().env("PATH", careen_model::settings::COMMAND_PATH).env("LC_ALL", "C");
        command.args(["--quiet", "--collect", "--unit", &self.unit()]);
        command.arg(format!("--description=careen transaction {}", self.id));
        // The supervisor ends its command itself, with the command's own grace period; what a command leaves behind
        // belongs to the host.
        command.args(["--property=Type=exec", "--property=KillMode=process", "--property=TasksMax=infinity"]);
        command.arg("--property=TimeoutStopSec=infinity");
        if systemd_run_knows_oom_policy(systemd_run) {
            // A child of the command's that runs out of memory is the command's to bear: by default systemd then stops the
            // unit, and dpkg with it.
            command.arg("--property=OOMPolicy=continue");
        }
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
        command.args(self.arguments(way)).env_clear().env("PATH", careen_model::settings::COMMAND_PATH);
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

/// The first systemd that has `OOMPolicy=`; older ones refuse a unit with it, and let it live on anyway.
const OOM_POLICY_SINCE: u32 = 243;

fn systemd_run_knows_oom_policy(systemd_run: &Path) -> bool {
    let mut command = Command::new(systemd_run);
    command.arg("--version").env_clear().env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let answer = with_signals_unblocked(&mut command).output();
    answer.is_ok_and(|answer| knows_oom_policy(&String::from_utf8_lossy(&answer.stdout)))
}

/// `systemd 252 (252.38-1~deb12u1)` is how it begins.
fn knows_oom_policy(version: &str) -> bool {
    let digits = |word: &str| word.chars().take_while(char::is_ascii_digit).collect::<String>();
    let number = version.strip_prefix("systemd ").and_then(|rest| digits(rest).parse::<u32>().ok());
    number.is_some_and(|number| number >= OOM_POLICY_SINCE)
}

/// The host's systemd-run, if systemd is its PID 1 (sd_booted(3)) and it has one.
pub fn find_systemd_run() -> Result<PathBuf, String> {
    if !files::is_directory("/run/systemd/system") {
        return Err("systemd is not this host's PID 1".into());
    }
    let candidates = ["/usr/bin/systemd-run", "/bin/systemd-run"].map(PathBuf::from);
    candidates
        .into_iter()
        .find(|path| files::is_file(path))
        .ok_or_else(|| "the host has no systemd-run".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_systemd_that_does_not_know_the_oom_policy_is_not_given_it() {
        for (version, knows) in [
            ("systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT\n", true),
            ("systemd 243\n+PAM\n", true),
            ("systemd 258~rc1 (258~rc1-1)\n", true),
            ("systemd 241 (241)\n", false),
            ("systemd 219\n", false),
            ("", false),
        ] {
            assert_eq!(knows_oom_policy(version), knows, "{version:?}");
        }
    }
}
