//! UDP sockets, each with one datagram in flight. A datagram without a reply is sent again and counted.

use crate::address::Address;
use crate::exchange::Exchange;
use crate::options::Options;
use crate::reactor::Reactor;
use crate::report::Report;
use crate::subject::Subject;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const RESEND_AFTER: Duration = Duration::from_millis(200);
const RESENDS_MAX: u32 = 10;
const SETTLE: Duration = Duration::from_millis(5);
/// The first bytes of each datagram number it, so that a late reply to an earlier one is told apart.
const NUMBER_BYTES: usize = size_of::<u64>();

#[derive(Debug)]
struct Slot {
    socket: UdpSocket,
    datagram: Vec<u8>,
    number: u64,
    waiting: bool,
    resends: u32,
    began: Instant,
    sent: Instant,
}

/// All sockets of one run.
#[derive(Debug)]
struct Swarm {
    slots: Vec<Slot>,
    reactor: Reactor,
    deadline: Instant,
    spin: Duration,
    unasked: u64,
    waiting: usize,
    measuring: bool,
    report: Report,
}

/// Loads a UDP echo server.
///
/// # Errors
///
/// No socket can be had, or the server's process cannot be read. Lost datagrams are counted in the report
/// instead.
pub fn run(options: &Options) -> Result<Report, String> {
    let says = |error: io::Error| error.to_string();
    let Address::Tcp(address) = options.address else {
        return Err("udp needs an IP address".to_owned());
    };
    let subject = options.server_pid.map(Subject::new).transpose().map_err(says)?;
    let mut swarm = Swarm::new(address, options).map_err(says)?;
    swarm
        .phase(options.warmup.max(options.connections as u64))
        .map_err(says)?;

    let cpu_before_ns = cpu_ns(subject.as_ref()).map_err(says)?;
    let began = Instant::now();
    swarm.measuring = true;
    swarm.phase(options.requests).map_err(says)?;
    swarm.report.wall = began.elapsed();
    let cpu_after_ns = cpu_ns(subject.as_ref()).map_err(says)?;
    swarm.report.server_cpu_ns = cpu_after_ns
        .zip(cpu_before_ns)
        .map(|(after, before)| after - before);
    Ok(swarm.report)
}

fn cpu_ns(subject: Option<&Subject>) -> io::Result<Option<u64>> {
    thread::sleep(SETTLE);
    subject.map(Subject::cpu_ns).transpose()
}

impl Swarm {
    fn new(server: SocketAddr, options: &Options) -> io::Result<Self> {
        let local: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        let reactor = Reactor::new()?;
        let now = Instant::now();
        let mut slots = Vec::with_capacity(options.connections);
        for index in 0..options.connections {
            let socket = UdpSocket::bind(local)?;
            socket.connect(server)?;
            socket.set_nonblocking(true)?;
            reactor.add(&socket, index as u64)?;
            slots.push(Slot {
                socket,
                datagram: Exchange::echo(options.size).request().to_vec(),
                number: 0,
                waiting: false,
                resends: 0,
                began: now,
                sent: now,
            });
        }
        let report = Report {
            connections: slots.len(),
            ..Report::default()
        };
        let deadline = now + options.timeout;
        Ok(Self {
            slots,
            reactor,
            deadline,
            spin: options.spin,
            unasked: 0,
            waiting: 0,
            measuring: false,
            report,
        })
    }

    fn phase(&mut self, requests: u64) -> io::Result<()> {
        self.unasked = requests;
        self.waiting = 0;
        for index in 0..self.slots.len() {
            self.ask(index)?;
        }
        let mut ready = Vec::new();
        let mut space = vec![0; usize::from(u16::MAX)];
        while self.waiting > 0 {
            if Instant::now() >= self.deadline {
                self.report.timed_out = true;
                break;
            }
            self.reactor.wait_awake(&mut ready, self.spin, RESEND_AFTER / 4)?;
            for event in &ready {
                let Ok(index) = usize::try_from(event.token) else {
                    continue;
                };
                self.receive(index, &mut space)?;
            }
            if ready.is_empty() {
                self.resend()?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, index: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(index).filter(|_| self.unasked > 0) else {
            return Ok(());
        };
        self.unasked -= 1;
        self.waiting += 1;
        slot.number += 1;
        if let Some(head) = slot.datagram.get_mut(..NUMBER_BYTES) {
            head.copy_from_slice(&slot.number.to_le_bytes());
        }
        slot.waiting = true;
        slot.resends = 0;
        slot.began = Instant::now();
        slot.send()
    }

    fn receive(&mut self, index: usize, space: &mut [u8]) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(index) else {
            return Ok(());
        };
        let received = match slot.socket.recv(space) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => {
                self.report.fail(error.to_string());
                return Ok(());
            }
        };
        let reply = space.get(..received).unwrap_or_default();
        if reply != slot.datagram {
            if is_earlier(reply, slot.number) {
                return Ok(());
            }
            self.report.fail("reply differs from the datagram sent");
        } else if self.measuring && slot.waiting {
            self.report.requests += 1;
            self.report.latency.record(slot.began.elapsed());
        }
        if slot.waiting {
            slot.waiting = false;
            self.waiting -= 1;
            self.ask(index)?;
        }
        Ok(())
    }

    fn resend(&mut self) -> io::Result<()> {
        for slot in self
            .slots
            .iter_mut()
            .filter(|slot| slot.waiting && slot.sent.elapsed() > RESEND_AFTER)
        {
            if slot.resends == RESENDS_MAX {
                slot.waiting = false;
                self.waiting -= 1;
                self.report.fail("no reply to a datagram sent eleven times");
                continue;
            }
            slot.resends += 1;
            self.report.resent += 1;
            slot.send()?;
        }
        Ok(())
    }
}

impl Slot {
    fn send(&mut self) -> io::Result<()> {
        self.sent = Instant::now();
        match self.socket.send(&self.datagram) {
            Ok(_) => Ok(()),
            // A full socket buffer loses the datagram as a network would, and an unreachable port is told by
            // the next call: both end in a datagram sent again.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn is_earlier(reply: &[u8], number: u64) -> bool {
    reply
        .first_chunk::<NUMBER_BYTES>()
        .is_some_and(|head| u64::from_le_bytes(*head) < number)
}
