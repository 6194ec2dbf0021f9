//! What a run saw, as one JSON object on standard output.

use crate::histogram::Histogram;
use std::fmt::Write as _;
use std::time::Duration;

/// The outcome of one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests answered rightly in the measured phase.
    pub requests: u64,
    /// Connections that broke, replies that differed, datagrams given up.
    pub errors: u64,
    /// Datagrams that were sent again because no reply came.
    pub resent: u64,
    /// What the first error was.
    pub first_error: Option<String>,
    /// The deadline came before the last reply.
    pub timed_out: bool,
    /// Length of the measured phase.
    pub wall: Duration,
    /// CPU time of the server's process in the measured phase, when its process id was given.
    pub server_cpu_ns: Option<u64>,
    /// The server's resident memory before the first connection.
    pub server_bytes_before: Option<u64>,
    /// The server's resident memory once every connection had been answered once.
    pub server_bytes_connected: Option<u64>,
    /// Connections that were open, idle ones included.
    pub connections: usize,
    /// Connections that the server had not closed two seconds after the client's end.
    pub left_open: usize,
    /// Latency of the measured requests.
    pub latency: Histogram,
}

impl Report {
    /// Notes an error; the first one's text is kept.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| what.into());
    }

    /// The report as JSON, on one line.
    ///
    /// # Examples
    ///
    /// ```
    /// use maypole_load::report::Report;
    ///
    /// let mut report = Report::default();
    /// report.fail("reply \"x\" differs");
    /// assert!(report.to_json().contains(r#""first_error":"reply \"x\" differs""#));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::from("{");
        let mut field = |name: &str, value: String| {
            let comma = if text.len() > 1 { "," } else { "" };
            text.push_str(comma);
            // Writing to a String cannot fail.
            write!(text, "\"{name}\":{value}").unwrap_or_default();
        };
        let number = |value: Option<u64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        field("requests", self.requests.to_string());
        field("errors", self.errors.to_string());
        field("resent", self.resent.to_string());
        field(
            "first_error",
            self.first_error
                .as_ref()
                .map_or_else(|| "null".to_owned(), |text| quoted(text)),
        );
        field("timed_out", self.timed_out.to_string());
        field("wall_ns", self.wall.as_nanos().to_string());
        field("server_cpu_ns", number(self.server_cpu_ns));
        field("server_bytes_before", number(self.server_bytes_before));
        field("server_bytes_connected", number(self.server_bytes_connected));
        field("connections", self.connections.to_string());
        field("left_open", self.left_open.to_string());
        for (name, quantile) in [
            ("latency_p50_ns", 0.5),
            ("latency_p90_ns", 0.9),
            ("latency_p99_ns", 0.99),
            ("latency_p999_ns", 0.999),
        ] {
            field(name, self.latency.quantile_ns(quantile).to_string());
        }
        field("latency_max_ns", self.latency.max_ns().to_string());
        text.push('}');
        text
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                write!(out, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
