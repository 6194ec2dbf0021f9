//! The command line of `maypole-load`.

use crate::address::Address;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// How to call the program.
pub const USAGE: &str = "\
maypole-load MODE ADDRESS [--option value]...

modes:    echo   send SIZE bytes, await the same        lines  the same with one line of SIZE bytes
          churn  a new connection for each echo         http   GET PATH on connections that stay open
          udp    datagrams of SIZE bytes, sent again after 200 ms without a reply
address:  tcp:IP:PORT (also for udp) or unix:PATH; loopback only
options:  --size BYTES (1024)        --connections N (1)    --idle N (0): more connections, answered once, then silent
          --requests N (1000)        --warmup N (100)       --path PATH (/)
          --server-pid PID: also report that process's CPU time and memory
          --tls-authority FILE: speak TLS, believe this certificate authority, for the name localhost
          --spin-us MICROSECONDS (0): stay awake so long for the next reply; for a client with a CPU of its own
          --timeout-s SECONDS (30): the whole run ends by then, whatever the server does";

/// What kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bytes that come back.
    Echo,
    /// One line that comes back.
    Lines,
    /// A connection per request.
    Churn,
    /// HTTP GET, keep-alive.
    Http,
    /// Datagrams that come back.
    Udp,
}

/// Everything the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kind of load.
    pub mode: Mode,
    /// Where the server listens.
    pub address: Address,
    /// Bytes in one request.
    pub size: usize,
    /// Connections that work.
    pub connections: usize,
    /// Connections that are open and silent.
    pub idle: usize,
    /// Requests measured, over all connections.
    pub requests: u64,
    /// Requests made before, not measured.
    pub warmup: u64,
    /// The path of a GET.
    pub path: String,
    /// The server's process.
    pub server_pid: Option<u32>,
    /// A certificate authority in PEM; its presence asks for TLS.
    pub tls_authority: Option<PathBuf>,
    /// How long the client stays awake when no reply is there.
    pub spin: Duration,
    /// The longest the run may take.
    pub timeout: Duration,
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    ///
    /// A sentence on the first word that is wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// use maypole_load::options::Options;
    ///
    /// let words = ["echo", "tcp:127.0.0.1:9000", "--size", "64"].map(String::from);
    /// assert_eq!(Options::parse(words)?.size, 64);
    /// assert!(Options::parse(["echo".to_owned()]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mode = match words.next().ok_or("a mode is missing")?.as_str() {
            "echo" => Mode::Echo,
            "lines" => Mode::Lines,
            "churn" => Mode::Churn,
            "http" => Mode::Http,
            "udp" => Mode::Udp,
            other => return Err(format!("`{other}` is no mode")),
        };
        let mut options = Self::new(mode, words.next().ok_or("an address is missing")?.parse()?);
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            options.set(&name, &value)?;
        }
        options.checked()
    }

    fn new(mode: Mode, address: Address) -> Self {
        Self {
            mode,
            address,
            size: 1024,
            connections: 1,
            idle: 0,
            requests: 1000,
            warmup: 100,
            path: "/".to_owned(),
            server_pid: None,
            tls_authority: None,
            spin: Duration::ZERO,
            timeout: Duration::from_secs(30),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--size" => self.size = number(name, value)?,
            "--connections" => self.connections = number(name, value)?,
            "--idle" => self.idle = number(name, value)?,
            "--requests" => self.requests = number(name, value)?,
            "--warmup" => self.warmup = number(name, value)?,
            "--path" => value.clone_into(&mut self.path),
            "--server-pid" => self.server_pid = Some(number(name, value)?),
            "--tls-authority" => self.tls_authority = Some(PathBuf::from(value)),
            "--spin-us" => self.spin = Duration::from_micros(number(name, value)?),
            "--timeout-s" => self.timeout = Duration::from_secs(number(name, value)?),
            other => return Err(format!("`{other}` is no option")),
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, String> {
        if self.size == 0 || self.connections == 0 || self.requests == 0 {
            return Err("--size, --connections and --requests must be at least 1".to_owned());
        }
        if self.mode == Mode::Udp {
            if !matches!(self.address, Address::Tcp(_)) {
                return Err("udp needs an address of the form tcp:IP:PORT".to_owned());
            }
            if !(8..=65_507).contains(&self.size) {
                return Err("a datagram holds 8 to 65507 bytes".to_owned());
            }
            if self.idle > 0 || self.tls_authority.is_some() {
                return Err("udp knows neither idle connections nor TLS".to_owned());
            }
        }
        Ok(self)
    }
}

fn number<N: FromStr>(name: &str, value: &str) -> Result<N, String> {
    value
        .parse()
        .map_err(|_| format!("{name} needs a number, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(String::from))
    }

    #[test]
    fn bad_words_are_named_in_the_error() {
        for (line, named) in [
            ("dance tcp:127.0.0.1:1", "dance"),
            ("echo 127.0.0.1:1", "tcp:IP:PORT"),
            ("echo tcp:127.0.0.1:1 --sise 3", "--sise"),
            ("echo tcp:127.0.0.1:1 --size three", "three"),
            ("echo tcp:127.0.0.1:1 --size", "--size"),
            ("echo tcp:127.0.0.1:1 --size 0", "at least 1"),
            ("udp unix:/tmp/x", "udp"),
            ("udp tcp:127.0.0.1:1 --size 70000", "65507"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(named), "`{line}` said: {error}");
        }
    }
}
