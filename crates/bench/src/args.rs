//! The command line.

use careen_bench::parts;
use careen_bench::{fleet, others, parts::Subject};
use careen_lab::LabName;
use clap::Parser;
use std::path::PathBuf;

/// Measures what careen costs, beside other ways to the same result, on a lab of its own.
///
/// Prints Markdown, and leaves it with JSON in target/bench. Needs what the lab needs; ansible-core is installed into
/// target/bench/venv.
#[derive(Debug, Parser)]
#[command(name = "careen-bench", bin_name = "make bench")]
pub struct Args {
    /// 'quick' for one round of everything, and parts that are measured alone; without a part all are
    #[arg(value_name = "WORD", value_parser = word)]
    pub words: Vec<String>,
    /// careen's image on this machine's engine
    #[arg(long, default_value = "careen/installer:latest", value_name = "IMAGE")]
    pub image: String,
    /// The command line that is measured
    #[arg(long, default_value = "target/release/careen", value_name = "FILE")]
    pub program: PathBuf,
    /// The lab that is made, and removed at the end
    #[arg(long, default_value = "bench", value_name = "LAB")]
    pub lab: LabName,
    /// Leave the lab up at the end
    #[arg(long)]
    pub keep: bool,
    /// What this program tells itself: to measure, while another process sees to the lab
    #[arg(long, hide = true)]
    pub kept: bool,
    /// Where results are left
    #[arg(long, default_value = "target/bench", value_name = "DIRECTORY")]
    pub out: PathBuf,
}

const QUICK: &str = "quick";

impl Args {
    /// Whether it is to be over in a quarter of an hour.
    pub fn quick(&self) -> bool {
        self.words.iter().any(|word| word == QUICK)
    }

    /// The parts on the lab that are wanted, in their order.
    pub fn subjects(&self) -> Vec<Subject> {
        parts::ALL.into_iter().filter(|subject| self.wants(subject.name)).collect()
    }

    /// Whether anything is to be measured on a lab.
    pub fn wants_lab(&self) -> bool {
        !self.subjects().is_empty()
    }

    /// Whether large swarms are wanted.
    pub fn scale(&self) -> bool {
        self.wants(others::PART)
    }

    /// Whether a rollout over a simulated swarm is wanted.
    pub fn fleet(&self) -> bool {
        self.wants(fleet::PART)
    }

    /// What repeats this run.
    pub fn repeated_by(&self) -> String {
        match self.words.join(" ") {
            none if none.is_empty() => "make bench".to_owned(),
            one if self.words.len() == 1 => format!("make bench BENCH={one}"),
            words => format!("make bench BENCH='{words}'"),
        }
    }

    fn wants(&self, part: &str) -> bool {
        let mut parts = self.words.iter().filter(|word| *word != QUICK).peekable();
        parts.peek().is_none() || parts.any(|word| word == part)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no such part; there are:\n  quick: one round of everything\n{}", parts.join("\n"))]
struct NoSuchPart {
    parts: Vec<String>,
}

fn word(text: &str) -> Result<String, NoSuchPart> {
    let known = parts::ALL.iter().map(|subject| (subject.name, subject.about));
    let known: Vec<_> = known.chain([(others::PART, others::ABOUT), (fleet::PART, fleet::ABOUT)]).collect();
    if text == QUICK || known.iter().any(|(name, _)| *name == text) {
        return Ok(text.to_owned());
    }
    Err(NoSuchPart { parts: known.iter().map(|(name, about)| format!("  {name}: {about}")).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn args(words: &[&str]) -> Args {
        Args::try_parse_from(["bench"].iter().chain(words)).unwrap()
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_part_all_are_measured() {
        let all = args(&[]);
        assert_eq!((all.subjects().len(), all.scale(), all.quick()), (parts::ALL.len(), true, false));
        assert!(all.fleet() && args(&["fleet"]).fleet() && !args(&["scale"]).fleet());
        assert!(!args(&["fleet"]).wants_lab());
        let quick = args(&["quick"]);
        assert_eq!((quick.subjects().len(), quick.scale(), quick.quick()), (parts::ALL.len(), true, true));
        assert_eq!(quick.repeated_by(), "make bench BENCH=quick");
    }

    #[test]
    fn parts_are_measured_in_their_order() {
        let two = args(&["quick", "logs", "everywhere"]);
        let names: Vec<&str> = two.subjects().iter().map(|subject| subject.name).collect();
        assert_eq!((names, two.scale()), (vec!["everywhere", "logs"], false));
        assert_eq!(two.repeated_by(), "make bench BENCH='quick logs everywhere'");
    }

    #[test]
    fn what_there_is_not_is_told_with_what_there_is() {
        let error = Args::try_parse_from(["bench", "speed"]).unwrap_err().to_string();
        assert!(error.contains("everywhere: 'true' on five hosts at once"), "{error}");
    }
}
