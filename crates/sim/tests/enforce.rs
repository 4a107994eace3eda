//! Two hundred hosts that drift at once, each with an enforcing agent: the shipped machine in virtual time, with hosts that are busy,
//! commands that fail, agents that are killed, memories that are lost, reboots, and something that changes the host back again and
//! again. Hosts know nothing of each other here, as in a real swarm: no agent writes anything to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use careen_contract::enforce_part::EnforcePart;
use careen_contract::standing::{EnforceState, PathWatch, Standing};
use careen_host::enforcement::EnforceMemory;
use careen_protocol::enforce::{Beside, EnforceAct, Enforcer, Event, Installed, Looked, Now, Of, Remembered};
use careen_sim::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const HOSTS: u64 = 200;
const INTERVAL: Duration = Duration::from_secs(600);
/// Nothing goes wrong any more from here on; two hours are left for all of it to end.
const CALM: Duration = Duration::from_secs(4 * 3600);
const END: Duration = Duration::from_secs(6 * 3600);
const OWNED: [&str; 3] = ["/etc/a.conf", "/etc/b.conf", "/etc/d/"];

/// What happens to a host from outside.
#[derive(Debug, Clone)]
enum Happens {
    /// Somebody changes these.
    Drift(BTreeSet<String>),
    /// Something changes that nobody watches.
    Unseen,
    /// The kernel loses events.
    Overflow,
    /// Another transaction has the host for so long.
    Busy(Duration),
    /// So many installs fail.
    InstallsFail(u32),
    /// `check` fails for so long.
    CheckFails(Duration),
    /// The agent is killed, and another one comes.
    AgentDies,
    /// The memory is lost with the agent.
    MemoryIsLost,
    /// The host is booted anew.
    Boots,
    /// A poll that ends early.
    WakesForNothing,
}

#[derive(Debug)]
struct Host {
    rng: Rng,
    node: String,
    now: Duration,
    boot: u32,
    drift: BTreeSet<String>,
    busy_until: Duration,
    check_fails_until: Duration,
    installs_fail: u32,
    /// Whether something changes the host back a while after it was mended, for ever.
    is_fought_over: bool,
    /// No `install` of this host ever works.
    never_works: bool,
    to_come: BTreeMap<(Duration, u64), Happens>,
    changed: BTreeSet<String>,
    lost: bool,
    machine: Enforcer,
    disk: Option<EnforceMemory>,
    said: Vec<(Duration, Standing)>,
    checks: u32,
    /// When what was mended, since the memory was lost last.
    mended: Vec<(Duration, BTreeSet<String>)>,
    installs: u32,
}

impl Host {
    fn new(number: u64, seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(1000).wrapping_add(number));
        let node = format!("node-{number}-{}", rng.number());
        let mut host = Self {
            machine: Enforcer::new(of(&node, 1)),
            rng,
            node,
            now: Duration::from_secs(100),
            boot: 1,
            drift: BTreeSet::new(),
            busy_until: Duration::ZERO,
            check_fails_until: Duration::ZERO,
            installs_fail: 0,
            is_fought_over: number % 20 == 3,
            never_works: number % 20 == 7,
            to_come: BTreeMap::new(),
            changed: BTreeSet::new(),
            lost: false,
            disk: None,
            said: Vec::new(),
            checks: 0,
            mended: Vec::new(),
            installs: 0,
        };
        host.plan();
        host
    }

    fn plan(&mut self) {
        // All of them at once, as after a careless change everywhere.
        let everywhere = Duration::from_secs(1200);
        self.comes(everywhere, Happens::Drift(BTreeSet::from([OWNED[0].to_owned()])));
        for _ in 0..self.rng.between(0, 14) {
            let at = Duration::from_millis(self.rng.between(100_000, CALM.as_secs() * 1000));
            let seconds = |rng: &mut Rng, most| Duration::from_secs(rng.between(1, most));
            let happens = match self.rng.between(0, 12) {
                0..=2 => Happens::Drift(BTreeSet::from([(*self.rng.pick(&OWNED)).to_owned()])),
                3 => Happens::Unseen,
                4 => Happens::Overflow,
                5 => Happens::Busy(seconds(&mut self.rng, 1800)),
                6 => Happens::InstallsFail(u32::try_from(self.rng.between(1, 6)).unwrap()),
                7 => Happens::CheckFails(seconds(&mut self.rng, 1800)),
                8 | 9 => Happens::AgentDies,
                10 => Happens::MemoryIsLost,
                11 => Happens::Boots,
                _ => Happens::WakesForNothing,
            };
            self.comes(at, happens);
        }
    }

    fn comes(&mut self, at: Duration, happens: Happens) {
        let number = self.rng.number();
        self.to_come.insert((at, number), happens);
    }

    /// Until the end of the history.
    fn live(&mut self) {
        let mut act = self.begin();
        while self.now < END || !matches!(act, EnforceAct::Wait { .. }) {
            act = match act {
                EnforceAct::Wait { until } => self.wait(until),
                EnforceAct::Check => self.check(),
                EnforceAct::Install(_) => self.install(),
                EnforceAct::Rejoin(_) => {
                    // It was killed before it began, or its supervisor went on.
                    let was_begun = self.rng.permille(500);
                    if was_begun { self.install() } else { self.step(Event::Installed(Installed::Lost)) }
                }
                EnforceAct::AskHost => {
                    let holder = (self.busy_until > self.now).then(|| "t9".to_owned());
                    self.step(Event::Host { holder })
                }
                EnforceAct::Recall => self.begin(),
                EnforceAct::Leave => panic!("{}: nobody told it to leave", self.node),
            };
        }
    }

    fn begin(&mut self) -> EnforceAct {
        let remembered =
            self.disk.clone().map_or(Remembered::Nothing, |disk| Remembered::Known(Box::new(disk)));
        self.step(Event::Remembered(remembered))
    }

    fn step(&mut self, event: Event) -> EnforceAct {
        let beside = Beside {
            changed: std::mem::take(&mut self.changed),
            lost: std::mem::take(&mut self.lost),
            watch: PathWatch::Watched,
            not_written: None,
        };
        let unix_ms = 1_795_000_000_000 + u64::try_from(self.now.as_millis()).unwrap();
        let now = Now { since_boot: self.now, unix_ms };
        let step =
            self.machine.step(event, beside, now).unwrap_or_else(|error| panic!("{}: {error}", self.node));
        if let Some(memory) = step.write {
            self.disk = Some(*memory);
        }
        let now = self.now;
        self.said.extend(step.say.map(|said| (now, *said)));
        step.act
    }

    /// What comes next, if it comes before this moment.
    fn next_before(&mut self, until: Duration) -> Option<Happens> {
        let first = self.to_come.first_entry().filter(|first| first.key().0 <= until)?;
        let ((at, _), happens) = first.remove_entry();
        self.now = self.now.max(at);
        Some(happens)
    }

    /// Applies it; whether the agent is another one now.
    fn happens(&mut self, happens: Happens) -> bool {
        match happens {
            Happens::Drift(paths) => {
                self.changed.extend(paths.iter().cloned());
                self.drift.extend(paths);
            }
            Happens::Unseen => drop(self.drift.insert("a sysctl".to_owned())),
            Happens::Overflow => self.lost = true,
            Happens::Busy(time) => self.busy_until = self.now + time,
            Happens::InstallsFail(times) => self.installs_fail = times,
            Happens::CheckFails(time) => self.check_fails_until = self.now + time,
            Happens::WakesForNothing => {}
            Happens::AgentDies | Happens::MemoryIsLost | Happens::Boots => {
                if matches!(happens, Happens::MemoryIsLost) {
                    self.disk = None;
                    self.mended.clear();
                }
                if matches!(happens, Happens::Boots) {
                    self.boot += 1;
                    self.mended.clear();
                }
                // What changes while there is no agent nobody sees.
                self.changed.clear();
                self.lost = false;
                self.machine = Enforcer::new(of(&self.node, self.boot));
                return true;
            }
        }
        false
    }

    fn wait(&mut self, until: Duration) -> EnforceAct {
        let Some(happens) = self.next_before(until.min(END)) else {
            self.now = self.now.max(until);
            return self.step(Event::Woken);
        };
        if self.happens(happens) {
            return self.begin();
        }
        let (is_told, before) = (!self.changed.is_empty() || self.lost, self.now);
        let act = self.step(Event::Woken);
        let is_due = is_told || before >= until;
        assert!(is_due || matches!(act, EnforceAct::Wait { .. }), "{}: {act:?} for nothing", self.node);
        act
    }

    /// Time in which a command runs; `true` when the agent is another one behind it.
    fn runs(&mut self, least_ms: u64, most_ms: u64) -> bool {
        let end = self.now + Duration::from_millis(self.rng.between(least_ms, most_ms));
        while let Some(happens) = self.next_before(end) {
            if self.happens(happens) {
                return true;
            }
        }
        self.now = end;
        false
    }

    fn check(&mut self) -> EnforceAct {
        self.checks += 1;
        // What it finds is how things are when it begins.
        let looked = if self.check_fails_until > self.now {
            Looked::Fails { why: "'check' exited with status 1".into() }
        } else if self.drift.is_empty() {
            Looked::InSync
        } else {
            Looked::Drift { output: format!("{:?}", self.drift) }
        };
        if self.runs(150, 900) {
            return self.begin();
        }
        let life = self.boot.to_string();
        self.step(Event::Looked { looked, life })
    }

    fn install(&mut self) -> EnforceAct {
        if self.busy_until > self.now {
            return self.step(Event::Installed(Installed::Busy { why: "busy with transaction t9".into() }));
        }
        self.installs += 1;
        let is_killed = self.runs(500, 9000);
        let works = !self.never_works && self.installs_fail == 0;
        self.installs_fail = self.installs_fail.saturating_sub(1);
        if works {
            let was = std::mem::take(&mut self.drift);
            self.changed.extend(OWNED.map(str::to_owned));
            if self.is_fought_over && self.now < CALM {
                let soon = self.now + Duration::from_secs(self.rng.between(20, 300));
                self.comes(soon, Happens::Drift(BTreeSet::from([OWNED[1].to_owned()])));
            }
            self.mended.push((self.now, was));
        }
        if is_killed {
            self.changed.clear();
            return self.begin();
        }
        let (exit, why) = if works { (0, "exited with status 0") } else { (1, "exited with status 1") };
        let ended = Installed::Ended { exit, wants: None, why: why.into(), lines: Vec::new() };
        self.step(Event::Installed(ended))
    }

    fn last(&self) -> &Standing {
        &self.said.last().unwrap().1
    }
}

fn of(node: &str, boot: u32) -> Of {
    let part = EnforcePart {
        name: "app".into(),
        version: "1".into(),
        interval: INTERVAL,
        owns: OWNED.map(str::to_owned).into(),
    };
    Of { part, run: String::new(), service: String::new(), boot: boot.to_string(), node: node.to_owned() }
}

fn fleet(seed: u64) -> Vec<Host> {
    let mut hosts: Vec<Host> = (0..HOSTS).map(|number| Host::new(number, seed)).collect();
    hosts.iter_mut().for_each(Host::live);
    hosts
}

#[test]
fn every_host_ends_in_sync_or_says_why_it_is_not() {
    for seed in 0..10 {
        let mut in_sync = 0;
        for host in fleet(seed) {
            let (state, why) = (host.last().state, host.last().why.clone());
            let told = format!("seed {seed}, {}: {state:?} {why:?}, drift {:?}", host.node, host.drift);
            match state {
                EnforceState::InSync => in_sync += 1,
                EnforceState::GaveUp => assert!(why.is_some_and(|why| why.contains("CAREEN_RUN")), "{told}"),
                EnforceState::Failing => assert!(host.never_works && why.is_some(), "{told}"),
                EnforceState::Looking
                | EnforceState::Mending
                | EnforceState::HostBusy
                | EnforceState::NeedsRollout
                | EnforceState::Unknown => panic!("{told}"),
            }
            assert_eq!(host.drift.is_empty(), state == EnforceState::InSync, "{told}");
            assert_eq!(host.disk.as_ref().map(|disk| disk.state), Some(state), "{told}");
        }
        assert!(in_sync > HOSTS * 3 / 4, "seed {seed}: only {in_sync} are in sync");
    }
}

#[test]
fn hosts_that_drift_at_once_are_mended_within_seconds_without_a_flood() {
    for seed in 0..10 {
        for host in fleet(seed) {
            let told = format!("seed {seed}, {}: {:#?}", host.node, host.said);
            assert!(host.said.len() <= 160, "{} lines in six hours: {told}", host.said.len());
            assert!(host.checks <= 250, "{} looks in six hours: {told}", host.checks);
            assert!(host.installs <= 80, "{} installs in six hours: {told}", host.installs);
        }
    }
    let calm = |number| {
        let mut host = Host::new(number, 4);
        host.to_come
            .retain(|_, happens| matches!(happens, Happens::Drift(paths) if paths.contains(OWNED[0])));
        host.to_come.retain(|(at, _), _| *at == Duration::from_secs(1200));
        host.live();
        host
    };
    for number in (0..HOSTS).filter(|number| ![3, 7].contains(&(number % 20))) {
        let host = calm(number);
        let mended = &host.last();
        assert_eq!((mended.state, mended.mended), (EnforceState::InSync, 1), "{:#?}", host.said);
        let at = host.said.last().unwrap().0;
        assert!(at < Duration::from_secs(1200 + 15), "{:#?}", host.said);
        // Looking and in sync at the beginning, mending and in sync again.
        assert!(host.said.len() == 4, "{:#?}", host.said);
        assert_eq!(host.installs, 1);
    }
}

#[test]
fn no_drift_is_mended_three_times_within_an_hour() {
    for seed in 0..10 {
        for host in fleet(seed) {
            for (at, drift) in &host.mended {
                // Several at once are another drift, and one that nobody saw is told by what `check` prints.
                let same = |(other, was): &&(Duration, BTreeSet<String>)| {
                    was == drift && *other <= *at && *at - *other < Duration::from_secs(3600)
                };
                let times = host.mended.iter().filter(same).count();
                // Once by its path, and once more by what check printed; and one that a host's first look found. A pass whose agent
                // was killed is not counted.
                assert!(
                    times <= 6,
                    "seed {seed}, {}: {drift:?} was mended {times} times: {:?}",
                    host.node,
                    host.mended
                );
            }
        }
    }
    let fought = (0..20).map(|round| {
        let mut host = Host::new(3 + 20 * (round % 10), round);
        host.to_come.retain(|(at, _), _| *at == Duration::from_secs(1200));
        host.live();
        host
    });
    for host in fought {
        let of_it = host.mended.iter().filter(|(_, was)| was.contains(OWNED[1])).count();
        assert_eq!((of_it, host.last().state), (2, EnforceState::GaveUp), "{:?}", host.mended);
    }
}

#[test]
fn the_same_seed_is_the_same_history() {
    let lines = || fleet(3).iter().map(|host| host.said.clone()).collect::<Vec<_>>();
    assert_eq!(lines(), lines());
}
