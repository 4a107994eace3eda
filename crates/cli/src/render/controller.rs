//! What is said of a rollout's controller when nobody carries the rollout out: that it is on its way, why it does not come up, or
//! that there is none. Pure.

use crate::render::step::{Step, Verb};
use crate::render::text::{Look, Page, Span};
use crate::render::words::Advice;
use crate::view::{LockOf, Standing};
use careen_planner::rollout::Control;
use careen_swarm::{ControllerTask, Home, Seat};

/// A rollout is stored before its controller is: so long somebody may be about to start it.
const STARTING_SECONDS: u64 = 30;

/// What is said of a rollout's controller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub struct Told {
    pub kind: Kind,
    pub text: String,
    /// What the controller printed last.
    pub lines: Vec<String>,
    /// What can be done; nothing where one waits.
    pub advice: Advice,
}

/// What keeps a rollout without a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No controller works on it.
    Missing,
    /// It is on its way.
    ComingUp,
    /// It does not come up.
    Fails,
}

impl Kind {
    /// As JSON says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::ComingUp => "coming-up",
            Self::Fails => "fails",
        }
    }

    /// How its line looks on a terminal.
    pub const fn look(self) -> Look {
        match self {
            Self::Missing | Self::Fails => Look::Bad,
            Self::ComingUp => Look::Warn,
        }
    }
}

/// What is to be said of a rollout's controller; nothing while one has the rollout, and when it is over.
pub fn told(standing: &Standing) -> Option<Told> {
    if standing.is_over() {
        return None;
    }
    let works = match standing.lock {
        // Its own process says how it is; one in the service's place is looked at below.
        LockOf::Process => true,
        LockOf::Service => !matches!(standing.task, Some(ControllerTask::Absent { .. })),
        LockOf::Nobody | LockOf::GivenBack => false,
    };
    match &standing.task {
        Some(ControllerTask::Fails(seat)) => Some(fails(standing, seat)),
        Some(ControllerTask::ComingUp(seat)) if standing.lock != LockOf::Process => {
            Some(waits(format!("its controller is on its way: {}", state(seat))))
        }
        Some(ControllerTask::ComingUp(_)) => None,
        Some(ControllerTask::Runs(seat)) => {
            let text = || format!("its controller is up ({}), and takes the rollout over", state(seat));
            (!works).then(|| waits(text()))
        }
        Some(ControllerTask::Absent { submitted_seconds: Some(seconds) })
            if standing.lock == LockOf::Nobody && *seconds < STARTING_SECONDS =>
        {
            Some(waits(format!("it was submitted {seconds} s ago, and its controller is being started")))
        }
        Some(ControllerTask::Absent { .. }) | None => (!works).then(|| missing(standing)),
    }
}

fn waits(text: String) -> Told {
    Told { kind: Kind::ComingUp, text, lines: Vec::new(), advice: Advice::default() }
}

fn missing(standing: &Standing) -> Told {
    // A rollout that is being aborted is not resumed; to say it once more starts a controller as well.
    let start = match standing.control {
        Some(Control::Aborting) => Verb::Abort.step(),
        Some(Control::Running | Control::Paused { .. } | Control::Finished { .. }) | None => {
            Verb::Resume.step()
        }
    };
    Told {
        kind: Kind::Missing,
        text: format!("no controller works on it: '{start}' starts one"),
        lines: Vec::new(),
        advice: Advice { text: "no controller works on it; this starts one", commands: vec![start] },
    }
}

fn fails(standing: &Standing, seat: &Seat) -> Told {
    let look: Step = match seat.home {
        Home::Service => format!("docker service ps --no-trunc {}", seat.name).into(),
        Home::Container => format!("docker logs --tail 20 {}", seat.name).into(),
    };
    let (text, here) = match standing.control {
        Some(Control::Aborting) => (
            "fix that, and it goes on by itself; or end the rollout from this terminal",
            vec![Verb::Abort.step()],
        ),
        Some(Control::Running | Control::Paused { .. } | Control::Finished { .. }) | None => (
            "fix that, and it goes on by itself; or run the controller in your terminal, or end the rollout from there",
            vec![Verb::Resume.step().locally(), Verb::Abort.step()],
        ),
    };
    Told {
        kind: Kind::Fails,
        text: format!("its controller does not come up: {}", why(seat)),
        lines: seat.lines.clone(),
        advice: Advice { text, commands: std::iter::once(look).chain(here).collect() },
    }
}

/// What keeps a controller from running and how often it was tried, or how far it is where nothing does.
pub fn why(seat: &Seat) -> String {
    let Some(why) = &seat.why else { return state(seat) };
    let tried = match seat.tries {
        0 | 1 => String::new(),
        tries => format!("; {tries} tries ended so, one after the other"),
    };
    format!("{why} ({}){tried}", state(seat))
}

/// `task preparing on m2`.
fn state(seat: &Seat) -> String {
    let what = match seat.home {
        Home::Service => "task",
        Home::Container => "container",
    };
    let on = seat.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
    format!("{what} {}{on}", seat.task)
}

/// The lines of a page.
pub fn page(standing: &Standing, told: &Told, page: &mut Page) {
    page.spans(&[Span::new(told.kind.look(), standing.with_names(&told.text))]);
    for line in &told.lines {
        page.spans(&["    | ".into(), Span::new(Look::Dim, line)]);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{cluster, spec};
    use crate::view::look;
    use careen_planner::observed::ControllerPlace;
    use careen_planner::{NodeId, Observed, Watch};
    use std::time::Duration;

    /// A service's, on m1.
    pub(crate) fn seat() -> Seat {
        Seat {
            home: Home::Service,
            name: "careen-controller-k3x9".into(),
            node: Some("m1".into()),
            task: "preparing".into(),
            why: None,
            tries: 0,
            lines: Vec::new(),
        }
    }

    pub(crate) fn failing() -> ControllerTask {
        let why = Some("task: non-zero exit (1)".into());
        let lines = vec!["careen-controller: no swarm to work on".into()];
        ControllerTask::Fails(Seat { why, tries: 4, task: "ready".into(), lines, ..seat() })
    }

    fn standing(observed: &Observed, task: Option<ControllerTask>) -> Standing {
        let (standing, _) = look(observed, &spec(), &Watch::default(), Duration::ZERO).unwrap();
        standing.with_task(task)
    }

    /// Nobody has taken the lock; it was given back; a service's controller has it, or another process.
    fn locks() -> [Observed; 4] {
        let nobody = Observed { lock: None, ..cluster() };
        let (mut given_back, mut service, process) = (cluster(), cluster(), cluster());
        given_back.lock.as_mut().unwrap().holder = None;
        let place = ControllerPlace { node: NodeId("m1".into()), movable: true };
        service.lock.as_mut().unwrap().place = Some(place);
        [nobody, given_back, service, process]
    }

    #[test]
    fn what_is_known_of_the_controller_and_of_the_lock_says_whether_to_wait() {
        let absent = |submitted_seconds| Some(ControllerTask::Absent { submitted_seconds });
        let table = [
            (None, ["missing", "missing", "-", "-"]),
            // Right behind '--detach' its service may not be there yet.
            (absent(Some(2)), ["coming-up", "missing", "missing", "-"]),
            (absent(Some(60)), ["missing", "missing", "missing", "-"]),
            (absent(None), ["missing", "missing", "missing", "-"]),
            (Some(ControllerTask::ComingUp(seat())), ["coming-up", "coming-up", "coming-up", "-"]),
            (Some(ControllerTask::Runs(seat())), ["coming-up", "coming-up", "-", "-"]),
            (Some(failing()), ["fails", "fails", "fails", "fails"]),
        ];
        for (task, expected) in table {
            for (observed, expected) in locks().iter().zip(expected) {
                let told = told(&standing(observed, task.clone()));
                let word = told.as_ref().map_or("-", |told| told.kind.word());
                assert_eq!(word, expected, "{task:?} {:?}", observed.lock);
            }
        }
    }

    #[test]
    fn what_does_not_come_up_is_told_with_its_own_error_its_last_lines_and_what_to_type() {
        let [nobody, ..] = locks();
        let standing = standing(&nobody, Some(failing()));
        let told = told(&standing).unwrap();
        let mut text = Page::new(false);
        page(&standing, &told, &mut text);
        assert_eq!(
            text.into_text(),
            "its controller does not come up: task: non-zero exit (1) (task ready on m1); 4 tries ended so, one after the \
             other\n    | careen-controller: no swarm to work on\n"
        );
        let commands: Vec<String> = told.advice.commands.iter().map(Step::to_string).collect();
        let look = "docker service ps --no-trunc careen-controller-k3x9";
        assert_eq!(commands, [look, "careen resume --local", "careen abort"]);
    }

    #[test]
    fn a_rollout_that_is_being_aborted_is_not_resumed() {
        let [mut nobody, ..] = locks();
        nobody.rollout.as_mut().unwrap().control = Control::Aborting;
        let told = told(&standing(&nobody, None)).unwrap();
        assert_eq!(told.text, "no controller works on it: 'careen abort' starts one");
        let failing = super::told(&standing(&nobody, Some(failing()))).unwrap();
        assert_eq!(failing.advice.commands.last(), Some(&Verb::Abort.step()));
    }
}
