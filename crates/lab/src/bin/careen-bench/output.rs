//! How fast a command's output passes through, and in how much memory; how that is measured stands in `output.sh`.

use crate::payload::numbers;
use crate::table::{Goal, Table};
use anyhow::Context;
use careen_lab::Node;

const ROUNDS: usize = 5;
const MEBIBYTES: usize = 1024;

/// Limit of the output, and whether an agent follows. With the default limit most of it goes through the ring.
const CASES: [(&str, &str); 3] = [("2GiB", "alone"), ("2GiB", "followed"), ("256MiB", "followed")];

pub fn measure(node: &Node) -> anyhow::Result<String> {
    let mut table = Table::new(&format!("{MEBIBYTES} MiB of output: {ROUNDS} rounds"));
    for (limit, how) in CASES {
        let (rounds, size) = (ROUNDS.to_string(), MEBIBYTES.to_string());
        let rounds = numbers(node, include_str!("output.sh"), &[&rounds, &size, limit, how])?;
        let rounds: Vec<[f64; 4]> = rounds
            .into_iter()
            .map(|round| round.try_into().ok())
            .collect::<Option<_>>()
            .context("four numbers a round")?;
        let what = format!("limit {limit}, {how}");
        let row = |table: &mut Table, name: &str, of: fn(&[f64; 4]) -> f64, goal| {
            table.row(&format!("{what}: {name}"), rounds.iter().map(of), goal);
        };
        row(&mut table, "cat | cat > file, MiB/s", |[cat, ..]| *cat, Goal::None);
        row(&mut table, "into output.log, MiB/s", |[_, log, ..]| *log, Goal::None);
        row(&mut table, "the second by the first", |[cat, log, ..]| log / cat, Goal::AtLeast(0.5));
        row(&mut table, "supervisor's peak, MiB", |[_, _, peak, _]| peak / 1024.0, Goal::AtMost(12.0));
        if how == "followed" {
            row(&mut table, "agent's peak, MiB", |[.., peak]| peak / 1024.0, Goal::AtMost(12.0));
        }
    }
    Ok(table.text())
}
