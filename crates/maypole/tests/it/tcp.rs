//! TCP over loopback.
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::time::Duration;

use maypole::{Runtime, TcpListener, TcpStream, join_all, run, run_virtual, sleep, spawn, timeout};

fn loopback() -> Result<TcpListener> {
    TcpListener::bind(([127, 0, 0, 1], 0))
}

async fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = loopback()?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    assert_eq!(peer, client.local_addr()?);
    Ok((client, server))
}

async fn echo(stream: TcpStream) -> Result<usize> {
    let (mut buffer, mut total) = ([0; 1000], 0);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            count => {
                stream.write_all(&buffer[..count]).await?;
                total += count;
            }
        }
    }
}

#[test]
fn echo_gives_back_every_byte_in_order() -> Result<()> {
    const TOTAL: usize = 1 << 20;
    run(async {
        let (client, server) = pair().await?;
        let client = Rc::new(client);
        let echoing = spawn(echo(server));
        let writer = Rc::clone(&client);
        let writing = spawn(async move {
            let data: Vec<u8> = (0..TOTAL).map(|index| (index % 251) as u8).collect();
            writer.write_all(&data).await?;
            writer.shutdown_write()
        });
        let mut answer = Vec::with_capacity(TOTAL);
        let mut buffer = [0; 4096];
        loop {
            match client.read(&mut buffer).await? {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        writing.await.map_err(Error::other)??;
        assert_eq!(echoing.await.map_err(Error::other)??, TOTAL);
        assert!(
            answer.len() == TOTAL
                && answer
                    .iter()
                    .enumerate()
                    .all(|(index, byte)| *byte == (index % 251) as u8)
        );
        Ok(())
    })
}

#[test]
fn many_connections_are_served_at_once() -> Result<()> {
    const CLIENTS: usize = 100;
    run(async {
        let listener = loopback()?;
        let address = listener.local_addr()?;
        let server = spawn(async move {
            for _ in 0..CLIENTS {
                drop(spawn(echo(listener.accept().await?.0)));
            }
            Result::Ok(())
        });
        let clients = (0..CLIENTS).map(|number| async move {
            let (stream, message) = (TcpStream::connect(address).await?, number.to_ne_bytes());
            for _ in 0..20 {
                stream.write_all(&message).await?;
                let mut answer = [0; size_of::<usize>()];
                stream.read_exact(&mut answer).await?;
                assert_eq!(answer, message);
            }
            Result::Ok(())
        });
        for outcome in join_all(clients).await {
            outcome?;
        }
        server.await.map_err(Error::other)?
    })
}

#[test]
fn read_waits_until_data_comes() -> Result<()> {
    run(async {
        let (client, server) = pair().await?;
        let mut buffer = [0; 8];
        assert!(
            timeout(Duration::from_millis(2), server.read(&mut buffer))
                .await
                .is_err()
        );
        client.write_all(b"late").await?;
        assert_eq!(server.read(&mut buffer).await?, 4);
        assert!(
            timeout(Duration::from_millis(2), server.read(&mut buffer))
                .await
                .is_err()
        );
        client.write_all(b"er").await?;
        assert_eq!(server.read(&mut buffer).await?, 2);
        Ok(())
    })
}

#[test]
fn stream_that_nobody_reads_does_not_keep_the_loop_turning() -> Result<()> {
    // Seen through the virtual clock: an event without end would keep the time from moving (a spin).
    run_virtual(async {
        let (client, server) = pair().await?;
        let mut buffer = [0; 8];
        assert!(
            timeout(Duration::from_secs(1), server.read(&mut buffer))
                .await
                .is_err()
        );
        client.write_all(b"nobody reads this").await?;
        sleep(Duration::from_secs(3600)).await;
        server.read_exact(&mut buffer).await
    })
}

#[test]
fn end_of_stream_inside_of_an_exact_read_is_an_error() -> Result<()> {
    run(async {
        let (client, server) = pair().await?;
        client.write_all(b"abc").await?;
        drop(client);
        let error = server.read_exact(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(server.read(&mut []).await?, 0);
        Ok(())
    })
}

#[test]
fn write_to_a_closed_peer_is_an_error_and_no_signal() -> Result<()> {
    run(async {
        let (client, server) = pair().await?;
        drop(server);
        let data = vec![0; 1 << 16];
        let error = loop {
            if let Err(error) = client.write_all(&data).await {
                break error;
            }
        };
        assert!(
            matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
            "{error}"
        );
        Ok(())
    })
}

#[test]
fn refused_connection_is_an_error() {
    let error = run(async {
        let listener = loopback()?;
        let address = listener.local_addr()?;
        drop(listener);
        TcpStream::connect(address).await
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn two_tasks_may_accept_from_one_listener() -> Result<()> {
    run(async {
        let listener = Rc::new(loopback()?);
        let acceptors = [0, 1].map(|_| {
            let listener = Rc::clone(&listener);
            spawn(async move { listener.accept().await.map(drop) })
        });
        maypole::yield_now().await;
        let _clients = [
            TcpStream::connect(listener.local_addr()?).await?,
            TcpStream::connect(listener.local_addr()?).await?,
        ];
        for acceptor in acceptors {
            acceptor.await.map_err(Error::other)??;
        }
        Ok(())
    })
}

#[test]
fn socket_of_another_loop_is_refused_instead_of_waited_for() -> Result<()> {
    let mut theirs = Runtime::builder().build()?;
    let listener = theirs.run(async { loopback() })?;
    let error = run(listener.accept()).unwrap_err();
    assert!(error.to_string().contains("another maypole loop"), "{error}");
    Ok(())
}

#[test]
fn socket_without_a_loop_is_refused() {
    assert_eq!(
        loopback().unwrap_err().to_string(),
        "no running maypole loop on this thread"
    );
}

#[test]
fn number_of_a_closed_socket_may_be_used_again() -> Result<()> {
    run(async {
        for _ in 0..50 {
            let (client, server) = pair().await?;
            client.write_all(b"x").await?;
            server.read_exact(&mut [0]).await?;
            assert!(
                timeout(Duration::from_micros(1), server.read(&mut [0; 8]))
                    .await
                    .is_err()
            );
        }
        Ok(())
    })
}
