//! Removes what careen has on this host: its directories, its unit for the next boot, the link to its program, its marks among the
//! engine's volumes. Nothing else: what a command of a payload changed on the host is the payload's.
//!
//! Refuses while a transaction is not finished, or cannot be read: nobody would know any more whether its command ran.

use crate::layout::{self, file};
use crate::lock::Lock;
use crate::stop::{OrRefuse, Stop};
use crate::{durable, files, resume, transactions};
use careen_contract::AgentExit;
use careen_contract::errand::Belongings;
use careen_contract::{chain, label};
use careen_engine::{ApiPath, Engine, EngineError};
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// Where careen's things can lie on a host.
#[derive(Debug)]
struct Places {
    root: PathBuf,
    /// Directories that may have been used in the root's stead; what else is in them is somebody else's.
    bases: Vec<PathBuf>,
    /// In memory.
    run: PathBuf,
    link: PathBuf,
    units: Vec<PathBuf>,
    /// The mark in the engine's directory.
    twin: Option<PathBuf>,
}

/// `careen-agent uninstall [--dry-run]`, by a person on the host.
pub fn by_hand(dry_run: bool) -> anyhow::Result<u8> {
    if let Ok(engine) = Engine::connect() {
        refuse_beside_a_rollout(&engine).map_err(in_words)?;
    }
    let belongings = carry_out(dry_run).map_err(in_words)?;
    let Belongings { paths, volumes, containers, transactions, bytes, left } = &belongings;
    if belongings.is_empty() {
        println!("nothing of careen's is on this host");
        return Ok(0);
    }
    let verb = if dry_run { "would remove" } else { "removed" };
    for one in paths.iter().chain(volumes).chain(containers) {
        println!("{verb} {one}");
    }
    println!("{verb} {transactions} transactions, {bytes} bytes in all");
    left.iter().for_each(|left| println!("left {left}"));
    Ok(u8::from(!left.is_empty()))
}

fn in_words(stop: Stop) -> anyhow::Error {
    anyhow::anyhow!(stop.message)
}

/// Removes, or only says, what this host has.
pub fn carry_out(dry_run: bool) -> Result<Belongings, Stop> {
    let engine = Engine::connect().ok();
    let data_root = engine.as_ref().and_then(|engine| engine.info().ok()).map(|info| info.docker_root_dir);
    let places = Places::of_this_host(data_root.as_deref());
    let mut belongings = places.uninstall(dry_run)?;
    if let Some(engine) = &engine {
        remove_parts(engine, dry_run, &mut belongings);
        remove_marks(engine, dry_run, &mut belongings);
    }
    Ok(belongings.fitted())
}

/// A container that has a part in a rollout.
struct Part {
    id: String,
    runs: bool,
}

fn parts(engine: &Engine) -> Result<Vec<Part>, EngineError> {
    let listed: Vec<Value> = engine.get(&ApiPath::containers(&json!({ "label": [label::ROLE] })))?;
    let part = |container: &Value| {
        let word = |name: &str| container.get(name).and_then(Value::as_str);
        Some(Part { id: word("Id")?.to_owned(), runs: word("State") == Some("running") })
    };
    Ok(listed.iter().filter_map(part).collect())
}

/// Whoever types it on a host asks no manager whether a rollout goes on: a part of one that runs here says so.
fn refuse_beside_a_rollout(engine: &Engine) -> Result<(), Stop> {
    let running = parts(engine).or_refuse("list the engine's containers")?.into_iter().find(|part| part.runs);
    running.map_or(Ok(()), |Part { id, .. }| {
        Err(Stop::new(
            AgentExit::HostBusy,
            format_args!(
                "the container {} has a part in a rollout: 'careen status' on a manager shows it, 'careen uninstall' there removes \
                 careen when none goes on",
                id.get(..12).unwrap_or(&id)
            ),
        ))
    })
}

/// No rollout goes on, so those that have a part in one are left of an earlier one: engines before 23.0.2 do that. The container in
/// which this runs has no such part.
fn remove_parts(engine: &Engine, dry_run: bool, belongings: &mut Belongings) {
    let parts = match parts(engine) {
        Ok(parts) => parts,
        Err(error) => return belongings.left.push(format!("containers of careen's: {}", chain(&error))),
    };
    for Part { id, .. } in parts {
        let name = id.get(..12).unwrap_or(&id).to_owned();
        let removed = if dry_run { Ok(()) } else { engine.remove_container_if_there(&id) };
        match removed {
            Ok(()) => belongings.containers.push(name),
            Err(error) => belongings.left.push(format!("the container {name}: {}", chain(&error))),
        }
    }
}

/// What rollouts have left among the engine's volumes.
fn remove_marks(engine: &Engine, dry_run: bool, belongings: &mut Belongings) {
    let filters = json!({ "label": [label::ROLLOUT] });
    let listed: Value = match engine.get(&ApiPath::volumes(&filters)) {
        Ok(listed) => listed,
        Err(error) => {
            return belongings.left.push(format!("marks among the engine's volumes: {}", chain(&error)));
        }
    };
    let volumes = listed.get("Volumes").and_then(Value::as_array).into_iter().flatten();
    for name in volumes.filter_map(|volume| volume.get("Name")?.as_str()) {
        let removed = if dry_run { Ok(()) } else { engine.remove_volume_if_there(name) };
        match removed {
            Ok(()) => belongings.volumes.push(name.to_owned()),
            Err(error) => belongings.left.push(format!("the volume {name}: {}", chain(&error))),
        }
    }
}

impl Places {
    fn of_this_host(data_root: Option<&str>) -> Self {
        let root = PathBuf::from(layout::ROOT);
        let data_root = data_root.map(Path::new).filter(|path| path.is_absolute());
        Self {
            bases: layout::EXEC_CANDIDATES.iter().map(PathBuf::from).filter(|base| *base != root).collect(),
            root,
            run: layout::RUN.into(),
            link: layout::LINK.into(),
            units: resume::UNIT_FILES.iter().map(PathBuf::from).collect(),
            twin: data_root.map(|data_root| data_root.join(layout::BOOT_MARK_TWIN)),
        }
    }

    fn uninstall(&self, dry_run: bool) -> Result<Belongings, Stop> {
        let has_root =
            files::is_there(&self.root).or_refuse(format_args!("look at {}", self.root.display()))?;
        let _creating = if has_root { Some(self.keep_agents_out()?) } else { None };
        if has_root {
            self.refuse_while_at_work()?;
        }
        let known = transactions::ids(&self.root).map_err(unreadable)?;
        let mut belongings = Belongings { transactions: known.len() as u64, ..Belongings::default() };
        for path in self.found().or_refuse("find what careen has on this host")? {
            belongings.bytes += size(&path);
            if !dry_run && let Err(error) = self.remove(&path) {
                belongings.left.push(format!("{}: {error}", path.display()));
                continue;
            }
            belongings.paths.push(path.display().to_string());
        }
        if !dry_run {
            // What else is in them is somebody else's: then they stay.
            self.bases.iter().for_each(|base| drop(files::remove_empty_dir(base)));
        }
        Ok(belongings)
    }

    /// No agent begins anything while this is held.
    fn keep_agents_out(&self) -> Result<Lock, Stop> {
        let lock =
            Lock::try_take(&layout::create_lock(&self.root)).or_refuse("lock this host's transactions")?;
        lock.ok_or_else(|| {
            Stop::new(
                AgentExit::HostBusy,
                "an agent is starting its work on this host: try again in a minute",
            )
        })
    }

    fn refuse_while_at_work(&self) -> Result<(), Stop> {
        let open = resume::open_transactions(&self.root).map_err(unreadable)?;
        if let Some(id) = open.transactions.first() {
            return Err(Stop::new(
                AgentExit::HostBusy,
                format_args!(
                    "the transaction {id} is not finished: 'careen-agent list' on this host shows how far it is, 'careen-agent \
                     cancel {id}' stops it"
                ),
            ));
        }
        if let Some(which) = open.unreadable.first() {
            return Err(Stop::refused(format_args!(
                "the transaction {which}: nobody knows whether its command ran. Move it out of {} when you know",
                layout::transactions(&self.root).display()
            )));
        }
        if let Some(name) = self.enforced().or_refuse("look whether an agent enforces something here")? {
            return Err(Stop::new(
                AgentExit::HostBusy,
                format_args!(
                    "an agent enforces '{name}' on this host: stop it first ('careen enforce stop {name}', or remove its service)"
                ),
            ));
        }
        // One whose journal was not written yet.
        match Lock::is_held(&layout::host_lock(&self.root)) {
            Ok(false) => Ok(()),
            Ok(true) => {
                Err(Stop::new(AgentExit::HostBusy, "a transaction has this host: try again when it is over"))
            }
            Err(error) => Err(Stop::refused(format_args!("cannot look at the host's lock: {error}"))),
        }
    }

    /// What an agent enforces here, if one does: it would go on, and write anew what was removed.
    fn enforced(&self) -> io::Result<Option<String>> {
        let entries = match files::read_dir(layout::enforcements(&self.root)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "lock") && Lock::is_held(&path)? {
                return Ok(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    /// What there is, in the order in which it is removed: first what would start something, last what tells of transactions.
    fn found(&self) -> io::Result<Vec<PathBuf>> {
        let of_bases = self.bases.iter().flat_map(|base| ["bin", file::PAYLOAD].map(|name| base.join(name)));
        let all =
            self.units.iter().cloned().chain(of_bases).chain([self.run.clone()]).chain(self.twin.clone());
        let mut found = Vec::new();
        for path in all {
            if files::is_there(&path)? {
                found.push(path);
            }
        }
        // A program that somebody else put there stays.
        let is_ours = |target: &Path| {
            target.starts_with(&self.root) || self.bases.iter().any(|base| target.starts_with(base))
        };
        if files::read_link(&self.link).is_ok_and(|target| is_ours(&target)) {
            found.push(self.link.clone());
        }
        if files::is_there(&self.root)? {
            found.push(self.root.clone());
        }
        Ok(found)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let found = files::symlink_metadata(path)?;
        if path != self.root {
            return if found.is_dir() { durable::remove_tree(path) } else { durable::remove_file(path) };
        }
        // Somebody may have put it on a disk of its own, by a link or a mount: that stays, empty.
        for entry in files::read_dir(path)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() { durable::remove_tree(&path)? } else { durable::remove_file(&path)? }
        }
        files::remove_empty_dir(path)
            .map_err(|error| io::Error::new(error.kind(), format!("it is empty, and stays: {error}")))
    }
}

fn unreadable(error: anyhow::Error) -> Stop {
    Stop::refused(format_args!("cannot read this host's transactions: {error:#}"))
}

/// How many bytes there are below a path; what cannot be looked at counts nothing.
fn size(path: &Path) -> u64 {
    let Ok(found) = files::symlink_metadata(path) else { return 0 };
    if !found.is_dir() {
        return found.len();
    }
    files::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A host on which careen was: with a transaction whose journal says this.
    fn host(journal: Option<&str>) -> (tempfile::TempDir, Places) {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join(name);
        let places = Places {
            root: at("var/lib/careen"),
            bases: vec![at("opt/careen"), at("usr/local/lib/careen")],
            run: at("run/careen"),
            link: at("sbin/careen-agent"),
            units: vec![at("wants/careen-resume.service"), at("careen-resume.service")],
            twin: Some(at("docker/careen-boot")),
        };
        for directory in ["var/lib/careen/transactions", "opt/careen/bin/00", "run/careen", "sbin", "docker"]
        {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("opt/careen/bin/00/careen-agent"), "program").unwrap();
        symlink(at("opt/careen/bin/00/careen-agent"), &places.link).unwrap();
        for file in ["careen-resume.service", "docker/careen-boot", "docker/somebodys"] {
            fs::write(at(file), "x").unwrap();
        }
        if let Some(journal) = journal {
            let transaction = at("var/lib/careen/transactions/one");
            fs::create_dir(&transaction).unwrap();
            fs::write(transaction.join(file::JOURNAL), journal).unwrap();
        }
        (base, places)
    }

    fn names(base: &tempfile::TempDir, belongings: &Belongings) -> Vec<String> {
        let prefix = format!("{}/", base.path().display());
        belongings.paths.iter().map(|path| path.trim_start_matches(&prefix).to_owned()).collect()
    }

    #[test]
    fn all_that_careen_made_goes_and_nothing_else() {
        let (base, places) = host(None);
        let told = places.uninstall(true).unwrap();
        let expected = [
            "careen-resume.service",
            "opt/careen/bin",
            "run/careen",
            "docker/careen-boot",
            "sbin/careen-agent",
            "var/lib/careen",
        ];
        assert_eq!(names(&base, &told), expected);
        assert!(told.bytes >= 9 && places.root.join("transactions").exists(), "a dry run removes nothing");
        let removed = places.uninstall(false).unwrap();
        assert_eq!((names(&base, &removed), removed.left.len()), (names(&base, &told), 0));
        let left: Vec<_> =
            fs::read_dir(base.path().join("docker")).unwrap().flatten().map(|one| one.file_name()).collect();
        assert_eq!(left, ["somebodys"]);
        assert!(!places.root.exists() && !base.path().join("opt/careen").exists());
        assert!(places.uninstall(false).unwrap().is_empty(), "a second time there is nothing");
    }

    #[test]
    fn what_somebody_else_put_beside_it_stays() {
        let (base, places) = host(None);
        fs::write(base.path().join("opt/careen/notes"), "x").unwrap();
        fs::remove_file(&places.link).unwrap();
        symlink("/usr/bin/true", &places.link).unwrap();
        places.uninstall(false).unwrap();
        assert!(base.path().join("opt/careen/notes").exists());
        assert!(!base.path().join("opt/careen/bin").exists());
        assert!(fs::symlink_metadata(&places.link).is_ok(), "a link to something else is not careen's");
    }

    #[test]
    fn a_directory_that_is_a_link_to_another_disk_stays_and_is_named() {
        let (base, places) = host(None);
        let disk = base.path().join("disk");
        fs::rename(&places.root, &disk).unwrap();
        symlink(&disk, &places.root).unwrap();
        let removed = places.uninstall(false).unwrap();
        let [left] = &removed.left[..] else { panic!("{removed:?}") };
        assert!(left.contains("it is empty, and stays"), "{left}");
        assert!(fs::read_dir(&disk).unwrap().next().is_none());
    }

    #[test]
    fn while_a_transaction_is_not_finished_or_cannot_be_read_nothing_is_removed() {
        for (journal, exit, why) in [
            ("", AgentExit::HostBusy, "is not finished"),
            ("?\n", AgentExit::Refused, "nobody knows whether"),
        ] {
            let (_base, places) = host(Some(journal));
            for dry_run in [true, false] {
                let stop = places.uninstall(dry_run).unwrap_err();
                assert_eq!(stop.exit, exit);
                assert!(stop.message.contains(why), "{}", stop.message);
                assert!(places.link.is_symlink() && places.units[1].exists());
            }
        }
        let (_base, places) = host(None);
        fs::create_dir(layout::enforcements(&places.root)).unwrap();
        let enforcing = Lock::try_take(&layout::enforcement_lock(&places.root, "app")).unwrap().unwrap();
        let stop = places.uninstall(true).unwrap_err();
        assert!(
            stop.exit == AgentExit::HostBusy && stop.message.contains("careen enforce stop app"),
            "{stop}"
        );
        drop(enforcing);
        assert!(places.uninstall(true).is_ok());
        let _agent = Lock::try_take(&layout::create_lock(&places.root)).unwrap().unwrap();
        assert!(places.uninstall(true).unwrap_err().message.contains("an agent is starting"));
    }

    /// An engine that has these containers.
    fn engine(containers: &'static str) -> (tempfile::TempDir, Engine) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (request, _) = careen_testing::request(&mut stream);
                let body = match request.split(' ').nth(1).unwrap_or_default() {
                    path if path.contains("/containers/json?") && path.contains("careen.role") => containers,
                    path if path.contains("/volumes?") => r#"{"Volumes":[{"Name":"careen-mark"}]}"#,
                    path if path.contains("/containers/json?") => "[]",
                    _ => "OK",
                };
                careen_testing::answer(stream, "200 OK", body.as_bytes());
            }
        });
        let engine = Engine::connect_to(&socket).unwrap();
        (directory, engine)
    }

    #[test]
    fn what_rollouts_left_in_the_engine_goes_and_a_person_is_refused_while_one_has_a_part_that_runs() {
        let (_directory, runs) = engine(r#"[{"Id":"0123456789abcdef","State":"running"}]"#);
        let refused = refuse_beside_a_rollout(&runs).unwrap_err();
        assert_eq!(refused.exit, AgentExit::HostBusy);
        assert!(refused.message.contains("the container 0123456789ab has a part"), "{}", refused.message);
        let (_directory, left) = engine(r#"[{"Id":"0123456789abcdef","State":"exited"}]"#);
        assert!(refuse_beside_a_rollout(&left).is_ok());
        for dry_run in [true, false] {
            let mut found = Belongings::default();
            remove_parts(&left, dry_run, &mut found);
            remove_marks(&left, dry_run, &mut found);
            assert_eq!(
                (found.containers, found.volumes),
                (vec!["0123456789ab".into()], vec!["careen-mark".into()])
            );
            assert!(found.left.is_empty(), "{:?}", found.left);
        }
    }
}
