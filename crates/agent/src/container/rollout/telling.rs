//! What an agent decides, carried out at once and told to its controller, also while a command is followed.

use super::gates::Gates;
use super::reporter::Reporter;
use crate::container::follow::{Witness, end_wait};
use crate::go;
use crate::layout::{TransactionDir, file};
use crate::say::say;
use crate::stop::{OrRefuse, Stop};
use crate::{boot, durable, files, hold};
use careen_contract::chain;
use careen_contract::changed::{Versions, cut, with_versions};
use careen_contract::record::with_deeds;
use careen_contract::report::{NodeOutcome, Printed, Said};
use careen_contract::settings::GO_COUNTS;
use careen_engine::{Bell, Ringer};
use careen_host::journal::Record;
use careen_protocol::agent::{Agent, Do, Effect, Event, Wish};
use careen_protocol::go::Go;
use std::io::Read;
use std::time::{Duration, Instant};

/// So many characters of what changed travel with a result: the host has it all.
pub(super) const MOST_WORDS: usize = 2000;

/// What decides, and what is done at once: also while a command is followed.
pub(super) struct Telling {
    pub(super) machine: Agent,
    pub(super) reporter: Reporter,
    pub(super) gates: Gates,
    /// Which agent of the try this is.
    pub(super) agent: u32,
    /// Rings when the engine tells that a container has started, ended or gone.
    pub(super) rings: (Bell, Ringer),
    /// Until when a go counts that could not be taken back. Who is gone is known to have none left.
    pub(super) goes_behind_its_go: Option<Instant>,
    /// Why it cannot see what the supervisor waits for, as it was said.
    pub(super) trouble: Option<String>,
    /// What careen did on the host beside the command, and what the command changed there, for people.
    pub(super) deeds: Vec<String>,
    pub(super) changes: Option<String>,
    /// What runs on the host now.
    pub(super) ends_with: Option<Versions>,
    /// The last lines of what failed, likewise.
    pub(super) last_lines: Option<String>,
}

impl Telling {
    /// Tells what happened, does what is done at once, and returns what takes time.
    pub(super) fn tell(&mut self, event: Event, directory: &TransactionDir) -> Result<Option<Do>, Stop> {
        let effects = self.machine.step(event).or_refuse("go on")?;
        let mut next = None;
        for effect in effects {
            match effect {
                Effect::Say(said) => self.say(said),
                Effect::PassGo { number, seen } => {
                    if let Err(error) = self.pass_go(directory, number, seen) {
                        say(format_args!("the go cannot be passed on: {error:#}"));
                    }
                }
                Effect::TakeBackGo => {
                    self.goes_behind_its_go = None;
                    if let Err(error) = durable::remove_file(&directory.file(file::GO)) {
                        say(format_args!("the go counts for some seconds more: {error}"));
                        self.goes_behind_its_go = Some(Instant::now() + GO_COUNTS);
                    }
                }
                Effect::CancelWait => {
                    if let Err(error) = end_wait(directory, "its rollout, which gives no go") {
                        say(format_args!("the supervisor cannot be reached: {}", chain(&error)));
                    }
                }
                Effect::Do(what) => next = Some(what),
            }
        }
        Ok(next)
    }

    /// Says it to the controller; a result with what a person wants to know of it.
    fn say(&mut self, said: Said) {
        let Said::Finished { outcome, record: None } = said else { return self.reporter.say(said) };
        let record = match &outcome {
            NodeOutcome::Succeeded => self.changes.take(),
            NodeOutcome::InSync => None,
            NodeOutcome::Failed { .. } => self.last_lines.take(),
        };
        let record = with_deeds(&self.deeds, record).map(|record| match &outcome {
            NodeOutcome::Succeeded | NodeOutcome::InSync => cut(&record, MOST_WORDS),
            NodeOutcome::Failed { .. } => shortened(&record),
        });
        let versions = self.ends_with.as_ref().filter(|_| outcome == NodeOutcome::Succeeded);
        let record = with_versions(record, versions);
        self.reporter.say(Said::Finished { outcome, record });
    }

    /// Stays for as long as a go counts that lies there still.
    pub(super) fn outlive_the_go(&self) {
        if let Some(until) = self.goes_behind_its_go {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }

    fn pass_go(&self, directory: &TransactionDir, number: u32, seen: Duration) -> anyhow::Result<()> {
        let go = Go { number, agent: self.agent, boot: boot::boot_id()?, seen };
        Ok(go::give(&directory.file(file::GO), &go)?)
    }

    /// An error when the clock cannot be read: then no look counts.
    pub(super) fn looked(&mut self) -> anyhow::Result<Event> {
        let asked = boot::since_boot()?;
        let look = self.gates.look();
        Ok(Event::Looked { look, asked, now: boot::since_boot()?, random: random() })
    }
}

/// Why the supervisor waits; for a go it waits because nobody has given it yet, which the controller knows.
fn waits(directory: &TransactionDir) -> Option<String> {
    hold::read(&directory.file(file::HOLD)).filter(|why| !why.starts_with(hold::FOR_A_GO))
}

/// Follows the command itself: what `prepare` or `verify` do is told by other words.
pub(super) struct OfTheCommand<'a>(pub(super) &'a mut Telling);

impl Witness for OfTheCommand<'_> {
    fn records(&mut self, directory: &TransactionDir, records: &[&Record]) {
        let records = records.iter().map(|record| (*record).clone()).collect();
        self.tell(Event::Records(records), directory);
    }

    fn tick(&mut self, directory: &TransactionDir, printed: Option<Printed>) {
        match self.look(directory) {
            Ok(()) => self.0.trouble = None,
            // Nothing is passed on meanwhile, so no go counts.
            Err(error) => {
                let words = format!("what the supervisor waits for cannot be seen: {error:#}");
                if self.0.trouble.as_ref() != Some(&words) {
                    say(&words);
                }
                self.0.trouble = Some(words);
            }
        }
        self.0.reporter.printed(printed);
        self.0.reporter.waits(waits(directory).as_deref());
        self.0.reporter.again();
    }

    fn bell(&self) -> Option<&Bell> {
        self.0.machine.wants_looks().then_some(&self.0.rings.0)
    }
}

impl OfTheCommand<'_> {
    fn look(&mut self, directory: &TransactionDir) -> anyhow::Result<()> {
        let wish = go::wish(&directory.file(file::RESTART_WISH))?;
        let wish = wish.map(|wish| Wish { number: wish.number, kind: wish.kind });
        self.tell(Event::Wish(wish), directory);
        if self.0.machine.wants_looks() {
            let looked = self.0.looked()?;
            self.tell(looked, directory);
        }
        Ok(())
    }

    fn tell(&mut self, event: Event, directory: &TransactionDir) {
        if let Err(stop) = self.0.tell(event, directory) {
            say(&stop);
        }
    }
}

/// Follows another command of the payload.
pub(super) struct OfAnother<'a>(pub(super) &'a mut Telling);

impl Witness for OfAnother<'_> {
    fn records(&mut self, _: &TransactionDir, _: &[&Record]) {}

    fn tick(&mut self, directory: &TransactionDir, printed: Option<Printed>) {
        self.0.reporter.printed(printed);
        self.0.reporter.waits(waits(directory).as_deref());
        self.0.reporter.again();
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    let read = files::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    match read {
        Ok(()) => u64::from_le_bytes(bytes),
        // Below a host without devices: the clock's nanoseconds are no worse than nothing.
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |time| u64::from(time.subsec_nanos())),
    }
}

/// As far as it travels with a result.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MOST_WORDS).collect()
}
