//! What is said about an upgrade, a line for each thing.

use crate::change::{Change, Simulation};
use crate::engine::Engine;
use crate::names;
use careen_contract::pending::Pending;
use careen_contract::report::Restart;

/// What would be done, or is done.
pub fn lines(simulation: &Simulation) -> Vec<String> {
    let changes = simulation.changes.iter().map(|change| {
        let origin = if change.origin.is_empty() { String::new() } else { format!(" ({})", change.origin) };
        match &change.from {
            Some(from) => format!("{} {from} -> {}{origin}", change.name, change.to),
            None => format!("{} {} is new{origin}", change.name, change.to),
        }
    });
    let removals = simulation.removals.iter().map(|one| format!("{} {} is removed", one.name, one.version));
    changes.chain(removals).collect()
}

/// The same for programs. Sizes and what speaks against it are not known here.
pub fn pending(simulation: &Simulation, engine: &Engine) -> Pending {
    let any = |is: &dyn Fn(&str) -> bool| simulation.changes.iter().any(|change| is(&change.name));
    let engine = any(&|name| engine.has(name)).then_some(Restart::Engine);
    let reboot = any(&names::wants_reboot).then_some(Restart::Reboot);
    let is_new_to_us = engine.is_none() && reboot.is_none() && !simulation.is_empty();
    Pending {
        packages: Some((simulation.changes.len() + simulation.removals.len()) as u64),
        security: Some(simulation.changes.iter().filter(|change| is_security(change)).count() as u64),
        // What scripts of other packages do, nobody knows.
        restarts: (!is_new_to_us).then(|| engine.into_iter().chain(reboot).collect()),
        names: lines(simulation),
        ..Pending::default()
    }
}

/// Whether a security archive has it: Debian's says so in its label, Ubuntu's in its suite.
pub fn is_security(change: &Change) -> bool {
    change.origin.to_lowercase().contains("security")
}

/// `11 packages, 1 removed`.
pub fn total(simulation: &Simulation) -> String {
    let packages = match simulation.changes.len() {
        1 => "1 package".to_owned(),
        n => format!("{n} packages"),
    };
    match simulation.removals.len() {
        0 => packages,
        n => format!("{packages}, and {n} removed"),
    }
}

/// What stays although there may be something newer, and why; nothing when there is nothing.
pub fn kept(held: &[String], engine: &[String], simulation: &Simulation) -> Vec<String> {
    let other = |name: &&String| !held.contains(name) && !engine.contains(name);
    let others: Vec<String> = simulation.kept_back.iter().filter(other).cloned().collect();
    let line =
        |names: &[String], why: &str| (!names.is_empty()).then(|| format!("{why}: {}", names.join(" ")));
    let lines = [
        line(held, "held on this host, and left as they are"),
        line(engine, "the engine is left as it is (--engine upgrades it)"),
        line(&others, "kept back by the package manager (pins, phases, or something else missing)"),
    ];
    lines.into_iter().flatten().collect()
}

/// What nobody can know before it is there.
pub fn unknown(simulation: &Simulation, engine: &Engine) -> Option<String> {
    let names = engine.unknown(simulation);
    let names = (!names.is_empty()).then(|| names.join(" "))?;
    Some(format!(
        "new on this host, so nobody knows before whether their scripts restart the engine: {names}"
    ))
}

/// A size for people.
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Removal};

    #[test]
    fn a_page_says_what_happens_and_what_does_not() {
        let change = |name: &str, from: Option<&str>| Change {
            name: name.into(),
            from: from.map(Into::into),
            to: "2".into(),
            origin: "Debian:12".into(),
        };
        let simulation = Simulation {
            changes: vec![change("vim", Some("1")), change("new", None)],
            removals: vec![Removal { name: "old".into(), version: "1".into() }],
            kept_back: vec!["a".into(), "b".into()],
            ..Simulation::default()
        };
        let expected = ["vim 1 -> 2 (Debian:12)", "new 2 is new (Debian:12)", "old 1 is removed"];
        assert_eq!(lines(&simulation), expected);
        assert_eq!(total(&simulation), "2 packages, and 1 removed");
        let told = pending(&simulation, &Engine::default());
        assert_eq!((told.packages, told.security, told.restarts), (Some(3), Some(0), None));
        let mut of_security = simulation.clone();
        of_security.changes[0].origin = "Debian-Security:12/oldstable-security".into();
        of_security.changes[1].name = "linux-image-6.1.0-31-amd64".into();
        let told = pending(&of_security, &Engine::default());
        assert_eq!((told.security, told.restarts), (Some(1), Some(vec![Restart::Reboot])));
        let nothing = pending(&Simulation::default(), &Engine::default());
        assert_eq!((nothing.packages, nothing.restarts), (Some(0), Some(Vec::new())));
        let new = unknown(&simulation, &Engine::default()).unwrap();
        assert!(new.ends_with("restart the engine: new"), "{new}");
        let kept = kept(&["a".into()], &[], &simulation);
        assert!(kept.len() == 2 && kept[0].ends_with(": a") && kept[1].ends_with(": b"), "{kept:?}");
    }
}
