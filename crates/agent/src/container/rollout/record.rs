//! What the host's journals know of a rollout's try, and how an agent writes into them that it offers the try, or that no
//! go counts any more. Whoever writes holds the transaction's lock; while a supervisor has it, the supervisor is asked.

use crate::container::Request;
use crate::container::binary::Supervisor;
use crate::container::create::{
    Creation, begin_to_create, check_same_work, read_manifest, refuse_if_busy, refuse_if_it_would_lock,
};
use crate::container::follow::end_wait;
use crate::container::identity::Place;
use crate::container::unusable::{unusable, unusable_chain};
use crate::files;
use crate::journal;
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::machine::{self, Ownership};
use crate::manifest;
use crate::payload::Source;
use crate::say::say;
use crate::stop::{OrRefuse, Stop};
use crate::supervisor::remove_traces;
use crate::transactions;
use crate::watch::Watch;
use careen_contract::command::Executable;
use careen_contract::settings::RolloutPart;
use careen_contract::{AgentExit, TransactionId};
use careen_host::journal::Record;
use careen_host::transaction::{State, TransactionStage};
use careen_protocol::agent::{CheckSaid, Known};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a supervisor may take to end what it waits for. Less than the grace period of an agent's container.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// What stands behind a try's name in that of its `check`.
pub const CHECK: &str = "-c";

/// What a journal decided about a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// No go counts any more.
    Revoked,
    /// The command was begun.
    TooLate,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is written down.
    Done,
    /// The command was begun meanwhile.
    TooLate,
    /// An agent that came later has offered it.
    ByALaterAgent,
}

/// Whose record this host has, when it is not its own but came with a copy of another machine's disk. Then nothing that stands
/// in it counts.
pub fn copied() -> Result<Option<String>, Stop> {
    let root = Path::new(layout::ROOT);
    let looked = match machine::look(root) {
        Ok(standing) => standing,
        Err(error) => return Err(unusable_chain("tell whether this host's record is its own", &error)),
    };
    Ok(match looked {
        Ownership::Own => None,
        Ownership::Copied { from, differences } => {
            say(machine::in_words(root, &from, &differences));
            Some(from.to_string())
        }
    })
}

/// What this host knows of the try.
pub fn known(id: &TransactionId, request: &Request, part: &RolloutPart) -> Result<Known, Stop> {
    for other in others(id)? {
        let directory = TransactionDir::new(Path::new(layout::ROOT), &other);
        if is_newer(id, &directory, &request.settings.run, part.generation)? {
            say(format_args!(
                "this host knows a newer try of this rollout, {other}: this agent begins nothing"
            ));
            return Ok(Known::Newer);
        }
    }
    let Some(state) = state_of(id)? else {
        let checked = state_of(&aside(id, CHECK)?)?;
        return Ok(if checked.is_some_and(|state| is_in_sync(&state)) {
            Known::InSync
        } else {
            Known::Nothing
        });
    };
    Ok(if state.is_begun() { Known::Begun } else { Known::NotBegun { offered: state.history.offered } })
}

/// The transaction of another command of a try's payload.
pub fn aside(id: &TransactionId, suffix: &str) -> Result<TransactionId, Stop> {
    TransactionId::parse(&format!("{id}{suffix}")).or_refuse("name the transaction")
}

/// What a transaction's journal says; `None` where there is none.
fn state_of(id: &TransactionId) -> Result<Option<State>, Stop> {
    let directory = TransactionDir::new(Path::new(layout::ROOT), id);
    let exists = files::exists(directory.path()).or_refuse("look for the transaction")?;
    exists.then(|| state(&directory)).transpose()
}

/// Whether a `check` that is over found nothing to do.
fn is_in_sync(check: &State) -> bool {
    match &check.stage {
        TransactionStage::Closed(result) => CheckSaid::of(result) == CheckSaid::InSync,
        TransactionStage::Prepared
        | TransactionStage::Offered { .. }
        | TransactionStage::Revoked
        | TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. }
        | TransactionStage::Ended { .. }
        | TransactionStage::Interrupted { .. }
        | TransactionStage::RestartingEngine { .. }
        | TransactionStage::EngineSettled
        | TransactionStage::Rebooting { .. }
        | TransactionStage::Rebooted => false,
    }
}

/// Whether this directory holds a newer try of the rollout. One that cannot be read may be, where its name is that of a try of
/// the same node; what else cannot be read there has nothing to do with this rollout.
fn is_newer(
    id: &TransactionId,
    other: &TransactionDir,
    rollout: &str,
    generation: u32,
) -> Result<bool, Stop> {
    match manifest::read(other) {
        Ok(manifest) => {
            let is_newer = manifest.awaits_go && manifest.generation > u64::from(generation);
            // Of one that found its host in sync there is nothing but its `check`.
            let by_name =
                || try_of_the_same(id.as_str(), other.path()).is_some_and(|other| other > generation);
            Ok(manifest.run == rollout && (is_newer || by_name()))
        }
        Err(error) if try_of_the_same(id.as_str(), other.path()).is_some() => {
            Err(Stop::refused(format_args!(
                "another try of this rollout on this host cannot be read, so nobody knows whether it is newer: {error:#}. \
             Look at it there, and remove it when it is settled"
            )))
        }
        Err(_) => Ok(false),
    }
}

/// The number of a try on the same node. Tries are named `ROLLOUT-NODE-gTRY`, and what else they run with something behind that.
fn try_of_the_same(id: &str, other: &Path) -> Option<u32> {
    let (node, _) = id.rsplit_once("-g")?;
    let other = other.file_name()?.to_string_lossy();
    let (_, number) = other.rsplit_once("-g").filter(|(other, _)| *other == node)?;
    let number = number.split_once('-').map_or(number, |(number, _)| number);
    number.parse().ok()
}

fn state(directory: &TransactionDir) -> Result<State, Stop> {
    let read = journal::read(&directory.file(file::JOURNAL));
    read.map(|(_, state)| state).map_err(|error| {
        Stop::refused(format_args!("cannot read this transaction's record on the host: {error:#}"))
    })
}

/// The transactions that are on this host: what an agent finds when it comes. It ends and voids nothing that came later.
pub fn found_here(id: &TransactionId) -> Result<BTreeSet<TransactionId>, Stop> {
    others(id).map(|found| found.into_iter().collect())
}

/// All other transactions of this host.
fn others(id: &TransactionId) -> Result<Vec<TransactionId>, Stop> {
    let mut ids = transactions::ids(Path::new(layout::ROOT))
        .map_err(|error| unusable_chain("list the host's transactions", &error))?;
    ids.retain(|other| other != id);
    Ok(ids)
}

/// Voids what agents of other rollouts offered here, brings the payload, and writes down that this agent offers.
pub fn offer(
    request: &Request,
    part: &RolloutPart,
    source: &Source,
    how: Executable,
    place: &Place,
    before: &BTreeSet<TransactionId>,
) -> Result<Offered, Stop> {
    let root = Path::new(layout::ROOT);
    let _creating = begin_to_create(root)?;
    for other in before {
        void(&TransactionDir::new(root, other), request);
    }
    refuse_if_busy(root, request)?;
    refuse_if_it_would_lock(request, place)?;
    let directory = TransactionDir::new(root, &place.id);
    let supervisor = Supervisor::find()?;
    let exists = files::exists(directory.path()).or_refuse("look for the transaction")?;
    let _transaction = exists.then(|| lock(&directory)).transpose()?;
    if exists {
        check_same_work(&directory, request)?;
        let state = state(&directory)?;
        if state.is_begun() {
            return Ok(Offered::TooLate);
        }
        if state.history.offered >= part.agent {
            return Ok(Offered::ByALaterAgent);
        }
    }
    Creation { request, source, how, place, root, supervisor: &supervisor }.create(&directory)?;
    let _created = (!exists).then(|| lock(&directory)).transpose()?;
    write(&directory, &Record::Offered { agent: part.agent })?;
    Ok(Offered::Done)
}

/// The transaction's lock; its supervisor has it while it waits for its turn: then the host is busy with that.
fn lock(directory: &TransactionDir) -> Result<Lock, Stop> {
    let path = directory.file(file::SUPERVISOR_LOCK);
    let taken = Lock::try_take(&path).map_err(|error| unusable(&path, &error))?;
    taken.ok_or_else(|| {
        Stop::new(AgentExit::HostBusy, "a supervisor of this very transaction waits on this host")
    })
}

fn write(directory: &TransactionDir, record: &Record) -> Result<(), Stop> {
    let written =
        journal::Writer::open(&directory.file(file::JOURNAL)).and_then(|mut journal| journal.append(record));
    written.map_err(|error| {
        Stop::refused(format_args!("cannot write this transaction's record on the host: {error:#}"))
    })
}

/// What another rollout's agent offered, and nobody begun, can not begin any more.
fn void(directory: &TransactionDir, request: &Request) {
    match state(directory) {
        Ok(State { stage: TransactionStage::Offered { .. }, .. }) => {}
        Ok(_) => return,
        // Whoever begins it reads the same journal, and refuses likewise.
        Err(stop) => return say(stop),
    }
    let by = format!("the rollout {}, which came later", request.settings.run);
    if let Err(stop) = revoke(directory, &by) {
        say(format_args!("what an earlier rollout offered on this host stays: {stop}"));
    }
}

/// Writes down that no go counts any more, unless the command was begun. The journal decides.
pub fn revoke(directory: &TransactionDir, by: &str) -> Result<Decided, Stop> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    let watch = Watch::on(directory.path()).or_refuse("watch the transaction")?;
    let mut asked = false;
    loop {
        if let Some(decided) = decided(&state(directory)?) {
            return Ok(decided);
        }
        if let Ok(_lock) = lock(directory) {
            return match decided(&state(directory)?) {
                Some(decided) => Ok(decided),
                None => revoke_alone(directory, by),
            };
        }
        // A supervisor has it, and waits for its turn: it writes the record itself.
        if !asked {
            asked = end_wait(directory, by).is_ok();
        }
        if Instant::now() >= deadline {
            return Err(Stop::new(
                AgentExit::Interrupted,
                format_args!("the supervisor does not answer, for {} s", ANSWER_LIMIT.as_secs()),
            ));
        }
        let soon = Instant::now() + Duration::from_millis(200);
        let fds: Vec<_> = watch.fd().into_iter().collect();
        crate::readiness::wait(&fds, Some(watch.look_at(deadline.min(soon))))
            .or_refuse("wait for the supervisor")?;
        watch.take(|_| true);
    }
}

fn decided(state: &State) -> Option<Decided> {
    match state.stage {
        TransactionStage::Revoked => Some(Decided::Revoked),
        TransactionStage::Prepared | TransactionStage::Offered { .. } => None,
        TransactionStage::Starting { .. }
        | TransactionStage::Running { .. }
        | TransactionStage::Stopping { .. }
        | TransactionStage::Ended { .. }
        | TransactionStage::Interrupted { .. }
        | TransactionStage::RestartingEngine { .. }
        | TransactionStage::EngineSettled
        | TransactionStage::Rebooting { .. }
        | TransactionStage::Rebooted
        | TransactionStage::Closed(_) => Some(Decided::TooLate),
    }
}

fn revoke_alone(directory: &TransactionDir, by: &str) -> Result<Decided, Stop> {
    write(directory, &Record::Revoked { by: by.to_owned() })?;
    let manifest = read_manifest(directory)?;
    remove_traces(directory, &manifest).into_iter().for_each(say);
    Ok(Decided::Revoked)
}

/// Who has the host, and whether it was there before this agent and only a wait of it lives.
pub fn holder(before: &BTreeSet<TransactionId>) -> (String, bool) {
    let root = Path::new(layout::ROOT);
    let holder = files::read_to_string(layout::host_lock(root)).unwrap_or_default().trim().to_owned();
    let only_waits = TransactionId::parse(&holder).is_ok_and(|id| {
        let read = journal::read(&TransactionDir::new(root, &id).file(file::JOURNAL));
        before.contains(&id) && read.is_ok_and(|(_, state)| !state.has_a_living_program())
    });
    (holder, only_waits)
}

/// Ends what the holder of the host waits for, and gives it some time to go.
pub fn free(holder: &str, request: &Request) -> Result<(), Stop> {
    let root = Path::new(layout::ROOT);
    let id = TransactionId::parse(holder).or_refuse("name the transaction that has the host")?;
    let by = format!("the rollout {}, which came later", request.settings.run);
    say(format_args!("transaction {id} has this host and only waits: ending that"));
    if let Err(error) = end_wait(&TransactionDir::new(root, &id), &by) {
        say(format_args!("its supervisor cannot be reached: {error}"));
    }
    let deadline = Instant::now() + ANSWER_LIMIT;
    while Instant::now() < deadline
        && Lock::is_held(&layout::host_lock(root)).or_refuse("look at the host's lock")?
    {
        crate::readiness::wait(&[], Some(Instant::now() + Duration::from_millis(200))).or_refuse("wait")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_that_cannot_be_read_may_be_newer_and_one_of_others_is_not() {
        let root = tempfile::tempdir().unwrap();
        let id = TransactionId::parse("k3x9-w1-g1").unwrap();
        for (name, damaged) in
            [("k3x9-w1-g2", true), ("k3x9-w1-g2-p", true), ("k3x9-w2-g2", false), ("t1", false)]
        {
            let other = TransactionDir::new(root.path(), &TransactionId::parse(name).unwrap());
            std::fs::create_dir_all(other.path()).unwrap();
            std::fs::write(other.file(file::MANIFEST), "{").unwrap();
            let newer = is_newer(&id, &other, "k3x9", 1);
            assert_eq!(newer.is_err(), damaged, "{name}");
            assert!(newer.is_err_and(|stop| stop.exit == AgentExit::Refused) == damaged, "{name}");
        }
    }

    /// A try that found its host in sync leaves nothing but its `check`: an agent of an older one must not begin behind it.
    #[test]
    fn a_try_is_known_by_its_name() {
        for (other, expected) in [
            ("k3x9-w1-g2-c", Some(2)),
            ("k3x9-w1-g2", Some(2)),
            ("k3x9-w1-g12-p", Some(12)),
            ("k3x9-w2-g2-c", None),
            ("k3x9-w1-gx", None),
            ("t1", None),
        ] {
            assert_eq!(try_of_the_same("k3x9-w1-g1", Path::new(other)), expected, "{other}");
        }
    }
}
