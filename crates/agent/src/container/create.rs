//! Makes sure that a transaction exists and is supervised: creates it, or joins the one that is there.
//!
//! All agents of a host go through this one at a time, under `create.lock`. A transaction appears by one rename of a
//! complete directory, so nobody ever sees half of one; its supervisor takes the transaction's own lock and reads the
//! journal before it does anything, so that starting one too many is harmless.

use super::binary::Supervisor;
use super::identity::Place;
use super::unusable::{unusable, unusable_chain};
use super::{Request, entry, host};
use crate::durable;
use crate::expectation::{self, may_touch_engine};
use crate::files::{self, OpenOptions};
use crate::layout::{self, TransactionDir, file};
use crate::lock::Lock;
use crate::machine::{self, Ownership};
use crate::payload::Source;
use crate::say::say;
use crate::stop::{OrRefuse, Stop};
use crate::supervisor::output::bytes_written;
use crate::sweep::Keep;
use crate::withdraw::withdraw;
use crate::{journal, manifest, memory};
use anyhow::Context;
use careen_contract::AgentExit;
use careen_contract::command::{Executable, judge};
use careen_contract::entry::Way;
use careen_contract::object::UNLOCK_KEY;
use careen_contract::payload::ROLLBACK_COMMAND;
use careen_contract::settings::{CommandContext, EngineRestarts, Reboot, command_environment};
use careen_host::journal::Record;
use careen_host::manifest::{Manifest, Payload, SCHEMA};
use careen_host::preflight::{Lasting, Problem};
use careen_host::transaction::{State, TransactionStage};
use jiff::Timestamp;
use std::path::Path;

/// What must stay free on the host's disk beside the payload and the binary: the log, the journal, and some air for
/// everybody else on that file system.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// A transaction that this agent can follow.
#[derive(Debug)]
pub struct Joined {
    pub directory: TransactionDir,
    /// How its supervisor got out of the container.
    pub way: Option<Way>,
    /// Whether the result was there before this agent came.
    pub was_closed: bool,
    /// Whether this agent's terminal belongs to the command.
    pub terminal: bool,
    /// How many bytes of output are kept.
    pub output_limit: u64,
    /// How many bytes the command had printed when this agent came.
    pub printed_before: u64,
}

/// Takes the lock under which agents create transactions, and makes sure that there is a place for them.
pub(super) fn begin_to_create(root: &Path) -> Result<Lock, Stop> {
    for directory in [root, &layout::transactions(root), &layout::state(root)] {
        durable::private_directory(directory).map_err(|error| unusable(directory, &error))?;
    }
    let create_lock = layout::create_lock(root);
    let lock = Lock::take(&create_lock, || say("waiting for another agent on this host to start its work"));
    let creating = lock.map_err(|error| unusable(&create_lock, &error))?;
    let looked = machine::look_and_record(root);
    match looked.map_err(|error| unusable_chain("tell whether this host's record is its own", &error))? {
        Ownership::Own => {}
        Ownership::Copied { from, differences } => {
            return Err(Stop::refused(machine::in_words(root, &from, &differences)));
        }
    }
    sweep_unfinished(root);
    Ok(creating)
}

/// Creates or joins the transaction, and returns when it has a supervisor or a result. `go` is the agent of a rollout whose go
/// a new supervisor carries.
pub fn ensure_supervised(
    request: &Request,
    source: &Source,
    how: Executable,
    place: &Place,
    go: Option<u32>,
) -> Result<Joined, Stop> {
    let root = Path::new(layout::ROOT);
    let _creating = begin_to_create(root)?;
    let directory = TransactionDir::new(root, &place.id);
    let exists = files::exists(directory.file(file::MANIFEST)).or_refuse("look for the transaction")?;
    let created_with = if exists {
        // A link to a directory elsewhere, or one that others can write to, is not what an agent made.
        durable::private_directory(directory.path()).map_err(|error| unusable(directory.path(), &error))?;
        check_same_work(&directory, request)?;
        None
    } else {
        refuse_to_create(request, place)?;
        let supervisor = Supervisor::find()?;
        Creation { request, source, how, place, root, supervisor: &supervisor }.create(&directory)?;
        Some(supervisor)
    };
    register(&directory, place).inspect_err(|_| withdraw_if_untouched(&directory))?;
    let manifest = read_manifest(&directory)?;
    let terminal = place.own.terminal && manifest.terminal.is_some();
    let (journal, state) =
        journal::read(&directory.file(file::JOURNAL)).map_err(|error| unreadable(&error))?;
    let output_limit = manifest.output_limit;
    let printed_before = if exists { bytes_written(&directory) } else { 0 };
    let joined = |way, was_closed| Joined {
        directory: directory.clone(),
        way,
        was_closed,
        terminal,
        output_limit,
        printed_before,
    };
    if matches!(state.stage, TransactionStage::Closed(_)) {
        return Ok(joined(None, exists));
    }
    if Lock::is_held(&directory.file(file::SUPERVISOR_LOCK)).or_refuse("look for the supervisor")? {
        let way = journal.lines.iter().rev().find_map(|line| {
            if let Record::Supervised { entry, .. } = &line.record { Some(*entry) } else { None }
        });
        say(format_args!("transaction {} is running on this host already: following it", place.id));
        return Ok(joined(way, false));
    }
    if exists {
        if !state.is_begun() {
            refuse_if_busy(root, request)?;
        }
        bring_secrets(&manifest, &state, place)?;
    }
    let supervisor = created_with.map_or_else(Supervisor::find, Ok)?;
    let binary = supervisor.install().inspect_err(|_| withdraw_if_untouched(&directory))?;
    let supervision = journal.lines.len() + 1;
    let way = entry::start(request.settings.host_entry, place, &directory, &binary, supervision, go)
        .inspect_err(|_| {
            withdraw_if_untouched(&directory);
        })?;
    if !exists {
        // The work has begun by now: it does not wait for the host's history to be read.
        crate::sweep::run(root, Keep::BY_DEFAULT);
    }
    Ok(joined(Some(way), false))
}

/// What speaks against a transaction that is not on this host.
fn refuse_to_create(request: &Request, place: &Place) -> Result<(), Stop> {
    if request.settings.rollout.is_some() {
        return Err(Stop::new(
            AgentExit::Interrupted,
            format_args!("transaction {} is not on this host any more: nothing is begun", place.id),
        ));
    }
    refuse_if_busy(Path::new(layout::ROOT), request)?;
    refuse_if_it_would_lock(request, place)?;
    refuse_if_it_would_forget(request)
}

/// Brings the secrets to a command that did not lose them by ending, but by a reboot of its host. The caller holds
/// `create.lock`, and there is no supervisor.
fn bring_secrets(manifest: &Manifest, state: &State, place: &Place) -> Result<(), Stop> {
    if !manifest.has_secrets
        || !state.may_start_command(manifest.policy())
        || files::exists(layout::secrets(&place.id)).or_refuse("look for the secrets")?
    {
        return Ok(());
    }
    if place.own.secrets.is_empty() {
        return Err(Stop::refused(format_args!(
            "transaction {} goes on with the secrets that its host lost in a reboot, and this container has none: \
             start it with the same secrets and configs",
            place.id
        )));
    }
    place
        .own
        .secrets
        .copy_to_host(&place.id)
        .map_err(|error| unusable_chain("bring the secrets to the host", &error))
}

/// Takes back a transaction that no supervisor ever had, so that nothing of it stays on the host and it can be asked for
/// again. A supervisor that comes late finds neither the directory nor its lock.
fn withdraw_if_untouched(directory: &TransactionDir) {
    let Ok(Some(_supervisors_lock)) = Lock::try_take(&directory.file(file::SUPERVISOR_LOCK)) else { return };
    let untouched =
        journal::read(&directory.file(file::JOURNAL)).is_ok_and(|(journal, _)| journal.lines.is_empty());
    let Ok(manifest) = read_manifest(directory) else { return };
    if untouched {
        let _ = withdraw(directory, &manifest); // the error that is reported matters more
    }
}

fn unreadable(error: &anyhow::Error) -> Stop {
    Stop::refused(format_args!(
        "this transaction's record on the host cannot be used, so nobody knows whether its command ran: {error:#}. \
         Look at it there, and name another transaction (CAREEN_RUN) when it is settled"
    ))
}

pub(super) fn read_manifest(directory: &TransactionDir) -> Result<Manifest, Stop> {
    manifest::read(directory).map_err(|error| unreadable(&error))
}

/// One identity is one piece of work. A name given twice for different work is a mistake to be told, not to be followed.
pub(super) fn check_same_work(directory: &TransactionDir, request: &Request) -> Result<(), Stop> {
    let recorded = read_manifest(directory)?;
    if recorded.command == request.command && recorded.args == request.args {
        return Ok(());
    }
    let words =
        |command: &str, args: &[String]| format!("'{}'", [&[command.to_owned()], args].concat().join(" "));
    Err(Stop::refused(format_args!(
        "transaction {} on this host is {}, not {}: give other work another CAREEN_TRANSACTION",
        recorded.id,
        words(&recorded.command, &recorded.args),
        words(&request.command, &request.args),
    )))
}

pub(super) fn refuse_if_busy(root: &Path, request: &Request) -> Result<(), Stop> {
    let path = layout::host_lock(root);
    if !request.takes_host_lock() || !Lock::is_held(&path).or_refuse("look at the host's lock")? {
        return Ok(());
    }
    let holder = files::read_to_string(&path).unwrap_or_default();
    Err(Stop::new(
        AgentExit::HostBusy,
        format_args!(
            "this host is busy with transaction {holder}: wait for it, or stop it with 'careen-agent cancel {holder}' \
             on the host"
        ),
    ))
}

/// A manager of an autolocked swarm stays locked after its engine was restarted, unless somebody has the key.
pub(super) fn refuse_if_it_would_lock(request: &Request, place: &Place) -> Result<(), Stop> {
    let by_hand = request.settings.rollout.as_ref().is_some_and(|part| part.unlock_by_hand);
    let may_restart =
        request.takes_host_lock() && request.settings.engine_restart == EngineRestarts::Auto && !by_hand;
    let Some(engine) = place.engine.as_ref().filter(|_| may_restart && place.info.swarm.is_manager()) else {
        return Ok(());
    };
    if place.own.secrets.has(UNLOCK_KEY)
        || !engine.is_autolocked().or_refuse("ask whether the swarm is autolocked")?
    {
        return Ok(());
    }
    Err(Stop::refused(format_args!(
        "this manager's swarm is autolocked, and its engine may have to be restarted: give the service the unlock key \
         as the secret '{UNLOCK_KEY}', or leave the engine alone with CAREEN_ENGINE_RESTART=never"
    )))
}

/// Behind a reboot a host that forgets would begin the same work again, and reboot again. A rollout's preflight looks closer.
fn refuse_if_it_would_forget(request: &Request) -> Result<(), Stop> {
    if !request.takes_host_lock() || request.settings.reboot == Reboot::Never {
        return Ok(());
    }
    match memory::of_this_host() {
        Lasting::Lasts => Ok(()),
        Lasting::Forgets { why } => Err(Stop::refused(Problem::Forgets { why })),
        Lasting::Unknown { why } => {
            say(format_args!("warning: {}", Problem::MayForget { why }));
            Ok(())
        }
    }
}

/// Removes what agents left that were killed while they created a transaction. The caller holds `create.lock`, so
/// nobody is creating one.
fn sweep_unfinished(root: &Path) {
    let unfinished =
        |entry: &files::DirEntry| entry.file_name().to_string_lossy().starts_with(layout::UNFINISHED);
    for entry in
        files::read_dir(layout::transactions(root)).into_iter().flatten().flatten().filter(unfinished)
    {
        let _ = durable::remove_tree(&entry.path()); // in nobody's way; the next agent tries again
    }
}

/// Remembers that an agent in this container follows the transaction.
fn register(directory: &TransactionDir, place: &Place) -> Result<(), Stop> {
    let Some(container) = &place.container else { return Ok(()) };
    let agents = directory.file(file::AGENTS);
    durable::private_directory(&agents).or_refuse("register with the transaction")?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    options.open(agents.join(&container.id)).map(drop).or_refuse("register with the transaction")
}

/// What a transaction is made from.
pub(super) struct Creation<'a> {
    pub request: &'a Request,
    pub source: &'a Source,
    pub how: Executable,
    pub place: &'a Place,
    pub root: &'a Path,
    pub supervisor: &'a Supervisor,
}

impl Creation<'_> {
    /// Builds the transaction beside its place and moves it there. What was built is removed when that fails. Of one that is
    /// there the journal stays: the caller holds its lock, and nothing of it was begun.
    pub(super) fn create(self, directory: &TransactionDir) -> Result<(), Stop> {
        let id = &self.place.id;
        let payload_bytes =
            self.source.bytes().map_err(|error| unusable_chain("read the payload", &error))?;
        let exec_base = &self.supervisor.exec_base;
        for base in [self.root, exec_base] {
            check_space(base, payload_bytes)?;
        }
        let unfinished =
            TransactionDir::at(layout::transactions(self.root).join(format!("{}{id}", layout::UNFINISHED)));
        let payload = layout::payload(exec_base, self.root, id);
        let building = if exec_base == self.root { unfinished.file(file::PAYLOAD) } else { payload.clone() };
        let built = self.build(&unfinished, &building, &payload).and_then(|()| {
            keep_what_is_known(directory, &unfinished)?;
            durable::sync_directory(unfinished.path())?;
            move_into_place(&unfinished, directory)
                .with_context(|| format!("create {}", directory.path().display()))
        });
        built.map_err(|error| {
            for leftover in [unfinished.path(), &building, &layout::secrets(id)] {
                let _ = durable::remove_tree(leftover); // the error that is reported matters more
            }
            unusable_chain("bring the payload to the host", &error)
        })
    }

    fn build(&self, unfinished: &TransactionDir, building: &Path, payload: &Path) -> anyhow::Result<()> {
        durable::private_directory(unfinished.path())?;
        if let Some(parent) = building.parent().filter(|parent| *parent != unfinished.path()) {
            durable::private_directory(parent)?;
            durable::remove_tree(building)?;
        }
        let contents = self.source.copy_to(building)?;
        self.place.own.secrets.copy_to_host(&self.place.id)?;
        let environment = self.environment(&layout::secrets(&self.place.id));
        let environment = serde_json::to_vec(&environment)?;
        durable::create_one_of_several(&unfinished.file(file::ENVIRONMENT), 0o600, &environment)?;
        let payload = Payload {
            directory: payload.display().to_string(),
            sha256: contents.sha256,
            files: contents.files,
            bytes: contents.bytes,
            by_shell: self.how == Executable::ByShell,
            has_rollback: self.has_rollback(),
        };
        let manifest = serde_json::to_vec_pretty(&self.manifest(payload)?)?;
        Ok(durable::create_one_of_several(&unfinished.file(file::MANIFEST), 0o600, &manifest)?)
    }

    fn manifest(&self, payload: Payload) -> anyhow::Result<Manifest> {
        let settings = &self.request.settings;
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis());
        Ok(Manifest {
            schema: SCHEMA,
            id: self.place.id.clone(),
            generation: settings.rollout.as_ref().map_or(0, |part| part.generation.into()),
            created: Timestamp::now(),
            command: self.request.command.clone(),
            args: self.request.args.clone(),
            run: settings.run.clone(),
            payload,
            binary_sha256: self.supervisor.sha256.clone(),
            origin: self.place.origin(),
            takes_host_lock: self.request.takes_host_lock(),
            terminal: self.place.own.terminal_size(),
            timeout_ms: settings.timeout.map(millis).transpose()?,
            stop_grace_period_ms: millis(settings.stop_grace_period)?,
            on_remove: settings.on_remove,
            reboot: settings.reboot,
            engine_restart: settings.engine_restart,
            idempotent: settings.idempotent,
            output_limit: settings.output_limit,
            has_secrets: !self.place.own.secrets.is_empty(),
            awaits_go: settings.rollout.is_some(),
            allow_quorum_loss: settings.allow_quorum_loss,
            respect_inhibitors: settings.respect_inhibitors,
            may_touch_engine: settings.rollout.as_ref().is_some_and(|part| part.touches_engine)
                && self.request.takes_host_lock()
                && may_touch_engine(expectation::of_command(self.root, &self.place.id)),
        })
    }

    /// Whether there is a rollback that this host can run. One that it cannot is as good as none, and is said now.
    fn has_rollback(&self) -> bool {
        let Ok(Some(rollback)) = self.source.command(ROLLBACK_COMMAND) else { return false };
        match judge(rollback.as_file(), &host::machine(), host::has_executable) {
            Ok(Executable::Direct) => true,
            Ok(Executable::ByShell) => {
                say("warning: the payload's rollback has no '#!' line and will not be used");
                false
            }
            Err(why) => {
                say(format_args!("warning: the payload's rollback {why}, and will not be used"));
                false
            }
        }
    }

    fn environment(&self, secrets: &Path) -> std::collections::BTreeMap<String, String> {
        let state = layout::state(self.root).display().to_string();
        let node_name = self.place.node_name();
        let image = self.place.container.as_ref().map(|container| container.image.as_str());
        let directory = TransactionDir::new(self.root, &self.place.id);
        let restart_engine = directory.file(file::RESTART_ENGINE);
        let expects_restart = directory.file(file::EXPECTS_RESTART);
        let result = directory.file(file::RESULT);
        let binary = layout::binary(&self.supervisor.exec_base, &self.supervisor.sha256);
        let agent = binary.parent().unwrap_or(Path::new("/")).display().to_string();
        let context = CommandContext {
            run: &self.request.settings.run,
            transaction: &self.place.id,
            command: &self.request.command,
            node_id: &self.place.info.swarm.node_id,
            node_name: &node_name,
            node_role: self.place.node_role(),
            secrets: &secrets.display().to_string(),
            state: &state,
            image: image.unwrap_or_default(),
            restart_engine: &restart_engine.display().to_string(),
            expects_restart: &expects_restart.display().to_string(),
            result: &result.display().to_string(),
            agent: &agent,
        };
        command_environment(&self.request.environment, &context)
    }
}

/// The journal of a transaction that is built anew, and the lock that the caller holds.
fn keep_what_is_known(directory: &TransactionDir, unfinished: &TransactionDir) -> anyhow::Result<()> {
    for name in [file::JOURNAL, file::SUPERVISOR_LOCK] {
        match files::hard_link(directory.file(name), unfinished.file(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn move_into_place(unfinished: &TransactionDir, directory: &TransactionDir) -> anyhow::Result<()> {
    let (from, to) = (unfinished.path(), directory.path());
    if files::exists(to)? {
        // In one step: at no moment is there no such transaction.
        files::exchange(from, to).context("this file system cannot exchange two directories")?;
        durable::sync_directory(to.parent().unwrap_or(Path::new("/")))?;
        return Ok(durable::remove_tree(from)?);
    }
    files::rename_new(from, to)?;
    let parent = to.parent().unwrap_or(Path::new("/"));
    Ok(durable::sync_directory(parent)?)
}

fn check_space(directory: &Path, payload_bytes: u64) -> Result<(), Stop> {
    let found =
        files::statvfs(directory).or_refuse(format_args!("ask how full {} is", directory.display()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let needed = payload_bytes + RESERVE_BYTES;
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
    Err(Stop::refused(format_args!(
        "the file system of {} on the host is nearly full: {} MiB are free, {} MiB are needed",
        directory.display(),
        free / (1024 * 1024),
        mib(needed)
    )))
}
