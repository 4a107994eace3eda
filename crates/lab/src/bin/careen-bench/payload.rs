//! The payload that is measured with: one command for each part.

use anyhow::Context;
use careen_lab::Node;

/// Its image on the node's engine.
pub const IMAGE: &str = "bench";

/// Builds the payload's image on the node's engine.
pub fn build(node: &Node, base: &str) -> anyhow::Result<()> {
    let script = format!(
        r#"set -e; cd "$(mktemp -d)"; mkdir install
        printf '#!/bin/sh\ndate +%%s%%N\n' > install/begin # when it began, by the host's clock: also the engine's
        printf '#!/bin/true\n' > install/nothing
        printf '#!/bin/sh\nexec sleep infinity\n' > install/check # takes no lock: others can run beside it
        cat > install/pour <<'END'
{pour}
END
        chmod +x install/*
        printf 'FROM {base}\nCOPY install /install\n' > Dockerfile
        docker build -q -t {IMAGE} .; rm -r "$PWD""#,
        pour = include_str!("pour.sh"),
    );
    node.sh(&script)?.ok().map(drop).context("build the payload")
}

/// Runs a script in the node's bash, and returns the numbers that it prints, one line a round.
pub fn numbers(node: &Node, script: &str, arguments: &[&str]) -> anyhow::Result<Vec<Vec<f64>>> {
    let printed = node.exec([&["bash", "-c", script, "bench"], arguments].concat())?.ok()?;
    let line = |line: &str| line.split_whitespace().map(str::parse).collect();
    let lines: Result<_, _> = printed.lines().map(line).collect();
    lines.with_context(|| format!("the measurement printed {printed:?}"))
}
