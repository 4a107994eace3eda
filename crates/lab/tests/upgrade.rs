//! `careen upgrade` on a real swarm of a manager and a worker, whose hosts take packages from an archive that the tests make.
//!
//! Needs what the lab needs, careen's image (`make image`), and `careen` itself (`make build`).

#![expect(clippy::expect_used, reason = "a test that cannot set the scene has failed")]

use careen_lab::{Fault, Lab, Node, Output, Poll, Progress, Spec, wait_until};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

const LAB: &str = "packages";
const LONG: Duration = Duration::from_secs(300);
const ARCHIVE: &str = include_str!("upgrade/archive.sh");

/// The lab, for one test at a time, without a rollout.
struct Scene {
    lab: Lab,
    image: String,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| LAB.to_owned());
        let mut spec = Spec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(1), Some(1));
        let lab = Lab::up(&spec, Progress::quiet()).expect("the lab");
        let image =
            std::env::var("CAREEN_TEST_IMAGE").unwrap_or_else(|_| "careen/installer:latest".to_owned());
        lab.load(&image, Progress::quiet()).expect("loaded");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let cli = std::env::var_os("CAREEN_TEST_CLI")
            .map_or_else(|| root.join("target/release/careen"), Into::into);
        lab.node("n1")
            .expect("n1")
            .cp_in(&cli, "/usr/local/bin/careen")
            .expect("'make build' has made careen");
        let scene = Self { lab, image, _turn: turn };
        scene.everywhere(&format!("new_archive\n{FORGET}\nnew_archive; publish"));
        scene.everywhere("rm -rf /var/lib/careen/transactions /run/careen-test; mkdir -p /run/careen-test");
        scene
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(name).expect("a node of the lab")
    }

    /// A script on a node, with the functions of `archive.sh`; what it prints, without the last newline.
    fn on(&self, name: &str, script: &str) -> String {
        let script = format!("{ARCHIVE}\n{script}");
        let output = self.node(name).sh(&script).and_then(Output::ok);
        output.unwrap_or_else(|error| panic!("{name}: {error}")).trim_end().to_owned()
    }

    fn everywhere(&self, script: &str) {
        ["n1", "n2"].iter().for_each(|name| _ = self.on(name, script));
    }

    /// What a question is answered on both nodes, when it is the same.
    fn both(&self, script: &str) -> String {
        let (n1, n2) = (self.on("n1", script), self.on("n2", script));
        assert_eq!(n1, n2, "{script}");
        n1
    }

    fn careen(&self, args: &[&str]) -> Output {
        let words = ["careen"].iter().chain(args);
        self.node("n1").exec(words.copied()).expect("exec")
    }

    fn upgrade(&self, flags: &[&str]) -> Output {
        let fixed = ["upgrade", "--image", &self.image, "--yes", "--monitor", "1s", "--canaries", "0"];
        self.careen(&[&fixed[..], flags].concat())
    }

    /// What each host says to `--probe`, by its name.
    fn probed(&self) -> Vec<(String, Value)> {
        let plan = self.careen(&["upgrade", "--image", &self.image, "--plan", "--probe", "--format", "json"]);
        assert_eq!(plan.status, 0, "{plan:?}");
        let plan: Value =
            serde_json::from_str(&plan.stdout).unwrap_or_else(|error| panic!("{error}: {plan:?}"));
        let probe = plan["probe"].as_array().expect("hosts were asked");
        assert_eq!(probe.len(), 2, "{plan}");
        probe.iter().map(|one| (one["node"].to_string(), one.clone())).collect()
    }

    /// A command of the payload with the docker client alone, on the worker.
    fn alone(&self, words: &str) -> Output {
        let run =
            format!("docker run --rm -v /:/host -e CAREEN_PAYLOAD=/upgrade {} {words} 2>&1", self.image);
        self.node("n2").sh(&run).expect("exec")
    }

    /// What the payload's commands have printed on a node.
    fn printed(&self, name: &str) -> String {
        self.on(name, "cat /var/lib/careen/transactions/*/output.log")
    }

    fn availability(&self) -> String {
        self.on("n1", "docker node ls --format '{{.Hostname}} {{.Availability}}' | sort")
    }

    /// Ends the rollout, and waits until it is over.
    fn abort(&self) {
        let said = self.careen(&["abort"]);
        assert_eq!(said.status, 0, "{said:?}");
        let over = wait_until("the rollout is over", LONG, || {
            let status = self.careen(&["status"]).stdout;
            let is_over = status.starts_with("no rollout is going on");
            Ok(if is_over { Poll::Ready(()) } else { Poll::Pending(status) })
        });
        over.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Nothing of an upgrade is left but what it upgraded.
    fn assert_nothing_is_left(&self) {
        let left = "ls -A /var/cache/careen /etc/apt/preferences.d 2>/dev/null || :";
        assert_eq!(self.both(left), "/etc/apt/preferences.d:");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["status"][..], &["logs"], &["abort"]] {
                let output = self.careen(args);
                eprintln!("{args:?}: {}{}", output.stdout, output.stderr);
            }
        }
    }
}

/// What an earlier test, or an earlier run, has installed.
const FORGET: &str = "
dpkg-query --show --showformat='${Package}\\n' 'careen-test-*' 2>/dev/null | grep -v careen-test-hello |
    xargs -r dpkg --purge --force-all >/dev/null 2>&1
[ \"$(version runc)\" != 'installed 99' ] || {
    again runc 98; publish; apt-get -qq update; apt-get -qq -y --allow-downgrades install runc=98 >/dev/null
}
docker rm -f careen-test-late >/dev/null 2>&1 || :
";

const FIRST: &str = "
pkg careen-test-plain 1
pkg careen-test-held 1
CONFFILE=one pkg careen-test-conf 1
POSTINST='[ -z \"$2\" ] || systemctl try-restart docker.service' pkg careen-test-toolkit 1
publish
install_now careen-test-plain careen-test-held careen-test-conf careen-test-toolkit
apt-mark -qq hold careen-test-held
echo mine >/etc/careen-test-conf.conf
pkg careen-test-plain 2 'Depends: careen-test-new'
pkg careen-test-new 2
pkg careen-test-held 2
pkg careen-test-toolkit 2
CONFFILE=two pkg careen-test-conf 2
again runc 99
publish
INTO=/srv/careen-test/security pkg careen-test-file 1
publish /srv/careen-test/security
echo 'deb [trusted=yes] file:/srv/careen-test/security ./' >>/etc/apt/sources.list
install_now careen-test-file
INTO=/srv/careen-test/security pkg careen-test-file 2
publish /srv/careen-test/security
";

#[test]
fn every_host_is_upgraded_and_what_is_not_to_be_touched_is_not() {
    let scene = Scene::new();
    scene.everywhere(FIRST);
    let runc = scene.both("version runc");
    let plan = scene.careen(&["upgrade", "--image", &scene.image, "--plan"]);
    assert_eq!(plan.status, 0, "{plan:?}");
    assert!(plan.stdout.contains(" upgrade\n") && plan.stdout.contains("n2 (worker)"), "{}", plan.stdout);
    let asked = ["careen-test-plain 1 -> 2", "careen-test-new 2 is new", "careen-test-conf 1 -> 2"];
    for (node, probe) in scene.probed() {
        let pending = &probe["pending"];
        assert_eq!((&probe["state"], &pending["packages"]), (&"waits".into(), &4.into()), "{node}: {probe}");
        let names = pending["names"].to_string();
        assert!(asked.iter().all(|name| names.contains(name)), "{node}: {probe}");
    }
    assert_eq!(scene.both("version careen-test-plain"), "installed 1", "a plan changes nothing");

    let ran = scene.upgrade(&[]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let versions = "for one in plain new conf file; do version careen-test-$one; echo; done";
    assert_eq!(scene.both(versions), "installed 2\ninstalled 2\ninstalled 2\ninstalled 2");
    assert_eq!(scene.both("cat /etc/careen-test-conf.conf"), "mine", "what the operator wrote stays");
    assert_eq!(
        scene.both("version careen-test-held; echo; apt-mark showhold"),
        "installed 1\ncareen-test-held"
    );
    assert_eq!(scene.both("version runc"), runc, "the engine is left alone");
    assert_eq!(scene.both("version careen-test-toolkit"), "installed 1", "and so is what would restart it");
    assert_eq!(
        scene.both("apt-mark showauto | grep careen-test || :"),
        "careen-test-new",
        "nobody asked for it"
    );
    let printed = scene.printed("n2");
    assert!(printed.contains("held on this host, and left as they are: careen-test-held"), "{printed}");
    assert!(printed.contains("careen-test-plain 1 -> 2"), "{printed}");
    let touches =
        "careen-test-toolkit belongs to the container engine here: its postinst names docker.service";
    assert!(printed.contains(touches), "{printed}");
    assert!(printed.contains("whether their scripts restart the engine: careen-test-new"), "{printed}");
    assert_eq!(scene.availability(), "n1 Active\nn2 Active");
    scene.assert_nothing_is_left();

    let again = scene.upgrade(&["--node", "n2"]);
    assert_eq!(again.status, 0, "{}{}", again.stdout, again.stderr);
    assert!(scene.printed("n2").contains("nothing to do: no package waits"));
    for (node, probe) in scene.probed() {
        assert_eq!(probe["state"], "in-sync", "{node}: {probe}");
    }
    scene.assert_nothing_is_left();
    scene.everywhere("apt-mark -qq unhold careen-test-held");
}

/// A package that writes down how its node stands when it is upgraded, as far as a manager can tell.
fn witness(version: u8) -> String {
    let ask = "docker node inspect self --format {{.Spec.Availability}} >/run/careen-test/availability || :";
    format!("POSTINST='{ask}' pkg careen-test-witness {version}; publish")
}

#[test]
fn with_the_engine_a_node_is_drained_before() {
    let scene = Scene::new();
    scene.everywhere(&format!("{}; install_now careen-test-witness; {}", witness(1), witness(2)));
    let plain = scene.upgrade(&["--package", "careen-test-witness", "--node", "n1"]);
    assert_eq!(plain.status, 0, "{}{}", plain.stdout, plain.stderr);
    assert_eq!(
        scene.on("n1", "cat /run/careen-test/availability"),
        "active",
        "there is no need to drain for it"
    );
    scene.everywhere(&format!("{}; again runc 99; publish", witness(3)));
    let ran = scene.upgrade(&["--engine"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(scene.both("version runc"), "installed 99");
    assert_eq!(scene.on("n1", "cat /run/careen-test/availability"), "drain");
    assert_eq!(scene.both("cat /var/lib/careen/transactions/*-p/expects-restart | sort -u"), "yes");
    assert_eq!(scene.availability(), "n1 Active\nn2 Active");
    scene.assert_nothing_is_left();
}

#[test]
fn what_would_remove_the_engine_is_refused_before_the_drain() {
    let scene = Scene::new();
    scene.everywhere("pkg careen-test-foe 1; publish; install_now careen-test-foe; pkg careen-test-foe 2 'Conflicts: runc'; publish");
    let ran = scene.upgrade(&["--package", "careen-test-foe", "--drain", "always", "--node", "n2"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    let said = scene.printed("n2");
    assert!(said.contains("it would remove runc") && said.contains("it would remove docker.io"), "{said}");
    assert_eq!(scene.both("version careen-test-foe"), "installed 1");
    assert_eq!(scene.availability(), "n1 Active\nn2 Active", "it was not drained");
    scene.abort();
    scene.assert_nothing_is_left();
}

#[test]
fn dpkg_is_waited_for_and_mended() {
    let scene = Scene::new();
    let half = "
        touch /run/careen-test/fail
        POSTINST='[ ! -e /run/careen-test/fail ]' pkg careen-test-late 1
        publish
        ! install_now careen-test-late 2>/dev/null
        pkg careen-test-late 2
        publish
        version careen-test-late
    ";
    assert_eq!(scene.on("n2", half), "half-configured 1");
    let stuck = scene.alone("prepare");
    assert_eq!(stuck.status, 1, "{}", stuck.stdout);
    assert!(stuck.stdout.contains("these packages are not configured: careen-test-late"), "{}", stuck.stdout);

    scene.on("n2", "rm /run/careen-test/fail");
    scene.node("n2").fault(Fault::HoldDpkgLock).expect("the lock");
    let start = format!(
        "docker run -d --name careen-test-late -v /:/host -e CAREEN_PAYLOAD=/upgrade {} install",
        scene.image
    );
    scene.on("n2", &start);
    let waits = wait_until("it waits for dpkg", LONG, || {
        let logs = scene.node("n2").sh("docker logs careen-test-late 2>&1")?.stdout;
        Ok(if logs.contains("upgrade: waiting for perl (process") {
            Poll::Ready(())
        } else {
            Poll::Pending(logs)
        })
    });
    waits.unwrap_or_else(|error| panic!("{error}"));
    scene.node("n2").fault(Fault::ReleaseDpkgLock).expect("the lock");
    let end = scene.on(
        "n2",
        "docker wait careen-test-late; docker logs careen-test-late; docker rm careen-test-late >/dev/null",
    );
    assert!(end.starts_with("0\n"), "{end}");
    assert_eq!(scene.on("n2", "version careen-test-late"), "installed 2");
    assert_eq!(scene.alone("verify").status, 0);
}

#[test]
fn what_was_prepared_is_what_is_installed() {
    let scene = Scene::new();
    let two = "
        pkg careen-test-one 1; pkg careen-test-other 1; publish
        install_now careen-test-one careen-test-other; apt-mark -qq hold careen-test-other
        pkg careen-test-one 2; pkg careen-test-other 2; publish
    ";
    scene.on("n2", two);
    let versions = || scene.on("n2", "version careen-test-one; echo; version careen-test-other");
    let of = |id: &str, command: &str| {
        let id = format!("-e CAREEN_TRANSACTION={id}");
        let image = &scene.image;
        let run =
            format!("docker run --rm -v /:/host {id} -e CAREEN_PAYLOAD=/upgrade {image} {command} 2>&1");
        scene.node("n2").sh(&run).expect("exec")
    };
    assert_eq!(of("t1-p", "prepare").status, 0);
    scene.on("n2", "rm $ARCHIVE/*; pkg careen-test-one 3; publish; apt-get -qq update; apt-get clean");
    let installed = of("t1", "install");
    assert_eq!(installed.status, 0, "{}", installed.stdout);
    assert_eq!(
        versions(),
        "installed 2\ninstalled 1",
        "the archive went on, and there is a newer one by now"
    );

    scene.on("n2", "pkg careen-test-other 2; publish");
    assert_eq!(of("t2-p", "prepare").status, 0);
    scene.on("n2", "apt-mark -qq unhold careen-test-other");
    let surprised = of("t2", "install");
    assert_eq!(surprised.status, 1, "{}", surprised.stdout);
    let why = "what would be done now is not what was prepared: change careen-test-other 2";
    assert!(surprised.stdout.contains(why), "{}", surprised.stdout);
    assert_eq!(versions(), "installed 2\ninstalled 1", "nothing was changed");
    let anew = of("t3", "install");
    assert!(anew.status == 0 && anew.stdout.contains("nothing was prepared for this"), "{}", anew.stdout);
    assert_eq!(versions(), "installed 3\ninstalled 2");
    scene.assert_nothing_is_left();
}

#[test]
fn a_full_disk_is_seen_before_anything_is_downloaded() {
    let scene = Scene::new();
    scene.on(
        "n2",
        "pkg careen-test-one 1; publish; install_now careen-test-one; pkg careen-test-one 2; publish",
    );
    scene.on("n2", "mkdir -p /var/cache/careen; mount -t tmpfs -o size=4m careen-test /var/cache/careen");
    let full = scene.alone("prepare");
    scene.on("n2", "umount /var/cache/careen; rmdir /var/cache/careen");
    assert_eq!(full.status, 1, "{}", full.stdout);
    let short =
        "archives (the packages). Make room there, then try again ('careen retry NODE'). Nothing was changed";
    assert!(full.stdout.contains(short), "{}", full.stdout);
    assert_eq!(scene.on("n2", "version careen-test-one"), "installed 1");
}

/// Everything in an apt.conf that changes what apt says or does.
const KNOBS: &str = "
cat >/etc/apt/apt.conf.d/99careen-test <<'END'
quiet \"2\";
APT::Color \"true\";
APT::Get::Show-Versions \"true\";
APT::Get::Show-User-Simulation-Note \"true\";
APT::Get::Simulate \"true\";
APT::Get::Download-Only \"true\";
APT::Get::Assume-No \"true\";
APT::Get::AutomaticRemove \"true\";
APT::Get::Purge \"true\";
Dpkg::Progress-Fancy \"true\";
Dpkg::Use-Pty \"true\";
END
";

#[test]
fn what_goes_and_is_not_replaced_is_refused_whatever_the_hosts_apt_conf_says() {
    let scene = Scene::new();
    let set = "
        for name in vip lib net; do pkg careen-test-$name 1; done; publish
        install_now careen-test-vip careen-test-lib careen-test-net
        pkg careen-test-net 2 'Conflicts: careen-test-vip'; publish
    ";
    scene.on("n2", &format!("{set}{KNOBS}"));
    let refused = scene.alone("prepare");
    let allowed = scene.alone("install --allow-removal careen-test-vip");
    // A library that takes the place of another one needs no word.
    let replaced = "'Provides: careen-test-lib' 'Replaces: careen-test-lib' 'Conflicts: careen-test-lib'";
    scene.on(
        "n2",
        &format!(
            "pkg careen-test-lib2 1 {replaced}; pkg careen-test-net 3 'Depends: careen-test-lib2'; publish"
        ),
    );
    let moved = scene.alone("install");
    scene.on("n2", "rm /etc/apt/apt.conf.d/99careen-test");
    assert_eq!(refused.status, 1, "{}", refused.stdout);
    let why = "it would remove careen-test-vip (1), and nothing takes its place";
    assert!(refused.stdout.contains(why), "{}", refused.stdout);
    assert!(refused.stdout.contains("--allow-removal careen-test-vip if it may go"), "{}", refused.stdout);
    assert_eq!((allowed.status, moved.status), (0, 0), "{}{}", allowed.stdout, moved.stdout);
    assert!(moved.stdout.contains("careen-test-lib 1 is removed"), "{}", moved.stdout);
    let there = "cd /usr/share/careen-test; \
         ls careen-test-vip careen-test-lib careen-test-lib2 careen-test-net 2>/dev/null || :";
    assert_eq!(scene.on("n2", there), "careen-test-lib2\ncareen-test-net", "{}", moved.stdout);
}

#[test]
fn single_packages_and_security_updates_alone() {
    let scene = Scene::new();
    let set = "
        pkg careen-test-one 1; pkg careen-test-other 1; publish
        install_now careen-test-one careen-test-other
        pkg careen-test-one 3; pkg careen-test-other 2; publish
        INTO=/srv/careen-test/security pkg careen-test-one 2
        publish /srv/careen-test/security test-security
        echo 'deb [trusted=yes] copy:/srv/careen-test/security ./' >>/etc/apt/sources.list
    ";
    scene.on("n2", set);
    let versions = || scene.on("n2", "version careen-test-one; echo; version careen-test-other");
    let check = scene.alone("check");
    assert_eq!(check.status, 2, "{}", check.stdout);
    assert!(check.stdout.contains("2 packages to upgrade"), "{}", check.stdout);
    assert_eq!(scene.alone("install --security-only").status, 0);
    assert_eq!(versions(), "installed 2\ninstalled 1");
    assert_eq!(scene.alone("check --security-only").status, 0, "no other is one");
    let absent = scene.alone("install --package careen-test-other --package not-on-this-host");
    assert_eq!(absent.status, 0, "{}", absent.stdout);
    assert_eq!(versions(), "installed 2\ninstalled 2");
    let none = scene.alone("install --package not-on-this-host");
    assert_eq!((none.status, versions().as_str()), (0, "installed 2\ninstalled 2"), "{}", none.stdout);
    let wrong = scene.alone("install --package runc");
    assert!(wrong.status == 1 && wrong.stdout.contains("say --engine, too"), "{}", wrong.stdout);
}

#[test]
fn a_payload_that_the_image_does_not_have_is_refused() {
    let scene = Scene::new();
    let run = format!("docker run --rm -v /:/host -e CAREEN_PAYLOAD=/nowhere {} check 2>&1", scene.image);
    let refused = scene.node("n2").sh(&run).expect("exec");
    assert_eq!(refused.status, 248, "{refused:?}");
    assert!(
        refused.stdout.contains("CAREEN_PAYLOAD=/nowhere: this image has no such directory"),
        "{refused:?}"
    );
}
