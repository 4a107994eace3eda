//! What agent and supervisor compute while a command runs and says nothing; how that is measured stands in `idle.sh`.

use crate::payload::numbers;
use crate::table::{Goal, Table};
use careen_lab::Node;

const SECONDS: u32 = 30;

pub fn measure(node: &Node) -> anyhow::Result<String> {
    let measured = numbers(node, include_str!("idle.sh"), &[&SECONDS.to_string()])?;
    let mut table =
        Table::new(&format!("While a command says nothing: {SECONDS} s, percent of one processor"));
    for (who, at) in [("the agent", 0), ("the supervisor", 1)] {
        let samples = measured.iter().filter_map(|round| round.get(at).copied());
        table.row(who, samples, Goal::AtMost(0.5));
    }
    Ok(table.text())
}
