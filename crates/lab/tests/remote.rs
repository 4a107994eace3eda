//! `careen` on another machine than the swarm's: over a host's own sshd, and over a TLS port of its engine, with keys and
//! certificates that are in order and with wrong ones. One manager and one worker.
//!
//! `careen` runs on this machine, in an empty environment, with the real `ssh`: openssh-client is installed where it lacks.

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

mod rollout;

use careen_lab::{Docker, Output, Poll, Progress, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rollout::{LONG, Scene, cli};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The image that scripts are put into.
const BASE: &str = "careen-test/base:remote";

/// Where n1's engine listens with TLS; what the lab itself uses is another port, in front of the engine's socket.
const TLS_PORT: u16 = 2376;

const KEYS: &str = "/root/.ssh/authorized_keys";

fn scene() -> Scene {
    let scene = Scene::new("remote", 1, 1);
    let image = rollout::base();
    let tagged = Docker::local().command(["tag", &image, BASE]).output().expect("docker");
    assert!(tagged.status.success(), "{}", String::from_utf8_lossy(&tagged.stderr));
    scene.lab.load(BASE, Progress::quiet()).expect("loaded");
    for name in ["n1", "n2"] {
        scene.sh(name, &format!("rm -f {KEYS} /var/tmp/careen-test-remote"));
    }
    scene
}

fn ip(scene: &Scene, name: &str) -> String {
    scene.node(name).ip().to_string()
}

/// An operator's own machine, with nothing in its environment.
struct Laptop {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Laptop {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), variables: Vec::new() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn careen(&self, host: &str, args: &[&str]) -> Output {
        self.careen_over(&[host], args)
    }

    /// The same with several hosts.
    fn careen_over(&self, hosts: &[&str], args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.file("bin").display());
        let mut command = Command::new(cli());
        command.args(args.iter().take(1)).args(hosts.iter().flat_map(|host| ["--host", host]));
        command.args(args.iter().skip(1)).env_clear().env("HOME", self.home.path()).env("PATH", path);
        command.envs(self.variables.iter().cloned()).current_dir(self.home.path()).stdin(Stdio::null());
        let output = command.output().expect("'make build' has made careen");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output {
            command: format!("{command:?}"),
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("written");
        fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o755)).expect("executable");
    }

    /// The real ssh, which knows a key, and hosts, of this machine alone: it does not look at HOME.
    fn with_ssh(self) -> Self {
        let words = ["-q", "-t", "ed25519", "-N", "", "-f"];
        if Command::new("ssh").arg("-V").output().is_err() {
            careen_lab::install("openssh-client").expect("openssh-client is installed");
        }
        let made = Command::new("ssh-keygen").args(words).arg(self.file("key")).status();
        assert!(made.expect("openssh-client").success(), "a key");
        let home = self.home.path().display().to_string();
        let config = format!(
            "Host *\nIdentityFile {home}/key\nIdentitiesOnly yes\nUserKnownHostsFile {home}/known_hosts\n\
             GlobalKnownHostsFile /dev/null\n"
        );
        fs::write(self.file("ssh_config"), config).expect("written");
        fs::create_dir(self.file("bin")).expect("a directory");
        self.script("bin/ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh -F '{home}/ssh_config' \"$@\"\n"));
        self
    }

    /// Trusts the host keys that these addresses show now.
    fn trusts(&self, addresses: &[&str]) {
        let scanned =
            Command::new("ssh-keyscan").args(["-T", "20"]).args(addresses).output().expect("ssh-keyscan");
        assert!(!scanned.stdout.is_empty(), "{}", String::from_utf8_lossy(&scanned.stderr));
        fs::write(self.file("known_hosts"), scanned.stdout).expect("written");
    }

    fn public_key(&self) -> String {
        fs::read_to_string(self.file("key.pub")).expect("a key").trim().to_owned()
    }
}

fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status, code, "{output:?}");
    for word in words {
        assert!(output.stderr.contains(word), "'{word}' is missing: {output:?}");
    }
}

/// Plans, runs, asks and reads from outside, and sees on the hosts that it was done.
fn assert_works(scene: &Scene, laptop: &Laptop, host: &str) {
    let before = laptop.careen(host, &["status"]);
    assert_eq!(before.status, 0, "{before:?}");
    assert!(before.stdout.contains("no rollout is going on"), "{before:?}");
    laptop.script("fix.sh", "#!/bin/sh\necho done >> /var/tmp/careen-test-remote\n");
    let flags = ["--image", BASE, "--script", "fix.sh", "--touches-engine", "no", "--monitor", "1s"];
    let plan = laptop.careen(host, &[&["plan"], &flags[..]].concat());
    assert_eq!(plan.status, 0, "{plan:?}");
    assert!(plan.stdout.contains("n1 (manager") && plan.stdout.contains("n2 (worker"), "{plan:?}");
    let ran = laptop.careen(host, &[&["run", "--yes"], &flags[..]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("is done: 2 of 2 nodes done"), "{ran:?}");
    for name in ["n1", "n2"] {
        assert_eq!(scene.sh(name, "cat /var/tmp/careen-test-remote"), "done\n", "{name}: once");
    }
    let after = laptop.careen(host, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&after.stdout).expect("JSON");
    assert_eq!(status["last"]["control"]["outcome"], "done", "{after:?}");
    laptop.script("look.sh", "#!/bin/sh\nuname -r\n");
    let asked = laptop.careen(host, &["ask", "--image", BASE, "--script", "look.sh"]);
    assert_eq!(asked.status, 0, "{asked:?}");
    assert!(asked.stdout.contains("2 of 2 hosts answered"), "{asked:?}");
    scene.assert_nothing_is_left();
}

#[test]
fn over_ssh_a_manager_is_asked_and_whoever_is_not_trusted_or_not_let_in_is_told() {
    let scene = scene();
    let laptop = Laptop::new().with_ssh();
    let (n1, n2) = (ip(&scene, "n1"), ip(&scene, "n2"));
    let (manager, worker) = (format!("ssh://root@{n1}"), format!("ssh://root@{n2}"));

    let unknown = laptop.careen(&manager, &["status"]);
    assert_fails(&unknown, 7, &[&manager, "ssh does not trust the host's key"]);
    laptop.trusts(&[&n1, &n2]);
    let stranger = laptop.careen(&manager, &["status"]);
    assert_fails(&stranger, 7, &[&manager, "without asking for a password", "ssh-add"]);

    for name in ["n1", "n2"] {
        let key = laptop.public_key();
        scene.sh(name, &format!("install -d -m 700 /root/.ssh; echo '{key}' >{KEYS}; chmod 600 {KEYS}"));
    }
    let not_a_manager = laptop.careen(&worker, &["status"]);
    assert_fails(&not_a_manager, 7, &["n2 is a worker of its swarm"]);
    assert_works(&scene, &laptop, &manager);
    let second = laptop.careen_over(&[&worker, &manager], &["status"]);
    assert_fails(&second, 0, &["n2 is a worker of its swarm", "trying the next host"]);

    // Another key in the place of the host's: somebody may be in between.
    let another = format!("{n1} {}\n", laptop.public_key());
    fs::write(laptop.file("known_hosts"), another).expect("written");
    assert_fails(&laptop.careen(&manager, &["status"]), 7, &["ssh does not trust the host's key"]);
}

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = named("the authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its own certificate.
    fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory");
        fs::write(directory.join("ca.pem"), self.0.pem()).expect("written");
    }

    /// A certificate with its key.
    fn write_signed(&self, directory: &Path, name: &str, valid: &[&str]) {
        fs::create_dir_all(directory).expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let certificate = named(name, valid).signed_by(&key, &self.0).expect("a certificate");
        fs::write(directory.join("cert.pem"), certificate.pem()).expect("written");
        fs::write(directory.join("key.pem"), key.serialize_pem()).expect("written");
    }
}

fn named(name: &str, valid: &[&str]) -> CertificateParams {
    let valid: Vec<String> = valid.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(valid).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// n1's engine with a port that speaks TLS, until it is dropped.
struct TlsPort<'a> {
    scene: &'a Scene,
    /// Its daemon.json.
    before: String,
}

impl<'a> TlsPort<'a> {
    fn open(scene: &'a Scene, authority: &Authority) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let address = ip(scene, "n1");
        authority.write(files.path());
        authority.write_signed(files.path(), "the engine", &[&address]);
        scene.sh("n1", "rm -rf /etc/docker/careen-test; mkdir -p /etc/docker");
        scene.node("n1").cp_in(files.path(), "/etc/docker/careen-test").expect("copied");
        let before = scene.sh("n1", "cat /etc/docker/daemon.json 2>/dev/null || echo '{}'");
        let port = Self { scene, before };
        let mut config: Value = serde_json::from_str(&port.before).expect("daemon.json");
        config["tlsverify"] = true.into();
        for (key, file) in [("tlscacert", "ca.pem"), ("tlscert", "cert.pem"), ("tlskey", "key.pem")] {
            config[key] = format!("/etc/docker/careen-test/{file}").into();
        }
        let socket = format!(
            "mkdir -p /etc/systemd/system/docker.socket.d; \
             printf '[Socket]\\nListenStream={address}:{TLS_PORT}\\n' >/etc/systemd/system/docker.socket.d/careen-test.conf"
        );
        scene.sh("n1", &socket);
        port.restart(&config.to_string());
        port
    }

    /// With this configuration; until the swarm goes on.
    fn restart(&self, config: &str) {
        let write = format!("cat >/etc/docker/daemon.json <<'END'\n{}\nEND\n", config.trim());
        let restart = "systemctl daemon-reload; systemctl stop docker.service docker.socket; \
                       systemctl reset-failed docker.service docker.socket; systemctl start docker.socket docker.service";
        self.scene.sh("n1", &format!("{write}{restart}"));
        let up = wait_until("n1 leads its swarm again", LONG, || {
            let nodes = self.scene.node("n1").sh("docker node ls --format '{{.Hostname}} {{.Status}}'")?;
            let up = nodes.status == 0 && nodes.stdout.matches(" Ready").count() == 2;
            Ok(if up { Poll::Ready(()) } else { Poll::Pending(format!("{nodes:?}")) })
        });
        up.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for TlsPort<'_> {
    fn drop(&mut self) {
        let remove = "rm -rf /etc/docker/careen-test /etc/systemd/system/docker.socket.d/careen-test.conf";
        let removed = self.scene.node("n1").sh(remove);
        if std::thread::panicking() {
            // What went wrong is told; the next test finds an engine without TLS, or the lab is taken down.
            let engine = self.scene.node("n1").sh("journalctl -u docker -n 30 --no-pager; ss -ltn");
            eprintln!("{removed:?}\n{engine:?}");
            let write = format!("cat >/etc/docker/daemon.json <<'END'\n{}\nEND\n", self.before.trim());
            let restart = "systemctl daemon-reload; systemctl stop docker.service docker.socket; systemctl start docker";
            eprintln!("{:?}", self.scene.node("n1").sh(&format!("{write}{restart}")));
        } else {
            self.restart(&self.before);
        }
    }
}

#[test]
fn over_tls_a_manager_is_asked_and_what_is_wrong_with_a_certificate_is_told() {
    let scene = scene();
    let (authority, other) = (Authority::new(), Authority::new());
    let port = TlsPort::open(&scene, &authority);
    scene.await_web();
    let host = format!("tcp://{}:{TLS_PORT}", ip(&scene, "n1"));
    let laptop = Laptop::new();
    let certificates = laptop.file("certificates");
    let laptop =
        laptop.with("DOCKER_TLS_VERIFY", "1").with("DOCKER_CERT_PATH", certificates.display().to_string());

    authority.write(&certificates);
    let without = laptop.careen(&host, &["status"]);
    assert_fails(&without, 7, &["wants a client certificate", "has no cert.pem"]);
    other.write_signed(&certificates, "somebody", &["somebody"]);
    assert_fails(&laptop.careen(&host, &["status"]), 7, &["refuses the client certificate"]);
    authority.write_signed(&certificates, "somebody", &["somebody"]);
    assert_works(&scene, &laptop, &host);

    other.write(&certificates);
    assert_fails(&laptop.careen(&host, &["status"]), 7, &["from an authority that", "ca.pem does not have"]);
    let open = Laptop::new().careen(&host, &["status"]);
    assert_fails(&open, 7, &["speaks TLS alone", "DOCKER_TLS_VERIFY=1"]);
    drop(port);
    scene.await_web();
}
