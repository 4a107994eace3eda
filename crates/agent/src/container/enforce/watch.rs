//! Watches the paths that a payload owns: a file through the directories that lead to it, so that it may be replaced, removed and
//! made anew with them; a directory with all that is in it.
//!
//! It is made once, and made anew where the way to a path has changed. What cannot be watched is told, and looked at from time to time.

use super::plan::{Interest, Plan};
use careen_contract::standing::PathWatch;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Directories that others write to tell of much that nobody asked for: they are listened to so often at most.
const REST: Duration = Duration::from_millis(200);

/// What changes on the way to a path may change again while it is looked at; so often it is looked at anew.
const MOST_TURNS: usize = 4;

/// What has changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Which of the owned paths.
    pub paths: BTreeSet<String>,
    /// Whether the kernel has lost some: then it may be any.
    pub lost: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.lost
    }

    pub fn add(&mut self, other: Self) {
        self.paths.extend(other.paths);
        self.lost |= other.lost;
    }
}

/// The watches that the kernel has given.
#[derive(Debug)]
struct Armed {
    inotify: Inotify,
    interests: BTreeMap<WatchDescriptor, Vec<Interest>>,
    plan: Plan,
    problem: Option<String>,
}

/// The owned paths of one payload.
#[derive(Debug)]
pub struct OwnedPaths {
    owns: Vec<String>,
    armed: Option<Armed>,
    /// Why there are none.
    problem: Option<String>,
    taken: Option<Instant>,
}

impl OwnedPaths {
    /// From here on no change is missed.
    pub fn watch(owns: Vec<String>) -> Self {
        let mut paths = Self { owns, armed: None, problem: None, taken: None };
        paths.arm();
        paths
    }

    /// How they are watched.
    pub fn how(&self) -> PathWatch {
        let problem = self.armed.as_ref().map_or(self.problem.as_ref(), |armed| armed.problem.as_ref());
        match (self.owns.is_empty(), problem) {
            (true, _) => PathWatch::Nothing,
            (false, None) => PathWatch::Watched,
            (false, Some(why)) => PathWatch::Interval { why: why.clone() },
        }
    }

    /// What to wait for, unless it rests; until when it does.
    pub fn fd(&self) -> Result<Option<BorrowedFd<'_>>, Instant> {
        let rests = self.taken.map(|taken| taken + REST).filter(|until| *until > Instant::now());
        match (rests, &self.armed) {
            (Some(until), Some(_)) => Err(until),
            (_, armed) => Ok(armed.as_ref().map(|armed| armed.inotify.as_fd())),
        }
    }

    /// Looks whether the way to the paths is as it was, and whether what could not be watched now can.
    pub fn refresh(&mut self) -> Changes {
        let is_as_it_was = self
            .armed
            .as_ref()
            .is_some_and(|armed| armed.problem.is_none() && armed.plan == Plan::of(&self.owns));
        if self.owns.is_empty() || is_as_it_was { Changes::default() } else { self.arm() }
    }

    /// Takes the changes that came since the last call.
    pub fn take(&mut self) -> Changes {
        let Some(armed) = &self.armed else { return Changes::default() };
        let (mut changes, is_elsewhere) = armed.take(&self.owns);
        self.taken = Some(Instant::now());
        if is_elsewhere {
            changes.add(self.arm());
        }
        changes
    }

    /// Watches everything anew. The new watches are there before the old ones are read for the last time.
    fn arm(&mut self) -> Changes {
        let mut changes = Changes::default();
        if self.owns.is_empty() {
            return changes;
        }
        for _ in 0..MOST_TURNS {
            let before = self.armed.take();
            match Armed::new(Plan::of(&self.owns)) {
                Ok(armed) => self.armed = Some(armed),
                Err(errno) => self.problem = Some(no_instance(errno)),
            }
            let is_elsewhere = before.is_some_and(|before| {
                let (taken, is_elsewhere) = before.take(&self.owns);
                changes.add(taken);
                is_elsewhere
            });
            let is_as_planned = self.armed.as_ref().is_none_or(|armed| armed.plan == Plan::of(&self.owns));
            if !is_elsewhere && is_as_planned {
                break;
            }
        }
        changes
    }
}

impl Armed {
    fn new(plan: Plan) -> Result<Self, Errno> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut interests: BTreeMap<WatchDescriptor, Vec<Interest>> = BTreeMap::new();
        let mut problem = plan.problem.clone();
        for (directory, wanted) in &plan.directories {
            match inotify.add_watch(directory, mask(wanted)) {
                // Two ways to one directory have one watch.
                Ok(watch) => interests.entry(watch).or_default().extend(wanted.iter().cloned()),
                // It went away just now: the one that it lay in tells of that.
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => {
                    let why = no_watch(errno, &directory.display().to_string());
                    problem.get_or_insert(why);
                    if errno == Errno::ENOSPC {
                        break;
                    }
                }
            }
        }
        Ok(Self { inotify, interests, plan, problem })
    }

    /// The changes, and whether other directories are to be watched now.
    fn take(&self, owns: &[String]) -> (Changes, bool) {
        let (mut changes, mut is_elsewhere) = (Changes::default(), false);
        while let Ok(events) = self.inotify.read_events()
            && !events.is_empty()
        {
            for event in &events {
                is_elsewhere |= self.one(event, owns, &mut changes);
            }
        }
        (changes, is_elsewhere)
    }

    fn one(&self, event: &InotifyEvent, owns: &[String], changes: &mut Changes) -> bool {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            changes.lost = true;
            return true;
        }
        let is_gone = event.mask.intersects(GONE);
        let moves = event.mask.intersects(ENTRIES);
        let is_directory = event.mask.contains(AddWatchFlags::IN_ISDIR);
        let mut is_elsewhere = false;
        let interests = self.interests.get(&event.wd).into_iter().flatten();
        for interest in interests.filter(|interest| is_gone || interest.means(event.name.as_deref())) {
            changes.paths.extend(owns.get(interest.owned).cloned());
            // What appears may be a directory or a link.
            is_elsewhere |=
                is_gone || interest.leads_there || moves && (is_directory || interest.name.is_some());
        }
        is_elsewhere
    }
}

/// A directory comes or goes.
const ENTRIES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_MOVED_TO);

/// The watched directory itself is not there any more.
const GONE: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_UNMOUNT)
    .union(AddWatchFlags::IN_IGNORED);

fn mask(interests: &[Interest]) -> AddWatchFlags {
    let gone = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
    // Two ways may lead to one directory, and each wants its own of that one watch.
    let in_addition = AddWatchFlags::from_bits_retain(nix::libc::IN_MASK_ADD);
    let always = ENTRIES | gone | AddWatchFlags::IN_ONLYDIR | in_addition;
    let contents = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_ATTRIB;
    if interests.iter().all(|interest| interest.leads_there) { always } else { always | contents }
}

fn no_watch(errno: Errno, directory: &str) -> String {
    if errno == Errno::ENOSPC {
        return "the kernel gives no more watches (sysctl fs.inotify.max_user_watches)".to_owned();
    }
    format!("{directory} cannot be watched: {}", errno.desc())
}

fn no_instance(errno: Errno) -> String {
    if errno == Errno::EMFILE {
        return "the kernel gives no more watching (sysctl fs.inotify.max_user_instances)".to_owned();
    }
    format!("the kernel does not watch: {}", errno.desc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    struct World {
        base: tempfile::TempDir,
        paths: OwnedPaths,
    }

    impl World {
        /// With these directories and files, of which these are owned.
        fn new(there: &[&str], owns: &[&str]) -> Self {
            let base = tempfile::tempdir().unwrap();
            for path in there {
                let at = base.path().join(path);
                if path.ends_with('/') {
                    fs::create_dir_all(at).unwrap();
                } else {
                    fs::create_dir_all(at.parent().unwrap()).unwrap();
                    fs::write(at, "x").unwrap();
                }
            }
            let owned = |path: &&str| format!("{}/{path}", base.path().display());
            let paths = OwnedPaths::watch(owns.iter().map(owned).collect());
            Self { base, paths }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.base.path().join(path)
        }

        /// Which of the owned paths have changed, without the base.
        #[track_caller]
        fn taken(&mut self) -> Vec<String> {
            let Changes { paths, lost } = self.paths.take();
            assert!(!lost);
            let base = format!("{}/", self.base.path().display());
            paths.iter().map(|path| path.trim_start_matches(&base).to_owned()).collect()
        }
    }

    fn replace(path: &Path) {
        fs::write(path.with_extension("new"), "y").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }

    #[test]
    fn a_file_is_seen_written_replaced_removed_made_and_with_another_mode() {
        use std::os::unix::fs::PermissionsExt;
        let mut world = World::new(&["etc/a.conf", "etc/other"], &["etc/a.conf"]);
        assert_eq!(world.paths.how(), PathWatch::Watched);
        assert!(world.taken().is_empty());
        let file = world.at("etc/a.conf");
        let mode = |file: &PathBuf| fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        type Act<'a> = &'a dyn Fn(&PathBuf);
        let acts: [(&str, Act<'_>); 5] = [
            ("written", &|file| fs::write(file, "y").unwrap()),
            ("replaced", &|file| replace(file)),
            ("removed", &|file| fs::remove_file(file).unwrap()),
            ("made", &|file| fs::write(file, "z").unwrap()),
            ("closed", &mode),
        ];
        for (what, act) in acts {
            act(&file);
            assert_eq!(world.taken(), ["etc/a.conf"], "{what}");
            assert!(world.taken().is_empty(), "{what}: told once");
        }
        fs::write(world.at("etc/other"), "y").unwrap();
        assert!(
            fs::read(&file).is_ok() && world.taken().is_empty(),
            "what is nobody's, and reading, is no change"
        );
    }

    #[test]
    fn a_path_of_which_nothing_is_there_yet_is_seen_when_it_comes_and_goes_and_comes_again() {
        let mut world = World::new(&["etc/"], &["etc/app/conf.d/a.conf"]);
        let file = world.at("etc/app/conf.d/a.conf");
        for turn in 0..3 {
            fs::create_dir(world.at("etc/app")).unwrap();
            assert_eq!(world.taken().len(), 1, "{turn}: its directory comes");
            fs::create_dir(world.at("etc/app/conf.d")).unwrap();
            assert_eq!(world.taken().len(), 1, "{turn}: the next one");
            fs::write(&file, "x").unwrap();
            assert_eq!(world.taken().len(), 1, "{turn}: the file");
            fs::write(&file, "y").unwrap();
            assert_eq!(world.taken().len(), 1, "{turn}: it changes");
            fs::remove_dir_all(world.at("etc/app")).unwrap();
            assert_eq!(world.taken().len(), 1, "{turn}: all of it goes");
        }
    }

    #[test]
    fn all_of_it_made_at_once_is_not_missed_and_a_directory_in_its_place_is_another() {
        let mut world = World::new(&["etc/"], &["etc/app/a.conf"]);
        fs::create_dir(world.at("etc/app")).unwrap();
        fs::write(world.at("etc/app/a.conf"), "x").unwrap();
        assert_eq!(world.taken().len(), 1);
        fs::create_dir(world.at("etc/spare")).unwrap();
        fs::write(world.at("etc/spare/a.conf"), "spare").unwrap();
        fs::rename(world.at("etc/app"), world.at("etc/gone")).unwrap();
        fs::rename(world.at("etc/spare"), world.at("etc/app")).unwrap();
        assert_eq!(world.taken().len(), 1);
        fs::write(world.at("etc/app/a.conf"), "y").unwrap();
        assert_eq!(world.taken().len(), 1, "the new one is watched");
        fs::write(world.at("etc/gone/a.conf"), "y").unwrap();
        assert!(world.taken().is_empty(), "the old one is not");
    }

    #[test]
    fn a_directory_is_seen_with_all_that_comes_into_it() {
        let mut world = World::new(&["etc/app.d/sub/", "etc/app.d.bak/"], &["etc/app.d/"]);
        for path in ["etc/app.d/a", "etc/app.d/sub/b"] {
            fs::write(world.at(path), "x").unwrap();
            assert_eq!(world.taken(), ["etc/app.d/"], "{path}");
        }
        fs::create_dir_all(world.at("etc/app.d/new/deep")).unwrap();
        assert_eq!(world.taken(), ["etc/app.d/"]);
        fs::write(world.at("etc/app.d/new/deep/c"), "x").unwrap();
        assert_eq!(world.taken(), ["etc/app.d/"], "new directories are watched, too");
        fs::rename(world.at("etc/app.d/new"), world.at("etc/app.d.bak/new")).unwrap();
        assert_eq!(world.taken(), ["etc/app.d/"]);
        fs::write(world.at("etc/app.d.bak/new/deep/c"), "y").unwrap();
        assert!(world.taken().is_empty(), "what was moved away is nobody's");
    }

    #[test]
    fn a_link_is_watched_as_itself_and_where_it_leads() {
        use std::os::unix::fs::symlink;
        let mut world = World::new(&["etc/", "opt/one/a.conf", "opt/two/a.conf"], &["etc/app/a.conf"]);
        symlink(world.at("opt/one"), world.at("etc/app")).unwrap();
        assert_eq!(world.taken().len(), 1, "the link comes");
        replace(&world.at("opt/one/a.conf"));
        assert_eq!(world.taken().len(), 1, "what it leads to");
        fs::remove_file(world.at("etc/app")).unwrap();
        symlink(world.at("opt/two"), world.at("etc/app")).unwrap();
        assert_eq!(world.taken().len(), 1, "it leads elsewhere");
        fs::write(world.at("opt/two/a.conf"), "y").unwrap();
        assert_eq!(world.taken().len(), 1);
        fs::write(world.at("opt/one/a.conf"), "y").unwrap();
        assert!(world.taken().is_empty(), "it leads there no more");
    }

    #[test]
    fn what_is_owned_twice_or_lies_in_one_directory_is_told_apart() {
        let mut world = World::new(&["etc/a", "etc/b", "etc/d/c"], &["etc/a", "etc/b", "etc/d/"]);
        fs::write(world.at("etc/b"), "y").unwrap();
        fs::write(world.at("etc/d/c"), "y").unwrap();
        assert_eq!(world.taken(), ["etc/b", "etc/d/"]);
    }

    #[test]
    fn descriptors_do_not_grow_however_often_it_is_watched_anew() {
        let count = || fs::read_dir("/proc/self/fd").unwrap().count();
        let mut world = World::new(&["etc/app/a"], &["etc/app/a", "etc/app/b/c"]);
        let before = count();
        for _ in 0..50 {
            fs::create_dir(world.at("etc/app/b")).unwrap();
            assert!(!world.taken().is_empty());
            fs::remove_dir(world.at("etc/app/b")).unwrap();
            assert!(!world.taken().is_empty());
            assert!(world.paths.refresh().is_empty());
        }
        // Other tests of this process open and close some meanwhile.
        assert!(count() < before + 40, "{before} and then {}", count());
    }

    #[test]
    fn what_tells_of_no_changes_and_what_is_too_much_is_said() {
        let silent = OwnedPaths::watch(vec!["/proc/sys/kernel/panic".into()]);
        assert!(matches!(silent.how(), PathWatch::Interval { why } if why.contains("on proc")));
        assert_eq!(OwnedPaths::watch(Vec::new()).how(), PathWatch::Nothing);
        let base = tempfile::tempdir().unwrap();
        for number in 0..=super::super::plan::MOST_WATCHES {
            fs::create_dir(base.path().join(number.to_string())).unwrap();
        }
        let many = OwnedPaths::watch(vec![format!("{}/", base.path().display())]);
        let PathWatch::Interval { why } = many.how() else { panic!("{:?}", many.how()) };
        assert!(why.contains("too many directories") || why.contains("no more watches"), "{why}");
    }

    #[test]
    fn after_it_was_listened_to_it_rests_for_a_moment() {
        let mut world = World::new(&["etc/a"], &["etc/a"]);
        assert!(world.paths.fd().is_ok_and(|fd| fd.is_some()));
        world.taken();
        assert!(world.paths.fd().is_err());
        assert!(OwnedPaths::watch(Vec::new()).fd().is_ok_and(|fd| fd.is_none()), "nothing to listen to");
    }
}
