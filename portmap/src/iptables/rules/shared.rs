//! The chains and rules that all attachments share.

use common::Family;
use xtables::Table;

use super::{DNAT, GUARD, MASQ, SETMARK};
use crate::options::{Mark, Masquerade};

/// A rule that all attachments share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its table.
    pub table: Table,
    /// Its chain.
    pub chain: &'static str,
    /// The rule.
    pub rule: String,
    /// Whether it must come before everybody else's rules.
    pub first: bool,
}

/// The chains and rules that all attachments share.
pub(super) fn shared(
    family: Family,
    masquerade: Masquerade,
    mark: &Mark,
) -> (Vec<(Table, &'static str)>, Vec<Shared>) {
    let mut chains = vec![(Table::Nat, DNAT)];
    let mut shared = Vec::new();
    let mut add = |table, chain, first, rule: String| {
        shared.push(Shared {
            table,
            chain,
            rule,
            first,
        });
    };
    if family == Family::V4 {
        chains.push((Table::Mangle, GUARD));
        // Answers to what the node sent through a mapping come to the address that masquerades it: they
        // get back their loopback address in nat, after this.
        let drop = "-m comment --comment \"CNI portfwd guard of loopback addresses\" -j DROP";
        add(Table::Mangle, GUARD, false, drop.into());
        for side in ["-d", "-s"] {
            let jump = format!("{side} 127.0.0.0/8 ! -i lo -j {GUARD}");
            add(Table::Mangle, "PREROUTING", true, jump);
        }
    }
    if let (true, Mark::Bit(bit)) = (masquerade != Masquerade::Nothing, mark) {
        chains.extend([(Table::Nat, SETMARK), (Table::Nat, MASQ)]);
        let value = 1u32.checked_shl(u32::from(*bit)).unwrap_or(0);
        let set = format!(
            "-m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark {value:#x}/{value:#x}"
        );
        add(Table::Nat, SETMARK, false, set);
        let masquerade = format!("-m mark --mark {value:#x}/{value:#x} -j MASQUERADE");
        add(Table::Nat, MASQ, false, masquerade);
        // First, or the rules of the bridge and ptp plugins would translate before.
        let jump = format!("-m comment --comment \"CNI portfwd requiring masquerade\" -j {MASQ}");
        add(Table::Nat, "POSTROUTING", true, jump);
    }
    for chain in ["PREROUTING", "OUTPUT"] {
        add(
            Table::Nat,
            chain,
            false,
            format!("-m addrtype --dst-type LOCAL -j {DNAT}"),
        );
    }
    (chains, shared)
}
