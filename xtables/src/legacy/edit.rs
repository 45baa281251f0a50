//! What goes from a table of the legacy variant by place, and comes back, in the kernel's own bytes.
//!
//! iptables removes a rule that equals the one given; many matches are printed in a form that it does not
//! recognise. So the table is read, and put back without what is to go, as iptables itself does with
//! every change, under the lock that its programs share.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use common::Family;
use common::error::{Code, Context, Error};
use common::sys::lock;
use common::sys::netlink::u32_at;
use common::sys::xtables;
use nix::errno::Errno;

use super::Reader;
use super::chains::{Chains, Former};
use crate::Table;
use crate::state::State;

/// The lock of iptables' programs, unless `XTABLES_LOCKFILE` names another.
const LOCK: &str = "/run/xtables.lock";
/// How long to wait for it, as the programs do that we start.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a table is read and written that others change in between without the lock.
const TRIES: usize = 20;

/// What is to go from the nat table.
#[derive(Debug, Default)]
pub struct Doomed {
    /// Chains, with all rules that lead there.
    pub chains: Vec<String>,
    /// Rules of chains, by their places.
    pub rules: Vec<(String, usize)>,
}

impl Doomed {
    /// Whether nothing is to go.
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty() && self.rules.is_empty()
    }
}

/// Removes from the nat table what `select` chooses of the chains whose names pass `is_asked`, and gives
/// what it was chosen from; `None` without a table.
///
/// # Errors
/// Code 11 when others hold the lock or change the table all the time, 100 for what the kernel refuses.
pub fn remove(
    family: Family,
    is_asked: impl Fn(&str) -> bool,
    select: impl Fn(&State) -> Doomed,
) -> Result<Option<(State, Doomed)>, Error> {
    exchange(family, is_asked, select, &Former::default())
}

/// What `select` chooses of the nat table's chains whose names pass `is_asked`, as it is there.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn former(
    family: Family,
    is_asked: impl Fn(&str) -> bool,
    select: impl Fn(&State) -> Doomed,
) -> Result<Former, Error> {
    let Some(reader) = Reader::of(family, Table::Nat)? else {
        return Ok(Former::default());
    };
    reader.former(&select(&reader.outlines(is_asked)), family)
}

/// Makes what `select` chooses what it was. Others' rules stay, and so does what already is as it was.
///
/// # Errors
/// As [`remove`], and code 100 where another program has a chain of that name, or removed the one that
/// leads there.
pub fn put_back(
    family: Family,
    is_asked: impl Fn(&str) -> bool,
    select: impl Fn(&State) -> Doomed,
    former: &Former,
) -> Result<(), Error> {
    // A held lock does not matter where there is no work.
    if self::former(family, &is_asked, &select)? == *former {
        return Ok(());
    }
    exchange(family, is_asked, select, former).map(drop)
}

/// Puts former rules in the place of what `select` chooses.
fn exchange(
    family: Family,
    is_asked: impl Fn(&str) -> bool,
    select: impl Fn(&State) -> Doomed,
    former: &Former,
) -> Result<Option<(State, Doomed)>, Error> {
    let _lock = lock()?;
    let failed = |code, details: String| Error::new(code, tried(family)).with_details(details);
    for _ in 0..TRIES {
        let Some(reader) = Reader::of(family, Table::Nat)? else {
            return match former.is_empty() {
                true => Ok(None),
                false => Err(failed(Code::System, "the table no longer exists".into())),
            };
        };
        let state = reader.outlines(&is_asked);
        let doomed = select(&state);
        let gone = reader.places(&doomed);
        if gone.is_empty() && former.is_empty() {
            return Ok(Some((state, doomed)));
        }
        let mut chains = reader.chains(family)?;
        chains.take(&doomed.chains, &gone);
        let new = chains.put(former).and_then(|()| chains.table());
        let (table, origins) = new.map_err(|chain| {
            let details = format!("chain {chain} is not as it was: something else changed it");
            failed(Code::System, details)
        })?;
        let (is_ipv6, count) = (family == Family::V6, reader.table.count);
        match xtables::replace(is_ipv6, Table::Nat.name(), &table, count, &origins) {
            Ok(()) => return Ok(Some((state, doomed))),
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(failed(Code::System, errno.desc().into())),
        }
    }
    let details = format!("others changed it {TRIES} times meanwhile");
    Err(failed(Code::TryAgainLater, details))
}

fn tried(family: Family) -> String {
    format!("write the legacy table nat ({family})")
}

/// The chains of the nat table whose names pass `is_asked`, each rule as far as it can be read.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn outlines(family: Family, is_asked: impl Fn(&str) -> bool) -> Result<State, Error> {
    let reader = Reader::of(family, Table::Nat)?;
    Ok(reader.map_or_else(State::default, |reader| reader.outlines(is_asked)))
}

/// Waits for iptables' programs.
fn lock() -> Result<std::fs::File, Error> {
    let path = env::var_os("XTABLES_LOCKFILE").map_or_else(|| LOCK.into(), PathBuf::from);
    let tried = || format!("lock {}", path.display());
    let lock = lock::whole(&path, PATIENCE).context(Code::System, tried)?;
    lock.ok_or_else(|| {
        Error::new(Code::TryAgainLater, tried()).with_details(format!(
            "another program has held it for {} seconds",
            PATIENCE.as_secs()
        ))
    })
}

impl Reader {
    /// The chains of those names, each rule as far as it can be read.
    fn outlines(&self, is_asked: impl Fn(&str) -> bool) -> State {
        let mut state = State::default();
        for name in self.begins.keys().filter(|name| is_asked(name)) {
            if let Some(rules) = self.outline(name) {
                state.insert(Table::Nat, name, rules);
            }
        }
        state
    }

    /// The entries of what is to go.
    pub(super) fn places(&self, doomed: &Doomed) -> BTreeSet<usize> {
        let mut gone: BTreeSet<usize> = doomed
            .rules
            .iter()
            .filter_map(|(chain, place)| self.rules(chain)?.get(*place).copied())
            .collect();
        let begins: BTreeSet<usize> = doomed
            .chains
            .iter()
            .filter_map(|name| self.begins.get(name).copied())
            .collect();
        let mut in_doomed = false;
        for (at, next) in self.spans() {
            if self.heads.binary_search(&at).is_ok() {
                in_doomed = begins.contains(&next);
            }
            let leads_there = self.jump(at).is_some_and(|to| begins.contains(&to));
            if in_doomed || leads_there {
                gone.insert(at);
            }
        }
        gone
    }

    /// Where each entry begins and ends.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let this = at;
            at += self.entry(this)?.bytes.len();
            Some((this, at))
        })
    }

    /// Where an entry's target leads in the table.
    pub(super) fn jump(&self, at: usize) -> Option<usize> {
        let entry = self.entry(at)?;
        let (name, _, data) = entry.target();
        let verdict = u32_at(data, 0)?.cast_signed();
        usize::try_from(verdict).ok().filter(|_| name.is_empty())
    }

    fn chains(&self, family: Family) -> Result<Chains<'_>, Error> {
        Chains::of(self).ok_or_else(|| {
            let details = "a rule in it leads to no chain";
            Error::new(Code::System, tried(family)).with_details(details)
        })
    }

    /// What is to go, as it is there.
    pub(super) fn former(&self, doomed: &Doomed, family: Family) -> Result<Former, Error> {
        Ok(self
            .chains(family)?
            .take(&doomed.chains, &self.places(doomed)))
    }
}
