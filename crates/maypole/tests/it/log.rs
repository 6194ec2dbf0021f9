//! A log that tasks share: tests assert what is written, in order.
use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;

pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    pub(crate) fn push(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// Writes its entry when it is dropped.
pub(crate) struct WritesOnDrop<T: Clone + Debug>(pub(crate) Log<T>, pub(crate) T);

impl<T: Clone + Debug> Drop for WritesOnDrop<T> {
    fn drop(&mut self) {
        self.0.push(self.1.clone());
    }
}
