//! Every wait can be ended: by an abort, by a skip, and on the host itself. Whatever became of a rollout, the next one has the host.

use crate::rollout::LONG;
use crate::stage;
use crate::stage::Stage;
use careen_lab::{Output, Poll, wait_until};

/// A wait of a host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The drained node waits for the go.
    Go,
    /// A paused rollout waits on a node that is not drained.
    Paused,
    /// The command is done, and its supervisor waits for the go to restart the engine.
    Restart,
    /// The engine is being stopped for the restart that the command wanted, and takes its time.
    Engine,
    /// A reboot was asked for, and the host does not go down.
    Boot,
    /// Another transaction has the host.
    HostBusy,
}

/// docker.service does not stop as long as the host is told to hold it.
const SLOW_STOP: &str = "mkdir -p /etc/systemd/system/docker.service.d
cat >/etc/systemd/system/docker.service.d/careen-test.conf <<'end'
[Service]
ExecStop=/bin/sh -c 'while [ -e /run/careen-test/hold-stop ]; do sleep 0.2; done'
TimeoutStopSec=infinity
end
systemctl daemon-reload
touch /run/careen-test/hold-stop";

/// Nothing comes of a reboot, as where something asks back before it.
const NO_REBOOT: &str = r#"cat >/usr/local/sbin/systemctl <<'end'
#!/bin/sh
[ "$1" != reboot ] || exit 0
exec /usr/bin/systemctl "$@"
end
chmod 755 /usr/local/sbin/systemctl"#;

/// What both have left.
const UNDO: &str = "rm -f /run/careen-test/hold-stop /usr/local/sbin/systemctl
rm -f /etc/systemd/system/docker.service.d/careen-test.conf
systemctl daemon-reload";

/// A host in the way of its restarts, until this is dropped.
struct InTheWay<'a>(&'a Stage);

impl<'a> InTheWay<'a> {
    fn put(stage: &'a Stage, script: &str) -> Self {
        let put = Self(stage);
        stage.sh(script);
        put
    }
}

impl Drop for InTheWay<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.scene.node(self.0.node).sh(UNDO).and_then(Output::ok) {
            eprintln!("{error}");
        }
    }
}

/// What ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Abort,
    Skip,
    /// `careen-agent cancel` on the host.
    Cancel,
}

impl Wait {
    /// Until the node waits so.
    fn begin(self, stage: &Stage) -> Option<InTheWay<'_>> {
        let Stage { scene, node, .. } = stage;
        let mut in_the_way = None;
        match self {
            Self::Go => {
                stage.wait_for_the_go(&["--", "plain"]);
            }
            Self::Paused => {
                scene.hold(node, "prepare");
                stage.start(&["--", "plain"]);
                scene.await_begun(node, "prepare");
                assert_eq!(scene.careen(&["pause"]).status, 0);
                scene.let_go(node, "prepare");
                scene.await_hold(node, "paused");
            }
            Self::Restart => {
                stage.sh("echo no >/run/careen-test/expects");
                stage.keep_something_there();
                stage.start(&[]);
                scene.await_node(node, "waits for a restart's go", |seen| {
                    seen["hold"]["hold"] == "not-replaced" && scene.ran(node).contains("install")
                });
                stage.sh("rm /run/careen-test/expects");
            }
            Self::Engine => {
                in_the_way = Some(InTheWay::put(stage, SLOW_STOP));
                stage.start(&[]);
                await_list(stage, "waiting: the engine is being stopped");
            }
            Self::Boot => {
                in_the_way = Some(InTheWay::put(stage, NO_REBOOT));
                stage.start(&["--", "reboot"]);
                await_list(stage, "rebooting");
                scene.await_hold(node, "restarting");
            }
            Self::HostBusy => {
                scene.hold(node, "install");
                stage.sh(&format!(
                    "rm -f /run/careen-test/ran; docker run -d --name by-hand -v /:/host -e CAREEN_RUN=by-hand-$(date +%s) {} install plain",
                    scene.image
                ));
                scene.await_begun(node, "install");
                stage.start(&["--", "plain"]);
                scene.await_hold(node, "host-busy");
            }
        }
        in_the_way
    }

    /// Whether the command has run, so that the node cannot be left out any more.
    fn is_behind_the_command(self) -> bool {
        match self {
            Self::Restart | Self::Engine | Self::Boot => true,
            Self::Go | Self::Paused | Self::HostBusy => false,
        }
    }

    /// What has run when it was ended, and nothing else may.
    fn had_run(self) -> &'static str {
        match self {
            Self::Go | Self::Paused => "prepare ",
            Self::Restart | Self::Engine | Self::Boot => "prepare install ",
            Self::HostBusy => "",
        }
    }
}

/// Until the host says this of its newest transaction.
fn await_list(stage: &Stage, words: &str) {
    let said = wait_until(&format!("{}: {words}", stage.node), LONG, || {
        let seen = stage.scene.node(stage.node).sh("careen-agent list | tail -n 1")?.stdout;
        Ok(if seen.contains(words) { Poll::Ready(()) } else { Poll::Pending(seen) })
    });
    said.unwrap_or_else(|error| panic!("{error}"));
}

/// Until the engine answers.
fn await_engine(stage: &Stage) {
    let up = wait_until(&format!("the engine of {} answers", stage.node), LONG, || {
        // Not over its socket while it is stopped: each such call is a start that systemd counts, until it refuses the last one.
        let asked = "systemctl is-active docker && docker info -f '{{.Swarm.LocalNodeState}}'";
        let seen = stage.scene.node(stage.node).sh(asked)?;
        let up = seen.status == 0 && seen.stdout.split_whitespace().eq(["active", "active"]);
        Ok(if up { Poll::Ready(()) } else { Poll::Pending(format!("{seen:?}")) })
    });
    up.unwrap_or_else(|error| panic!("{error}"));
}

fn is_ended(stage: &Stage, wait: Wait, by: By) {
    let in_the_way = wait.begin(stage);
    let engine = stage.sh("cat /run/docker.pid");
    println!("\n== {wait:?}, ended by {by:?}\n{}", stage.scene.careen(&["why", stage.node]).stdout);
    match by {
        By::Abort => abort(stage),
        By::Skip if wait.is_behind_the_command() => {
            let skip = stage.scene.careen(&["skip", stage.node]);
            assert!(skip.status != 0 && skip.stderr.contains("cannot be left out"), "{skip:?}");
            abort(stage);
        }
        By::Skip => skip(stage),
        By::Cancel => cancel(stage, wait),
    }
    if wait == Wait::HostBusy {
        if by != By::Cancel {
            finish_what_is_by_hand(stage);
        }
    } else {
        assert_eq!(stage.scene.ran(stage.node), wait.had_run(), "nothing further began");
    }
    if wait == Wait::Engine {
        drop(in_the_way);
        await_engine(stage);
    } else if wait != Wait::HostBusy {
        assert_eq!(stage.sh("cat /run/docker.pid"), engine, "the engine was not restarted");
    }
    println!("{}", stage.sh("careen-agent list | tail -n 3"));
    stage.scene.assert_nothing_is_left();
    stage.next_rollout_ends_well();
}

fn abort(stage: &Stage) {
    let abort = stage.scene.careen(&["abort"]);
    assert_eq!(abort.status, 0, "{abort:?}");
    let last = stage.scene.await_end();
    assert_eq!(last["control"]["outcome"], "aborted", "{last}");
    // A node whose work was in the middle of something stays drained, and careen says so.
    stage.scene.sh("n1", &format!("docker node update --availability active {}", stage.node));
}

fn skip(stage: &Stage) {
    let skip = stage.scene.careen(&["skip", stage.node]);
    assert_eq!(skip.status, 0, "{skip:?}");
    // Where it was paused it goes on to its end.
    stage.scene.careen(&["resume"]);
    stage.scene.await_end();
}

fn cancel(stage: &Stage, wait: Wait) {
    let Stage { scene, node, .. } = stage;
    let id = match wait {
        Wait::HostBusy => scene.standing(node)["hold"]["transaction"].as_str().expect("an id").to_owned(),
        Wait::Go | Wait::Paused | Wait::Restart | Wait::Engine | Wait::Boot => {
            stage.sh("careen-agent list | tail -n 1 | cut -d' ' -f1").trim().to_owned()
        }
    };
    let said = scene.node(node).sh(&format!("careen-agent cancel {id}")).expect("exec");
    println!("careen-agent cancel {id}: {} {}{}", said.status, said.stdout, said.stderr);
    match wait {
        Wait::HostBusy => {
            assert_eq!(said.status, 0, "{said:?}");
            let ended = stage.sh("docker wait by-hand; docker rm by-hand >/dev/null");
            assert_ne!(ended.trim(), "0", "it was stopped");
            // The rollout's own command has its turn now, and would be held as well.
            scene.let_go(node, "install");
            scene.await_done();
        }
        Wait::Restart | Wait::Engine | Wait::Boot => {
            assert_eq!(said.status, 0, "{said:?}");
            await_list(stage, "cancelled by careen-agent cancel");
            if wait == Wait::Engine {
                stage.sh("rm /run/careen-test/hold-stop"); // no agent can be told before the engine is there
            }
            let failed = scene.await_state(node, "failed");
            println!("{failed}\n{}", scene.careen(&["why", node]).stdout);
            let why = scene.careen(&["why", node]).stdout;
            assert!(
                why.contains("246"),
                "the agent's code for a restart that was wanted and not done: {why}"
            );
            abort(stage);
        }
        Wait::Go | Wait::Paused => abort(stage),
    }
}

/// What somebody had begun on the host goes on whatever becomes of the rollout.
fn finish_what_is_by_hand(stage: &Stage) {
    stage.scene.let_go(stage.node, "install");
    let ended = stage.sh("docker wait by-hand; docker rm by-hand >/dev/null");
    assert_eq!((ended.trim(), stage.scene.ran(stage.node).as_str()), ("0", ""));
}

fn each(node: &'static str, cases: &[(Wait, By)]) {
    let stage = stage(node);
    for (wait, by) in cases {
        is_ended(&stage, *wait, *by);
    }
}

#[test]
fn an_abort_ends_the_wait_for_a_restart_and_frees_the_host() {
    each("n4", &[(Wait::Restart, By::Abort)]);
}

#[test]
#[ignore = "slow: each wait has a rollout of its own, and one after it; tools/slow-test"]
fn an_abort_ends_every_wait() {
    each("n4", &[(Wait::Go, By::Abort), (Wait::Paused, By::Abort), (Wait::HostBusy, By::Abort)]);
    each("n3", &[(Wait::Go, By::Abort), (Wait::Restart, By::Abort)]);
}

#[test]
#[ignore = "slow: each wait has a rollout of its own, and one after it; tools/slow-test"]
fn a_skip_ends_every_wait_before_the_command() {
    each("n4", &[(Wait::Go, By::Skip), (Wait::Paused, By::Skip), (Wait::HostBusy, By::Skip)]);
    each("n3", &[(Wait::Go, By::Skip)]);
}

#[test]
#[ignore = "slow: each wait has a rollout of its own, and one after it; tools/slow-test"]
fn every_wait_can_be_ended_on_the_host() {
    each("n4", &[(Wait::Restart, By::Cancel), (Wait::HostBusy, By::Cancel), (Wait::Go, By::Cancel)]);
    each("n3", &[(Wait::Restart, By::Cancel)]);
}

#[test]
#[ignore = "slow: each wait has a rollout of its own, and one after it; tools/slow-test"]
fn a_skip_behind_the_command_is_refused() {
    each("n4", &[(Wait::Restart, By::Skip), (Wait::Boot, By::Skip)]);
}

#[test]
#[ignore = "slow: an engine that stops late; tools/slow-test"]
fn a_wait_for_the_engine_can_be_ended() {
    each("n4", &[(Wait::Engine, By::Cancel), (Wait::Engine, By::Abort)]);
    each("n3", &[(Wait::Engine, By::Cancel)]);
}

#[test]
#[ignore = "slow: each wait has a rollout of its own, and one after it; tools/slow-test"]
fn a_wait_for_a_boot_can_be_ended() {
    each("n4", &[(Wait::Boot, By::Cancel), (Wait::Boot, By::Abort)]);
    each("n3", &[(Wait::Boot, By::Cancel)]);
}

#[test]
#[ignore = "slow: an engine restart; tools/slow-test"]
fn what_was_cancelled_on_the_host_is_not_taken_up_again_at_the_next_boot() {
    let stage = stage("n4");
    Wait::Restart.begin(&stage);
    let id = stage.sh("careen-agent list | tail -n 1 | cut -d' ' -f1").trim().to_owned();
    stage.sh(&format!("careen-agent cancel {id}"));
    let closed = wait_until("the transaction is closed", LONG, || {
        let seen = stage.sh(&format!("careen-agent show {id} | tail -n 1"));
        Ok(if seen.contains("closed") { Poll::Ready(seen) } else { Poll::Pending(seen) })
    });
    println!("{}", closed.unwrap_or_else(|error| panic!("{error}")));
    stage.scene.fault("n4", careen_lab::Fault::Reboot);
    // A host that shows its boot id has no bus of systemd's yet.
    let units = wait_until("systemd answers after the boot", LONG, || {
        let seen = stage.scene.node("n4").sh(
            "systemctl is-system-running --wait >/dev/null; systemctl list-units 'careen*' --no-legend",
        )?;
        Ok(if seen.status == 0 { Poll::Ready(seen.stdout) } else { Poll::Pending(format!("{seen:?}")) })
    });
    let units = units.unwrap_or_else(|error| panic!("{error}"));
    let after = stage.sh(&format!("careen-agent list | grep {id}"));
    println!("{after}{units}");
    assert!(!after.contains("waiting") && !units.contains(".service"), "{after}{units}");
    abort(&stage);
    assert_eq!(stage.scene.ran("n4"), "", "the reboot has emptied /run, and nothing has begun since");
    stage.next_rollout_ends_well();
}
