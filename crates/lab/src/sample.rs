//! Watches a service and the swarm's nodes while something is done to them: several looks a second, over the engine API.
//!
//! Asked over one connection to a manager that is kept open. Two `docker` processes for each look took 50 to 90 ms on two busy
//! cores, which the nodes need themselves, and where a manager does not answer each of them waits for 20 s.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::docker::NODE_API_PORT;
use crate::lab::Lab;
use crate::names::Role;

/// From the end of one look to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A manager that does not answer within this is passed over: it is being restarted.
const LIMIT: Duration = Duration::from_millis(1500);

/// What one look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Look {
    /// Tasks that run, on nodes that are not down.
    running: usize,
    /// Managers that do not take part.
    managers_down: usize,
    /// Nodes that get no tasks: drained.
    drained: usize,
    /// Nodes that do not report.
    down: usize,
}

/// What was seen of a service and its swarm in all looks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// How many tasks the service should have.
    pub replicas: usize,
    /// How often it was looked.
    pub looks: u32,
    /// The fewest tasks that ran at once.
    pub least_running: usize,
    /// Tasks that were missing, times the seconds for which they were.
    pub missing: f64,
    /// The most managers that did not take part at once.
    pub most_managers_down: usize,
    /// The most drained nodes at once.
    pub most_drained: usize,
    /// The most nodes that did not report at once.
    pub most_down: usize,
    /// For how long it was looked.
    pub lasted: Duration,
    /// The longest time between two looks: what was shorter may not have been seen in it.
    pub longest_gap: Duration,
}

impl Seen {
    fn of(replicas: usize) -> Seen {
        Seen { replicas, least_running: replicas, ..Seen::default() }
    }

    /// One more look, so long after the one before.
    fn add(&mut self, look: Look, since: Duration) {
        self.looks += 1;
        self.least_running = self.least_running.min(look.running);
        self.missing += self.replicas.saturating_sub(look.running) as f64 * since.as_secs_f64();
        self.most_managers_down = self.most_managers_down.max(look.managers_down);
        self.most_drained = self.most_drained.max(look.drained);
        self.most_down = self.most_down.max(look.down);
        self.longest_gap = self.longest_gap.max(since);
        self.lasted += since;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen {
            replicas, looks, least_running, missing, most_managers_down, most_drained, most_down, ..
        } = self;
        let (every, gap) = (self.lasted / (*looks).max(1), self.longest_gap);
        writeln!(
            out,
            "seen in {} s, {looks} looks, one every {} ms, the longest gap {} ms:",
            self.lasted.as_secs(),
            every.as_millis(),
            gap.as_millis()
        )?;
        writeln!(
            out,
            "  never fewer than {least_running} of {replicas} tasks ran; {missing:.1} replica-seconds were missing"
        )?;
        write!(
            out,
            "  at once at most {most_managers_down} managers not taking part, {most_drained} nodes drained, {most_down} down"
        )
    }
}

/// Does `work`, and looks at the service meanwhile. It must have all its tasks when this begins.
pub fn while_watching<T>(lab: &Lab, service: &str, replicas: usize, work: impl FnOnce() -> T) -> (T, Seen) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(lab, service, replicas, &over));
        // However the work ends: a watch that is not told would keep the scope, and the test, for ever.
        let told = Told(&over);
        let done = work();
        drop(told);
        let seen = watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (done, seen)
    })
}

struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn watch(lab: &Lab, service: &str, replicas: usize, over: &AtomicBool) -> Seen {
    let mut managers = Managers::of(lab);
    let mut seen = Seen::of(replicas);
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        if let Some((nodes, tasks)) = managers.ask(service) {
            let now = Instant::now();
            seen.add(read(&nodes, &tasks), now - last);
            last = now;
        }
        std::thread::sleep(PAUSE);
    }
    seen
}

/// What the answers of `/nodes` and `/tasks` say.
fn read(nodes: &[Value], tasks: &[Value]) -> Look {
    let text =
        |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or("").to_owned();
    // A new leader calls all nodes 'unknown' until they have reported: nothing has happened to their tasks.
    let is_down = |node: &&Value| text(node, "/Status/State") == "down";
    let down: Vec<String> = nodes.iter().filter(is_down).map(|node| text(node, "/ID")).collect();
    let runs =
        |task: &&Value| text(task, "/Status/State") == "running" && !down.contains(&text(task, "/NodeID"));
    let takes_no_part = |node: &&Value| {
        node.get("ManagerStatus").is_some() && text(node, "/ManagerStatus/Reachability") != "reachable"
    };
    Look {
        running: tasks.iter().filter(runs).count(),
        managers_down: nodes.iter().filter(takes_no_part).count(),
        drained: nodes.iter().filter(|node| text(node, "/Spec/Availability") == "drain").count(),
        down: down.len(),
    }
}

/// The managers, the one that answered last first.
struct Managers {
    agent: ureq::Agent,
    addresses: Vec<String>,
}

impl Managers {
    fn of(lab: &Lab) -> Managers {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .max_idle_connections_per_host(1)
            // The lab is reached directly, whatever the machine's proxy is.
            .proxy(None)
            .build();
        let managers = lab.nodes().iter().filter(|node| node.role() == Role::Manager);
        let addresses = managers.map(|node| format!("http://{}:{NODE_API_PORT}", node.ip())).collect();
        Managers { agent: config.into(), addresses }
    }

    /// The nodes and the service's tasks; `None` when no manager answers now.
    fn ask(&mut self, service: &str) -> Option<(Vec<Value>, Vec<Value>)> {
        let found = self.addresses.iter().enumerate().find_map(|(index, address)| {
            let nodes = self.get(&format!("{address}/nodes"), None)?;
            let filters = format!(r#"{{"service":["{service}"],"desired-state":["running"]}}"#);
            let tasks = self.get(&format!("{address}/tasks"), Some(&filters))?;
            Some((index, nodes, tasks))
        });
        let (index, nodes, tasks) = found?;
        self.addresses.rotate_left(index);
        Some((nodes, tasks))
    }

    fn get(&self, url: &str, filters: Option<&str>) -> Option<Vec<Value>> {
        let request = self.agent.get(url);
        let request = filters.into_iter().fold(request, |request, value| request.query("filters", value));
        let text = request.call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(id: &str, state: &str, availability: &str, reachability: Option<&str>) -> Value {
        let mut node =
            json!({ "ID": id, "Status": { "State": state }, "Spec": { "Availability": availability } });
        if let Some(reachability) = reachability {
            node["ManagerStatus"] = json!({ "Reachability": reachability });
        }
        node
    }

    #[test]
    fn a_task_counts_unless_its_node_is_down() {
        let nodes = [
            node("m1", "ready", "active", Some("reachable")),
            node("m2", "ready", "drain", Some("unreachable")),
            node("w1", "down", "active", None),
            node("w2", "unknown", "active", None),
        ];
        let task = |node: &str, state: &str| json!({ "NodeID": node, "Status": { "State": state } });
        let tasks =
            [task("m1", "running"), task("m1", "starting"), task("w1", "running"), task("w2", "running")];
        let look = Look { running: 2, managers_down: 1, drained: 1, down: 1 };
        assert_eq!(read(&nodes, &tasks), look);
    }

    #[test]
    fn the_worst_of_all_looks_and_what_was_missing() {
        let mut seen = Seen::of(6);
        let look = |running, drained| Look { running, drained, ..Look::default() };
        seen.add(look(6, 0), Duration::from_millis(500));
        seen.add(look(4, 1), Duration::from_millis(250));
        seen.add(look(7, 0), Duration::from_millis(250));
        assert_eq!((seen.looks, seen.least_running, seen.most_drained), (3, 4, 1));
        assert_eq!((seen.missing, seen.longest_gap), (0.5, Duration::from_millis(500)));
        let text = seen.to_string();
        assert!(text.contains("in 1 s, 3 looks, one every 333 ms, the longest gap 500 ms"), "{text}");
        assert!(text.contains("never fewer than 4 of 6 tasks ran; 0.5 replica-seconds"), "{text}");
    }
}
