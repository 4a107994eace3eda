//! The engines of five hosts restarted one after the other, drained, while a service of six tasks runs on them.

use crate::careen::ONE_BY_ONE;
use crate::clock::{BEGIN, time};
use crate::error::{Error, Result};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use crate::scene::{HOSTS, Scene, with_waits};
use careen_lab::{Node, Poll, Seen, wait_until, while_watching};
use std::time::Duration;

pub const ABOUT: &str =
    "five engines restarted one by one, drained, beside a service: a script, Ansible, careen";

const PART: &str = "restart";
const LIMIT: Duration = Duration::from_secs(900);
const SERVICE_LIMIT: Duration = Duration::from_secs(120);

const SERVICE: &str = "bench-web";
const REPLICAS: usize = 6;

/// A service of one task, whose label asks for a second one before its node is drained.
const SINGLE: &str = "bench-single";

/// With a surge no task is missing.
const NOTHING: Bound = Bound::AtMost(0.0);

/// What careen may need beyond the floor for each node, in seconds.
const OVERHEAD: Bound = Bound::AtMost(8.0);

/// How much longer tasks may be missing than with the floor.
const MISSING: Bound = Bound::AtMost(1.1);

/// The seconds of a contender, and the replica-seconds that were missing meanwhile, round by round.
#[derive(Default)]
struct Contender {
    took: Vec<f64>,
    missing: Vec<f64>,
}

impl Contender {
    /// Lets it work while the service is watched. It finds the service as the others found it.
    fn go(&mut self, scene: &Scene, work: impl FnOnce() -> Result<f64>) -> Result<()> {
        fresh_service(scene)?;
        let engines = engines(scene)?;
        let (took, seen): (_, Seen) = while_watching(&scene.lab, SERVICE, REPLICAS, || {
            let took = work();
            // What the last node's drain has moved may still be on its way.
            complete_service(scene).and(took)
        });
        self.took.push(took?);
        assert_restarted(scene, &engines)?;
        self.missing.push(seen.missing);
        Ok(())
    }
}

pub fn measure(scene: &Scene) -> Result<Vec<Row>> {
    prepare(scene)?;
    let (mut floor, mut ansible, mut ours) =
        (Contender::default(), Contender::default(), Contender::default());
    for round in 1..=scene.rounds() {
        scene.progress.say(format!("{PART}: round {round}, the floor"));
        floor.go(scene, || by_script(scene))?;
        if scene.ansible.is_ok() {
            scene.progress.say(format!("{PART}: round {round}, Ansible"));
            ansible.go(scene, || by_ansible(scene))?;
        }
        scene.progress.say(format!("{PART}: round {round}, careen"));
        ours.go(scene, || by_careen(scene, &[]))?;
    }
    let mut rows = rows(scene, floor, ansible, ours);
    rows.extend(with_surge(scene)?);
    scene.manager()?.sh(&format!("docker service rm {SERVICE} {SINGLE}"))?.ok()?;
    Ok(rows)
}

/// The same by careen once more, with services that are scaled up before each drain.
fn with_surge(scene: &Scene) -> Result<Vec<Row>> {
    let (mut six, mut single) = (Contender::default(), Vec::new());
    for round in 1..=scene.rounds() {
        scene.progress.say(format!("{PART}: round {round}, careen with --surge"));
        fresh(scene, SINGLE, 1, "--label careen.surge=true")?;
        complete(scene, SINGLE, 1)?;
        let (done, seen): (_, Seen) =
            while_watching(&scene.lab, SINGLE, 1, || six.go(scene, || by_careen(scene, &["--surge"])));
        done?;
        single.push(seen.missing);
    }
    let missing = "replica-seconds missing: careen --surge";
    Ok(vec![
        Row::plain(PART, "careen --surge", "s", &Samples::of(six.took)),
        Row::judged(PART, missing, "s", &Samples::of(six.missing), NOTHING),
        Row::judged(PART, &format!("{missing}, a single task"), "s", &Samples::of(single), NOTHING),
    ])
}

fn rows(scene: &Scene, floor: Contender, ansible: Contender, ours: Contender) -> Vec<Row> {
    let [floor_took, ansible_took, careen_took] = [floor.took, ansible.took, ours.took].map(Samples::of);
    let [floor_missing, ansible_missing, careen_missing] =
        [floor.missing, ansible.missing, ours.missing].map(Samples::of);
    let nodes = f64::from(HOSTS);
    let a_node = |took: &Samples| took.beyond(&floor_took).by(nodes);
    let missing = "replica-seconds missing:";
    vec![
        Row::plain(PART, "script", "s", &floor_took),
        scene.ansible_row(PART, "Ansible", &ansible_took),
        Row::plain(PART, "careen", "s", &careen_took),
        scene.ansible_row(PART, "Ansible beyond the script, a node", &a_node(&ansible_took)),
        Row::judged(PART, "careen beyond the script, a node", "s", &a_node(&careen_took), OVERHEAD),
        Row::plain(PART, &format!("{missing} script"), "s", &floor_missing),
        scene.ansible_row(PART, &format!("{missing} Ansible"), &ansible_missing),
        Row::plain(PART, &format!("{missing} careen"), "s", &careen_missing),
        Row::judged(
            PART,
            &format!("{missing} careen by the script"),
            "×",
            &careen_missing.over(&floor_missing),
            MISSING,
        ),
    ]
}

/// The steps that script and playbook share lie on the manager, and the key with which it reaches the others.
fn prepare(scene: &Scene) -> Result<()> {
    let manager = scene.manager()?;
    let steps =
        scene.work.write("rolling.sh", &with_waits(include_str!("../../assets/rolling.sh")), 0o644)?;
    manager.cp_in(&steps, "/root/rolling.sh")?;
    manager.cp_in(scene.ssh.key(), KEY)?;
    scene.work.write("rolling.yml", include_str!("../../assets/rolling.yml"), 0o644)?;
    Ok(())
}

const KEY: &str = "/root/bench-key";

fn by_script(scene: &Scene) -> Result<f64> {
    let script = format!(". /root/rolling.sh\n{}", include_str!("../../assets/rolling-floor.sh"));
    let options = scene.ssh.options_with(KEY);
    let hosts: Vec<String> =
        scene.hosts().iter().map(|node| format!("{}={}", node.name(), node.ip())).collect();
    let fixed: [&str; 6] = ["bash", "-c", &script, "bench", BEGIN, &options];
    let words = fixed.into_iter().chain(hosts.iter().map(String::as_str));
    Ok(time("a rolling restart by script", LIMIT, &mut scene.manager()?.command(words))?.seconds())
}

fn by_ansible(scene: &Scene) -> Result<f64> {
    let playbook = scene.work.file("rolling.yml");
    Ok(scene.ansible()?.play("a rolling restart by Ansible", &playbook)?.seconds())
}

fn by_careen(scene: &Scene, flags: &[&str]) -> Result<f64> {
    let payload = ["run", "--image", &scene.payload, "--command", "restart"];
    Ok(scene.careen()?.rollout("a rolling restart by careen", &[&payload, &ONE_BY_ONE, flags])?.seconds())
}

/// The service made anew, so that its tasks are spread as they were for the others; and all hosts may have them, also behind a
/// contender that failed half way.
fn fresh_service(scene: &Scene) -> Result<()> {
    let hosts: Vec<String> = scene.hosts().iter().map(|host| host.name().to_string()).collect();
    let script = format!(
        "set -e
        for host in {}; do docker node update --availability active $host >/dev/null; done",
        hosts.join(" ")
    );
    scene.manager()?.sh(&script)?.ok()?;
    fresh(scene, SERVICE, REPLICAS, "")?;
    complete_service(scene)
}

fn fresh(scene: &Scene, service: &str, replicas: usize, flags: &str) -> Result<()> {
    let script = format!(
        "docker service rm {service} >/dev/null 2>&1 || :
        docker service create --detach --quiet --no-resolve-image --name {service} --replicas {replicas} {flags} \
          --constraint node.role==worker --entrypoint '/careen-agent gate' {}",
        scene.payload
    );
    scene.manager()?.sh(&script)?.ok()?;
    Ok(())
}

/// Which process is the engine of each host.
fn engines(scene: &Scene) -> Result<Vec<String>> {
    let of_host = |host: &Node| {
        let told = host.exec(["systemctl", "show", "--property=MainPID", "docker.service"])?.ok()?;
        Ok(told.trim().to_owned())
    };
    scene.hosts().into_iter().map(of_host).collect()
}

/// Each is another one by now.
fn assert_restarted(scene: &Scene, before: &[String]) -> Result<()> {
    let now = engines(scene)?;
    match before.iter().zip(&now).zip(scene.hosts()).find(|((before, now), _)| before == now) {
        None => Ok(()),
        Some(((_, seen), host)) => Err(Error::Unexpected {
            what: format!("the engine of {}", host.name()),
            expected: "another process than before".to_owned(),
            seen: seen.clone(),
        }),
    }
}

fn complete_service(scene: &Scene) -> Result<()> {
    complete(scene, SERVICE, REPLICAS)
}

fn complete(scene: &Scene, service: &str, replicas: usize) -> Result<()> {
    let manager = scene.manager()?;
    let all = format!("{replicas}/{replicas}");
    wait_until("all tasks of the service run", SERVICE_LIMIT, || {
        let filter = format!("name={service}");
        let seen =
            manager.exec(["docker", "service", "ls", "--filter", &filter, "--format", "{{.Replicas}}"])?;
        let seen = seen.ok()?.trim().to_owned();
        Ok(if seen == all { Poll::Ready(()) } else { Poll::Pending(seen) })
    })?;
    Ok(())
}
