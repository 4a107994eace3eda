//! What a go is.
//!
//! A drained node can be told nothing: no new task reaches it, and nothing that a controller writes. What it can see is that
//! containers which run there are taken away. One container that is gone is no word, though: it may have been killed, or
//! removed by hand, or all of them may go one after the other. So an agent has several gates, containers that only wait.
//! Once all of them run it draws two and names them in its report. The go is that just these two are told to stop and removed
//! while the others, the agent and the engine's process stay, seen twice with some time between. One that was killed was not
//! told to stop, as far as the engine knows that: `docker rm -f` and an OOM kill are no go whatever they hit. The opposite, that just the others
//! are removed, refuses. Whatever else happens cancels: nothing is begun, and another agent has to ask again.

use careen_contract::report::Draw;
use careen_contract::settings::LEAST_GATES;
use careen_host::removal::EngineInstance;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between the two looks that a go takes: longer than somebody who stops and removes one container after the other needs for the
/// next one, which a gate does not hold up.
pub const APART: Duration = Duration::from_secs(1);

/// How long half a go may last, or an engine that does not answer: longer than a controller's successor takes to go on with
/// what was begun.
const HALF: Duration = Duration::from_secs(180);

/// How long a gate that is to go may have ended without being removed. Without a leader the swarm removes nothing.
const ENDED: Duration = Duration::from_secs(60);

/// How long a gate may be gone that is to stay: a refusal takes some seconds, everything else is an accident.
const BROKEN: Duration = Duration::from_secs(20);

/// How one gate's container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Gate {
    Running,
    /// It is there and does not run: killed, stopped, or on its way out. The swarm's own removal passes through this.
    Ended,
    /// The engine has no such container.
    Removed,
}

/// What one look at the engine showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The engine's process, before and after it was asked; `None` when there was none, or not the same.
    pub engine: Option<EngineInstance>,
    /// Whether the engine knows the agent's own container as running.
    pub agent_runs: bool,
    /// Each gate by its number, with the moment of its creation as the engine tells it, where it is there.
    pub gates: BTreeMap<u8, (Gate, i64)>,
    /// Those of which the engine knows that they did not end as one does that is told to stop.
    pub killed: BTreeSet<u8>,
}

/// What a look amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Verdict {
    /// Nothing yet, and why.
    Waits(&'static str),
    Go,
    /// No: the gates that were not drawn are gone.
    Refused,
    /// Neither can come any more.
    Cancelled(String),
}

impl Look {
    /// How many gates run, where the rest can be trusted: the same engine told it, and knows this agent.
    pub fn in_place(&self) -> usize {
        if self.knows_the_agent() { running(self).count() } else { 0 }
    }

    /// Whether one engine told it, and knows this agent as running.
    pub fn knows_the_agent(&self) -> bool {
        self.engine.is_some() && self.agent_runs
    }

    /// Whether a gate has ended by itself, or was killed.
    pub fn has_ended(&self) -> bool {
        self.gates.values().any(|(gate, _)| *gate == Gate::Ended)
    }
}

fn running(look: &Look) -> impl Iterator<Item = (u8, i64)> + '_ {
    let runs = |(number, (gate, created)): (&u8, &(Gate, i64))| {
        (*gate == Gate::Running).then_some((*number, *created))
    };
    look.gates.iter().filter_map(runs)
}

/// Draws two of the gates that run. `random` is any number; the draw is none of those that a loop over all containers
/// passes through: the two that are first or last by name or by age.
pub fn draw(look: &Look, number: u32, random: u64) -> Option<Draw> {
    let by_name: Vec<(u8, i64)> = running(look).collect();
    let mut by_age = by_name.clone();
    by_age.sort_by_key(|(number, created)| (*created, *number));
    let ends = |order: &[(u8, i64)]| {
        let pair = |pair: &[(u8, i64)]| match pair {
            [(a, _), (b, _)] => Some([*a.min(b), *a.max(b)]),
            _ => None,
        };
        let last = order.len().saturating_sub(2);
        [order.get(..2).and_then(pair), order.get(last..).and_then(pair)]
    };
    let swept: Vec<[u8; 2]> = [ends(&by_name), ends(&by_age)].into_iter().flatten().flatten().collect();
    let numbers: Vec<u8> = by_name.iter().map(|(number, _)| *number).collect();
    let pairs = numbers.iter().enumerate().flat_map(|(at, a)| numbers[at + 1..].iter().map(|b| [*a, *b]));
    let free: Vec<[u8; 2]> = pairs.filter(|pair| !swept.contains(pair)).collect();
    let count = u64::try_from(free.len()).ok().filter(|count| *count > 0)?;
    let at = usize::try_from(random % count).ok()?;
    Some(Draw { number, gates: *free.get(at)? })
}

/// Watches for one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    draw: Draw,
    /// The gates that ran when it was drawn.
    gates: Vec<u8>,
    engine: EngineInstance,
    /// Since when the gates say the same clear word.
    clear: Option<(Word, Duration)>,
    /// Since when it is unclear in this way what happens.
    unclear: Option<(Unclear, Duration)>,
}

/// What the gates say at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Yes,
    No,
    Unclear(Unclear),
    Broken(&'static str),
}

/// Why nobody can tell yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unclear {
    Silent,
    Half,
    Ended,
    Missing,
}

impl Unclear {
    const fn limit(self) -> Duration {
        match self {
            Self::Silent | Self::Half => HALF,
            Self::Ended => ENDED,
            Self::Missing => BROKEN,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Silent => "the engine does not answer",
            Self::Half => "one of the two gates that are the go is gone, and the other one is not",
            Self::Ended => "a gate has ended and is not removed",
            Self::Missing => "a gate is gone that is to stay",
        }
    }
}

impl Watch {
    /// Draws under this look and watches from then on; `None` while not everything is in place.
    pub fn begin(look: &Look, number: u32, random: u64) -> Option<Self> {
        if look.in_place() < usize::from(LEAST_GATES) {
            return None;
        }
        let gates = running(look).map(|(number, _)| number).collect();
        let draw = draw(look, number, random)?;
        Some(Self { draw, gates, engine: look.engine.clone()?, clear: None, unclear: None })
    }

    /// The two gates that were drawn.
    pub fn draw(&self) -> Draw {
        self.draw
    }

    /// Takes a look; `None` is an engine that does not answer. `now` is a monotonic clock's reading.
    pub fn look(&mut self, look: Option<&Look>, now: Duration) -> Verdict {
        let word = self.word(look);
        if let Word::Yes | Word::No = word {
            self.unclear = None;
            return self.clearly(word, now);
        }
        self.clear = None;
        match word {
            Word::Nothing => {
                self.unclear = None;
                Verdict::Waits("the rollout's go")
            }
            Word::Broken(why) => Verdict::Cancelled(why.to_owned()),
            Word::Unclear(why) => self.unclearly(why, now),
            Word::Yes | Word::No => Verdict::Waits("the second look"),
        }
    }

    fn clearly(&mut self, word: Word, now: Duration) -> Verdict {
        let since = match self.clear {
            Some((before, since)) if before == word => since,
            Some(_) | None => now,
        };
        self.clear = Some((word, since));
        if now.saturating_sub(since) < APART {
            return Verdict::Waits("a second look at what the gates say");
        }
        if word == Word::Yes { Verdict::Go } else { Verdict::Refused }
    }

    fn unclearly(&mut self, why: Unclear, now: Duration) -> Verdict {
        let since = match self.unclear {
            Some((before, since)) if before == why => since,
            Some(_) | None => now,
        };
        self.unclear = Some((why, since));
        if now.saturating_sub(since) < why.limit() {
            return Verdict::Waits(why.words());
        }
        Verdict::Cancelled(format!("{}, for {} s", why.words(), why.limit().as_secs()))
    }

    fn word(&self, look: Option<&Look>) -> Word {
        let Some(look) = look else { return Word::Unclear(Unclear::Silent) };
        match &look.engine {
            None => return Word::Unclear(Unclear::Silent),
            Some(engine) if *engine != self.engine => return Word::Broken("the engine was restarted"),
            Some(_) => {}
        }
        if !look.agent_runs {
            return Word::Broken("the engine does not know this agent's container as running");
        }
        if self.draw.gates.iter().any(|number| look.killed.contains(number)) {
            return Word::Broken("a gate was killed, and not told to stop");
        }
        let standing = |number: &u8| look.gates.get(number).map_or(Gate::Removed, |(standing, _)| *standing);
        let drawn = self.draw.gates.map(|number| standing(&number));
        let others: Vec<Gate> =
            self.gates.iter().filter(|gate| !self.draw.gates.contains(gate)).map(standing).collect();
        let all = |gates: &[Gate], wanted: Gate| gates.iter().all(|gate| *gate == wanted);
        match (all(&drawn, Gate::Running), all(&others, Gate::Running)) {
            (true, true) => Word::Nothing,
            (false, true) if all(&drawn, Gate::Removed) => Word::Yes,
            (true, false) if all(&others, Gate::Removed) => Word::No,
            // The swarm takes them away one after the other, and a container ends before it is removed.
            (false, true) if drawn.contains(&Gate::Ended) => Word::Unclear(Unclear::Ended),
            (false, true) => Word::Unclear(Unclear::Half),
            (true, false) => Word::Unclear(Unclear::Missing),
            (false, false) => Word::Broken("gates of both kinds are gone: that is no go"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Gate::{Ended, Removed, Running};

    fn engine(pid: u32) -> Option<EngineInstance> {
        Some(EngineInstance { pid, start_ticks: 7 })
    }

    fn look(gates: &[Gate]) -> Look {
        let numbered = gates.iter().zip(1_u8..);
        let gates = numbered.map(|(gate, number)| (number, (*gate, i64::from(number)))).collect();
        Look { engine: engine(1), agent_runs: true, gates, killed: BTreeSet::new() }
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    /// Of six gates; 2 and 5 are drawn.
    fn watch() -> Watch {
        let all = look(&[Running; 6]);
        let found = (0..100).filter_map(|random| Watch::begin(&all, 0, random));
        found.into_iter().find(|watch| watch.draw.gates == [2, 5]).expect("one of the draws")
    }

    const GO: [Gate; 6] = [Running, Removed, Running, Running, Removed, Running];
    const NO: [Gate; 6] = [Removed, Running, Removed, Removed, Running, Removed];

    #[test]
    fn just_the_two_that_were_drawn_at_two_looks_are_the_go_and_just_the_others_the_refusal() {
        let mut watch = watch();
        assert!(matches!(watch.look(Some(&look(&[Running; 6])), seconds(1)), Verdict::Waits(_)));
        assert!(matches!(watch.look(Some(&look(&GO)), seconds(2)), Verdict::Waits(_)), "one look is none");
        let soon = seconds(3) - Duration::from_millis(1);
        assert!(matches!(watch.look(Some(&look(&GO)), soon), Verdict::Waits(_)), "too soon");
        assert_eq!(watch.look(Some(&look(&GO)), seconds(3)), Verdict::Go);
        let mut watch = self::watch();
        assert!(matches!(watch.look(Some(&look(&NO)), seconds(1)), Verdict::Waits(_)));
        assert_eq!(watch.look(Some(&look(&NO)), seconds(2)), Verdict::Refused);
    }

    #[test]
    fn a_gate_that_was_killed_is_no_part_of_a_go() {
        for (killed, gates) in
            [([2, 5], GO), ([5, 5], GO), ([2, 2], [Running, Removed, Running, Running, Running, Running])]
        {
            let look = Look { killed: killed.into(), ..look(&gates) };
            let verdict = watch().look(Some(&look), seconds(1));
            assert!(matches!(verdict, Verdict::Cancelled(_)), "{killed:?}: {verdict:?}");
        }
        // What was no part of it, and of an earlier go, does not matter.
        let others = Look { killed: [1].into(), ..look(&GO) };
        let mut watch = watch();
        watch.look(Some(&others), seconds(1));
        assert_eq!(watch.look(Some(&others), seconds(2)), Verdict::Go);
    }

    #[test]
    fn the_two_looks_must_say_the_same_without_a_break() {
        let mut watch = watch();
        let half = look(&[Running, Removed, Running, Running, Ended, Running]);
        assert!(matches!(watch.look(Some(&look(&GO)), seconds(1)), Verdict::Waits(_)));
        assert!(matches!(watch.look(Some(&half), seconds(2)), Verdict::Waits(_)));
        assert!(matches!(watch.look(Some(&look(&GO)), seconds(4)), Verdict::Waits(_)), "it begins anew");
        assert!(matches!(watch.look(None, seconds(5)), Verdict::Waits(_)));
        assert!(matches!(watch.look(Some(&look(&GO)), seconds(7)), Verdict::Waits(_)));
        assert_eq!(watch.look(Some(&look(&GO)), seconds(8)), Verdict::Go);
    }

    #[test]
    fn whatever_else_happens_is_waited_for_and_then_cancelled() {
        for (gates, limit) in [
            ([Running, Removed, Running, Running, Running, Running], HALF),
            ([Running, Ended, Running, Running, Ended, Running], ENDED),
            ([Running, Ended, Running, Running, Removed, Running], ENDED),
            ([Ended, Running, Running, Running, Running, Running], BROKEN),
            ([Removed, Running, Removed, Running, Running, Running], BROKEN),
        ] {
            let mut watch = watch();
            let look = look(&gates);
            let late = seconds(10) + limit;
            assert!(matches!(watch.look(Some(&look), seconds(10)), Verdict::Waits(_)), "{gates:?}");
            assert!(matches!(watch.look(Some(&look), late - seconds(1)), Verdict::Waits(_)), "{gates:?}");
            assert!(matches!(watch.look(Some(&look), late), Verdict::Cancelled(_)), "{gates:?}");
        }
        let mut silent = watch();
        assert!(matches!(silent.look(None, seconds(0)), Verdict::Waits(_)));
        assert!(matches!(silent.look(None, HALF), Verdict::Cancelled(_)), "no wait is for ever");
        for gates in [[Ended; 6], [Removed; 6], [Removed, Removed, Running, Running, Running, Running]] {
            let verdict = watch().look(Some(&look(&gates)), seconds(1));
            assert!(matches!(verdict, Verdict::Cancelled(_)), "{gates:?}: {verdict:?}");
        }
        let restarted = Look { engine: engine(2), ..look(&GO) };
        assert_eq!(
            watch().look(Some(&restarted), seconds(9)),
            Verdict::Cancelled("the engine was restarted".into())
        );
        let stranger = Look { agent_runs: false, ..look(&GO) };
        assert!(matches!(watch().look(Some(&stranger), seconds(9)), Verdict::Cancelled(_)));
    }

    /// `for c in $(docker ps -q); do docker rm -f $c; done`, in either direction, however slow, never passes through a go or a
    /// refusal: each state on its way lasts as long as it likes.
    #[test]
    fn a_loop_over_all_containers_is_no_go_however_slow() {
        let ages: [[i64; 6]; 3] = [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [3, 1, 6, 2, 5, 4]];
        for created in ages {
            let mut all = look(&[Running; 6]);
            for (number, created) in (1_u8..).zip(created) {
                all.gates.insert(number, (Running, created));
            }
            let mut by_age: Vec<u8> = (1..=6).collect();
            by_age.sort_by_key(|number| created[usize::from(*number) - 1]);
            let by_name: Vec<u8> = (1..=6).collect();
            let backwards = |order: &[u8]| order.iter().rev().copied().collect::<Vec<u8>>();
            for order in [by_age.clone(), backwards(&by_age), by_name.clone(), backwards(&by_name)] {
                for random in 0..200 {
                    for left in [Ended, Removed] {
                        let mut watch = Watch::begin(&all, 0, random).expect("a draw");
                        let mut look = all.clone();
                        for (step, number) in (1..).zip(&order) {
                            look.gates.insert(*number, (left, 0));
                            for again in 0..3 {
                                let verdict = watch.look(Some(&look), seconds(step * 20 + again * 4));
                                let harmless = matches!(verdict, Verdict::Waits(_) | Verdict::Cancelled(_));
                                assert!(harmless, "{:?} {order:?} {look:?}: {verdict:?}", watch.draw);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_drawn_before_everything_runs_and_a_second_draw_is_among_what_is_left() {
        assert_eq!(Watch::begin(&look(&[Running, Running, Running, Ended, Removed, Ended]), 0, 1), None);
        assert_eq!(Watch::begin(&Look { agent_runs: false, ..look(&[Running; 6]) }, 0, 1), None);
        assert_eq!(Watch::begin(&Look { engine: None, ..look(&[Running; 6]) }, 0, 1), None);
        let mut seen = std::collections::BTreeSet::new();
        for random in 0..50 {
            let second = Watch::begin(&look(&GO), 1, random).expect("four are left");
            assert_eq!(second.draw.number, 1);
            assert!(second.draw.gates.iter().all(|gate| ![2, 5].contains(gate)), "{second:?}");
            seen.insert(second.draw.gates);
        }
        assert!(seen.len() > 1, "it is drawn, and not always the same: {seen:?}");
    }
}
