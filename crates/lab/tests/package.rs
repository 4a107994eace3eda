//! What `make dist` makes, used as the README says: the package is installed, its image comes to the hosts, a rollout runs with it, and
//! the package is removed; the tarball has the same program. Run by hand (`make test-slow`), behind `make dist`.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod own_lab;

use careen_lab::{Node, Progress};
use own_lab::OwnLab;
use std::path::Path;

const LAB: &str = "package";

fn sh(node: &Node, script: &str) -> String {
    node.sh(&format!("cd /root/dist\n{script}")).and_then(careen_lab::Output::ok).expect("it works")
}

#[test]
#[ignore = "slow, and needs what make dist makes: run by make test-slow"]
fn the_package_is_installed_used_and_removed_as_the_readme_says() {
    let own = OwnLab::up(LAB, 1, 1, Progress::quiet());
    let lab = &own.lab;
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/dist");
    let dist = dist.canonicalize().expect("'make dist' has made it");
    for node in lab.nodes() {
        node.sh("rm -rf /root/dist").expect("removed");
        node.cp_in(&dist, "/root/dist").expect("copied");
    }
    let (manager, worker) = (lab.node("n1").expect("n1"), lab.node("n2").expect("n2"));
    sh(manager, "sha256sum --check SHA256SUMS");
    for node in [manager, worker] {
        sh(node, "apt-get install --yes --no-install-recommends ./careen_*.deb");
    }
    let version = sh(manager, "careen --version");
    assert_eq!(sh(manager, "docker careen --version"), version);
    assert_eq!(sh(manager, "tar -xzf careen-*.tar.gz && ./careen-*/careen --version"), version);
    assert!(sh(manager, "docker info").contains("careen"), "docker lists its plugin");
    sh(manager, "bash -c '. /usr/share/bash-completion/completions/careen && complete -p careen'");

    // Without a build and without a registry: each engine has the image that the program carries.
    for node in [manager, worker] {
        sh(node, "careen image load");
    }
    let image = sh(manager, "docker image ls --format '{{.Repository}}:{{.Tag}}' careen/installer");
    let image = image.lines().next().expect("an image");
    sh(manager, "printf '#!/bin/sh\\ntouch /var/tmp/careen-test-package\\n' > fix.sh; chmod +x fix.sh");
    let flags = format!("--image {image} --script fix.sh --touches-engine no --monitor 1s --yes");
    sh(manager, &format!("docker careen run {flags}"));
    for node in [manager, worker] {
        sh(node, "test -e /var/tmp/careen-test-package");
    }

    // The same command upgrades it, or leaves what is there already.
    sh(manager, "apt-get install --yes --reinstall ./careen_*.deb && careen --version");
    sh(manager, "apt-get remove --yes careen");
    let left =
        sh(manager, "ls /usr/bin/careen /usr/libexec/docker/cli-plugins/docker-careen 2>/dev/null || :");
    assert_eq!(left, "", "nothing of it is left");
}
