//! What is said on a host and about it while something happens. A container's log goes with the container, so it is listened to
//! from the beginning.

use crate::rollout::Scene;
use serde_json::Value;

/// Where the logs of a host's agents are kept, by container.
const KEPT: &str = "/run/careen-ears";

/// Listens to every agent of the host from its start on; ends within seconds when its directory is gone. The engine tells of each
/// start, so that nothing asks it over and over; that ends with the engine, or after a while, and begins anew.
const LISTEN: &str = "
rm -rf /run/careen-ears; mkdir /run/careen-ears
setsid sh -c '
    hear() { [ -e /run/careen-ears/$1 ] || { : >/run/careen-ears/$1; docker logs -f $1 >/run/careen-ears/$1 2>&1 & }; }
    while [ -d /run/careen-ears ]; do
        since=$(date +%s)
        # Of one that is only created there is no log yet, and whoever follows that is through at once.
        for c in $(docker ps -aq --no-trunc -f label=careen.role=agent -f status=running -f status=exited 2>/dev/null); do
            hear $c
        done
        timeout 10 docker events --since $since --format \"{{.Actor.ID}}\" \\
            --filter type=container --filter event=start --filter label=careen.role=agent 2>/dev/null |
            while read -r c; do hear $c; done
        sleep 0.2
    done' </dev/null >/dev/null 2>&1 &
";

/// The prefix of a report to the controller.
const REPORT: &str = "careen-report ";

/// Listens on one node.
#[derive(Debug)]
pub struct Ears(&'static str);

impl Ears {
    pub fn on(scene: &Scene, node: &'static str) -> Self {
        scene.sh(node, LISTEN);
        Self(node)
    }

    pub fn close(&self, scene: &Scene) {
        if let Err(error) = scene.node(self.0).sh(&format!("rm -rf {KEPT}")) {
            eprintln!("{error}");
        }
    }

    /// All that this agent has said, its reports among it.
    pub fn heard(&self, scene: &Scene, agent: &str) -> String {
        scene.sh(self.0, &format!("cat {KEPT}/{agent} 2>/dev/null || :"))
    }

    /// Its reports, the first one first.
    pub fn reports(&self, scene: &Scene, agent: &str) -> Vec<Value> {
        let heard = self.heard(scene, agent);
        heard.lines().filter_map(|line| serde_json::from_str(line.strip_prefix(REPORT)?).ok()).collect()
    }

    /// All that any agent said.
    pub fn all(&self, scene: &Scene) -> String {
        scene.sh(self.0, &format!("tail -n 50 {KEPT}/* 2>/dev/null || :"))
    }
}

/// What was said in the course of one accident.
#[derive(Debug, Default)]
pub struct Told {
    /// By the agent that waited.
    pub agent: Vec<String>,
    /// In the journals of the rollout's commands on the host.
    pub journal: Vec<String>,
    /// By the controller, on whichever manager it is.
    pub controller: Vec<String>,
    /// By `careen status` and `careen why`, whenever that changed.
    pub status: Vec<String>,
}

impl Told {
    /// One row of the table.
    pub fn print(&self, accident: &str, node: &str, seconds: u64) {
        println!("\n== {accident} (on {node}, {seconds} s until all was calm again)");
        let told = [
            ("agent", &self.agent),
            ("journal", &self.journal),
            ("controller", &self.controller),
            ("status", &self.status),
        ];
        for (who, words) in told {
            for (index, line) in words.iter().enumerate() {
                println!("   {:<10} | {line}", if index == 0 { who } else { "" });
            }
        }
    }
}

/// What the controllers of this rollout have said since then (seconds of the machine's clock, which all nodes share).
pub fn of_the_controller(scene: &Scene, rollout: &str, since: &str) -> Vec<String> {
    let script = format!(
        "for c in $(docker ps -aq -f name=careen-controller-{rollout}); do docker logs --since {since} $c 2>&1; done"
    );
    let managers = ["n1", "n2", "n3"].into_iter().filter_map(|name| scene.node(name).sh(&script).ok());
    managers.flat_map(|said| said.stdout.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// How the node stands, in one line, and why it does not move.
pub fn standing(scene: &Scene, node: &str) -> (String, Value) {
    let output = scene.careen(&["status", "--format", "json"]);
    let status = serde_json::from_str(&output.stdout).unwrap_or(Value::Null);
    let seen = crate::rollout::of_node(&status, node);
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    (format!("{} ({})", word(&seen["state"]), word(&seen["hold"]["hold"])), seen)
}
