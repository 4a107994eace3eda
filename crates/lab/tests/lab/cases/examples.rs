//! The examples do what their READMEs say.

use crate::support::{Image, assert_contains, host};
use std::path::Path;

#[test]
fn keys_for_daemon_json_are_merged_read_by_the_engine_and_taken_back() {
    let host = host();
    let context = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/docker-daemon-config");
    let dockerfile = std::fs::read_to_string(context.join("Dockerfile")).expect("the example's Dockerfile");
    let image = Image::build_context(&host, &dockerfile, &context, "careen-test:daemon-config");
    let labels = || host.must("docker info --format '{{.Labels}}'");
    let file = "cat /etc/docker/daemon.json";
    // With the key in it: an engine that reads a file without a key keeps the value it had.
    let before = "{ \"labels\": [\"of=the-host\"] }\n";
    host.must(&format!("mkdir -p /etc/docker; printf '%s' '{before}' > /etc/docker/daemon.json"));
    let engine = host.must("cat /run/docker.pid");

    let drift = host.run(&image).command(&["check"]).go().expect(2);
    assert_contains(&drift.text(), "daemon-config: drift");
    assert_eq!(host.must(file), before, "a check changes nothing");

    host.run(&image).go().expect(0);
    assert_contains(&labels(), "managed-by=careen");
    assert_eq!(host.must("cat /run/docker.pid"), engine, "read, not restarted");
    host.run(&image).command(&["check"]).go().expect(0);
    let again = host.run(&image).go().expect(0);
    assert_contains(&again.text(), "nothing was changed");

    host.run(&image).command(&["rollback"]).go().expect(0);
    assert_eq!(labels(), "[of=the-host]\n");
    assert_eq!(host.must(file), before);
    host.run(&image).command(&["check"]).go().expect(2);
    host.must("rm /etc/docker/daemon.json; systemctl restart docker");
    host.await_engine();
}
