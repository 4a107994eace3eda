//! How cost grows with the size of a swarm: `careen plan`, `careen status` and the controller, over the API of an engine that is made
//! up. No docker, no lab.
//!
//! - `world`: the swarm: nodes, services and tasks, in the shape and size in which engines tell them
//! - `engine`: its API on a unix socket; `http`: requests and answers; `store`: what it has, and what the controller makes of it
//! - `child`: what a program costs
//! - `measure`: the measurements; `table`: goals, Markdown and JSON

mod child;
mod engine;
mod http;
mod measure;
mod store;
mod table;
mod world;

use anyhow::{Context, bail};
use measure::{How, Measured};

/// Measures, prints Markdown, and leaves it beside JSON in `bench/` beside the programs.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    if let [word, command @ ..] = args
        && word == child::MEASURE
    {
        return child::measure_here(command);
    }
    let mut how = How::of_environment()?;
    let (mut sizes, mut parts) = (Vec::new(), Vec::new());
    for word in args {
        match (word.parse::<usize>(), Measured::called(word)) {
            (Ok(size), _) => sizes.push(size),
            (Err(_), Some(part)) => parts.push(part),
            (Err(_), None) => {
                bail!("'{word}' is no number of nodes, and none of plan, status, transition, idle")
            }
        }
    }
    if !sizes.is_empty() {
        how.sizes = sizes;
    }
    if !parts.is_empty() {
        how.parts = parts;
    }
    let rows = measure::all(&how)?;
    let table = table::Table::of(&how, &rows);
    print!("{}", table.markdown);
    let place = how.programs.join("bench");
    std::fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    for (name, text) in [("scale.md", &table.markdown), ("scale.json", &table.json)] {
        let path = place.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
