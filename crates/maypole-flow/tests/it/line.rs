//! A line against the plainest one there is.

use maypole_flow::{Line, Ticket};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Join,
    Serve,
    Leave(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        1 => Just(Step::Serve),
        2 => any::<prop::sample::Index>().prop_map(Step::Leave),
    ]
}

proptest! {
    #[test]
    fn a_line_is_a_list_from_which_anybody_may_leave(steps in prop::collection::vec(step(), 1..400)) {
        let mut line = Line::new();
        let mut model: Vec<u64> = Vec::new();
        let mut joined = 0;
        for step in steps {
            match step {
                Step::Join => {
                    joined += 1;
                    line.join(Ticket(joined), joined * 10);
                    model.push(joined);
                }
                Step::Serve => {
                    let first = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(line.serve(), first.map(|ticket| (Ticket(ticket), ticket * 10)));
                }
                Step::Leave(which) => {
                    let ticket = which.index(usize::try_from(joined + 2).unwrap()) as u64;
                    let place = model.iter().position(|other| *other == ticket);
                    let left = place.map(|place| model.remove(place) * 10);
                    prop_assert_eq!(line.leave(Ticket(ticket)), left);
                }
            }
            prop_assert_eq!(line.len(), model.len());
            prop_assert_eq!(line.is_empty(), model.is_empty());
            let first = model.first().map(|ticket| (Ticket(*ticket), ticket * 10));
            prop_assert_eq!(line.first().map(|(ticket, who)| (ticket, *who)), first);
            prop_assert!(line.iter().map(|(ticket, _)| ticket.0).eq(model.iter().copied()));
        }
    }
}

#[test]
fn a_long_row_of_those_who_left_is_forgotten() {
    let mut line = Line::new();
    for ticket in 0..100_000 {
        line.join(Ticket(ticket), ());
        if ticket > 0 {
            line.leave(Ticket(ticket)).unwrap();
        }
    }
    assert_eq!(line.len(), 1);
    assert_eq!(line.iter().count(), 1);
    assert_eq!(line.serve(), Some((Ticket(0), ())));
}
