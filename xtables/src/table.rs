//! The tables that can be read and written, and where the kernel has them.

/// Where iptables keeps its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// In nf_tables.
    Nft,
    /// In x_tables.
    Legacy,
}

/// A table of iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Translation.
    Nat,
    /// What comes before it, where source and destination are those on the wire.
    Mangle,
}

impl Table {
    /// All of them, in the order in which they are written: nat holds what others may refuse.
    pub const ALL: [Table; 2] = [Table::Nat, Table::Mangle];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Table::Nat => "nat",
            Table::Mangle => "mangle",
        }
    }
}
