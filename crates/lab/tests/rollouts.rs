//! Whole rollouts with the `careen` command line on a real swarm: one manager and two workers, a service that runs.

mod rollout;

use careen_lab::{Fault, Poll, wait_until, while_watching};
use rollout::{LONG, Scene, of_node};
use serde_json::Value;

fn scene() -> Scene {
    Scene::new("rollouts", 1, 2)
}

#[test]
fn a_rollout_restarts_every_engine_and_leaves_the_swarm_as_it_was() {
    let scene = scene();
    let engines = || ["n1", "n2", "n3"].map(|name| scene.sh(name, "cat /run/docker.pid"));
    let before = engines();
    let plan = scene.careen(&["plan", "--image", &scene.image]);
    assert_eq!(plan.status, 0, "{plan:?}");
    assert!(plan.stdout.contains("wave 3") && plan.stdout.contains("n1 (manager"), "{}", plan.stdout);

    let ran = scene.run(&[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "done", "{last}");
    for (name, (before, after)) in ["n1", "n2", "n3"].iter().zip(before.iter().zip(engines())) {
        assert_ne!(*before, after, "{name} has another engine process");
        assert_eq!(scene.ran(name), "prepare install verify ", "{name}: each command once");
    }
    assert_eq!(scene.availability(), "n1 Active\nn2 Active\nn3 Active\n");
    scene.assert_nothing_is_left();
}

#[test]
fn a_failure_pauses_it_and_retry_goes_on() {
    let scene = scene();
    scene.sh("n3", "mkdir -p /run/careen-test; touch /run/careen-test/fail");
    let paused = scene.run(&["--node", "n2", "--node", "n3", "--canaries", "0", "--", "plain"]);
    assert_eq!(paused.status, 4, "{paused:?}");
    let why = scene.careen(&["why", "n3"]).stdout;
    assert!(why.contains("exit code 7 in the command") && why.contains("careen retry n3"), "{why}");
    assert!(why.contains("\n    | it does not work here\n"), "its last words travel with the result: {why}");
    assert!(scene.careen(&["logs", "n3"]).stdout.contains("it does not work here"));
    let alone = wait_until("its agent alone is there, for its log", LONG, || {
        let names = scene.sh("n1", "docker service ls --format '{{.Name}}'");
        let left: Vec<&str> = names.lines().filter(|name| name.contains("-g1-a")).collect();
        let is_alone = matches!(left[..], [one] if !one.contains("-gate"));
        Ok(if is_alone { Poll::Ready(()) } else { Poll::Pending(left.join(" ")) })
    });
    alone.unwrap_or_else(|error| panic!("{error}"));
    let controller = scene.careen(&["logs", "--controller"]);
    assert!(controller.stderr.contains("state=\"failed\""), "{controller:?}");

    let second = scene.run(&["--node", "n2"]);
    let first = scene.json(&["status"])["rollout"]["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(second.status, 6, "{second:?}");
    assert!(second.stderr.contains(&first) && !first.is_empty(), "{first}: {}", second.stderr);

    scene.sh("n3", "rm /run/careen-test/fail");
    let retry = scene.careen(&["retry", "n3"]);
    assert_eq!(retry.status, 0, "{retry:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "done", "{last}");
    assert_eq!(scene.ran("n2"), "prepare install verify ", "a node that is done is left alone");
    assert_eq!(scene.ran("n3"), "prepare install prepare install verify ");
    assert_eq!(scene.ran("n1"), "");
    scene.assert_nothing_is_left();
}

#[test]
fn what_leaves_engines_alone_goes_everywhere_at_once_and_leaves_nothing() {
    let scene = scene();
    let promise = ["--touches-engine", "no", "--canaries", "0", "--parallelism", "3"];
    let plan = scene.careen(&[&["plan", "--image", &scene.image], &promise[..]].concat());
    assert!(plan.stdout.contains("way      short") && plan.stdout.contains("not drained"), "{}", plan.stdout);
    let ran = scene.run(&[&promise[..], &["--", "plain"]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(scene.await_end()["control"]["outcome"], "done");
    for name in ["n1", "n2", "n3"] {
        assert_eq!(scene.ran(name), "prepare install verify ", "{name}: each command once");
    }
    scene.assert_nothing_is_left();
}

/// A payload that does nothing a second time, with a check that says whether it would do anything.
const DESIRED: &str = r#"mkdir -p /root/desired && cd /root/desired
cat >check <<'END'
#!/bin/sh
echo check >> /run/careen-test/ran
[ ! -e /run/careen-test/cannot-tell ] || { echo "it is locked"; exit 7; }
grep -qx wanted /etc/careen-test-desired 2>/dev/null || exit 2
END
cat >install <<'END'
#!/bin/sh
echo install >> /run/careen-test/ran
echo wanted > /etc/careen-test-desired
END
chmod +x check install"#;

#[test]
fn hosts_that_are_in_sync_are_left_as_they_are_on_both_ways_unless_it_is_forced() {
    let scene = scene();
    scene.sh("n1", DESIRED);
    for name in ["n1", "n2", "n3"] {
        scene.sh(name, "mkdir -p /run/careen-test; rm -f /etc/careen-test-desired");
    }
    scene.sh("n2", "echo wanted > /etc/careen-test-desired");
    // The other commands are the image's.
    let run = |flags: &[&str]| {
        let payload = ["run", "--dir", "/root/desired", "--image", &scene.image, "--yes"];
        let fixed = ["--monitor", "1s", "--allow-gaps", "--canaries", "0"];
        scene.careen(&[&payload[..], &fixed, flags, &["--", "plain"]].concat())
    };
    let states = |last: &Value| {
        let whole = serde_json::json!({ "rollout": last });
        ["n1", "n2", "n3"].map(|name| of_node(&whole, name)["state"].clone())
    };

    let drained = run(&["--drain", "always"]);
    assert_eq!(drained.status, 0, "{drained:?}");
    assert_eq!(states(&scene.await_end()), ["done", "in-sync", "done"]);
    assert_eq!(
        ["n1", "n2", "n3"].map(|name| scene.ran(name)),
        ["check prepare install verify ", "check ", "check prepare install verify "]
    );
    assert!(!drained.stdout.contains("n2: draining"), "what is in sync is not drained: {}", drained.stdout);

    let again = run(&["--touches-engine", "no", "--parallelism", "3"]);
    assert_eq!(again.status, 0, "{again:?}");
    assert_eq!(states(&scene.await_end()), ["in-sync"; 3]);
    let history = scene.careen(&["history"]).stdout;
    assert!(history.contains("3 of 3 nodes done (3 in sync)"), "{history}");
    assert_eq!(scene.ran("n3"), "check prepare install verify check ", "nothing was run again");

    let forced = run(&["--node", "n3", "--force"]);
    assert_eq!(forced.status, 0, "{forced:?}");
    scene.await_end();
    let ran = "check prepare install verify check prepare install verify ";
    assert_eq!(scene.ran("n3"), ran, "nobody asked");

    scene.sh("n3", "touch /run/careen-test/cannot-tell");
    let failed = run(&["--node", "n3"]);
    assert_eq!(failed.status, 4, "{failed:?}");
    let why = scene.careen(&["why", "n3"]).stdout;
    assert!(why.contains("exit code 7 in check") && why.contains("\n    | it is locked\n"), "{why}");
    assert_eq!(scene.ran("n3"), format!("{ran}check "), "whoever cannot tell changes nothing");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    scene.await_end();
    for name in ["n1", "n2", "n3"] {
        scene.sh(name, "rm -rf /etc/careen-test-desired /root/desired");
    }
    assert_eq!(scene.availability(), "n1 Active\nn2 Active\nn3 Active\n");
    scene.assert_nothing_is_left();
}

#[test]
fn an_abort_gives_back_what_it_may_and_names_the_failed_node() {
    let scene = scene();
    scene.sh("n2", "mkdir -p /run/careen-test; touch /run/careen-test/fail");
    let flags = ["--node", "n2", "--node", "n3", "--drain", "always", "--canaries", "0", "--", "plain"];
    assert_eq!(scene.run(&flags).status, 4);
    assert_eq!(scene.availability(), "n1 Active\nn2 Drain\nn3 Active\n", "what failed stays drained");
    let abort = scene.careen(&["abort"]);
    assert_eq!(abort.status, 0, "{abort:?}");
    let last = scene.await_end();
    assert_eq!(last["control"]["outcome"], "aborted", "{last}");
    assert_eq!(scene.availability(), "n1 Active\nn2 Drain\nn3 Active\n");
    assert_eq!(scene.ran("n3"), "", "nothing further began");
    scene.assert_nothing_is_left();
}

/// A runtime that starts no container any more; what runs goes on, and the engine answers.
const BREAK_RUNC: &str = r#"cat >/run/break-runc <<'END'
#!/bin/sh
set -e
mv /usr/sbin/runc /usr/sbin/runc.good
cat >/usr/sbin/runc <<'RUNC'
#!/bin/sh
case " $* " in *" create "*) echo 'no containers today' >&2; exit 1 ;; esac
exec /usr/sbin/runc.good "$@"
RUNC
chmod 755 /usr/sbin/runc
END
chmod 755 /run/break-runc"#;

#[test]
fn a_node_on_which_no_container_starts_any_more_is_not_done_and_the_next_one_does_not_begin() {
    let scene = scene();
    scene.sh("n1", BREAK_RUNC);
    let script = ["--script", "/run/break-runc", "--drain", "never", "--canaries", "0"];
    let ran = scene.run(&[&script[..], &["--node", "n2", "--node", "n3"]].concat());
    let why = scene.careen(&["why", "n2"]).stdout;
    scene.sh("n2", "[ ! -e /usr/sbin/runc.good ] || mv /usr/sbin/runc.good /usr/sbin/runc");
    assert_eq!(ran.status, 4, "{ran:?}");
    assert!(
        why.contains("no new container starts on this host") && why.contains("OCI runtime create failed"),
        "{why}"
    );
    assert_eq!(scene.sh("n3", "ls /usr/sbin/runc*"), "/usr/sbin/runc\n");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    scene.assert_nothing_is_left();
}

#[test]
fn what_keeps_a_replacement_from_starting_elsewhere_is_quoted_and_mended() {
    let scene = scene();
    stays_on_n2(&scene, "lonely", 1);

    scene.start(&["--node", "n2", "--drain", "always", "--", "plain"]);
    let held = scene.await_node("n2", "it says why", |node| {
        let why = node["hold"]["why"]["lonely"].as_str().unwrap_or_default();
        node["hold"]["hold"] == "not-replaced" && why.contains("only-here:1")
    });
    assert!(held["why"].as_str().unwrap_or_default().contains("rejected on n3: "), "{held}");
    scene.await_hold("n2", "not-replaced");
    let why = scene.careen(&["why", "n2"]).stdout;
    assert!(why.contains("only-here:1") && why.contains("fix what keeps their tasks from starting"), "{why}");
    scene.sh("n3", &format!("docker tag {} {ONLY_HERE}", scene.image));
    scene.await_done();
    removed_from_n2(&scene, "lonely");
    scene.assert_nothing_is_left();
}

/// An image that n2 alone has, of a registry that refuses at once.
const ONLY_HERE: &str = "127.0.0.1:1/only-here:1";

/// A service with so many tasks on n2: Swarm places others on n3 as well, where they do not start.
fn stays_on_n2(scene: &Scene, service: &str, tasks: usize) {
    // A test before this one may have brought it to n3.
    scene.sh(
        "n3",
        &format!(
            "docker rmi {ONLY_HERE} >/dev/null 2>&1 || :; ! docker image inspect {ONLY_HERE} >/dev/null 2>&1"
        ),
    );
    scene.sh("n2", &format!("docker tag {} {ONLY_HERE}", scene.image));
    scene.sh("n1", "docker node update --label-add lonely=yes n2");
    scene.sh(
        "n1",
        &format!(
            "docker service create -d -q --no-resolve-image --name {service} --replicas {tasks} --constraint \
             node.labels.lonely==yes --entrypoint '/careen-agent gate' {ONLY_HERE}"
        ),
    );
    await_replicas(scene, service, &format!("{tasks}/{tasks}"));
    scene.sh("n1", "docker node update --label-add lonely=yes n3");
}

fn removed_from_n2(scene: &Scene, service: &str) {
    scene.sh(
        "n1",
        &format!(
            "docker service rm {service}; docker node update --label-rm lonely n2; docker node update --label-rm lonely n3"
        ),
    );
}

/// Services of their own for surges: six tasks, and a single one whose label asks for it.
fn services_to_scale(scene: &Scene) {
    let create = |name: &str, flags: &str| {
        let image = &scene.image;
        scene.sh(
            "n1",
            &format!(
                "docker service rm {name} >/dev/null 2>&1 || :; docker service create -d -q --no-resolve-image --name {name} \
                 {flags} --entrypoint '/careen-agent gate' {image}"
            ),
        );
    };
    create(
        "six",
        "--replicas 6 --env OWNERS=own --update-failure-action rollback --update-max-failure-ratio 0.3",
    );
    create("single", "--label careen.surge=true");
    await_replicas(scene, "six", "6/6");
    await_replicas(scene, "single", "1/1");
}

fn replicas(scene: &Scene, service: &str) -> String {
    scene.word("n1", &format!("docker service ls --filter name={service} --format '{{{{.Replicas}}}}'"))
}

fn await_replicas(scene: &Scene, service: &str, wanted: &str) {
    let whole = wait_until(&format!("{service} has {wanted}"), LONG, || {
        let seen = replicas(scene, service);
        Ok(if seen == wanted { Poll::Ready(()) } else { Poll::Pending(seen) })
    });
    whole.unwrap_or_else(|error| panic!("{error}"));
}

/// A service's spec but for the number of its tasks.
fn rest_of_spec(scene: &Scene, service: &str) -> Value {
    let spec = scene.sh("n1", &format!("docker service inspect {service} --format '{{{{json .Spec}}}}'"));
    let mut spec: Value = serde_json::from_str(&spec).unwrap_or_default();
    spec["Mode"] = Value::Null;
    spec
}

fn assert_nothing_is_scaled(scene: &Scene) {
    let labels = scene.sh("n1", "docker node inspect n1 n2 n3 --format '{{json .Spec.Labels}}'");
    assert!(!labels.contains("careen.surges"), "{labels}");
}

#[test]
fn with_surge_no_task_is_missing_while_nodes_are_drained() {
    let scene = scene();
    services_to_scale(&scene);
    let before = ["six", "single"].map(|service| rest_of_spec(&scene, service));
    let plan = scene.careen(&["plan", "--image", &scene.image, "--surge", "--drain", "always"]);
    assert!(plan.stdout.contains("single, six") && plan.stdout.contains("rollback"), "{}", plan.stdout);
    let flags = ["--surge", "--drain", "always", "--canaries", "0"];
    let ((ran, single), six) = while_watching(&scene.lab, "six", 6, || {
        while_watching(&scene.lab, "single", 1, || scene.run(&flags))
    });
    assert_eq!(ran.status, 0, "{ran:?}");
    scene.await_done();
    assert_eq!((six.least_running, single.least_running), (6, 1), "{six}\n{single}");
    await_replicas(&scene, "six", "6/6");
    await_replicas(&scene, "single", "1/1");
    assert_eq!(before, ["six", "single"].map(|service| rest_of_spec(&scene, service)));
    assert_nothing_is_scaled(&scene);
    scene.sh("n1", "docker service rm six single");
    scene.assert_nothing_is_left();
}

#[test]
fn what_somebody_scales_during_a_surge_stays_and_an_abort_gives_the_rest_back() {
    let scene = scene();
    // What is scaled up for n2 does not become healthy on n3.
    stays_on_n2(&scene, "stuck", 2);
    let limits = ["--phase-timeout", "restoring=30s"];
    let flags = ["--surge", "--node", "n2", "--drain", "always"];
    scene.start(&[&flags[..], &limits[..], &["--", "plain"]].concat());
    scene.await_hold("n2", "surging");
    let told = wait_until("it is told what keeps them from running", LONG, || {
        let status = scene.json(&["status"]).to_string();
        Ok(if status.contains("only-here:1") { Poll::Ready(()) } else { Poll::Pending(status) })
    });
    told.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(replicas(&scene, "stuck"), "2/4");
    assert_eq!(scene.availability(), "n1 Active\nn2 Pause\nn3 Active\n", "nothing was taken down");

    scene.sh("n1", "docker service scale -d stuck=3");
    await_replicas(&scene, "stuck", "2/5");
    assert_eq!(scene.careen(&["abort"]).status, 0);
    assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    assert_eq!(replicas(&scene, "stuck").split('/').nth(1), Some("3"), "what its operator wants");
    scene.assert_all_active();
    assert_eq!(scene.ran("n2"), "prepare ");
    assert_nothing_is_scaled(&scene);
    removed_from_n2(&scene, "stuck");
    scene.assert_nothing_is_left();
}

#[test]
fn a_host_that_is_down_before_its_turn_pauses_the_rollout_or_is_left_out() {
    let scene = scene();
    scene.fault("n3", Fault::StopEngine);
    let down = wait_until("n3 is down", LONG, || {
        let nodes = scene.sh("n1", "docker node ls --format '{{.Hostname}} {{.Status}}'");
        Ok(if nodes.contains("n3 Down") { Poll::Ready(()) } else { Poll::Pending(nodes) })
    });
    down.unwrap_or_else(|error| panic!("{error}"));
    let only = ["--node", "n2", "--node", "n3", "--hold-limit", "10s"];

    let skipped = scene.run(&[&only[..], &["--on-hold", "skip", "--", "plain"]].concat());
    assert_eq!(skipped.status, 0, "{skipped:?}");
    let last = serde_json::json!({ "rollout": scene.await_end() });
    let n3 = of_node(&last, "n3");
    assert_eq!(
        (&n3["state"], &n3["record"]),
        (&"skipped".into(), &"it waited: the node is down".into()),
        "{last}"
    );
    assert_eq!(of_node(&last, "n2")["state"], "done", "{last}");

    let paused = scene.run(&[&only[..], &["--", "plain"]].concat());
    assert_eq!(paused.status, 4, "{paused:?}");
    let status = scene.json(&["status"]);
    assert_eq!(status["rollout"]["control"]["why"]["reason"], "node-held", "{status}");
    assert!(paused.stderr.contains("careen skip n3"), "{paused:?}");
    scene.fault("n3", Fault::StartEngine);
    assert_eq!(scene.careen(&["resume"]).status, 0);
    scene.await_done();
    assert_eq!(scene.ran("n3"), "prepare install verify ", "once, when it was back");
    scene.assert_nothing_is_left();
}

#[test]
fn the_log_of_a_rollout_that_is_over_comes_from_its_host() {
    let scene = scene();
    scene.sh("n1", "printf '#!/bin/sh\\necho out; echo err >&2\\n' >/run/says; chmod 755 /run/says");
    let ran = scene.run(&["--script", "/run/says", "--node", "n2"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let logs = scene.careen(&["logs", "n2"]);
    assert_eq!(logs.status, 0, "{logs:?}");
    let has = |text: &str, line: &str| {
        text.lines().any(|one| one.split_once("Z  ").is_some_and(|(_, text)| text == line))
    };
    assert!(has(&logs.stdout, "out") && has(&logs.stderr, "err"), "{logs:?}");
    scene.sh("n1", "docker node update --availability drain n2");
    let drained = scene.careen(&["logs", "n2"]);
    assert_eq!(drained.status, 1, "{drained:?}");
    assert!(drained.stderr.contains("drained (--activate"), "{drained:?}");
    let woken = scene.careen(&["logs", "n2", "--activate", "--yes"]);
    assert!(woken.status == 0 && has(&woken.stdout, "out"), "{woken:?}");
    assert_eq!(scene.availability(), "n1 Active\nn2 Drain\nn3 Active\n", "given back");
    scene.sh("n1", "docker node update --availability active n2");
    scene.assert_nothing_is_left();
}

#[test]
fn a_wrong_call_changes_nothing() {
    let scene = scene();
    let call = |args: &[&str]| scene.careen(args).status;
    assert_eq!(call(&["run", "--image", &scene.image, "--yes", "--parallelism", "0"]), 2);
    assert_eq!(call(&["run", "--image", &scene.image]), 2, "nobody to ask");
    assert_eq!(call(&["retry", "n9"]), 1, "no rollout to retry in");
    assert_eq!(call(&["--host", "npipe://n1", "status"]), 2);
    assert_eq!(call(&["--host", "unix:///nowhere.sock", "status"]), 7);
    assert_eq!(scene.json(&["status"])["rollout"], Value::Null);
}

#[test]
fn a_file_is_rolled_out_through_dockers_own_command() {
    const PLUGIN: &str = "/usr/libexec/docker/cli-plugins/docker-careen";
    let scene = scene();
    scene.sh("n1", &format!("mkdir -p \"$(dirname {PLUGIN})\"; ln -sf \"$(command -v careen)\" {PLUGIN}"));
    let file = format!(
        "image: {}\ncommand: install plain\ndeploy:\n  update_config: {{monitor: 1s, parallelism: 2}}\n\
         x-careen:\n  node: [n2, n3]\n  canaries: 0\n  allow-gaps: true\n",
        scene.image
    );
    scene.sh("n1", &format!("cat >/run/careen.yaml <<'END'\n{file}END"));
    let plugins =
        scene.sh("n1", "docker info --format '{{range .ClientInfo.Plugins}}{{.Name}} {{.Err}}\n{{end}}'");
    assert!(plugins.lines().any(|line| line.starts_with("careen ") && line.contains("nil")), "{plugins}");

    let ran = scene.node("n1").sh("docker careen run -f /run/careen.yaml --node n2 --yes").expect("docker");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(scene.ran("n2"), "prepare install verify ");
    assert_eq!(scene.ran("n3"), "", "a flag that is typed wins");
    let wrong = scene.node("n1").sh("docker careen plan -f /run/careen.yaml --frobnicate").expect("docker");
    assert!(wrong.status == 2 && wrong.stderr.contains("docker careen plan"), "{wrong:?}");

    // As docker calls it from 23.0 on; the one on this host does not complete the words of plugins.
    let offered = scene.sh("n1", &format!("{PLUGIN} __complete careen retry ''"));
    let offered: Vec<&str> = offered.lines().collect();
    assert!(["n1", "n2", "n3"].iter().all(|name| offered.contains(name)), "{offered:?}");
    let id = scene.word("n1", "docker careen ls -q --filter status=done --filter node=n2 | head -n 1");
    let inspected = scene.sh("n1", &format!("docker careen inspect {id}"));
    let inspected: Value = serde_json::from_str(&inspected).unwrap_or_default();
    assert_eq!((&inspected[0]["id"], &inspected[0]["args"][0]), (&id.as_str().into(), &"plain".into()));
    scene.sh("n1", &format!("rm {PLUGIN} /run/careen.yaml"));
    scene.assert_nothing_is_left();
}
