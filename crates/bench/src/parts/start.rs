//! The time from a container's start to the command's first instruction on its host, for each way into the host, beside a shell
//! that starts it by hand; how that is measured stands in `start.sh`.

use crate::error::Result;
use crate::image::{self, SHELL, SHELL_WITH_DOCKER};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;

pub const ABOUT: &str = "from a container's start to the first instruction on its host: careen, a shell";

const PART: &str = "start";

/// Whose two times stand where in a round's line; milliseconds.
const WAYS: [(&str, usize, Option<Bound>); 5] = [
    ("shell, systemd-run by hand", 6, None),
    ("careen, systemd", 0, Some(Bound::AtMost(150.0))),
    ("shell, a second container by the docker client", 8, None),
    ("careen, helper container", 2, Some(Bound::AtMost(1500.0))),
    ("careen, chroot", 4, None),
];

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let host = scene.host()?;
    image::shell_with_docker(host)?;
    let rounds = if scene.quick { "5" } else { "20" };
    let script = include_str!("../../assets/start.sh");
    let arguments = [&scene.payload, SHELL, SHELL_WITH_DOCKER, rounds];
    let measured: Vec<[f64; 11]> = scene.numbers(host, script, &arguments)?;
    let column = |at: usize| Samples::of(measured.iter().filter_map(|row| row.get(at).copied()));
    let row = |what: &str, at: usize, goal: Option<Bound>| match goal {
        Some(goal) => Row::judged(PART, what, "ms", &column(at), goal),
        None => Row::plain(PART, what, "ms", &column(at)),
    };
    let starts = WAYS.map(|(way, at, goal)| row(&format!("start to first instruction: {way}"), at, goal));
    let wholes = WAYS.map(|(way, at, _)| row(&format!("whole docker run: {way}"), at + 1, None));
    let bare = row("whole docker run: careen's agent, its version", 10, None);
    Ok(starts.into_iter().chain(wholes).chain([bare]).collect())
}
