//! The examples do what their READMEs say.

use crate::support::{File, Host, Image, Ran, assert_contains, host, image_base};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of examples/, copied, so that a test puts its own files in.
struct Example {
    name: &'static str,
    directory: TempDir,
}

impl Example {
    fn new(name: &'static str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
        let directory = tempfile::tempdir().expect("a directory for the example");
        copy(&source, directory.path());
        Self { name, directory }
    }

    /// Puts a file into it.
    fn with(self, path: &str, content: &str) -> Self {
        fs::write(self.directory.path().join(path), content).expect("a file of the example is written");
        self
    }

    /// The image that its README builds.
    fn image(&self, host: &Host) -> Image {
        let dockerfile = fs::read_to_string(self.path("Dockerfile")).expect("the example's Dockerfile");
        Image::build_context(host, &dockerfile, self.directory.path(), &format!("careen-test:{}", self.name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory of the example");
    for entry in fs::read_dir(from).expect("the example is there") {
        let entry = entry.expect("an entry of the example");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file of the example is copied");
        }
    }
}

/// Runs a command of the payload, which ends with this status.
#[track_caller]
fn run(host: &Host, image: &Image, words: &[&str], status: i32) -> Ran {
    host.run(image).command(words).go().expect(status)
}

#[test]
fn every_payload_has_its_commands_and_its_words_about_itself() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for name in
        ["ansible", "docker-daemon-config", "no-unattended-upgrades", "ssh-keys", "sysctl", "trusted-ca"]
    {
        let payload = examples.join(name).join("payload");
        for command in ["check", "install", "verify"] {
            let path = payload.join(command);
            let mode = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(mode.permissions().mode() & 0o111, 0o111, "{} is executable", path.display());
            let text = fs::read_to_string(&path).expect("a script");
            assert!(text.starts_with("#!/bin/sh\n"), "{}", path.display());
        }
        let named = format!("name: {name}\n");
        for (path, word) in [("help", "check"), ("careen.yaml", named.as_str())] {
            let text = fs::read_to_string(payload.join(path)).expect("a text");
            assert_contains(&text, word);
        }
        assert_contains(
            &fs::read_to_string(examples.join(name).join("README.md")).expect("its README"),
            "careen run",
        );
    }
}

/// Keys that the engine reads at a reload.
const READ_AT_A_RELOAD: &str = "{ \"labels\": [\"managed-by=careen\"], \"max-concurrent-downloads\": 5 }\n";

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// The host's own daemon.json, and the engine that has read it.
fn with_a_daemon_json(host: &Host) -> &'static str {
    // With the key in it: an engine that reads a file without a key keeps the value it had.
    let before = "{ \"labels\": [\"of=the-host\"], \"shutdown-timeout\": 15 }\n";
    host.must(&format!(
        "mkdir -p /etc/docker; printf '%s' '{before}' > {DAEMON_JSON}; chmod 600 {DAEMON_JSON}"
    ));
    before
}

fn without_a_daemon_json(host: &Host) {
    host.must(&format!(
        "rm -rf {DAEMON_JSON} /var/lib/careen/state/docker-daemon-config.*; systemctl restart docker"
    ));
    host.await_engine();
}

#[test]
fn keys_for_daemon_json_are_merged_read_by_the_engine_and_taken_back() {
    let host = host();
    let image =
        Example::new("docker-daemon-config").with("payload/daemon.json", READ_AT_A_RELOAD).image(&host);
    let labels = || host.must("docker info --format '{{.Labels}}'");
    let file = || host.must(&format!("cat {DAEMON_JSON}"));
    let before = with_a_daemon_json(&host);
    let engine = host.must("cat /run/docker.pid");

    let drift = run(&host, &image, &["check"], 2);
    assert_contains(&drift.text(), "daemon-config: drift");
    assert_contains(&drift.text(), "+        \"managed-by=careen\"");
    assert_eq!(file(), before, "a check changes nothing");

    run(&host, &image, &["install"], 0);
    assert_contains(&labels(), "managed-by=careen");
    assert_contains(&file(), "\"shutdown-timeout\": 15");
    assert_eq!(host.must(&format!("stat -c %a {DAEMON_JSON}")), "600\n", "its mode is kept");
    assert_eq!(host.must("cat /run/docker.pid"), engine, "read, not restarted");
    for command in ["check", "verify"] {
        run(&host, &image, &[command], 0);
    }
    assert_contains(&run(&host, &image, &["install"], 0).text(), "nothing was changed");

    run(&host, &image, &["rollback"], 0);
    assert_eq!(labels(), "[of=the-host]\n");
    assert_eq!(file(), before);
    run(&host, &image, &["check"], 2);
    without_a_daemon_json(&host);
}

#[test]
fn a_key_that_an_engine_reads_at_its_start_is_drift_until_it_is_restarted() {
    let host = host();
    let image = Example::new("docker-daemon-config").image(&host);
    with_a_daemon_json(&host);
    let never = |words: &[&str], status| {
        host.run(&image).env("CAREEN_ENGINE_RESTART", "never").command(words).go().expect(status)
    };

    let installed = never(&["install"], 246);
    assert_contains(&installed.text(), "was started before they came: log-driver log-opts");
    let drift = run(&host, &image, &["check"], 2);
    assert_contains(&drift.text(), "the engine was started before these came: log-driver log-opts");
    let again = never(&["install"], 246);
    assert_contains(&again.text(), "nothing was changed");

    host.must("systemctl restart docker");
    host.await_engine();
    for command in ["check", "verify", "install"] {
        run(&host, &image, &[command], 0);
    }
    without_a_daemon_json(&host);
}

#[test]
fn a_key_that_is_a_flag_of_the_unit_as_well_is_told_and_not_written() {
    let host = host();
    let key = "{ \"hosts\": [\"unix:///run/other.sock\"] }\n";
    let image = Example::new("docker-daemon-config").with("payload/daemon.json", key).image(&host);
    let before = with_a_daemon_json(&host);
    let engine = host.must("tr '\\0' ' ' </proc/$(cat /run/docker.pid)/cmdline");
    assert_contains(&engine, "-H");
    let ran = run(&host, &image, &["install"], 1);
    assert_contains(&(ran.text() + &ran.stderr), "specified both as a flag and in the configuration file");
    assert_eq!(host.must(&format!("cat {DAEMON_JSON}")), before);
    host.must("docker version >/dev/null");
    without_a_daemon_json(&host);
}

#[test]
fn kernel_settings_are_mended_in_the_file_and_in_the_kernel() {
    let host = host();
    // Of the host's own network namespace: a host that is a container shares others with its machine.
    let settings =
        "net.ipv4.ip_default_ttl = 63\nnet.ipv4.ip_local_port_range = 20000 60000\n-net.ipv4.no_such = 1\n";
    let image = Example::new("sysctl").with("payload/90-careen.conf", settings).image(&host);
    let ttl = || host.must("cat /proc/sys/net/ipv4/ip_default_ttl");
    let before = (ttl(), host.must("cat /proc/sys/net/ipv4/ip_local_port_range"));

    let drift = run(&host, &image, &["check"], 2);
    assert_contains(&drift.text(), "net.ipv4.ip_default_ttl is 64, wanted is 63");
    run(&host, &image, &["install"], 0);
    assert_eq!(ttl(), "63\n");
    for command in ["check", "verify"] {
        run(&host, &image, &[command], 0);
    }
    host.must("echo 62 > /proc/sys/net/ipv4/ip_default_ttl");
    assert_contains(&run(&host, &image, &["check"], 2).text(), "net.ipv4.ip_default_ttl is 62, wanted is 63");
    host.must("echo net.ipv4.ip_default_ttl=61 > /etc/sysctl.d/95-other.conf");
    assert_contains(
        &run(&host, &image, &["check"], 2).text(),
        "warning: /etc/sysctl.d/95-other.conf sets net.ipv4.ip_default_ttl",
    );
    run(&host, &image, &["install"], 0);
    run(&host, &image, &["uninstall"], 0);
    host.must("rm /etc/sysctl.d/95-other.conf; test ! -e /etc/sysctl.d/90-careen.conf");
    host.must(&format!("echo {} > /proc/sys/net/ipv4/ip_default_ttl", before.0.trim()));
    host.must(&format!("echo '{}' > /proc/sys/net/ipv4/ip_local_port_range", before.1.trim()));

    let image = Example::new("sysctl").with("payload/90-careen.conf", "net.ipv4.no_such = 1\n").image(&host);
    let refused = run(&host, &image, &["install"], 1);
    assert_contains(&refused.stderr, "this kernel has no net.ipv4.no_such");
    host.must("test ! -e /etc/sysctl.d/90-careen.conf");
}

/// A certificate of an authority's, made on the host.
fn authority(host: &Host, name: &str) -> String {
    host.must(&format!(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN={name}' -keyout /dev/null 2>/dev/null"
    ))
}

#[test]
fn a_hosts_programs_trust_the_payloads_authorities_and_no_older_ones() {
    let host = host();
    let (first, second) = (authority(&host, "first"), authority(&host, "second"));
    let is_trusted = |certificate: &str| {
        let verify = format!(
            "printf '%s' '{certificate}' | openssl verify -CAfile /etc/ssl/certs/ca-certificates.crt"
        );
        host.sh(&verify).expect("openssl runs").status == 0
    };
    let nothing = Example::new("trusted-ca").image(&host);
    assert_contains(&run(&host, &nothing, &["install"], 1).stderr, "no certificate in ca/");

    let image = Example::new("trusted-ca").with("payload/ca/first.crt", &first).image(&host);
    run(&host, &image, &["check"], 2);
    run(&host, &image, &["install"], 0);
    assert!(is_trusted(&first) && !is_trusted(&second));
    run(&host, &image, &["check"], 0);
    assert_contains(&run(&host, &image, &["install"], 0).text(), "nothing was changed");

    let image = Example::new("trusted-ca").with("payload/ca/second.pem", &second).image(&host);
    assert_contains(
        &run(&host, &image, &["check"], 2).text(),
        "careen-first.crt is trusted, and not in the payload",
    );
    run(&host, &image, &["install"], 0);
    assert!(is_trusted(&second) && !is_trusted(&first));
    run(&host, &image, &["verify"], 0);
    run(&host, &image, &["uninstall"], 0);
    assert!(!is_trusted(&second));
}

#[test]
fn a_team_logs_in_with_its_keys_and_other_keys_are_left_alone() {
    const HELLO: &str = "ssh -i /run/careen-test-key -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
                         -o UserKnownHostsFile=/dev/null root@localhost echo hello";
    let host = host();
    let file = "/root/.ssh/authorized_keys";
    host.must("rm -f /run/careen-test-key*; ssh-keygen -q -t ed25519 -N '' -f /run/careen-test-key");
    host.must(&format!("mkdir -p -m 700 /root/.ssh; touch {file}; cp -a {file} /run/careen-test-keys"));
    host.must(&format!("echo 'ssh-ed25519 AAAA of-somebody' >> {file}; chmod 644 {file}"));
    let key = host.must("cat /run/careen-test-key.pub");
    let image = Example::new("ssh-keys").with("payload/keys", &format!("# the team\n{key}")).image(&host);

    run(&host, &image, &["check"], 2);
    run(&host, &image, &["install"], 0);
    assert_contains(&host.must(HELLO), "hello");
    assert_contains(&host.must(&format!("cat {file}")), "of-somebody\n");
    assert_eq!(host.must(&format!("stat -c '%a %U' {file}")), "600 root\n");
    run(&host, &image, &["check"], 0);
    host.must(&format!("sed -i '/BEGIN careen/a ssh-ed25519 AAAA planted' {file}"));
    assert_contains(&run(&host, &image, &["check"], 2).text(), "-ssh-ed25519 AAAA planted");
    run(&host, &image, &["install"], 0);
    run(&host, &image, &["verify"], 0);
    run(&host, &image, &["uninstall"], 0);
    assert!(!host.must(&format!("cat {file}")).contains("BEGIN careen"));
    assert_contains(&host.must(&format!("cat {file}")), "of-somebody\n");
    host.must(&format!("cp -a /run/careen-test-keys {file}; rm /run/careen-test-key*"));

    let empty = Example::new("ssh-keys").image(&host);
    assert_contains(&run(&host, &empty, &["install"], 1).stderr, "everybody would be locked out");
}

#[test]
fn an_account_cannot_make_root_write_keys_elsewhere() {
    let host = host();
    host.must("useradd --create-home careen-test; ln -s /root/.ssh /home/careen-test/.ssh; mkdir -p -m 700 /root/.ssh; touch /root/.ssh/authorized_keys");
    let before = host.must("cat /root/.ssh/authorized_keys");
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA team\n";
    let image = Example::new("ssh-keys").with("payload/keys", key).image(&host);
    let refused = run(&host, &image, &["install", "careen-test"], 1);
    assert_contains(&refused.stderr, "is a link");
    assert_eq!(host.must("cat /root/.ssh/authorized_keys"), before);

    host.must("rm /home/careen-test/.ssh");
    run(&host, &image, &["install", "careen-test"], 0);
    assert_eq!(host.must("stat -c '%a %U' /home/careen-test/.ssh/authorized_keys"), "600 careen-test\n");
    run(&host, &image, &["check", "careen-test"], 0);
    host.must("userdel --remove careen-test");
}

#[test]
fn upgrades_that_a_host_does_by_itself_are_off_whatever_another_file_says() {
    let host = host();
    let image = Example::new("no-unattended-upgrades").image(&host);
    let enabled = || host.must("apt-config dump --format '%v%n' APT::Periodic::Enable | tail -n 1");
    run(&host, &image, &["check"], 2);
    run(&host, &image, &["install"], 0);
    assert_eq!(enabled(), "0\n");
    run(&host, &image, &["check"], 0);
    host.must("echo 'APT::Periodic::Unattended-Upgrade \"1\";' > /etc/apt/apt.conf.d/99zz-careen-test");
    assert_contains(&run(&host, &image, &["check"], 2).text(), "APT::Periodic::Unattended-Upgrade is '1'");
    assert_contains(&run(&host, &image, &["install"], 1).stderr, "is read behind it");
    host.must("rm /etc/apt/apt.conf.d/99zz-careen-test");
    run(&host, &image, &["verify"], 0);
    run(&host, &image, &["uninstall"], 0);
    host.must("test ! -e /etc/apt/apt.conf.d/99careen-no-unattended-upgrades");
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror: run by make test-slow"]
fn a_playbook_is_checked_by_ansible_itself_and_its_drift_is_careens() {
    let host = host();
    let example = Example::new("ansible");
    // The host itself is the base: Debian, with the lab's sources.
    host.must("tar -C / --one-file-system --exclude=./var/lib/docker --exclude=./var/lib/careen --exclude='./tmp/*' -c . | docker import - careen-test:debian");
    let dockerfile = fs::read_to_string(example.path("Dockerfile")).expect("the example's Dockerfile");
    let dockerfile = dockerfile
        .replace("BASE=debian:bookworm-slim", "BASE=careen-test:debian")
        .replace("FROM careen/installer AS", &format!("FROM {} AS", image_base()));
    let directory = example.directory.path();
    let image =
        Image::build_with(&host, &dockerfile, directory, "careen-test:ansible", &["--network", "host"]);

    // Without python on the host, what is missing is drift; then it is the tasks.
    run(&host, &image, &["check"], 2);
    run(&host, &image, &["install"], 0);
    assert_contains(&host.must("cat /etc/motd"), "Configured by careen");
    assert_contains(&run(&host, &image, &["check"], 0).text(), "ansible: in sync");

    host.must("echo mine > /etc/motd");
    let drift = run(&host, &image, &["check"], 2);
    assert_contains(&drift.text(), "-mine");
    assert_contains(&drift.text(), "ansible: drift: 1 tasks would change something");
    assert_eq!(host.must("cat /etc/motd"), "mine\n", "a check changes nothing");
    run(&host, &image, &["install"], 0);
    run(&host, &image, &["verify"], 0);
    // A playbook that fails is no drift.
    let broken =
        run(&host, &image, &["check", "--tags", "all", "--extra-vars", "node={{ no_such_variable }}"], 1);
    assert_contains(&broken.stderr, "is not known");
    host.must(": > /etc/motd; rm -f /etc/systemd/journald.conf.d/size.conf; docker rmi -f careen-test:debian >/dev/null");
}

#[test]
#[ignore = "slow, and needs the machine's Debian mirror: run by make test-slow"]
fn the_upgrade_of_all_packages_says_what_it_changed() {
    let host = host();
    let image = Example::new("update-swarm-installer").image(&host);
    let ran = host.run(&image).env("CAREEN_ENGINE_RESTART", "never").go();
    // An engine that was upgraded with the rest is not restarted here, and that is the result.
    assert!(matches!(ran.status, 0 | 246), "{}\n{}", ran.text(), ran.stderr);
    assert_contains(&ran.text(), "update: done");
    host.must("command -v vim.tiny");
}

#[test]
fn a_payload_changes_a_file_with_the_helpers_and_says_what_changed() {
    let host = host();
    let script = "#!/bin/sh\nset -eu\ncareen-agent json-merge --mode 0600 /run/careen-test.json - <<end\n{\"a\": 1.0}\nend\n";
    let check =
        "#!/bin/sh\ncareen-agent json-merge --check /run/careen-test.json - <<end\n{\"a\": 1.0}\nend\n";
    let image = host.image(&[File::script("install", script), File::script("check", check)]);
    host.must("rm -f /run/careen-test.json");
    run(&host, &image, &["check"], 2);
    assert_contains(&run(&host, &image, &["install"], 0).text(), "+    \"a\": 1.0\n");
    assert_eq!(run(&host, &image, &["check"], 0).text(), "");
    assert_eq!(host.must("stat -c %a /run/careen-test.json"), "600\n");
    host.must("rm /run/careen-test.json");
}
