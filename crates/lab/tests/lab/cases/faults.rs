//! Whatever is killed around a command: each attempt runs once, what it printed is there, and the next agent says how it
//! ended.

use crate::support::{
    Container, GATED, GATED_STATUS, Gates, Host, Ran, assert_contains, eventually, host, lines,
};
use careen_lab::Fault;

/// How far the command is when something is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    /// It runs, and has printed nothing.
    Start,
    /// It has printed some lines, and they are in the log.
    Middle,
    /// It has ended, and its end is not reported: the supervisor does not know it yet when that is what is killed, and
    /// the agent else.
    End,
}

const POINTS: [Point; 3] = [Point::Start, Point::Middle, Point::End];

/// A gated command on a host, and who looks after it.
struct Scene<'a> {
    host: &'a Host,
    gates: Gates<'a>,
    name: String,
    image: crate::support::Image,
    agent: Container<'a>,
}

impl<'a> Scene<'a> {
    /// Starts the command, and brings it to a point before its end.
    fn at(host: &'a Host, victim: &str, point: Point) -> Self {
        let gates = Gates::new(host.node());
        let name = format!("killed-{victim}-{point:?}").to_lowercase();
        let image = host.script(GATED);
        let agent = host.run(&image).env("CAREEN_TRANSACTION", &name).start();
        gates.await_at("start");
        if point != Point::Start {
            gates.open(&["start"]);
            agent.await_log("line 3");
        }
        Self { host, gates, name, image, agent }
    }

    /// Opens all gates.
    fn go_on(&self) {
        self.gates.open(&["start", "middle", "end"]);
    }

    fn agent_pid(&self) -> String {
        self.agent.docker(&["inspect", "-f", "{{.State.Pid}}"]).expect(0).text().trim().to_owned()
    }

    fn supervisor_pid(&self) -> String {
        self.host
            .must(&format!("pgrep -f '[c]areen-agent supervise [a-z]* {}$'", self.name))
            .trim()
            .to_owned()
    }

    /// The result that the next agent reports, as a person asks for it with another `docker run`.
    fn next_agent(&self) -> Ran {
        let run = || self.host.run(&self.image).env("CAREEN_TRANSACTION", &self.name).go();
        // 125: the engine is not back yet and has started nothing.
        eventually("the next agent", || {
            Some(run()).filter(|ran| ran.status != 125).ok_or_else(|| "125".to_owned())
        })
    }

    /// Checks that the command ran once and that this host is well, and forgets the transaction.
    fn finish(self) {
        assert_eq!(self.gates.runs(), 1);
        self.host.await_engine();
        assert_eq!(self.host.must("systemctl is-active docker containerd"), "active\nactive\n");
        self.agent.docker(&["rm", "-f"]).expect(0);
        self.host.must(&format!("rm -r /var/lib/careen/transactions/{}", self.name));
    }
}

/// Something is killed that the command does not need: it goes on, and the next agent has all of it.
fn outlives(victim: &str, kill: impl Fn(&Scene<'_>)) {
    let host = host();
    for point in POINTS {
        let scene = Scene::at(&host, victim, point);
        if point == Point::End {
            let agent = scene.agent_pid();
            host.must(&format!("kill -STOP {agent}"));
            scene.go_on();
            host.await_outcome(&scene.name, "exited with status 3");
            kill(&scene);
            // Nobody has an agent frozen for ever; one that was killed takes no notice.
            host.must(&format!("kill -CONT {agent} || true"));
        } else {
            kill(&scene);
            scene.go_on();
        }
        let ran = scene.next_agent().expect(GATED_STATUS);
        assert_eq!(ran.text(), lines(1..7), "{victim} killed at {point:?}");
        scene.finish();
    }
}

#[test]
fn a_killed_agent_costs_nothing_at_any_point() {
    outlives("agent", |scene| drop(scene.host.must(&format!("kill -KILL {}", scene.agent_pid()))));
}

#[test]
fn a_killed_dockerd_costs_nothing_at_any_point() {
    outlives("dockerd", |scene| scene.host.fault(Fault::KillEngine).expect("dockerd is killed"));
}

#[test]
fn a_killed_containerd_costs_nothing_at_any_point() {
    outlives("containerd", |scene| {
        let kill = "systemctl reset-failed containerd; systemctl kill -s KILL --kill-who=main containerd";
        scene.host.must(kill);
        // systemd would do it by itself, five seconds later.
        scene.host.must("systemctl start containerd");
    });
}

#[test]
fn a_killed_supervisor_is_an_interruption_at_any_point() {
    let host = host();
    for point in POINTS {
        let scene = Scene::at(&host, "supervisor", point);
        let supervisor = scene.supervisor_pid();
        if point == Point::End {
            host.must(&format!("kill -STOP {supervisor}"));
            scene.go_on();
            eventually("the command's end", || {
                let children = host.must(&format!("ps -o stat= --ppid {supervisor}; true"));
                if children.starts_with('Z') { Ok(()) } else { Err(children) }
            });
        }
        host.must(&format!("kill -KILL {supervisor}"));
        host.await_outcome(&scene.name, "was interrupted: its supervisor is gone and left no result");
        scene.go_on();
        let kept = if point == Point::Start { 1..1 } else { 1..4 };
        let ran = scene.next_agent().expect(245);
        assert_eq!(ran.text(), lines(kept.clone()), "killed at {point:?}");
        // The agent that was there goes on where it was.
        scene.agent.docker(&["wait"]).expect(0);
        assert_eq!(scene.agent.docker(&["logs"]).text(), lines(kept), "killed at {point:?}");
        assert_contains(&ran.stderr, "this is the recorded result, nothing was run again");
        scene.finish();
    }
}

#[test]
fn a_command_that_restarts_the_engine_three_times_goes_through() {
    let host = host();
    let image = host.script(
        "#!/bin/sh\nset -e\necho run >> /run/careen-test-runs\nfor n in 1 2 3; do echo before $n; systemctl reset-failed docker; systemctl restart docker; echo after $n; done\n",
    );
    host.must("rm -f /run/careen-test-runs");
    let container = host.run(&image).env("CAREEN_TRANSACTION", "thrice").start();
    host.await_outcome("thrice", "exited with status 0");
    host.await_engine();
    let ran = host.run(&image).env("CAREEN_TRANSACTION", "thrice").go().expect(0);
    assert_eq!(ran.text(), "before 1\nafter 1\nbefore 2\nafter 2\nbefore 3\nafter 3\n");
    assert_eq!(host.must("cat /run/careen-test-runs; rm /run/careen-test-runs"), "run\n");
    container.docker(&["rm", "-f"]).expect(0);
    host.must("rm -r /var/lib/careen/transactions/thrice");
}

/// Counts its attempts on the disk, and in the first one works until somebody stops it.
const ENDLESS: &str = "#!/bin/sh\necho $CAREEN_ATTEMPT >> /var/tmp/careen-test-attempts; echo attempt $CAREEN_ATTEMPT; test $CAREEN_ATTEMPT = 2 || exec sleep 600\n";

#[test]
fn a_reboot_by_somebody_else_stops_the_command_for_good() {
    let host = host();
    host.must("rm -f /var/tmp/careen-test-attempts");
    let image = host.script(ENDLESS);
    let container = host.run(&image).start();
    container.await_log("attempt 1");
    let id = host.last_transaction();
    host.fault(Fault::Reboot).expect("the host reboots");
    host.await_outcome(&id, "was stopped: its supervisor was stopped from outside (the host shut down");
    host.await_engine();
    container.docker(&["start"]).expect(0);
    container.await_log("nothing was run again");
    assert_contains(&container.wait().expect(245).text(), "attempt 1\n");
    assert_eq!(host.must("cat /var/tmp/careen-test-attempts; rm /var/tmp/careen-test-attempts"), "1\n");
}

#[test]
fn a_reboot_by_somebody_else_is_gone_on_from_where_the_payload_says_that_it_may() {
    let host = host();
    host.must("rm -f /var/tmp/careen-test-attempts");
    let image = host.script(ENDLESS);
    let container = host.run(&image).env("CAREEN_IDEMPOTENT", "1").start();
    container.await_log("attempt 1");
    let id = host.last_transaction();
    host.fault(Fault::Reboot).expect("the host reboots");
    host.await_outcome(&id, "exited with status 0");
    assert_eq!(host.must(&format!("careen-agent logs {id}")), "attempt 1\nattempt 2\n");
    assert_eq!(host.must("cat /var/tmp/careen-test-attempts; rm /var/tmp/careen-test-attempts"), "1\n2\n");
    host.await_engine();
    container.docker(&["rm", "-f"]).expect(0);
}

#[test]
fn a_unit_that_somebody_stops_is_stopped_for_good_idempotent_or_not() {
    let host = host();
    host.must("rm -f /var/tmp/careen-test-attempts");
    let image = host.script(ENDLESS);
    let container = host.run(&image).env("CAREEN_IDEMPOTENT", "1").start();
    container.await_log("attempt 1");
    let id = host.last_transaction();
    host.must(&format!("systemctl stop careen-{id}-1.service"));
    container.wait().expect(245);
    assert_eq!(host.must("cat /var/tmp/careen-test-attempts; rm /var/tmp/careen-test-attempts"), "1\n");
}

#[test]
fn of_transactions_that_come_at_once_one_has_the_host_and_the_others_are_told_which() {
    let host = host();
    let gates = Gates::new(host.node());
    let image = host.script(GATED);
    let containers: Vec<Container<'_>> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| host.run(&image).start())).collect();
        starts.into_iter().map(|start| start.join().expect("docker run")).collect()
    });
    let turned_away = || -> Vec<&Container<'_>> {
        let is_one = |container: &&Container<'_>| {
            let state = container.docker(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}"]).text();
            state == "exited 244\n"
        };
        containers.iter().filter(is_one).collect()
    };
    eventually("three that are turned away", || {
        let count = turned_away().len();
        if count == 3 { Ok(()) } else { Err(count.to_string()) }
    });
    gates.await_at("start");
    let id = host.last_transaction();
    for container in turned_away() {
        assert_contains(&container.logs(), &format!("this host is busy with transaction {id}"));
    }
    gates.open(&["start", "middle", "end"]);
    host.await_outcome(&id, "exited with status 3");
    assert_eq!(gates.runs(), 1);
    containers.iter().for_each(|container| drop(container.docker(&["rm", "-f"])));
}

#[test]
fn a_held_dpkg_lock_is_the_commands_own_failure_and_the_next_run_succeeds() {
    let host = host();
    let image = host.script(
        "#!/bin/sh\nset -e\nonly='-o Dir::Etc::SourceList=/etc/apt/sources.list.d/careen-lab.list -o Dir::Etc::SourceParts=-'\napt-get -qq $only update\napt-get -qq -y $only -o DPkg::Lock::Timeout=1 install --reinstall --allow-downgrades careen-test-hello=1.0\n",
    );
    host.fault(Fault::HoldDpkgLock).expect("dpkg's lock is held");
    let ran = host.run(&image).go();
    host.fault(Fault::ReleaseDpkgLock).expect("dpkg's lock is released");
    let ran = ran.expect(100);
    assert_contains(&ran.stderr, "/var/lib/dpkg/lock-frontend");
    assert_contains(&ran.stderr, "'install' exited with status 100");
    host.run(&image).go().expect(0);
}
