//! Nodes that are virtual machines: a kernel of their own, a real boot, a real power cut.
//!
//! The emulator runs in a container like any other node's ([`Holder`]): killing that is a power cut, pausing it
//! freezes the machine, and its restart policy is what brings a rebooting machine back. `assets/vm.sh` is what runs
//! in it. The way in is ssh over a cable of its own, so that a partitioned machine can still be reached.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::disk;
use crate::error::{Error, Result};
use crate::holder::{self, Holder};
use crate::identity::Identity;
use crate::image;
use crate::init::Init;
use crate::kind::{NodeKind, Parts};
use crate::names::Kind;
use crate::process;
use crate::progress::Progress;
use crate::recipe::Recipe;

const BOOT: &str = include_str!("../assets/vm.sh");
/// In the emulator's container: the disk, the key to log in with, the reboot delay.
const STATE: &str = "/var/lib/careen-lab";
const SSH_CONFIG: &str = "/run/careen-lab/ssh_config";
/// Where the machine's resolvers are read from: the second one names those behind a resolver on this machine, to
/// which a virtual machine has no way.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Nodes of the kind `vm`: virtual machines in containers.
#[derive(Debug)]
pub struct Machine {
    holder: Holder,
}

impl Machine {
    /// Virtual machines in containers of this engine.
    pub fn new(holder: Holder) -> Machine {
        Machine { holder }
    }

    fn in_holder(&self, node: &Identity, terminal: bool, words: &[&str]) -> Command {
        let streams = if terminal { "--interactive=true --tty=true" } else { "--interactive=true" };
        let container = holder::name(node);
        let exec = ["exec"].into_iter().chain(streams.split(' ')).chain([container.as_str()]);
        self.holder.docker().command(exec.chain(words.iter().copied()))
    }
}

impl NodeKind for Machine {
    fn kind(&self) -> Kind {
        Kind::Vm
    }

    fn holder(&self) -> &Holder {
        &self.holder
    }

    fn init(&self) -> Init {
        Init::Systemd
    }

    fn boot_limit(&self) -> Duration {
        // Emulated, a boot takes a minute, and several minutes on a machine that has much else to do.
        Duration::from_secs(600)
    }

    fn prepare(&self, release: &str, machine: &Arc<File>, progress: Progress) -> Result<Parts> {
        let acceleration = acceleration()?;
        if acceleration == EMULATED {
            progress
                .say("no usable /dev/kvm: the virtual machines are emulated, a boot takes about a minute");
        }
        if nameservers().is_empty() {
            progress.say(format!(
                "no nameserver in {} that a virtual machine could reach: they will resolve no names",
                RESOLVERS.join(" and ")
            ));
        }
        let docker = self.holder.docker();
        let image = image::ensure(docker, &Recipe::emulator(), release, machine, progress)?;
        let disk = disk::ensure(docker, release, machine, progress)?;
        Ok(Parts { image, disk: Some(disk) })
    }

    fn create(&self, node: &Identity, parts: &Parts) -> Result<()> {
        let Some(disk) = &parts.disk else {
            return Err(Error::Refused(format!("{}: a virtual machine needs a disk", node.name)));
        };
        let words = run_arguments(node, &parts.image, disk, acceleration()?, &nameservers());
        self.holder.docker().run(words).map(drop)
    }

    fn command(&self, node: &Identity, terminal: bool, argv: &[String]) -> Command {
        let script = remote_script(argv);
        let mut words = vec!["ssh", "-F", SSH_CONFIG];
        words.extend(terminal.then_some("-tt"));
        words.extend(["node", "--", &script]);
        self.in_holder(node, terminal, &words)
    }

    fn outside_command(&self, node: &Identity, script: &str) -> Command {
        self.in_holder(node, false, &["sh", "-c", script])
    }

    fn boot_id(&self, node: &Identity) -> Result<Option<String>> {
        let argv = ["cat", "/proc/sys/kernel/random/boot_id"].map(str::to_owned);
        let output = process::output(&mut self.command(node, false, &argv))?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !id.is_empty()).then_some(id))
    }
}

const EMULATED: &str = "tcg,thread=multi";
const ACCELERATED: &str = "kvm";

fn acceleration() -> Result<&'static str> {
    let path = Path::new("/proc/cpuinfo");
    let cpuinfo = std::fs::read_to_string(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    Ok(choose_acceleration(&cpuinfo, Path::new("/dev/kvm").exists()))
}

/// A /dev/kvm alone does not say that it works: on a processor that offers no virtualisation (itself a guest) it
/// takes all calls, and the guest never runs its first instruction.
fn choose_acceleration(cpuinfo: &str, has_kvm: bool) -> &'static str {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let virtualises = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if has_kvm && virtualises { ACCELERATED } else { EMULATED }
}

/// Docker's own resolver is not reachable from a virtual machine: the machine's are, through its NAT.
fn nameservers() -> Vec<String> {
    let read = |path: &&str| parse_nameservers(&std::fs::read_to_string(path).unwrap_or_default());
    RESOLVERS.iter().map(read).find(|found| !found.is_empty()).unwrap_or_default()
}

fn parse_nameservers(text: &str) -> Vec<String> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver")).then(|| words.next()).flatten()?;
        let address: std::net::Ipv4Addr = address.parse().ok()?;
        (!address.is_loopback()).then(|| address.to_string())
    };
    text.lines().filter_map(address).collect()
}

fn run_arguments(
    node: &Identity,
    image: &str,
    disk: &Path,
    acceleration: &str,
    nameservers: &[String],
) -> Vec<String> {
    let mut words = holder::run_arguments(node, &[("disk", STATE)]);
    words.extend(
        ["--tmpfs=/run:exec", "--tmpfs=/tmp:exec", "--cap-add=NET_ADMIN", "--device=/dev/net/tun"]
            .map(str::to_owned),
    );
    if acceleration == ACCELERATED {
        words.push("--device=/dev/kvm".to_owned());
    }
    // The console is the container's log.
    words.extend(
        ["--log-driver=json-file", "--log-opt=max-size=8m", "--log-opt=max-file=2"].map(str::to_owned),
    );
    words.extend([
        format!("--mount=type=bind,source={},target=/base,readonly", disk.display()),
        format!("--env=CAREEN_LAB_NAME={}", node.name),
        format!("--env=CAREEN_LAB_ACCEL={acceleration}"),
        format!("--env=CAREEN_LAB_DNS={}", nameservers.join(" ")),
    ]);
    words.extend([image, "/bin/sh", "-c", BOOT].map(str::to_owned));
    words
}

/// One line for the shell that sshd starts. The trailing exit keeps that shell alive: of a command that ended by a
/// signal it makes 128 + N, where sshd would only say 255.
fn remote_script(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    format!("cd / && {}; exit $?", words.join(" "))
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_used_where_the_processor_virtualises() {
        let cpu = |flags: &str| format!("processor\t: 0\nflags\t\t: fpu {flags} sse2\nbogomips\t: 1\n");
        assert_eq!(choose_acceleration(&cpu("vmx"), true), ACCELERATED);
        assert_eq!(choose_acceleration(&cpu("svm"), true), ACCELERATED);
        assert_eq!(choose_acceleration(&cpu("vmx"), false), EMULATED);
        // Seen: a /dev/kvm that works for everything but running a guest.
        assert_eq!(choose_acceleration(&cpu("hypervisor"), true), EMULATED);
    }

    #[test]
    fn resolvers_on_this_machine_are_no_use() {
        let text = "# nameserver 192.0.2.9\nsearch example\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n\
                    nameserver fe80::1\nnameserver 192.0.2.2\n";
        assert_eq!(parse_nameservers(text), ["192.0.2.1", "192.0.2.2"]);
        assert!(parse_nameservers("").is_empty());
    }

    #[test]
    fn words_arrive_as_they_are_and_signals_become_128_and_n() {
        let words = ["printf", "<%s>", "a b", "it's", "\"q\"", "", "$HOME", "--"].map(str::to_owned);
        let run = |argv: &[String]| Command::new("bash").args(["-c", &remote_script(argv)]).output().unwrap();
        let output = run(&words);
        assert_eq!(String::from_utf8_lossy(&output.stdout), r#"<a b><it's><"q"><><$HOME><-->"#);
        let killed = run(&["sh", "-c", "kill -KILL $$"].map(str::to_owned));
        assert_eq!(killed.status.code(), Some(137));
    }

    #[test]
    fn only_an_accelerated_machine_gets_kvm() {
        let words = |acceleration| {
            run_arguments(
                &Identity::example(Kind::Vm),
                "image",
                Path::new("/base"),
                acceleration,
                &["192.0.2.1".to_owned()],
            )
        };
        assert!(words(ACCELERATED).contains(&"--device=/dev/kvm".to_owned()));
        let emulated = words(EMULATED);
        assert!(!emulated.contains(&"--device=/dev/kvm".to_owned()));
        assert!(emulated.contains(&"--env=CAREEN_LAB_DNS=192.0.2.1".to_owned()));
        assert!(emulated.contains(&"--restart=always".to_owned()));
    }

    #[test]
    fn the_boot_script_is_a_shell_script() {
        let status = Command::new("sh").args(["-n", "-c", BOOT]).status().unwrap();
        assert!(status.success());
    }
}
