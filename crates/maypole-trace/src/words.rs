//! The closed sets of words that an event is told in: its kind, who woke, what was waited for, how it ended.
//!
//! Each has the text of the trace format (`name`), and a number that fits into an event (`as u8` and `from_u8`).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$word_doc])* $word),+ }

        impl $name {
            /// Every word of the set, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word as the trace format writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }

            /// The word of a number, if the set has that many.
            #[must_use]
            pub const fn from_u8(number: u8) -> Option<Self> {
                if (number as usize) < Self::ALL.len() { Some(Self::ALL[number as usize]) } else { None }
            }

            /// The word that the trace format writes so, if it is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.name() == name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

words! {
    /// What an event tells.
    ///
    /// ```
    /// use maypole_trace::Kind;
    ///
    /// assert_eq!(Kind::from_u8(Kind::Gc as u8), Some(Kind::Gc));
    /// ```
    Kind {
        /// A task was made.
        TaskCreated = "task_created",
        /// A coroutine ran, from its resumption to its next await that waits, or its end.
        Step = "step",
        /// What the step before ended with.
        Wait = "wait",
        /// A task is done.
        TaskEnded = "task_ended",
        /// Somebody asked for a task's cancellation.
        Cancel = "cancel",
        /// A handle, or a transport's event, ran.
        Callback = "callback",
        /// A batch ran.
        Turn = "turn",
        /// The poller was asked.
        Poll = "poll",
        /// A timer was set.
        TimerSet = "timer_set",
        /// A timer fired.
        TimerFired = "timer_fired",
        /// A descriptor was reported ready.
        Io = "io",
        /// A job in a thread is done.
        Executor = "executor",
        /// The garbage collector paused the program.
        Gc = "gc",
        /// The loop was held.
        Stall = "stall",
        /// Something the program, or a library, wrote down itself.
        Mark = "mark",
    }
}

words! {
    /// Who made a task, or a callback, ready.
    ///
    /// ```
    /// use maypole_trace::Waker;
    ///
    /// assert_eq!(Waker::default().name(), "unknown");
    /// ```
    Waker {
        /// Nobody: it begins.
        Start = "start",
        /// A task that ran.
        Task = "task",
        /// A timer that fired.
        Timer = "timer",
        /// A descriptor that became ready.
        Io = "io",
        /// Another thread.
        Thread = "thread",
        /// A callback that ran in the loop.
        Callback = "callback",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// What a task waits for.
    ///
    /// ```
    /// use maypole_trace::WaitKind;
    ///
    /// assert_eq!(WaitKind::from_name("turn"), Some(WaitKind::Turn));
    /// assert_eq!(WaitKind::from_name("lunch"), None);
    /// ```
    WaitKind {
        /// A moment.
        Sleep = "sleep",
        /// A descriptor.
        Io = "io",
        /// A lock.
        Lock = "lock",
        /// Room in a queue, or something in it.
        Queue = "queue",
        /// An event, or a condition.
        Event = "event",
        /// A semaphore.
        Semaphore = "semaphore",
        /// Another task.
        Task = "task",
        /// Several at once.
        Gather = "gather",
        /// A future of the program's own.
        Future = "future",
        /// A job in a thread.
        Executor = "executor",
        /// The next turn: `sleep(0)`.
        Turn = "turn",
        /// Not known.
        Unknown = "unknown",
    }
}

words! {
    /// How a task ended.
    ///
    /// ```
    /// assert_eq!(maypole_trace::Ended::Raised.name(), "raised");
    /// ```
    Ended {
        /// With a value.
        Returned = "returned",
        /// With an exception.
        Raised = "raised",
        /// By cancellation.
        Cancelled = "cancelled",
    }
}

words! {
    /// How a task stands at the end of the recording.
    ///
    /// ```
    /// use maypole_trace::{Ended, Outcome};
    ///
    /// assert_eq!(Outcome::from(Ended::Returned), Outcome::Returned);
    /// ```
    Outcome {
        /// It gave a value.
        Returned = "returned",
        /// It ended with an exception.
        Raised = "raised",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// It lives.
        Pending = "pending",
    }
}

impl From<Ended> for Outcome {
    fn from(how: Ended) -> Self {
        match how {
            Ended::Returned => Self::Returned,
            Ended::Raised => Self::Raised,
            Ended::Cancelled => Self::Cancelled,
        }
    }
}

#[allow(
    clippy::derivable_impls,
    reason = "the macro cannot mark one word as the default"
)]
impl Default for Outcome {
    fn default() -> Self {
        Self::Pending
    }
}

#[allow(
    clippy::derivable_impls,
    reason = "the macro cannot mark one word as the default"
)]
impl Default for Waker {
    fn default() -> Self {
        Self::Unknown
    }
}

#[allow(
    clippy::derivable_impls,
    reason = "the macro cannot mark one word as the default"
)]
impl Default for WaitKind {
    fn default() -> Self {
        Self::Unknown
    }
}

/// A word that a later writer added is not known here: that is no reason to refuse its document.
macro_rules! read_unknown_words {
    ($($name:ident),+) => { $(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = Cow::<'de, str>::deserialize(deserializer)?;
                Ok(Self::from_name(&word).unwrap_or_default())
            }
        }
    )+ };
}

read_unknown_words!(Waker, WaitKind, Outcome);
