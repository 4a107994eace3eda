//! What is measured, one file for each subject.

mod configure;
mod cost;
mod everywhere;
mod idle;
mod logs;
mod output;
mod packages;
mod restart;
mod size;
mod start;

use crate::error::Result;
use crate::row::Row;
use crate::scene::Scene;

/// One subject.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its word on the command line, and the headline of its table.
    pub name: &'static str,
    /// What it measures, for people who ask for the list.
    pub about: &'static str,
    /// Measures it.
    pub measure: fn(&Scene) -> Result<Vec<Row>>,
}

/// In the order in which they are measured.
pub const ALL: [Subject; 10] = [
    Subject { name: "everywhere", about: everywhere::ABOUT, measure: everywhere::measure },
    Subject { name: "packages", about: packages::ABOUT, measure: packages::measure },
    Subject { name: "restart", about: restart::ABOUT, measure: restart::measure },
    Subject { name: "configure", about: configure::ABOUT, measure: configure::measure },
    Subject { name: "logs", about: logs::ABOUT, measure: logs::measure },
    Subject { name: "size", about: size::ABOUT, measure: size::measure },
    Subject { name: "start", about: start::ABOUT, measure: start::measure },
    Subject { name: "cost", about: cost::ABOUT, measure: cost::measure },
    Subject { name: "idle", about: idle::ABOUT, measure: idle::measure },
    Subject { name: "output", about: output::ABOUT, measure: output::measure },
];
