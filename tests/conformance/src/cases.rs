//! The cases, a file for each plugin and subject.

use crate::case::Table;
use crate::group::Group;

mod alike;
mod bandwidth;
mod portmap;
mod protocol;
mod refused;
mod tuning;

/// Puts every case into the table, those beside ipvs only `with_ipvs`.
pub fn all(table: &mut Table, with_ipvs: bool) {
    for group in Group::ALL {
        table.group(group);
        match group {
            Group::TuningProtocol | Group::PortmapProtocol | Group::BandwidthProtocol => {
                protocol::cases(table, group);
            }
            Group::Tuning => tuning::cases(table),
            Group::PortmapIptablesNft | Group::PortmapIptablesLegacy | Group::PortmapNftables => {
                portmap::cases(table, group, with_ipvs);
            }
            Group::Bandwidth => bandwidth::cases(table),
        }
    }
}
