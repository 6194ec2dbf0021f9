//! The process under measurement, read from `/proc`: CPU time of all its threads, and its resident memory.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// A process whose cost is measured from outside.
#[derive(Clone, Debug)]
pub struct Subject {
    root: PathBuf,
}

impl Subject {
    /// The process `pid`.
    ///
    /// # Errors
    ///
    /// The process does not exist, or the kernel keeps no `schedstat`.
    pub fn new(pid: u32) -> io::Result<Self> {
        let subject = Self {
            root: PathBuf::from(format!("/proc/{pid}")),
        };
        subject.cpu_ns()?;
        Ok(subject)
    }

    /// CPU time spent by all threads that are alive, user and system, in nanoseconds.
    ///
    /// A thread that ends while the others are read counts nothing, as one that ended before.
    ///
    /// The kernel adds a thread's time when it stops running, so read this while the process waits.
    ///
    /// # Errors
    ///
    /// The process is gone, or `schedstat` cannot be read.
    pub fn cpu_ns(&self) -> io::Result<u64> {
        let mut total = 0;
        for thread in fs::read_dir(self.root.join("task"))? {
            let text = match fs::read_to_string(thread?.path().join("schedstat")) {
                Ok(text) => text,
                // A thread may end after it was listed, before or after its file was opened.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let first = text
                .split_whitespace()
                .next()
                .and_then(|word| word.parse::<u64>().ok());
            total += first.ok_or_else(|| io::Error::other("schedstat does not begin with a number"))?;
        }
        Ok(total)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.root.join("smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|word| word.parse::<u64>().ok());
        Ok(kib.ok_or_else(|| io::Error::other("smaps_rollup has no Rss line"))? * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn own_process_has_cpu_time_and_memory() {
        let own = Subject::new(std::process::id()).unwrap();
        assert!(own.cpu_ns().unwrap() > 0);
        assert!(own.resident_bytes().unwrap() > 100_000);
    }

    #[test]
    fn unknown_process_is_an_error() {
        assert!(Subject::new(u32::MAX).is_err());
    }
}
