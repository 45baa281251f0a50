//! Goodput over time: what an application gets through, interval by interval.
//!
//! Bytes are payload. A limit of the kernel counts frames (`tc-tbf(8)`), so goodput stays a few per cent
//! below it: see [`UDP_PAYLOAD`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// Length of an interval.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Payload of one datagram, in bytes; its frame has 42 more over IPv4 and 62 more over IPv6.
pub const UDP_PAYLOAD: usize = 1400;

/// How long to wait for the first byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was received, from the first byte on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throughput {
    /// Payload bytes of each interval of [`INTERVAL`], in order.
    pub bytes: Vec<u64>,
}

impl Throughput {
    /// All bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Bits per second in the first second, where a burst shows.
    #[must_use]
    pub fn first_second(&self) -> f64 {
        rate(self.bytes.get(..10).unwrap_or(&self.bytes))
    }

    /// Bits per second after the first second: the limit itself. 0 when there was no more than a second.
    #[must_use]
    pub fn steady(&self) -> f64 {
        rate(self.bytes.get(10..).unwrap_or_default())
    }

    fn new(duration: Duration) -> Self {
        let count = duration.as_nanos().div_ceil(INTERVAL.as_nanos());
        Self {
            bytes: vec![0; usize::try_from(count).unwrap_or_default()],
        }
    }

    /// Counts bytes received so long after the first; says whether that is still within the time.
    fn count(&mut self, after: Duration, bytes: usize) -> bool {
        let place = usize::try_from(after.as_nanos() / INTERVAL.as_nanos()).unwrap_or(usize::MAX);
        match self.bytes.get_mut(place) {
            Some(interval) => *interval += bytes as u64,
            None => return false,
        }
        true
    }
}

fn rate(bytes: &[u64]) -> f64 {
    if bytes.is_empty() {
        return 0.0;
    }
    bytes.iter().sum::<u64>() as f64 * 8.0 / (bytes.len() as f64 * INTERVAL.as_secs_f64())
}

/// Sends over one TCP connection from `from` to `address` in `to` (port 0: any) as fast as it goes.
///
/// # Errors
/// When there is no connection, or it breaks.
pub fn tcp(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    duration: Duration,
) -> io::Result<Throughput> {
    let listener = to.run(|| TcpListener::bind(address))?;
    let target = listener.local_addr()?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| from.run(|| send_tcp(target, duration)));
        let received = receive_tcp(&listener, duration, || sender.is_finished());
        let sent = sender
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the sender panicked")));
        sent.and(received)
    })
}

fn send_tcp(target: SocketAddr, duration: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_write_timeout(Some(duration + PATIENCE))?;
    let (chunk, start) = (vec![0; 64 * 1024], Instant::now());
    // Longer than the receiver counts: it closes, and that ends the sending.
    while start.elapsed() < duration + PATIENCE {
        match stream.write(&chunk) {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                break;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn receive_tcp(
    listener: &TcpListener,
    duration: Duration,
    sender_ended: impl Fn() -> bool,
) -> io::Result<Throughput> {
    let mut stream = accept(listener, sender_ended)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut buffer, mut throughput) = (vec![0; 256 * 1024], Throughput::new(duration));
    let mut first = None;
    loop {
        let count = stream.read(&mut buffer)?;
        let start = *first.get_or_insert_with(Instant::now);
        if count == 0 || !throughput.count(start.elapsed(), count) {
            return Ok(throughput);
        }
    }
}

/// Accepts one connection, if one comes: a plain accept would wait forever for a sender that failed.
fn accept(listener: &TcpListener, sender_ended: impl Fn() -> bool) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let mut accepted = Err(io::Error::from(ErrorKind::TimedOut));
    crate::wait_until(PATIENCE, || {
        accepted = listener.accept();
        accepted.is_ok() || sender_ended()
    });
    let (stream, _) =
        accepted.map_err(|e| io::Error::new(e.kind(), format!("accept a TCP connection: {e}")))?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Sends datagrams of [`UDP_PAYLOAD`] bytes from `from` to `address` in `to` (port 0: any) at `pace` bits of
/// payload per second: a bit more than the limit under test, so that it is the limit that shows.
///
/// # Errors
/// When nothing arrives.
pub fn udp(
    from: &Namespace,
    to: &Namespace,
    address: SocketAddr,
    pace: u64,
    duration: Duration,
) -> io::Result<Throughput> {
    let receiver = to.run(|| UdpSocket::bind(address))?;
    let target = receiver.local_addr()?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| from.run(|| send_udp(target, pace, duration)));
        let received = receive_udp(&receiver, duration);
        let sent = sender
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the sender panicked")));
        sent.and(received)
    })
}

fn send_udp(target: SocketAddr, pace: u64, duration: Duration) -> io::Result<()> {
    let any: SocketAddr = if target.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(target)?;
    let (datagram, start, mut sent) = ([0; UDP_PAYLOAD], Instant::now(), 0.0);
    while start.elapsed() < duration {
        let due = start.elapsed().as_secs_f64() * pace as f64 / 8.0;
        while sent < due {
            // A full queue or a refusal is a datagram lost, as any other.
            let _ = socket.send(&datagram);
            sent += UDP_PAYLOAD as f64;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn receive_udp(socket: &UdpSocket, duration: Duration) -> io::Result<Throughput> {
    let (mut buffer, mut throughput) = ([0; 2048], Throughput::new(duration));
    let mut first: Option<Instant> = None;
    loop {
        let left = first.map_or(PATIENCE, |start| duration.saturating_sub(start.elapsed()));
        if left.is_zero() {
            return Ok(throughput);
        }
        socket.set_read_timeout(Some(left))?;
        let count = match socket.recv(&mut buffer) {
            Ok(count) => count,
            Err(e) if first.is_some() && e.kind() == ErrorKind::WouldBlock => {
                return Ok(throughput);
            }
            Err(e) => {
                return Err(io::Error::new(
                    e.kind(),
                    format!("receive the first datagram: {e}"),
                ));
            }
        };
        let start = *first.get_or_insert_with(Instant::now);
        throughput.count(start.elapsed(), count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_and_the_rest_are_told_apart() {
        let mut throughput = Throughput::new(Duration::from_secs(2));
        assert!(throughput.count(Duration::from_millis(5), 1000));
        assert!(throughput.count(Duration::from_millis(1999), 500));
        assert!(!throughput.count(Duration::from_secs(2), 1));
        assert_eq!(throughput.total(), 1500);
        assert_eq!(
            (throughput.first_second(), throughput.steady()),
            (8000.0, 4000.0)
        );
    }
}
