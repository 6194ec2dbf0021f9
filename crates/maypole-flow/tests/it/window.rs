//! The windows of a breaker against lists that keep everything.

use maypole_flow::WindowKind;
use maypole_flow::breaker::window::{Mark, Tallies, Window};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push { later_ns: u64, failed: bool, slow: bool },
    Amend(prop::sample::Index),
}

fn steps(later_ns_max: u64) -> impl Strategy<Value = Vec<Step>> {
    let push =
        (0..later_ns_max, any::<bool>(), any::<bool>()).prop_map(|(later_ns, failed, slow)| Step::Push {
            later_ns,
            failed,
            slow,
        });
    let amend = any::<prop::sample::Index>().prop_map(Step::Amend);
    prop::collection::vec(prop_oneof![4 => push, 1 => amend], 1..300)
}

struct Call {
    at_ns: u64,
    failed: bool,
    slow: bool,
    mark: Mark,
}

fn counted<'a>(calls: impl Iterator<Item = &'a Call>) -> Tallies {
    let mut tallies = Tallies::default();
    for call in calls {
        tallies.calls += 1;
        tallies.failed += u32::from(call.failed);
        tallies.slow += u32::from(call.slow);
    }
    tallies
}

/// Play the steps; `kept` says which of all calls are in the window.
fn play(
    kind: WindowKind,
    steps: Vec<Step>,
    kept: impl Fn(&[Call], u64) -> usize,
) -> Result<(), TestCaseError> {
    let mut window = Window::new(kind);
    let mut calls: Vec<Call> = Vec::new();
    let mut now_ns = 0;
    for step in steps {
        match step {
            Step::Push {
                later_ns,
                failed,
                slow,
            } => {
                now_ns += later_ns;
                let mark = window.push(now_ns, failed, slow);
                calls.push(Call {
                    at_ns: now_ns,
                    failed,
                    slow,
                    mark,
                });
            }
            Step::Amend(which) => {
                // A call is amended once, and only one that had not failed: the breaker sees to that.
                let open: Vec<usize> = (0..calls.len()).filter(|index| !calls[*index].failed).collect();
                if !open.is_empty() {
                    let index = open[which.index(open.len())];
                    window.amend_failed(now_ns, calls[index].mark);
                    calls[index].failed = true;
                }
            }
        }
        let first = kept(&calls, now_ns);
        prop_assert_eq!(window.tallies(now_ns), counted(calls[first..].iter()));
    }
    window.clear();
    prop_assert_eq!(window.tallies(now_ns), Tallies::default());
    Ok(())
}

proptest! {
    #[test]
    fn a_call_window_holds_the_last_calls(size in 1..100_u32, steps in steps(10)) {
        play(WindowKind::Calls(size), steps, |calls, _| calls.len().saturating_sub(size as usize))?;
    }

    #[test]
    fn a_span_window_holds_the_last_ten_steps(step_ns in 1..50_u64, steps in steps(60)) {
        play(WindowKind::Span(step_ns * 10), steps, |calls, now_ns| {
            let oldest = (now_ns / step_ns).saturating_sub(9);
            calls.iter().position(|call| call.at_ns / step_ns >= oldest).unwrap_or(calls.len())
        })?;
    }
}
