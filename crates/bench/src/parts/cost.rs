//! What a transaction around a command that does nothing costs over the host's own `systemd-run --wait true`; how that is
//! measured stands in `cost.sh`.

use crate::error::Result;
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;

pub const ABOUT: &str = "a transaction around 'true' on one host, beside 'systemd-run --wait true'";

const PART: &str = "cost";

/// In milliseconds.
const GOAL: Bound = Bound::AtMost(60.0);

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    let rounds = if scene.quick { "10" } else { "40" };
    let script = include_str!("../../assets/cost.sh");
    let measured: Vec<[f64; 3]> = scene.numbers(scene.host()?, script, &[rounds, &scene.payload])?;
    let column = |at: usize| Samples::of(measured.iter().filter_map(|row| row.get(at).copied()));
    let (version, whole, systemd) = (column(0), column(1), column(2));
    let transaction = whole.beyond(&version);
    Ok(vec![
        Row::plain(PART, "docker exec, the agent only printing its version", "ms", &version),
        Row::plain(PART, "docker exec, the agent with a transaction around 'true'", "ms", &whole),
        Row::plain(PART, "systemd-run --wait true", "ms", &systemd),
        Row::plain(PART, "the transaction, without the engine's share", "ms", &transaction),
        Row::judged(PART, "the same beyond systemd-run", "ms", &transaction.beyond(&systemd), GOAL),
    ])
}
