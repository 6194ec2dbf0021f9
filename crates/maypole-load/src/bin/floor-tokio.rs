//! An echo server on tokio's current-thread runtime: what a Rust event loop with tasks can do on this machine.
//!
//! `floor-tokio ADDRESS [SECONDS]` prints `{"ready":true,"pid":N}` once it listens, and ends after SECONDS (60).

use maypole_load::address::Address;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

const RECEIVE_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed; the exit code still says it.
            writeln!(io::stderr(), "floor-tokio: {error}").unwrap_or_default();
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let address = words
        .next()
        .unwrap_or_default()
        .parse::<Address>()
        .map_err(io::Error::other)?;
    let seconds = words
        .next()
        .map_or(Ok(60), |word| word.parse())
        .map_err(io::Error::other)?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let serving = async {
            match address {
                Address::Tcp(address) => serve_tcp(TcpListener::bind(address).await?).await,
                Address::Unix(path) => serve_unix(UnixListener::bind(path)?).await,
            }
        };
        tokio::time::timeout(Duration::from_secs(seconds), serving)
            .await
            .unwrap_or(Ok(()))
    })
}

fn say_ready() -> io::Result<()> {
    writeln!(io::stdout(), "{{\"ready\":true,\"pid\":{}}}", std::process::id())
}

async fn serve_tcp(listener: TcpListener) -> io::Result<()> {
    say_ready()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

async fn serve_unix(listener: UnixListener) -> io::Result<()> {
    say_ready()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

/// Echoes until the client's end; an error ends this connection alone.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut space = vec![0; RECEIVE_BYTES];
    loop {
        let received = stream.read(&mut space).await?;
        if received == 0 {
            return Ok(());
        }
        stream
            .write_all(space.get(..received).unwrap_or_default())
            .await?;
    }
}
