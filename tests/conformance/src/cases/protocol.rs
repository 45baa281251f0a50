//! What the CNI specification and its users expect of every plugin, whatever it does.

use crate::case::Table;
use crate::group::Group;

mod environment;
mod errors;
mod namespace;
mod previous;
mod print;
mod runtimes;
mod stdin;
mod verbs;
mod versions;

/// The spec versions a plugin must speak.
fn spoken(group: Group) -> &'static [&'static str] {
    match group {
        Group::BandwidthProtocol => &["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
        _ => &[
            "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0",
        ],
    }
}

/// Everything about the protocol, on one plugin.
pub fn cases(table: &mut Table, group: Group) {
    verbs::cases(table, group);
    environment::cases(table);
    namespace::cases(table);
    stdin::cases(table);
    versions::cases(table, group);
    previous::cases(table);
    print::cases(table, group);
    errors::cases(table);
    runtimes::cases(table);
}
