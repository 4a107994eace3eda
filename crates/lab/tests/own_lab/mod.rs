//! A lab of one test's own, which goes when the test ends, however it ends.

use careen_lab::{Lab, LabName, Progress, Spec};

/// The lab; what was made of it is removed, also when not all of it came up.
pub struct OwnLab {
    pub lab: Lab,
    _down: Down,
}

struct Down(LabName);

impl Drop for Down {
    fn drop(&mut self) {
        let _ = careen_lab::down(&self.0, Progress::quiet());
    }
}

impl OwnLab {
    /// Of this name, unless `CAREEN_TEST_LAB` says another one.
    pub fn up(name: &str, managers: u8, workers: u8, progress: Progress) -> Self {
        let name = std::env::var("CAREEN_TEST_LAB").unwrap_or_else(|_| name.to_owned());
        let mut spec = Spec::new(name.parse().expect("a name"));
        (spec.managers, spec.workers) = (Some(managers), Some(workers));
        let down = Down(spec.name.clone());
        Self { lab: Lab::up(&spec, progress).expect("the lab"), _down: down }
    }
}
