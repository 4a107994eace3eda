//! The JSON schema of the file (docs/careen.schema.json), which editors read: made of the same table as the reader, so that neither
//! knows a key that the other does not.

use super::keys::{Form, Keys, Meaning};
use super::{Cli, flags, yaml};
use clap::CommandFactory;
use serde_json::{Map, Value, json};
use std::path::Path;

fn document() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/careen.schema.json")
}

fn of_value(meaning: &Meaning) -> Value {
    let scalar = json!({ "type": ["string", "number"] });
    let field = || json!({ "type": ["string", "number"] });
    let of_form = match meaning.form {
        Form::Scalar if !meaning.values.is_empty() => json!({ "enum": meaning.values }),
        Form::Scalar => scalar,
        Form::Switch => json!({ "type": "boolean" }),
        Form::List => json!({ "oneOf": [scalar, { "type": "array", "items": scalar }] }),
        Form::Words => {
            json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": scalar, "minItems": 1 }] })
        }
        Form::Pairs => json!({ "oneOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
            { "type": "array", "items": { "type": "string" } },
        ] }),
        Form::Files => json!({ "type": "array", "items": { "oneOf": [
            { "type": "string" },
            { "type": "object", "additionalProperties": false, "required": ["source"], "properties": {
                "source": { "type": "string" }, "target": { "type": "string" },
                "uid": field(), "gid": field(), "mode": field(),
            } },
        ] } }),
    };
    let mut all = Map::from_iter([("description".to_owned(), meaning.help.as_str().into())]);
    if let Value::Object(of_form) = of_form {
        all.extend(of_form);
    }
    all.into()
}

/// Puts a key where its path leads.
fn put(section: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let properties = section["properties"].as_object_mut().unwrap();
    match rest {
        None => drop(properties.insert(first.to_owned(), value)),
        Some(rest) => {
            let empty =
                json!({ "type": ["object", "null"], "additionalProperties": false, "properties": {} });
            put(properties.entry(first).or_insert(empty), rest, value);
        }
    }
}

fn schema(keys: &Keys) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A rollout of careen",
        "description": "A rollout, for 'careen plan -f FILE' and 'careen run -f FILE'. Flags that are typed win.",
        "type": "object",
        "additionalProperties": false,
        "patternProperties": { "^x-(?!careen$)": true },
        "properties": {},
    });
    keys.all().for_each(|(path, meaning)| put(&mut schema, path, of_value(meaning)));
    schema
}

#[test]
fn the_schema_has_the_keys_of_the_reader_and_is_kept_with_the_screens() {
    let command = Cli::command();
    let text = serde_json::to_string_pretty(&schema(&Keys::of(&command))).unwrap() + "\n";
    let mut kept = std::fs::read_to_string(document()).unwrap_or_default();
    // Another test reads it meanwhile.
    if std::env::var_os("UPDATE_SCREENS").is_some() && kept != text {
        std::fs::write(document(), &text).unwrap();
        kept.clone_from(&text);
    }
    assert_eq!(kept, text, "UPDATE_SCREENS=1 keeps the schema as it is now");
}

/// Every path of the schema with its form.
fn paths(section: &Value, above: &str, found: &mut Vec<(String, Value)>) {
    for (name, value) in section["properties"].as_object().unwrap() {
        let path = format!("{above}{name}");
        if value["properties"].is_object() && value["description"].is_null() {
            paths(value, &format!("{path}."), found);
        } else {
            found.push((path, value.clone()));
        }
    }
}

#[test]
fn every_key_of_the_kept_schema_is_read() {
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(document()).unwrap()).unwrap();
    let (mut found, keys) = (Vec::new(), Keys::of(&Cli::command()));
    paths(&kept, "", &mut found);
    assert_eq!(found.len(), keys.all().count());
    assert!(found.len() > 30, "{found:?}");
    for (path, value) in found {
        let written = match () {
            () if value["type"] == "boolean" => "true".to_owned(),
            () if value["enum"].is_array() => value["enum"][0].to_string(),
            () if value["type"] == "array" || value["oneOf"][1]["type"] == "array" => "[one]".to_owned(),
            () => "one".to_owned(),
        };
        let parts: Vec<&str> = path.split('.').collect();
        let text = parts.iter().enumerate().map(|(depth, part)| format!("{}{part}:", "  ".repeat(depth)));
        let text = format!("{} {written}\n", text.collect::<Vec<_>>().join("\n"));
        let flags = flags::of(&yaml::parse(&text).unwrap(), &keys, Path::new("")).unwrap();
        assert_eq!(flags.len(), 1, "{text}");
    }
}
