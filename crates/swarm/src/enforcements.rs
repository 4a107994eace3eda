//! Enforcements in the swarm: a config that says what is enforced, the payload's files, and a global service. What may be started
//! and how hosts are is decided in [`careen_planner::enforcement`].
//!
//! The config comes before the service and goes after it: whoever dies in between leaves one without the other, which is told, and
//! the same command goes on there. How it is stands in a label of the config, written before the service is changed.

use crate::api::{LabelChange, Swarm};
use crate::decode;
use crate::deliver::PayloadFile;
use crate::encode;
use crate::error::SwarmError;
use crate::logs::last_word;
use crate::names;
use crate::rollouts::{RequestError, TRIES, write_error, written};
use careen_contract::chain;
use careen_contract::label;
use careen_contract::object;
use careen_engine::{ApiPath, Engine, Kind, LogQuery, Meaning, RegistryAuth, Source};
use careen_planner::enforcement::hosts::LastWord;
use careen_planner::enforcement::{EnforcerService, FoundConfig, may_start};
use careen_planner::inquiry::TaskSeen;
use careen_planner::observed::TaskState;
use careen_planner::{Enforcement, EnforcementState, FoundEnforcement, GivenFile, ServiceId};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many of a log's last lines are asked for first: an agent says how its host is whenever that changes.
const TAIL: u32 = 200;

/// How long reading one log may take: the call hangs when its host is frozen.
const ONE_LOG: Duration = Duration::from_secs(5);

/// How long reading all of them may take.
const ALL_LOGS: Duration = Duration::from_secs(30);

/// How many are read at a time.
const AT_A_TIME: usize = 16;

/// An enforcement that is not in the swarm yet.
#[derive(Debug, Clone)]
pub struct EnforcementDraft {
    /// What is enforced, without the payload's files.
    pub spec: Enforcement,
    /// The payload's own files.
    pub files: Vec<PayloadFile>,
}

/// The version of an enforcement: what hosts get of it, the payload's files among it, has this hash.
pub fn version_of(draft: &EnforcementDraft) -> Result<String, SwarmError> {
    let files: Vec<(&str, &str)> =
        draft.files.iter().map(|file| (file.target.as_str(), file.digest.as_str())).collect();
    let hashed = serde_json::to_vec(&(draft.spec.hashed(), files));
    let hashed = hashed.map_err(|error| SwarmError::corrupt("the enforcement's spec", error))?;
    let digits = Sha256::digest(&hashed).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(digits[..names::VERSION].to_owned())
}

impl Swarm {
    /// All enforcements, by their names and versions: those of which one half is gone, and those that cannot be understood, too.
    pub fn enforcements(&self) -> Result<Vec<FoundEnforcement>, SwarmError> {
        let mut all: BTreeMap<(String, String), (FoundConfig, Option<Value>)> = BTreeMap::new();
        for config in self.any_configs(&[object::ENFORCEMENTS])? {
            if let Some((name, version, false)) = names::of_enforcement(&config.name) {
                let found = match decode::enforcement(&config) {
                    Ok((spec, state)) => FoundConfig::There { spec: Box::new(spec), state },
                    Err(why) => FoundConfig::Unreadable { why: chain(&why) },
                };
                all.insert((name.to_owned(), version.to_owned()), (found, None));
            }
        }
        for raw in self.list(Kind::Services, &json!({ "name": [names::ENFORCERS] }))? {
            let name = raw.pointer("/Spec/Name").and_then(Value::as_str).unwrap_or_default();
            if let Some((name, version)) = names::of_enforcer(name) {
                let key = (name.to_owned(), version.to_owned());
                all.entry(key).or_insert((FoundConfig::Missing, None)).1 = Some(raw);
            }
        }
        let found = |((name, version), (config, raw)): ((String, String), (FoundConfig, Option<Value>))| {
            let service = raw.map(|raw| service(&raw, &config));
            FoundEnforcement { name, version, config, service }
        };
        Ok(all.into_iter().map(found).collect())
    }

    /// Starts one, or completes one of which only the config is there. Two that are started at the same moment and exclude each
    /// other may both be refused; never are both started: each is there before its operator looks for others.
    pub fn start_enforcement(
        &self,
        draft: &EnforcementDraft,
        auth: Option<&RegistryAuth>,
    ) -> Result<Enforcement, RequestError> {
        let EnforcementDraft { spec, .. } = draft;
        let running = EnforcementState::Running {};
        let (spec, is_new) = match self.stored_enforcement(spec)? {
            Some((stored, _)) => (stored, false),
            None => (self.store_enforcement(draft, &running)?, true),
        };
        let started = self.start_stored(&spec, &running, auth);
        // A write without an answer may have been done: a service that is there needs its config.
        if is_new
            && let Err(error) = &started
            && !matches!(error, RequestError::Write { .. })
        {
            // Why it failed matters more; what stays is told by 'status', and 'stop' removes it.
            let _best_effort = self.remove_configs_of(&spec.name, &spec.version);
        }
        started.map(|()| spec)
    }

    fn start_stored(
        &self,
        spec: &Enforcement,
        state: &EnforcementState,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), RequestError> {
        let mut others = self.enforcements()?;
        others.retain(|found| (&found.name, &found.version) != (&spec.name, &spec.version));
        may_start(&others, spec).map_err(RequestError::Enforce)?;
        self.create_enforcer(spec, state, auth)
    }

    /// Brings a version's files and its config into the swarm, and says what became of its spec. Its service is not there by that.
    pub fn store_enforcement(
        &self,
        draft: &EnforcementDraft,
        state: &EnforcementState,
    ) -> Result<Enforcement, RequestError> {
        let EnforcementDraft { spec, files } = draft;
        let mut spec = spec.clone();
        spec.given.files = files.iter().map(|file| self.deliver_to(&spec, file)).collect::<Result<_, _>>()?;
        let data = serde_json::to_vec(&spec)
            .map_err(|error| SwarmError::corrupt("the enforcement's spec", error))?;
        if data.len() > encode::LARGEST {
            return Err(RequestError::TooLarge { bytes: data.len() });
        }
        let name = names::enforcement(&spec.name, &spec.version);
        let mut labels = labels(&spec);
        labels.insert(label::ENFORCEMENT.to_owned(), state_text(state)?);
        labels.insert(label::BY.to_owned(), spec.by.clone());
        match self.create_config(&name, &labels, &data) {
            // Somebody else was as fast: the same version is the same spec.
            Err(error) if error.meaning() == Meaning::Exists => Ok(spec),
            created => created.map(|()| spec).map_err(|error| write_error(&name, &error)),
        }
    }

    /// Creates a version's service; one that is there stays as it is.
    pub fn create_enforcer(
        &self,
        spec: &Enforcement,
        state: &EnforcementState,
        auth: Option<&RegistryAuth>,
    ) -> Result<(), RequestError> {
        let service = encode::enforcer(spec, state);
        match self.engine().create_object(Kind::Services, &service, auth) {
            Err(error) if error.meaning() == Meaning::Exists => Ok(()),
            created => created
                .map(drop)
                .map_err(|error| write_error(&names::enforcer(&spec.name, &spec.version), &error)),
        }
    }

    fn deliver_to(&self, spec: &Enforcement, file: &PayloadFile) -> Result<GivenFile, RequestError> {
        let name = names::enforcement_file(&spec.name, &spec.version, &file.digest);
        let config = encode::config_spec(&name, &labels(spec), &file.content);
        let created = self.engine().create_object(Kind::Configs, &config, None);
        let id = self.created(crate::GivenKind::Config, &name, created)?;
        let (target, mode) = (file.target.clone(), file.mode);
        Ok(GivenFile { id, name, target, uid: "0".to_owned(), gid: "0".to_owned(), mode })
    }

    fn stored_enforcement(
        &self,
        spec: &Enforcement,
    ) -> Result<Option<(Enforcement, EnforcementState)>, SwarmError> {
        let found = self.config(&names::enforcement(&spec.name, &spec.version))?;
        found.map(|(_, config)| decode::enforcement(&config)).transpose()
    }

    /// Writes how an enforcement is, and then places its agents so. Whoever died in between is followed by the same once more.
    pub fn change_enforcement(
        &self,
        spec: &Enforcement,
        state: &EnforcementState,
    ) -> Result<(), RequestError> {
        self.label_enforcement(spec, state)?;
        self.place_enforcer(spec, state)
    }

    /// Writes into the label of its config how an enforcement is.
    pub fn label_enforcement(
        &self,
        spec: &Enforcement,
        state: &EnforcementState,
    ) -> Result<(), RequestError> {
        let name = names::enforcement(&spec.name, &spec.version);
        let text = state_text(state)?;
        for _ in 0..TRIES {
            let raw = self.raw(Kind::Configs, &name).map_err(|error| write_error(&name, &error))?;
            if raw["Spec"]["Labels"][label::ENFORCEMENT] == text {
                return Ok(());
            }
            let change = LabelChange::from([(label::ENFORCEMENT.to_owned(), Some(text.clone()))]);
            if written(&name, self.label_config(&raw, &change))? {
                return Ok(());
            }
        }
        Err(RequestError::Contended { object: format!("the config {name}") })
    }

    /// Has Swarm place a version's agents as this state wants it. Nothing else of its service is changed.
    pub fn place_enforcer(&self, spec: &Enforcement, state: &EnforcementState) -> Result<(), RequestError> {
        let name = names::enforcer(&spec.name, &spec.version);
        for _ in 0..TRIES {
            let raw = self.raw(Kind::Services, &name).map_err(|error| write_error(&name, &error))?;
            let placed = encode::placed(&raw["Spec"], spec, state);
            if placed == raw["Spec"] || written(&name, self.update(Kind::Services, &raw, &placed))? {
                return Ok(());
            }
        }
        Err(RequestError::Contended { object: format!("the service {name}") })
    }

    /// Removes a version's service and its configs, as far as they are there, and says their names.
    pub fn stop_enforcement(&self, name: &str, version: &str) -> Result<Vec<String>, RequestError> {
        let service = names::enforcer(name, version);
        let there = self.find(Kind::Services, &service).map_err(SwarmError::from)?.is_some();
        let removed = self.engine().remove_object_if_there(Kind::Services, &service);
        removed.map_err(|error| write_error(&service, &error))?;
        let configs = self.remove_configs_of(name, version)?;
        Ok(there.then_some(service).into_iter().chain(configs).collect())
    }

    /// Files first: as long as its config is there, the rest is known to be of an enforcement.
    fn remove_configs_of(&self, name: &str, version: &str) -> Result<Vec<String>, RequestError> {
        let own = names::enforcement(name, version);
        let mut all = self.any_configs(&[&own])?;
        all.retain(|config| {
            names::of_enforcement(&config.name).is_some_and(|(of, at, _)| (of, at) == (name, version))
        });
        all.sort_by_key(|config| config.name == own);
        for config in &all {
            self.remove_config(&config.id).map_err(|error| write_error(&config.name, &error))?;
        }
        Ok(all.into_iter().map(|config| config.name).collect())
    }

    /// The tasks of a version's service, the oldest first.
    pub fn enforcer_tasks(&self, name: &str, version: &str) -> Result<Vec<TaskSeen>, SwarmError> {
        self.tasks_seen(&names::enforcer(name, version))
    }

    /// What the agents said last whose tasks run, by their tasks' ids.
    pub fn last_words(&self, tasks: &[TaskSeen]) -> BTreeMap<String, LastWord> {
        let running: Vec<&str> = tasks
            .iter()
            .filter(|task| task.state == TaskState::Running && !task.leaves)
            .map(|task| task.id.as_str())
            .collect();
        let (next, until) = (AtomicUsize::new(0), Instant::now() + ALL_LOGS);
        let words = Mutex::new(BTreeMap::new());
        let (next, words_of) = (&next, &words);
        let read = || {
            while let Some(task) = running.get(next.fetch_add(1, Ordering::SeqCst)) {
                let word = match Instant::now() < until {
                    true => read_last_word(self.engine(), task),
                    false => LastWord::Unread { why: format!("no time for it in {} s", ALL_LOGS.as_secs()) },
                };
                if let Ok(mut words) = words_of.lock() {
                    words.insert((*task).to_owned(), word);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME.min(running.len()) {
                scope.spawn(read);
            }
        });
        words.into_inner().unwrap_or_default()
    }
}

fn read_last_word(engine: &Engine, task: &str) -> LastWord {
    let ask = |tail: Option<u32>| {
        let path = ApiPath::logs(Source::Task(task), LogQuery { tail, ..LogQuery::default() });
        let log = engine.reader_within(&path, ONE_LOG).map_err(|error| chain(&error));
        log.and_then(|log| last_word(log).map_err(|error| chain(&error)))
    };
    let said = match ask(Some(TAIL)) {
        Ok(None) => ask(None),
        said => said,
    };
    match said {
        Ok(said) => said.unwrap_or(LastWord::Nothing),
        Err(why) => LastWord::Unread { why },
    }
}

fn service(raw: &Value, config: &FoundConfig) -> EnforcerService {
    let spec = &raw["Spec"];
    let changed = match config {
        FoundConfig::There { spec: of, state } => encode::changed(spec, of, state),
        FoundConfig::Unreadable { .. } | FoundConfig::Missing => Vec::new(),
    };
    let id = ServiceId(raw["ID"].as_str().unwrap_or_default().to_owned());
    EnforcerService { id, stopped: encode::is_stopped(spec), changed }
}

fn labels(spec: &Enforcement) -> BTreeMap<String, String> {
    BTreeMap::from([
        (label::ENFORCED.to_owned(), spec.name.clone()),
        (label::ENFORCED_VERSION.to_owned(), spec.version.clone()),
    ])
}

pub(crate) fn state_text(state: &EnforcementState) -> Result<String, SwarmError> {
    serde_json::to_string(state).map_err(|error| SwarmError::corrupt("the enforcement's state", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{any_config, enforcement as decoded};
    use careen_planner::testing::enforcement;

    fn file(digest: &str) -> PayloadFile {
        let (target, content) = ("/install/check".to_owned(), b"#!/bin/sh\n".to_vec());
        PayloadFile { target, digest: digest.to_owned(), mode: 0o755, content }
    }

    #[test]
    fn the_version_is_that_of_what_hosts_get() {
        let version = |spec: Enforcement, files: Vec<PayloadFile>| {
            version_of(&EnforcementDraft { spec, files }).unwrap()
        };
        let plain = version(enforcement(), Vec::new());
        assert_eq!(plain.len(), 8);
        assert_eq!(names::of_enforcer(&names::enforcer("sysctl", &plain)), Some(("sysctl", plain.as_str())));
        let by_another = Enforcement { by: "you".into(), version: plain.clone(), ..enforcement() };
        assert_eq!(version(by_another, Vec::new()), plain);
        let other = Enforcement { interval: Duration::from_secs(60), ..enforcement() };
        assert_ne!(version(other, Vec::new()), plain);
        assert_ne!(version(enforcement(), vec![file("00")]), version(enforcement(), vec![file("11")]));
    }

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else_is() {
        let (spec, state) = (enforcement(), EnforcementState::Paused { by: "me".into(), since: 7 });
        let stored = |name: &str, data: &str, state: &str| {
            let mut labels = labels(&enforcement());
            labels.insert(label::ENFORCEMENT.to_owned(), state.to_owned());
            let spec = encode::config_spec(name, &labels, data.as_bytes());
            any_config(&json!({ "ID": "c1", "Version": { "Index": 7 }, "Spec": spec })).unwrap()
        };
        let name = names::enforcement(&spec.name, &spec.version);
        let (data, label) = (serde_json::to_string(&spec).unwrap(), state_text(&state).unwrap());
        assert_eq!(label, r#"{"state":"paused","by":"me","since":7}"#);
        assert_eq!(state_text(&EnforcementState::Running {}).unwrap(), r#"{"state":"running"}"#);
        assert_eq!(decoded(&stored(&name, &data, &label)).unwrap(), (spec, state));
        let later = data.replacen('{', r#"{"later":1,"#, 1);
        for (name, data, label) in [
            (names::enforcement("motd", "0a1b2c3d"), data.as_str(), label.as_str()),
            (name.clone(), &later, &label),
            (name.clone(), "", &label),
            (name.clone(), &data, r#"{"state":"asleep"}"#),
            (name.clone(), &data, r#"{"state":"running","since":7}"#),
        ] {
            assert!(decoded(&stored(&name, data, label)).is_err(), "{name} {data} {label}");
        }
    }
}
