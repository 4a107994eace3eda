//! What an enforcing agent leaves on its host of how it stands there. Read leniently: another version may have written it.

use careen_contract::facts::DriftFact;

/// Why a file tells nothing of drift.
#[derive(Debug, thiserror::Error)]
#[error("it is no JSON object with the texts 'name' and 'state'")]
pub struct InvalidDrift(#[source] serde_json::Error);

/// Reads one file.
pub fn drift(bytes: &[u8]) -> Result<DriftFact, InvalidDrift> {
    serde_json::from_slice(bytes).map_err(InvalidDrift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_state_are_enough_and_more_is_no_matter() {
        let whole = br#"{"name":"sysctl","version":"0a1b","state":"failing","at":7,"watch":{"kind":"watched"},"mended":3}"#;
        let expected = DriftFact {
            name: "sysctl".into(),
            version: Some("0a1b".into()),
            state: "failing".into(),
            at: Some(7),
        };
        assert_eq!(drift(whole).unwrap(), expected);
        let lean = drift(br#"{"name":"a","state":"in-sync"}"#).unwrap();
        assert!(lean.is_in_sync() && lean.version.is_none());
        for other in [&b""[..], b"{}", br#"{"name":"a"}"#, br#"{"state":1,"name":"a"}"#, b"[]"] {
            assert!(drift(other).is_err(), "{other:?}");
        }
    }
}
