//! A manager's engine that is made up, on a unix socket: the requests of careen, and no others.

use super::http::{Answer, Request, begin_stream, read, write};
use super::store::{KINDS, Store};
use super::world::World;
use anyhow::Context;
use careen_contract::label;
use serde_json::json;
use std::io::{BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How slow a manager is: for each request, and for each object of a list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Delays {
    pub request: Duration,
    pub object: Duration,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// How many bytes were answered.
    bytes: AtomicU64,
    delays: Delays,
    /// The node whose engine it is.
    node: String,
}

/// An engine that answers as long as this program runs.
#[derive(Debug, Clone)]
pub struct FakeEngine {
    shared: Arc<Shared>,
    socket: PathBuf,
}

impl FakeEngine {
    /// Listens at this path.
    pub fn start(world: World, socket: &Path, delays: Delays) -> anyhow::Result<Self> {
        let node = world.nodes[0]["ID"].as_str().unwrap_or_default().to_owned();
        let bytes = AtomicU64::new(0);
        let shared = Arc::new(Shared { store: Mutex::new(Store::new(world)), bytes, delays, node });
        let listener =
            UnixListener::bind(socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_listener);
                // Who closes in the middle of an answer does not want the rest of it.
                thread::spawn(move || shared.serve(&stream));
            }
        });
        Ok(Self { shared, socket: socket.to_owned() })
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store()
    }

    /// How many bytes it has answered so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &UnixStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while let Some(request) = read(&mut reader)? {
            if request.path == ["events"] && !request.query.contains_key("until") {
                begin_stream(&mut writer)?;
                self.store().followers.push(stream.try_clone()?);
                continue;
            }
            // Whoever follows the log of a container that is starting waits until it runs.
            if request.path.last().is_some_and(|part| part == "logs") && request.query.contains_key("follow")
            {
                begin_stream(&mut writer)?;
                continue;
            }
            let answer = self.answer(&request);
            let sent = write(&mut writer, &answer, request.method == "HEAD")?;
            writer.flush()?;
            self.bytes.fetch_add(sent, Ordering::Relaxed);
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let ok = |body| Answer::of(200, &body);
        match (request.method.as_str(), &path[..]) {
            (_, ["_ping"]) => ok(json!("OK")),
            ("GET", ["info"]) => ok(self.info()),
            ("GET", ["version"]) => ok(json!({ "Version": "26.1.5", "ApiVersion": "1.45" })),
            ("GET", ["swarm"]) => {
                ok(json!({ "Spec": { "EncryptionConfig": { "AutoLockManagers": false } } }))
            }
            ("GET", ["events"]) => ok(json!("")),
            ("GET", ["images", ..]) => ok(json!({
                "Id": format!("sha256:{}", "11".repeat(32)), "RepoDigests": [],
                "Config": { "Labels": { label::PROTOCOL: label::THIS_PROTOCOL } },
            })),
            ("POST", ["containers", "create"]) => Answer::of(201, &json!({ "Id": "c1" })),
            ("HEAD", ["containers", ..]) => ok(json!("")),
            ("DELETE", ["containers", ..]) => Answer::of(204, &json!("")),
            ("GET", ["containers", "json"]) => ok(json!([])),
            ("GET", [_, _, "logs"]) => ok(json!("")),
            ("GET", [kind]) if KINDS.contains(kind) => self.list(kind, request),
            ("GET", [kind, name]) if KINDS.contains(kind) => match self.store().find(kind, name) {
                Some(found) => Answer { status: 200, body: Arc::new(found) },
                None => Answer::message(404, &format!("{kind} {name} not found")),
            },
            (method @ ("POST" | "DELETE"), [kind, rest @ ..]) if KINDS.contains(kind) => {
                self.change(method, kind, rest, request)
            }
            _ => Answer::message(404, "page not found"),
        }
    }

    fn info(&self) -> serde_json::Value {
        json!({
            "ID": "e1", "Name": "host-00000", "SystemTime": "2026-11-27T09:00:00Z", "Driver": "overlay2",
            "DockerRootDir": "/var/lib/docker",
            "Swarm": {
                "NodeID": self.node, "ControlAvailable": true, "LocalNodeState": "active", "Error": "",
                "RemoteManagers": [{ "NodeID": self.node, "Addr": "10.0.0.0:2377" }],
            },
        })
    }

    fn list(&self, kind: &str, request: &Request) -> Answer {
        let filters = request.query.get("filters").map_or("", String::as_str);
        let (body, count) = {
            let mut store = self.store();
            (store.list(kind, filters), store.count(kind))
        };
        let objects = u32::try_from(if filters.is_empty() || kind == "tasks" { count } else { 0 });
        thread::sleep(self.delays.request + self.delays.object * objects.unwrap_or(u32::MAX));
        Answer { status: 200, body }
    }

    fn change(&self, method: &str, kind: &str, rest: &[&str], request: &Request) -> Answer {
        let mut store = self.store();
        match (method, rest) {
            ("POST", ["create"]) => match store.create(kind, &request.body) {
                Some(id) => Answer::of(201, &json!({ "ID": id })),
                None => Answer::message(409, "rpc error: code = AlreadyExists desc = it already exists"),
            },
            ("POST", [name, "update"]) => {
                let version = request.query.get("version").and_then(|version| version.parse().ok());
                match store.update(kind, name, version.unwrap_or(0), request.body.clone()) {
                    Some(()) => Answer::of(200, &json!({})),
                    None => Answer::message(500, "rpc error: code = Unknown desc = update out of sequence"),
                }
            }
            ("DELETE", [name]) => match store.remove(kind, name) {
                Some(()) => Answer::of(200, &json!({})),
                None => Answer::message(404, "not found"),
            },
            _ => Answer::message(404, "page not found"),
        }
    }
}
