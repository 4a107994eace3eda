//! Rows that another program measures: swarms too large for a lab. It lies beside this one, is started as it is, and leaves its
//! rows in `bench/scale.json` beside itself.

use crate::clock::{BEGIN, time};
use crate::error::{Error, Result, file_error};
use crate::row::{Bound, Row};
use crate::samples::Samples;
use careen_lab::Progress;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The part that its rows belong to.
pub const PART: &str = "scale";

/// What it measures, for people who ask for the list.
pub const ABOUT: &str =
    "plans, status and the controller in swarms of 50, 500 and 5,000 nodes that are made up";

const PROGRAM: &str = "careen-bench-scale";
const RESULT: &str = "bench/scale.json";
const LIMIT: Duration = Duration::from_secs(1800);

/// What it leaves.
#[derive(Debug, Deserialize)]
struct Told {
    rows: Vec<ToldRow>,
}

/// One of its rows: the goal is the most that the figure may be.
#[derive(Debug, Deserialize)]
struct ToldRow {
    nodes: u64,
    what: String,
    figure: f64,
    goal: Option<f64>,
}

impl ToldRow {
    fn row(&self) -> Row {
        let what = format!("{} nodes, {}", self.nodes, self.what);
        let figure = Samples::of([self.figure]);
        match self.goal {
            Some(goal) => Row::judged(PART, &what, "", &figure, Bound::AtMost(goal)),
            None => Row::plain(PART, &what, "", &figure),
        }
    }
}

/// Runs it, and takes its rows. Where it was not built, that is the row.
pub fn measure(quick: bool, progress: Progress) -> Result<Vec<Row>> {
    let Some(program) = beside(PROGRAM) else {
        let why = format!("{PROGRAM} is not built");
        return Ok(vec![Row::not_measured(PART, "large swarms", "", None, &why)]);
    };
    progress.say(format!("{PART}: {PROGRAM}"));
    let mut command = Command::new("bash");
    command.args(["-c", &format!("echo {BEGIN}; exec \"$1\""), "bench"]).arg(&program);
    command.env("BENCH", if quick { "quick" } else { "" });
    time(PROGRAM, LIMIT, &mut command)?;
    let path = program.with_file_name(RESULT);
    let text = std::fs::read_to_string(&path).map_err(file_error("read", &path))?;
    rows(&text, &path)
}

fn rows(text: &str, path: &Path) -> Result<Vec<Row>> {
    let told: Result<Told, _> = serde_json::from_str(text);
    let told = told.map_err(|source| Error::Json { what: path.display().to_string(), source })?;
    Ok(told.rows.iter().map(ToldRow::row).collect())
}

/// A program that lies beside this one.
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name(name);
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Judgement;

    #[test]
    fn its_rows_become_rows_of_the_bench() {
        let text = r#"{"services": 500, "rows": [
            {"nodes": 50, "what": "plan: seconds", "figure": 0.1, "goal": null, "met": null},
            {"nodes": 5000, "what": "plan: seconds", "figure": 2.0, "goal": 1.5, "met": false}]}"#;
        let rows = rows(text, Path::new("scale.json")).unwrap();
        assert_eq!(rows[0].what, "50 nodes, plan: seconds");
        assert_eq!(rows[0].judgement, Judgement::NoGoal);
        assert_eq!(rows[1].judgement, Judgement::Missed);
    }

    #[test]
    fn what_is_no_result_is_named() {
        let error = rows("nothing", Path::new("scale.json")).unwrap_err().to_string();
        assert_eq!(error, "scale.json is not the JSON that was expected");
    }
}
