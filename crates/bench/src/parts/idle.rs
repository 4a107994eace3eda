//! What agent and supervisor need while a command runs and says nothing, beside a shell with the docker client that waits for the
//! same; how that is measured stands in `idle.sh`.

use crate::error::Result;
use crate::image::{self, SHELL, SHELL_WITH_DOCKER};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;

pub const ABOUT: &str = "processor and memory while a command says nothing: careen, a shell";

const PART: &str = "idle";

/// In percent of one processor.
const PROCESSOR: Bound = Bound::AtMost(0.5);

/// Whose processor time and memory stand where, and whether it is careen's.
const WHO: [(&str, usize, bool); 4] = [
    ("the agent", 0, true),
    ("the supervisor", 2, true),
    ("the shell", 4, false),
    ("the docker client", 6, false),
];

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let host = scene.host()?;
    image::shell_with_docker(host)?;
    let seconds = if scene.quick { "15" } else { "30" };
    let script = include_str!("../../assets/idle.sh");
    let arguments = [seconds, &scene.payload, SHELL, SHELL_WITH_DOCKER];
    let measured: Vec<[f64; 8]> = scene.numbers(host, script, &arguments)?;
    let column = |at: usize| Samples::of(measured.iter().filter_map(|row| row.get(at).copied()));
    let mut rows = Vec::new();
    for (who, at, is_careens) in WHO {
        let what = format!("{who}: processor");
        rows.push(match is_careens {
            true => Row::judged(PART, &what, "%", &column(at), PROCESSOR),
            false => Row::plain(PART, &what, "%", &column(at)),
        });
    }
    for (who, at, _) in WHO {
        rows.push(Row::plain(PART, &format!("{who}: memory"), "MiB", &column(at + 1).by(1024.0)));
    }
    let careen = measured.iter().map(|row| (row[1] + row[3]) / 1024.0);
    let shell = measured.iter().map(|row| (row[5] + row[7]) / 1024.0);
    let by_shell = Samples::of(careen).over(&Samples::of(shell));
    rows.push(Row::judged(PART, "memory of careen by that of the shell", "×", &by_shell, Bound::Below(1.0)));
    Ok(rows)
}
