//! A long log through `careen logs`, beside `docker service logs` of the same agent.

use crate::error::{Error, Result};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;
use careen_lab::{Poll, wait_until};
use std::time::Duration;

pub const ABOUT: &str = "15 MB of output through 'careen logs' and 'docker service logs'";

const PART: &str = "logs";

/// Of a thousand bytes each. An agent's log on its node holds 20 MB as docker stores it, which adds some 80 bytes a line.
const LINES: usize = 15_000;
const BYTES: f64 = 15e6;

const PRINTED_LIMIT: Duration = Duration::from_secs(180);

/// By the docker client's time.
const GOAL: Bound = Bound::AtMost(1.2);

/// In MiB: a log of any length needs no more than 4 MiB of it, beside the program.
const MEMORY: Bound = Bound::AtMost(24.0);

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let rollouts = scene.careen()?;
    let host = scene.host()?.name().to_string();
    let lines = LINES.to_string();
    let payload = ["run", "--image", &scene.payload, "--command", "say", "--node", &host];
    let how = ["--drain=never", "--monitor=0s", "--canaries=0", "--yes", "--detach", "--", &lines];
    scene.progress.say(format!("{PART}: {host} prints"));
    rollouts.begin(&[&payload, &how])?;
    let measured = printed(scene, &host).and_then(|()| read(scene, &host));
    scene.host()?.sh("touch /run/bench-said")?.ok()?;
    let measured = match measured {
        Ok(measured) => rollouts.await_end().map(|()| measured),
        Err(error) => {
            // The next part must find a swarm without a rollout; what failed is told by the first error.
            let _ = rollouts.abort();
            Err(error)
        }
    }?;
    rows(&measured)
}

/// Waits until the last line is in the log.
fn printed(scene: &Scene, host: &str) -> Result<()> {
    let manager = scene.manager()?;
    wait_until("everything is printed", PRINTED_LIMIT, || {
        let last = manager.sh(&format!("careen logs {host} 2>&1 | tail -n 1 | cut -c 1-80"))?.ok()?;
        Ok(if last.trim().ends_with("said") { Poll::Ready(()) } else { Poll::Pending(last) })
    })?;
    Ok(())
}

/// Seconds of docker, seconds of careen, careen's peak in KiB, bytes of docker, bytes of careen.
fn read(scene: &Scene, host: &str) -> Result<Vec<[f64; 5]>> {
    let manager = scene.manager()?;
    let services = "docker service ls --format '{{.Name}}' | grep '^careen-.*-a[0-9]*$'";
    let service = manager.sh(services)?.ok()?.trim().to_owned();
    scene.progress.say(format!("{PART}: read from {service}"));
    let rounds = scene.rounds().max(3).to_string();
    scene.numbers(manager, include_str!("../../assets/logs.sh"), &[host, &service, &rounds])
}

fn rows(measured: &[[f64; 5]]) -> Result<Vec<Row>> {
    if let Some([.., docker, careen]) =
        measured.iter().find(|[.., docker, careen]| *docker < BYTES || *careen < BYTES)
    {
        return Err(Error::Unexpected {
            what: "a log".to_owned(),
            expected: format!("{BYTES} bytes"),
            seen: format!("{docker} bytes by docker, {careen} by careen"),
        });
    }
    let column = |of: fn(&[f64; 5]) -> f64| Samples::of(measured.iter().map(of));
    let (by_docker, by_careen) = (column(|row| row[0]), column(|row| row[1]));
    let peak = column(|row| row[2] / 1024.0);
    Ok(vec![
        Row::plain(PART, "docker service logs", "s", &by_docker),
        Row::plain(PART, "careen logs", "s", &by_careen),
        Row::judged(PART, "careen by docker", "×", &by_careen.over(&by_docker), GOAL),
        Row::judged(PART, "careen's peak memory", "MiB", &peak, MEMORY),
    ])
}
