//! Rows of the simulator: a rollout over more hosts than a lab has, in a time of its own. `careen-sim` lies beside this program, plays the
//! shipped planner, controller, agents and supervisors, and prints what came of it as one line of JSON.

use crate::clock::{BEGIN, time};
use crate::error::{Error, Result};
use crate::others::beside;
use crate::row::{Bound, Row};
use crate::samples::Samples;
use careen_lab::Progress;
use serde::Deserialize;
use std::process::Command;
use std::time::Duration;

/// The part that its rows belong to.
pub const PART: &str = "fleet";

/// What it measures, for people who ask for the list.
pub const ABOUT: &str =
    "500 simulated hosts, a tenth at a time, engine restarts of 30 s: the rollout beside the ideal schedule";

const PROGRAM: &str = "careen-sim";
const LIMIT: Duration = Duration::from_secs(1800);
const GOAL: Bound = Bound::AtMost(1.15);

/// What it prints: times of the simulated swarm, in seconds.
#[derive(Debug, Deserialize)]
struct Told {
    nodes: u64,
    parallelism: String,
    /// How many looks and acts its controller gets done in a second.
    pace: u64,
    waves: u64,
    /// What one host adds where they go one by one.
    one: f64,
    seconds: f64,
    actions: u64,
}

/// As many waves as there are, each as long as one host alone, is the ideal.
fn rows(usual: &Told, slow: &Told, varying: &Told) -> Vec<Row> {
    let Told { nodes, parallelism, pace, waves, one, actions, .. } = usual;
    let plain = |what: &str, seconds: f64| Row::plain(PART, what, "s", &Samples::of([seconds]));
    let ideal = Samples::of([one * *waves as f64]);
    let by_ideal = |told: &Told| Samples::of([told.seconds]).over(&ideal);
    let at_a_pace = format!("{nodes} hosts, {parallelism} at a time, {pace} looks and acts a second");
    let at_half = format!("the same with {} a second, by the ideal", slow.pace);
    vec![
        plain("each host more, where hosts go one by one", *one),
        Row::plain(PART, &format!("ideal: {waves} waves as long as that"), "s", &ideal),
        plain(&at_a_pace, usual.seconds).noting(&format!("{actions} acts")),
        Row::judged(PART, "the rollout by the ideal", "×", &by_ideal(usual), GOAL),
        Row::plain(PART, &at_half, "×", &by_ideal(slow)),
        Row::plain(PART, "hosts and swarm take their time at random, by the ideal", "×", &by_ideal(varying)),
    ]
}

/// Runs it, and takes its rows. Where it was not built, that is the row.
pub fn measure(progress: Progress) -> Result<Vec<Row>> {
    let Some(program) = beside(PROGRAM) else {
        let why = format!("{PROGRAM} is not built");
        return Ok(vec![Row::not_measured(PART, "the rollout by the ideal", "×", Some(GOAL), &why)]);
    };
    let run = |words: &[&str]| {
        progress.say(format!("{PART}: {PROGRAM} fleet {}", words.join(" ")));
        let mut command = Command::new("bash");
        command.args(["-c", &format!("echo {BEGIN}; exec \"$0\" fleet \"$@\"")]).arg(&program).args(words);
        told(&time(PROGRAM, LIMIT, &mut command)?.lines)
    };
    Ok(rows(&run(&[])?, &run(&["--pace", "50"])?, &run(&["--vary"])?))
}

fn told(lines: &[String]) -> Result<Told> {
    let line = lines.iter().find(|line| line.starts_with('{')).map_or("", String::as_str);
    serde_json::from_str(line)
        .map_err(|source| Error::Json { what: format!("what {PROGRAM} printed"), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Judgement;

    fn run(pace: u32, seconds: u32) -> Told {
        let line = format!(
            r#"{{"nodes":500,"parallelism":"10%","pace":{pace},"varies":false,"waves":13,"one":50,"seconds":{seconds},"actions":9}}"#
        );
        told(&["a line before".to_owned(), line]).unwrap()
    }

    #[test]
    fn the_rollout_is_judged_by_waves_that_are_as_long_as_one_host() {
        let rows = |seconds| rows(&run(100, seconds), &run(50, 1300), &run(100, 975));
        let met = rows(700);
        assert_eq!((met[1].figure, met[3].judgement), (Some(650.0), Judgement::Met));
        assert_eq!((met[4].figure, met[5].figure), (Some(2.0), Some(1.5)));
        assert_eq!(rows(800)[3].judgement, Judgement::Missed);
    }

    #[test]
    fn what_is_no_json_is_named() {
        let error = told(&["nothing".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "what careen-sim printed is not the JSON that was expected");
    }
}
