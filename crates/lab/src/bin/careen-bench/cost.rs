//! What a transaction around a command that does nothing costs over the host's own `systemd-run --wait true`; how that is
//! measured stands in `cost.sh`.

use crate::payload::numbers;
use crate::table::{Goal, Table};
use anyhow::Context;
use careen_lab::Node;

const ROUNDS: usize = 40;

pub fn measure(node: &Node) -> anyhow::Result<String> {
    let rounds = numbers(node, include_str!("cost.sh"), &[&ROUNDS.to_string()])?;
    let rounds: Vec<[f64; 3]> = rounds
        .into_iter()
        .map(|round| round.try_into().ok())
        .collect::<Option<_>>()
        .context("three numbers a round")?;
    let mut table = Table::new(&format!("A transaction's cost: {ROUNDS} rounds, milliseconds"));
    table.row(
        "docker exec, the agent only printing its version",
        rounds.iter().map(|[v, _, _]| *v),
        Goal::None,
    );
    table.row(
        "docker exec, the agent with a transaction around 'true'",
        rounds.iter().map(|[_, t, _]| *t),
        Goal::None,
    );
    table.row("systemd-run --wait true", rounds.iter().map(|[_, _, s]| *s), Goal::None);
    let transaction = rounds.iter().map(|[version, transaction, _]| transaction - version);
    table.row("the transaction, without the engine's share", transaction, Goal::None);
    let over = rounds.iter().map(|[version, transaction, systemd]| transaction - version - systemd);
    table.row("the same over systemd-run", over, Goal::AtMost(60.0));
    Ok(table.text())
}
