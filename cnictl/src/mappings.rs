//! Every host port: what the kernel has, and what attachments claim.

use std::collections::HashMap;

use common::Error;
use common::cache::Cache;
use portmap::Portmap;
use portmap::list::row::Row;
use portmap::list::{complete, forwards, is_same};

use crate::missing::{Missing, missing};
use crate::owners::Owners;
use crate::state::{State, of_forwards};

/// A host port and how it stands.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The port.
    pub row: Row,
    /// How it stands.
    pub state: State,
}

/// Every host port, those of the kernel first, and the attachments of which it is not known what they
/// claim.
///
/// # Errors
/// What could not be read of the kernel's state.
pub fn mappings(cache: &Cache, owners: &Owners<'_>) -> Result<(Vec<Mapping>, Vec<Error>), Error> {
    let mut found = forwards()?;
    complete(&mut found, cache);
    let Missing { rows, errors } = missing::<Portmap>(cache, &found);
    let states = of_forwards(&found, cache, owners);
    let all = found.into_iter().zip(states);
    let all = all.map(|(row, state)| Mapping { row, state });
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
            // Its rules stand, and none leads there.
            Some(mapping) => mapping.state = state,
            None => all.push(Mapping { row, state }),
        }
    }
    Ok((all, errors))
}
