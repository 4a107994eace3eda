//! Nodes that are containers, on the machine's engine and kernel: hosts with systemd, and hosts with sysvinit.

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use crate::capabilities::{self, Privileges};
use crate::error::Result;
use crate::holder::{self, Holder};
use crate::identity::Identity;
use crate::image;
use crate::init::Init;
use crate::kind::{NodeKind, Parts};
use crate::names::Kind;
use crate::process;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// Both must not lie on the container's overlay, on which an engine cannot put another.
const VOLUMES: [(&str, &str); 2] = [("docker", "/var/lib/docker"), ("containerd", "/var/lib/containerd")];

/// The kinds `container` and `sysvinit`.
#[derive(Debug)]
pub struct Container {
    holder: Holder,
    init: Init,
}

impl Container {
    /// Nodes with this init, as containers of this engine.
    pub fn new(holder: Holder, init: Init) -> Container {
        Container { holder, init }
    }
}

impl NodeKind for Container {
    fn kind(&self) -> Kind {
        match self.init {
            Init::Systemd => Kind::Container,
            Init::Sysvinit => Kind::Sysvinit,
        }
    }

    fn holder(&self) -> &Holder {
        &self.holder
    }

    fn init(&self) -> Init {
        self.init
    }

    fn prepare(&self, release: &str, machine: &Arc<File>, progress: Progress) -> Result<Parts> {
        let recipe = match self.init {
            Init::Systemd => Recipe::systemd(release),
            Init::Sysvinit => Recipe::sysvinit(release),
        };
        let image = image::ensure(self.holder.docker(), &recipe, release, machine, progress)?;
        Ok(Parts { image, disk: None })
    }

    fn create(&self, node: &Identity, parts: &Parts) -> Result<()> {
        let privileges = capabilities::of_this_machine()?;
        self.holder.docker().run(run_arguments(node, self.init, &parts.image, &privileges))?;
        Ok(())
    }

    fn command(&self, node: &Identity, terminal: bool, argv: &[String]) -> Command {
        let streams = if terminal { "--interactive=true --tty=true" } else { "--interactive=true" };
        let container = holder::name(node);
        let words = ["exec"].into_iter().chain(streams.split(' ')).chain([container.as_str()]);
        self.holder.docker().command(words.chain(argv.iter().map(String::as_str)))
    }

    fn boot_id(&self, node: &Identity) -> Result<Option<String>> {
        // The file appears when the boot script is about to start init. Before that, /proc shows the machine's.
        let argv = ["cat", "/run/careen-lab/boot_id"].map(str::to_owned);
        let output = process::output(&mut self.command(node, false, &argv))?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !id.is_empty()).then_some(id))
    }
}

fn run_arguments(node: &Identity, init: Init, image: &str, privileges: &Privileges) -> Vec<String> {
    let mut words = holder::run_arguments(node, &VOLUMES);
    words.extend(
        ["--cgroupns=private", "--tmpfs=/run:exec", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec"]
            .map(str::to_owned),
    );
    words.extend(privilege_arguments(privileges));
    // What tells each init to shut down in order, for the day on which the machine's engine is stopped.
    let (signal, boot) = match init {
        Init::Systemd => ("SIGRTMIN+3", include_str!("../assets/boot.sh")),
        Init::Sysvinit => ("SIGPWR", include_str!("../assets/boot-sysvinit.sh")),
    };
    words.extend([format!("--stop-signal={signal}"), "--env=container=docker".to_owned()]);
    words.extend([image, "/bin/sh", "-c", boot].map(str::to_owned));
    words
}

fn privilege_arguments(privileges: &Privileges) -> Vec<String> {
    match privileges {
        Privileges::Full => vec!["--privileged".to_owned()],
        Privileges::Without(missing) => ["--cap-add=ALL".to_owned()]
            .into_iter()
            .chain(missing.iter().map(|name| format!("--cap-drop={name}")))
            .chain(
                ["seccomp", "systempaths", "apparmor"]
                    .map(|what| format!("--security-opt={what}=unconfined")),
            )
            .chain(["--device-cgroup-rule=a *:* rwm".to_owned()])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(init: Init, privileges: &Privileges) -> Vec<String> {
        run_arguments(&Identity::example(Kind::Container), init, "image", privileges)
    }

    #[test]
    fn privileges_where_they_work_and_their_parts_where_they_do_not() {
        let full = words(Init::Systemd, &Privileges::Full);
        assert!(full.contains(&"--privileged".to_owned()));
        let reduced = words(Init::Systemd, &Privileges::Without(vec!["SYS_RESOURCE"]));
        assert!(!reduced.contains(&"--privileged".to_owned()));
        for word in ["--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=systempaths=unconfined"] {
            assert!(reduced.contains(&word.to_owned()), "{word}");
        }
    }

    #[test]
    fn each_init_is_started_and_stopped_its_own_way() {
        let systemd = words(Init::Systemd, &Privileges::Full);
        let sysvinit = words(Init::Sysvinit, &Privileges::Full);
        assert!(systemd.contains(&"--stop-signal=SIGRTMIN+3".to_owned()));
        assert!(sysvinit.contains(&"--stop-signal=SIGPWR".to_owned()));
        // This directory is how everybody asks whether a host has systemd.
        assert!(systemd.iter().any(|word| word.contains("/run/systemd/system")));
        assert!(!sysvinit.iter().any(|word| word.contains("/run/systemd/system")));
    }
}
