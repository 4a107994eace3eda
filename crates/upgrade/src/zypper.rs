//! zypper's words: `zypper --xmlout list-updates`, and what `zypper update --dry-run` says that it would do.

use crate::change::{Change, Removal, Simulation};

/// Reads `zypper --xmlout list-updates`: an element `update` for each, with its data as attributes.
pub fn list_updates(text: &str) -> Simulation {
    let updates = text.split("<update ").skip(1).filter_map(|rest| {
        let element = rest.split_once('>').map_or(rest, |(element, _)| element);
        let source = rest.split("</update>").next().unwrap_or_default();
        Some(Change {
            name: attribute(element, "name")?,
            from: attribute(element, "edition-old"),
            to: attribute(element, "edition")?,
            origin: source
                .split("<source ")
                .nth(1)
                .and_then(|one| attribute(one, "alias"))
                .unwrap_or_default(),
        })
    });
    Simulation { changes: updates.collect(), ..Simulation::default() }
}

fn attribute(element: &str, name: &str) -> Option<String> {
    let padded = format!(" {element}");
    let (_, rest) = padded.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// Reads what `zypper update --dry-run` would do: headlines, and below each the names, indented.
pub fn dry_run(text: &str) -> Simulation {
    let mut simulation = Simulation::default();
    let mut headline = "";
    for line in text.lines() {
        let Some(names) = line.strip_prefix("  ") else {
            headline = line;
            continue;
        };
        // Patterns and products have names as well, which are no packages'.
        let about_packages = headline.contains("package");
        for name in names.split_whitespace().map(str::to_owned).filter(|_| about_packages) {
            if headline.contains("going to be REMOVED") {
                simulation.removals.push(Removal { name, version: String::new() });
            } else if headline.contains("will NOT be installed") || headline.contains("will not be upgraded")
            {
                simulation.kept_back.push(name);
            } else if headline.contains("going to be") {
                let (from, to, origin) = (None, String::new(), String::new());
                simulation.changes.push(Change { name, from, to, origin });
            }
        }
    }
    simulation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_with_their_versions() {
        let waiting = list_updates(include_str!("../testdata/zypper-list-updates.xml"));
        let first = Change {
            name: "containerd".into(),
            from: Some("1.7.21-150000.117.1".into()),
            to: "1.7.23-150000.120.1".into(),
            origin: "repo-sle-update".into(),
        };
        assert_eq!(waiting.changes.len(), 2);
        assert_eq!(waiting.changes[0], first);
        assert!(list_updates("<update-list></update-list>").is_empty());
    }

    #[test]
    fn a_dry_run_says_what_comes_and_what_goes() {
        let simulation = dry_run(include_str!("../testdata/zypper-update-dry-run.txt"));
        let comes: Vec<_> = simulation.changes.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(comes, ["libopenssl3", "openssl-3", "kernel-default-6.4.0-150600.23.33.1"]);
        assert_eq!(simulation.removals, [Removal { name: "docker".into(), version: String::new() }]);
        assert_eq!(simulation.kept_back, ["runc"]);
    }
}
