//! Watches the agents' containers, under `CAREEN_ON_REMOVE=stop`. What is seen is judged by [`RemovalWatch`].

use crate::engine_process::engine_instance;
use crate::files;
use crate::layout::{TransactionDir, file};
use careen_contract::settings::OnRemove;
use careen_contract::variable;
use careen_engine::Engine;
use careen_host::removal::{EngineInstance, Look, RemovalWatch};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How often the engine is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts watching in a thread of its own. The returned stream becomes readable when the containers were removed while
/// the engine stayed up. `None`, with the reason said, when the engine's process cannot be told.
pub fn watch(directory: &TransactionDir) -> std::io::Result<Option<(UnixStream, mpsc::Sender<()>)>> {
    let Some(engine) = engine_instance() else {
        tracing::warn!(
            "{}={}: no dockerd process was found on this host, so nothing is watched",
            variable::ON_REMOVE,
            OnRemove::Stop
        );
        return Ok(None);
    };
    let (ours, theirs) = UnixStream::pair()?;
    let (keep_alive, ended) = mpsc::channel();
    let agents = directory.file(file::AGENTS);
    std::thread::Builder::new().name("removal".into()).spawn(move || run(engine, agents, theirs, &ended))?;
    Ok(Some((ours, keep_alive)))
}

fn run(engine: EngineInstance, agents: PathBuf, mut tell: UnixStream, ended: &mpsc::Receiver<()>) {
    let mut watch = RemovalWatch::new(engine);
    while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if watch.removed(&look(&agents)) {
            let _ = tell.write_all(b"removed"); // the supervisor ended meanwhile: nobody to tell
            return;
        }
    }
}

fn look(agents: &std::path::Path) -> Look {
    let containers = Engine::connect().ok().and_then(|engine| known_containers(&engine, agents));
    Look { engine: engine_instance(), containers }
}

/// How many of the agents' containers the engine knows; `None` when it did not answer to one of them.
fn known_containers(engine: &Engine, agents: &std::path::Path) -> Option<usize> {
    let mut known = 0;
    for entry in files::read_dir(agents).ok()? {
        match engine.container(&entry.ok()?.file_name().to_string_lossy()) {
            Ok(_) => known += 1,
            Err(error) if error.is_not_found() => {}
            Err(_) => return None,
        }
    }
    Some(known)
}
