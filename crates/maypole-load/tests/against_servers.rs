//! The load generator against the floor servers, and against servers that misbehave.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LOAD: &str = env!("CARGO_BIN_EXE_maypole-load");
const FLOORS: [&str; 2] = [
    env!("CARGO_BIN_EXE_floor-epoll"),
    env!("CARGO_BIN_EXE_floor-tokio"),
];

struct Floor {
    process: Child,
    socket: PathBuf,
}

impl Floor {
    fn start(program: &str) -> Self {
        let name = format!(
            "maypole-load-{}-{:?}.sock",
            std::process::id(),
            thread::current().id()
        );
        let socket = std::env::temp_dir().join(name);
        // The socket of an earlier run may be left; that none is left is no error.
        std::fs::remove_file(&socket).unwrap_or_default();
        let mut process = Command::new(program)
            .arg(format!("unix:{}", socket.display()))
            .arg("20")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("\"ready\":true"), "{program} said {line:?}");
        Self { process, socket }
    }

    fn load(&self, mode: &str, options: &[&str]) -> String {
        let pid = self.process.id().to_string();
        let mut words = vec!["--server-pid", &pid];
        words.extend(options);
        load(mode, &format!("unix:{}", self.socket.display()), &words)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_file(&self.socket).unwrap();
    }
}

fn load(mode: &str, address: &str, options: &[&str]) -> String {
    let output = Command::new(LOAD)
        .args([mode, address])
        .args(options)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let rest = json.split_once(&format!("\"{name}\":")).unwrap().1;
    rest.split([',', '}']).next().unwrap()
}

#[test]
fn every_request_is_answered_at_every_size() {
    for program in FLOORS {
        let floor = Floor::start(program);
        for size in ["1", "1024", "300000"] {
            let options = [
                "--size",
                size,
                "--connections",
                "7",
                "--requests",
                "50",
                "--warmup",
                "9",
            ];
            let report = floor.load("echo", &options);
            assert_eq!(field(&report, "requests"), "50", "{program} {size}: {report}");
            assert_eq!(field(&report, "errors"), "0", "{program} {size}: {report}");
            assert_ne!(field(&report, "server_cpu_ns"), "0", "{program} {size}: {report}");
        }
    }
}

#[test]
fn idle_connections_stay_open_while_others_work() {
    let floor = Floor::start(FLOORS[0]);
    let report = floor.load(
        "lines",
        &["--connections", "3", "--idle", "500", "--requests", "30"],
    );
    assert_eq!(field(&report, "connections"), "503", "{report}");
    assert_eq!(
        (field(&report, "requests"), field(&report, "errors")),
        ("30", "0"),
        "{report}"
    );
}

#[test]
fn churn_makes_one_connection_for_each_request() {
    for program in FLOORS {
        let floor = Floor::start(program);
        let report = floor.load("churn", &["--connections", "5", "--requests", "200"]);
        assert_eq!(
            (field(&report, "requests"), field(&report, "errors")),
            ("200", "0"),
            "{report}"
        );
    }
}

#[test]
fn silent_server_ends_the_run_at_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let began = Instant::now();
    let report = load("echo", &address, &["--timeout-s", "1"]);
    assert_eq!(field(&report, "timed_out"), "true", "{report}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn wrong_reply_is_counted_as_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        stream.read_exact(&mut request).unwrap();
        request[1000] ^= 1;
        stream.write_all(&request).unwrap();
    });
    let report = load("echo", &address, &["--timeout-s", "5"]);
    server.join().unwrap();
    assert_eq!(
        (field(&report, "requests"), field(&report, "errors")),
        ("0", "1"),
        "{report}"
    );
    assert!(report.contains("differs"), "{report}");
}

#[test]
fn lost_datagram_is_sent_again_and_counted() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", server.local_addr().unwrap());
    thread::spawn(move || {
        let mut space = [0; 2048];
        for turn in 0.. {
            let Ok((size, peer)) = server.recv_from(&mut space) else {
                return;
            };
            if turn != 3 {
                server.send_to(&space[..size], peer).unwrap();
            }
        }
    });
    let report = load(
        "udp",
        &address,
        &["--requests", "20", "--warmup", "2", "--timeout-s", "5"],
    );
    assert_eq!(
        (field(&report, "requests"), field(&report, "errors")),
        ("20", "0"),
        "{report}"
    );
    assert_eq!(field(&report, "resent"), "1", "{report}");
}
