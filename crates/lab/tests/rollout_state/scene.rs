//! A lab of one manager and one worker, an image that only waits, and a swarm without any state of careen's.

use careen_lab::{Docker, Fault, Lab, Node, Poll, Progress, Role, Spec as LabSpec, wait_until};
use careen_planner::cluster::{ActError, Cluster};
use careen_planner::observed::{Draw, Expectation, Said};
use careen_planner::spec::RebootPolicy;
use careen_planner::{
    Act, Action, AgentSpec, ControllerId, JobKey, JobRole, NodeId, Observed, RolloutId, Spec,
};
use careen_swarm::{Swarm, SwarmCluster};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Another name than the shared lab's, so that both can be tested at once; `CAREEN_TEST_LAB` names it too.
const LAB: &str = "rollout";

/// What stands in for careen's image: an agent that reports and waits, and a gate. Its draw is always the same. With the
/// command `wait-for-the-go` it does what its name says, and then its work.
pub const IMAGE: &str = "careen-test:rollout-state-gates";

/// Built of the host's own shell, so that nothing has to be downloaded.
const BUILD: &str = r#"
set -e
docker image inspect careen-test:rollout-state-gates >/dev/null 2>&1 && exit 0
dir=$(mktemp -d); cd $dir; mkdir bin
programs="/bin/sh /bin/sleep /usr/sbin/chroot"
for file in $(ldd $programs | grep -o '/[^ :]*' | sort -u) $programs; do
    mkdir -p .$(dirname $file); cp -L $file .$file
done
cat > careen-agent <<'END'
#!/bin/sh
trap 'exit 0' TERM
say() { echo "careen-report $1" >&2; }
gate() { test -n "$(chroot /host docker ps -q --filter label=com.docker.swarm.service.name=$CAREEN_GATE$1)"; }
prepared() { say '{"phase":"prepared","restart":"unknown","draw":{"number":0,"gates":[2,5]}}'; }
echo out
test "$1" = gate || test "$2" = wait-for-the-go || prepared
finished() { say '{"phase":"finished","outcome":{"kind":"succeeded"}}'; exit 0; }
test "$CAREEN_COLLECT" != 1 || finished
if [ "$2" = wait-for-the-go ]; then
    for number in 1 2 3 4 5 6; do until gate $number; do sleep 0.2; done; done
    prepared
    while gate 2 || gate 5; do sleep 0.2; done
    say '{"phase":"running","attempt":1}'
    chroot /host sh -c 'echo run >> /run/careen-test-runs'
    finished
fi
while :; do sleep 0.2; done
END
chmod 755 careen-agent
tar -c . | docker import - careen-test:rollout-state-gates >/dev/null
rm -rf $dir
"#;

/// Takes away whatever a test left, its own tasks' containers too: `service rm` of a job leaves them on old engines.
const RESET: &str = r#"
for label in careen.role careen.test; do docker service ls -q --filter label=$label | xargs -r docker service rm; done
docker config ls -q --filter name=careen. | xargs -r docker config rm
for node in $(docker node ls -q); do
    set -- --availability active
    for label in $(docker node inspect -f '{{range $name, $_ := .Spec.Labels}}{{$name}} {{end}}' $node); do
        set -- "$@" --label-rm $label
    done
    docker node update "$@" $node
done
"#;

/// The engine takes away the same containers meanwhile: what counts is that none is left.
const CONTAINERS: &str = "docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1; docker ps -aq";

const DEADLINE: Duration = Duration::from_secs(60);

/// The lab, for one test alone.
pub struct Scene {
    lab: &'static Lab,
    worker: NodeId,
    old_tasks: BTreeSet<String>,
    _alone: MutexGuard<'static, ()>,
}

fn lab() -> &'static Lab {
    static LAB_UP: OnceLock<Lab> = OnceLock::new();
    LAB_UP.get_or_init(|| {
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| LAB.to_owned());
        let mut spec = LabSpec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(1), Some(1));
        let lab = Lab::up(&spec, Progress::shown()).expect("the lab");
        lab.nodes().iter().for_each(|node| must(node, BUILD));
        lab
    })
}

fn must(node: &Node, script: &str) {
    let ran = node.sh(script).and_then(careen_lab::Output::ok);
    ran.unwrap_or_else(|error| panic!("on {}: {error}", node.name()));
}

fn remove_containers(node: &Node) {
    let probe = || {
        let left = node.sh(CONTAINERS)?.ok()?;
        Ok(if left.is_empty() { Poll::Ready(()) } else { Poll::Pending(left) })
    };
    wait_until("no container", DEADLINE, probe).unwrap_or_else(|error| panic!("{error}"));
}

impl Scene {
    pub fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = lab();
        let mut scene =
            Self { lab, worker: NodeId(String::new()), old_tasks: BTreeSet::new(), _alone: alone };
        scene.sh(RESET);
        lab.nodes().iter().for_each(remove_containers);
        let workers = scene.docker(&["node", "ls", "-q", "--filter", "role=worker"]);
        scene.worker = NodeId(workers.trim().to_owned());
        scene.old_tasks = scene.tasks_of_careen();
        scene
    }

    fn manager(&self) -> &Node {
        self.lab.nodes().iter().find(|node| node.role() == Role::Manager).expect("a manager")
    }

    /// The worker's id.
    pub fn worker(&self) -> NodeId {
        self.worker.clone()
    }

    /// The manager's id.
    pub fn manager_id(&self) -> NodeId {
        NodeId(self.docker(&["node", "ls", "-q", "--filter", "role=manager"]).trim().to_owned())
    }

    /// A script on the manager; it must succeed.
    pub fn sh(&self, script: &str) {
        must(self.manager(), script);
    }

    /// `docker` on the manager; it must succeed.
    pub fn docker(&self, args: &[&str]) -> String {
        let ran = self.manager().docker(args).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the manager's engine answers to a request, as it comes.
    pub fn post(&self, path: &str, body: &str) -> String {
        let mut engine = UnixStream::connect(self.socket()).expect("the engine's socket");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        engine.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        engine.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// The manager's own socket, seen from the machine.
    fn socket(&self) -> PathBuf {
        let container = format!("careen-{}-{}", self.lab.name(), self.manager().name());
        let pid =
            Docker::local().run(["inspect", "--format", "{{.State.Pid}}", &container]).expect("inspected");
        PathBuf::from(format!("/proc/{}/root/run/docker.sock", pid.trim()))
    }

    pub fn swarm(&self) -> Swarm {
        Swarm::connect_to(&self.socket()).expect("a manager")
    }

    pub fn controller(&self, name: &str) -> SwarmCluster {
        SwarmCluster::new(self.swarm(), spec("k3x9"), ControllerId(name.into()), None)
    }

    /// A controller that has the lock, under epoch 1.
    pub fn leader(&self, name: &str) -> SwarmCluster {
        let mut controller = self.controller(name);
        self.do_as(&mut controller, 1, Action::TakeLock { epoch: 1, version: None }).expect("taken");
        controller
    }

    pub fn do_as(&self, controller: &mut SwarmCluster, epoch: u64, action: Action) -> Result<(), ActError> {
        controller.act(&Act { epoch, action })
    }

    /// Stops every process of the worker where it stands, until what is returned is dropped.
    pub fn freeze_worker(&self) -> impl Drop {
        struct Thaw(&'static Node);
        impl Drop for Thaw {
            fn drop(&mut self) {
                // A test that failed must not be hidden by this.
                let thawed = self.0.fault(Fault::Thaw);
                assert!(std::thread::panicking() || thawed.is_ok(), "{thawed:?}");
            }
        }
        let worker = self.worker_node();
        worker.fault(Fault::Freeze).expect("frozen");
        Thaw(worker)
    }

    fn worker_node(&self) -> &'static Node {
        self.lab.nodes().iter().find(|node| node.role() == Role::Worker).expect("a worker")
    }

    /// What a script prints on each host, the manager first.
    pub fn on_each(&self, script: &str) -> Vec<String> {
        let run = |node: &Node| node.sh(script).and_then(careen_lab::Output::ok).expect("a script");
        self.lab.nodes().iter().map(|node| run(node).trim().to_owned()).collect()
    }

    /// Looks until it is so.
    pub fn await_seen(
        &self,
        controller: &mut SwarmCluster,
        what: &str,
        so: impl Fn(&Observed) -> bool,
    ) -> Observed {
        let probe = || {
            let seen = controller.observe().expect("seen");
            Ok(if so(&seen) { Poll::Ready(seen) } else { Poll::Pending(format!("{seen:#?}")) })
        };
        wait_until(what, DEADLINE, probe).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until these services, and no others, have a container on the worker.
    pub fn await_containers(&self, node: &NodeId, services: &[&str]) {
        let worker = self.worker_node();
        let format = "{{.Label \"com.docker.swarm.service.name\"}}";
        let mut expected: Vec<&str> = services.to_vec();
        expected.sort_unstable();
        let probe = || {
            let filter = format!("label=com.docker.swarm.node.id={node}");
            let listed = worker.docker(["ps", "--filter", &filter, "--format", format])?.ok()?;
            let mut found: Vec<&str> = listed.lines().collect();
            found.sort_unstable();
            Ok(if found == expected { Poll::Ready(()) } else { Poll::Pending(listed) })
        };
        let what = format!("the containers of {expected:?}");
        wait_until(&what, DEADLINE, probe).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until the swarm remembers no task of careen's services: none that runs, and none that waits for a place.
    /// What an earlier test left when it failed does not count: an engine before 23.0.2 never forgets it.
    pub fn await_no_tasks(&self) {
        let probe = || {
            let left: Vec<String> = self.tasks_of_careen().difference(&self.old_tasks).cloned().collect();
            Ok(if left.is_empty() { Poll::Ready(()) } else { Poll::Pending(left.join(" ")) })
        };
        wait_until("no task of careen's", DEADLINE, probe).unwrap_or_else(|error| panic!("{error}"));
    }

    fn tasks_of_careen(&self) -> BTreeSet<String> {
        let engine = careen_engine::Engine::connect_to(&self.socket()).expect("the engine");
        let tasks: Vec<serde_json::Value> =
            engine.get(&careen_engine::ApiPath::all(careen_engine::Kind::Tasks)).expect("tasks");
        let role = "/Spec/ContainerSpec/Labels/careen.role";
        let ours = tasks.iter().filter(|task| task.pointer(role).is_some());
        ours.map(|task| task["ID"].to_string()).collect()
    }
}

/// What its agent says while it waits.
pub fn prepared() -> Said {
    Said::Prepared { restart: Expectation::Unknown, draw: Draw { number: 0, gates: [2, 5] } }
}

/// A rollout of the image that only waits.
pub fn spec(id: &str) -> Spec {
    Spec::run(RolloutId::parse(id).expect("an id"), IMAGE)
}

pub fn key(node: &NodeId, role: JobRole) -> JobKey {
    JobKey { rollout: spec("k3x9").id, node: node.clone(), generation: 1, agent: 2, role }
}

pub fn agent(node: &NodeId) -> AgentSpec {
    AgentSpec {
        on: None,
        key: key(node, JobRole::Agent),
        rollout: spec("k3x9").id,
        image: IMAGE.into(),
        payload: None,
        command: "install".into(),
        args: vec!["a b".into()],
        short: false,
        gates: careen_planner::ids::GATES,
        collects: false,
        reboot: RebootPolicy::Asked,
        engine_restart: true,
        rollback: false,
        time_limit: None,
        unlock_key: None,
        unlock_by_hand: false,
        allow_unfit: false,
    }
}
