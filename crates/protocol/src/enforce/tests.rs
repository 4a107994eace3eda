//! The enforcing agent's machine, rule by rule.

use super::schedule::{BACK_OFF, FIRST_WITHIN, LATEST, LOOKS_WITHIN, QUIET};
use super::*;
use careen_contract::TransactionId;

const INTERVAL: Duration = Duration::from_secs(1800);
const PATH: &str = "/etc/app.conf";

fn of() -> Of {
    let part = EnforcePart {
        name: "app".into(),
        version: "1".into(),
        interval: INTERVAL,
        owns: vec![PATH.into(), "/etc/app.d/".into()],
    };
    Of { part, run: String::new(), service: "s1".into(), boot: "b1".into(), node: "node-7".into() }
}

fn paths(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

fn drifts() -> Looked {
    Looked::Drift { output: "d1".into() }
}

fn fails() -> Looked {
    Looked::Fails { why: "'check' exited with status 1: E: x".into() }
}

fn ended(exit: u8) -> Installed {
    let why = format!("exited with status {exit}");
    Installed::Ended { exit, wants: None, why, lines: vec!["E: no room".into()] }
}

fn wants() -> Installed {
    let wants = Some("it needs a reboot".to_owned());
    Installed::Ended { exit: 246, wants, why: "did its work".into(), lines: Vec::new() }
}

/// One host: its clock, its disk, and what its agent does.
struct Host {
    machine: Enforcer,
    now: Duration,
    changed: BTreeSet<String>,
    lost: bool,
    not_written: Option<String>,
    life: String,
    disk: Option<EnforceMemory>,
    writes: usize,
    said: Vec<Standing>,
    act: EnforceAct,
}

impl Host {
    fn before(of: Of) -> Self {
        Self {
            machine: Enforcer::new(of),
            now: Duration::from_secs(10_000),
            changed: BTreeSet::new(),
            lost: false,
            not_written: None,
            life: "b1 4-7".into(),
            disk: None,
            writes: 0,
            said: Vec::new(),
            act: EnforceAct::Recall,
        }
    }

    fn begun() -> Self {
        let mut host = Self::before(of());
        host.remembers();
        host
    }

    /// In sync with this version.
    fn in_sync() -> Self {
        let mut host = Self::begun();
        host.looks(Looked::InSync);
        assert_eq!(host.state(), EnforceState::InSync);
        host.said.clear();
        host
    }

    /// The next agent on the same host.
    fn next_agent(&mut self, of: Of) {
        self.machine = Enforcer::new(of);
        self.said.clear();
        self.remembers();
    }

    fn remembers(&mut self) {
        let remembered =
            self.disk.clone().map_or(Remembered::Nothing, |disk| Remembered::Known(Box::new(disk)));
        self.step(Event::Remembered(remembered));
    }

    #[track_caller]
    fn step(&mut self, event: Event) {
        let beside = Beside {
            changed: std::mem::take(&mut self.changed),
            lost: std::mem::take(&mut self.lost),
            watch: PathWatch::Watched,
            not_written: self.not_written.clone(),
        };
        let unix_ms = 1_795_000_000_000 + u64::try_from(self.now.as_millis()).unwrap();
        let step = self.machine.step(event, beside, Now { since_boot: self.now, unix_ms }).unwrap();
        if let Some(memory) = step.write {
            self.writes += 1;
            if self.not_written.is_none() {
                self.disk = Some(*memory);
            }
        }
        self.said.extend(step.say.map(|standing| *standing));
        self.act = step.act;
    }

    fn state(&self) -> EnforceState {
        self.machine.memory.state
    }

    fn why(&self) -> &str {
        self.machine.why.as_deref().unwrap_or_default()
    }

    #[track_caller]
    fn until(&self) -> Duration {
        let EnforceAct::Wait { until } = self.act else { panic!("it does not wait: {:?}", self.act) };
        until
    }

    /// How long it is going to wait.
    #[track_caller]
    fn waits(&self) -> Duration {
        self.until().saturating_sub(self.now)
    }

    /// Time passes until it does something else than wait.
    #[track_caller]
    fn passes(&mut self) {
        for _ in 0..20 {
            let EnforceAct::Wait { until } = self.act else { return };
            self.now = self.now.max(until);
            self.step(Event::Woken);
        }
        panic!("it only waits");
    }

    /// A path changes while it waits.
    #[track_caller]
    fn changes(&mut self, path: &str) {
        self.changed = paths(&[path]);
        self.step(Event::Woken);
    }

    /// Its time comes, and `check` says this.
    #[track_caller]
    fn looks(&mut self, looked: Looked) {
        self.passes();
        assert_eq!(self.act, EnforceAct::Check);
        self.looked(looked);
    }

    #[track_caller]
    fn looked(&mut self, looked: Looked) {
        self.now += Duration::from_millis(300);
        self.step(Event::Looked { looked, life: self.life.clone() });
    }

    #[track_caller]
    fn installs(&mut self, installed: Installed) -> TransactionId {
        let EnforceAct::Install(id) = self.act.clone() else {
            panic!("nothing is installed: {:?}", self.act)
        };
        self.now += Duration::from_secs(2);
        self.step(Event::Installed(installed));
        id
    }

    /// Somebody changes a path, and that is mended.
    #[track_caller]
    fn is_mended(&mut self, path: &str) {
        self.changes(path);
        self.looks(drifts());
        self.installs(ended(0));
        assert_eq!(self.act, EnforceAct::Check);
        self.looked(Looked::InSync);
        assert_eq!(self.state(), EnforceState::InSync);
    }

    fn last(&self) -> &EnforcePass {
        self.machine.memory.last.as_ref().expect("a pass")
    }
}

#[test]
fn the_first_look_is_made_at_once_and_the_others_an_interval_apart_and_not_on_all_hosts_together() {
    let mut moments = BTreeSet::new();
    for node in 0..50 {
        let mut host = Host::before(Of { node: format!("node-{node}"), ..of() });
        host.remembers();
        assert_eq!(host.state(), EnforceState::Looking);
        assert!(host.waits() <= FIRST_WITHIN);
        moments.insert(host.waits());
        host.looks(Looked::InSync);
        for _ in 0..5 {
            let waits = host.waits();
            assert!(waits >= INTERVAL * 9 / 10 && waits <= INTERVAL * 11 / 10 + QUIET, "{waits:?}");
            moments.insert(waits);
            host.looks(Looked::InSync);
        }
    }
    assert!(moments.len() > 200, "they look together: {}", moments.len());
}

#[test]
fn a_version_that_comes_is_installed_and_that_is_no_mending() {
    let mut host = Host::begun();
    host.looks(drifts());
    assert_eq!((host.state(), host.why()), (EnforceState::Mending, "'check' found drift"));
    let id = host.installs(ended(0));
    host.looked(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
    assert_eq!((host.machine.memory.mended, host.last().corrective, host.last().exit), (0, false, 0));
    assert_eq!(host.last().transaction, id.to_string());
    let states: Vec<_> = host.said.iter().map(|said| said.state).collect();
    assert_eq!(states, [EnforceState::Looking, EnforceState::Mending, EnforceState::InSync]);
    host.is_mended(PATH);
    assert_eq!((host.machine.memory.mended, host.last().corrective), (1, true));
    assert_eq!(host.last().paths, [PATH]);
    // The pass took from when the change was seen: quiet, check, install, check.
    assert_eq!(host.last().took_ms, 500 + 300 + 2000 + 300);
}

#[test]
fn whether_drift_is_mended_or_a_version_comes_is_remembered_on_the_host() {
    let mut host = Host::in_sync();
    host.next_agent(of());
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert!(host.last().corrective, "this version was in sync here");
    let newer = EnforcePart { version: "2".into(), ..of().part };
    host.next_agent(Of { part: newer, ..of() });
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert!(!host.last().corrective && host.machine.memory.mended == 0);
}

#[test]
fn a_change_is_looked_at_when_it_is_quiet_and_at_the_latest_after_three_seconds() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    assert_eq!(host.waits(), QUIET);
    let since = host.now;
    for _ in 0..20 {
        if !matches!(host.act, EnforceAct::Wait { .. }) {
            break;
        }
        host.now += Duration::from_millis(300);
        host.changes(PATH);
    }
    assert_eq!(host.act, EnforceAct::Check);
    assert!(host.now - since >= LATEST && host.now - since < LATEST + QUIET);
    // What the kernel has lost may be anything: at once.
    let mut host = Host::in_sync();
    host.lost = true;
    host.step(Event::Woken);
    assert_eq!(host.act, EnforceAct::Check);
}

#[test]
fn what_an_install_changes_does_not_lead_to_another_look_and_what_comes_later_does() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.changed = paths(&[PATH, "/etc/app.d/"]);
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert!(host.waits() > INTERVAL / 2, "its own changes are nobody's: {:?}", host.waits());
    // Somebody changes it while the check behind the install runs.
    host.changes(PATH);
    host.looks(drifts());
    host.installs(ended(0));
    host.changed = paths(&[PATH]);
    host.looked(Looked::InSync);
    assert_eq!(host.waits(), QUIET);
    host.passes();
    assert_eq!(host.act, EnforceAct::Check);
}

#[test]
fn a_check_that_changes_what_it_looks_at_is_told_and_does_not_keep_the_host_looking() {
    let mut host = Host::in_sync();
    let mut looks = 0;
    host.passes();
    while host.act == EnforceAct::Check {
        looks += 1;
        host.changed = paths(&[PATH]);
        host.looked(Looked::InSync);
        if host.waits() > LATEST {
            break;
        }
        host.passes();
    }
    assert_eq!(looks, 2);
    let said = host.said.last().expect("it is told");
    assert_eq!(said.notes, [format!("'check' changes {PATH}: what changes during a check is not looked at")]);
    host.passes();
    host.changed = paths(&[PATH]);
    host.looked(Looked::InSync);
    assert!(host.waits() > INTERVAL / 2, "from now on it does not count");
    host.changes(PATH);
    assert_eq!(host.waits(), QUIET, "but between two checks it does");
}

#[test]
fn somebody_who_writes_while_a_check_runs_is_not_taken_for_the_check() {
    let mut host = Host::in_sync();
    for _ in 0..6 {
        host.changes(PATH);
        host.passes();
        host.changed = paths(&[PATH]);
        host.looked(Looked::InSync);
        host.changes(PATH);
        host.passes();
        host.looked(Looked::InSync);
    }
    assert!(host.said.iter().all(|said| said.notes.iter().all(|note| !note.contains("'check' changes"))));
}

#[test]
fn what_changes_all_the_time_is_looked_at_ten_times_a_minute_at_most() {
    let mut host = Host::in_sync();
    let (begun, mut looks) = (host.now, 0);
    while host.now < begun + Duration::from_secs(600) {
        host.changes("/etc/app.d/");
        if host.act == EnforceAct::Check {
            looks += 1;
            host.looked(Looked::InSync);
        } else {
            host.now += Duration::from_millis(400);
        }
    }
    assert!((60..=101).contains(&looks), "{looks} looks in ten minutes");
    assert!(host.said.len() < 15, "it is told, and not again and again: {}", host.said.len());
    assert!(host.said.iter().any(|said| said.notes.join("").contains("all the time")));
    assert!(host.waits() <= LOOKS_WITHIN, "a real change is still seen");
}

#[test]
fn the_same_drift_is_mended_twice_an_hour_and_then_left_and_said() {
    let mut host = Host::in_sync();
    for _ in 0..2 {
        host.is_mended(PATH);
        host.now += Duration::from_secs(600);
    }
    host.changes(PATH);
    host.looks(drifts());
    assert_eq!(host.state(), EnforceState::GaveUp);
    let why = host.why().to_owned();
    assert!(
        why.starts_with(&format!("{PATH} changed again after it was mended twice within an hour")),
        "{why}"
    );
    assert!(why.contains(&host.last().transaction) && why.contains("CAREEN_RUN"), "{why}");
    assert!(why.chars().count() <= 400, "it is cut: {}", why.chars().count());
    let said = host.said.len();
    for _ in 0..5 {
        host.looks(drifts());
        host.changes(PATH);
        host.looks(drifts());
    }
    assert_eq!(
        (host.state(), host.said.len()),
        (EnforceState::GaveUp, said),
        "it goes on looking and says nothing new"
    );
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
    host.is_mended(PATH);
}

#[test]
fn another_drift_and_one_that_is_an_hour_old_are_mended() {
    let mut host = Host::in_sync();
    for path in [PATH, "/etc/app.d/", PATH, "/etc/app.d/"] {
        host.is_mended(path);
    }
    let mut host = Host::in_sync();
    for _ in 0..8 {
        host.is_mended(PATH);
        host.now += MENDINGS_WITHIN / 2 + Duration::from_secs(1);
    }
    assert_eq!(host.machine.memory.mended, 8);
}

#[test]
fn where_no_path_has_changed_drift_is_the_same_when_check_prints_the_same() {
    let mut host = Host::in_sync();
    let prints = |output: &str| Looked::Drift { output: output.into() };
    for output in ["a", "b", "a", "b"] {
        host.looks(prints(output));
        host.installs(ended(0));
        host.looked(Looked::InSync);
        host.lost = true;
        host.step(Event::Woken);
    }
    host.looks(prints("a"));
    assert_eq!(host.state(), EnforceState::GaveUp);
}

#[test]
fn giving_up_is_remembered_and_ends_with_another_run_or_another_version() {
    let mut given_up = Host::in_sync();
    given_up.is_mended(PATH);
    given_up.is_mended(PATH);
    given_up.changes(PATH);
    given_up.looks(drifts());
    let disk = given_up.disk.clone();
    let newer = EnforcePart { version: "2".into(), ..of().part };
    for (of, mends) in [
        (of(), false),
        (Of { run: "again".into(), ..of() }, true),
        (Of { part: newer, ..of() }, true),
        (Of { service: "s2".into(), ..of() }, true),
    ] {
        let mut host = Host { disk: disk.clone(), ..Host::before(of.clone()) };
        host.next_agent(of);
        host.looks(drifts());
        assert_eq!(matches!(host.act, EnforceAct::Install(_)), mends, "{:?}", host.act);
    }
    // Behind a boot nobody knows how long ago it was mended; that it was given up is known.
    let mut host = Host { disk, ..Host::before(of()) };
    host.next_agent(Of { boot: "b2".into(), ..of() });
    host.looks(drifts());
    assert_eq!(host.state(), EnforceState::GaveUp);
}

#[test]
fn an_install_that_does_not_help_is_tried_later_and_then_left() {
    let mut host = Host::begun();
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::Drift { output: "less".into() });
    assert_eq!((host.state(), host.why()), (EnforceState::Failing, words::STILL_DRIFTS));
    assert_eq!(host.waits(), BACK_OFF);
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(drifts());
    assert_eq!(host.state(), EnforceState::GaveUp, "twice is enough");
}

#[test]
fn an_install_that_fails_is_tried_later_each_time_and_an_event_does_not_make_it_sooner() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    let mut waited = Vec::new();
    for _ in 0..6 {
        host.installs(ended(7));
        assert_eq!(host.state(), EnforceState::Failing);
        assert_eq!(host.why(), "'install' exited with status 7");
        assert_eq!((host.last().exit, host.last().lines.join("").as_str()), (7, "E: no room"));
        waited.push(host.waits().as_secs());
        host.changes(PATH);
        host.looks(drifts());
        assert_eq!(host.state(), EnforceState::Failing, "it is looked at, and not installed");
        host.looks(drifts());
    }
    assert_eq!(waited, [30, 60, 120, 240, 480, 960]);
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
    host.changes(PATH);
    host.looks(drifts());
    host.installs(ended(7));
    assert_eq!(host.waits(), BACK_OFF, "it begins anew");
}

#[test]
fn no_back_off_is_longer_than_the_interval() {
    let interval = Duration::from_secs(60);
    let mut host = Host::before(Of { part: EnforcePart { interval, ..of().part }, ..of() });
    host.remembers();
    host.looks(drifts());
    for _ in 0..6 {
        host.installs(ended(7));
        let failed = host.now;
        while !matches!(host.act, EnforceAct::Install(_)) {
            host.looks(drifts());
        }
        assert!(host.now - failed <= interval * 11 / 10 + Duration::from_secs(1), "{:?}", host.now - failed);
    }
}

#[test]
fn what_was_not_run_at_all_is_said_and_tried_again() {
    let mut host = Host::begun();
    host.looks(drifts());
    host.installs(Installed::Refused { why: "the file system is nearly full".into() });
    assert_eq!((host.state(), host.why()), (EnforceState::Failing, "the file system is nearly full"));
    assert!(host.machine.memory.last.is_none(), "nothing ran");
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
}

#[test]
fn a_check_that_fails_is_unknown_and_tried_later_each_time() {
    let mut host = Host::in_sync();
    let mut waited = Vec::new();
    for _ in 0..4 {
        host.looks(fails());
        assert_eq!((host.state(), host.why()), (EnforceState::Unknown, "'check' exited with status 1: E: x"));
        waited.push(host.waits().as_secs());
    }
    assert_eq!(waited, [30, 60, 120, 240]);
    assert_eq!(host.said.len(), 1, "it is told when it changes");
    // One that changes what it looks at does not make it sooner for ever.
    for _ in 0..2 {
        host.passes();
        host.changed = paths(&[PATH]);
        host.looked(fails());
    }
    assert!(host.waits() >= BACK_OFF, "{:?}", host.waits());
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
}

#[test]
fn what_only_a_rollout_brings_is_not_installed_again_until_the_drift_is_another() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.installs(wants());
    host.looked(Looked::Drift { output: "left".into() });
    assert_eq!((host.state(), host.why()), (EnforceState::NeedsRollout, "it needs a reboot"));
    let said = host.said.len();
    host.looks(Looked::Drift { output: "left".into() });
    host.changes(PATH);
    host.looks(drifts());
    assert_eq!((host.state(), host.said.len()), (EnforceState::NeedsRollout, said));
    host.next_agent(of());
    host.looks(Looked::Drift { output: "left".into() });
    assert_eq!(host.state(), EnforceState::NeedsRollout, "it is remembered");
    host.changes("/etc/app.d/");
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::Drift { output: "left".into() });
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync, "the rollout was there");
}

#[test]
fn what_check_does_not_see_is_missing_until_host_or_engine_were_started_anew() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.installs(wants());
    host.looked(Looked::InSync);
    assert_eq!(host.state(), EnforceState::NeedsRollout);
    assert_eq!(host.machine.memory.mended, 0);
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::NeedsRollout, "the same engine runs");
    host.life = "b1 5-9".into();
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
}

#[test]
fn a_busy_host_is_asked_again_and_then_looked_at_afresh() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.installs(Installed::Busy { why: "this host is busy with transaction t9".into() });
    assert_eq!((host.state(), host.why()), (EnforceState::HostBusy, "this host is busy with transaction t9"));
    let mut waited = Vec::new();
    for _ in 0..7 {
        waited.push(host.waits().as_secs());
        host.changed = paths(&["/etc/app.d/"]);
        host.step(Event::Woken);
        assert!(matches!(host.act, EnforceAct::Wait { .. }), "events do not ask sooner");
        host.passes();
        assert_eq!(host.act, EnforceAct::AskHost, "no pass while it is busy");
        host.step(Event::Host { holder: Some("t9".into()) });
    }
    assert_eq!(waited, [5, 10, 20, 40, 60, 60, 60]);
    assert!(host.said.len() <= 3, "{:?}", host.said);
    host.passes();
    host.step(Event::Host { holder: None });
    assert_eq!(host.act, EnforceAct::Check);
    host.looked(drifts());
    host.installs(ended(0));
    host.looked(Looked::InSync);
    assert_eq!(host.last().paths, ["/etc/app.conf", "/etc/app.d/"]);
}

#[test]
fn an_install_that_another_agent_began_is_followed_and_not_begun_again() {
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    let EnforceAct::Install(id) = host.act.clone() else { panic!("{:?}", host.act) };
    host.step(Event::ToldToLeave);
    assert_eq!(host.act, EnforceAct::Leave);
    host.next_agent(of());
    assert_eq!(host.act, EnforceAct::Rejoin(id.clone()));
    host.step(Event::Installed(ended(0)));
    host.looked(Looked::InSync);
    assert_eq!((host.machine.memory.mended, host.last().transaction.clone()), (1, id.to_string()));
    // One that was killed between writing that it will and doing it.
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.next_agent(of());
    host.step(Event::Installed(Installed::Lost));
    assert_eq!(host.act, EnforceAct::Check);
    // What another version began is that one's: this one waits for the host like anybody.
    let mut host = Host::in_sync();
    host.changes(PATH);
    host.looks(drifts());
    host.next_agent(Of { part: EnforcePart { version: "2".into(), ..of().part }, ..of() });
    assert_eq!(host.state(), EnforceState::Looking);
}

#[test]
fn it_leaves_whatever_it_does() {
    let told = |host: &mut Host| {
        let writes = host.writes;
        host.step(Event::ToldToLeave);
        assert_eq!((&host.act, host.writes), (&EnforceAct::Leave, writes));
    };
    told(&mut Host::begun());
    let mut checking = Host::begun();
    checking.passes();
    told(&mut checking);
    let mut unusable = Host::before(of());
    unusable.step(Event::Remembered(Remembered::Unusable { why: "corrupt".into() }));
    told(&mut unusable);
}

#[test]
fn what_a_host_remembers_and_cannot_be_used_keeps_it_from_being_mended_until_it_is_gone() {
    let mut host = Host::before(of());
    let unusable = || Event::Remembered(Remembered::Unusable { why: "x.json is corrupt".into() });
    host.step(unusable());
    for _ in 0..5 {
        assert_eq!((host.state(), host.why()), (EnforceState::Unknown, "x.json is corrupt"));
        assert!(host.waits() >= BACK_OFF);
        host.changes(PATH);
        assert!(matches!(host.act, EnforceAct::Wait { .. }), "nothing is looked at");
        host.passes();
        assert_eq!(host.act, EnforceAct::Recall);
        host.step(unusable());
    }
    assert_eq!((host.said.len(), host.writes), (1, 0), "and nothing is written over it");
    host.passes();
    host.remembers();
    host.looks(Looked::InSync);
    assert_eq!(host.state(), EnforceState::InSync);
}

#[test]
fn a_memory_that_cannot_be_written_is_told_and_written_later() {
    let mut host = Host::begun();
    host.not_written = Some("no room".into());
    host.looks(drifts());
    host.installs(ended(0));
    host.looked(Looked::InSync);
    let said = host.said.last().expect("told");
    assert!(said.notes[0].ends_with("cannot be written: no room") && said.state == EnforceState::InSync);
    host.not_written = None;
    host.looks(Looked::InSync);
    assert_eq!(host.disk.as_ref().map(|disk| disk.state), Some(EnforceState::InSync));
    assert!(host.said.last().is_some_and(|said| said.notes.is_empty()));
}

#[test]
fn it_is_written_and_said_only_when_it_changes() {
    let mut host = Host::in_sync();
    let writes = host.writes;
    for _ in 0..20 {
        host.looks(Looked::InSync);
    }
    host.changes(PATH);
    host.looks(Looked::InSync);
    assert_eq!((host.writes, host.said.len()), (writes, 0));
}

#[test]
fn what_cannot_come_now_is_an_error_and_changes_nothing() {
    let mut host = Host::begun();
    let before = host.machine.clone();
    let beside =
        Beside { changed: BTreeSet::new(), lost: false, watch: PathWatch::Watched, not_written: None };
    let now = Now { since_boot: host.now, unix_ms: 1 };
    let event = Event::Looked { looked: Looked::InSync, life: String::new() };
    let error = host.machine.step(event, beside, now).unwrap_err();
    assert_eq!(error.to_string(), "an enforcing agent that is 'waiting' cannot be told 'looked'");
    assert_eq!(host.machine, before);
}
