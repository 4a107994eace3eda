//! The agents' reports, out of their tasks' logs.
//!
//! A call for the log of a task on a frozen node hangs, so each has a thread and a time limit of its own, and a look
//! waits only a moment for them: what comes later rings, and is in the next look. What was read is kept by task. A log is read
//! again at once when it is followed and a report comes, and otherwise not before some time has passed: who follows may be told
//! late, twice, or nothing.

use crate::logs::last_report;
use careen_contract::report::MARK;
use careen_engine::{ApiPath, Bell, Engine, LogQuery, Ringer};
use careen_planner::observed::{Report, Said};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How many of a log's last lines are asked for first. Lines of both streams count, whichever is asked for: behind a
/// command that prints a lot the last report is further back.
const TAIL: u32 = 2000;

/// How long one log may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How long a look waits for the logs that it began to read. A log that can be read comes within some hundredths; that of a
/// container which is starting when it runs, up to a second later.
const GRACE: Duration = Duration::from_millis(200);

/// How many logs are read at a time.
const AT_A_TIME: usize = 16;

/// When a log is read again.
const SOON: Duration = Duration::from_secs(1);

/// When it is, if it could not be read.
const LATER: Duration = Duration::from_secs(10);

/// So many times as long as the last reading took is waited before the next, up to [`LATER`]: a command that prints a lot has
/// a long log.
const REST: u32 = 10;

/// How many logs are followed at a time. The others are read by the clock.
const MOST_FOLLOWED: usize = 64;

/// The log of a task that is over may be gone with its container: it is not asked for more often than this.
const LAST_TRIES: u32 = 3;

/// A task whose log may have something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub task: String,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// Whether it has ended: its log grows no more.
    pub over: bool,
    /// Whether its node can be asked.
    pub reachable: bool,
}

/// What came of reading one log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    /// The last report in it, and how long it took to find.
    Said(Report, Duration),
    /// It has none, and how long it took to see that. The engine holds the first answer back while a container starts: that does
    /// not count.
    Nothing(Duration),
    /// It could not be read, or not in time.
    Failed,
}

#[derive(Debug, Default)]
struct Entry {
    said: Option<Report>,
    reading: bool,
    /// Whether there was news while it was read.
    stirred: bool,
    /// Whether the task was over when the reading began that is under way, or was the last.
    over: bool,
    next: Duration,
    last_tries: u32,
}

/// When which log is read, and what is known. Pure.
#[derive(Debug, Default)]
struct Cache {
    entries: BTreeMap<String, Entry>,
}

impl Cache {
    /// The logs that are to be read now.
    fn due(&mut self, sources: &[Source], now: Duration) -> Vec<Source> {
        self.entries.retain(|task, _| sources.iter().any(|source| source.task == *task));
        let reading = self.entries.values().filter(|entry| entry.reading).count();
        let mut due: Vec<&Source> = sources.iter().filter(|source| self.is_due(source, now)).collect();
        // Who waits longest comes first.
        due.sort_by_key(|source| self.entries.get(&source.task).map(|entry| entry.next));
        due.truncate(AT_A_TIME.saturating_sub(reading));
        let due: Vec<Source> = due.into_iter().cloned().collect();
        for source in &due {
            let entry = self.entries.entry(source.task.clone()).or_default();
            entry.reading = true;
            entry.over = source.over;
            entry.last_tries += u32::from(source.over);
        }
        due
    }

    fn is_due(&self, source: &Source, now: Duration) -> bool {
        let Some(entry) = self.entries.get(&source.task) else { return source.reachable };
        let through = entry.said.as_ref().is_some_and(is_last) || entry.last_tries >= LAST_TRIES;
        // Its last word is wanted at once: without it the agent counts as lost, and another one is placed.
        let ended = source.over && !entry.over;
        source.reachable && !entry.reading && !through && (ended || now >= entry.next)
    }

    fn take(&mut self, task: &str, read: Read, now: Duration) {
        let Some(entry) = self.entries.get_mut(task) else { return };
        entry.reading = false;
        let rest = match &read {
            Read::Said(_, took) | Read::Nothing(took) => (*took * REST).clamp(SOON, LATER),
            Read::Failed => LATER,
        };
        entry.next = now + if std::mem::take(&mut entry.stirred) { Duration::ZERO } else { rest };
        match read {
            Read::Said(said, _) => entry.said = Some(said),
            Read::Nothing(_) | Read::Failed => {}
        }
    }

    /// Somebody who follows a log was told of a report.
    fn stir(&mut self, task: &str, now: Duration) {
        let Some(entry) = self.entries.get_mut(task) else { return };
        entry.stirred |= entry.reading;
        entry.next = entry.next.min(now);
    }

    /// Whether a log is worth following: more may come.
    fn is_followed(&self, source: &Source) -> bool {
        let through = |entry: &Entry| entry.said.as_ref().is_some_and(is_last);
        source.reachable && !source.over && !self.entries.get(&source.task).is_some_and(through)
    }

    fn is_reading(&self) -> bool {
        self.entries.values().any(|entry| entry.reading)
    }

    /// What a task said last. What it said on its way counts only while it runs and its node can be asked: of a task
    /// that is gone nobody knows how far it came.
    fn said(&self, source: &Source) -> Option<&Report> {
        let said = self.entries.get(&source.task)?.said.as_ref()?;
        (is_last(said) || (!source.over && source.reachable)).then_some(said)
    }
}

/// Whether an agent says nothing more after this that anybody waits for: another one takes its place.
fn is_last(report: &Report) -> bool {
    match &report.said {
        Said::Finished { .. } | Said::Cancelled { .. } | Said::Revoked | Said::NotBegun | Said::Forgotten => {
            true
        }
        Said::Busy { .. }
        | Said::Copied { .. }
        | Said::Preparing
        | Said::Prepared { .. }
        | Said::Running { .. }
        | Said::WantsRestart { .. }
        | Said::Restarting { .. }
        | Said::Verifying => false,
    }
}

/// Reads the logs.
#[derive(Debug)]
pub struct Reports {
    engine: Arc<Engine>,
    cache: Cache,
    /// Those that are followed, by task.
    followed: BTreeMap<String, Ringer>,
    bell: Option<Bell>,
    sender: Sender<(String, Read)>,
    receiver: Receiver<(String, Read)>,
    /// Whether nobody waits any more for what is being read.
    late: Arc<AtomicBool>,
    start: Instant,
}

impl Reports {
    /// Nothing is read yet. With a bell logs are followed, and it rings when one is worth reading.
    pub fn new(engine: Arc<Engine>, bell: Option<Bell>) -> Self {
        let (sender, receiver) = channel();
        let (cache, followed, late) = (Cache::default(), BTreeMap::new(), Arc::default());
        Self { engine, cache, followed, bell, sender, receiver, late, start: Instant::now() }
    }

    /// What these tasks said last, as far as it can be read now, in the same order.
    pub fn look(&mut self, sources: &[Source]) -> Vec<Option<Report>> {
        self.late.store(false, Ordering::SeqCst);
        self.take_what_came();
        self.follow(sources);
        let now = self.start.elapsed();
        for (task, _) in self.followed.iter().filter(|(_, ringer)| ringer.rang()) {
            self.cache.stir(task, now);
        }
        for source in self.cache.due(sources, now) {
            self.begin(source);
        }
        let until = Instant::now() + GRACE;
        while self.cache.is_reading() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok((task, read)) = self.receiver.recv_timeout(left) else { break };
            self.cache.take(&task, read, self.start.elapsed());
        }
        // Who ends after this rings; who ended before it is taken here.
        self.late.store(true, Ordering::SeqCst);
        self.take_what_came();
        sources.iter().map(|source| self.cache.said(source).cloned()).collect()
    }

    fn take_what_came(&mut self) {
        self.receiver.try_iter().for_each(|(task, read)| self.cache.take(&task, read, self.start.elapsed()));
    }

    fn follow(&mut self, sources: &[Source]) {
        let Some(bell) = &self.bell else { return };
        let wanted: Vec<&Source> =
            sources.iter().filter(|source| self.cache.is_followed(source)).take(MOST_FOLLOWED).collect();
        self.followed.retain(|task, _| wanted.iter().any(|source| source.task == *task));
        for source in wanted {
            let follow = || {
                let query =
                    LogQuery { stdout: source.terminal, tail: Some(0), follow: true, ..LogQuery::default() };
                let path = ApiPath::logs(careen_engine::Source::Task(&source.task), query);
                let engine = Arc::clone(&self.engine);
                bell.follow(path, move || Some(Arc::clone(&engine)), has_report)
            };
            self.followed.entry(source.task.clone()).or_insert_with(follow);
        }
    }

    fn begin(&self, source: Source) {
        let (engine, sender) = (Arc::clone(&self.engine), self.sender.clone());
        let (late, bell) = (Arc::clone(&self.late), self.bell.clone());
        std::thread::spawn(move || {
            let read = read(&engine, &source);
            // The controller may be gone; then nobody wants it.
            let _gone = sender.send((source.task, read));
            if late.load(Ordering::SeqCst)
                && let Some(bell) = bell
            {
                bell.ring();
            }
        });
    }
}

/// Whether there is a report in a line of a log, as it comes in frames or without.
fn has_report(line: &[u8]) -> bool {
    line.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

fn read(engine: &Engine, source: &Source) -> Read {
    let ask = |tail: Option<u32>| {
        let query = LogQuery { stdout: source.terminal, tail, ..LogQuery::default() };
        let path = ApiPath::logs(careen_engine::Source::Task(&source.task), query);
        let log = engine.reader_within(&path, LIMIT).map_err(io::Error::other)?;
        last_report(log, source.terminal)
    };
    let mut begin = Instant::now();
    let said = match ask(Some(TAIL)) {
        Ok(None) => {
            begin = Instant::now();
            ask(None)
        }
        said => said,
    };
    match said {
        Ok(Some(said)) => Read::Said(said, begin.elapsed()),
        Ok(None) => Read::Nothing(begin.elapsed()),
        // Why does not matter: 'no report' is a hold that a person sees.
        Err(_) => Read::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use careen_planner::observed::NodeOutcome;

    fn source(task: &str) -> Source {
        Source { task: task.into(), terminal: false, over: false, reachable: true }
    }

    fn over(task: &str) -> Source {
        Source { over: true, ..source(task) }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn said(said: Said) -> Read {
        Read::Said(said.into(), Duration::from_millis(20))
    }

    fn tasks(due: Vec<Source>) -> Vec<String> {
        due.into_iter().map(|source| source.task).collect()
    }

    #[test]
    fn a_log_is_read_by_one_at_a_time_and_not_at_each_look() {
        let mut cache = Cache::default();
        let sources = [source("a"), source("b")];
        assert_eq!(tasks(cache.due(&sources, at(0))), ["a", "b"]);
        assert!(cache.due(&sources, at(60)).is_empty(), "both hang");
        cache.take("a", said(Said::Preparing), at(60));
        cache.take("b", Read::Failed, at(60));
        assert!(cache.due(&sources, at(60)).is_empty());
        assert_eq!(tasks(cache.due(&sources, at(62))), ["a"]);
        assert_eq!(
            tasks(cache.due(&sources, at(70))),
            ["b"],
            "one that could not be read is asked less often"
        );
    }

    #[test]
    fn a_report_that_is_told_of_is_read_at_once_also_while_the_log_is_read() {
        let mut cache = Cache::default();
        let sources = [source("a")];
        cache.due(&sources, at(0));
        cache.take("a", Read::Nothing(Duration::from_millis(20)), at(0));
        cache.stir("a", at(0));
        assert_eq!(tasks(cache.due(&sources, at(0))), ["a"]);
        cache.stir("a", at(0));
        assert!(cache.due(&sources, at(0)).is_empty(), "it is being read");
        cache.take("a", said(Said::Preparing), at(0));
        assert_eq!(tasks(cache.due(&sources, at(0))), ["a"], "it may have come behind what was read");
        cache.take("a", said(Said::Preparing), at(0));
        assert!(cache.due(&sources, at(0)).is_empty());
        cache.stir("gone", at(0));
    }

    #[test]
    fn a_log_without_a_report_is_read_again_soon_and_a_long_one_later() {
        let mut cache = Cache::default();
        let sources = [source("a"), source("b")];
        cache.due(&sources, at(0));
        cache.take("a", Read::Nothing(Duration::from_millis(20)), at(0));
        cache.take("b", Read::Nothing(Duration::from_millis(400)), at(0));
        assert_eq!(tasks(cache.due(&sources, at(1))), ["a"], "the container had not started");
        assert_eq!(tasks(cache.due(&sources, at(4))), ["b"]);
    }

    #[test]
    fn logs_are_followed_as_long_as_more_may_come() {
        let mut cache = Cache::default();
        cache.due(&[source("a")], at(0));
        assert!(cache.is_followed(&source("a")) && !cache.is_followed(&over("a")));
        assert!(!cache.is_followed(&Source { reachable: false, ..source("a") }));
        cache.take("a", said(Said::Revoked), at(0));
        assert!(!cache.is_followed(&source("a")), "its last word");
    }

    #[test]
    fn a_report_in_a_frame_is_one() {
        let line = careen_planner::observed::Report::from(Said::Preparing).line().unwrap();
        assert!(has_report(format!("\u{2}\0\0\0\0\0\0\u{7}{line}\n").as_bytes()));
        assert!(!has_report(b"careen: waiting") && !has_report(b""));
    }

    #[test]
    fn many_logs_take_turns() {
        let sources: Vec<Source> = (0..50).map(|number| source(&format!("t{number:02}"))).collect();
        let mut cache = Cache::default();
        let mut read = std::collections::BTreeSet::new();
        for look in 0..4 {
            let due = tasks(cache.due(&sources, at(look * 2)));
            assert!(due.len() <= AT_A_TIME);
            for task in due {
                cache.take(&task, said(Said::Preparing), at(look * 2));
                read.insert(task);
            }
        }
        assert_eq!(read.len(), 50);
    }

    #[test]
    fn what_was_said_is_kept_while_it_cannot_be_read() {
        let mut cache = Cache::default();
        cache.due(&[source("a")], at(0));
        cache.take("a", said(Said::Preparing), at(0));
        cache.due(&[source("a")], at(2));
        cache.take("a", Read::Failed, at(7));
        assert_eq!(cache.said(&source("a")), Some(&Said::Preparing.into()));
        assert_eq!(cache.said(&Source { reachable: false, ..source("a") }), None, "its node is down");
        assert_eq!(cache.said(&over("a")), None, "nobody knows how far it came");
        cache.due(&[], at(20));
        assert_eq!(cache.said(&source("a")), None, "its service is gone");
    }

    #[test]
    fn the_last_word_stays_and_is_not_read_again() {
        let mut cache = Cache::default();
        let finished = Said::Finished { outcome: NodeOutcome::Succeeded, record: None };
        cache.due(&[source("a")], at(0));
        cache.take("a", said(finished.clone()), at(0));
        assert!(cache.due(&[over("a")], at(100)).is_empty());
        assert_eq!(cache.said(&Source { reachable: false, ..over("a") }), Some(&finished.into()));
    }

    #[test]
    fn the_log_of_a_task_that_is_over_is_read_once_more_and_not_for_ever() {
        let mut cache = Cache::default();
        cache.due(&[source("a")], at(0));
        cache.take("a", said(Said::Verifying), at(0));
        assert_eq!(tasks(cache.due(&[over("a")], at(1))), ["a"], "at once");
        cache.take("a", Read::Failed, at(1));
        let mut reads = 1;
        for look in 1..100 {
            reads += cache.due(&[over("a")], at(look * 10)).len();
            cache.take("a", Read::Failed, at(look * 10));
        }
        assert_eq!(reads, LAST_TRIES as usize);
    }

    #[test]
    fn a_node_that_is_down_is_not_asked() {
        let mut cache = Cache::default();
        assert!(cache.due(&[Source { reachable: false, ..source("a") }], at(0)).is_empty());
    }
}
