//! The engine's configuration file, read as far as it can be without the engine's own judgement.

use serde_json::Value;

/// How the engine's configuration file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonJson {
    /// There is none, or one that is well.
    Well,
    /// It turns live-restore on.
    LiveRestore,
    /// An engine would not start with it.
    Invalid {
        /// Why.
        why: String,
    },
}

impl DaemonJson {
    /// From its text, and from what `dockerd --validate` said of it, where that could be asked (since 23.0).
    pub fn of(text: &str, refused: Option<String>) -> Self {
        let read = match serde_json::from_str::<Value>(text) {
            // An engine takes an empty file for none.
            Err(_) if text.trim().is_empty() => return Self::Well,
            Err(error) => return Self::Invalid { why: format!("it is no JSON: {error}") },
            Ok(read) => read,
        };
        match (&read, refused) {
            (Value::Object(_), Some(why)) => Self::Invalid { why },
            (Value::Object(keys), None) if keys.get("live-restore") == Some(&Value::Bool(true)) => {
                Self::LiveRestore
            }
            (Value::Object(_), None) => Self::Well,
            (_, _) => Self::Invalid { why: "it is no JSON object".to_owned() },
        }
    }
}
