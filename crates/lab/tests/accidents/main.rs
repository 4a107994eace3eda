//! Accidents on a host that waits for a go, on a swarm of three managers and a worker: none of them may be taken for the go, each is
//! explained, and after it the rollout and the next one end.
//!
//! `-- --nocapture` prints what the agent, the controller and `careen status` said to each. What takes minutes is ignored by
//! default: tools/slow-test runs it.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

#[path = "../rollout/mod.rs"]
mod rollout;

mod controller;
mod copies;
mod rejoin;
mod stage;
mod table;
mod waits;
mod words;

use stage::Stage;

/// n1, n2 and n3 are managers, n4 is a worker; the accidents happen on `node`, with a payload that expects a restart.
fn stage(node: &'static str) -> Stage {
    Stage::set("accidents", node)
}
