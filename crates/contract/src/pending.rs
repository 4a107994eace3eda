//! What a payload's `check` may tell of what its command would do, as its result (`CAREEN_RESULT`): a plan that asks hosts says it.

use crate::answer::LONGEST_RESULT;
use crate::report::Restart;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What it takes to say how many names are left out.
const LONGEST_MORE: usize = r#","more":18446744073709551615"#.len();

/// What waits on a host. Every field may be missing: it is not known then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pending {
    /// How many packages, or whatever the payload counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<u64>,
    /// How many of them for the sake of security.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<u64>,
    /// How many bytes come over the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_bytes: Option<u64>,
    /// What is going to be restarted; empty: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Vec<Restart>>,
    /// Why the command would refuse to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What waits, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How many names are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

impl Pending {
    /// What a result tells; nothing where it is about something else.
    pub fn of(result: &Value) -> Option<Self> {
        result.is_object().then(|| serde_json::from_value(result.clone()).ok())?
    }

    /// As a result, with as many names as travel.
    pub fn text(mut self) -> Result<String, serde_json::Error> {
        let mut length = serde_json::to_string(&self)?.len();
        while length + LONGEST_MORE > LONGEST_RESULT
            && let Some(name) = self.names.pop()
        {
            // With the comma.
            length -= serde_json::to_string(&name)?.len() + 1;
            self.more += 1;
        }
        serde_json::to_string(&self)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_and_what_is_about_something_else_says_nothing() {
        let pending = Pending {
            packages: Some(2),
            restarts: Some(vec![Restart::Engine]),
            names: vec!["vim 1 -> 2".into()],
            ..Pending::default()
        };
        let value: Value = serde_json::from_str(&pending.clone().text().unwrap()).unwrap();
        assert_eq!(Pending::of(&value), Some(pending));
        assert_eq!(Pending::of(&json!({ "packages": 1, "later": [] })).unwrap().packages, Some(1));
        assert_eq!(Pending::of(&json!({ "pending": 3 })), Some(Pending::default()));
        for other in [json!(3), json!(null), json!({ "packages": "many" })] {
            assert_eq!(Pending::of(&other), None, "{other}");
        }
    }

    #[test]
    fn so_many_names_travel_as_fit() {
        let names: Vec<String> = (0..5000).map(|number| format!("package-{number} 1 -> \"2\"")).collect();
        let all = names.len() as u64;
        let text = Pending { packages: Some(all), names, ..Pending::default() }.text().unwrap();
        assert!(text.len() <= LONGEST_RESULT && text.len() > LONGEST_RESULT - 2000, "{}", text.len());
        let pending = Pending::of(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((pending.names.len() as u64 + pending.more, pending.packages), (all, Some(all)));
    }
}
