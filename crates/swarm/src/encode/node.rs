//! Nodes.

use careen_planner::observed::Availability;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A node's spec with other labels and another availability.
pub fn node_spec(
    spec: &Value,
    labels: &BTreeMap<String, Option<String>>,
    availability: Option<Availability>,
) -> Value {
    let mut spec = spec.clone();
    let mut all: Map<String, Value> =
        spec.get("Labels").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, value) in labels {
        match value {
            Some(value) => all.insert(name.clone(), value.clone().into()),
            None => all.remove(name),
        };
    }
    spec["Labels"] = all.into();
    if let Some(availability) = availability {
        spec["Availability"] = availability.word().into();
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_careens_is_changed() {
        let spec = json!({ "Name": "", "Labels": { "zone": "a", "careen.ask": "retry" }, "Role": "worker",
            "Availability": "active", "Mood": { "of": ["another", "version"] } });
        let labels = BTreeMap::from([
            ("careen.node".to_owned(), Some("1 k3x9 …".to_owned())),
            ("careen.ask".to_owned(), None),
        ]);
        let changed = node_spec(&spec, &labels, Some(Availability::Drain));
        let expected = json!({ "Name": "", "Labels": { "zone": "a", "careen.node": "1 k3x9 …" }, "Role": "worker",
            "Availability": "drain", "Mood": { "of": ["another", "version"] } });
        assert_eq!(changed, expected);
        assert_eq!(node_spec(&spec, &BTreeMap::new(), None), spec);
    }

    #[test]
    fn a_node_without_labels_gets_some() {
        let labels = BTreeMap::from([("a".to_owned(), Some("b".to_owned()))]);
        for none in [json!({ "Labels": null }), json!({})] {
            assert_eq!(node_spec(&none, &labels, None), json!({ "Labels": { "a": "b" } }));
        }
    }
}
