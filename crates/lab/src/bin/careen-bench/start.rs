//! The time from a container's start, as the engine records it, to the command's first instruction, for each way into
//! the host; and, for comparison, that of a whole `docker run` of the image and of one that only prints its version.

use crate::payload::IMAGE;
use crate::table::{Goal, Table};
use anyhow::{bail, ensure};
use careen_lab::Node;
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;

/// A way into the host, and how fast it is meant to be.
const WAYS: [(&str, Goal); 3] =
    [("systemd", Goal::AtMost(150.0)), ("container", Goal::AtMost(1500.0)), ("chroot", Goal::None)];

pub fn measure(node: &Node) -> anyhow::Result<String> {
    run(node, "systemd")?; // brings the supervisor's binary to the host, once
    let mut starts: [Vec<f64>; 3] = Default::default();
    let mut wholes: [Vec<f64>; 3] = Default::default();
    let mut bare = Vec::new();
    for _ in 0..ROUNDS {
        bare.push(time(|| version_only(node))?.1);
        for (index, (way, _)) in WAYS.iter().enumerate() {
            let (first_instruction, whole) = time(|| run(node, way))?;
            starts[index].push(milliseconds(first_instruction));
            wholes[index].push(whole);
        }
    }
    let mut table = Table::new(&format!("An installer's start: {ROUNDS} rounds, milliseconds"));
    for ((way, goal), samples) in WAYS.into_iter().zip(starts) {
        table.row(&format!("container start to first instruction, {way}"), samples, goal);
    }
    table.row("docker run, only printing its version", bare, Goal::None);
    for ((way, _), samples) in WAYS.into_iter().zip(wholes) {
        table.row(&format!("docker run, whole installer, {way}"), samples, Goal::None);
    }
    Ok(table.text())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn time<T>(act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
    let start = Instant::now();
    Ok((act()?, milliseconds(start.elapsed())))
}

fn version_only(node: &Node) -> anyhow::Result<()> {
    let ran = node.docker(["run", "--rm", "--entrypoint", "/careen-agent", IMAGE, "--version"])?;
    Ok(ran.ok().map(drop)?)
}

/// Runs the installer, and returns the time from the container's start to the command's first instruction.
fn run(node: &Node, way: &str) -> anyhow::Result<Duration> {
    let entry = format!("CAREEN_HOST_ENTRY={way}");
    let ran = node.docker(["run", "--name", "bench", "-v", "/:/host", "-e", &entry, IMAGE, "begin"])?;
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
