//! A host whose disk is a copy of another machine's: a rollout begins nothing there until somebody says which machine it is, with
//! the commands that careen tells to type.

use crate::stage;
use crate::stage::Stage;

/// Makes of the host's record one that another machine wrote: what a host finds whose disk is a copy.
const COPY: &str = r#"sed -i 's/"..:..:..:..:..:.."/"02:00:00:00:00:01"/' /var/lib/careen/machine.json"#;

/// The rollout waits, says why, and what to type.
fn is_held(stage: &Stage, answer: &str) {
    stage.sh(COPY);
    stage.start(&["--", "plain"]);
    let held = stage.scene.await_hold(stage.node, "copied");
    assert!(held["hold"]["from"].as_str().is_some_and(|from| from.starts_with("machine ")), "{held}");
    let why = stage.scene.careen(&["why", stage.node]).stdout;
    println!("{why}");
    assert!(why.contains(answer), "{why}");
    assert_eq!(stage.scene.ran(stage.node), "", "nothing is begun");
    println!("{}", stage.sh(answer));
    stage.scene.await_done();
    assert_eq!(stage.scene.ran(stage.node), "prepare install verify ");
}

#[test]
#[ignore = "slow: four rollouts; tools/slow-test"]
fn a_host_that_is_a_copy_begins_nothing_until_somebody_says_which_machine_it_is() {
    let stage = stage("n4");
    stage.next_rollout_ends_well();
    let before = stage.sh("careen-agent machine");
    is_held(&stage, "careen-agent machine keep");
    is_held(&stage, "careen-agent machine new");
    let after = stage.sh("careen-agent machine");
    println!("{before}{after}");
    assert!(after.contains("\"standing\":\"own\"") && after != before, "it is another machine: {after}");
    stage.sh("rm -rf /var/lib/careen/transactions-before-*");
    stage.next_rollout_ends_well();
}
