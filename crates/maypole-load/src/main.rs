//! The load generator's command line: one JSON object on standard output, or one sentence on standard error.

use maypole_load::datagram;
use maypole_load::fleet::Fleet;
use maypole_load::options::{Mode, Options, USAGE};
use maypole_load::report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::process::ExitCode;

/// Descriptors beside the connections: standard streams, epoll, `/proc` files.
const DESCRIPTORS_BESIDE: u64 = 32;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(what) => return fail(&format!("{what}\n\n{USAGE}"), 2),
    };
    let outcome = allow_descriptors(options.connections + options.idle).and_then(|()| run(options));
    match outcome {
        Ok(report) => match writeln!(std::io::stdout(), "{}", report.to_json()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string(), 1),
        },
        Err(what) => fail(&what, 1),
    }
}

fn run(options: Options) -> Result<Report, String> {
    if options.mode == Mode::Udp {
        datagram::run(&options)
    } else {
        Fleet::new(options)?.run()
    }
}

fn allow_descriptors(connections: usize) -> Result<(), String> {
    let wanted = connections as u64 + DESCRIPTORS_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return Err(format!(
            "{connections} connections need {wanted} descriptors; the hard limit is lower"
        ));
    }
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        },
    )
    .map_err(|error| format!("cannot raise the descriptor limit to {wanted}: {error}"))
}

fn fail(what: &str, code: u8) -> ExitCode {
    // Nobody is left to tell when standard error is closed; the exit code still says it.
    writeln!(std::io::stderr(), "maypole-load: {what}").unwrap_or_default();
    ExitCode::from(code)
}
