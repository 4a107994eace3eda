//! The lab that all cases share: one manager and two workers, brought up by whoever needs it first.
//!
//! It stays up when the tests end, so that the next run starts at once; `make test` takes it down.

use super::image::base;
use super::lease::{Host, Swarm};
use careen_lab::{Docker, Lab, Node, Progress, Spec};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};

/// Two runs side by side need a name each, in `CAREEN_TEST_LAB`.
const LAB: &str = "test";

pub struct World {
    lab: Lab,
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::up().unwrap_or_else(|error| panic!("the lab did not come up: {error}")))
}

impl World {
    fn up() -> careen_lab::Result<Self> {
        let mut spec = Spec::new(std::env::var("CAREEN_TEST_LAB").as_deref().unwrap_or(LAB).parse()?);
        (spec.managers, spec.workers) = (Some(1), Some(2));
        let lab = Lab::up(&spec, Progress::shown())?;
        assert!(
            Docker::local().run(["image", "inspect", base()]).is_ok(),
            "there is no image {} on this machine's engine: 'make image' builds it",
            base()
        );
        lab.load(base(), Progress::shown())?;
        let free = Mutex::new((0..lab.nodes().len()).collect());
        Ok(Self { lab, free, returned: Condvar::new() })
    }

    pub fn nodes(&self) -> &[Node] {
        self.lab.nodes()
    }

    /// The last free one: workers first, so that the manager stays free for those who need a swarm.
    pub fn lease_host(&'static self) -> Host {
        let mut free = self.free();
        loop {
            match free.pop() {
                Some(index) => return Host::new(self, index),
                None => free = self.returned.wait(free).unwrap_or_else(|poisoned| poisoned.into_inner()),
            }
        }
    }

    pub fn lease_swarm(&'static self) -> Swarm {
        let mut free = self.free();
        while free.len() < self.nodes().len() {
            free = self.returned.wait(free).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        free.clear();
        Swarm::new(self)
    }

    pub fn give_back(&self, index: usize) {
        let mut free = self.free();
        free.push(index);
        free.sort_unstable();
        self.returned.notify_all();
    }

    /// A test that failed while it held a lease must not fail the others.
    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
