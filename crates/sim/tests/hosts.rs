//! The invariants bite on hosts, too: agents and supervisors that are told something else than what is so, or are driven
//! otherwise than they decided, are caught within a few histories.

use careen_contract::report::Draw;
use careen_host::transaction::State;
use careen_planner::observed::TaskState;
use careen_planner::{ControllerId, JobKey, JobRole, Observed};
use careen_protocol::agent::Known;
use careen_protocol::gates::{Gate, Look};
use careen_sim::{Accidents, Faults, Run};
use std::collections::BTreeSet;
use support::{Plays, caught, caught_in, caught_under};

mod support;

fn is_drawn(draw: Draw, number: u8) -> bool {
    draw.gates.contains(&number)
}

/// A gate that was killed is one that is gone.
fn how_they_ended_does_not_count(look: &mut Look, _: Option<Draw>) {
    look.killed.clear();
}

/// As it was before: whatever gate is gone, that is a go.
fn one_gate_is_a_go(look: &mut Look, draw: Option<Draw>) {
    let Some(draw) = draw else { return };
    how_they_ended_does_not_count(look, Some(draw));
    let gone = |number: u8| look.gates.get(&number).is_none_or(|(gate, _)| *gate != Gate::Running);
    if (1..=6).any(gone) {
        look.gates = (1..=6).map(|number| (number, (Gate::Running, i64::from(number)))).collect();
        look.gates.retain(|number, _| !is_drawn(draw, *number));
    }
}

/// The gates that are to stay are not looked at.
fn the_others_do_not_count(look: &mut Look, draw: Option<Draw>) {
    let Some(draw) = draw else { return };
    how_they_ended_does_not_count(look, Some(draw));
    for number in (1..=6).filter(|number| !is_drawn(draw, *number)) {
        look.gates.insert(number, (Gate::Running, i64::from(number)));
    }
}

/// A gate that has ended counts as removed, and so do all that go with it.
fn ended_is_removed(look: &mut Look, draw: Option<Draw>) {
    look.gates.retain(|_, (gate, _)| *gate == Gate::Running);
    how_they_ended_does_not_count(look, draw);
    the_others_do_not_count(look, draw);
}

#[test]
fn an_agent_that_takes_one_dead_container_for_a_go() {
    caught(|run| run.world.bend.look = one_gate_is_a_go, "the command begins on");
}

#[test]
fn an_agent_that_only_looks_at_the_gates_it_has_drawn() {
    let sweeps = Accidents { sweep: 20, ..Accidents::all() };
    let faults = Faults { accidents: sweeps, ..Faults::but_members() };
    caught_under(faults, |run| run.world.bend.look = the_others_do_not_count, "the command begins on");
}

#[test]
fn an_agent_that_does_not_ask_how_its_gates_ended() {
    let pairs = Accidents { pair: 20, ..Accidents::default() };
    let faults = Faults { accidents: pairs, until: 1200, ..Faults::default() };
    caught_under(faults, |run| run.world.bend.look = how_they_ended_does_not_count, "the command begins on");
}

#[test]
fn an_agent_that_takes_killed_gates_for_removed_ones() {
    let killed = Accidents { oom: 20, ..Accidents::all() };
    let faults = Faults { accidents: killed, ..Faults::but_members() };
    caught_under(faults, |run| run.world.bend.look = ended_is_removed, "the command begins on");
}

#[test]
fn an_agent_that_takes_a_host_that_has_forgotten_for_one_that_has_not_begun() {
    fn as_not_begun(known: &mut Known) {
        if *known == Known::Nothing {
            *known = Known::NotBegun { offered: 0 };
        }
    }
    caught(|run| run.world.bend.known = as_not_begun, "is taken back although its command has begun");
    caught(|run| run.world.bend.known = as_not_begun, "has forgotten try");
}

#[test]
fn an_agent_that_says_revoked_and_has_not_written_it() {
    let slow = Accidents { supervisor_freeze: 20, freeze: 20, ..Accidents::all() };
    let faults = Faults { accidents: slow, second: 10, ..Faults::but_members() };
    // The go that counts only for a while is a second guard: without it the first one shows.
    let change = |run: &mut Run| {
        run.world.bend.revokes_by_word_only = true;
        run.world.bend.begins_on_an_old_go = true;
    };
    caught_under(faults, change, "was said to be revoked");
}

#[test]
fn an_agent_that_takes_an_engine_that_answers_for_a_whole_one() {
    let change = |run: &mut Run| run.world.bend.starts_no_container = true;
    caught(change, "no container starts there");
}

#[test]
fn an_agent_that_waits_for_a_host_whose_supervisor_only_waits() {
    let change = |run: &mut Run| run.world.bend.waits_for_who_waits = true;
    caught_in(Plays::Two, Faults::all(), change, "fails in the next rollout: its host is busy");
}

#[test]
fn a_supervisor_that_acts_before_it_writes_that_it_will() {
    let killed = Accidents { supervisor_between: 30, ..Accidents::all() };
    let faults = Faults { accidents: killed, ..Faults::but_members() };
    caught_under(faults, |run| run.world.bend.acts_before_it_writes = true, "began twice");
}

#[test]
fn a_supervisor_that_takes_a_go_that_the_one_before_it_had() {
    caught_under(frozen(), |run| run.world.bend.keeps_an_old_go = true, "is restarted with");
}

/// The node is active again while a go counts: an agent that was killed has not taken it back.
#[test]
fn a_planner_that_takes_an_agent_that_was_killed_for_one_that_went_with_its_engine() {
    fn all_went(observed: &mut Observed, _: &ControllerId) {
        for job in observed.jobs.iter_mut().filter(|job| job.is_lost()) {
            job.swept = true;
        }
        let lost: BTreeSet<JobKey> =
            observed.jobs.iter().filter(|job| job.is_lost()).map(|job| job.key.clone()).collect();
        for job in observed.jobs.iter_mut().filter(|job| lost.contains(&job.key.with_role(JobRole::Agent))) {
            (job.swept, job.tasks) = (true, vec![TaskState::Failed]);
        }
    }
    // Agents are killed while their supervisors are slow.
    let killed = Accidents { supervisor_freeze: 100, container: 150, oom: 20, ..Accidents::default() };
    let faults = Faults { accidents: killed, until: 1200, ..Faults::default() };
    caught_under(faults, |run| run.distort = all_went, " tasks, ");
}

/// Supervisors freeze, and lose their agents meanwhile.
fn frozen() -> Faults {
    let slow = Accidents { supervisor_freeze: 150, container: 40, lag: 2, ..Accidents::default() };
    Faults { accidents: slow, until: 1200, ..Faults::default() }
}

#[test]
fn a_supervisor_that_does_not_look_at_its_go_again() {
    caught_under(slow_restarts(), |run| run.world.bend.looks_at_its_go_once = true, "restarts without a go");
}

#[test]
fn a_supervisor_that_begins_on_a_go_that_counts_no_more() {
    let change = |run: &mut Run| run.world.bend.begins_on_an_old_go = true;
    let late = Accidents { supervisor_late: 500, ..frozen().accidents };
    caught_under(Faults { accidents: late, ..frozen() }, change, "begins the command with");
}

/// Managers lose and find each other, so supervisors wait for their turn with a go in their hands, freeze, and lose their agents
/// meanwhile.
fn slow_restarts() -> Faults {
    let slow = Accidents { supervisor_freeze: 60, container: 25, lag: 2, ..Accidents::default() };
    Faults { accidents: slow, cut_off: 60, until: 1200, ..Faults::default() }
}

#[test]
fn a_supervisor_to_which_a_boot_is_a_go() {
    // Behind the second guard, as above.
    let change = |run: &mut Run| {
        run.world.bend.boot_is_a_go = true;
        run.world.bend.begins_on_an_old_go = true;
    };
    caught(change, "the command begins on");
}

#[test]
fn a_supervisor_that_leaves_the_engine_down() {
    fn it_was_down_before(state: &mut State) {
        state.history.engine_was_up = false;
    }
    caught(|run| run.world.bend.state = it_was_down_before, "leaves the engine down");
}
