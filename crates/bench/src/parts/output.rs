//! How fast a command's output passes through, and in how much memory; how that is measured stands in `output.sh`.

use crate::error::Result;
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;

pub const ABOUT: &str = "a command's output on its host, beside 'cat FILE | cat > OTHER'";

const PART: &str = "output";

/// Of cat's speed.
const SPEED: Bound = Bound::AtLeast(0.5);

/// In MiB.
const MEMORY: Bound = Bound::AtMost(12.0);

/// Limit of the output, and whether an agent follows. With the default limit most of it goes through the ring.
const CASES: [(&str, &str); 3] = [("2GiB", "alone"), ("2GiB", "followed"), ("256MiB", "followed")];

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let (rounds, mebibytes) = if scene.quick { ("1", "512") } else { ("5", "1024") };
    let mut rows = Vec::new();
    for (limit, how) in CASES {
        scene.progress.say(format!("{PART}: {mebibytes} MiB, limit {limit}, {how}"));
        let script = include_str!("../../assets/output.sh");
        let arguments = [rounds, mebibytes, limit, how, &scene.payload];
        let measured: Vec<[f64; 4]> = scene.numbers(scene.host()?, script, &arguments)?;
        let column = |at: usize| Samples::of(measured.iter().filter_map(|row| row.get(at).copied()));
        let (cat, log) = (column(0), column(1));
        let what = |name: &str| format!("{mebibytes} MiB, limit {limit}, {how}: {name}");
        rows.push(Row::plain(PART, &what("cat FILE | cat > OTHER"), "MiB/s", &cat));
        rows.push(Row::plain(PART, &what("into output.log"), "MiB/s", &log));
        rows.push(Row::judged(PART, &what("the second by the first"), "×", &log.over(&cat), SPEED));
        let supervisor = column(2).by(1024.0);
        rows.push(Row::judged(PART, &what("supervisor's peak"), "MiB", &supervisor, MEMORY));
        if how == "followed" {
            rows.push(Row::judged(PART, &what("agent's peak"), "MiB", &column(3).by(1024.0), MEMORY));
        }
    }
    Ok(rows)
}
