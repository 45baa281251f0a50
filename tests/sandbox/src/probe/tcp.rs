//! TCP: a server that names itself and echoes, and its clients.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use super::service::{Event, Service, Stop, anywhere};
use super::{Outcome, PATIENCE, answer};
use crate::namespace::Namespace;

/// A server that greets with its name and the peer's address, then echoes until the peer closes.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    _service: Service,
}

impl Server {
    /// Starts a server on every address of the namespace. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16, name: &str) -> io::Result<Self> {
        Self::start_at(namespace, anywhere(port), name)
    }

    /// Starts a server on one address.
    ///
    /// # Errors
    /// When the address is not there or taken.
    pub fn start_at(namespace: &Namespace, address: SocketAddr, name: &str) -> io::Result<Self> {
        let name = name.to_owned();
        serve(namespace, address, move |stream, peer, stop| {
            // A peer that goes away ends its connection, and that is all.
            let _ = greet_and_echo(stream, &answer(&name, peer), stop);
        })
        .map(|(address, service)| Self {
            address,
            _service: service,
        })
    }
}

/// Starts a listener which gives every connection a thread.
pub(super) fn serve(
    namespace: &Namespace,
    address: SocketAddr,
    session: impl Fn(TcpStream, SocketAddr, &Stop) + Clone + Send + 'static,
) -> io::Result<(SocketAddr, Service)> {
    let listener = namespace
        .run(|| TcpListener::bind(address))
        .map_err(|e| io::Error::new(e.kind(), format!("listen on TCP {address}: {e}")))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let service = Service::start(namespace, move |stop| {
        while stop.wait(&[listener.as_fd()], None) != Event::Stop {
            let Ok((stream, peer)) = listener.accept() else {
                continue;
            };
            let (session, stop) = (session.clone(), stop.clone());
            thread::spawn(move || session(stream, peer, &stop));
        }
    })?;
    Ok((address, service))
}

fn greet_and_echo(mut stream: TcpStream, greeting: &str, stop: &Stop) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.write_all(greeting.as_bytes())?;
    let mut buffer = [0; 4096];
    while let Event::Readable(_) = stop.wait(&[stream.as_fd()], Some(Duration::from_secs(60))) {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        stream.write_all(buffer.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

/// A connection to a [`Server`] that stays open.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    /// Who answered.
    pub outcome: Outcome,
}

impl Connection {
    /// Connects from `client` and waits for the greeting.
    ///
    /// # Errors
    /// The outcome, when nobody answered.
    pub fn open(client: &Namespace, to: SocketAddr, timeout: Duration) -> Result<Self, Outcome> {
        let opened = client.run(|| -> io::Result<_> {
            let stream = TcpStream::connect_timeout(&to, timeout)?;
            stream.set_read_timeout(Some(timeout))?;
            let mut reader = BufReader::new(stream);
            let line = read_line(&mut reader)?;
            Ok((reader, line))
        });
        let (reader, line) = opened.map_err(|e| Outcome::of_error(&e))?;
        match Outcome::of(Ok(line)) {
            outcome @ Outcome::Reached { .. } => Ok(Self { reader, outcome }),
            other => Err(other),
        }
    }

    /// Sends a line and returns the server's echo of it.
    ///
    /// # Errors
    /// When the connection is gone or the echo does not come in time.
    pub fn echo(&mut self, line: &str) -> io::Result<String> {
        self.reader
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())?;
        read_line(&mut self.reader).map(|echo| echo.trim_end().to_owned())
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match reader.read_line(&mut line)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection",
        )),
        _ => Ok(line),
    }
}

/// Connects from `client`, exchanges a line and closes.
#[must_use]
pub fn exchange(client: &Namespace, to: SocketAddr) -> Outcome {
    exchange_within(client, to, PATIENCE)
}

/// [`exchange`] with a time limit.
#[must_use]
pub fn exchange_within(client: &Namespace, to: SocketAddr, timeout: Duration) -> Outcome {
    let mut connection = match Connection::open(client, to, timeout) {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    match connection.echo("probe") {
        Ok(echo) if echo == "probe" => connection.outcome,
        Ok(echo) => Outcome::Failed(format!("sent \"probe\", got {echo:?}")),
        Err(e) => Outcome::of_error(&e),
    }
}
