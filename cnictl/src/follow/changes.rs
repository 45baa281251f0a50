//! What the kernel says has changed, and which plugins it concerns.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use bandwidth::notice::Qdiscs;
use common::error::{Code, Error, printable};
use common::sys::netlink::{Message, Netlink, Refusal, groups};
use nix::libc;
use portmap::LegacyStamp;
use portmap::notice::Notice;

use crate::plugins::Plugin;

/// Processes whose changes are in order by themselves: the plugin that a runtime calls, and this tool.
const OWN: [&str; 2] = ["portmap", "cnictl"];
/// How many datagrams are read at once, so that a signal is not kept waiting.
const AT_ONCE: usize = 10_000;

/// Which plugins have to look, and why.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Concern {
    /// The plugins.
    pub plugins: BTreeSet<Plugin>,
    /// Why, as in `after …`.
    pub causes: BTreeSet<String>,
}

impl Concern {
    /// Of some plugins; nobody's where there are none.
    pub fn of(plugins: impl IntoIterator<Item = Plugin>, cause: impl Into<String>) -> Concern {
        let plugins: BTreeSet<Plugin> = plugins.into_iter().collect();
        match plugins.is_empty() {
            true => Concern::default(),
            false => Concern {
                plugins,
                causes: BTreeSet::from([cause.into()]),
            },
        }
    }

    /// Of all plugins.
    pub fn all(cause: &str) -> Concern {
        Concern::of(Plugin::chosen(&[]), cause)
    }

    /// Takes another one in.
    pub fn add(&mut self, other: Concern) {
        self.plugins.extend(other.plugins);
        self.causes.extend(other.causes);
    }

    /// Whether no plugin is concerned.
    pub fn is_empty(&self) -> bool {
        self.plugins.is_empty()
    }
}

/// The sockets that receive changes in this network namespace.
#[derive(Debug)]
pub struct Listener {
    /// `None` where the kernel has no netfilter over netlink, so no nf_tables.
    netfilter: Option<Netlink>,
    route: Netlink,
    transaction: Transaction,
    qdiscs: Qdiscs,
    /// What the legacy tables were like at the last look.
    legacy: LegacyStamp,
}

/// What has come of a transaction of nf_tables that has not ended.
#[derive(Debug, Default)]
struct Transaction {
    is_ours: bool,
}

impl Listener {
    /// Listens in the calling thread's namespace.
    ///
    /// # Errors
    /// Code 100 where the kernel refuses.
    pub fn new() -> Result<Listener, Error> {
        let netfilter = match Netlink::netfilter() {
            Ok(socket) => Some(socket),
            Err(error) if error.code == Code::Unsupported => None,
            Err(error) => return Err(error),
        };
        if let Some(socket) = &netfilter {
            socket.join(&[groups::NFTABLES])?;
        }
        let route = Netlink::route()?;
        route.join(&[groups::LINK, groups::TC])?;
        Ok(Listener {
            netfilter,
            route,
            transaction: Transaction::default(),
            qdiscs: Qdiscs::default(),
            legacy: LegacyStamp::default(),
        })
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let netfilter = self.netfilter.iter().map(AsFd::as_fd);
        netfilter.chain([self.route.as_fd()])
    }

    /// Reads what has come, and says which plugins it concerns.
    pub fn read(&mut self) -> Concern {
        let mut concern = Concern::default();
        let transaction = &mut self.transaction;
        if let Some(socket) = &mut self.netfilter {
            drain(socket, &mut concern, |message| transaction.take(message));
            // The end of what was changed outside of a transaction does not come.
            if transaction.is_ours {
                concern.add(transaction.end(""));
            }
        }
        let qdiscs = &mut self.qdiscs;
        let is_whole = drain(&mut self.route, &mut concern, |message| {
            match qdiscs.is_news(message) {
                true => of_route(message.kind),
                false => Concern::default(),
            }
        });
        if !is_whole {
            qdiscs.forget();
        }
        concern
    }

    /// Compares the legacy tables, whose changes the kernel does not report, with what they were like at
    /// the last call.
    ///
    /// # Errors
    /// Code 100 where they cannot be read.
    pub fn look_at_legacy(&mut self) -> Result<Concern, Error> {
        let now = LegacyStamp::now()?;
        let is_changed = now != self.legacy;
        self.legacy = now;
        Ok(match is_changed {
            true => of_legacy(),
            false => Concern::default(),
        })
    }

    /// Whether legacy tables have other sizes than at the last look at them, which costs less than the look.
    ///
    /// # Errors
    /// Code 100 where they cannot be read.
    pub fn is_legacy_resized(&self) -> Result<bool, Error> {
        self.legacy.is_resized()
    }

    /// What is to be looked at after a repair: whoever removed it again at once left a legacy table that is
    /// like the one before, so that no comparison shows it.
    pub fn after_repairs(&self, by: &BTreeSet<Plugin>) -> Concern {
        match self.has_legacy() && by.contains(&Plugin::Portmap) {
            true => of_legacy(),
            false => Concern::default(),
        }
    }

    /// Whether this namespace had legacy tables when it was looked at.
    pub fn has_legacy(&self) -> bool {
        !self.legacy.is_empty()
    }
}

/// Reads what has come; says whether that was everything.
fn drain(
    socket: &mut Netlink,
    concern: &mut Concern,
    mut read: impl FnMut(&Message) -> Concern,
) -> bool {
    let mut is_whole = true;
    for _ in 0..AT_ONCE {
        match socket.received() {
            Ok(Some(messages)) => messages
                .iter()
                .for_each(|(message, _)| concern.add(read(message))),
            Ok(None) => break,
            // What was lost, or cannot be read, may be anything.
            Err(refusal) => {
                concern.add(Concern::all(&lost(&refusal)));
                is_whole = false;
            }
        }
    }
    is_whole
}

fn lost(refusal: &Refusal) -> String {
    match refusal.errno as i32 {
        libc::ENOBUFS => "more changes than could be read".into(),
        _ => format!("changes that could not be read ({refusal})"),
    }
}

fn of_legacy() -> Concern {
    Concern::of([Plugin::Portmap], "a change of legacy iptables")
}

/// Limits of links depend on their qdiscs, their filters and the links themselves.
fn of_route(kind: u16) -> Concern {
    let cause = match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => "a change of links",
        _ => "a change of qdiscs or filters",
    };
    Concern::of([Plugin::Bandwidth], cause)
}

impl Transaction {
    fn take(&mut self, message: &Message) -> Concern {
        match Notice::of(message) {
            Notice::Foreign => Concern::default(),
            Notice::Ours => {
                self.is_ours = true;
                Concern::default()
            }
            Notice::End(name) => self.end(&name),
        }
    }

    /// All of it has come; a process of this name made it.
    fn end(&mut self, name: &str) -> Concern {
        let is_ours = std::mem::take(&mut self.is_ours);
        match name {
            name if !is_ours || OWN.contains(&name) => Concern::default(),
            "" => Concern::of([Plugin::Portmap], "a change of nf_tables"),
            name => {
                let cause = format!("a change by {}", printable(name));
                Concern::of([Plugin::Portmap], cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(of: &[(bool, Option<&str>)]) -> Vec<String> {
        let mut transaction = Transaction::default();
        let mut concern = Concern::default();
        for (is_ours, end) in of {
            transaction.is_ours |= is_ours;
            if let Some(name) = end {
                concern.add(transaction.end(name));
            }
        }
        concern.causes.into_iter().collect()
    }

    #[test]
    fn a_transaction_concerns_by_what_it_changed_and_who_made_it() {
        let none: [&str; 0] = [];
        assert_eq!(causes(&[(true, Some("nft"))]), ["a change by nft"]);
        assert_eq!(causes(&[(false, Some("nft"))]), none);
        for own in OWN {
            assert_eq!(causes(&[(true, Some(own))]), none, "{own}");
        }
        // Each for itself.
        assert_eq!(
            causes(&[(true, Some("portmap")), (false, Some("nft"))]),
            none
        );
        assert_eq!(
            causes(&[(true, None), (false, Some("a\nb"))]),
            ["a change by a\\nb"]
        );
        assert_eq!(causes(&[(true, Some(""))]), ["a change of nf_tables"]);
    }

    #[test]
    fn what_is_lost_concerns_everybody() {
        let mut all = Concern::of([Plugin::Portmap], "a");
        all.add(Concern::all("b"));
        assert_eq!(all.plugins.len(), 3);
        assert_eq!(all.causes.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(lost(&nix::errno::Errno::ENOBUFS.into()).starts_with("more changes"));
    }
}
