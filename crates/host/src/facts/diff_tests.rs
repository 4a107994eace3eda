//! Tests of the difference, kept apart: they need whole facts.

use super::super::{EngineFacts, Kernel, Os, PackageManager};
use super::*;

fn packages(installed: &[(&str, &str)]) -> Packages {
    let installed = installed.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect();
    Packages { manager: PackageManager::Dpkg, installed, broken: BTreeMap::new() }
}

fn host(installed: &[(&str, &str)]) -> Facts {
    Facts { packages: Some(packages(installed)), ..Facts::default() }
}

fn break_package(facts: &mut Facts, name: &str, version: &str) {
    let packages = facts.packages.as_mut().unwrap();
    packages.installed.remove(name);
    let broken = Broken { version: version.into(), state: "half-configured".into() };
    packages.broken.insert(name.into(), broken);
}

#[test]
fn packages_are_added_removed_and_changed() {
    let before = host(&[("bash", "5.1"), ("old", "1"), ("same", "1")]);
    let after = host(&[("bash", "5.2"), ("new", "1"), ("same", "1")]);
    let diff = FactsDiff::between(&before, &after);
    assert_eq!(
        diff.to_string(),
        "packages: 1 changed, 1 added, 1 removed\n  bash 5.1 → 5.2\n  + new 1\n  - old 1"
    );
    assert!(FactsDiff::between(&after, &after).is_empty());
    assert_eq!(FactsDiff::between(&after, &after).to_string(), "nothing changed");
}

#[test]
fn what_matters_is_said_in_one_line() {
    let (mut before, mut after) =
        (host(&[("bash", "5.1"), ("old", "1")]), host(&[("bash", "5.2"), ("new", "1")]));
    assert_eq!(FactsDiff::between(&before, &after).in_short().unwrap(), "3 packages");
    assert_eq!(FactsDiff::between(&after, &after).in_short(), None);
    before.engine.installed.engine = Some("26.1.5".into());
    after.engine.installed.engine = Some("28.5.2\u{1b}".into());
    let waits = FactsDiff::between(&before, &after).in_short().unwrap();
    assert_eq!(waits, "3 packages, docker 26.1.5 → 28.5.2\u{fffd} (installed, and not running yet)");
    before.engine.running.engine = Some("26.1.5".into());
    after.engine.running.engine = Some("28.5.2".into());
    (before.boot_id, after.boot_id) = (Some("a".into()), Some("b".into()));
    let all = FactsDiff::between(&before, &after).in_short().unwrap();
    assert_eq!(all, "3 packages, docker 26.1.5 → 28.5.2, rebooted");
    let one = FactsDiff::between(&host(&[("bash", "5.1")]), &host(&[("bash", "5.2")]));
    assert_eq!(one.in_short().unwrap(), "1 package");
}

#[test]
fn versions_side_by_side_come_and_go_on_their_own() {
    let diff = FactsDiff::between(&host(&[("kernel", "5-1 5-2")]), &host(&[("kernel", "5-2 5-3")]));
    assert_eq!((diff.added["kernel"].as_str(), diff.removed["kernel"].as_str()), ("5-3", "5-1"));
    assert!(diff.changed.is_empty());
}

#[test]
fn a_package_that_an_upgrade_left_half_configured_is_broken_and_not_removed() {
    let before = host(&[("docker.io", "20.10")]);
    let mut after = host(&[]);
    break_package(&mut after, "docker.io", "26.1");
    let diff = FactsDiff::between(&before, &after);
    assert!(diff.removed.is_empty());
    assert_eq!(diff.changed["docker.io"], Change::new("20.10", "26.1"));
    assert_eq!(diff.broken["docker.io"].state, "half-configured");
    let mended = FactsDiff::between(&after, &host(&[("docker.io", "26.1")]));
    assert_eq!((mended.mended.len(), mended.changed.len(), mended.broken.len()), (1, 0, 0));
}

#[test]
fn only_the_first_twenty_packages_are_named() {
    let names: Vec<String> = (10..45).map(|number| format!("p{number}")).collect();
    let list = |version: &'static str| -> Vec<(&str, &str)> {
        names.iter().map(|name| (name.as_str(), version)).collect()
    };
    let text = FactsDiff::between(&host(&list("1")), &host(&list("2"))).to_string();
    assert_eq!(text.lines().count(), 22);
    assert_eq!(text.lines().nth(20), Some("  p29 1 → 2"));
    assert_eq!(text.lines().last(), Some("  and 15 more"));
}

#[test]
fn a_record_names_as_many_packages_as_it_has_room_for() {
    let names: Vec<String> = (10..45).map(|number| format!("p{number}")).collect();
    let list = |version: &'static str| -> Vec<(&str, &str)> {
        names.iter().map(|name| (name.as_str(), version)).collect()
    };
    let diff = FactsDiff::between(&host(&list("1")), &host(&list("2")));
    assert_eq!(diff.within(2000).lines().count(), 36);
    for room in [100, 200, 300] {
        let text = diff.within(room);
        assert!(text.chars().count() <= room && text.lines().last().unwrap().ends_with(" more"), "{text}");
    }
}

#[test]
fn what_runs_afterwards_is_no_change() {
    let versions = |engine: &str| EngineVersions { engine: Some(engine.into()), ..EngineVersions::default() };
    let mut after = host(&[("a", "1")]);
    after.engine.installed = versions("28.5.2");
    after.kernel.running = Some("6.1.0-9-amd64".into());
    let diff = FactsDiff::between(&after, &after);
    assert!(diff.is_empty());
    assert_eq!(diff.ends_with.line().unwrap(), "ends with: kernel 6.1.0-9-amd64, engine 28.5.2");
    after.engine.running = versions("26.1.5");
    assert_eq!(after.versions().engine.as_deref(), Some("26.1.5"), "what runs counts");
}

#[test]
fn kernels_that_run_and_that_wait() {
    let kernel = |running: &str, newest: &str| Facts {
        kernel: Kernel { running: Some(running.into()), newest_installed: Some(newest.into()) },
        boot_id: Some(running.into()),
        ..Facts::default()
    };
    let old = kernel("6.1.0-9-amd64", "6.1.0-9-amd64");
    let waiting = kernel("6.1.0-9-amd64", "6.1.0-10-amd64");
    let booted = kernel("6.1.0-10-amd64", "6.1.0-10-amd64");
    let said = |before: &Facts, after: &Facts| FactsDiff::between(before, after).to_string();
    assert_eq!(said(&old, &waiting), "kernel: 6.1.0-10-amd64 is installed and waits for a reboot");
    assert_eq!(said(&old, &booted), "kernel: 6.1.0-9-amd64 → 6.1.0-10-amd64");
    assert_eq!(said(&waiting, &waiting), "nothing changed", "what waited before is no change");
    let again = Facts { boot_id: Some("another".into()), ..old.clone() };
    assert_eq!(said(&old, &again), "the host booted, with the same kernel");
}

#[test]
fn engines_and_what_ran_on_them() {
    let versions = |engine: &str| EngineVersions { engine: Some(engine.into()), ..EngineVersions::default() };
    let container =
        |name: &str, running| PlainContainer { name: name.into(), image: "nginx".into(), running };
    let host = |running: &str, installed: &str, web| Facts {
        engine: EngineFacts { running: versions(running), installed: versions(installed) },
        containers: Some(vec![container("web", web), container("off", false)]),
        ..Facts::default()
    };
    let (old, new) = (host("20.10", "20.10", true), host("26.1", "26.1", false));
    let said = FactsDiff::between(&old, &new).to_string();
    assert_eq!(said, "engine: 20.10 → 26.1\ncontainer web (nginx) ran and does not");
    let said = FactsDiff::between(&old, &host("20.10", "26.1", true)).to_string();
    assert_eq!(said, "engine on the disk: 20.10 → 26.1");
    let mut down = host("20.10", "20.10", true);
    down.engine.running = EngineVersions::default();
    down.containers = None;
    let said = FactsDiff::between(&old, &down).to_string();
    assert_eq!(said, "engine: 20.10 → none\nnot known before or after, so not compared: containers");
}

#[test]
fn what_is_unknown_is_not_compared() {
    let diff = FactsDiff::between(&host(&[("bash", "1")]), &Facts::default());
    assert!(diff.is_empty());
    assert_eq!(diff.not_compared, ["packages"]);
    assert!(FactsDiff::between(&Facts::default(), &Facts::default()).not_compared.is_empty());
}

#[test]
fn a_release_is_told_and_no_escape_sequence_passes() {
    let release = |version: &str, name: &str| Facts {
        os: Some(Os { id: "x".into(), version_id: Some(version.into()), pretty_name: name.into() }),
        ..Facts::default()
    };
    let said = |before: &Facts, after: &Facts| FactsDiff::between(before, after).to_string();
    assert_eq!(said(&release("1", "A"), &release("2", "\u{1b}[2JB")), "system: A → \u{fffd}[2JB");
    assert_eq!(said(&release("1", "A"), &release("2", "A")), "system: A, another release");
}

#[test]
fn the_difference_is_read_as_it_was_written() {
    let mut after = host(&[("a", "2")]);
    break_package(&mut after, "b", "1");
    let diff = FactsDiff::between(&host(&[("a", "1")]), &after);
    let json = serde_json::to_string(&diff).unwrap();
    assert_eq!(serde_json::from_str::<FactsDiff>(&json).unwrap(), diff);
    assert!(json.contains(r#""changed":{"a":{"from":"1","to":"2"}}"#), "{json}");
}
