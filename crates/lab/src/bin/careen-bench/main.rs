//! `make bench`: what careen costs on a real host, measured side by side, round by round in one run, so that whatever
//! else the machine does meets all rows alike. Goals stand beside the numbers. A missed one is said, and fails nothing:
//! a busy machine is no defect.
//!
//! The image under test is `careen/installer:latest` or what `CAREEN_TEST_IMAGE` names; the lab is `bench` or what
//! `CAREEN_TEST_LAB` names. Arguments name the parts to be measured: `start`, `cost`, `output`, `idle`; without any, all.

mod cost;
mod idle;
mod output;
mod payload;
mod start;
mod table;

use careen_lab::{Lab, Node, Progress, Spec};

type Part = (&'static str, fn(&Node) -> anyhow::Result<String>);

const PARTS: [Part; 4] = [
    ("start", start::measure),
    ("cost", cost::measure),
    ("output", output::measure),
    ("idle", idle::measure),
];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        anyhow::bail!("there is no part '{unknown}'");
    }
    let mut spec = Spec::new(of_environment("CAREEN_TEST_LAB", "bench").parse()?);
    (spec.managers, spec.workers) = (Some(1), Some(0));
    let lab = Lab::up(&spec, Progress::shown())?;
    let measured = measure(&lab, &wanted);
    careen_lab::down(&spec.name, Progress::shown())?;
    measured
}

fn measure(lab: &Lab, wanted: &[String]) -> anyhow::Result<()> {
    let base = of_environment("CAREEN_TEST_IMAGE", "careen/installer:latest");
    lab.load(&base, Progress::shown())?;
    let node = lab.node("n1")?;
    payload::build(node, &base)?;
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            let before = load();
            println!("\n{}load of the machine: {before:.1} before, {:.1} after", part(node)?, load());
        }
    }
    Ok(())
}

/// How many processes wanted a processor in the last minute: with more than there are, everything takes longer.
fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn of_environment(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}
