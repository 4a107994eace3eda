//! The agent's own lines, on standard error, told apart from the command's by their prefix.

use std::fmt;
use std::io::Write;

/// Prints one line of the agent's own. Nobody may be listening any more; that is no reason to stop.
pub fn say(message: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "careen: {message}");
}

/// An error and all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
