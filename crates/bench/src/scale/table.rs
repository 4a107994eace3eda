//! Goals beside the figures, for people and for programs.

use super::measure::{How, Row};
use super::world::{SERVICES, TASKS_A_NODE};
use serde_json::{Value, json};
use std::fmt::Write;

/// The greatest figures: of which part, of how many nodes.
const GOALS: [(&str, &str, usize, f64); 4] = [
    ("plan", "seconds", 5000, 1.5),
    ("plan", "MiB at most", 5000, 150.0),
    ("status", "seconds", 5000, 0.5),
    ("idle", "% of a core", 5000, 1.0),
];

/// From here to there, cost is to grow with n log n at most.
const GROWTH: (usize, usize) = (500, 5000);

/// All figures.
#[derive(Debug)]
pub struct Table {
    pub markdown: String,
    pub json: String,
}

impl Table {
    pub fn of(how: &How, rows: &[Row]) -> Self {
        let rows: Vec<Value> = rows.iter().map(of_row).chain(growth(rows)).collect();
        let mut markdown = format!(
            "{SERVICES} services, {TASKS_A_NODE} tasks a node; the median of {}; load of the machine {}.\n\n\
             | nodes | what | figure | goal | |\n| ---: | --- | ---: | ---: | --- |\n",
            how.rounds,
            load()
        );
        for row in &rows {
            let goal = row["goal"].as_f64().map(|goal| format!("<= {goal}")).unwrap_or_default();
            let met = row["met"].as_bool().map_or("", |met| if met { "met" } else { "MISSED" });
            let (nodes, what) = (&row["nodes"], row["what"].as_str().unwrap_or_default());
            let figure = row["figure"].as_f64().unwrap_or(f64::NAN);
            // A text takes all that is written to it.
            let _never = writeln!(markdown, "| {nodes} | {what} | {figure:.3} | {goal} | {met} |");
        }
        let delays = json!({
            "request_ms": how.delays.request.as_secs_f64() * 1e3, "object_us": how.delays.object.as_secs_f64() * 1e6,
        });
        let json = json!({
            "services": SERVICES, "tasks_a_node": TASKS_A_NODE, "rounds": how.rounds, "delays": delays,
            "idle_seconds": how.idle.as_secs(), "rows": rows,
        });
        Self { markdown, json: format!("{json:#}\n") }
    }
}

fn of_row(row: &Row) -> Value {
    let of = |goal: &&(&str, &str, usize, f64)| (goal.0, goal.1, goal.2) == (row.part, row.figure, row.nodes);
    told(
        row.nodes,
        &format!("{}: {}", row.part, row.figure),
        row.value,
        GOALS.iter().find(of).map(|goal| goal.3),
    )
}

fn told(nodes: usize, what: &str, figure: f64, goal: Option<f64>) -> Value {
    let figure = (figure * 1e6).round() / 1e6;
    json!({ "nodes": nodes, "what": what, "figure": figure, "goal": goal, "met": goal.map(|goal| figure <= goal) })
}

/// The exponents with which CPU seconds grow. That of n log n between the two sizes is the goal.
fn growth(rows: &[Row]) -> Vec<Value> {
    let (small, large) = GROWTH;
    let log = |size: usize| (size as f64).ln();
    let goal = 1.0 + (log(large) / log(small)).ln() / (log(large) - log(small));
    let goal = (goal * 1000.0).round() / 1000.0;
    let cpu = |part: &str, size: usize| {
        let of = |row: &&Row| (row.part, row.figure, row.nodes) == (part, "CPU seconds", size);
        rows.iter().find(of).map(|row| row.value)
    };
    let exponent = |part: &&str| {
        let (less, more) = (cpu(part, small)?, cpu(part, large)?);
        let exponent = (more / less).ln() / (log(large) - log(small));
        Some(told(large, &format!("{part}: exponent of growth from {small} nodes"), exponent, Some(goal)))
    };
    ["plan", "status", "transition"].iter().filter_map(exponent).collect()
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
