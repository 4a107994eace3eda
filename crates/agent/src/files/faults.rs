//! Which operation fails, and how: for tests/faults.rs alone.
//!
//! Operations are numbered from 1 in each thread. `CAREEN_FAULTS` is a list, separated by commas, of
//! `[THREAD/]FIRST[-[LAST]]:FAULT`: operation FIRST, from FIRST to LAST, or from FIRST on, of the main thread or of the named one
//! (`host/` are looks at what is not careen's own, `kernel/` those at /proc, /sys and /dev, in any thread).
//! What lasts (`FIRST-…`) is the state of one file system: of /run, or of everything else. FAULT is
//!
//! - `EIO`, `ENOSPC`, `EDQUOT` or `EROFS`: the operation fails with this, if it is one that can;
//! - `short`: the first half is written, and then there is no room for the other half;
//! - `crash`: the host loses power before this operation, and with it all that was not synced;
//! - `crash-names`: the same, but all names are there: what was not synced of their content is not.
//!
//! `CAREEN_FAULT_TRACE` names a file that gets a line for each operation: thread, number, class, path, and what was done to it.
//! `CAREEN_FAULT_PATIENCE_MS` shortens what would be tried for minutes.

use super::{Class, unsynced};
use nix::errno::Errno;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Error(Errno),
    Short,
    Crash { keeps_names: bool },
}

#[derive(Debug)]
struct Planned {
    thread: String,
    first: u64,
    /// `None` for one operation alone.
    last: Option<u64>,
    fault: Fault,
    /// Whether the first operation was on /run; known when its turn has come.
    on_run: Option<bool>,
}

#[derive(Debug, Default)]
struct Layer {
    plan: Vec<Planned>,
    turns: HashMap<String, u64>,
    reserved: HashMap<PathBuf, u64>,
    /// Files of which half a piece was written because there was no more room.
    full: Vec<PathBuf>,
    trace: Option<std::fs::File>,
}

static LAYER: LazyLock<Mutex<Layer>> = LazyLock::new(|| Mutex::new(Layer::from_environment()));

fn layer() -> MutexGuard<'static, Layer> {
    LAYER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long something is tried, where the test says so.
pub fn patience() -> Option<Duration> {
    std::env::var("CAREEN_FAULT_PATIENCE_MS").ok()?.parse().ok().map(Duration::from_millis)
}

/// The turn of an operation on this path.
pub fn turn(class: Class, path: &Path) -> io::Result<()> {
    match next_fault(class, path, None) {
        None | Some(Fault::Short) => Ok(()),
        Some(Fault::Error(errno)) => Err(errno.into()),
        Some(Fault::Crash { keeps_names }) => unsynced::crash(keeps_names),
    }
}

/// The turn of a write of these bytes at this offset; returns what may be written.
pub fn turn_to_write<'a>(path: &Path, bytes: &'a [u8], at: u64) -> io::Result<&'a [u8]> {
    match next_fault(Class::Write, path, Some(at + bytes.len() as u64)) {
        None => Ok(bytes),
        Some(Fault::Short) if bytes.len() > 1 => {
            layer().full.push(path.to_owned());
            Ok(&bytes[..bytes.len() / 2])
        }
        Some(Fault::Short) => Err(Errno::ENOSPC.into()),
        Some(Fault::Error(errno)) => Err(errno.into()),
        Some(Fault::Crash { keeps_names }) => unsynced::crash(keeps_names),
    }
}

/// Up to here there is room for this file, whatever becomes of the disk.
pub fn reserved(path: &Path, until: u64) {
    layer().reserved.insert(path.to_owned(), until);
}

fn next_fault(class: Class, path: &Path, until: Option<u64>) -> Option<Fault> {
    let thread = counted_as(path);
    let mut layer = layer();
    let turn = layer.turns.entry(thread.clone()).or_default();
    *turn += 1;
    let number = *turn;
    let has_room = until.is_some_and(|until| layer.reserved.get(path).is_some_and(|room| until <= *room));
    let half_written = layer.full.iter().position(|full| full == path).filter(|_| class == Class::Write);
    let fault = match half_written {
        Some(place) => {
            layer.full.remove(place);
            Some(Fault::Error(Errno::ENOSPC))
        }
        None => layer.planned(&thread, number, path.starts_with("/run")),
    };
    let fault = fault.filter(|fault| can_meet(class, *fault, has_room));
    if let Some(trace) = &mut layer.trace {
        let what = fault.map_or(String::new(), |fault| format!(" {fault:?}"));
        let _ = trace.write_all(format!("{thread} {number} {class:?} {}{what}\n", path.display()).as_bytes());
    }
    fault
}

/// Whose operations it is counted among: this thread's, or those on what is not careen's own, of which a host that has other
/// tools sees others.
fn counted_as(path: &Path) -> String {
    if ["/proc", "/sys", "/dev"].iter().any(|made_up| path.starts_with(made_up)) {
        return "kernel".to_owned();
    }
    let is_own = path.as_os_str().as_encoded_bytes().windows(6).any(|name| name == b"careen");
    let thread = std::thread::current().name().unwrap_or("main").to_owned();
    if is_own { thread } else { "host".to_owned() }
}

/// Which faults an operation can meet.
fn can_meet(class: Class, fault: Fault, has_room: bool) -> bool {
    let needs_room = match class {
        Class::Create | Class::Rename | Class::MakeDirectory | Class::MakeLink | Class::Reserve => true,
        Class::Write => !has_room,
        Class::Open | Class::Read | Class::Sync | Class::SetLength | Class::Stat => false,
        Class::List | Class::Remove | Class::ChangeMode => false,
    };
    match fault {
        Fault::Error(Errno::ENOSPC | Errno::EDQUOT) => needs_room,
        Fault::Error(Errno::EROFS) => {
            !matches!(class, Class::Open | Class::Read | Class::Stat | Class::List | Class::Sync)
        }
        Fault::Short => class == Class::Write && !has_room,
        Fault::Error(_) | Fault::Crash { .. } => true,
    }
}

impl Layer {
    fn from_environment() -> Self {
        let text = std::env::var("CAREEN_FAULTS").unwrap_or_default();
        let plan = text.split(',').filter(|item| !item.is_empty());
        let plan = plan.map(|item| Planned::parse(item).unwrap_or_else(|| misunderstood(item))).collect();
        let trace = std::env::var_os("CAREEN_FAULT_TRACE")
            .and_then(|path| std::fs::OpenOptions::new().append(true).create(true).open(path).ok());
        Self { plan, trace, ..Self::default() }
    }

    fn planned(&mut self, thread: &str, number: u64, on_run: bool) -> Option<Fault> {
        for planned in self.plan.iter_mut().filter(|planned| planned.thread == thread) {
            if number < planned.first || planned.last.unwrap_or(planned.first) < number {
                continue;
            }
            if *planned.on_run.get_or_insert(on_run) == on_run {
                return Some(planned.fault);
            }
        }
        None
    }
}

impl Planned {
    fn parse(item: &str) -> Option<Self> {
        let (range, fault) = item.split_once(':')?;
        let (thread, range) = range.split_once('/').unwrap_or(("main", range));
        let (first, last) = match range.split_once('-') {
            None => (range, None),
            Some((first, "")) => (first, Some(u64::MAX)),
            Some((first, last)) => (first, Some(last.parse().ok()?)),
        };
        let fault = match fault {
            "EIO" => Fault::Error(Errno::EIO),
            "ENOSPC" => Fault::Error(Errno::ENOSPC),
            "EDQUOT" => Fault::Error(Errno::EDQUOT),
            "EROFS" => Fault::Error(Errno::EROFS),
            "short" => Fault::Short,
            "crash" => Fault::Crash { keeps_names: false },
            "crash-names" => Fault::Crash { keeps_names: true },
            _ => return None,
        };
        Some(Self { thread: thread.to_owned(), first: first.parse().ok()?, last, fault, on_run: None })
    }
}

/// A test that asks for something else than it means has shown nothing.
fn misunderstood(item: &str) -> ! {
    crate::say::say(format_args!("CAREEN_FAULTS: '{item}' is not understood"));
    std::process::exit(99)
}
