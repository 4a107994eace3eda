//! Ansible as a contender: its newest core in a virtual environment, with what makes it fast (pipelining, kept connections, as
//! many forks as there are hosts, no facts).

use crate::clock::{BEGIN, Timed, time};
use crate::error::{Error, Result};
use crate::ssh::Ssh;
use crate::work::Work;
use careen_lab::{Node, Progress};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The most that one run of it may take.
const LIMIT: Duration = Duration::from_secs(900);

/// The name of the hosts' group in the inventory.
pub const GROUP: &str = "hosts";

/// Ansible on this machine, and the hosts that it knows.
#[derive(Debug, Clone)]
pub struct Ansible {
    programs: PathBuf,
    inventory: PathBuf,
    configuration: PathBuf,
    /// What it says it is.
    pub version: String,
}

impl Ansible {
    /// Installs it where it is missing, and makes the hosts ready for it: they need Python.
    pub fn to(
        hosts: &[&Node],
        manager: &Node,
        ssh: &Ssh,
        work: &Work,
        progress: Progress,
    ) -> Result<Ansible> {
        let programs = installed(&work.lasting("venv"), progress)?;
        progress.say("Python on each host, for Ansible");
        let all: Vec<&Node> = hosts.iter().copied().chain([manager]).collect();
        time("the installation of Python", LIMIT, &mut ssh.everywhere(&all, PYTHON))?;
        let version = said(Command::new(programs.join("ansible")).arg("--version"))?;
        let version = version.lines().next().unwrap_or_default().replace(['[', ']'], "");
        let inventory = work.write("hosts.ini", &inventory(hosts, manager, ssh), 0o600)?;
        let configuration = work.write("ansible.cfg", &configuration(hosts.len(), ssh), 0o600)?;
        Ok(Ansible { programs, inventory, configuration, version })
    }

    /// One module on all hosts, without a playbook.
    pub fn ad_hoc(&self, what: &str, module: &str, arguments: &str) -> Result<Timed> {
        self.time(what, "ansible", &[GROUP, "-m", module, "-a", arguments])
    }

    /// A playbook.
    pub fn play(&self, what: &str, playbook: &Path) -> Result<Timed> {
        self.time(what, "ansible-playbook", &[&playbook.to_string_lossy()])
    }

    fn time(&self, what: &str, program: &str, arguments: &[&str]) -> Result<Timed> {
        let program = self.programs.join(program);
        let inventory = self.inventory.to_string_lossy().into_owned();
        let mut command = Command::new("bash");
        command.args(["-c", &format!("echo {BEGIN}; exec \"$@\""), "bench"]).arg(&program);
        command.args(["-i", &inventory]).args(arguments);
        command.env("ANSIBLE_CONFIG", &self.configuration).env("PYTHONUNBUFFERED", "1");
        command.env("ANSIBLE_NOCOLOR", "1");
        time(what, LIMIT, &mut command)
    }
}

/// From the hosts' own mirror, with the module that its module `apt` wants.
const PYTHON: &str = "dpkg-query --show python3-apt >/dev/null 2>&1 && exit 0
apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends python3-apt >/dev/null";

/// The directory of its programs, in a virtual environment that stays from one run to the next.
fn installed(venv: &Path, progress: Progress) -> Result<PathBuf> {
    let programs = venv.join("bin");
    if said(Command::new(programs.join("ansible-playbook")).arg("--version")).is_ok() {
        return Ok(programs);
    }
    progress.say("installing ansible-core into a virtual environment");
    said(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
    said(Command::new(programs.join("pip")).args(["install", "--quiet", "ansible-core"]))?;
    Ok(programs)
}

fn said(command: &mut Command) -> Result<String> {
    let what = command.get_program().to_string_lossy().into_owned();
    let told = command.output().map_err(|source| Error::Spawn { what: what.clone(), source })?;
    if told.status.success() {
        return Ok(String::from_utf8_lossy(&told.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&told.stderr);
    let last = error.trim().lines().last().unwrap_or_default().to_owned();
    Err(Error::Failed { what, status: told.status.to_string(), last })
}

fn inventory(hosts: &[&Node], manager: &Node, ssh: &Ssh) -> String {
    let line = |node: &Node| format!("{} ansible_host={}\n", node.name(), node.ip());
    let mut text = format!("[{GROUP}]\n");
    hosts.iter().for_each(|node| text += &line(node));
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "\n[manager]\n{}\n[all:vars]\nansible_user=root\nansible_ssh_private_key_file={}\n\
         ansible_python_interpreter=/usr/bin/python3\n",
        line(manager),
        ssh.key().display()
    );
    text
}

fn configuration(forks: usize, ssh: &Ssh) -> String {
    format!(
        "[defaults]\nforks = {forks}\nhost_key_checking = False\ngathering = explicit\n\n\
         [ssh_connection]\npipelining = True\nssh_args = {}\n",
        ssh.options()
    )
}
