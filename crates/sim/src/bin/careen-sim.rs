//! `cargo sim --seed N` plays one history and prints it; `cargo sim --seeds A..B` plays many, and tells how they ended. `cargo sim fleet`
//! plays a rollout over a large swarm, and tells how long it took as one line of JSON.

use careen_sim::fleet::{Fleet, Measured};
use careen_sim::whole::Whole;
use careen_sim::{Ending, Failure, Faults};
use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const USAGE: &str = "usage: cargo sim [--faults none|controllers|hosts|all] [--whole] [--threads N] [--go-on] \
                     --seed N | --seeds A..B\n       cargo sim fleet [--nodes N] [--parallelism N|N%] [--pace N] [--vary]";

struct Asked {
    seeds: Range<u64>,
    faults: Faults,
    one: bool,
    whole: bool,
    go_on: bool,
    threads: usize,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "fleet") {
        return asked_for_a_fleet().map_or_else(wrong, fleet);
    }
    let Some(asked) = asked() else { return wrong() };
    match asked.one {
        true => one(&asked),
        false => many(&asked),
    }
}

fn wrong() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn asked_for_a_fleet() -> Option<Fleet> {
    let parallelism = "10%".parse().ok()?;
    let mut fleet = Fleet { nodes: 500, parallelism, pace: 100, varies: false };
    let mut arguments = std::env::args().skip(2);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--nodes" => fleet.nodes = arguments.next()?.parse().ok().filter(|nodes| *nodes > 5)?,
            "--parallelism" => fleet.parallelism = arguments.next()?.parse().ok()?,
            "--pace" => fleet.pace = arguments.next()?.parse().ok().filter(|pace| *pace > 0)?,
            "--vary" => fleet.varies = true,
            _ => return None,
        }
    }
    Some(fleet)
}

fn fleet(fleet: Fleet) -> ExitCode {
    match fleet.measure() {
        Ok(measured) => {
            println!("{}", json(fleet, &measured));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn json(fleet: Fleet, measured: &Measured) -> String {
    let Fleet { nodes, parallelism, pace, varies } = fleet;
    let Measured { waves, seconds, one, actions } = measured;
    format!(
        "{{\"nodes\":{nodes},\"parallelism\":\"{parallelism}\",\"pace\":{pace},\"varies\":{varies},\"waves\":{waves},\
         \"one\":{one},\"seconds\":{seconds},\"actions\":{actions}}}"
    )
}

fn asked() -> Option<Asked> {
    let mut arguments = std::env::args().skip(1);
    let mut asked =
        Asked { seeds: 0..0, faults: Faults::all(), one: false, whole: false, go_on: false, threads: 2 };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => {
                let seed = arguments.next()?.parse().ok()?;
                (asked.seeds, asked.one) = (seed..seed + 1, true);
            }
            "--seeds" => {
                let text = arguments.next()?;
                let (from, to) = text.split_once("..")?;
                asked.seeds = from.parse().ok()?..to.parse().ok()?;
            }
            "--faults" => asked.faults = Faults::named(&arguments.next()?)?,
            "--threads" => asked.threads = arguments.next()?.parse().ok()?,
            "--whole" => asked.whole = true,
            "--go-on" => asked.go_on = true,
            _ => return None,
        }
    }
    (!asked.seeds.is_empty()).then_some(asked)
}

fn one(asked: &Asked) -> ExitCode {
    let seed = asked.seeds.start;
    match (Whole { seed, faults: asked.faults }).play() {
        Ok((first, next)) => {
            println!("{}", next.world.history.join("\n"));
            println!("seed {seed}: {:?}, then {:?}", first.outcome, next.outcome);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            if asked.whole {
                println!("{}", failure.history.join("\n"));
            }
            println!("{failure}\nseed {seed}");
            ExitCode::FAILURE
        }
    }
}

/// What came of many histories.
#[derive(Default)]
struct Sums {
    played: u64,
    outcomes: [u64; 3],
    actions: usize,
    attempts: usize,
    failures: BTreeMap<u64, Failure>,
}

impl Sums {
    fn add(&mut self, seed: u64, played: Result<(Ending, Ending), Failure>) {
        self.played += 1;
        match played {
            Ok((first, next)) => {
                self.outcomes[first.outcome as usize] += 1;
                self.actions += first.actions + next.actions;
                self.attempts += next.world.attempts.len();
            }
            Err(failure) => {
                println!("seed {seed}: {}", failure.what.join("; "));
                self.failures.insert(seed, failure);
            }
        }
    }
}

fn many(asked: &Asked) -> ExitCode {
    let (next, began) = (AtomicU64::new(asked.seeds.start), Instant::now());
    let sums = Mutex::new(Sums::default());
    let sums_now = || sums.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..asked.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let stop = !asked.go_on && !sums_now().failures.is_empty();
                    if seed >= asked.seeds.end || stop {
                        return;
                    }
                    let played = Whole { seed, faults: asked.faults }.play();
                    sums_now().add(seed, played);
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((seed, failure)) = sums.failures.first_key_value() {
        println!("{failure}\nreplay: cargo sim --seed {seed}");
    }
    let [done, failed, aborted] = sums.outcomes;
    println!(
        "{} histories of two rollouts each in {} s: {done} done, {failed} with failures, {aborted} aborted; \
         {} actions, {} attempts of commands; {} violations",
        sums.played,
        began.elapsed().as_secs(),
        sums.actions,
        sums.attempts,
        sums.failures.len()
    );
    if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
