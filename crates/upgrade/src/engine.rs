//! What belongs to the container engine on one host: by name, and by what the installed packages bring.

use crate::change::Simulation;
use crate::names::{self, Part};
use crate::touches::{How, Touching};

/// The engine of one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engine {
    touching: Touching,
}

impl Engine {
    /// With what the installed packages bring.
    pub fn new(touching: Touching) -> Self {
        Self { touching }
    }

    /// Whether a package belongs to it.
    pub fn has(&self, name: &str) -> bool {
        names::is_engine(name) || self.touches(name).is_some()
    }

    /// How a package touches it whose name does not say so.
    pub fn touches(&self, name: &str) -> Option<&How> {
        self.touching.get(names::plain(name)).filter(|_| !names::is_engine(name))
    }

    /// The installed packages that touch it and are not known by name.
    pub fn further(&self) -> impl Iterator<Item = (&str, &How)> {
        self.touching.keys().filter_map(|name| Some((name.as_str(), self.touches(name)?)))
    }

    /// What a host must not lose. A package that only touches the engine may go as any other.
    pub fn part(&self, name: &str) -> Option<Part> {
        let piece = self.touches(name).and_then(|how| match how {
            How::Has(_) => Some(Part::Engine),
            How::Names { .. } => None,
        });
        names::part(name).or(piece)
    }

    /// What comes and was not there before: nobody knows what it brings until it is here. A kernel comes under a new name each
    /// time, and does not touch the engine.
    pub fn unknown<'a>(&self, simulation: &'a Simulation) -> Vec<&'a str> {
        let news = simulation.changes.iter().filter(|change| change.from.is_none());
        let names = news.map(|change| names::plain(&change.name));
        names.filter(|name| !self.has(name) && !names::is_kernel(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;

    #[test]
    fn what_a_package_brings_counts_beside_its_name() {
        let has = || How::Has("/usr/bin/dockerd".into());
        let names = How::Names { script: "postinst".into(), unit: "docker".into() };
        let touching = [("acme-engine", has()), ("toolkit", names), ("docker-ce", has())];
        let engine = Engine::new(touching.map(|(name, how)| (name.to_owned(), how)).into());
        for name in ["acme-engine", "toolkit:amd64", "docker-ce"] {
            assert!(engine.has(name), "{name}");
        }
        assert!(!engine.has("vim") && engine.touches("docker-ce").is_none());
        assert_eq!(engine.further().map(|(name, _)| name).collect::<Vec<_>>(), ["acme-engine", "toolkit"]);
        assert_eq!((engine.part("acme-engine"), engine.part("toolkit")), (Some(Part::Engine), None));
        assert!(!Engine::default().has("acme-engine"));
    }

    #[test]
    fn of_what_is_new_nobody_knows_what_it_brings() {
        let change = |name: &str, from: Option<&str>| Change {
            name: name.into(),
            from: from.map(Into::into),
            to: "2".into(),
            origin: String::new(),
        };
        let changes = vec![
            change("vim", Some("1")),
            change("libnew:amd64", None),
            change("linux-image-6.1.0-31-amd64", None),
            change("docker-ce-cli", None),
        ];
        let simulation = Simulation { changes, ..Simulation::default() };
        assert_eq!(Engine::default().unknown(&simulation), ["libnew"]);
    }
}
