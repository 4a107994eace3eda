//! The mark of an agent without gates: that it was about to offer its try.
//!
//! Swarm starts the failed task of a job again when another manager leads, and a host may have lost its state directory by then. So the
//! try is remembered in a second place, which goes only with the node itself: the engine's own directory, where the node's identity
//! lies, too. An empty volume of the engine's is that mark.

use crate::say::say;
use careen_contract::{TransactionId, chain, label};
use careen_engine::{ApiPath, Engine, EngineError};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

/// What a mark is called in front of its try.
const PREFIX: &str = "careen-try-";

/// So long a mark of another rollout stays: by then its services are gone, and nobody starts its agents again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default, deserialize_with = "or_empty")]
    volumes: Vec<Volume>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    created_at: Option<String>,
}

/// An engine without volumes says null.
fn or_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Volume>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn name(id: &TransactionId) -> String {
    format!("{PREFIX}{id}")
}

/// Whether an agent was about to offer this try.
pub fn is_there(engine: &Engine, id: &TransactionId) -> Result<bool, EngineError> {
    engine.has_volume(&name(id))
}

/// Leaves the mark, and takes those away that are older than a day.
pub fn leave(engine: &Engine, id: &TransactionId, rollout: &str) -> Result<(), EngineError> {
    engine.create_volume(&name(id), &json!({ label::ROLLOUT: rollout }))?;
    if let Err(error) = sweep(engine, id) {
        say(format_args!("old marks stay among the engine's volumes: {}", chain(&error)));
    }
    Ok(())
}

fn sweep(engine: &Engine, id: &TransactionId) -> Result<(), EngineError> {
    let listed: Listed = engine.get(&ApiPath::volumes(&json!({ "name": [PREFIX] })))?;
    let old = old(&listed.volumes, &name(id), Timestamp::now());
    old.into_iter().try_for_each(|name| engine.remove_volume_if_there(name))
}

fn old<'a>(all: &'a [Volume], own: &str, now: Timestamp) -> Vec<&'a str> {
    let is_old = |volume: &&Volume| {
        let created = volume.created_at.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let age = created.map(|created| now.duration_since(created));
        volume.name.starts_with(PREFIX) && volume.name != own && age.is_some_and(|age| age > KEPT)
    };
    all.iter().filter(is_old).map(|volume| volume.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_marks_of_other_tries_are_swept() {
        let listed: Listed = serde_json::from_str(
            r#"{"Volumes":[
                {"Name":"careen-try-a-n-g1","CreatedAt":"2026-11-20T10:00:00Z"},
                {"Name":"careen-try-b-n-g1","CreatedAt":"2026-11-27T10:00:00+01:00"},
                {"Name":"careen-try-own-n-g1","CreatedAt":"2026-11-20T10:00:00Z"},
                {"Name":"careen-try-c-n-g1"},
                {"Name":"data","CreatedAt":"2020-01-01T00:00:00Z"}],"Warnings":null}"#,
        )
        .unwrap();
        let now = "2026-11-27T12:00:00Z".parse().unwrap();
        assert_eq!(old(&listed.volumes, "careen-try-own-n-g1", now), ["careen-try-a-n-g1"]);
        let none: Listed = serde_json::from_str(r#"{"Volumes":null}"#).unwrap();
        assert!(none.volumes.is_empty());
    }
}
