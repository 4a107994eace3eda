//! What the tests here need beyond the scene: the controller's process, labels, and a service that is watched.

use crate::rollout::{LONG, REPLICAS, Scene};
use careen_lab::{Fault, Output, Poll, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

pub const MANAGERS: [&str; 3] = ["n1", "n2", "n3"];

/// All that can be managers: a test may promote the worker.
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// A controller in the swarm, on the manager where its process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub node: &'static str,
    pub container: String,
    pub pid: String,
}

impl Process {
    pub fn signal(&self, scene: &Scene, signal: &str) {
        scene.sh(self.node, &format!("kill -{signal} {}", self.pid));
    }

    /// Its id, which stands in what it says first.
    pub fn id(&self, scene: &Scene) -> String {
        let said = wait_until("the controller says its id", LONG, || {
            let said = self.said(scene);
            let id =
                said.split_whitespace().find_map(|word| word.strip_prefix("controller=")).map(str::to_owned);
            Ok(id.map_or(Poll::Pending(said), Poll::Ready))
        });
        said.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What it said; a container that is gone says nothing.
    pub fn said(&self, scene: &Scene) -> String {
        let logs = scene.node(self.node).sh(&format!("docker logs {} 2>&1", self.container));
        logs.map(|output| output.stdout).unwrap_or_default()
    }
}

/// The controller of a rollout, as soon as it runs.
pub fn controller(scene: &Scene, rollout: &str) -> Process {
    let script = format!(
        "docker ps -q --no-trunc -f name=careen-controller-{rollout} | head -n1 | \
         xargs -r docker inspect -f '{{{{.Id}}}} {{{{.State.Pid}}}}'"
    );
    let found = wait_until("a controller runs", LONG, || {
        for node in NODES {
            let said = scene.node(node).sh(&script)?.stdout;
            if let Some((container, pid)) = said.trim().split_once(' ') {
                let (container, pid) = (container.to_owned(), pid.to_owned());
                return Ok(Poll::Ready(Process { node, container, pid }));
            }
        }
        Ok(Poll::Pending("none on any node".to_owned()))
    });
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// The managers that neither lead nor are asked.
pub fn followers(scene: &Scene) -> Vec<&'static str> {
    let leads = |node: &str| {
        scene.word("n1", &format!("docker node inspect {node} -f '{{{{.ManagerStatus.Leader}}}}'")) == "true"
    };
    MANAGERS.into_iter().filter(|node| *node != "n1" && !leads(node)).collect()
}

/// Who holds the lock, and its version.
pub fn lock(scene: &Scene) -> (String, u64) {
    let script = "docker config inspect careen.lock \
                  -f '{{index .Spec.Labels \"careen.holder\"}} {{.Version.Index}}'";
    let said = scene.word("n1", script);
    let (holder, version) = said.rsplit_once(' ').unwrap_or(("", &said));
    (holder.to_owned(), version.parse().unwrap_or_else(|_| panic!("no version in '{said}'")))
}

/// Waits until somebody holds the lock who is not `before`; who.
pub fn await_other_holder(scene: &Scene, before: &str) -> String {
    let other = wait_until("another controller has the lock", LONG, || {
        let (holder, version) = lock(scene);
        let other = !holder.is_empty() && holder != before;
        Ok(if other { Poll::Ready(holder) } else { Poll::Pending(format!("{holder}, version {version}")) })
    });
    other.unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until somebody holds the lock.
pub fn await_holder(scene: &Scene) -> String {
    await_other_holder(scene, "")
}

/// A node's label, or nothing.
pub fn label(scene: &Scene, node: &str, name: &str) -> String {
    scene.word("n1", &format!("docker node inspect {node} -f '{{{{index .Spec.Labels \"{name}\"}}}}'"))
}

/// Waits until the node's label says this stage. Some last a second or two: it is asked without a pause that grows.
pub fn await_stage(scene: &Scene, node: &str, stage: &str) {
    let script = format!(
        "for i in $(seq 1500); do label=$(docker node inspect {node} -f '{{{{index .Spec.Labels \"careen.node\"}}}}'); \
         case \"$label\" in *' {stage}'*) exit 0;; esac; sleep 0.1; done; echo \"$label\" >&2; exit 1"
    );
    let seen = scene.node("n1").sh(&script).and_then(Output::ok);
    seen.unwrap_or_else(|error| panic!("{node} is never {stage}: {error}"));
}

/// Waits until a manager takes part, or does not, as n1 sees it; no word stands for a worker.
pub fn await_reachability(scene: &Scene, node: &str, wanted: &str) {
    let script = format!(
        "docker node inspect {node} -f '{{{{if .ManagerStatus}}}}{{{{.ManagerStatus.Reachability}}}}{{{{end}}}}'"
    );
    let seen = wait_until(&format!("{node} is {wanted}"), LONG, || {
        let said = scene.node("n1").sh(&script)?.stdout;
        let is = said.trim() == wanted;
        Ok(if is { Poll::Ready(()) } else { Poll::Pending(said) })
    });
    seen.unwrap_or_else(|error| panic!("{error}"));
}

/// A node is as the swarm's managers see it.
pub fn await_status(scene: &Scene, node: &str, wanted: &str) {
    let script = format!("docker node inspect {node} -f '{{{{.Status.State}}}}'");
    let seen = wait_until(&format!("{node} is {wanted}"), LONG, || {
        let said = scene.node("n1").sh(&script)?.stdout;
        let is = said.trim() == wanted;
        Ok(if is { Poll::Ready(()) } else { Poll::Pending(said) })
    });
    seen.unwrap_or_else(|error| panic!("{error}"));
}

/// Nothing in Swarm moves tasks back to a node that was drained: after some tests one node has them all, and the next
/// drain would take the whole service away for a moment.
fn spread(scene: &Scene) {
    if scene.web().values().all(|tasks| *tasks <= REPLICAS / 2) {
        return;
    }
    scene.sh("n1", "docker service scale -d web=0");
    let gone = wait_until("no task of the service runs", LONG, || {
        let web = scene.web();
        Ok(if web.is_empty() { Poll::Ready(()) } else { Poll::Pending(format!("{web:?}")) })
    });
    gone.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", &format!("docker service scale -d web={REPLICAS}"));
    scene.await_web();
}

/// The service is looked at again and again, until the end of the test.
pub struct Web {
    over: Arc<AtomicBool>,
    least: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub fn watch(scene: &Scene) -> Self {
        spread(scene);
        let (over, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(REPLICAS)));
        let nodes: Vec<_> = MANAGERS.map(|name| scene.node(name).clone()).into();
        let (ends, seen) = (Arc::clone(&over), Arc::clone(&least));
        let thread = std::thread::spawn(move || {
            let list = "docker service ps web -f desired-state=running --format '{{.CurrentState}}' | grep -c ^Running";
            while !ends.load(Ordering::Relaxed) {
                let answers = nodes.iter().filter_map(|node| node.sh(list).ok());
                let counted = answers.filter(|answer| answer.stderr.is_empty());
                if let Some(count) = counted.filter_map(|answer| answer.stdout.trim().parse().ok()).next() {
                    seen.fetch_min(count, Ordering::Relaxed);
                }
                std::thread::park_timeout(std::time::Duration::from_secs(1));
            }
        });
        Self { over, least, thread: Some(thread) }
    }

    /// It was never away, and is whole again.
    pub fn assert_ran(&mut self, scene: &Scene) {
        scene.await_web();
        self.end();
        let least = self.least.load(Ordering::Relaxed);
        assert!(least > 0, "the service was away: {least} of {REPLICAS} tasks ran");
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the watcher");
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Whatever happens, the node is mended at the end of the test.
pub struct Broken<'a> {
    scene: &'a Scene,
    node: &'static str,
    mend: Fault,
}

impl<'a> Broken<'a> {
    pub fn by(scene: &'a Scene, node: &'static str, fault: Fault, mend: Fault) -> Self {
        scene.fault(node, fault);
        Self { scene, node, mend }
    }

    pub fn mend(self) {}
}

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.scene.node(self.node).fault(self.mend) {
            eprintln!("{error}");
        }
    }
}
