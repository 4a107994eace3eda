//! What it costs to ask whether hosts are as they should be, how soon drift is seen and mended, and what an enforcing agent needs
//! meanwhile; how the latter is measured stands in `drift.sh` and `enforcing.sh`.

use super::everywhere::bare;
use crate::careen::ON_WORKERS;
use crate::clock::{BEGIN, time};
use crate::error::Result;
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;
use std::time::Duration;

pub const ABOUT: &str =
    "'check' on five hosts beside a bare global job; drift seen and mended; an enforcing agent at rest";

const PART: &str = "configure";
const LIMIT: Duration = Duration::from_secs(120);

/// By the bare job.
const CHECK_GOAL: Bound = Bound::AtMost(1.5);
/// In seconds.
const SEEN_GOAL: Bound = Bound::AtMost(5.0);
const MENDED_GOAL: Bound = Bound::AtMost(15.0);
/// In percent of one processor.
const PROCESSOR: Bound = Bound::AtMost(0.1);
/// In MiB.
const MEMORY: Bound = Bound::AtMost(8.0);

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let manager = scene.manager()?;
    let mut rows = checks(scene)?;
    let kept = scene.script(manager, include_str!("../../assets/keep.sh"), &[&scene.image]);
    let measured = kept.and_then(|_| enforced(scene));
    // The next part finds hosts without an enforcement, whatever came of this one; the first error is what is told.
    let stopped = manager.sh("careen enforce stop bench --yes");
    rows.extend(measured?);
    stopped?.ok()?;
    Ok(rows)
}

fn checks(scene: &Scene) -> Result<Vec<Row>> {
    let (mut job, mut asked) = (Vec::new(), Vec::new());
    for round in 1..=scene.rounds() {
        scene.progress.say(format!("{PART}: round {round}"));
        job.push(bare(scene, &[&scene.payload, "check"])?);
        asked.push(check(scene)?);
    }
    let [job, asked] = [job, asked].map(Samples::of);
    let by_job = asked.over(&job);
    Ok(vec![
        Row::plain(PART, "bare global job of the same image and command", "s", &job),
        Row::plain(PART, "careen check", "s", &asked),
        Row::judged(PART, "careen check, by the bare job", "×", &by_job, CHECK_GOAL),
    ])
}

/// All hosts are in sync: one that is not would be an error here.
fn check(scene: &Scene) -> Result<f64> {
    let script = format!("echo {BEGIN}; exec careen check --image \"$1\" {ON_WORKERS}");
    let words = ["bash", "-c", &script, "bench", &scene.payload];
    Ok(time("careen check", LIMIT, &mut scene.manager()?.command(words))?.seconds())
}

fn enforced(scene: &Scene) -> Result<Vec<Row>> {
    let host = scene.host()?;
    let rounds = if scene.quick { "3" } else { "8" };
    let drift: Vec<[f64; 2]> = scene.numbers(host, include_str!("../../assets/drift.sh"), &[rounds])?;
    let seconds = if scene.quick { "30" } else { "120" };
    let script = include_str!("../../assets/enforcing.sh");
    let idle: Vec<[f64; 2]> = scene.numbers(host, script, &[seconds])?;
    let drift = |at: usize| Samples::of(drift.iter().filter_map(|row| row.get(at).copied()));
    let idle = |at: usize| Samples::of(idle.iter().filter_map(|row| row.get(at).copied()));
    Ok(vec![
        Row::judged(PART, "drift seen", "s", &drift(0), SEEN_GOAL),
        Row::judged(PART, "drift mended", "s", &drift(1), MENDED_GOAL),
        Row::judged(PART, "enforcing, idle: processor", "%", &idle(0), PROCESSOR),
        Row::judged(PART, "enforcing, idle: memory", "MiB", &idle(1).by(1024.0), MEMORY),
    ])
}
