//! Process-wide values that the interpreter lock protects.

use std::cell::OnceCell;

/// A value set once while the module is imported and read ever after, always under the interpreter lock.
pub(crate) struct GilOnce<T>(OnceCell<T>);

// SAFETY: every access happens with the interpreter lock held (the crate declares that it needs the lock, and refuses a second
// interpreter), so there is never more than one thread inside.
unsafe impl<T> Sync for GilOnce<T> {}

impl<T> GilOnce<T> {
    pub(crate) const fn new() -> GilOnce<T> {
        GilOnce(OnceCell::new())
    }

    /// Sets the value; a second import of the module keeps the first one.
    pub(crate) fn set(&self, value: T) {
        // A value that is there already was made by an earlier import of the same module and is as good.
        drop(self.0.set(value));
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    /// The value; it is set before any type of the module can be reached from Python.
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        match self.0.get() {
            Some(value) => value,
            None => Self::missing(),
        }
    }

    #[cold]
    fn missing() -> ! {
        panic!("maypole._maypole is used before it was imported")
    }
}
