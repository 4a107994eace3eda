//! When an enforcing agent looks at its host next.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Within this much the first look is made, at a moment of each host's own: an engine that comes back starts all its containers.
pub(super) const FIRST_WITHIN: Duration = Duration::from_secs(5);

/// So long nothing may change before a change is looked at: whoever replaces files writes several.
pub(super) const QUIET: Duration = Duration::from_millis(500);

/// So long a change waits for that at most.
pub(super) const LATEST: Duration = Duration::from_secs(3);

/// How long the first back-off lasts; each further one is twice as long, up to the interval.
pub(super) const BACK_OFF: Duration = Duration::from_secs(30);

/// When a busy host is asked again: at first, and at last.
const BUSY_FIRST: Duration = Duration::from_secs(5);
const BUSY_LAST: Duration = Duration::from_secs(60);

/// So many looks for the sake of changed paths are made in this time at most. A file that something writes all the time would keep
/// the host looking all the time.
pub(super) const MOST_LOOKS: usize = 10;
pub(super) const LOOKS_WITHIN: Duration = Duration::from_secs(60);

/// Why a look is made: nothing but the time, or these changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cause {
    /// The owned paths that have changed.
    pub paths: BTreeSet<String>,
    /// When the first of them did, or the kernel lost changes.
    pub since: Option<Duration>,
    /// Whether all of it came while the `check` before was at work, so that the `check` may have made it.
    pub beside_a_check: bool,
}

impl Cause {
    /// Whether nobody but a `check` can have changed anything.
    pub fn is_quiet(&self) -> bool {
        self.since.is_none() || self.beside_a_check
    }
}

/// Which moments are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    interval: Duration,
    random: u64,
    look_at: Duration,
    cause: Cause,
    /// When the last change came.
    last: Duration,
    /// Whether it is looked at without waiting for quiet.
    at_once: bool,
    /// Looks for the sake of changes.
    looks: VecDeque<Duration>,
    /// Before this moment nothing is installed, and then it is looked at.
    retry_at: Option<Duration>,
    /// The host was busy so often, and is asked then.
    busy: Option<(u32, Duration)>,
}

impl Schedule {
    /// `seed` is the host's own: hosts with different ones look at different moments.
    pub fn new(interval: Duration, seed: u64) -> Self {
        Self {
            interval,
            random: seed,
            look_at: Duration::MAX,
            cause: Cause::default(),
            last: Duration::ZERO,
            at_once: false,
            looks: VecDeque::new(),
            retry_at: None,
            busy: None,
        }
    }

    /// The first look is due soon.
    pub fn begin(&mut self, now: Duration) {
        let within = u64::try_from(FIRST_WITHIN.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        self.look_at = now + Duration::from_millis(self.draw() % within);
    }

    /// What is waited for.
    pub fn until(&self) -> Duration {
        if let Some((_, at)) = self.busy {
            return at;
        }
        [Some(self.look_at), self.retry_at, self.changes_due()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.look_at)
    }

    fn changes_due(&self) -> Option<Duration> {
        let since = self.cause.since?;
        let due = if self.at_once { since } else { (self.last + QUIET).min(since + LATEST) };
        let crowded = self.looks.front().filter(|_| self.looks.len() >= MOST_LOOKS);
        Some(crowded.map_or(due, |first| due.max(*first + LOOKS_WITHIN)))
    }

    /// Paths have changed, or the kernel has lost changes.
    pub fn changed(&mut self, paths: &BTreeSet<String>, lost: bool, beside_a_check: bool, now: Duration) {
        if paths.is_empty() && !lost {
            return;
        }
        self.cause.beside_a_check =
            beside_a_check && (self.cause.since.is_none() || self.cause.beside_a_check);
        self.cause.since.get_or_insert(now);
        self.cause.paths.extend(paths.iter().cloned());
        self.at_once |= lost;
        self.last = now;
    }

    /// It is looked at now, for this cause.
    pub fn take_cause(&mut self, now: Duration) -> Cause {
        let cause = std::mem::take(&mut self.cause);
        self.at_once = false;
        while self.looks.front().is_some_and(|first| *first + LOOKS_WITHIN <= now) {
            self.looks.pop_front();
        }
        if cause.since.is_some() && self.looks.len() < MOST_LOOKS {
            self.looks.push_back(now);
        }
        cause
    }

    /// Whether paths change so often that looks are put off.
    pub fn is_crowded(&self) -> bool {
        self.looks.len() >= MOST_LOOKS
    }

    /// The look has led to something: it is none of those of which there may be too many.
    pub fn was_worth_it(&mut self) {
        self.looks.pop_back();
    }

    /// The next look is an interval away, more or less.
    pub fn looked(&mut self, now: Duration) {
        let tenth = self.interval / 10;
        let millis =
            u64::try_from(tenth.as_millis()).unwrap_or(u64::MAX / 4).saturating_mul(2).saturating_add(1);
        self.look_at =
            now + self.interval.saturating_sub(tenth) + Duration::from_millis(self.draw() % millis);
    }

    /// Nobody can tell, for the n-th time in a row: later each time. What is installed then is installed at once.
    pub fn look_later(&mut self, times: u32, now: Duration) {
        self.retry_at = None;
        self.look_at = now + self.back_off(times);
    }

    /// Nothing is installed for a while, because it failed for the n-th time in a row.
    pub fn install_later(&mut self, times: u32, now: Duration) {
        self.retry_at = Some(now + self.back_off(times));
    }

    /// Whether something may be installed now.
    pub fn may_install(&self, now: Duration) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// Nothing has to be tried again.
    pub fn settled(&mut self) {
        self.retry_at = None;
    }

    /// Another transaction has the host.
    pub fn host_is_busy(&mut self, now: Duration) {
        let times = self.busy.map_or(0, |(times, _)| times + 1);
        let wait = doubled(BUSY_FIRST, times, BUSY_LAST);
        self.busy = Some((times, now + wait));
    }

    /// Whether the host was busy when it was asked last.
    pub fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// The host is free.
    pub fn host_is_free(&mut self) {
        self.busy = None;
    }

    fn back_off(&self, times: u32) -> Duration {
        doubled(BACK_OFF.min(self.interval), times.saturating_sub(1), self.interval)
    }

    /// The next number of splitmix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(most)
}

/// A host's seed, from its node's id.
pub(super) fn seed(id: &str) -> u64 {
    // FNV-1a: the same in every version of everything.
    id.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether `check` itself changes what it looks at: nobody else does that just then, twice in a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SelfMade {
    times: u32,
    paths: BTreeSet<String>,
}

impl SelfMade {
    /// Whether that is known, so that what changes during a check does not count.
    pub fn is_known(&self) -> bool {
        self.times >= 2
    }

    /// The paths that it changes.
    pub fn paths(&self) -> Option<&BTreeSet<String>> {
        self.is_known().then_some(&self.paths)
    }

    /// A check has ended, during which these have changed. `quiet` is whether nothing else had. Whether that settles it.
    pub fn saw(&mut self, changed: &BTreeSet<String>, quiet: bool) -> bool {
        if self.is_known() {
            return true;
        }
        if changed.is_empty() || !quiet {
            *self = Self::default();
            return false;
        }
        self.times += 1;
        self.paths.extend(changed.iter().cloned());
        self.is_known()
    }
}
