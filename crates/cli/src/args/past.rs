//! Commands about what the swarm remembers: `history`, `show`, `ls`, `inspect`.

use crate::filter::{self, RunFilter};
use clap::Args;

/// `history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArgs {
    /// Check that no record was altered or removed since it was written, and print the hash of the newest
    #[arg(long)]
    pub verify: bool,
    /// The hash of a newest record as it was printed before and kept elsewhere: one of the records must have it
    #[arg(long, requires = "verify", value_parser = sha256, value_name = "SHA256")]
    pub head: Option<String>,
}

/// `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The rollout, by its id or the beginning of it
    pub run: String,
    /// This node alone, by id or host name, or the beginning of one
    pub node: Option<String>,
}

/// `ls`.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Print ids alone
    #[arg(long, short)]
    pub quiet: bool,
    /// Only rollouts that fit (status=failed, node=w2, image=NAME, command=NAME, by=USER, id=ID); can be repeated
    #[arg(long = "filter", short = 'f', value_parser = filter::parse, value_name = "KEY=VALUE")]
    pub filters: Vec<RunFilter>,
}

/// `inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// Rollouts, by their ids or the beginnings of them
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<String>,
}

/// A text that is no hash.
#[derive(Debug, thiserror::Error)]
#[error("it is sha256: with 64 hexadecimal digits, as 'careen history --verify' prints it")]
struct InvalidHash;

fn sha256(text: &str) -> Result<String, InvalidHash> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    let whole = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole { Ok(digits) } else { Err(InvalidHash) }
}
