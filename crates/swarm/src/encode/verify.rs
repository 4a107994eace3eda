//! What an older engine ignores without a word.

use serde_json::Value;

/// The first field that was sent and is not stored as it was sent: engines leave out what they do not know. What they
/// add is their own, and what is zero or empty they may leave out.
pub fn ignored(sent: &Value, stored: &Value) -> Option<String> {
    look(sent, stored, String::new())
}

fn look(sent: &Value, stored: &Value, path: String) -> Option<String> {
    match (sent, stored) {
        (sent, Value::Null) if is_nothing(sent) => None,
        (Value::Object(fields), _) => fields.iter().find_map(|(name, value)| {
            look(value, stored.get(name).unwrap_or(&Value::Null), format!("{path}/{name}"))
        }),
        (Value::Array(sent), Value::Array(stored)) if sent.len() == stored.len() => {
            let mut pairs = sent.iter().zip(stored).enumerate();
            pairs.find_map(|(index, (sent, stored))| look(sent, stored, format!("{path}/{index}")))
        }
        _ => (sent != stored).then_some(path),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_engine_left_out_is_named() {
        let sent = json!({ "Name": "x", "Mode": { "ReplicatedJob": { "TotalCompletions": 1 } }, "Env": ["a=b"], "Zero": 0 });
        let table = [
            (
                json!({ "Name": "x", "Mode": { "ReplicatedJob": { "TotalCompletions": 1 } }, "Env": ["a=b"], "More": 1 }),
                None,
            ),
            (
                json!({ "Name": "x", "Mode": {}, "Env": ["a=b"] }),
                Some("/Mode/ReplicatedJob/TotalCompletions"),
            ),
            (json!({ "Name": "x", "Mode": { "ReplicatedJob": { "TotalCompletions": 1 } } }), Some("/Env")),
            (
                json!({ "Name": "x", "Mode": { "ReplicatedJob": { "TotalCompletions": 1 } }, "Env": ["a=c"] }),
                Some("/Env/0"),
            ),
        ];
        for (stored, field) in table {
            assert_eq!(ignored(&sent, &stored).as_deref(), field, "{stored}");
        }
    }
}
