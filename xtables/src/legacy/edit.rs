//! Removal from a table of the legacy variant by place, in the kernel's own bytes.
//!
//! iptables removes a rule that is like the one given; of many matches it prints what it then does not
//! find again. So the table is read, and put back without what is to go, as iptables itself does with
//! every change, under the lock that its programs share.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;
use std::time::Duration;

use common::Family;
use common::error::{Code, Context, Error};
use common::sys::lock;
use common::sys::netlink::u32_at;
use common::sys::xtables::{self, XTable};
use nix::errno::Errno;

use super::Reader;
use super::entry::PART;
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
    let _lock = lock()?;
    let tried = || format!("write the legacy table nat ({family})");
    for _ in 0..TRIES {
        let Some(reader) = Reader::of(family, Table::Nat)? else {
            return Ok(None);
        };
        let state = reader.outlines(&is_asked);
        let doomed = select(&state);
        let gone = reader.places(&doomed);
        if gone.is_empty() {
            return Ok(Some((state, doomed)));
        }
        let new = reader.without(&gone);
        let (table, origins) = new.ok_or_else(|| Error::new(Code::System, tried()))?;
        let (is_ipv6, count) = (family == Family::V6, reader.table.count);
        match xtables::replace(is_ipv6, Table::Nat.name(), &table, count, &origins) {
            Ok(()) => return Ok(Some((state, doomed))),
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(Error::new(Code::System, tried()).with_details(errno.desc())),
        }
    }
    Err(Error::new(Code::TryAgainLater, tried())
        .with_details(format!("others changed it {TRIES} times meanwhile")))
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
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
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

    /// The table without these entries, and which entry of the old one each of its is.
    pub(super) fn without(&self, gone: &BTreeSet<usize>) -> Option<(XTable, Vec<usize>)> {
        let (mut moved, mut origins) = (BTreeMap::new(), Vec::new());
        let mut entries: Vec<u8> = Vec::with_capacity(self.table.entries.len());
        for (index, (at, next)) in self.spans().enumerate() {
            // Of what goes, the next that stays takes the place.
            moved.insert(at, entries.len());
            if !gone.contains(&at) {
                origins.push(index);
                entries.extend(self.table.entries.get(at..next)?);
            }
        }
        for at in self
            .spans()
            .map(|(at, _)| at)
            .filter(|at| !gone.contains(at))
        {
            if let Some(to) = self.jump(at) {
                let field = *moved.get(&at)? + self.entry(at)?.target + PART;
                let verdict = i32::try_from(*moved.get(&to)?).ok()?.to_ne_bytes();
                entries
                    .get_mut(field..field + verdict.len())?
                    .copy_from_slice(&verdict);
            }
        }
        let to = |at: usize| moved.get(&at).copied();
        let XTable {
            hooks, policies, ..
        } = self.table;
        let table = XTable {
            hooks: hooks.map(|hook| hook.and_then(to)),
            policies: policies.map(|at| to(at).unwrap_or(0)),
            count: origins.len(),
            entries,
        };
        Some((table, origins))
    }
}
