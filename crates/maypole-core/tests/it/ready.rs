//! The ready queue against two plain vectors: the batch and what is behind it.

use maypole_core::ReadyQueue;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push,
    Begin,
    Take,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Push),
        2 => Just(Step::Begin),
        8 => Just(Step::Take),
        1 => Just(Step::Drain),
    ]
}

proptest! {
    #[test]
    fn queue_behaves_like_a_batch_and_the_rest(steps in prop::collection::vec(step(), 1..300)) {
        let mut queue = ReadyQueue::new();
        let (mut batch, mut rest): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push => {
                    queue.push(number);
                    rest.push(number);
                }
                Step::Begin => {
                    batch.append(&mut rest);
                    prop_assert_eq!(queue.begin_batch(), batch.len());
                }
                Step::Take => {
                    let expected = if batch.is_empty() { None } else { Some(batch.remove(0)) };
                    prop_assert_eq!(queue.take(), expected);
                }
                Step::Drain => {
                    batch.append(&mut rest);
                    prop_assert_eq!(queue.drain(), std::mem::take(&mut batch));
                }
            }
            prop_assert_eq!(queue.batch_left(), batch.len());
            prop_assert_eq!(queue.len(), batch.len() + rest.len());
            prop_assert_eq!(queue.is_empty(), batch.is_empty() && rest.is_empty());
            prop_assert!(queue.iter().eq(batch.iter().chain(&rest)));
        }
    }
}
