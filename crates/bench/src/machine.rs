//! On what a run ran: figures of another machine are other figures.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

/// What the machine is and what runs on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Memory, in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// How many processes wanted a processor in the last minute when the run began: with more than there are, everything takes
    /// longer.
    pub load_at_start: f64,
    /// The same when the report was made.
    pub load_at_end: f64,
    /// The commit that was measured, with `+` where files were changed since.
    pub commit: String,
    /// The hosts' engine.
    pub engine: String,
    /// What the other contenders are, a line each.
    pub contenders: Vec<String>,
}

impl Machine {
    /// This one, now.
    pub fn of_this(engine: String) -> Machine {
        let load = load();
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(&read("/proc/meminfo")).unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_at_start: load,
            load_at_end: load,
            commit: commit(),
            engine,
            contenders: Vec::new(),
        }
    }

    /// The machine with the load as it is now.
    #[must_use]
    pub fn at_the_end(&self) -> Machine {
        Machine { load_at_end: load(), ..self.clone() }
    }

    /// All of it, for people.
    pub fn in_a_sentence(&self) -> String {
        let Machine { cores, memory_gib, kernel, load_at_start, load_at_end, commit, engine, contenders } =
            self;
        let others = contenders.iter().fold(String::new(), |others, one| others + ", " + one);
        format!(
            "{cores} cores, {memory_gib} GiB, Linux {kernel}, load {load_at_start:.1} at the start and {load_at_end:.1} at \
             the end; careen {commit}, docker {engine}{others}"
        )
    }

    #[cfg(test)]
    pub(crate) fn example() -> Machine {
        Machine {
            cores: 2,
            memory_gib: 23,
            kernel: "6.1.0".to_owned(),
            load_at_start: 0.5,
            load_at_end: 2.0,
            commit: "abc".to_owned(),
            engine: "20.10.24".to_owned(),
            contenders: vec!["ansible-core 2.19".to_owned()],
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap_or_default()
}

fn load() -> f64 {
    let text = read("/proc/loadavg");
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn memory_gib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024 / 1024)
}

/// What git says, and nothing where there is no git.
fn commit() -> String {
    let words = ["describe", "--always", "--dirty=+", "--exclude=*"];
    let told = Command::new("git").args(words).output().ok().filter(|told| told.status.success());
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_meminfo() {
        assert_eq!(memory_gib("MemTotal:       24620908 kB\nMemFree: 1 kB\n"), Some(23));
        assert_eq!(memory_gib("rubbish"), None);
    }

    #[test]
    fn a_sentence_names_what_figures_depend_on() {
        let text = Machine::example().in_a_sentence();
        for part in ["2 cores", "load 0.5 at the start", "docker 20.10.24, ansible-core 2.19"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
