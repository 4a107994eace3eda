//! `make bench`: what an installer costs on a real host, measured side by side in one run.
//!
//! Each row is the time from the container's start, as the engine records it, to the command's first instruction, for
//! one way into the host; and, for comparison, the time of a whole `docker run` of the image and of one that only
//! prints its version.

use anyhow::{Context, bail, ensure};
use careen_lab::{Lab, Node, Progress, Spec};
use std::time::{Duration, Instant};

const LAB: &str = "bench";
const BASE: &str = "careen/installer:latest";
const ROUNDS: usize = 20;

/// A way into the host, and how fast it is meant to be.
const WAYS: [(&str, Option<u64>); 3] = [("systemd", Some(150)), ("container", Some(1500)), ("chroot", None)];

fn main() -> anyhow::Result<()> {
    let mut spec = Spec::new(LAB.parse()?);
    (spec.managers, spec.workers) = (Some(1), Some(0));
    let lab = Lab::up(&spec, Progress::shown())?;
    let measured =
        lab.load(BASE, Progress::shown()).map_err(Into::into).and_then(|()| measure(lab.node("n1")?));
    careen_lab::down(&spec.name, Progress::shown())?;
    print!("{}", measured?);
    Ok(())
}

fn measure(node: &Node) -> anyhow::Result<String> {
    build_payload(node)?;
    run(node, "systemd")?; // brings the supervisor's binary to the host, once
    let mut table = format!(
        "{:<44}{:>9}{:>9}{:>9}{:>8}\n",
        format!("{ROUNDS} rounds, milliseconds"),
        "median",
        "p90",
        "max",
        "goal"
    );
    let mut starts: [Vec<Duration>; 3] = Default::default();
    let mut wholes: [Vec<Duration>; 3] = Default::default();
    let mut bare = Vec::new();
    // Round by round, so that whatever else the machine does meets all rows alike.
    for _ in 0..ROUNDS {
        bare.push(time(|| version_only(node))?.1);
        for (index, (way, _)) in WAYS.iter().enumerate() {
            let (first_instruction, whole) = time(|| run(node, way))?;
            starts[index].push(first_instruction);
            wholes[index].push(whole);
        }
    }
    for ((way, goal), samples) in WAYS.iter().zip(starts) {
        table += &row(&format!("container start to first instruction, {way}"), samples, *goal);
    }
    table += &row("docker run, only printing its version", bare, None);
    for ((way, _), samples) in WAYS.iter().zip(wholes) {
        table += &row(&format!("docker run, whole installer, {way}"), samples, None);
    }
    Ok(table)
}

fn row(name: &str, mut samples: Vec<Duration>, goal: Option<u64>) -> String {
    samples.sort();
    let at = |part: usize| samples[(samples.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    let goal = goal.map_or(String::new(), |goal| format!("<={goal}"));
    format!("{name:<44}{:>9.1}{:>9.1}{:>9.1}{goal:>8}\n", at(50), at(90), at(100))
}

fn time<T>(act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let start = Instant::now();
    Ok((act()?, start.elapsed()))
}

/// The command says when it began, by the host's clock, which is also the engine's.
fn build_payload(node: &Node) -> anyhow::Result<()> {
    let script = "set -e; d=$(mktemp -d); cd $d; mkdir install
        printf '#!/bin/sh\\ndate +%%s%%N\\n' > install/install; chmod +x install/install
        printf 'FROM careen/installer\\nCOPY install /install\\n' > Dockerfile
        docker build -q -t bench . && rm -r $d";
    node.sh(script)?.ok().map(drop).context("build the payload")
}

fn version_only(node: &Node) -> anyhow::Result<()> {
    let ran = node.docker(["run", "--rm", "--entrypoint", "/careen-agent", "bench", "--version"])?;
    Ok(ran.ok().map(drop)?)
}

/// Runs the installer, and returns the time from the container's start to the command's first instruction.
fn run(node: &Node, way: &str) -> anyhow::Result<Duration> {
    let entry = format!("CAREEN_HOST_ENTRY={way}");
    let ran = node.docker(["run", "--name", "bench", "-v", "/:/host", "-e", &entry, "bench"])?;
    let started = node.docker(["inspect", "-f", "{{.State.StartedAt.UnixNano}}", "bench"]);
    let started = match started?.ok() {
        Ok(text) => text,
        Err(_) => node.sh("date -d \"$(docker inspect -f '{{.State.StartedAt}}' bench)\" +%s%N")?.ok()?,
    };
    node.docker(["rm", "-f", "bench"])?.ok()?;
    ensure!(ran.status == 0, "the installer failed: {}", ran.stderr);
    ensure!(ran.stderr.contains(&format!("host entry: {way}")), "not by {way}: {}", ran.stderr);
    let (began, started): (u64, u64) = (ran.stdout.trim().parse()?, started.trim().parse()?);
    match began.checked_sub(started) {
        Some(nanos) => Ok(Duration::from_nanos(nanos)),
        None => bail!("the command began before its container: {began} < {started}"),
    }
}
