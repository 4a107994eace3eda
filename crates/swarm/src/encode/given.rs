//! Configs and secrets in a service's container.

use careen_planner::{Given, GivenFile};
use serde_json::{Value, json};

/// Puts the files into a container's spec. What there is none of is left out, so that engines need not know it.
pub fn add(container: &mut Value, given: &Given) {
    let configs: Vec<&GivenFile> = given.files.iter().chain(&given.configs).collect();
    if !configs.is_empty() {
        container["Configs"] = references("Config", &configs);
    }
    if !given.secrets.is_empty() {
        container["Secrets"] = references("Secret", &given.secrets.iter().collect::<Vec<_>>());
    }
}

/// References as the API has them: `kind` is `Config` or `Secret`.
pub fn references(kind: &str, files: &[&GivenFile]) -> Value {
    let reference = |file: &&GivenFile| {
        json!({
            "File": { "Name": file.target, "UID": file.uid, "GID": file.gid, "Mode": file.mode },
            format!("{kind}ID"): file.id,
            format!("{kind}Name"): file.name,
        })
    };
    files.iter().map(reference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_gets_the_payloads_files_and_what_was_asked_for() {
        let file = |name: &str, target: &str, mode| GivenFile {
            id: format!("id-{name}"),
            name: name.into(),
            target: target.into(),
            uid: "0".into(),
            gid: "0".into(),
            mode,
        };
        let given = Given {
            files: vec![file("careen.file.k3x9.1", "/install/install", 0o755)],
            configs: vec![file("app", "/app", 0o444)],
            secrets: vec![file("db", "password", 0o400)],
            ..Given::default()
        };
        let mut container = json!({});
        add(&mut container, &given);
        let expected = json!({
            "Configs": [
                { "File": { "Name": "/install/install", "UID": "0", "GID": "0", "Mode": 0o755 },
                  "ConfigID": "id-careen.file.k3x9.1", "ConfigName": "careen.file.k3x9.1" },
                { "File": { "Name": "/app", "UID": "0", "GID": "0", "Mode": 0o444 }, "ConfigID": "id-app", "ConfigName": "app" },
            ],
            "Secrets": [
                { "File": { "Name": "password", "UID": "0", "GID": "0", "Mode": 0o400 }, "SecretID": "id-db", "SecretName": "db" },
            ],
        });
        assert_eq!(container, expected);
        let mut none = json!({});
        add(&mut none, &Given::default());
        assert_eq!(none, json!({}));
    }
}
