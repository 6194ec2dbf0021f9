//! The rules of the virtual clock, one test each.

use maypole_core::{Idle, NEVER_NS, Spin, Turn, VIRTUAL_START_NS, VirtualClock, seconds};

const SECOND_NS: u64 = 1_000_000_000;

#[test]
fn clock_starts_at_a_thousand_seconds() {
    assert_eq!(seconds(VirtualClock::new().now_ns()), 1000.0);
}

#[test]
fn idle_loop_jumps_to_its_first_timer() {
    let mut clock = VirtualClock::new();
    let at_ns = VIRTUAL_START_NS + SECOND_NS;
    assert_eq!(clock.idle(Some(at_ns), false, false, 0), Idle::Jump(at_ns));
    assert_eq!(clock.now_ns(), at_ns);
}

#[test]
fn watched_descriptor_does_not_hold_the_clock() {
    let mut clock = VirtualClock::new();
    let at_ns = VIRTUAL_START_NS + 1;
    assert_eq!(clock.idle(Some(at_ns), true, false, 0), Idle::Jump(at_ns));
}

#[test]
fn deadline_in_the_past_does_not_turn_the_clock_back() {
    let mut clock = VirtualClock::new();
    assert_eq!(clock.idle(Some(5), false, false, 0), Idle::Jump(VIRTUAL_START_NS));
    assert_eq!(clock.now_ns(), VIRTUAL_START_NS);
}

#[test]
fn outstanding_job_gets_two_real_seconds_in_steps() {
    let mut clock = VirtualClock::new();
    let at_ns = VIRTUAL_START_NS + SECOND_NS;
    let (mut waited_ns, mut steps) = (0, 0);
    while let Idle::WaitReal { timeout_ns } = clock.idle(Some(at_ns), false, true, waited_ns) {
        assert!(timeout_ns > 0);
        assert_eq!(clock.now_ns(), VIRTUAL_START_NS);
        waited_ns += timeout_ns;
        steps += 1;
    }
    assert_eq!((waited_ns, steps), (2 * SECOND_NS, 100));
    assert_eq!(clock.now_ns(), at_ns);
}

#[test]
fn last_real_step_is_cut_to_what_is_left() {
    let mut clock = VirtualClock::new();
    let idle = clock.idle(Some(NEVER_NS - 1), false, true, 2 * SECOND_NS - 7);
    assert_eq!(idle, Idle::WaitReal { timeout_ns: 7 });
}

#[test]
fn outstanding_job_without_a_timer_is_waited_for_on_and_on() {
    let mut clock = VirtualClock::new();
    for watched in [false, true] {
        let idle = clock.idle(None, watched, true, 60 * SECOND_NS);
        assert_eq!(
            idle,
            Idle::WaitReal {
                timeout_ns: 20_000_000
            }
        );
    }
}

#[test]
fn only_descriptors_are_waited_for_in_real_time() {
    assert_eq!(VirtualClock::new().idle(None, true, false, 0), Idle::WaitForever);
}

#[test]
fn nothing_to_wait_for_is_a_deadlock() {
    assert_eq!(VirtualClock::new().idle(None, false, false, 0), Idle::Deadlock);
}

#[test]
fn timer_that_never_fires_saves_nobody_from_deadlock() {
    assert_eq!(
        VirtualClock::new().idle(Some(NEVER_NS), false, false, 0),
        Idle::Deadlock
    );
}

#[test]
fn turns_without_time_are_a_spin() {
    let mut clock = VirtualClock::new();
    for _ in 1..20_000 {
        clock.turn_ended().unwrap();
    }
    assert_eq!(
        clock.turn_ended(),
        Err(Spin {
            turns: 20_000,
            now_ns: VIRTUAL_START_NS
        })
    );
    assert_eq!(
        clock.turn_ended(),
        Ok(()),
        "the clean-up after a spin has turns of its own"
    );
}

#[test]
fn jump_and_progress_begin_the_count_anew() {
    let mut clock = VirtualClock::new();
    for round in 1..4 {
        for _ in 1..20_000 {
            clock.turn_ended().unwrap();
        }
        clock.idle(Some(VIRTUAL_START_NS + round), false, false, 0);
        for _ in 1..20_000 {
            clock.turn_ended().unwrap();
        }
        clock.progressed();
    }
}

#[test]
fn jump_that_goes_nowhere_does_not_hide_a_spin() {
    let mut clock = VirtualClock::new();
    let spun = (0..20_000).any(|_| {
        clock.idle(Some(VIRTUAL_START_NS), false, false, 0);
        clock.turn_ended().is_err()
    });
    assert!(spun);
}

#[test]
fn a_day_of_sleeps_passes_in_its_turns() {
    let mut clock = VirtualClock::new();
    let mut turn = Turn::new();
    turn.schedule(clock.now_ns() + 60 * SECOND_NS, ());
    let mut minutes = 0;
    while minutes < 24 * 60 {
        let Idle::Jump(now_ns) = clock.idle(turn.next_deadline_ns(), false, false, 0) else {
            panic!("no jump")
        };
        assert_eq!(turn.begin(now_ns), 1);
        while turn.take().is_some() {
            minutes += 1;
            turn.schedule(now_ns + 60 * SECOND_NS, ());
        }
        clock.turn_ended().unwrap();
    }
    assert_eq!(seconds(clock.now_ns()), 1000.0 + 86_400.0);
}
