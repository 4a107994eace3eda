//! Rollouts as an operator meets them: reboots everywhere, swarms of one and of two managers, managers that are kept drained,
//! engines of two releases, and calls that go nowhere.
//!
//! Each test says how large a lab it needs; they share those of one size. `CAREEN_TEST_LAB` is the beginning of their names.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod rollout;

use careen_lab::{Docker, Fault, Output, Poll, Role, Spec, wait_until, while_watching};
use rollout::{LONG, REPLICAS, Scene, of_node};
use serde_json::Value;
use std::time::Duration;

/// How long five hosts may take one after the other.
const VERY_LONG: Duration = Duration::from_secs(1200);

fn scene(suffix: &str, managers: u8, workers: u8, reboot_delay: u64) -> Scene {
    let base = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| "operator".to_owned());
    let mut spec = Spec::new(format!("{base}{suffix}").parse().expect("a name"));
    (spec.managers, spec.workers) = (Some(managers), Some(workers));
    spec.reboot_delay = Some(Duration::from_secs(reboot_delay));
    Scene::of(&spec)
}

fn names(scene: &Scene) -> Vec<String> {
    scene.lab.nodes().iter().map(|node| node.name().to_string()).collect()
}

fn of_each<T>(scene: &Scene, ask: impl Fn(&str) -> T) -> Vec<T> {
    names(scene).iter().map(|name| ask(name)).collect()
}

fn boot_ids(scene: &Scene) -> Vec<String> {
    of_each(scene, |name| scene.word(name, "cat /proc/sys/kernel/random/boot_id"))
}

fn engines(scene: &Scene) -> Vec<String> {
    of_each(scene, |name| scene.word(name, "cat /run/docker.pid"))
}

/// How often each host has come back by itself.
fn boots(scene: &Scene) -> Vec<u32> {
    let count = |name: &str| {
        let container = format!("careen-{}-{name}", scene.lab.name());
        let text = Docker::local().run(["inspect", "--format", "{{.RestartCount}}", &container]);
        text.expect("the node's container").trim().parse().expect("a number")
    };
    of_each(scene, count)
}

/// What any manager answers, the first one first; `None` while none does.
fn ask(scene: &Scene, script: &str) -> Option<String> {
    let mut managers = scene.lab.nodes().iter().filter(|node| node.role() == Role::Manager);
    managers.find_map(|node| node.sh(script).and_then(Output::ok).ok())
}

fn status(scene: &Scene) -> Value {
    let text = ask(scene, "careen status --format json").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Waits until no rollout is going on, whichever manager says so, and it ended well.
fn await_done(scene: &Scene) {
    let ended = wait_until("the rollout is over", VERY_LONG, || {
        let status = status(scene);
        Ok(match (&status["rollout"], &status["last"]) {
            (Value::Null, last) if last.is_object() => Poll::Ready(last.clone()),
            _ => Poll::Pending(status.to_string()),
        })
    });
    let last = ended.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(last["control"]["outcome"], "done", "{last}");
}

/// On which node the service runs in which the controller is.
fn controllers_node(scene: &Scene, rollout: &str) -> String {
    let script = format!(
        "docker service ps careen-controller-{rollout} -f desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}'"
    );
    let found = wait_until("the controller runs", LONG, || {
        let seen = ask(scene, &script).unwrap_or_default();
        Ok(match seen.split_once(' ') {
            Some((node, state)) if state.starts_with("Running") => Poll::Ready(node.to_owned()),
            _ => Poll::Pending(seen),
        })
    });
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// Each host was rebooted once, between the first attempt of the command and the second, and that was all.
fn assert_rebooted_once(scene: &Scene, ids: &[String], counts: &[u32]) {
    let (now, again) = (boot_ids(scene), boots(scene));
    for (index, name) in names(scene).iter().enumerate() {
        let attempts = scene.sh(name, "cat /var/tmp/careen-test-attempts");
        assert_eq!(attempts, format!("1 {}\n2 {}\n", ids[index], now[index]), "{name}");
        assert_eq!(again[index], counts[index] + 1, "{name} was booted once");
    }
}

fn assert_fails(scene: &Scene, node: &str, words: &[&str], code: i32, parts: &[&str]) {
    let text = scene.careen_on(node, words);
    assert_eq!(text.status, code, "{text:?}");
    for part in parts {
        assert!(text.stderr.contains(part), "'{part}' in {text:?}");
    }
    let json = scene.careen_on(node, &[words, &["--format", "json"]].concat());
    let error: Value = serde_json::from_str(json.stderr.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {json:?}"));
    assert_eq!((json.status, &error["exit"]), (code, &Value::from(code)), "{json:?}");
    assert!(error["error"].as_str().is_some_and(|text| text.contains(parts[0])), "{error}");
}

/// What a call that fails must not have changed.
fn swarm(scene: &Scene) -> String {
    let nodes = "docker node inspect -f '{{json .Spec}}' $(docker node ls -q)";
    scene.sh("n1", &format!("{nodes}; docker service ls -q; docker config ls -q"))
}

fn take_down(scene: &Scene) {
    careen_lab::down(scene.lab.name(), careen_lab::Progress::quiet()).expect("down");
}

#[test]
#[ignore = "slow: five reboots of 20 s each, one after the other (tools/slow-test)"]
fn every_host_is_rebooted_once_managers_one_at_a_time_and_the_controller_moves_out_of_the_way() {
    let scene = scene("", 3, 2, 20);
    let (ids, counts) = (boot_ids(&scene), boots(&scene));
    let plan = scene.careen(&["plan", "--image", &scene.image]);
    assert!(plan.stdout.contains("wave 5: 2 of 3 managers take part"), "{plan:?}");

    let (ran, seen) = while_watching(&scene.lab, "web", REPLICAS, || {
        std::thread::scope(|scope| {
            // Followed from a host that is rebooted itself.
            let followed = scope.spawn(|| scene.run(&["--", "reboot"]));
            the_controller_moves_away(&scene);
            await_done(&scene);
            followed.join().expect("it was followed")
        })
    });
    println!("{}{}\n{seen}", ran.stdout, ran.stderr);
    println!("{}", scene.careen(&["status"]).stdout);
    assert_rebooted_once(&scene, &ids, &counts);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    assert!(seen.most_managers_down <= 1 && seen.most_drained <= 1 && seen.most_down <= 1, "{seen}");
    // What one node had: at most half of four on five nodes.
    assert!(seen.least_running >= REPLICAS - 2, "{seen}");
}

/// Before the node on which the controller is has its turn.
fn the_controller_moves_away(scene: &Scene) {
    let rollout = wait_until("a rollout goes on", LONG, || {
        let status = status(scene);
        Ok(match status["rollout"]["id"].as_str() {
            Some(id) => Poll::Ready(id.to_owned()),
            None => Poll::Pending(status.to_string()),
        })
    });
    let rollout = rollout.unwrap_or_else(|error| panic!("{error}"));
    let first = controllers_node(scene, &rollout);
    let its_turn = wait_until("its node has its turn", VERY_LONG, || {
        let node = of_node(&status(scene), &first);
        Ok(match node["state"].as_str() {
            None | Some("pending" | "held") => Poll::Pending(node.to_string()),
            Some(_) => Poll::Ready(()),
        })
    });
    its_turn.unwrap_or_else(|error| panic!("{error}"));
    assert_ne!(controllers_node(scene, &rollout), first, "it has moved to another manager");
}

#[test]
#[ignore = "slow: two reboots, and a lock that has to be dead (tools/slow-test)"]
fn the_only_manager_is_rebooted_and_its_controller_comes_back_and_finishes() {
    let scene = scene("-one", 1, 1, 5);
    let (ids, counts) = (boot_ids(&scene), boots(&scene));
    let plan = scene.careen(&["plan", "--image", &scene.image]);
    let warning = "warning: n1 is the only manager: the swarm stands still while it is down";
    assert!(plan.stdout.contains(warning), "{plan:?}");
    let id = scene.start(&["--", "reboot"]);
    let plain = scene.sh("n1", "docker ps --format '{{.Names}}'");
    assert!(plain.contains(&format!("careen-controller-{id}")), "a plain container: {plain}");
    await_done(&scene);
    assert_rebooted_once(&scene, &ids, &counts);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    scene.await_web();
}

#[test]
fn a_swarm_of_one_host_is_rebooted_and_has_its_tasks_again() {
    let scene = scene("-alone", 1, 0, 5);
    let (ids, counts) = (boot_ids(&scene), boots(&scene));
    let plan = scene.careen(&["plan", "--image", &scene.image]);
    assert!(
        plan.stdout.contains(
            "web: cannot run elsewhere: down until this node is back (1 node not available for new tasks) (4 tasks)"
        ),
        "{plan:?}"
    );
    scene.start(&["--", "reboot"]);
    await_done(&scene);
    assert_rebooted_once(&scene, &ids, &counts);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
    scene.await_web();
}

#[test]
fn two_managers_are_refused() {
    let scene = scene("-two", 2, 0, 5);
    let before = swarm(&scene);
    for command in ["plan", "run"] {
        let mut words = vec![command, "--image", &scene.image];
        words.extend((command == "run").then_some("--yes"));
        assert_fails(&scene, "n1", &words, 6, &["refused", "nothing was changed"]);
        let refused = scene.careen(&words).stdout;
        let why =
            "without n2 only 1 of 2 managers would take part, 2 must; --allow-quorum-loss if you mean it";
        assert!(refused.contains(why), "{refused}");
    }
    assert_eq!(swarm(&scene), before);
}

#[test]
#[ignore = "slow: two engine restarts and two reboots (tools/slow-test)"]
fn two_managers_are_restarted_and_rebooted_where_the_loss_of_the_quorum_is_allowed() {
    let scene = scene("-two", 2, 0, 5);
    let engines_before = engines(&scene);
    let allowed = scene.run(&["--allow-quorum-loss"]);
    println!("{}{}", allowed.stdout, allowed.stderr);
    assert!(
        allowed.stdout.contains("the swarm loses its quorum while n2 is down, as allowed"),
        "{allowed:?}"
    );
    await_done(&scene);
    for (before, after) in engines_before.iter().zip(engines(&scene)) {
        assert_ne!(*before, after, "another engine process");
    }
    assert_eq!(of_each(&scene, |name| scene.ran(name)), ["prepare install verify "; 2]);

    let (ids, counts) = (boot_ids(&scene), boots(&scene));
    scene.start(&["--allow-quorum-loss", "--", "reboot"]);
    await_done(&scene);
    assert_rebooted_once(&scene, &ids, &counts);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

/// A manager that has lost the lead and has it again gives each job a task more, until another one leads (docs/swarm-facts.md).
#[test]
#[ignore = "slow: a swarm loses its quorum again and again (tools/slow-test)"]
fn agents_that_swarm_starts_twice_do_their_work_once() {
    // A lab of its own: such a swarm keeps containers of jobs that are long gone, which no drain stops.
    let scene = scene("-twins", 2, 0, 5);
    for name in names(&scene) {
        scene.sh(&name, "rm -f /run/careen-test/ran");
    }
    let twice = (1..=20).any(|round| {
        lose_the_quorum_for_a_moment(&scene);
        starts_jobs_twice(&scene, round)
    });
    assert!(twice, "this swarm starts each job once");
    let ran = scene.run(&["--allow-quorum-loss", "--", "plain"]);
    println!("{}{}", ran.stdout, ran.stderr);
    await_done(&scene);
    assert!(starts_jobs_twice(&scene, 21), "it did so until the end");
    assert_eq!(of_each(&scene, |name| scene.ran(name)), ["prepare install verify "; 2]);
    scene.assert_all_active();
    scene.assert_nothing_is_left();
}

/// The one that leads goes on alone for a moment: what is looked for wants it to lead again afterwards.
fn lose_the_quorum_for_a_moment(scene: &Scene) {
    let led = scene.word("n1", "docker node inspect self -f '{{.ManagerStatus.Leader}}'") == "true";
    let (stays, goes) = if led { ("n1", "n2") } else { ("n2", "n1") };
    let answers =
        |name: &str| scene.node(name).sh("timeout 20 docker node ls").is_ok_and(|listed| listed.status == 0);
    let becomes = |what: &str, is_so: &dyn Fn() -> bool| {
        let done = wait_until(what, LONG, || {
            Ok(if is_so() { Poll::Ready(()) } else { Poll::Pending("not yet".to_owned()) })
        });
        done.unwrap_or_else(|error| panic!("{error}"));
    };
    scene.fault(goes, Fault::Freeze);
    becomes("the swarm has no leader", &|| !answers(stays));
    scene.fault(goes, Fault::Thaw);
    becomes("the swarm has a leader", &|| answers(stays) && answers(goes));
}

/// Whether a job of one task for each of the two nodes gets more of them.
fn starts_jobs_twice(scene: &Scene, round: u32) -> bool {
    let create = format!(
        "docker service create -d -q --no-resolve-image --mode global-job --name probe{round} --entrypoint '/careen-agent gate' {}",
        scene.image
    );
    let tasks = || scene.sh("n1", &format!("docker service ps -q probe{round}")).lines().count();
    scene.sh("n1", &create);
    let placed = wait_until("each node has its task", Duration::from_secs(30), || {
        let seen = tasks();
        Ok(if seen >= 2 { Poll::Ready(()) } else { Poll::Pending(format!("{seen} tasks")) })
    });
    if let Err(nobody) = placed {
        // The other way round (docs/swarm-facts.md): a manager that leads and has no orchestrator left.
        println!("round {round}: {nobody}");
        scene.sh("n1", &format!("docker service rm probe{round}"));
        return false;
    }
    // Both orchestrators are told of the service at once; by now the second has seen to it as well, if there is one.
    let more = wait_until("a node has two", Duration::from_secs(5), || {
        let seen = tasks();
        Ok(if seen > 2 { Poll::Ready(()) } else { Poll::Pending(format!("{seen} tasks")) })
    });
    scene.sh("n1", &format!("docker service rm probe{round}"));
    more.is_ok()
}

#[test]
#[ignore = "slow: five engines one after the other (tools/slow-test)"]
fn managers_that_are_kept_drained_are_upgraded_and_stay_drained() {
    let scene = scene("", 3, 2, 20);
    let everywhere = format!(
        "for n in n1 n2 n3; do docker node update --availability drain $n; done; docker service create -d -q \
         --no-resolve-image --name everywhere --mode global --entrypoint '/careen-agent gate' {}",
        scene.image
    );
    scene.sh("n1", &everywhere);
    scene.await_web();
    let before = engines(&scene);
    let plan = scene.careen(&["plan", "--image", &scene.image]).stdout;
    println!("{plan}");
    let kept = ", kept out of service by its operator; active for moments\n      Swarm may place there while it is active: \
                everywhere\n";
    assert_eq!(plan.matches(kept).count(), 3, "{plan}");

    let ran = scene.run(&[]);
    println!("{}{}", ran.stdout, ran.stderr);
    await_done(&scene);
    for (name, (before, after)) in names(&scene).iter().zip(before.iter().zip(engines(&scene))) {
        assert_ne!(*before, after, "{name} has another engine process");
        assert_eq!(scene.ran(name), "prepare install verify ", "{name}: each command once");
    }
    assert_eq!(scene.availability(), "n1 Drain\nn2 Drain\nn3 Drain\nn4 Active\nn5 Active\n");
    scene.assert_nothing_is_left();
    let emptied = wait_until("nothing stays on the drained managers", LONG, || {
        let left = scene.sh("n1", "docker node ps n1 n2 n3 -f desired-state=running -q; docker node ps n1 n2 n3 | grep Running || :");
        Ok(if left.is_empty() { Poll::Ready(()) } else { Poll::Pending(left) })
    });
    emptied.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", "docker service rm everywhere");
}

/// The next release's engine, from the machine's mirror.
const NEWER_ENGINE: &str = r#"set -e
. /etc/os-release
sed -n "/security/!s/$VERSION_CODENAME/trixie/p" /etc/apt/sources.list > /etc/apt/sources.list.d/next.list
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
  install -t trixie docker.io docker-cli
systemctl restart docker
"#;

#[test]
#[ignore = "slow, and needs the machine's Debian mirror (tools/slow-test)"]
fn engines_of_two_releases_take_part_in_one_rollout_whichever_the_manager_has() {
    let scene = scene("-mixed", 1, 2, 5);
    for (newer, versions) in [("n2", ["20.", "26.", "20."]), ("n1", ["26.", "26.", "20."])] {
        scene.sh(newer, NEWER_ENGINE);
        let seen = of_each(&scene, |name| scene.word(name, "docker version -f '{{.Server.Version}}'"));
        assert!(seen.iter().zip(versions).all(|(seen, wanted)| seen.starts_with(wanted)), "{seen:?}");
        let before = engines(&scene);
        let ran = scene.run(&[]);
        println!("engines {seen:?}\n{}{}", ran.stdout, ran.stderr);
        await_done(&scene);
        for (name, (before, after)) in names(&scene).iter().zip(before.iter().zip(engines(&scene))) {
            assert_ne!(*before, after, "{name} has another engine process");
            assert_eq!(scene.ran(name), "prepare install verify ", "{name}: each command once");
            scene.sh(name, "rm /run/careen-test/ran");
        }
        scene.assert_all_active();
        scene.assert_nothing_is_left();
        scene.await_web();
    }
    take_down(&scene);
}

#[test]
fn what_cannot_be_asked_is_told_as_what_it_is_and_changes_nothing() {
    let scene = scene("-one", 1, 1, 5);
    let before = swarm(&scene);
    scene.node("n2").cp_in(&rollout::cli(), "/usr/local/bin/careen").expect("careen on a worker");
    assert_fails(
        &scene,
        "n2",
        &["status"],
        7,
        &["n2 is a worker of its swarm", "run careen on a manager's host"],
    );
    let nowhere = ["--host", "unix:///nowhere.sock", "status"];
    assert_fails(&scene, "n1", &nowhere, 7, &["no docker engine listens at /nowhere.sock", "DOCKER_HOST"]);
    let tcp = ["--host", "tcp://127.0.0.1:2375", "status"];
    let nobody = "no docker engine listens at tcp://127.0.0.1:2375";
    assert_fails(&scene, "n1", &tcp, 7, &[nobody, "--host ssh://USER@MANAGER"]);
    let pipe = ["--host", "npipe:////./pipe/docker_engine", "status"];
    assert_fails(&scene, "n1", &pipe, 2, &["tcp://NAME:PORT", "--host unix:///run/docker.sock"]);
    let context = ["--context", "far", "status"];
    assert_fails(&scene, "n1", &context, 2, &["there is no docker context 'far'", "'docker context ls'"]);
    let denied = scene.node("n1").sh("runuser -u nobody -- careen status").expect("exec");
    let why = "you may not use the docker socket /run/docker.sock";
    assert!(denied.status == 7 && denied.stderr.contains(why), "{denied:?}");
    assert!(denied.stderr.contains("run careen as root, or as a member of the group that owns the socket"));
    let image = scene.image.as_str();
    for (flags, part) in [
        (&["--parallelism", "0"][..], "'0' for '--parallelism <N>'"),
        (&["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        (&["--drain", "sometimes"], "[possible values: auto, always, never]"),
        (&["--constraint", "node.role=worker"], "--constraint"),
        (&["--delay", "soon"], "a duration is written as 90s, 10m or 1h30m"),
    ] {
        let wrong = scene.careen(&[&["run", "--yes", "--image", image], flags].concat());
        assert!(wrong.status == 2 && wrong.stderr.contains(part), "'{part}' in {wrong:?}");
    }
    let unasked = ["run", "--image", image];
    assert_fails(&scene, "n1", &unasked, 2, &["nobody can be asked", "nothing was changed", "--yes"]);
    assert_fails(&scene, "n1", &["retry", "n2"], 1, &["no rollout is going on", "careen run"]);
    let unknown = ["run", "--yes", "--image", image, "--node", "n9"];
    assert_fails(&scene, "n1", &unknown, 2, &["there is no node 'n9'"]);
    assert!(scene.careen(&unknown).stdout.contains("there is no node 'n9'"));
    let no_image = ["run", "--yes", "--image", "careen-test/no-such:1"];
    assert_fails(&scene, "n1", &no_image, 1, &["careen-test/no-such:1"]);
    assert_eq!(swarm(&scene), before);
}

#[test]
fn a_host_in_no_swarm_a_locked_manager_and_one_without_a_leader_are_told_apart() {
    let scene = scene("-two", 2, 0, 5);
    let key = scene.word("n1", "docker swarm update --autolock=true >/dev/null; docker swarm unlock-key -q");
    scene.sh("n1", "systemctl restart docker");
    assert_fails(&scene, "n1", &["status"], 7, &["n1 is a manager that is locked", "docker swarm unlock"]);
    // With one of two managers the other has no leader.
    let leaderless = wait_until("n2 has no leader", LONG, || {
        let said = scene.careen_on("n2", &["status"]);
        let told = said.status == 7 && said.stderr.contains("no manager leads");
        Ok(if told { Poll::Ready(()) } else { Poll::Pending(format!("{said:?}")) })
    });
    leaderless.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", &format!("echo '{key}' | docker swarm unlock"));
    let unlocked = wait_until("the swarm answers", LONG, || {
        let said = scene.careen(&["status"]);
        Ok(if said.status == 0 { Poll::Ready(()) } else { Poll::Pending(format!("{said:?}")) })
    });
    unlocked.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", "docker swarm update --autolock=false");
    scene.fault("n2", Fault::StopEngine);
    let said = scene.careen_on("n2", &["status"]);
    assert!(said.status == 7 && said.stderr.contains("no docker engine listens"), "{said:?}");
    scene.fault("n2", Fault::StartEngine);
    scene.sh("n2", "docker swarm leave --force");
    assert_fails(&scene, "n2", &["status"], 7, &["n2 is in no swarm", "run careen on a manager's host"]);
    take_down(&scene);
}

#[test]
fn how_a_rollout_ended_is_the_exit_code() {
    let scene = scene("-one", 1, 1, 5);
    let plain = |flags: &[&'static str]| scene.run(&[flags, &["--node", "n2", "--", "plain"]].concat());
    assert_eq!(plain(&[]).status, 0, "done");
    scene.sh("n2", "mkdir -p /run/careen-test; touch /run/careen-test/fail");
    let goes_on = plain(&["--failure-action", "continue"]);
    assert_eq!(goes_on.status, 3, "over, with a failed node: {goes_on:?}");
    let paused = plain(&[]);
    assert_eq!(paused.status, 4, "paused: {paused:?}");
    let other = ["run", "--image", &scene.image, "--yes", "--allow-gaps"];
    assert_fails(&scene, "n1", &other, 6, &["is going on", "careen abort"]);
    let followed = scene.careen(&["abort", "--local"]);
    assert_eq!(followed.status, 3, "aborted: {followed:?}");
    let declined = scene.careen(&["pause"]);
    assert_eq!(declined.status, 1, "{declined:?}");
    scene.assert_nothing_is_left();
}

#[test]
fn hosts_say_what_they_are_made_of_and_who_cannot_be_asked_is_named() {
    let scene = scene("-one", 1, 1, 5);
    let image = scene.image.as_str();
    let facts = |flags: &[&str]| scene.careen(&[&["facts", "--image", image], flags].concat());
    assert_eq!(scene.run(&["--", "plain"]).status, 0);
    scene.sh("n2", "mkdir -p /var/lib/careen/enforce; echo linux-image > /run/reboot-required.pkgs; touch /run/reboot-required");
    scene.sh("n2", r#"echo '{"name":"sysctl","state":"failing"}' > /var/lib/careen/enforce/sysctl.json"#);
    let before =
        scene.sh("n2", "find /var/lib/apt /var/cache/apt /var/lib/careen -printf '%p %T@ %s\n' | sort");

    let told = facts(&["--format", "json"]);
    assert_eq!(told.status, 0, "{told:?}");
    let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!((&told["answered"], &told["asked"]), (&2.into(), &2.into()), "{told}");
    let host = &told["hosts"][1]["facts"];
    assert_eq!(host["os"]["id"], "debian", "{host}");
    assert_eq!(host["kernel"]["running"], scene.word("n2", "uname -r"), "{host}");
    let engine = scene.word("n2", "docker version -f '{{.Server.Version}}'");
    assert_eq!(
        (&host["engine"]["running"], &host["engine"]["installed"]),
        (&engine.as_str().into(), &engine.as_str().into())
    );
    assert_eq!(
        (&host["engine_restart"]["needed"], &host["reboot"]["needed"]),
        (&false.into(), &true.into()),
        "{host}"
    );
    assert!(
        host["reboot"]["since"].is_u64() && host["reboot"]["why"][0].to_string().contains("linux-image"),
        "{host}"
    );
    assert!(host["room"][0]["bytes_free"].as_u64() > Some(0), "{host}");
    assert!(host["clock"]["in_sync"].is_boolean(), "{host}");
    // Swarm gives certificates for 90 days.
    let days = told["hosts"][1]["certificate_days_left"].as_i64().expect("days");
    assert!((80..=90).contains(&days), "{told}");
    assert_eq!(
        (&host["last_run"]["command"], &host["last_run"]["exit"]),
        (&"install".into(), &0.into()),
        "{host}"
    );
    assert_eq!(host["drift"][0]["state"], "failing", "{host}");
    // A lab's image may have no lists; then that is said.
    assert!(host["pending"].is_object() != host["unknown"]["pending"].is_string(), "{host}");
    let on_the_host: Value = serde_json::from_str(&scene.sh("n2", "careen-agent facts")).expect("JSON");
    assert_eq!(on_the_host["host"]["certificate"], host["certificate"]);

    let after =
        scene.sh("n2", "find /var/lib/apt /var/cache/apt /var/lib/careen -printf '%p %T@ %s\n' | sort");
    assert_eq!(before, after, "nothing is fetched, and nothing is left");
    assert_eq!(facts(&["-q", "--filter", "drift=yes"]).stdout.lines().count(), 1);
    let skew = facts(&["--skew"]);
    assert!(skew.status == 0 && skew.stdout.contains("containerd"), "{skew:?}");

    scene.sh("n1", "docker node update --availability drain n2");
    let partly = facts(&[]);
    assert!(partly.status == 3 && partly.stdout.contains("n2  unreachable: drained"), "{partly:?}");
    assert_eq!(facts(&["n1"]).status, 0);
    scene.sh("n1", "docker node update --availability active n2");
    scene.sh("n2", "rm -r /var/lib/careen/enforce /run/reboot-required /run/reboot-required.pkgs");
    scene.assert_nothing_is_left();
}

/// What careen can have on a host, as far as it is there.
const ON_A_HOST: &str = "ls -d /var/lib/careen /run/careen /usr/local/sbin/careen-agent /usr/local/lib/careen /opt/careen \
                         /root/.careen /etc/systemd/system/careen-resume.service 2>/dev/null; docker volume ls -q --filter \
                         label=careen.rollout; docker ps -aq --filter label=careen.role";

#[test]
fn uninstall_leaves_nothing_of_careens_and_names_the_host_that_it_does_not_reach() {
    let scene = scene("-one", 1, 1, 5);
    let image = scene.image.as_str();
    let uninstall = |flags: &[&str]| scene.careen(&[&["uninstall", "--image", image], flags].concat());
    assert_eq!(scene.run(&["--", "plain"]).status, 0);
    scene.assert_nothing_is_left();

    let preview = uninstall(&["--dry-run"]);
    assert!(preview.status == 0 && preview.stdout.contains("n2  "), "{preview:?}");
    assert!(preview.stdout.contains("careen.lock"), "{preview:?}");
    assert!(scene.sh("n2", ON_A_HOST).contains("/var/lib/careen"), "a dry run removes nothing");
    assert_eq!(uninstall(&[]).status, 2, "nobody is there to ask");

    scene.sh("n2", "mkdir -p /run/careen-test; touch /run/careen-test/hold-install");
    let started = "docker service create -d -q --no-resolve-image --name busy --constraint node.hostname==n2 --mode global \
                   --restart-condition none --mount type=bind,source=/,target=/host";
    scene.sh("n1", &format!("{started} {image} install plain"));
    let runs = wait_until("the command runs on n2", LONG, || {
        let listed = scene.sh("n2", "careen-agent list");
        Ok(if listed.contains("running") { Poll::Ready(()) } else { Poll::Pending(listed) })
    });
    runs.unwrap_or_else(|error| panic!("{error}"));
    let busy = uninstall(&["--yes"]);
    assert!(busy.status == 6 && busy.stdout.contains("n2  refuses: the transaction "), "{busy:?}");
    assert!(scene.sh("n1", ON_A_HOST).contains("/var/lib/careen"), "nothing is removed anywhere");
    scene.sh("n2", "rm /run/careen-test/hold-install");
    let over = wait_until("it is over", LONG, || {
        let listed = scene.sh("n2", "careen-agent list");
        Ok(if listed.contains("running") { Poll::Pending(listed) } else { Poll::Ready(()) })
    });
    over.unwrap_or_else(|error| panic!("{error}"));
    scene.sh("n1", "docker service rm busy; docker node update --availability drain n2");

    let partly = uninstall(&["--yes"]);
    assert!(partly.status == 3 && partly.stdout.contains("n2  unreachable: drained"), "{partly:?}");
    assert!(partly.stdout.contains("on n2 by hand, as root: careen-agent uninstall\n"), "{partly:?}");
    assert_eq!(scene.sh("n1", ON_A_HOST), "", "all of it is gone");
    let objects = "docker config ls --format '{{.Name}}' | grep '^careen' | grep -v '^careen.history.' || :; docker service ls -q \
                   --filter label=careen.role; docker node inspect -f '{{json .Spec.Labels}}' $(docker node ls -q) | grep \
                   careen.node || :";
    assert_eq!(scene.sh("n1", objects), "");
    scene.sh("n2", "careen-agent uninstall");
    assert_eq!(scene.sh("n2", ON_A_HOST), "");

    scene.sh("n1", "docker node update --availability active n2");
    assert!(scene.careen(&["history"]).stdout.contains("done"), "it is kept");
    let rest = uninstall(&["--yes", "--history"]);
    assert!(rest.status == 0 && rest.stdout.contains("n2  nothing of careen's"), "{rest:?}");
    assert_eq!(scene.sh("n1", "docker config ls --format '{{.Name}}' | grep '^careen' || :"), "");
    assert_eq!(scene.run(&["--", "plain"]).status, 0, "and a rollout begins anew");
    scene.assert_nothing_is_left();
}
