//! Rollouts under trouble, on a swarm of three managers and a worker with a service that runs throughout: controllers that
//! are killed or frozen, nodes that die, managers that cannot be reached, operators who interfere.
//!
//! What takes minutes is ignored by default: tools/slow-test runs it.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

#[path = "../rollout/mod.rs"]
mod rollout;

mod dead;
mod interference;
mod killed;
mod locks;
mod members;
mod support;
mod unreachable;

use rollout::Scene;

/// n1, n2 and n3 are managers, n4 is a worker.
fn scene() -> Scene {
    Scene::new("steady", 3, 1)
}
