//! Every host port: what the kernel has, and what attachments claim.

use std::collections::HashMap;

use common::Error;
use common::cache::Cache;
use portmap::Portmap;
use portmap::list::{Forward, complete, forwards, is_same};

use crate::missing::{Missing, missing};
use crate::owners::Owners;
use crate::state::{State, of_forwards};

/// A host port and how it stands.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The port.
    pub forward: Forward,
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
    let all = all.map(|(forward, state)| Mapping { forward, state });
    let mut all: Vec<Mapping> = all.collect();
    let mut unreached: HashMap<u16, Vec<usize>> = HashMap::new();
    for (place, Mapping { forward, .. }) in all.iter().enumerate() {
        if !forward.is_reached {
            unreached.entry(forward.host_port).or_default().push(place);
        }
    }
    for (forward, way_out) in rows {
        let state = State::Missing(way_out);
        let mut places = unreached.get(&forward.host_port).into_iter().flatten();
        let is_it = |place: &&usize| {
            all.get(**place)
                .is_some_and(|m| is_same(&m.forward, &forward))
        };
        match places.find(is_it).and_then(|place| all.get_mut(*place)) {
            // Its rules stand, and none leads there.
            Some(mapping) => mapping.state = state,
            None => all.push(Mapping { forward, state }),
        }
    }
    Ok((all, errors))
}
