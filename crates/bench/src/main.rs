//! `make bench`: brings the lab up, measures part after part, prints each part's table when it is there, and takes the lab down.

mod args;

use crate::args::Args;
use anyhow::Context as _;
use careen_bench::claim::Claim;
use careen_bench::keeper;
use careen_bench::machine::Machine;
use careen_bench::parts::Subject;
use careen_bench::report::{Report, table, whole};
use careen_bench::row::Row;
use careen_bench::scene::{Scene, Wanted};
use careen_bench::work::Work;
use careen_bench::{error::Error, fleet, others};
use careen_contract::chain;
use careen_lab::Progress;
use clap::Parser as _;
use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let args = Args::parse();
    let ended = if args.wants_lab() && !args.kept { keep(&args) } else { measure(&args) };
    ended.unwrap_or_else(|error| {
        eprintln!("careen-bench: {error:#}");
        ExitCode::FAILURE
    })
}

/// Measures in another process, behind which the lab goes.
fn keep(args: &Args) -> anyhow::Result<ExitCode> {
    let progress = Progress::shown();
    let claim = Claim::take(&args.lab, progress)?;
    let mut measuring = Command::new(std::env::current_exe().context("this program's own file")?);
    measuring.args(std::env::args_os().skip(1)).arg("--kept");
    Ok(ExitCode::from(keeper::keep(&claim, &mut measuring, args.keep, progress)?))
}

/// What is written down as the bench goes on: a run that is interrupted leaves what it has.
struct Run {
    work: Work,
    report: Report,
    begun: Instant,
    whole: bool,
}

impl Run {
    /// Takes a part's rows, or why there are none, and shows them.
    fn take(&mut self, part: &str, measured: Result<Vec<Row>, Error>) -> anyhow::Result<()> {
        let rows = measured.unwrap_or_else(|error| {
            self.whole = false;
            vec![Row::not_measured(part, part, "", None, &chain(&error))]
        });
        print!("\n### {part}\n\n{}", table(&rows));
        self.report.rows.extend(rows);
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.report.lasted_seconds = self.begun.elapsed().as_secs();
        self.report.machine = self.report.machine.at_the_end();
        let json = serde_json::to_string_pretty(&self.report).context("the report as JSON")?;
        self.work.result("bench.json", &json)?;
        self.work.result("bench.md", &whole(&self.report))?;
        Ok(())
    }
}

/// Fails when a part could not be measured; a missed goal is no failure.
fn measure(args: &Args) -> anyhow::Result<ExitCode> {
    if args.kept {
        keeper::take_signals()?;
    }
    let progress = Progress::shown();
    let work = Work::in_directory(&args.out)?;
    let machine = Machine::of_this(String::new());
    let report = Report { command: args.repeated_by(), machine, lasted_seconds: 0, rows: Vec::new() };
    let mut run = Run { work, report, begun: Instant::now(), whole: true };
    // Before there is a lab, which has something to do all the time.
    if args.scale() {
        run.take(others::PART, others::measure(args.quick(), progress))?;
    }
    if args.fleet() {
        run.take(fleet::PART, fleet::measure(progress))?;
    }
    if args.wants_lab() {
        on_lab(args, &mut run, progress)?;
    }
    run.write()?;
    println!("\n{}", whole(&run.report).lines().next().unwrap_or_default());
    progress
        .say(format!("{} has all of it, bench.json beside it too", run.work.lasting("bench.md").display()));
    Ok(if run.whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn on_lab(args: &Args, run: &mut Run, progress: Progress) -> anyhow::Result<()> {
    let wanted = Wanted {
        lab: args.lab.clone(),
        image: args.image.clone(),
        program: args.program.clone(),
        quick: args.quick(),
    };
    let scene = Scene::set(&wanted, run.work.clone(), progress)?;
    let engine = scene.manager()?.docker(["version", "--format", "{{.Server.Version}}"])?.ok()?;
    run.report.machine.engine = engine.trim().to_owned();
    run.report.machine.contenders = scene.ansible.iter().map(|ansible| ansible.version.clone()).collect();
    for Subject { name, measure, .. } in args.subjects() {
        run.take(name, measure(&scene))?;
    }
    Ok(())
}
