//! Packages upgraded on five hosts at once, from a repository that lies on each of them: one package, and all of them.

use crate::careen::{AT_ONCE, NO_RESTARTS};
use crate::clock::time;
use crate::error::{Error, Result};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::Scene;
use careen_lab::Node;
use std::process::Command;
use std::time::Duration;

pub const ABOUT: &str = "one package, and sixty, on five hosts at once: plain apt over ssh, Ansible, careen";

const PART: &str = "packages";
const LIMIT: Duration = Duration::from_secs(600);

/// How many packages the repository has.
const COUNT: u8 = 60;

/// The one that is upgraded alone.
const ONE: &str = "careen-bench-01";

const REPOSITORY: &str = "/srv/careen-bench";

/// The hosts know no other archive from now on: what is upgraded is the same in each round. `copy:` makes apt fetch as it does
/// from a server.
const KNOW_IT_ALONE: &str = "rm -rf /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] copy:/srv/careen-bench ./' >/etc/apt/sources.list
apt-get -qq update";

/// All packages in version 1.
const BACK: &str = "dpkg --force-downgrade --install /srv/careen-bench/*_1.deb >/dev/null 2>&1";

const APT: &str = "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && apt-get -qq -y";

/// What is upgraded, how each contender is told, and how careen is to stand beside plain apt.
struct Work {
    what: &'static str,
    apt: &'static str,
    ansible: &'static str,
    careen: &'static [&'static str],
    upgraded: u8,
    goal: Bound,
}

const WORKS: [Work; 2] = [
    Work {
        what: "one package",
        apt: "install --only-upgrade careen-bench-01",
        ansible: "name=careen-bench-01 state=latest only_upgrade=yes update_cache=yes",
        careen: &["--package", ONE],
        upgraded: 1,
        goal: Bound::AtMost(3.0),
    },
    Work {
        what: "60 packages",
        apt: "dist-upgrade",
        ansible: "upgrade=dist update_cache=yes",
        careen: &[],
        upgraded: COUNT,
        goal: Bound::AtMost(1.2),
    },
];

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    publish(scene)?;
    let mut rows = Vec::new();
    for work in &WORKS {
        let (mut apt, mut ansible, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=scene.rounds() {
            scene.progress.say(format!("{PART}: {}, round {round}", work.what));
            apt.push(upgraded(scene, work, plain_apt)?);
            if scene.ansible.is_ok() {
                ansible.push(upgraded(scene, work, by_ansible)?);
            }
            ours.push(upgraded(scene, work, by_careen)?);
        }
        rows.extend(compare(scene, work, &Samples::of(apt), &Samples::of(ansible), &Samples::of(ours)));
    }
    Ok(rows)
}

fn compare(scene: &Scene, work: &Work, apt: &Samples, ansible: &Samples, ours: &Samples) -> Vec<Row> {
    let what = work.what;
    let named = |name: &str| format!("{what}: {name}");
    let mut rows = vec![
        Row::plain(PART, &named("apt over ssh"), "s", apt),
        scene.ansible_row(PART, &named("Ansible apt"), ansible),
        Row::plain(PART, &named("careen upgrade"), "s", ours),
        Row::judged(PART, &named("careen by apt"), "×", &ours.over(apt), work.goal),
    ];
    if work.upgraded == COUNT && ansible.median().is_some() {
        let faster = Bound::Below(1.0);
        rows.push(Row::judged(PART, &named("careen by Ansible"), "×", &ours.over(ansible), faster));
    }
    rows
}

/// The repository on all hosts, and nothing else to upgrade from.
fn publish(scene: &Scene) -> Result<()> {
    scene.progress.say(format!("{PART}: a repository of {COUNT} packages on each host"));
    let local = scene.work.file("careen-bench");
    let mut make = Command::new("bash");
    make.args(["-c", include_str!("../../assets/make-packages.sh"), "bench"])
        .arg(&local)
        .arg(COUNT.to_string());
    let made = make.output().map_err(|source| Error::Spawn { what: "dpkg-deb".to_owned(), source })?;
    if !made.status.success() {
        let last = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(Error::Failed { what: "dpkg-deb".to_owned(), status: made.status.to_string(), last });
    }
    for host in scene.hosts() {
        host.sh(&format!("rm -rf {REPOSITORY}"))?.ok()?;
        host.cp_in(&local, REPOSITORY)?;
        host.sh(KNOW_IT_ALONE)?.ok()?;
    }
    Ok(())
}

/// The time of a contender that upgrades what it should, on hosts that have all packages in version 1.
fn upgraded(scene: &Scene, work: &Work, by: fn(&Scene, &Work) -> Result<f64>) -> Result<f64> {
    let hosts = scene.hosts();
    let back = format!("{BACK}; echo back");
    time("packages in version 1", LIMIT, &mut scene.ssh.everywhere(&hosts, &back))?;
    assert_upgraded(&hosts, 0)?;
    let took = by(scene, work)?;
    assert_upgraded(&hosts, work.upgraded)?;
    Ok(took)
}

fn plain_apt(scene: &Scene, work: &Work) -> Result<f64> {
    let script = format!("{APT} {} >/dev/null", work.apt);
    let mut command = scene.ssh.everywhere(&scene.hosts(), &script);
    Ok(time("apt over ssh", LIMIT, &mut command)?.seconds())
}

fn by_ansible(scene: &Scene, work: &Work) -> Result<f64> {
    let ansible = scene.ansible()?;
    Ok(ansible.ad_hoc("Ansible's module apt", "apt", work.ansible)?.seconds())
}

fn by_careen(scene: &Scene, work: &Work) -> Result<f64> {
    let upgrade = ["upgrade", "--image", &scene.image];
    Ok(scene.careen()?.rollout("careen upgrade", &[&upgrade, work.careen, &AT_ONCE, &NO_RESTARTS])?.seconds())
}

fn assert_upgraded(hosts: &[&Node], expected: u8) -> Result<()> {
    const COUNT_THEM: &str =
        "dpkg-query --show --showformat='${Version}\\n' 'careen-bench-*' | grep -c '^2$' || :";
    for host in hosts {
        let seen = host.sh(COUNT_THEM)?.ok()?.trim().to_owned();
        if seen != expected.to_string() {
            return Err(Error::Unexpected {
                what: format!("{} of the bench", host.name()),
                expected: format!("{expected} upgraded packages"),
                seen,
            });
        }
    }
    Ok(())
}
