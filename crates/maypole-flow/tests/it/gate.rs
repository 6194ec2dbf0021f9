//! A gate under random histories: the limit, the order, the sums.

use maypole_flow::{Gate, Group, Ticket};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Try(usize, u64),
    Join(usize, i32, u64),
    Release(prop::sample::Index),
    Leave(prop::sample::Index),
    Limit(u64),
}

const GROUPS: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..GROUPS, 1..4_u64).prop_map(|(group, n)| Step::Try(group, n)),
        4 => (0..GROUPS, -1..2_i32, 1..4_u64).prop_map(|(group, priority, n)| Step::Join(group, priority, n)),
        5 => any::<prop::sample::Index>().prop_map(Step::Release),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => (1..20_u64).prop_map(Step::Limit),
    ];
    prop::collection::vec(step, 1..200)
}

struct Waiter {
    ticket: Ticket,
    group: Group,
    priority: i32,
    n: u64,
}

struct History {
    gate: Gate<(usize, u64)>,
    inside: Vec<(Group, u64)>,
    /// The most urgent first, and those who are as urgent in the order in which they came.
    waiting: Vec<Waiter>,
    asked: u64,
}

impl History {
    fn in_use(&self, group: Group) -> u64 {
        self.inside
            .iter()
            .filter(|held| held.0 == group)
            .map(|held| held.1)
            .sum()
    }

    fn enter(&mut self, group: Group, n: u64) -> Result<(), TestCaseError> {
        let alone = self.inside.is_empty();
        self.inside.push((group, n));
        let all: u64 = self.inside.iter().map(|held| held.1).sum();
        prop_assert!(
            all <= self.gate.limit() || alone,
            "{all} inside of {}",
            self.gate.limit()
        );
        let kept: u64 = (1..GROUPS)
            .map(Group)
            .filter(|other| *other != group)
            .map(|other| self.gate.reserved(other).saturating_sub(self.in_use(other)))
            .sum();
        prop_assert!(
            all + kept <= self.gate.limit() || alone,
            "took a place that is kept for another group"
        );
        Ok(())
    }

    fn serve(&mut self) -> Result<(), TestCaseError> {
        let mut granted = Vec::new();
        self.gate.serve(0, &mut granted);
        for ((group, n), given) in granted {
            prop_assert_eq!(Group(group), given);
            let place = self.waiting.iter().position(|one| one.group == given).unwrap();
            let one = self.waiting.remove(place);
            prop_assert_eq!(one.n, n, "its group is served in order");
            // Who stands before it is passed only for a place of the group's own.
            if place > 0 {
                prop_assert!(
                    self.in_use(given) + n <= self.gate.reserved(given),
                    "overtook somebody"
                );
            }
            self.enter(given, n)?;
        }
        Ok(())
    }

    fn play(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Try(group, n) => {
                let group = Group(group);
                self.asked += 1;
                if self.gate.try_acquire(group, n) {
                    let own = self.in_use(group) + n <= self.gate.reserved(group);
                    let before = self.waiting.iter().any(|one| one.priority >= 0);
                    prop_assert!(!before || own, "overtook somebody who waits");
                    self.enter(group, n)?;
                }
            }
            Step::Join(group, priority, n) => {
                self.asked += 1;
                if let Ok(ticket) = self.gate.join(0, Group(group), priority, n, (group, n)) {
                    let place = self.waiting.partition_point(|one| one.priority >= priority);
                    let group = Group(group);
                    self.waiting.insert(
                        place,
                        Waiter {
                            ticket,
                            group,
                            priority,
                            n,
                        },
                    );
                }
                self.serve()?;
            }
            Step::Release(which) if !self.inside.is_empty() => {
                let (group, n) = self.inside.swap_remove(which.index(self.inside.len()));
                prop_assert!(self.gate.release(group, n));
                self.serve()?;
            }
            Step::Leave(which) if !self.waiting.is_empty() => {
                let one = self.waiting.remove(which.index(self.waiting.len()));
                prop_assert!(self.gate.leave(one.group, one.ticket, false).is_some());
                self.serve()?;
            }
            Step::Limit(limit) => {
                self.gate.set_limit(limit);
                self.serve()?;
            }
            Step::Release(_) | Step::Leave(_) => {}
        }
        prop_assert_eq!(
            self.gate.in_use(),
            self.inside.iter().map(|held| held.1).sum::<u64>()
        );
        prop_assert_eq!(self.gate.waiting_len(), self.waiting.len());
        let tally = self.gate.tally();
        let known = tally.granted + tally.rejected + tally.cancelled + self.waiting.len() as u64;
        prop_assert_eq!(known, self.asked, "somebody was lost or counted twice");
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_gate_holds_its_limit_its_order_and_its_sums(
        limit in 1..20_u64, shares in prop::option::of((0.05..0.4_f64, 0.05..0.4_f64)), steps in steps(),
    ) {
        let shares = shares.map_or(vec![0.001, 0.001], |(a, b)| vec![a, b]);
        let gate = Gate::new(limit, Some(50), &shares).unwrap();
        let mut history = History { gate, inside: Vec::new(), waiting: Vec::new(), asked: 0 };
        for step in steps {
            history.play(step)?;
        }
        // Everybody leaves in the end, and everybody who waits gets in.
        while let Some((group, n)) = history.inside.pop() {
            prop_assert!(history.gate.release(group, n));
            history.serve()?;
        }
        prop_assert_eq!(history.waiting.len(), 0);
        prop_assert_eq!(history.gate.in_use(), 0);
    }

    #[test]
    fn reserved_places_leave_one_for_everybody(limit in 1..1_000_u64, a in 0.01..0.49_f64, b in 0.01..0.49_f64) {
        let gate: Gate<()> = Gate::new(limit, None, &[a, b]).unwrap();
        let (first, second) = (gate.reserved(Group(1)), gate.reserved(Group(2)));
        prop_assert!(first + second < limit);
        prop_assert!((first + second) as f64 >= (limit as f64 * (a + b)).floor().min(limit as f64 - 1.0));
        prop_assert_eq!(gate.reserved(Group(0)), 0);
        prop_assert_eq!(gate.most(Group(0)), limit - first - second);
        prop_assert_eq!(gate.most(Group(1)), limit - second);
    }
}

#[test]
fn a_release_without_an_acquire_changes_nothing() {
    let mut gate: Gate<()> = Gate::new(2, None, &[0.4]).unwrap();
    assert!(gate.try_acquire(Group(0), 1));
    assert!(!gate.release(Group(0), 2));
    assert!(!gate.release(Group(1), 1));
    assert_eq!(gate.in_use(), 1);
}
