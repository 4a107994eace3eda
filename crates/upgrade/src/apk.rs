//! apk's words: `apk upgrade --simulate`.

use crate::change::{Change, Removal, Simulation};

/// Reads the steps: `(1/3) Upgrading musl (1.2.4-r0 -> 1.2.4-r2)`, `Installing NAME (VERSION)`, `Purging NAME (VERSION)`.
pub fn simulation(text: &str) -> Simulation {
    let mut simulation = Simulation::default();
    for line in text.lines() {
        let Some((_, step)) = line.strip_prefix('(').and_then(|line| line.split_once(") ")) else { continue };
        let Some((word, rest)) = step.split_once(' ') else { continue };
        let Some((name, versions)) = rest.split_once(" (") else { continue };
        let (name, versions) = (name.to_owned(), versions.trim_end_matches(')'));
        let (from, to) = match versions.split_once(" -> ") {
            Some((from, to)) => (Some(from.to_owned()), to.to_owned()),
            None => (None, versions.to_owned()),
        };
        match word {
            "Purging" => simulation.removals.push(Removal { name, version: to }),
            "Upgrading" | "Installing" | "Downgrading" | "Replacing" | "Reinstalling" => {
                simulation.changes.push(Change { name, from, to, origin: String::new() });
            }
            _ => {}
        }
    }
    simulation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_read() {
        let simulation = simulation(include_str!("../testdata/apk-upgrade-simulate.txt"));
        let seen: Vec<_> = simulation
            .changes
            .iter()
            .map(|one| (one.name.as_str(), one.from.as_deref(), one.to.as_str()))
            .collect();
        let expected = [
            ("musl", Some("1.2.4-r0"), "1.2.4-r2"),
            ("docker-engine", Some("23.0.6-r2"), "23.0.6-r5"),
            ("ca-certificates-bundle", None, "20240226-r0"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(simulation.removals, [Removal { name: "libssl1.1".into(), version: "1.1.1w-r1".into() }]);
    }
}
