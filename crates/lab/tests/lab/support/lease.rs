//! Leases: whoever holds a host has it alone, and gives it back clean.

use super::eventually;
use super::image::{File, Image};
use super::leaks::leaks;
use super::run::Run;
use super::world::World;
use careen_lab::Node;
use std::ops::Deref;

/// Makes a host usable again after a test that failed.
const RESCUE: &str = r#"
for id in $(ls /var/lib/careen/transactions 2>/dev/null); do careen-agent cancel --now $id >/dev/null 2>&1; done
docker ps -aq --filter label=careen.test | xargs -r docker rm -f >/dev/null 2>&1
docker ps -aq --filter label=careen.helper | xargs -r docker rm -f >/dev/null 2>&1
for base in /var/lib/careen /usr/local/lib/careen /opt/careen; do rm -rf $base/transactions/*/payload $base/payload; done
for id in $(careen-agent list | grep 'without a supervisor' | cut -d' ' -f1); do rm -rf /var/lib/careen/transactions/$id; done
rm -rf /var/lib/careen/transactions/*/environment.json /var/lib/careen/transactions/*/control.sock /run/careen/secrets/*
exit 0
"#;

/// One host, leased.
pub struct Host {
    world: &'static World,
    index: usize,
}

impl Host {
    pub fn new(world: &'static World, index: usize) -> Self {
        Self { world, index }
    }

    /// Runs a script on the host; it must succeed. Returns what it printed.
    #[track_caller]
    pub fn must(&self, script: &str) -> String {
        let ran = self.sh(script).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("on {}: {error}", self.name()))
    }

    /// An image with these files in /install, built on this host's engine.
    pub fn image(&self, files: &[File<'_>]) -> Image {
        Image::build(self.node(), "FROM careen/installer\nCOPY install /install\n", files)
    }

    /// An image of which `install` is this script.
    pub fn script(&self, install: &str) -> Image {
        self.image(&[File::script("install", install)])
    }

    /// `docker run` of an image on this host.
    pub fn run(&self, image: &Image) -> Run<'_> {
        Run::new(self.node(), image)
    }

    /// The id of the newest transaction.
    #[track_caller]
    pub fn last_transaction(&self) -> String {
        self.must("careen-agent list | tail -n 1 | cut -d' ' -f1").trim().to_owned()
    }

    /// Waits until a transaction's line in the list says this.
    #[track_caller]
    pub fn await_outcome(&self, id: &str, outcome: &str) {
        eventually(&format!("transaction {id}: {outcome}"), || {
            // A host on its way down or up answers nothing: not yet.
            let list = self
                .sh("careen-agent list")
                .map(|output| output.stdout)
                .map_err(|error| error.to_string())?;
            let line = list.lines().find(|line| line.starts_with(id)).unwrap_or_default().to_owned();
            if line.contains(outcome) { Ok(()) } else { Err(line) }
        });
    }

    /// Waits until the host's engine answers.
    #[track_caller]
    pub fn await_engine(&self) {
        eventually("the engine", || match self.docker(["version"]) {
            Ok(output) if output.status == 0 => Ok(()),
            Ok(output) => Err(output.stderr),
            Err(error) => Err(error.to_string()),
        });
    }

    /// The host itself.
    pub fn node(&self) -> &Node {
        &self.world.nodes()[self.index]
    }
}

impl Deref for Host {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let leaks = if failed { rescue(self.node()) } else { leaks(self.node()) };
        self.world.give_back(self.index);
        assert!(failed || leaks.is_empty(), "careen left on {}:\n{leaks}", self.node().name());
    }
}

/// All hosts, leased.
pub struct Swarm {
    world: &'static World,
}

impl Swarm {
    pub fn new(world: &'static World) -> Self {
        Self { world }
    }

    /// The hosts, the manager first.
    pub fn nodes(&self) -> &[Node] {
        self.world.nodes()
    }

    /// The manager.
    pub fn manager(&self) -> &Node {
        &self.world.nodes()[0]
    }

    /// An image of which `install` is this script, on every host's engine, under one name.
    pub fn script(&self, install: &str) -> Image {
        self.image(&[File::script("install", install)])
    }

    /// An image with these files in /install, on every host's engine, under one name.
    pub fn image(&self, files: &[File<'_>]) -> Image {
        let dockerfile = "FROM careen/installer\nCOPY install /install\n";
        let mut images = self.nodes().iter().map(|node| Image::build(node, dockerfile, files));
        let first = images.next().expect("a swarm has a node");
        images.for_each(drop);
        first
    }

    /// `docker` on the manager; it must succeed. Returns what it printed.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        let ran = self.manager().docker(args).and_then(careen_lab::Output::ok);
        ran.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a service of this image with the host's root at /host and no restarts; returns its id.
    #[track_caller]
    pub fn service(&self, name: &str, options: &[&str], image: &Image, command: &[&str]) -> String {
        let fixed = ["service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", name];
        let mount = ["--label", "careen.test=1", "--mount", "type=bind,source=/,target=/host"];
        let args = [&fixed[..], &mount, options, &[image.name()], command].concat();
        self.docker(&args).trim().to_owned()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let _ =
            self.manager().sh("docker service ls -q --filter label=careen.test | xargs -r docker service rm");
        let leaks: Vec<String> = self
            .nodes()
            .iter()
            .map(|node| if failed { rescue(node) } else { leaks(node) })
            .filter(|leaks| !leaks.is_empty())
            .collect();
        (0..self.nodes().len()).for_each(|index| self.world.give_back(index));
        assert!(failed || leaks.is_empty(), "careen left behind:\n{}", leaks.join("\n"));
    }
}

fn rescue(node: &Node) -> String {
    let _ = node.sh(RESCUE);
    String::new()
}
