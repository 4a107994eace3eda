//! The measurements. Each program is the shipped one, in a process of its own; the controller runs with a `/run` of its own, where
//! it finds the engine's socket.

use super::child::{Cost, cost, cpu_of};
use super::engine::{Delays, FakeEngine};
use super::world::{SERVICES, TASKS_A_NODE, id, world};
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use careen_contract::{label, object};
use careen_planner::rollout::Control;
use careen_planner::{RolloutId, Spec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(900);

/// What a controller brings into the swarm for the first node: an agent and its gates.
const BROUGHT: usize = 7;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    Plan,
    Status,
    Transition,
    Idle,
}

impl Measured {
    /// By its name.
    pub fn called(name: &str) -> Option<Self> {
        Some(match name {
            "plan" => Self::Plan,
            "status" => Self::Status,
            "transition" => Self::Transition,
            "idle" => Self::Idle,
            _ => return None,
        })
    }
}

/// What is measured, and how often.
#[derive(Debug, Clone)]
pub struct How {
    pub sizes: Vec<usize>,
    pub parts: Vec<Measured>,
    /// How often; the median counts.
    pub rounds: usize,
    /// How long the controller has nothing to do.
    pub idle: Duration,
    pub delays: Delays,
    /// Where the programs are.
    pub programs: PathBuf,
}

impl How {
    /// `BENCH=quick` measures once and shortly; `BENCH_DELAYS=1` gives the manager 2 ms for a request and 5 µs for an object.
    pub fn of_environment() -> anyhow::Result<Self> {
        let says = |name: &str, word: &str| std::env::var(name).is_ok_and(|value| value == word);
        let (rounds, idle) = if says("BENCH", "quick") { (1, 30) } else { (3, 300) };
        let delays = Delays { request: Duration::from_millis(2), object: Duration::from_micros(5) };
        let own = std::env::current_exe().context("this program's own file")?;
        Ok(Self {
            sizes: vec![50, 500, 5000],
            parts: vec![Measured::Plan, Measured::Status, Measured::Transition, Measured::Idle],
            rounds,
            idle: Duration::from_secs(idle),
            delays: if says("BENCH_DELAYS", "1") { delays } else { Delays::default() },
            programs: own.parent().context("this program's own directory")?.to_owned(),
        })
    }

    fn wants(&self, part: Measured) -> bool {
        self.parts.contains(&part)
    }
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Row {
    pub part: &'static str,
    pub figure: &'static str,
    pub nodes: usize,
    pub value: f64,
}

/// All that is wanted, the smallest swarm first.
pub fn all(how: &How) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for size in &how.sizes {
        eprintln!("{size} nodes, {SERVICES} services, {} tasks", size * TASKS_A_NODE);
        let directory = tempfile::tempdir().context("a directory for the socket")?;
        let engine = FakeEngine::start(world(*size), &directory.path().join("docker.sock"), how.delays)?;
        Session { how, engine, size: *size, rows: &mut rows }.measure()?;
    }
    Ok(rows)
}

struct Session<'a> {
    how: &'a How,
    engine: FakeEngine,
    size: usize,
    rows: &'a mut Vec<Row>,
}

impl Session<'_> {
    fn measure(&mut self) -> anyhow::Result<()> {
        if self.how.wants(Measured::Plan) {
            self.call("plan", &["plan", "--image", "update"])?;
        }
        if self.how.parts == [Measured::Plan] {
            return Ok(());
        }
        let rollout = self.submit()?;
        if self.how.wants(Measured::Transition) || self.how.wants(Measured::Idle) {
            self.controller(&rollout)?;
        }
        if self.how.wants(Measured::Status) {
            self.call("status", &["status"])?;
        }
        Ok(())
    }

    fn row(&mut self, part: &'static str, figure: &'static str, value: f64) {
        eprintln!("  {part}: {figure}: {value:.3}");
        self.rows.push(Row { part, figure, nodes: self.size, value });
    }

    fn command(&self, words: &[&str]) -> Vec<String> {
        let program = self.how.programs.join("careen").display().to_string();
        let host = format!("unix://{}", self.engine.socket().display());
        let words = words.iter().map(|word| (*word).to_owned());
        [program, "--host".to_owned(), host].into_iter().chain(words).collect()
    }

    fn call(&mut self, part: &'static str, words: &[&str]) -> anyhow::Result<()> {
        let command = self.command(words);
        let before = self.engine.bytes();
        let costs = (0..self.how.rounds).map(|_| cost(&command)).collect::<anyhow::Result<Vec<Cost>>>()?;
        let read = (self.engine.bytes() - before) as f64 / self.how.rounds as f64;
        self.row(part, "seconds", median(costs.iter().map(|cost| cost.wall)));
        self.row(part, "CPU seconds", median(costs.iter().map(|cost| cost.cpu)));
        self.row(part, "MiB at most", median(costs.iter().map(|cost| cost.memory)));
        self.row(part, "MB read", read / 1e6);
        Ok(())
    }

    /// What `careen run --image update` leaves in the swarm, but for a controller.
    fn submit(&self) -> anyhow::Result<String> {
        let id = RolloutId::parse("k3x9")?;
        let spec = Spec::run(id.clone(), &format!("sha256:{}", "11".repeat(32)));
        let labels = json!({
            label::FORMAT: "1", label::ROLLOUT: id.as_str(), label::CONTROL: serde_json::to_string(&Control::Running)?,
        });
        let data = BASE64_STANDARD.encode(serde_json::to_vec(&spec)?);
        let config = json!({ "Name": format!("{}{id}", object::ROLLOUTS), "Labels": labels, "Data": data });
        self.engine.store().create("configs", &config).context("there is a rollout already")?;
        Ok(id.to_string())
    }

    fn controller(&mut self, rollout: &str) -> anyhow::Result<()> {
        let controller = Controller::start(&self.how.programs, self.engine.socket(), rollout)?;
        let start = Instant::now();
        let brought = || self.engine.store().count("services") >= SERVICES + BROUGHT;
        until(brought, "the controller does not place the first agent")?;
        self.row("controller", "seconds until the first agent is placed", start.elapsed().as_secs_f64());
        sleep(Duration::from_secs(5));
        if self.how.wants(Measured::Transition) {
            self.transitions(&controller, rollout)?;
        }
        // Minutes are worth it only where there is much to read.
        if self.how.wants(Measured::Idle) && self.how.sizes.iter().max() == Some(&self.size) {
            self.idle(&controller)?;
        }
        Ok(())
    }

    /// An operator asks to leave a node out that waits for its turn; the controller answers by writing its state.
    fn transitions(&mut self, controller: &Controller, rollout: &str) -> anyhow::Result<()> {
        let mut found = Vec::new();
        for round in 0..self.how.rounds {
            let node = id('n', self.size - 1 - round);
            let (bytes, cpu, start) = (self.engine.bytes(), controller.cpu()?, Instant::now());
            self.engine.store().label_node(&node, label::ASK, &format!("{rollout} skip"));
            until(|| self.engine.store().written.contains_key(&node), "the controller does not answer")?;
            let wall = start.elapsed().as_secs_f64();
            let (bytes, cpu) = (self.engine.bytes() - bytes, controller.cpu()? - cpu);
            found.push((wall, cpu.as_secs_f64(), bytes as f64 / 1e6));
            sleep(Duration::from_secs(3));
        }
        self.row("transition", "seconds", median(found.iter().map(|(wall, _, _)| *wall)));
        self.row("transition", "CPU seconds", median(found.iter().map(|(_, cpu, _)| *cpu)));
        self.row("transition", "MB read", median(found.iter().map(|(_, _, read)| *read)));
        Ok(())
    }

    fn idle(&mut self, controller: &Controller) -> anyhow::Result<()> {
        let (bytes, cpu, start) = (self.engine.bytes(), controller.cpu()?, Instant::now());
        sleep(self.how.idle);
        let (wall, cpu) = (start.elapsed().as_secs_f64(), controller.cpu()? - cpu);
        let read = (self.engine.bytes() - bytes) as f64 / 1e6;
        self.row("idle", "% of a core", 100.0 * cpu.as_secs_f64() / wall);
        self.row("idle", "MB read a minute", read * 60.0 / wall);
        self.row("idle", "MiB at most", controller.memory()?);
        Ok(())
    }
}

/// The controller's process; it ends with this.
struct Controller(Child);

impl Controller {
    fn start(programs: &Path, socket: &Path, rollout: &str) -> anyhow::Result<Self> {
        let script = "mount -t tmpfs none /run && ln -s \"$0\" /run/docker.sock && exec \"$1\" \"$2\"";
        let log =
            std::fs::File::create(programs.join("bench-controller.log")).context("a file for its log")?;
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .arg(socket)
            .arg(programs.join("careen-controller"))
            .arg(rollout)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn();
        Ok(Self(child.context("cannot start the controller: root and unshare are needed")?))
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.0.id())
    }

    /// MiB at most so far.
    fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).context("its memory is not told")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // One that has ended already is waited for all the same.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ended = self.0.wait();
    }
}

fn until(so: impl Fn() -> bool, otherwise: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while !so() {
        if start.elapsed() > LIMIT {
            bail!("{otherwise} within {} s", LIMIT.as_secs());
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn median(samples: impl Iterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}
