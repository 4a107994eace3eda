//! `true` on five hosts at once: what it costs to run anything everywhere.

use crate::careen::{AT_ONCE, SHORT_WAY};
use crate::clock::{BEGIN, time};
use crate::error::Result;
use crate::image::SHELL;
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::{HOSTS, Scene, with_waits};
use std::time::Duration;

pub const ABOUT: &str = "'true' on five hosts at once: a bare global job, careen, Ansible";

const PART: &str = "everywhere";
const LIMIT: Duration = Duration::from_secs(120);

/// By the bare job.
const SHORT_GOAL: Bound = Bound::AtMost(2.5);
const GATED_GOAL: Bound = Bound::AtMost(6.0);

#[derive(Default)]
struct Measured {
    bare: Vec<f64>,
    short: Vec<f64>,
    gated: Vec<f64>,
    ansible: Vec<f64>,
}

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let has_short_way = scene.careen()?.has_short_way()?;
    let mut measured = Measured::default();
    for round in 1..=scene.rounds() {
        scene.progress.say(format!("{PART}: round {round}"));
        measured.bare.push(bare(scene, &[SHELL, "chroot", "/host", "true"])?);
        if has_short_way {
            measured.short.push(careen(scene, &SHORT_WAY)?);
        }
        measured.gated.push(careen(scene, &[])?);
        if let Ok(ansible) = &scene.ansible {
            measured.ansible.push(ansible.ad_hoc("Ansible, ad hoc", "command", "true")?.seconds());
        }
    }
    Ok(rows(scene, measured))
}

/// A global job of an image and its command.
pub fn bare(scene: &Scene, job: &[&str]) -> Result<f64> {
    let manager = scene.manager()?;
    let script = with_waits(&format!("echo {BEGIN}\n{}", include_str!("../../assets/bare-job.sh")));
    let hosts = HOSTS.to_string();
    let words = [&["bash", "-c", &script, "bench", &hosts], job].concat();
    let timed = time("a bare global job", LIMIT, &mut manager.command(words));
    manager.sh("docker service rm bench-bare")?.ok()?;
    Ok(timed?.seconds())
}

fn careen(scene: &Scene, way: &[&str]) -> Result<f64> {
    let payload = ["run", "--image", &scene.payload, "--command", "nothing"];
    Ok(scene.careen()?.rollout("careen run", &[&payload, &AT_ONCE, way])?.seconds())
}

fn rows(scene: &Scene, measured: Measured) -> Vec<Row> {
    let Measured { bare, short, gated, ansible } = measured;
    let [bare, short, gated, ansible] = [bare, short, gated, ansible].map(Samples::of);
    let short_way = format!("careen {}", SHORT_WAY.join(" "));
    let by_short_way = format!("{short_way}, by the bare job");
    let mut rows = vec![Row::plain(PART, "bare global job", "s", &bare)];
    if short.median().is_some() {
        rows.push(Row::plain(PART, &short_way, "s", &short));
        rows.push(Row::judged(PART, &by_short_way, "×", &short.over(&bare), SHORT_GOAL));
    } else {
        let why = "this careen has no such flag";
        rows.push(Row::not_measured(PART, &by_short_way, "×", Some(SHORT_GOAL), why));
    }
    rows.push(Row::plain(PART, "careen, with gates", "s", &gated));
    let by_bare = "careen, with gates, by the bare job";
    rows.push(Row::judged(PART, by_bare, "×", &gated.over(&bare), GATED_GOAL));
    rows.push(scene.ansible_row(PART, "Ansible ad hoc", &ansible));
    rows
}
