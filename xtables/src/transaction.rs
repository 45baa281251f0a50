//! Commands for one `iptables-restore`: all of a table happen, or none.

use crate::Table;

/// One line of a restore file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Creates a chain, and fails the transaction if it exists.
    New(String),
    /// Adds a rule at a chain's end.
    Append(String, String),
    /// Adds a rule before the one at this place, counted from 0, after what the commands before it did.
    Insert(String, usize, String),
    /// Deletes the first such rule, which was at this place.
    Delete(String, usize, String),
    /// Deletes a chain's rules, which were these.
    Flush(String, Vec<String>),
    /// Deletes an empty chain that nothing leads to.
    Remove(String),
}

impl Command {
    fn line(&self) -> String {
        match self {
            Command::New(chain) => format!("-N {chain}"),
            Command::Append(chain, rule) => format!("-A {chain} {rule}"),
            Command::Insert(chain, 0, rule) => format!("-I {chain} {rule}"),
            Command::Insert(chain, place, rule) => format!("-I {chain} {} {rule}", place + 1),
            Command::Delete(chain, _, rule) => format!("-D {chain} {rule}"),
            Command::Flush(chain, _) => format!("-F {chain}"),
            Command::Remove(chain) => format!("-X {chain}"),
        }
    }

    /// The chain in which something happens.
    pub fn chain(&self) -> &str {
        match self {
            Command::New(chain)
            | Command::Append(chain, _)
            | Command::Insert(chain, _, _)
            | Command::Delete(chain, _, _)
            | Command::Flush(chain, _)
            | Command::Remove(chain) => chain,
        }
    }
}

/// Commands for one IP version, in the order in which they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    mangle: Vec<Command>,
    nat: Vec<Command>,
}

impl Transaction {
    /// Adds a command.
    pub fn push(&mut self, table: Table, command: Command) {
        match table {
            Table::Nat => self.nat.push(command),
            Table::Mangle => self.mangle.push(command),
        }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.mangle.is_empty() && self.nat.is_empty()
    }

    /// The commands in a table.
    pub fn commands(&self, table: Table) -> &[Command] {
        match table {
            Table::Nat => &self.nat,
            Table::Mangle => &self.mangle,
        }
    }

    /// Makes the places of what is inserted in a chain of nat count what the transaction deletes there: it
    /// will be deleted later.
    pub fn keep_deleted(&mut self, chain: &str) {
        let deleted = self.nat.iter().filter_map(|command| match command {
            Command::Delete(from, place, _) if from == chain => Some(*place),
            _ => None,
        });
        let mut deleted: Vec<usize> = deleted.collect();
        deleted.sort_unstable();
        for command in &mut self.nat {
            if let Command::Insert(to, place, _) = command
                && to == chain
            {
                for before in &deleted {
                    *place += usize::from(*before < *place);
                }
                let later = deleted.iter_mut().filter(|other| **other >= *place);
                later.for_each(|other| *other += 1);
            }
        }
    }

    /// Keeps some of the commands in nat.
    pub fn retain(&mut self, is_kept: impl Fn(&Command) -> bool) {
        self.nat.retain(is_kept);
    }

    /// Adds another's commands.
    pub fn append(&mut self, other: Transaction) {
        let Transaction { mangle, nat } = other;
        self.mangle.extend(mangle);
        self.nat.extend(nat);
    }

    /// The restore file. nat comes first, as it holds what others may refuse or have made in between: when
    /// that fails, nothing at all is done.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for table in Table::ALL {
            let lines = self.commands(table).iter();
            let lines: String = lines.map(|command| command.line() + "\n").collect();
            if !lines.is_empty() {
                text += &format!("*{}\n{lines}COMMIT\n", table.name());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNAT: &str = "DISPATCH";

    fn of(commands: &[(Table, Command)]) -> Transaction {
        let mut transaction = Transaction::default();
        for (table, command) in commands {
            transaction.push(*table, command.clone());
        }
        transaction
    }

    #[test]
    fn tables_are_written_in_order() {
        let own = "OWN";
        let transaction = of(&[
            (Table::Nat, Command::New(DNAT.into())),
            (Table::Nat, Command::New(own.into())),
            (Table::Nat, Command::Append(own.into(), "-j A".into())),
            (Table::Nat, Command::Insert(DNAT.into(), 0, "-j OWN".into())),
            (
                Table::Nat,
                Command::Insert("OUTPUT".into(), 2, "-j A".into()),
            ),
            (
                Table::Mangle,
                Command::Append("INPUT".into(), "-j G".into()),
            ),
        ]);
        assert_eq!(
            transaction.text(),
            "*nat\n-N DISPATCH\n-N OWN\n-A OWN -j A\n\
             -I DISPATCH -j OWN\n-I OUTPUT 3 -j A\nCOMMIT\n\
             *mangle\n-A INPUT -j G\nCOMMIT\n"
        );
    }

    #[test]
    fn places_count_what_is_deleted_later() {
        let delete = |place| {
            (
                Table::Nat,
                Command::Delete(DNAT.into(), place, "-j A".into()),
            )
        };
        let insert = |place| {
            (
                Table::Nat,
                Command::Insert(DNAT.into(), place, "-j A".into()),
            )
        };
        // a, old, b, old, c: without the old ones, two go before c, and one after a, then one before it.
        let all = [
            delete(3),
            delete(1),
            insert(2),
            insert(2),
            insert(1),
            insert(0),
        ];
        let mut transaction = of(&all);
        transaction.keep_deleted(DNAT);
        let places = transaction.commands(Table::Nat).iter();
        let places = places.filter_map(|command| match command {
            Command::Insert(_, place, _) => Some(*place),
            _ => None,
        });
        assert_eq!(places.collect::<Vec<_>>(), [3, 3, 1, 0]);
    }
}
