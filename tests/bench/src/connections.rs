//! What a layout costs a new connection: how many per second get through the first and through the
//! last of many host ports.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use sandbox::topology::Net;
use sandbox::{Namespace, Topology, plugin};

use crate::others::{self, FIRST_PORT};
use crate::page::thousands;

/// Host ports.
const COUNT: u16 = 5000;
/// How long is counted.
const TIME: Duration = Duration::from_millis(100);
/// How often each port is counted, in turns. The best counts: what else the machine does only slows.
const TURNS: usize = 30;

/// Connections per second through one layout.
pub struct Rates {
    layout: &'static str,
    first: f64,
    last: f64,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates {
            layout,
            first,
            last,
        } = self;
        let share = last / first * 100.0;
        write!(
            f,
            "{layout:<18}{first:>8.0} through the first, {last:>8.0} through the last of {COUNT} ports: {share:.0} %"
        )
    }
}

impl Rates {
    /// The cells of its row.
    pub fn cells(&self) -> Vec<String> {
        // Rates are far below 2^53 and not negative.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rate = |rate: f64| thousands(rate.round() as u64);
        vec![self.layout.to_owned(), rate(self.first), rate(self.last)]
    }
}

/// The rates of every layout.
///
/// # Errors
/// When a layout cannot be made, or nobody answers through it.
pub fn rates() -> io::Result<Vec<Rates>> {
    [
        ("nftables", "nftables"),
        ("iptables-nft", "nft"),
        ("iptables-legacy", "legacy"),
    ]
    .into_iter()
    .map(|(layout, kind)| measure(layout, kind))
    .collect()
}

fn measure(layout: &'static str, kind: &str) -> io::Result<Rates> {
    let net = Topology::new().client().build()?;
    fill(&net, kind)?;
    let container = net.containers.first().ok_or(io::ErrorKind::NotFound)?;
    serve(container)?;
    let (first, last) = (FIRST_PORT, FIRST_PORT + COUNT - 1);
    let mut best = [0, 0];
    for _ in 0..TURNS {
        for (best, port) in best.iter_mut().zip([first, last]) {
            *best = count_connections(net.client(), net.host.v4(port))?.max(*best);
        }
    }
    let [first, last] = best.map(|count| f64::from(count) / TIME.as_secs_f64());
    Ok(Rates {
        layout,
        first,
        last,
    })
}

/// Many host ports of the first container.
fn fill(net: &Net, kind: &str) -> io::Result<()> {
    let host = &net.host.namespace;
    if kind != "nftables" {
        // What the first attachment makes: the shared chains, of which only these matter here.
        let start = "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-HOSTPORT-SETMARK - [0:0]\n\
                     -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\nCOMMIT\n";
        others::restore(host, kind, start)?;
        return others::iptables(host, kind, COUNT);
    }
    let netns = net.containers.first().map(|node| node.path());
    let netns = netns.unwrap_or_default().display().to_string();
    let add = crate::nftables::call(plugin::binary("portmap"), "ADD", kind, &netns);
    host.run(|| add.run())?;
    others::nftables(host, COUNT)
}

/// Accepts and closes on port 80, until the process ends.
fn serve(container: &Namespace) -> io::Result<()> {
    let listener = container.run(|| TcpListener::bind("0.0.0.0:80"))?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
        }
    });
    Ok(())
}

fn count_connections(client: &Namespace, to: SocketAddr) -> io::Result<u32> {
    client.run(|| {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < TIME {
            let stream = TcpStream::connect(to)?;
            // Closed by a reset, so that no port stays in TIME-WAIT and runs out.
            let at_once = linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream, sockopt::Linger, &at_once)?;
            count += 1;
        }
        Ok(count)
    })
}
