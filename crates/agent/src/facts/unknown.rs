//! Why a fact is not known.

/// In words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(pub String);
