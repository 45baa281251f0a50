//! The cases, a file for each plugin and subject.

use std::path::PathBuf;

use crate::case::Table;
use crate::group::Group;

mod alike;
mod bandwidth;
mod portmap;
mod protocol;
mod refused;
mod tuning;

/// What few machines have, and cases need.
#[derive(Default)]
pub struct Beside {
    /// `ip_vs` of the kernel, with its tools.
    pub ipvs: bool,
    /// kube-proxy.
    pub kube_proxy: Option<PathBuf>,
}

/// Puts every case into the table, those that need what few machines have only where it is there.
pub fn all(table: &mut Table, beside: &Beside) {
    for group in Group::ALL {
        table.group(group);
        match group {
            Group::TuningProtocol | Group::PortmapProtocol | Group::BandwidthProtocol => {
                protocol::cases(table, group);
            }
            Group::Tuning => tuning::cases(table),
            Group::PortmapIptablesNft | Group::PortmapIptablesLegacy | Group::PortmapNftables => {
                portmap::cases(table, group, beside);
            }
            Group::Bandwidth => bandwidth::cases(table),
        }
    }
}
