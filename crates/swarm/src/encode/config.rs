//! careen's configs.

use crate::names;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use careen_contract::label;
use careen_planner::observed::ControllerPlace;
use careen_planner::{ControllerId, RolloutId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most that careen writes into one config. Swarm takes less than 1000 KiB.
pub const LARGEST: usize = 960 * 1024;

/// A new config.
pub fn config_spec(name: &str, labels: &BTreeMap<String, String>, data: &[u8]) -> Value {
    let mut labels = labels.clone();
    labels.insert(label::FORMAT.to_owned(), names::FORMAT.to_owned());
    json!({ "Name": name, "Labels": labels, "Data": BASE64_STANDARD.encode(data) })
}

/// A config's spec with other labels, or without some. Swarm refuses to change anything else of it.
pub fn with_labels(spec: &Value, labels: &BTreeMap<String, Option<String>>) -> Value {
    super::node_spec(spec, labels, None)
}

/// The labels of the lock: who holds it, where, for what. Without a holder it is given back, and the epoch stays.
pub fn lock_labels(
    epoch: u64,
    holder: Option<(&ControllerId, Option<&ControllerPlace>)>,
    rollout: &RolloutId,
    beat: u64,
) -> BTreeMap<String, Option<String>> {
    let held = |text: String| holder.map(|_| text);
    let place = |place: &ControllerPlace| json!(place).to_string();
    BTreeMap::from([
        (label::EPOCH.to_owned(), Some(epoch.to_string())),
        (label::HOLDER.to_owned(), holder.map(|(holder, _)| holder.0.clone())),
        (label::PLACE.to_owned(), holder.and_then(|(_, at)| at).map(place)),
        (label::ROLLOUT.to_owned(), held(rollout.to_string())),
        (label::BEAT.to_owned(), Some(beat.to_string())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use careen_contract::object;
    use careen_planner::NodeId;

    fn stored(spec: &Value) -> Value {
        json!({ "ID": "c", "Version": { "Index": 7 }, "CreatedAt": "2026-11-23T02:55:39.7Z", "Spec": spec })
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let id = RolloutId::parse("k3x9").unwrap();
        let me = ControllerId("c1".into());
        let some = |labels: BTreeMap<String, Option<String>>| -> BTreeMap<String, String> {
            labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
        };
        let place = ControllerPlace { node: NodeId("n1".into()), movable: true };
        let labels = lock_labels(3, Some((&me, Some(&place))), &id, 0);
        let spec = config_spec(object::LOCK, &some(labels), b"lock");
        let lock = decode::lock(&decode::config(&stored(&spec)).unwrap()).unwrap();
        assert_eq!((lock.epoch, lock.holder, lock.rollout), (3, Some(me), Some(id.clone())));
        assert_eq!(lock.place, Some(place));

        let given_back = with_labels(&spec, &lock_labels(3, None, &id, 1));
        let lock = decode::lock(&decode::config(&stored(&given_back)).unwrap()).unwrap();
        assert_eq!((lock.epoch, lock.holder, lock.rollout, lock.place), (3, None, None, None));
        assert_eq!(given_back["Data"], spec["Data"]);
    }
}
