//! The controller's part: one that was frozen gives no go when it wakes up, and a paused one gives none at all.

use crate::rollout::{LONG, Scene};
use crate::stage;
use crate::words::of_the_controller;
use careen_lab::{Output, Poll, wait_until};

const MANAGERS: [&str; 3] = ["n1", "n2", "n3"];

/// The controller's process, on the manager where it runs.
struct Process {
    node: &'static str,
    pid: String,
}

impl Process {
    fn find(scene: &Scene, rollout: &str) -> Self {
        let script = format!(
            "docker ps -q -f name=careen-controller-{rollout} | head -n1 | xargs -r docker inspect -f '{{{{.State.Pid}}}}'"
        );
        let found = wait_until("a controller runs", LONG, || {
            let on = |node: &'static str| {
                Some((node, scene.node(node).sh(&script).ok()?.stdout.trim().to_owned()))
            };
            let mut runs = MANAGERS.into_iter().filter_map(on).filter(|(_, pid)| !pid.is_empty());
            Ok(match runs.next() {
                Some((node, pid)) => Poll::Ready(Self { node, pid }),
                None => Poll::Pending("on no manager".to_owned()),
            })
        });
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    fn signal(&self, scene: &Scene, signal: &str) {
        scene.sh(self.node, &format!("kill -{signal} {}", self.pid));
    }

    fn is_there(&self, scene: &Scene) -> bool {
        let ask = scene.node(self.node).sh(&format!("[ -d /proc/{} ]", self.pid));
        ask.is_ok_and(|answer| answer.status == 0)
    }
}

/// Whatever happens, it goes on at the end of the test.
struct Frozen<'a>(&'a Scene, Process);

impl<'a> Frozen<'a> {
    fn now(scene: &'a Scene, process: Process) -> Self {
        process.signal(scene, "STOP");
        Self(scene, process)
    }

    /// Lets it go on, and waits until it has seen that the rollout is not its own any more.
    fn thaw(self, rollout: &str) -> Vec<String> {
        let since = self.0.word("n1", "date +%s");
        self.1.signal(self.0, "CONT"); // fails where it is gone: then nothing was shown
        let stopped = wait_until("the frozen controller stops", LONG, || {
            let said = of_the_controller(self.0, rollout, &since);
            let ends = said.iter().any(|line| line.contains("another controller has the rollout now"));
            Ok(if ends || !self.1.is_there(self.0) {
                Poll::Ready(said)
            } else {
                Poll::Pending(said.join("\n"))
            })
        });
        stopped.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Gone already, if all went well.
        let thaw = self.0.node(self.1.node).sh(&format!("kill -CONT {} 2>/dev/null || :", self.1.pid));
        if let Err(error) = thaw.and_then(Output::ok) {
            eprintln!("{error}");
        }
    }
}

#[test]
fn a_paused_rollout_gives_no_go_until_it_is_resumed() {
    let stage = stage("n4");
    let scene = &stage.scene;
    stage.wait_for_the_go(&["--", "plain"]);
    assert_eq!(scene.careen(&["pause"]).status, 0);
    stage.let_it_move();
    scene.await_hold("n4", "paused");
    let why = scene.careen(&["why", "n4"]).stdout;
    assert!(why.contains("careen resume"), "{why}");
    assert_eq!(scene.ran("n4"), "prepare ", "paused");
    assert_eq!(scene.careen(&["resume"]).status, 0);
    scene.await_done();
    assert_eq!(scene.ran("n4"), "prepare install verify ");
    scene.assert_nothing_is_left();
}

#[test]
#[ignore = "takes minutes: the silence of a controller has to be noticed; tools/slow-test"]
fn a_frozen_controller_that_wakes_up_after_an_abort_gives_no_go() {
    wakes_up_after_an_abort("n4");
}

#[test]
#[ignore = "takes minutes: the silence of a controller has to be noticed; tools/slow-test"]
fn a_frozen_controller_that_wakes_up_after_an_abort_gives_a_manager_no_go() {
    wakes_up_after_an_abort("n3");
}

/// Which controller has the lock.
fn holder(scene: &Scene) -> String {
    let ask = r#"docker config inspect careen.lock -f '{{index .Spec.Labels "careen.holder"}}'"#;
    scene.node("n2").sh(ask).map(|answer| answer.stdout.trim().to_owned()).unwrap_or_default()
}

fn await_other_holder(scene: &Scene, before: &str) {
    let other = wait_until("another controller has the lock", LONG, || {
        let now = holder(scene);
        Ok(if now.is_empty() || now == before { Poll::Pending(now) } else { Poll::Ready(()) })
    });
    other.unwrap_or_else(|error| panic!("{error}"));
}

fn wakes_up_after_an_abort(node: &'static str) {
    let stage = stage(node);
    let scene = &stage.scene;
    let rollout = stage.wait_for_the_go(&["--", "plain"]);
    let frozen = Frozen::now(scene, Process::find(scene, &rollout));
    // The next thing that it would see is that nothing is in the way of the go.
    stage.let_it_move();
    let holder = holder(scene);
    let heard = std::thread::scope(|scope| {
        let aborts = scope.spawn(|| scene.careen_on("n2", &["abort", "--local"]));
        // At the end of the rollout the frozen one would be killed.
        await_other_holder(scene, &holder);
        let heard = frozen.thaw(&rollout);
        let aborted = aborts.join().expect("it was aborted");
        println!("{}{}", aborted.stdout, aborted.stderr);
        heard
    });
    println!("{}", heard.join("\n"));
    assert_eq!(scene.await_end()["control"]["outcome"], "aborted");
    assert_eq!(scene.ran(node), "prepare ", "nothing was begun");
    stage.next_rollout_ends_well();
}
