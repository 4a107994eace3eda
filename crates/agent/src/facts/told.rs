//! What this host says of itself when it is asked for its facts (`careen facts`, `careen-agent facts`). Beside the facts that go with a
//! transaction, which are collected twice for each and have to be cheap. Nothing is fetched, and nothing here is changed.
//!
//! It works from inside a container, below the host's root, where the processes of others cannot be looked into: what cannot be
//! known there is not guessed at.

use super::unknown::Unknown;
use super::{engine, last_run, os, pending, restart_needs};
use crate::engine_process::{age, engine_instance};
use crate::files;
use crate::layout;
use crate::tool::find_program;
use careen_contract::chain;
use careen_contract::facts::{
    ClockState, Distribution, DriftFact, FileSystemRoom, HostFacts, NodeCertificate, PendingPackages,
    RestartNeed, SCHEMA, VersionPair, field,
};
use careen_engine::Engine;
use careen_host::facts::need::{self, EngineSigns};
use careen_host::facts::restart::{EngineProcess, RebootSigns};
use careen_host::facts::room::{Looked, each_once, room};
use careen_host::facts::{ClockReading, EngineFacts, drift, validity};
use nix::errno::Errno;
use nix::libc;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where an engine keeps its things that does not say where.
const DATA_ROOT: &str = "/var/lib/docker";

/// How the images of kernels begin, and where their modules lie: what is put there when one is installed.
const KERNELS: [&str; 5] =
    ["/boot/vmlinuz-", "/boot/vmlinux-", "/boot/Image-", "/boot/kernel-", "/lib/modules/"];

/// What is gathered of the host before it is put together.
struct Gathered {
    pending: Result<PendingPackages, Unknown>,
    reboot: RebootSigns,
    engine: EngineFacts,
    processes: Vec<EngineProcess>,
    data_root: PathBuf,
    notes: Vec<String>,
}

/// Gathers it. Takes as long as the slowest of the host's tools, each of which has 20 s at most.
pub fn tell() -> HostFacts {
    let Gathered { pending, reboot, engine, processes, data_root, mut notes } = gather();
    let mut facts = HostFacts { schema: SCHEMA, at: now(), ..HostFacts::default() };
    let found = os(&mut Vec::new()).ok_or(Unknown("the host has no os-release file".to_owned()));
    facts.os = facts.note(field::OS, found).map(|os| Distribution {
        id: os.id,
        version_id: os.version_id,
        name: os.pretty_name,
    });
    let EngineFacts { running, installed } = engine;
    let kernels =
        VersionPair { running: reboot.running_kernel.clone(), installed: reboot.newest_kernel.clone() };
    let dockerd = VersionPair { running: running.engine, installed: installed.engine };
    let containerd = VersionPair { running: running.containerd, installed: installed.containerd };
    facts.engine_restart = facts.note(field::ENGINE_RESTART, engine_need(&dockerd, &containerd, processes));
    facts.kernel = told(&mut facts, field::KERNEL, kernels, "uname tells nothing");
    facts.engine = told(&mut facts, field::ENGINE, dockerd, "the engine does not answer");
    facts.containerd = told(&mut facts, field::CONTAINERD, containerd, "the engine does not answer");
    facts.pending = facts.note(field::PENDING, pending);
    if let Some(pending) = facts.pending.as_ref().filter(|pending| pending.security.is_none()) {
        let why = format!("{} does not tell which packages are for security", pending.manager);
        facts.unknown.insert(field::SECURITY.to_owned(), why);
    }
    facts.reboot = Some(reboot_need(&reboot));
    facts.room = facts.note(field::ROOM, rooms(&data_root, &mut notes));
    facts.clock = facts.note(field::CLOCK, clock());
    facts.certificate = facts.note(field::CERTIFICATE, certificate(&data_root));
    facts.last_run =
        facts.note(field::LAST_RUN, last_run::newest(Path::new(layout::ROOT), &mut notes)).flatten();
    facts.drift =
        facts.note(field::DRIFT, drifts(&Path::new(layout::ROOT).join(layout::ENFORCE), &mut notes));
    facts.notes.extend(notes);
    facts.fitted()
}

fn gather() -> Gathered {
    thread::scope(|scope| {
        // Package managers take longest.
        let pending = scope.spawn(pending::pending);
        let mut notes = Vec::new();
        let answers = Engine::connect().ok();
        let engine = engine::versions(answers.as_ref(), None, &mut notes);
        let info = answers.as_ref().and_then(|engine| engine.info().ok());
        let data_root =
            info.map(|info| PathBuf::from(info.docker_root_dir)).filter(|path| path.is_absolute());
        let needs = restart_needs::observe();
        notes.extend(needs.notes);
        let died = |_| Err(Unknown("the question to the package manager broke off".to_owned()));
        Gathered {
            pending: pending.join().unwrap_or_else(died),
            reboot: needs.reboot,
            engine,
            processes: needs.engine,
            data_root: data_root.unwrap_or_else(|| PathBuf::from(DATA_ROOT)),
            notes,
        }
    })
}

/// A pair of which nothing runs is told with what is installed, and why nothing is known of the other.
fn told(facts: &mut HostFacts, field: &str, pair: VersionPair, why: &str) -> Option<VersionPair> {
    if pair.running.is_none() {
        facts.unknown.insert(field.to_owned(), why.to_owned());
    }
    (pair != VersionPair::default()).then_some(pair)
}

fn now() -> u64 {
    seconds(SystemTime::now()).unwrap_or_default()
}

fn seconds(time: SystemTime) -> Option<u64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// When a file was put where it is. Its own time is that of its package's building.
fn put_at(path: impl AsRef<Path>) -> Option<u64> {
    files::metadata(path).ok().and_then(|file| u64::try_from(file.ctime()).ok())
}

fn reboot_need(signs: &RebootSigns) -> RestartNeed {
    let newest = signs.newest_kernel.as_deref();
    let paths = newest.into_iter().flat_map(|name| KERNELS.map(|prefix| format!("{prefix}{name}")));
    need::reboot(signs, paths.into_iter().find_map(put_at))
}

fn engine_need(
    engine: &VersionPair,
    containerd: &VersionPair,
    processes: Vec<EngineProcess>,
) -> Result<RestartNeed, need::EngineUnseen> {
    let started = engine_instance().and_then(age).map(|age| now().saturating_sub(age.as_secs()));
    let installed = find_program("dockerd").and_then(put_at);
    let (engine, containerd) = (engine.clone(), containerd.clone());
    need::engine(&EngineSigns { engine, containerd, processes, started, installed })
}

/// What is not there lies on the file system of what is above it, which is told.
fn rooms(data_root: &Path, notes: &mut Vec<String>) -> Result<Vec<FileSystemRoom>, Unknown> {
    let data_root = data_root.display().to_string();
    let mut looked = Vec::new();
    for path in ["/", "/var", data_root.as_str(), "/boot", layout::ROOT] {
        match look_at(path) {
            Ok(one) => looked.push(one),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => notes.push(format!("room of {path}: {error}")),
        }
    }
    match looked.is_empty() {
        true => Err(Unknown("no file system tells how full it is".to_owned())),
        false => Ok(each_once(looked)),
    }
}

fn look_at(path: &str) -> io::Result<Looked> {
    let said = files::statvfs(path)?;
    let file_system = files::metadata(path)?.dev();
    let blocks = [said.blocks(), said.blocks_available()];
    let inodes = [said.files(), said.files_available()];
    Ok(Looked { room: room(path, said.fragment_size(), blocks, inodes), file_system })
}

fn clock() -> Result<ClockState, Unknown> {
    // SAFETY: it is made of numbers alone, for which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` zero the kernel only writes into what it is given, which lives for the whole call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    let state = Errno::result(state).map_err(|errno| Unknown(format!("adjtimex: {errno}")))?;
    let (status, offset, max_error) = (timex.status, timex.offset, timex.maxerror);
    Ok(ClockReading { state, status, offset, max_error }.judged())
}

fn certificate(data_root: &Path) -> Result<NodeCertificate, Unknown> {
    let path = data_root.join("swarm/certificates/swarm-node.crt");
    let named = |why: &dyn std::fmt::Display| Unknown(format!("{}: {why}", path.display()));
    let pem = files::read_to_string(&path).map_err(|error| named(&error))?;
    validity(&pem).map_err(|error| named(&chain(&error)))
}

/// One file for each enforcement. One that cannot be read is told as that: it is not well.
fn drifts(directory: &Path, notes: &mut Vec<String>) -> Result<Vec<DriftFact>, Unknown> {
    let entries = match files::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| Unknown(format!("{}: {error}", directory.display())))?,
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths.iter().map(|path| drift_in(path, notes)).collect())
}

fn drift_in(path: &Path, notes: &mut Vec<String>) -> DriftFact {
    let read = files::read(path).map_err(|error| error.to_string());
    read.and_then(|bytes| drift(&bytes).map_err(|error| chain(&error))).unwrap_or_else(|why| {
        notes.push(format!("{}: {why}", path.display()));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        DriftFact { name, state: "unreadable".to_owned(), ..DriftFact::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_host_says_what_it_knows_and_why_it_does_not_know_the_rest() {
        let facts = tell();
        assert_eq!(facts.schema, SCHEMA);
        assert!(facts.kernel.as_ref().is_some_and(|kernel| kernel.running.is_some()), "{facts:?}");
        let root = facts.room.as_ref().and_then(|room| room.first()).unwrap();
        assert!(root.paths.contains(&"/".to_owned()) && root.bytes >= root.bytes_free, "{root:?}");
        let known = serde_json::to_value(&facts).unwrap();
        for name in [field::OS, field::PENDING, field::CLOCK, field::CERTIFICATE, field::ENGINE_RESTART] {
            assert!(!known[name].is_null() || facts.why_unknown(name).is_some(), "{name}: {facts:?}");
        }
    }

    #[test]
    fn what_is_enforced_is_told_and_what_cannot_be_read_is_not_well() {
        let directory = tempfile::tempdir().unwrap();
        let mut notes = Vec::new();
        assert_eq!(drifts(&directory.path().join("none"), &mut notes).unwrap(), []);
        fs::write(directory.path().join("b.json"), r#"{"name":"sysctl","state":"in-sync","at":7}"#).unwrap();
        fs::write(directory.path().join("a.json"), "{").unwrap();
        fs::write(directory.path().join("a.json.new"), "{").unwrap();
        let told = drifts(directory.path(), &mut notes).unwrap();
        let told: Vec<_> = told.iter().map(|one| (one.name.as_str(), one.state.as_str())).collect();
        assert_eq!(told, [("a", "unreadable"), ("sysctl", "in-sync")]);
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn a_certificate_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let why = certificate(directory.path()).unwrap_err().to_string();
        assert!(why.contains("swarm-node.crt: No such file"), "{why}");
    }
}
