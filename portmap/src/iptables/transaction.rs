//! Commands for one `iptables-restore`: all of a table happen, or none.

use super::rules::Table;

/// One line of a restore file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Fails the transaction unless the chain has the rule.
    Assert(String, String),
    /// Creates a chain, and fails the transaction if it exists.
    New(String),
    /// Adds a rule at a chain's end.
    Append(String, String),
    /// Adds a rule before the one at this place, counted from 0.
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
            Command::Assert(chain, rule) => format!("-C {chain} {rule}"),
            Command::New(chain) => format!("-N {chain}"),
            Command::Append(chain, rule) => format!("-A {chain} {rule}"),
            Command::Insert(chain, 0, rule) => format!("-I {chain} {rule}"),
            Command::Insert(chain, place, rule) => format!("-I {chain} {} {rule}", place + 1),
            Command::Delete(chain, _, rule) => format!("-D {chain} {rule}"),
            Command::Flush(chain, _) => format!("-F {chain}"),
            Command::Remove(chain) => format!("-X {chain}"),
        }
    }

    /// What takes the command back.
    fn inverse(&self) -> Vec<Command> {
        match self.clone() {
            Command::Assert(..) => vec![],
            Command::New(chain) => vec![Command::Remove(chain)],
            Command::Append(chain, rule) | Command::Insert(chain, _, rule) => {
                vec![Command::Delete(chain, 0, rule)]
            }
            Command::Delete(chain, place, rule) => vec![Command::Insert(chain, place, rule)],
            Command::Flush(chain, rules) => rules
                .into_iter()
                .map(|rule| Command::Append(chain.clone(), rule))
                .collect(),
            Command::Remove(chain) => vec![Command::New(chain)],
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

    /// What takes everything back, last things first.
    pub fn inverse(&self) -> Transaction {
        let back = |commands: &[Command]| {
            commands
                .iter()
                .rev()
                .flat_map(Command::inverse)
                .collect::<Vec<_>>()
        };
        Transaction {
            mangle: back(&self.mangle),
            nat: back(&self.nat),
        }
    }

    /// The restore file. The guard's table comes first: when it fails, nothing at all is done.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (table, commands) in [(Table::Mangle, &self.mangle), (Table::Nat, &self.nat)] {
            if commands.is_empty() {
                continue;
            }
            text += &format!("*{}\n", table.name());
            for command in commands {
                text += &command.line();
                text.push('\n');
            }
            text += "COMMIT\n";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_written_in_order_and_taken_back_in_reverse() {
        let mut transaction = Transaction::default();
        transaction.push(Table::Nat, Command::New("X".into()));
        transaction.push(Table::Nat, Command::Append("X".into(), "-j A".into()));
        transaction.push(Table::Nat, Command::Insert("Y".into(), 0, "-j X".into()));
        transaction.push(
            Table::Mangle,
            Command::Assert("INPUT".into(), "-j G".into()),
        );
        assert_eq!(
            transaction.text(),
            "*mangle\n-C INPUT -j G\nCOMMIT\n*nat\n-N X\n-A X -j A\n-I Y -j X\nCOMMIT\n"
        );
        assert_eq!(
            transaction.inverse().text(),
            "*nat\n-D Y -j X\n-D X -j A\n-X X\nCOMMIT\n"
        );
    }

    #[test]
    fn what_was_deleted_comes_back_where_it_was() {
        let mut transaction = Transaction::default();
        for (place, rule) in [(4, "-j B"), (2, "-j A")] {
            transaction.push(Table::Nat, Command::Delete("Y".into(), place, rule.into()));
        }
        transaction.push(
            Table::Nat,
            Command::Flush("X".into(), vec!["-j R".into(), "-j S".into()]),
        );
        transaction.push(Table::Nat, Command::Remove("X".into()));
        assert_eq!(
            transaction.inverse().text(),
            "*nat\n-N X\n-A X -j R\n-A X -j S\n-I Y 3 -j A\n-I Y 5 -j B\nCOMMIT\n"
        );
    }
}
