//! A setting that makes no sense, in words.

use std::error::Error;
use std::fmt;

/// A setting out of its range.
///
/// ```
/// let error = maypole_flow::Gcra::new(-1.0, 5.0, None).unwrap_err();
/// assert_eq!(error.to_string(), "rate must be above 0, got -1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Invalid {
    /// The name of the setting.
    pub what: &'static str,
    /// What it must be.
    pub must: &'static str,
    /// What it was.
    pub got: f64,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must {}, got {}", self.what, self.must, self.got)
    }
}

impl Error for Invalid {}

/// Refuse a setting unless it holds; NaN never does.
pub(crate) fn require(holds: bool, what: &'static str, must: &'static str, got: f64) -> Result<(), Invalid> {
    if holds {
        Ok(())
    } else {
        Err(Invalid { what, must, got })
    }
}
