//! What keeps a rollout off a host, on a real swarm: hosts that are not fit, an image that is missing, tasks that cannot
//! move, and managers of an autolocked swarm.
//!
//! Needs what the lab needs, the image careen/installer (`make image`), and `careen` itself (`make build`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

#[path = "preflight/scene.rs"]
mod scene;

use careen_lab::{Poll, Progress, wait_until};
use scene::{LONG, SEEN, Scene, build};
use std::time::Duration;

const ALL_ACTIVE: &str = "n1 Active n2 Active n3 Active n4 Active ";

/// A package that must be reinstalled: nothing that dpkg can do with what it has.
const BREAK_DPKG: &str = "sed -i '/^Package: careen-test-hello$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status";
const MEND_DPKG: &str = "sed -i '/^Package: careen-test-hello$/,/^$/s/^Status: .*/Status: install ok installed/' /var/lib/dpkg/status";
const HALF_DPKG: &str = "sed -i '/^Package: careen-test-hello$/,/^$/s/^Status: .*/Status: install ok half-configured/' /var/lib/dpkg/status";

#[test]
fn a_host_that_is_not_fit_fails_before_anything_is_done_to_it() {
    let scene = Scene::new();
    scene.sh("n4", BREAK_DPKG);
    scene.sh("n4", r#"mkdir -p /etc/docker; echo '{"live-restore": true}' > /etc/docker/daemon.json"#);
    let refused = scene.run(&["--node", "n4", "--node", "n3", "--drain", "always", "--", "plain"]);
    assert_eq!(refused.status, 4, "{refused:?}");
    let why = scene.careen(&["why", "n4"]).stdout;
    for reason in ["preflight", "live-restore is on", "careen-test-hello is reinst-required"] {
        assert!(why.contains(reason), "{reason}: {why}");
    }
    assert_eq!((scene.ran("n4").as_str(), scene.availability().as_str()), ("", ALL_ACTIVE));

    // It goes on when the host is mended; a package that can be configured is not in the way.
    scene.sh("n4", HALF_DPKG);
    scene.sh("n4", "rm /etc/docker/daemon.json");
    let retry = scene.careen(&["retry", "n4"]);
    assert_eq!(retry.status, 0, "{retry:?}");
    assert_eq!(scene.await_end(), "done");
    assert_eq!([scene.ran("n3"), scene.ran("n4")], ["prepare install verify ", "prepare install verify "]);
    scene.sh("n4", MEND_DPKG);
}

#[test]
fn what_shows_at_an_engine_start_is_a_warning_where_none_is_ahead() {
    let scene = Scene::new();
    scene.sh("n4", r#"mkdir -p /etc/docker; echo '{"debug": tru' > /etc/docker/daemon.json"#);
    let quiet = ["--node", "n4", "--engine-restart", "never", "--reboot", "never", "--detach", "--", "plain"];
    assert_eq!(scene.run(&quiet).status, 0);
    assert_eq!(scene.await_end(), "done");
    let refused = scene.run(&["--node", "n4", "--node", "n3", "--", "plain"]);
    let why = scene.careen(&["why", "n4"]).stdout;
    assert_eq!(refused.status, 4, "{refused:?}");
    assert!(why.contains("it is no JSON"), "{why}");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end(), "aborted");
    let mended = scene.run(&["--node", "n4", "--allow-unfit-hosts", "--", "plain"]);
    assert_eq!(mended.status, 0, "{mended:?}");
}

/// What would only show later, and whoever else is about to act on the host, is said before anything is done to it.
#[test]
fn what_keeps_an_engine_down_and_who_else_acts_on_a_host_is_said() {
    let scene = Scene::new();
    // Its unit has -H fd://.
    scene.sh("n4", r#"mkdir -p /etc/docker; echo '{"hosts": ["unix:///run/careen-test.sock"], "deebug": true}' > /etc/docker/daemon.json"#);
    scene.sh("n4", "mkdir -p /run/systemd/shutdown; printf 'USEC=4102444800000000\\nMODE=reboot\\n' > /run/systemd/shutdown/scheduled");
    scene.sh("n4", "echo an-earlier-boot > /var/lib/docker/careen-boot; rm -f /var/lib/careen/boot");
    let refused = scene.run(&["--node", "n4", "--node", "n3", "--drain", "always", "--", "plain"]);
    let why = scene.careen(&["why", "n4"]).stdout;
    assert_eq!(refused.status, 4, "{refused:?}");
    for reason in [
        "hosts is both in /etc/docker/daemon.json and on the command line",
        "/etc/docker/daemon.json has deebug, which the installed dockerd does not know",
        "a shutdown of this host (reboot) is scheduled for 2100-01-01T00:00:00Z",
        "/var/lib/careen has lost what was written there in an earlier boot (an-earlier-boot)",
    ] {
        assert!(why.contains(reason), "{reason}: {why}");
    }
    assert_eq!((scene.ran("n4").as_str(), scene.availability().as_str()), ("", ALL_ACTIVE));
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end(), "aborted");

    scene.forget_others();
    let inhibitor = "WHAT=shutdown\\nMODE=block\\nUID=0\\nWHO=backup\\nWHY=nightly\\n";
    scene.sh(
        "n4",
        &format!("mkdir -p /run/systemd/inhibit; printf '{inhibitor}' > /run/systemd/inhibit/careen-test"),
    );
    let polite = ["--node", "n4", "--respect-inhibitors", "--detach", "--", "plain"];
    assert_eq!(scene.run(&polite).status, 0);
    let why = scene.await_hold("n4", "host-waits");
    assert!(why.contains("backup asks for no shutdown of this host (nightly)"), "{why}");
    scene.forget_others();
    assert_eq!(scene.await_end(), "done");
    assert_eq!(scene.ran("n4"), "prepare install verify ");
}

#[test]
fn an_image_that_is_missing_on_one_node_holds_that_node_until_it_is_there() {
    let scene = Scene::new();
    let image = build(&format!("missing-{}", std::process::id()));
    scene.lab.load(&image, Progress::quiet()).expect("loaded");
    scene.sh("n4", &format!("docker image rm --force {image}"));
    let run = ["run", "--image", &image, "--yes", "--monitor", "1s", "--detach"];
    let nodes = ["--node", "n4", "--node", "n3", "--", "plain"];
    let begun = scene.careen(&[&run[..], &nodes].concat());
    assert_eq!(begun.status, 0, "{begun:?}");
    let why = scene.await_hold("n4", "image-missing");
    let id = scene.sh("n1", &format!("docker image inspect -f '{{{{.Id}}}}' {image}"));
    assert!(why.contains("No such image"), "{why}");
    assert!(why.contains(&format!("docker save {} | ssh n4 docker load", id.trim())), "{why}");
    assert_eq!((scene.ran("n3").as_str(), scene.availability().as_str()), ("", ALL_ACTIVE));

    scene.lab.load(&image, Progress::quiet()).expect("loaded");
    assert_eq!(scene.await_end(), "done");
    for name in ["n3", "n4"] {
        assert_eq!(scene.ran(name), "prepare install verify ", "{name}");
    }
}

#[test]
fn a_plan_says_what_becomes_of_each_task_and_no_drain_hangs() {
    let scene = Scene::new();
    let gate = format!("--entrypoint '/careen-agent gate' {}", scene.image);
    let create = |options: &str| format!("docker service create -d -q --no-resolve-image {options} {gate}");
    scene.sh("n1", "docker node update --label-add data=yes n3; docker node update --label-add data=yes n4");
    scene.sh("n1", "docker node update --availability pause n3");
    scene.sh("n1", &create("--name pinned --constraint node.hostname==n4"));
    let volume = "--mount type=volume,source=data,target=/data --constraint node.labels.data==yes";
    scene.sh("n1", &create(&format!("--name movable {volume}")));
    await_on(&scene, "pinned", "n4");
    await_on(&scene, "movable", "n4");
    scene.sh("n1", "docker node update --availability active n3");
    for name in ["n1", "n4"] {
        scene
            .sh(name, &format!("docker run -d --name plain --entrypoint /careen-agent {} gate", scene.image));
    }

    let plan = scene.careen(&["plan", "--image", &scene.image, "--node", "n4", "--node", "n1"]);
    for line in [
        "pinned: cannot run elsewhere: down until this node is back",
        "movable: moves to n3, the only other node that fits, without its data in data",
        "would wait: movable would start elsewhere without its data in data",
        "containers of no service, which stop with the engine: plain",
    ] {
        assert!(plan.stdout.contains(line), "{line}: {plan:?}");
    }

    let drain = ["--node", "n4", "--drain", "always", "--", "plain"];
    assert_eq!(scene.run(&[&["--detach"], &drain[..]].concat()).status, 0);
    scene.await_hold("n4", "volume-would-move");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end(), "aborted");
    assert_eq!(scene.run(&[&["--detach", "--allow-volume-moves"], &drain[..]].concat()).status, 0);
    scene.await_hold("n4", "no-place");
    assert_eq!(
        scene.sh("n1", "docker node inspect -f '{{.Spec.Availability}}' n4"),
        "active\n",
        "it is not drained"
    );
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end(), "aborted");
    let ran = scene.run(&[&["--allow-volume-moves", "--allow-gaps"], &drain[..]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    await_on(&scene, "pinned", "n4");
    await_on(&scene, "movable", "n3");
    assert_eq!(
        scene.sh("n4", "docker inspect -f '{{.State.Running}}' plain"),
        "true\n",
        "no engine restart, no stop"
    );
    scene.sh("n1", "docker service rm pinned movable; docker rm -f plain");
    scene.sh("n4", "docker rm -f plain");
    both_tasks_of_a_service_can_be_spread(&scene, create, &drain);
}

/// They are on n4, and could be elsewhere.
fn both_tasks_of_a_service_can_be_spread(scene: &Scene, create: impl Fn(&str) -> String, drain: &[&str]) {
    scene.sh("n1", "docker node update --availability pause n3");
    scene.sh("n1", &create("--name two --replicas 2 --constraint node.labels.data==yes"));
    await_on(scene, "two", "n4");
    scene.sh("n1", "docker node update --availability active n3");
    assert_eq!(scene.run(&[&["--detach"], drain].concat()).status, 0);
    let why = scene.await_hold("n4", "at-zero");
    let told = "docker service update --force --detach two";
    assert!(why.contains(told), "{why}");
    scene.sh("n1", told);
    assert_eq!(scene.await_end(), "done");
    scene.sh("n1", "docker service rm two");
}

fn await_on(scene: &Scene, service: &str, node: &str) {
    let placed = wait_until(&format!("{service} runs on {node}"), LONG, || {
        let tasks = scene.sh(
            "n1",
            &format!("docker service ps --filter desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}' {service}"),
        );
        Ok(if tasks.starts_with(&format!("{node} Running")) { Poll::Ready(()) } else { Poll::Pending(tasks) })
    });
    placed.unwrap_or_else(|error| panic!("{error}"));
}

/// Makes the swarm ask for a key, and no more at the end, however the test ends.
struct Autolock<'a>(&'a Scene);

impl<'a> Autolock<'a> {
    fn on(scene: &'a Scene) -> Self {
        scene.sh("n1", "docker swarm update --autolock=true; docker swarm unlock-key -q > /run/key");
        Self(scene)
    }
}

impl Drop for Autolock<'_> {
    fn drop(&mut self) {
        self.0.sh("n1", "docker swarm update --autolock=false; rm -f /run/key; docker secret rm mine || :");
    }
}

#[test]
fn the_engine_of_an_autolocked_manager_is_restarted_with_the_key_and_nobody_sees_it() {
    let scene = Scene::new();
    let _autolock = Autolock::on(&scene);
    let plan = scene.careen(&["plan", "--image", &scene.image, "--node", "n2"]);
    assert_eq!(plan.status, 6, "{plan:?}");
    assert!(
        plan.stdout.contains("n2 would stay locked") && plan.stdout.contains("--unlock-key-file"),
        "{plan:?}"
    );
    scene.sh("n1", "echo SWMKEY-1-wrong > /run/wrong");
    let wrong = scene.run(&["--node", "n2", "--unlock-key-file", "/run/wrong"]);
    assert_eq!(wrong.status, 6, "{wrong:?}");
    assert!(wrong.stdout.contains("the unlock key is not this swarm's"), "{wrong:?}");

    scene.sh("n1", "docker secret create mine /run/key");
    let run = format!("careen run --image {} --yes --monitor 1s", scene.image);
    let ways = [
        ("n2", format!("{run} --node n2 --unlock-key-file /run/key")),
        ("n3", format!("CAREEN_UNLOCK_KEY=$(cat /run/key) {run} --node n3")),
        ("n2", format!("{run} --node n2 --unlock-key-secret mine")),
    ];
    for (name, way) in ways {
        let before = scene.sh(name, "rm -rf /run/careen-test; cat /run/docker.pid");
        let ran = scene.node("n1").sh(&way).expect("exec");
        assert_eq!(ran.status, 0, "{way}: {ran:?}");
        assert!(!format!("{ran:?}").contains("SWMKEY"), "{way}");
        assert_ne!(before, scene.sh(name, "cat /run/docker.pid"), "{way}: another engine process");
        assert_eq!(scene.sh(name, &format!("cat {SEEN}")), "0\n", "{way}: the key shows on the host");
        // The end is told while the last agents leave; then the key goes.
        let gone = wait_until("careen's secret is gone", Duration::from_secs(60), || {
            let secrets = scene.sh("n1", "docker secret ls --format '{{.Name}}'");
            Ok(if secrets == "mine\n" { Poll::Ready(()) } else { Poll::Pending(secrets) })
        });
        gone.unwrap_or_else(|error| panic!("{way}: {error}"));
    }
}

#[test]
fn an_autolocked_manager_is_rebooted_only_where_somebody_types_the_key() {
    let scene = Scene::new();
    let _autolock = Autolock::on(&scene);
    let flags = ["--node", "n3", "--reboot", "always", "--unlock-key-file", "/run/key"];
    let refused = scene.run(&[&flags[..], &["--", "plain"]].concat());
    assert_eq!(refused.status, 6, "{refused:?}");
    assert!(refused.stdout.contains("--unlock-by-hand"), "{refused:?}");

    let begun = scene.run(&[&flags[..], &["--unlock-by-hand", "--detach", "--", "plain"]].concat());
    assert_eq!(begun.status, 0, "{begun:?}");
    let why = scene.await_hold("n3", "unlock-needed");
    assert!(why.contains("docker swarm unlock"), "{why}");
    let key = scene.sh("n1", "cat /run/key");
    let unlocked = wait_until("n3 takes the key", LONG, || {
        let typed = scene.node("n3").sh(&format!("echo {} | docker swarm unlock", key.trim()))?;
        Ok(if typed.status == 0 { Poll::Ready(()) } else { Poll::Pending(typed.stderr) })
    });
    unlocked.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scene.await_end(), "done");
    assert_eq!(scene.availability(), ALL_ACTIVE);
}
