//! What the cases share: the lab, leases of its hosts, payloads, and waits.

mod gates;
mod image;
mod leaks;
mod lease;
mod run;
mod world;

pub use gates::{GATED, GATED_STATUS, Gates, lines};
pub use image::{File, Image, base as image_base};
pub use lease::{Host, Swarm};
pub use run::{Container, Ran, Run};

use careen_lab::{Poll, wait_until};
use std::time::Duration;

/// Long enough for anything that these tests wait for on two loaded cores; a wait that is over returns at once.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// One host of the lab, for this test alone.
pub fn host() -> Host {
    world::world().lease_host()
}

/// All hosts of the lab, for this test alone.
pub fn swarm() -> Swarm {
    world::world().lease_swarm()
}

/// Waits until `probe` gives a value; panics with the last thing it saw. `Err` means 'not yet, I see this'.
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(DEADLINE, what, probe)
}

/// As [`eventually`], for what takes longer.
pub fn eventually_within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let found = wait_until(what, limit, || Ok(probe().map_or_else(Poll::Pending, Poll::Ready)));
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// Fails with the text if it does not contain the part.
#[track_caller]
pub fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in:\n{text}");
}
