//! The lab of these tests, its hosts, and services that are pinned to one of them.

use super::image::{File, Image, base};
use super::leaks::leaks;
use careen_lab::{Docker, Lab, Node, Poll, Progress, Spec, wait_until};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

/// Two runs side by side need a name each, in `CAREEN_TEST_LAB`.
const LAB: &str = "hosts";
/// Where machines are emulated a kernel upgrade takes minutes, and more on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(20 * 60);

/// One manager, one host without systemd, one virtual machine.
fn lab() -> &'static Lab {
    static LAB_UP: OnceLock<Lab> = OnceLock::new();
    LAB_UP.get_or_init(|| {
        let name = std::env::var("CAREEN_TEST_LAB");
        let mut spec = Spec::new(name.as_deref().unwrap_or(LAB).parse().expect("a lab's name"));
        (spec.managers, spec.workers, spec.sysvinit, spec.vms) = (Some(1), Some(0), Some(1), Some(1));
        let lab = Lab::up(&spec, Progress::shown()).expect("the lab comes up");
        lab.load(base(), Progress::shown()).expect("the image under test is loaded");
        lab
    })
}

/// A host of the lab, for one test alone. When the test ends, careen must have left nothing on it.
pub struct Host {
    node: &'static Node,
    since: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// The host without systemd.
pub fn sysvinit() -> Host {
    static ALONE: Mutex<()> = Mutex::new(());
    Host::new("n2", &ALONE)
}

/// The virtual machine.
pub fn vm() -> Host {
    static ALONE: Mutex<()> = Mutex::new(());
    Host::new("n3", &ALONE)
}

/// The manager of the swarm.
fn manager() -> &'static Node {
    lab().node("n1").expect("n1 is the manager")
}

impl Host {
    fn new(name: &str, alone: &'static Mutex<()>) -> Self {
        // A test that failed while it had the host must not fail the others.
        let alone = alone.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let node = lab().node(name).expect("the lab has this host");
        let host = Self { node, since: Instant::now(), _alone: alone };
        host.must("rm -f /var/tmp/careen-test-runs /run/careen-test-go");
        host
    }

    /// Runs a script on the host; it must succeed. Returns what it printed.
    #[track_caller]
    pub fn must(&self, script: &str) -> String {
        let ran = self.sh(script).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("on {}: {error}", self.name()))
    }

    /// An image of which `install` is this script, on this host's engine.
    pub fn script(&self, install: &str) -> Image {
        Image::build(
            self,
            "FROM careen/installer\nCOPY install /install\n",
            &[File::script("install", install)],
        )
    }

    /// The id of the newest transaction.
    pub fn last_transaction(&self) -> String {
        self.must("careen-agent list | tail -n 1 | cut -d' ' -f1").trim().to_owned()
    }

    /// The line of a transaction in the list.
    pub fn listed(&self, id: &str) -> String {
        // A host on its way down or up answers nothing: not yet.
        let list = self.sh("careen-agent list").map(|output| output.stdout).unwrap_or_default();
        list.lines().find(|line| line.starts_with(id)).unwrap_or_default().to_owned()
    }

    /// What the command wrote to its standard output, as the host keeps it.
    pub fn log(&self, id: &str) -> String {
        self.must(&format!("careen-agent logs {id} 2>/dev/null"))
    }

    /// The process of the running engine.
    pub fn engine_pid(&self) -> String {
        self.must("cat /run/docker.pid").trim().to_owned()
    }

    /// How often the command of this test was run.
    pub fn runs(&self) -> usize {
        self.must("cat /var/tmp/careen-test-runs").lines().count()
    }

    /// Whether this text is on the disk of a virtual machine, in files or in blocks that were freed.
    pub fn disk_holds(&self, text: &str) -> bool {
        let container = format!("careen-{}-{}", lab().name(), self.name());
        let words = ["exec", &container, "grep", "-qaF", "-e", text, "/var/lib/careen-lab/disk.img"];
        let output = Docker::local().without_limit().output(words).expect("docker is installed");
        match output.status.code() {
            Some(0) => true,
            Some(1) => false,
            other => panic!("grep: {other:?}: {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

impl Deref for Host {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let leaks = if failed { String::new() } else { leaks(self) };
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        eprintln!("--- {test}: {:.0} s on {}", self.since.elapsed().as_secs_f32(), self.name());
        assert!(leaks.is_empty(), "careen left on {}:\n{leaks}", self.name());
    }
}

/// A service with one task, on one host. It goes when the test ends.
pub struct Service {
    name: &'static str,
}

impl Service {
    /// As an operator types it.
    #[track_caller]
    pub fn create(name: &'static str, host: &Host, options: &[&str], image: &Image) -> Self {
        let constraint = format!("--constraint=node.hostname=={}", host.name());
        let fixed = ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name];
        let pinned = [constraint.as_str(), "--mount", "type=bind,source=/,target=/host"];
        docker(&[&fixed[..], &pinned, options, &[image.name()]].concat());
        Self { name }
    }

    /// Waits until a task has come to this state with this exit code, and returns its id.
    pub fn await_task(&self, state: &str, code: &str) -> String {
        let wanted = format!(" {state} {code}");
        eventually(&format!("a task of {}:{wanted}", self.name), || {
            let tasks = self.tasks();
            let found = tasks.iter().find_map(|task| task.strip_suffix(&wanted));
            found.map(str::to_owned).ok_or_else(|| tasks.join("\n"))
        })
    }

    /// All tasks: id, state, exit code.
    fn tasks(&self) -> Vec<String> {
        let format = "{{.ID}} {{.Status.State}} {{with .Status.ContainerStatus}}{{.ExitCode}}{{end}}";
        let ids = docker(&["service", "ps", "--quiet", "--no-trunc", self.name]);
        let inspect = ["inspect", "--type", "task", "--format", format];
        let words: Vec<&str> = inspect.into_iter().chain(ids.lines()).collect();
        if ids.is_empty() { Vec::new() } else { docker(&words).lines().map(str::to_owned).collect() }
    }

    /// What a task printed, the command's standard output and what the agent said.
    pub fn logs(task: &str) -> (String, String) {
        let ran = manager().docker(["service", "logs", "--raw", task]).expect("docker");
        (ran.stdout, ran.stderr)
    }

    /// Waits until the agent of the newest task has said this.
    pub fn await_said(&self, text: &str) {
        eventually(&format!("{text:?} in the log of {}", self.name), || {
            let (_, said) = Self::logs(self.name);
            if said.contains(text) { Ok(()) } else { Err(said) }
        });
    }

    /// Asks for another task, as docs/operations.md says.
    pub fn ask_again(&self) {
        let again = ["--update-failure-action=continue", "--force", self.name];
        docker(&[&["service", "update", "--detach", "--quiet"][..], &again].concat());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = manager().docker(["service", "rm", self.name]);
    }
}

/// A secret of the swarm. It goes when the test ends.
pub struct Secret(&'static str);

impl Secret {
    /// A secret with this content.
    pub fn create(name: &'static str, content: &str) -> Self {
        let made = manager().sh(&format!("printf '{content}' | docker secret create {name} -"));
        made.and_then(careen_lab::Output::ok).expect("the secret is created");
        Self(name)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = manager().docker(["secret", "rm", self.0]);
    }
}

#[track_caller]
fn docker(words: &[&str]) -> String {
    let ran = manager().docker(words).and_then(careen_lab::Output::ok);
    ran.unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until `probe` gives a value; panics with the last thing it saw. `Err` means 'not yet, I see this'.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let found = wait_until(what, DEADLINE, || Ok(probe().map_or_else(Poll::Pending, Poll::Ready)));
    found.unwrap_or_else(|error| panic!("{error}"))
}
