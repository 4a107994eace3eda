//! Faults around a service's task: what Swarm does about them, and what becomes of the command.

use crate::support::{GATED, GATED_STATUS, Gates, Run, assert_contains, eventually, lines, swarm};

#[test]
fn a_service_that_is_removed_leaves_its_command_to_the_next_agent() {
    let swarm = swarm();
    let image = swarm.script(GATED);
    let node = &swarm.nodes()[1];
    let gates = Gates::new(node);
    gates.open(&["start"]);
    let constraint = format!("--constraint=node.hostname=={}", node.name());
    swarm.service("removed", &["--restart-condition=none", &constraint], &image, &[]);
    gates.await_at("middle");
    swarm.docker(&["service", "rm", "removed"]);
    eventually("no container of the service", || {
        let left =
            node.sh("docker ps -aq --filter label=com.docker.swarm.service.name=removed").expect("exec");
        if left.stdout.is_empty() { Ok(()) } else { Err(left.stdout) }
    });
    let id = node.sh("careen-agent list | tail -n 1 | cut -d' ' -f1").expect("exec").stdout;
    let agent = Run::new(node, &image).env("CAREEN_TRANSACTION", id.trim()).start();
    agent.await_log("is running on this host already: following it");
    gates.open(&["middle", "end"]);
    let ran = agent.wait().expect(GATED_STATUS);
    assert_eq!(ran.text(), lines(1..7));
    assert_contains(&ran.stderr, " bytes before this agent came: they come first");
    assert_contains(&ran.stderr, "what follows was printed since this agent came");
    assert_eq!(gates.runs(), 1);
}

#[test]
fn a_task_whose_agent_was_killed_is_restarted_and_reports_what_became_of_the_command() {
    let swarm = swarm();
    let image = swarm.script(GATED);
    let node = &swarm.nodes()[1];
    let gates = Gates::new(node);
    gates.open(&["start"]);
    let constraint = format!("--constraint=node.hostname=={}", node.name());
    let restarts = ["--restart-condition=on-failure", "--restart-delay=0s", "--restart-max-attempts=1"];
    swarm.service("killed", &[&restarts[..], &[&constraint]].concat(), &image, &[]);
    gates.await_at("middle");
    let kill = "kill -KILL $(docker inspect -f '{{.State.Pid}}' $(docker ps -q --filter label=com.docker.swarm.service.name=killed))";
    assert_eq!(node.sh(kill).expect("exec").status, 0);
    eventually("a second task that follows the command", || {
        let logs = swarm.manager().docker(["service", "logs", "--raw", "killed"]).expect("docker");
        if logs.stderr.contains("on this host already: following it") { Ok(()) } else { Err(logs.stderr) }
    });
    gates.open(&["middle", "end"]);
    let errors = eventually("the second task's end", || {
        let errors = swarm.docker(&["service", "ps", "--no-trunc", "--format", "{{.Error}}", "killed"]);
        if errors.contains("non-zero exit (3)") { Ok(errors) } else { Err(errors) }
    });
    assert!(errors.contains("non-zero exit (137)"), "{errors}");
    // Swarm shows the logs of both tasks in any order.
    assert_contains(&swarm.docker(&["service", "logs", "--raw", "killed"]), "line 6\n");
    let log = node.sh("careen-agent logs $(careen-agent list | tail -n 1 | cut -d' ' -f1)").expect("exec");
    assert_eq!(log.stdout, lines(1..7));
    assert_eq!(gates.runs(), 1);
    swarm.docker(&["service", "rm", "killed"]);
}
