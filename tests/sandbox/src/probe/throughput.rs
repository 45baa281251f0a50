//! Goodput over time: what an application gets through, interval by interval.
//!
//! Bytes are payload. A limit of the kernel counts frames (`tc-tbf(8)`), so goodput stays a few per cent
//! below it: see [`UDP_PAYLOAD`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// How long the receiver sleeps when nothing is there.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a look at the socket may take for its reading to count.
const PRECISE: Duration = Duration::from_millis(2);

/// The time after which a reading is taken although the socket is not empty.
const RARE: Duration = Duration::from_millis(200);

/// What a start of a measurement is not counted for: the burst shows in it.
const WARM_UP: Duration = Duration::from_secs(1);

/// Payload of one datagram, in bytes; its frame has 42 more over IPv4 and 62 more over IPv6.
pub const UDP_PAYLOAD: usize = 1400;

/// How long to wait for the first byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was received, from the first byte on.
///
/// A reading is taken whenever the receiver has emptied the socket, so that it counts what the kernel
/// has received until that moment, however late the receiver comes to it on a busy machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throughput {
    /// The time since the first byte, and the payload bytes received until then, in order.
    pub readings: Vec<(Duration, u64)>,
}

impl Throughput {
    /// All bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.readings.last().map_or(0, |(_, bytes)| *bytes)
    }

    /// Bits per second in the first second, where a burst shows.
    #[must_use]
    pub fn first_second(&self) -> f64 {
        match self.warmed_up() {
            Some((after, bytes)) => bits(bytes, after),
            None => self
                .readings
                .last()
                .map_or(0.0, |(after, bytes)| bits(*bytes, *after)),
        }
    }

    /// Bits per second after the first second: the limit itself. 0 when there was no more than a second.
    #[must_use]
    pub fn steady(&self) -> f64 {
        let (Some((start, before)), Some((end, bytes))) = (self.warmed_up(), self.readings.last())
        else {
            return 0.0;
        };
        bits(bytes - before, *end - start)
    }

    /// The first reading after the first second.
    fn warmed_up(&self) -> Option<(Duration, u64)> {
        self.readings
            .iter()
            .find(|(after, _)| *after >= WARM_UP)
            .copied()
    }
}

fn bits(bytes: u64, time: Duration) -> f64 {
    match time.as_secs_f64() {
        0.0 => 0.0,
        seconds => bytes as f64 * 8.0 / seconds,
    }
}

/// Measures `read`, which must not block, for so long from its first byte on.
fn receive(
    duration: Duration,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Throughput> {
    let (mut buffer, mut total, mut readings) = (vec![0; 256 * 1024], 0, Vec::new());
    let (waiting, mut first) = (Instant::now(), None);
    loop {
        let asked = Instant::now();
        let after = first.map_or(Duration::ZERO, |start: Instant| asked - start);
        let outcome = read(&mut buffer);
        let last = readings.last().map_or(Duration::ZERO, |(last, _)| *last);
        match outcome {
            Ok(0) => return Ok(ended(readings, after, total)),
            Ok(count) => {
                total += count as u64;
                first.get_or_insert(asked);
                // A sender as fast as this may never leave the socket empty.
                if after - last > RARE {
                    readings.push((after, total));
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if first.is_none() && waiting.elapsed() > PATIENCE {
                    return Err(io::Error::new(ErrorKind::TimedOut, "nothing was received"));
                }
                // Whoever was held up between the two does not know when the socket was empty.
                if first.is_some() && asked.elapsed() < PRECISE {
                    readings.push((after, total));
                }
                thread::sleep(PAUSE);
            }
            Err(e) => return Err(e),
        }
        let has_end = readings.last().is_some_and(|(last, _)| *last >= duration);
        if has_end || after > duration + RARE {
            return Ok(ended(readings, after, total));
        }
    }
}

/// The readings, with one at least.
fn ended(mut readings: Vec<(Duration, u64)>, after: Duration, total: u64) -> Throughput {
    if readings.is_empty() {
        readings.push((after, total));
    }
    Throughput { readings }
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
    stream.set_nonblocking(true)?;
    receive(duration, |buffer| stream.read(buffer))
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
    socket.set_nonblocking(true)?;
    receive(duration, |buffer| socket.recv(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_second_and_the_rest_are_told_apart_by_the_times_of_the_readings() {
        let at = |millis, bytes| (Duration::from_millis(millis), bytes);
        let throughput = Throughput {
            readings: vec![at(0, 10), at(500, 900), at(1250, 1250), at(3250, 2250)],
        };
        assert_eq!(throughput.total(), 2250);
        let rates = (throughput.first_second(), throughput.steady());
        assert_eq!(rates, (8000.0, 4000.0));
        let short = Throughput {
            readings: vec![at(500, 1000)],
        };
        assert_eq!((short.first_second(), short.steady()), (16_000.0, 0.0));
    }
}
