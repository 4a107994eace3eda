//! How long a node has been held, and what follows. Pure.

use crate::render::text::span;
use careen_planner::on_hold::{Held, OnHold};
use serde::Serialize;

/// The same in JSON.
#[derive(Debug, Serialize)]
pub struct HeldJson {
    seconds: u64,
    limit_seconds: u64,
    then: OnHold,
}

/// What follows, and in how long.
pub fn then(held: &Held) -> String {
    match held.left().as_secs() {
        0 => format!("{} now", held.then.sentence()),
        left => format!("{} in {}", held.then.sentence(), span(left)),
    }
}

/// How long it has lasted, where more than a moment is known, and what follows.
pub fn lasted_and_then(held: &Held) -> String {
    match held.lasted.as_secs() {
        0 => then(held),
        lasted => format!("it has waited for {}; {}", span(lasted), then(held)),
    }
}

/// How long, in JSON.
pub const fn json(held: &Held) -> HeldJson {
    HeldJson { seconds: held.lasted.as_secs(), limit_seconds: held.limit.as_secs(), then: held.then }
}
