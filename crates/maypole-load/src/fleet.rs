//! Many connections, each with one request in flight.

use crate::exchange::{Exchange, Progress};
use crate::options::{Mode, Options};
use crate::reactor::{Reactor, Ready};
use crate::report::Report;
use crate::stream::{Stream, tls_config};
use crate::subject::Subject;
use rustls::ClientConfig;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Connections opened before each of them is answered once: far below any server's listen backlog, so that no
/// connection attempt is dropped and tried again a second later.
const OPENING_BATCH: usize = 64;
/// How long the server is left alone so that its last thread has stopped running and its CPU time is
/// complete.
const SETTLE: Duration = Duration::from_millis(5);
/// How long the server may take to close its side once all is done.
const FAREWELL: Duration = Duration::from_secs(2);
const RECEIVE_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is awaited; anything that happens is an error.
    Quiet,
    /// A request is on its way, or its reply.
    Asking,
    /// All was said; the server's end is awaited.
    Finishing,
}

#[derive(Debug)]
struct Slot {
    stream: Option<Stream>,
    state: State,
    sent: usize,
    writing: bool,
    progress: Progress,
    began: Instant,
}

/// All connections of one run.
#[derive(Debug)]
pub struct Fleet {
    options: Options,
    exchange: Exchange,
    tls: Option<Arc<ClientConfig>>,
    reactor: Reactor,
    slots: Vec<Slot>,
    space: Vec<u8>,
    deadline: Instant,
    /// Requests that the running phase may still begin.
    unasked: u64,
    in_flight: usize,
    measuring: bool,
    report: Report,
}

impl Fleet {
    /// A fleet that has opened no connection yet.
    ///
    /// # Errors
    ///
    /// The certificate authority cannot be read, or no descriptor is left.
    pub fn new(options: Options) -> Result<Self, String> {
        let exchange = match options.mode {
            Mode::Lines => Exchange::line(options.size),
            Mode::Http => Exchange::http(&options.path),
            Mode::Echo | Mode::Churn | Mode::Udp => Exchange::echo(options.size),
        };
        Ok(Self {
            exchange,
            tls: options.tls_authority.as_deref().map(tls_config).transpose()?,
            reactor: Reactor::new().map_err(|error| error.to_string())?,
            slots: Vec::new(),
            space: vec![0; RECEIVE_BYTES],
            deadline: Instant::now() + options.timeout,
            unasked: 0,
            in_flight: 0,
            measuring: false,
            report: Report::default(),
            options,
        })
    }

    /// Opens all connections, warms up, measures, says farewell.
    ///
    /// # Errors
    ///
    /// The server's process cannot be read, a connection is refused, or epoll fails. What goes wrong on an
    /// open connection is counted in the report instead.
    pub fn run(mut self) -> Result<Report, String> {
        let says = |error: io::Error| error.to_string();
        let subject = self
            .options
            .server_pid
            .map(Subject::new)
            .transpose()
            .map_err(says)?;
        let busy = 0..self.options.connections;
        self.report.server_bytes_before = read(subject.as_ref(), Subject::resident_bytes)?;
        self.open()
            .map_err(|error| format!("cannot connect to {}: {error}", self.options.address))?;
        self.report.server_bytes_connected = read(subject.as_ref(), Subject::resident_bytes)?;
        self.report.connections = self.slots.iter().filter(|slot| slot.stream.is_some()).count();
        self.phase(busy.clone(), self.options.warmup).map_err(says)?;

        let cpu_before_ns = read(subject.as_ref(), Subject::cpu_ns)?;
        let began = Instant::now();
        self.measuring = true;
        self.phase(busy, self.options.requests).map_err(says)?;
        self.measuring = false;
        self.report.wall = began.elapsed();
        let cpu_after_ns = read(subject.as_ref(), Subject::cpu_ns)?;
        self.report.server_cpu_ns = cpu_after_ns
            .zip(cpu_before_ns)
            .map(|(after, before)| after - before);
        self.farewell().map_err(says)?;
        Ok(self.report)
    }

    fn open(&mut self) -> io::Result<()> {
        let wanted = self.options.connections + self.options.idle;
        let now = Instant::now();
        self.slots.extend((0..wanted).map(|_| Slot {
            stream: None,
            state: State::Quiet,
            sent: 0,
            writing: false,
            progress: Progress::default(),
            began: now,
        }));
        if self.options.mode == Mode::Churn {
            return Ok(());
        }
        for first in (0..wanted).step_by(OPENING_BATCH) {
            let batch = first..wanted.min(first + OPENING_BATCH);
            for index in batch.clone() {
                self.connect(index)?;
            }
            self.phase(batch.clone(), batch.len() as u64)?;
            if self.report.errors > 0 || self.report.timed_out {
                break;
            }
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> io::Result<()> {
        let stream = Stream::connect(&self.options.address, self.tls.as_ref())?;
        self.reactor.add(&stream, index as u64)?;
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stream = Some(stream);
            slot.writing = false;
        }
        Ok(())
    }

    /// Makes `requests` requests over the connections `range`, and waits for their replies.
    fn phase(&mut self, range: Range<usize>, requests: u64) -> io::Result<()> {
        if self.report.timed_out {
            return Ok(());
        }
        self.unasked = requests;
        self.in_flight = 0;
        for index in range {
            self.ask(index);
        }
        let mut ready = Vec::new();
        while self.in_flight > 0 {
            let Some(left) = self.time_left() else { break };
            self.reactor.wait_awake(&mut ready, self.options.spin, left)?;
            for event in &ready {
                self.attend(*event);
            }
        }
        Ok(())
    }

    fn time_left(&mut self) -> Option<Duration> {
        let left = self.deadline.checked_duration_since(Instant::now());
        self.report.timed_out |= left.is_none();
        left
    }

    fn ask(&mut self, index: usize) {
        if self.unasked == 0 {
            return;
        }
        let began = Instant::now();
        if self.options.mode == Mode::Churn
            && let Err(error) = self.connect(index)
        {
            self.report.fail(format!("cannot connect: {error}"));
            return;
        }
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.stream.is_some()) else {
            return;
        };
        self.unasked -= 1;
        self.in_flight += 1;
        slot.state = State::Asking;
        slot.sent = 0;
        slot.progress = Progress::default();
        slot.began = began;
        if let Err(error) = self.push(index) {
            self.lose(index, &error.to_string());
        }
    }

    /// Sends what is unsent, and asks to be woken for writing exactly while something is held back.
    fn push(&mut self, index: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let Some(stream) = &mut slot.stream else {
            return Ok(());
        };
        stream.flush()?;
        let request = self.exchange.request();
        while slot.state == State::Asking && slot.sent < request.len() {
            match stream.send(request.get(slot.sent..).unwrap_or_default()) {
                Ok(sent) => slot.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let unsent = slot.state == State::Asking && slot.sent < request.len();
        // A TLS session in its handshake holds the request back and waits for the peer, not for room to
        // write.
        let writing = stream.wants_write() || (unsent && self.tls.is_none());
        if writing != slot.writing {
            self.reactor.watch(&*stream, index as u64, writing)?;
            slot.writing = writing;
        }
        Ok(())
    }

    fn attend(&mut self, event: Ready) {
        let Ok(index) = usize::try_from(event.token) else {
            return;
        };
        let outcome = if event.readable { self.pull(index) } else { Ok(()) };
        let outcome = outcome.and_then(|()| self.push(index).map_err(|error| error.to_string()));
        if let Err(what) = outcome {
            self.lose(index, &what);
        }
    }

    /// Receives all that is there.
    fn pull(&mut self, index: usize) -> Result<(), String> {
        loop {
            let Some(slot) = self.slots.get_mut(index) else {
                return Ok(());
            };
            let Some(stream) = &mut slot.stream else {
                return Ok(());
            };
            let received = match stream.receive(&mut self.space) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) if slot.state == State::Finishing => 0,
                Err(error) => return Err(error.to_string()),
            };
            match (slot.state, received) {
                (State::Finishing, 0) => {
                    self.close(index);
                    return Ok(());
                }
                (State::Finishing, _) => return Err("server sent more than was asked for".to_owned()),
                (State::Quiet, 0) => return Err("server closed an idle connection".to_owned()),
                (State::Quiet, _) => return Err("server sent bytes that nobody asked for".to_owned()),
                (State::Asking, 0) => return Err("server closed the connection before its reply".to_owned()),
                (State::Asking, _) => {}
            }
            let bytes = self.space.get(..received).unwrap_or_default();
            if self.exchange.accept(&mut slot.progress, bytes)? {
                self.answered(index)?;
            }
            if self.tls.is_none() && received < RECEIVE_BYTES {
                return Ok(());
            }
        }
    }

    fn answered(&mut self, index: usize) -> Result<(), String> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        if self.options.mode == Mode::Churn {
            slot.state = State::Finishing;
            let stream = slot.stream.as_mut();
            return stream
                .map_or(Ok(()), Stream::finish)
                .map_err(|error| error.to_string());
        }
        slot.state = State::Quiet;
        self.count(index);
        self.ask(index);
        Ok(())
    }

    fn count(&mut self, index: usize) {
        self.in_flight -= 1;
        if self.measuring
            && let Some(slot) = self.slots.get(index)
        {
            self.report.requests += 1;
            self.report.latency.record(slot.began.elapsed());
        }
    }

    /// The server has closed a connection we had finished.
    fn close(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.stream = None;
            slot.state = State::Quiet;
        }
        self.count(index);
        self.ask(index);
    }

    fn lose(&mut self, index: usize, what: &str) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if slot.state != State::Quiet {
            self.in_flight -= 1;
        }
        slot.stream = None;
        slot.state = State::Quiet;
        self.report.fail(what);
    }

    /// Closes every connection in order, so that no server sees a reset.
    fn farewell(&mut self) -> io::Result<()> {
        self.deadline = Instant::now() + FAREWELL;
        self.unasked = 0;
        self.in_flight = 0;
        for slot in &mut self.slots {
            if let Some(stream) = &mut slot.stream {
                slot.state = State::Finishing;
                self.in_flight += 1;
                stream.finish()?;
            }
        }
        let mut ready = Vec::new();
        while self.in_flight > 0 {
            let Some(left) = self.deadline.checked_duration_since(Instant::now()) else {
                self.report.left_open = self.in_flight;
                break;
            };
            self.reactor.wait(&mut ready, Some(left))?;
            for event in &ready {
                self.attend(*event);
            }
        }
        Ok(())
    }
}

/// Lets the server come to rest, then reads a figure of its process.
fn read(subject: Option<&Subject>, figure: fn(&Subject) -> io::Result<u64>) -> Result<Option<u64>, String> {
    let Some(subject) = subject else { return Ok(None) };
    thread::sleep(SETTLE);
    figure(subject)
        .map(Some)
        .map_err(|error| format!("cannot read the server's process: {error}"))
}
