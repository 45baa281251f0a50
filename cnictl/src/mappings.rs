//! Every host port: what the kernel has, and what attachments claim.

use common::Error;
use common::cache::Cache;
use portmap::Portmap;
use portmap::list::{Forward, complete, forwards};

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
    let missing = rows.into_iter();
    let missing = missing.map(|(forward, way_out)| (forward, State::Missing(way_out)));
    let all = found.into_iter().zip(states).chain(missing);
    let all = all.map(|(forward, state)| Mapping { forward, state });
    Ok((all.collect(), errors))
}
