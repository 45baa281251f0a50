//! Every host port: what the kernel has, what attachments claim, and what takes the packets first.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use common::{Error, Family};
use portmap::Portmap;
use portmap::address::local;
use portmap::firewall::Hook;
use portmap::list::row::Row;
use portmap::list::{complete, forwards, is_same};

use crate::firewall::{End, Firewall, Firewalls, Packet, Reaches};
use crate::missing::{Missing, missing};
use crate::owners::Owners;
use crate::repair::{Task, tasks};
use crate::state::{State, of_forwards};

/// A host port and its state.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The port.
    pub row: Row,
    /// Its state.
    pub state: State,
    /// New connections per second since it was last shown, where it was.
    pub current: Option<u64>,
}

impl Mapping {
    /// A host port that nobody has watched yet.
    pub fn new(row: Row, state: State) -> Mapping {
        Mapping {
            row,
            state,
            current: None,
        }
    }
}

/// Every host port, those of the kernel first, and what could not be read: the attachments of which it is
/// not known what they claim, and rules that may take a port's packets.
///
/// # Errors
/// What could not be read of the kernel's state.
pub fn mappings(owners: &Owners<'_>) -> Result<(Vec<Mapping>, Vec<Error>), Error> {
    let mut firewalls = Firewalls::default();
    let tasks = tasks::<Portmap>(owners.index.cache, true);
    let (all, mut errors) = mappings_by(owners, &tasks, &mut firewalls)?;
    errors.extend(
        firewalls
            .iter()
            .flat_map(|(_, firewall)| firewall.errors.clone()),
    );
    Ok((all, errors))
}

/// The same by the tasks of all attachments; what could not be read of the firewalls is left with them.
///
/// # Errors
/// As [`mappings`].
pub fn mappings_by(
    owners: &Owners<'_>,
    tasks: &[Task<'_>],
    firewalls: &mut Firewalls,
) -> Result<(Vec<Mapping>, Vec<Error>), Error> {
    let mut found = forwards()?;
    complete(&mut found, &owners.index);
    let Missing { rows, mut errors } = missing::<Portmap>(tasks, &found);
    let states = of_forwards(&found, owners);
    let all = found.into_iter().zip(states);
    let all = all.map(|(row, state)| Mapping::new(row, state));
    let mut all: Vec<Mapping> = all.collect();
    let mut unreached: HashMap<u16, Vec<usize>> = HashMap::new();
    for (place, Mapping { row, .. }) in all.iter().enumerate() {
        if !row.is_reached {
            unreached
                .entry(row.forward.port.number)
                .or_default()
                .push(place);
        }
    }
    for (row, way_out) in rows {
        let state = State::Missing(way_out);
        let mut places = unreached
            .get(&row.forward.port.number)
            .into_iter()
            .flatten();
        let is_it = |place: &&usize| all.get(**place).is_some_and(|m| is_same(&m.row, &row));
        match places.find(is_it).and_then(|place| all.get_mut(*place)) {
            // Its rules exist, and none leads to them.
            Some(mapping) => mapping.state = state,
            None => all.push(Mapping::new(row, state)),
        }
    }
    contest(&mut all, firewalls, &mut errors);
    Ok((all, errors))
}

/// Finds what else takes the packets of ports that are in place.
fn contest(all: &mut [Mapping], firewalls: &mut Firewalls, errors: &mut Vec<Error>) {
    let mut addresses: BTreeMap<Family, Vec<IpAddr>> = BTreeMap::new();
    for Mapping { row, state, .. } in all {
        if !state.may_serve() {
            continue;
        }
        let family = Family::of(row.forward.to.ip());
        let local = addresses.entry(family).or_insert_with(|| {
            outside(family).unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            })
        });
        let end = taken(row, firewalls.of(family), local);
        if let Some(end) = end.filter(|end| end.is_sure || *state == State::Active) {
            *state = State::Taken(end);
        }
    }
}

/// The addresses of the node that others can use.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn outside(family: Family) -> Result<Vec<IpAddr>, Error> {
    let mut all = local(family)?;
    all.retain(is_outside);
    Ok(all)
}

/// Whether others can use an address, and on more than one link.
pub fn is_outside(ip: &IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !ip.is_loopback() && !is_link_local
}

/// A new connection's packet to a port on each of its addresses, which are some of the node's.
pub fn arriving<'a>(row: &'a Row, addresses: &'a [IpAddr]) -> impl Iterator<Item = Packet> + 'a {
    let port = row.forward.port;
    let own = row.forward.port.address.as_ref().map(std::slice::from_ref);
    let all = own.unwrap_or(addresses).iter();
    all.filter(|to| row.is_on(**to)).map(move |to| Packet {
        from: None,
        to: *to,
        is_local: true,
        protocol: port.protocol,
        port: port.number,
        interfaces: (None, None),
        states: &["NEW"],
    })
}

/// What takes a port's packets, surely on one of its addresses rather than perhaps.
fn taken(row: &Row, firewall: &Firewall, addresses: &[IpAddr]) -> Option<End> {
    let ends = arriving(row, addresses).filter_map(|packet| {
        match firewall.reaches(Hook::Prerouting, &packet) {
            Reaches::Stopped(end) => Some(end),
            Reaches::Ours | Reaches::Nothing => None,
        }
    });
    let mut ends: Vec<End> = ends.collect();
    let place = ends.iter().position(|end| end.is_sure).unwrap_or(0);
    (!ends.is_empty()).then(|| ends.swap_remove(place))
}
