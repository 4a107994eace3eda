//! Whether a simulated upgrade may be done, and what it will probably lead to.

use crate::change::{Change, Removal, Simulation};
use crate::engine::Engine;
use crate::names::{self, Part};
use crate::options::Options;
use crate::touches::How;

/// Why an upgrade is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host would lose what it cannot do without.
    #[error(
        "it would remove {} ({}). Nothing was changed. Find out what conflicts with it ('apt-get -s dist-upgrade' on \
         the host), and hold that back ('apt-mark hold NAME') or remove it",
        .0.name, .1.words()
    )]
    Removes(Removal, Part),
    /// The host would lose something, and nothing takes its place.
    #[error(
        "it would remove {} ({}), and nothing takes its place: something that comes conflicts with it. Nothing was changed. Say \
         --allow-removal {} if it may go, or find out what wants that ('apt-get -s dist-upgrade' on the host), and hold it back \
         ('apt-mark hold NAME')",
        .0.name, .0.version, names::plain(&.0.name)
    )]
    Loses(Removal),
    /// The engine is to be left alone, and the package manager would not.
    #[error(
        "it would upgrade {} ({} to {}), which belongs to the container engine{}. Nothing was changed. Say --engine, or \
         look which pin in /etc/apt/preferences wants that version",
        .0.name, .0.from.as_deref().unwrap_or("not installed"), .0.to, .1.as_ref().map(|how| format!(": {how}")).unwrap_or_default()
    )]
    TouchesEngine(Change, Option<How>),
}

/// Every reason against it.
pub fn judge(simulation: &Simulation, options: &Options, engine: &Engine) -> Vec<Refusal> {
    let lost = simulation.removals.iter().filter_map(|removal| match engine.part(&removal.name) {
        Some(part) => (!is_replaced(part, simulation)).then(|| Refusal::Removes(removal.clone(), part)),
        None => (!may_go(removal, simulation, options)).then(|| Refusal::Loses(removal.clone())),
    });
    let touched = simulation.changes.iter().filter(|change| !options.engine && engine.has(&change.name));
    let refusal = |change: &Change| {
        let how = engine.touches(&change.name).cloned();
        Refusal::TouchesEngine(change.clone(), how)
    };
    lost.chain(touched.map(refusal)).collect()
}

fn may_go(removal: &Removal, simulation: &Simulation, options: &Options) -> bool {
    let named = |name: &String| *name == removal.name || *name == names::plain(&removal.name);
    options.any_may_go || options.may_go.iter().any(named) || simulation.replaces(removal)
}

/// An old kernel that goes while a newer one comes leaves a host that boots: dnf keeps three.
fn is_replaced(part: Part, simulation: &Simulation) -> bool {
    part == Part::Kernel && simulation.brings_a_kernel()
}

/// Whether the engine or the host will have to be restarted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Restart {
    /// Very probably.
    Yes,
    No,
    /// Nobody knows before.
    Unknown,
}

impl Restart {
    /// The word that an agent reads; nothing for what nobody knows.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Yes => Some("yes"),
            Self::No => Some("no"),
            Self::Unknown => None,
        }
    }
}

/// What `prepare` tells: so that a node that will be restarted is drained before the work instead of behind it, and one
/// with nothing to do is not.
pub fn expect_restart(simulation: &Simulation, engine: &Engine, may_reboot: bool) -> Restart {
    let any = |is: &dyn Fn(&str) -> bool| simulation.changes.iter().any(|change| is(&change.name));
    if simulation.is_empty() {
        Restart::No
    } else if any(&|name| engine.has(name)) || may_reboot && any(&names::wants_reboot) {
        Restart::Yes
    } else {
        Restart::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Change {
        Change { name: name.into(), from: Some("1".into()), to: "2".into(), origin: String::new() }
    }

    fn simulation(changes: &[&str], removals: &[&str]) -> Simulation {
        let removal = |name: &&str| Removal { name: (*name).to_owned(), version: "1".into() };
        Simulation {
            changes: changes.iter().map(|name| change(name)).collect(),
            removals: removals.iter().map(removal).collect(),
            ..Simulation::default()
        }
    }

    fn refused(changes: &[&str], removals: &[&str], engine: bool) -> Vec<String> {
        let options = Options { engine, ..Options::default() };
        judge(&simulation(changes, removals), &options, &Engine::default())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_a_host_needs_is_not_removed() {
        for name in ["docker.io", "containerd", "openssh-server", "linux-image-amd64", "docker-ce:amd64"] {
            let why = refused(&["vim"], &[name], true);
            assert!(
                why.len() == 1 && why[0].contains(name) && why[0].contains("Nothing was changed"),
                "{why:?}"
            );
        }
        assert!(refused(&["kernel-core"], &["kernel-core"], false).is_empty(), "the oldest of three");
    }

    #[test]
    fn a_package_that_goes_without_another_in_its_place_goes_only_if_it_may() {
        let mut going = simulation(&["newlib"], &["keepalived", "libold:amd64"]);
        let names = |simulation: &Simulation, options: &str| -> Vec<String> {
            let options = Options::parse(options.split_whitespace().map(str::to_owned)).unwrap();
            judge(simulation, &options, &Engine::default()).iter().map(ToString::to_string).collect()
        };
        let why = names(&going, "");
        assert!(
            why.len() == 2 && why[0].contains("keepalived") && why[1].contains("--allow-removal libold ")
        );
        assert!(names(&going, "--allow-removals").is_empty());
        assert_eq!(names(&going, "--allow-removal keepalived").len(), 1);
        going.replaced.insert("libold".into());
        assert!(names(&going, "--allow-removal keepalived").is_empty());
        assert_eq!(names(&simulation(&[], &["docker.io"]), "--allow-removals").len(), 1, "never that");
        assert!(
            names(&simulation(&["kernel-modules"], &["kernel-modules"]), "").is_empty(),
            "the oldest of three"
        );
    }

    #[test]
    fn the_engine_is_touched_with_its_flag_alone() {
        assert!(refused(&["vim", "runc"], &[], false)[0].contains("would upgrade runc (1 to 2)"));
        assert!(refused(&["vim", "runc"], &[], true).is_empty());
    }

    #[test]
    fn a_package_of_another_name_that_touches_the_engine_is_of_it() {
        let names = How::Names { script: "postinst".into(), unit: "docker.service".into() };
        let touching = [("toolkit", names), ("acme-engine", How::Has("/usr/bin/dockerd".into()))];
        let engine = Engine::new(touching.map(|(name, how)| (name.to_owned(), how)).into());
        let judged = |changes: &[&str], removals: &[&str], options: &str| -> Vec<String> {
            let options = Options::parse(options.split_whitespace().map(str::to_owned)).unwrap();
            judge(&simulation(changes, removals), &options, &engine).iter().map(ToString::to_string).collect()
        };
        let why = judged(&["toolkit"], &[], "");
        assert!(
            why[0].contains("belongs to the container engine: its postinst names docker.service. "),
            "{why:?}"
        );
        assert!(judged(&["toolkit"], &[], "--engine").is_empty());
        assert_eq!(
            judged(&[], &["acme-engine"], "--allow-removals").len(),
            1,
            "the host would lose its engine"
        );
        assert!(judged(&[], &["toolkit"], "--allow-removals").is_empty());
        assert_eq!(expect_restart(&simulation(&["toolkit"], &[]), &engine, false), Restart::Yes);
    }

    #[test]
    fn a_restart_is_expected_where_the_packages_usually_lead_to_one() {
        let expect = |names: &[&str], may_reboot| {
            expect_restart(&simulation(names, &[]), &Engine::default(), may_reboot)
        };
        assert_eq!(expect(&[], true), Restart::No);
        assert_eq!(expect(&["vim"], true), Restart::Unknown);
        assert_eq!(expect(&["runc"], false), Restart::Yes);
        for name in ["linux-image-6.1.0-31-amd64", "libc6", "dbus", "kernel-core"] {
            assert_eq!(expect(&[name], true), Restart::Yes, "{name}");
            assert_eq!(expect(&[name], false), Restart::Unknown, "{name}: nobody may reboot it");
        }
    }
}
