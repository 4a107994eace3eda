//! What an agent and a supervisor decide, and nothing else: no files, no clock, no chance, no engine, no process.
//!
//! The shipped careen-agent and the simulator drive the same machines. A machine is told what happened (an event) and says
//! what is to be done (effects); whoever drives it carries that out and tells what came of it. Time and chance are
//! arguments. The states are drawn in docs/protocol.md, and a test compares them with the code.
//!
//! - [`gates`]: what a go is, and how an agent tells one from everything that only looks like one.
//! - [`go`]: a restart's go on its way from an agent to a supervisor, and how long it counts.
//! - [`agent`]: an agent's part in a rollout, from the look at its host to its last word.
//! - [`enforce`]: when an enforcing agent looks at its host, mends it, waits, and gives up.
//! - [`supervisor`]: what a supervisor does next: the host's lock, restarts and their gos, a cancel, a boot.

pub mod agent;
pub mod enforce;
pub mod gates;
pub mod go;
pub mod supervisor;
