//! What of whole tables matters to one attachment. A full node has thousands of jumps, and CHECK of all attachments
//! would read each for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use common::Attachment;
use xtables::Table;
use xtables::state::{Chains, State};

use super::reach::port_ranges;
use super::rules::{DNAT, OWN_PREFIX, exact_name, shared_name};

/// Tables whose jumps are found by what they lead to, and by their ports.
#[derive(Debug)]
pub struct Excerpts {
    /// The jumps of [`DNAT`], if it is there.
    jumps: Option<Vec<String>>,
    by_chain: HashMap<String, Vec<usize>>,
    by_port: BTreeMap<u16, Vec<usize>>,
    /// Those of several ports in a row.
    by_range: Vec<(u16, u16, usize)>,
    /// Those that matter to every attachment.
    others: Vec<usize>,
    /// The chains of attachments.
    chains: Chains,
    /// Everything else, with what matters to the attachment that is looked at.
    rest: Mutex<State>,
}

impl Excerpts {
    /// Those of whole tables.
    pub fn of(state: &State) -> Excerpts {
        let mut rest = state.clone();
        let nat = rest.table_mut(Table::Nat);
        let jumps = nat.remove(DNAT);
        let mut chains = Chains::new();
        nat.retain(|name, rules| {
            let is_attachments = name.starts_with(OWN_PREFIX);
            if is_attachments {
                chains.insert(name.clone(), std::mem::take(rules));
            }
            !is_attachments
        });
        let foreign: Vec<String> = nat
            .values()
            .flatten()
            .flat_map(|rule| named(rule))
            .collect();
        let mut all = Excerpts {
            jumps: None,
            by_chain: HashMap::new(),
            by_port: BTreeMap::new(),
            by_range: Vec::new(),
            others: Vec::new(),
            chains,
            rest: Mutex::default(),
        };
        all.add_chains(nat, foreign);
        for (place, jump) in jumps.iter().flatten().enumerate() {
            all.note(place, jump);
        }
        Excerpts {
            jumps,
            rest: Mutex::new(rest),
            ..all
        }
    }

    fn note(&mut self, place: usize, jump: &str) {
        let leads_to = target(jump);
        let ports = port_ranges(jump);
        match (leads_to, &ports) {
            (Some(chain), Some(_)) => {
                let same = self.by_chain.entry(chain.to_owned()).or_default();
                same.push(place);
            }
            _ => self.others.push(place),
        }
        for (from, to) in ports.into_iter().flatten() {
            match from == to {
                true => self.by_port.entry(from).or_default().push(place),
                false => self.by_range.push((from, to, place)),
            }
        }
    }

    /// Looks at what matters to an owner of some ports.
    pub fn look<T>(
        &self,
        owner: &Attachment,
        ports: impl Iterator<Item = u16>,
        look: impl FnOnce(&State) -> T,
    ) -> T {
        let own = [shared_name(owner), exact_name(owner)];
        let mut places: BTreeSet<usize> = self.others.iter().copied().collect();
        for chain in &own {
            places.extend(self.by_chain.get(chain).into_iter().flatten());
        }
        let ports: BTreeSet<u16> = ports.collect();
        for port in &ports {
            places.extend(self.by_port.get(port).into_iter().flatten());
        }
        let ranges = self.by_range.iter();
        let meets = |(from, to, _): &&(u16, u16, usize)| ports.range(from..=to).next().is_some();
        places.extend(ranges.filter(meets).map(|(_, _, place)| place));
        let all = self.jumps.as_deref().unwrap_or_default();
        let jumps = places.iter().filter_map(|place| all.get(*place));
        let jumps: Vec<String> = jumps.cloned().collect();
        let names = jumps.iter().flat_map(|jump| named(jump)).chain(own);
        let names: Vec<String> = names.collect();
        // Whoever panicked has left chains that are read again.
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let nat = rest.table_mut(Table::Nat);
        let added = self.add_chains(nat, names);
        if self.jumps.is_some() {
            nat.insert(DNAT.to_owned(), jumps);
        }
        let found = look(&rest);
        let nat = rest.table_mut(Table::Nat);
        nat.remove(DNAT);
        added.iter().for_each(|name| drop(nat.remove(name)));
        found
    }

    /// Adds chains of attachments with those that their rules name, and gives the names of those that were not
    /// there.
    fn add_chains(&self, nat: &mut Chains, mut names: Vec<String>) -> Vec<String> {
        let mut added = Vec::new();
        while let Some(name) = names.pop() {
            if let Some(rules) = self.chains.get(&name).filter(|_| !nat.contains_key(&name)) {
                names.extend(rules.iter().flat_map(|rule| named(rule)));
                nat.insert(name.clone(), rules.clone());
                added.push(name);
            }
        }
        added
    }
}

/// The attachment's chain to which a rule surely leads.
fn target(rule: &str) -> Option<&str> {
    let (before, target) = rule.rsplit_once(' ')?;
    (before.ends_with(" -j") && target.starts_with(OWN_PREFIX)).then_some(target)
}

/// The attachments' chains that a rule may lead to.
fn named(rule: &str) -> impl Iterator<Item = String> {
    let words = rule.split(' ').filter(|word| word.starts_with(OWN_PREFIX));
    words.map(str::to_owned)
}
