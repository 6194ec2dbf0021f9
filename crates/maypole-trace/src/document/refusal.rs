//! Why a document is not read: one sentence for each reason.

use std::fmt;

use super::{FORMAT, VERSION};

/// Why bytes are no trace that can be read.
///
/// ```
/// use maypole_trace::Document;
///
/// let refusal = Document::parse(br#"{"format": "maypole-trace", "version": 9}"#).unwrap_err();
/// assert_eq!(refusal.to_string(), "the trace is of version 9; this maypole reads version 1");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing.
    Empty,
    /// It ends in the middle.
    CutShort {
        /// How many bytes there are.
        bytes: usize,
    },
    /// It is something else than JSON.
    NotJson {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// It is JSON, but no trace of ours; with what it calls itself, if it does.
    OtherFormat(Option<String>),
    /// It is a trace of a version that is not known here; with its version, if it tells one.
    OtherVersion(Option<String>),
    /// It calls itself a trace, and breaks a rule of the format.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the trace is empty"),
            Self::CutShort { bytes } => write!(
                f,
                "the trace is cut short: it ends after {bytes} bytes, in the middle"
            ),
            Self::NotJson { line, column } => {
                write!(f, "this is no trace: no JSON at line {line}, column {column}")
            }
            Self::OtherFormat(Some(format)) => write!(f, "this is no {FORMAT}: its format is {format}"),
            Self::OtherFormat(None) => write!(f, "this is no {FORMAT}: it does not say its format"),
            Self::OtherVersion(Some(version)) => {
                write!(
                    f,
                    "the trace is of version {version}; this maypole reads version {VERSION}"
                )
            }
            Self::OtherVersion(None) => {
                write!(
                    f,
                    "the trace does not say its version; this maypole reads version {VERSION}"
                )
            }
            Self::Broken(rule) => write!(f, "the trace breaks its format: {rule}"),
        }
    }
}

impl std::error::Error for Refusal {}
