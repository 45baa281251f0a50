//! Commands for one `iptables-restore`: all of a table happen, or none.

use std::collections::BTreeSet;

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

    /// What takes the command back, in a chain that the transaction made or not.
    fn inverse(&self, is_new: impl Fn(&str) -> bool) -> Vec<Command> {
        match self.clone() {
            Command::New(chain) => {
                vec![
                    Command::Flush(chain.clone(), vec![]),
                    Command::Remove(chain),
                ]
            }
            Command::Append(chain, _) | Command::Insert(chain, _, _) if is_new(&chain) => vec![],
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
    /// Rules that are not taken back.
    for_others: BTreeSet<String>,
}

impl Transaction {
    /// Adds a command.
    pub fn push(&mut self, table: Table, command: Command) {
        match table {
            Table::Nat => self.nat.push(command),
            Table::Mangle => self.mangle.push(command),
        }
    }

    /// Adds a rule to nat that is not taken back.
    pub fn insert_for_another(&mut self, chain: &str, place: usize, rule: String) {
        self.for_others.insert(rule.clone());
        self.nat
            .push(Command::Insert(chain.to_owned(), place, rule));
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

    /// Lets the places of what is inserted in a chain of nat count what the transaction deletes there: it
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

    /// Lets what is inserted into a chain of nat find its place among so many rules.
    pub fn fit_into(&mut self, chain: &str, mut rules: usize) {
        for command in &mut self.nat {
            if let Command::Insert(into, place, _) = command
                && into == chain
            {
                *place = rules.min(*place);
                rules += 1;
            }
        }
    }

    /// Adds another's commands.
    pub fn append(&mut self, other: Transaction) {
        let Transaction {
            mangle,
            nat,
            for_others,
        } = other;
        self.mangle.extend(mangle);
        self.nat.extend(nat);
        self.for_others.extend(for_others);
    }

    /// What takes back the commands that `is_undone` chooses, last things first.
    pub fn inverse(&self, is_undone: impl Fn(&Command) -> bool) -> Transaction {
        let back = |commands: &[Command]| -> Vec<Command> {
            let is_new = |chain: &str| {
                let made = Command::New(chain.to_owned());
                is_undone(&made) && commands.contains(&made)
            };
            let is_others = |command: &Command| matches!(command, Command::Insert(_, _, rule) if self.for_others.contains(rule));
            let mut back: Vec<Command> = commands
                .iter()
                .rev()
                .filter(|command| is_undone(command) && !is_others(command))
                .flat_map(|command| command.inverse(is_new))
                .collect();
            // New chains lead to each other: all are emptied before the first is removed.
            let empties = |c: &Command| matches!(c, Command::Flush(_, rules) if rules.is_empty());
            back.sort_by_key(|command| !empties(command));
            back
        };
        Transaction {
            mangle: back(&self.mangle),
            nat: back(&self.nat),
            for_others: BTreeSet::new(),
        }
    }

    /// The restore file.
    pub fn text(&self) -> String {
        self.text_and_listing(&[])
    }

    /// The restore file, which also lists chains, each table's before its commands. nat comes first, as it
    /// holds what others may refuse or have made in between: when that fails, nothing at all is done.
    pub fn text_and_listing(&self, chains: &[(Table, &str)]) -> String {
        let list = |table| -> String {
            let names = chains.iter().filter(|(t, _)| *t == table);
            names.map(|(_, name)| format!("-S {name}\n")).collect()
        };
        let run = |commands: &[Command]| -> String {
            commands
                .iter()
                .map(|command| command.line() + "\n")
                .collect()
        };
        let section = |table| (table, list(table) + &run(self.commands(table)));
        let sections = Table::ALL.map(section);
        let mut text = String::new();
        for (table, lines) in sections.iter().filter(|(_, lines)| !lines.is_empty()) {
            text += &format!("*{}\n{lines}COMMIT\n", table.name());
        }
        text
    }
}

/// A restore file that only lists. Both variants take `-S` there, and so one program lists several
/// chains of several tables.
pub fn listing(chains: &[(Table, &str)]) -> String {
    Transaction::default().text_and_listing(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DNAT: &str = "DISPATCH";

    fn is_undone(command: &Command) -> bool {
        match command {
            Command::New(chain) if chain == DNAT => false,
            other => [DNAT, "OWN"].contains(&other.chain()),
        }
    }

    fn of(commands: &[(Table, Command)]) -> Transaction {
        let mut transaction = Transaction::default();
        for (table, command) in commands {
            transaction.push(*table, command.clone());
        }
        transaction
    }

    #[test]
    fn tables_are_written_in_order_and_what_is_shared_stays() {
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
        assert_eq!(
            transaction.inverse(is_undone).text(),
            "*nat\n-F OWN\n-D DISPATCH -j OWN\n-X OWN\nCOMMIT\n"
        );
    }

    #[test]
    fn listings_stand_before_the_commands() {
        let transaction = of(&[(Table::Nat, Command::New("X".into()))]);
        let chains = [(Table::Nat, "OUTPUT"), (Table::Mangle, "INPUT")];
        assert_eq!(
            transaction.text_and_listing(&chains),
            "*nat\n-S OUTPUT\n-N X\nCOMMIT\n*mangle\n-S INPUT\nCOMMIT\n"
        );
        assert_eq!(listing(&chains[..1]), "*nat\n-S OUTPUT\nCOMMIT\n");
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

    #[test]
    fn what_was_deleted_comes_back_where_it_was() {
        let transaction = of(&[
            (Table::Nat, Command::Delete(DNAT.into(), 4, "-j B".into())),
            (Table::Nat, Command::Delete(DNAT.into(), 2, "-j A".into())),
            (
                Table::Nat,
                Command::Flush("OWN".into(), vec!["-j R".into(), "-j S".into()]),
            ),
            (Table::Nat, Command::Remove("OWN".into())),
        ]);
        assert_eq!(
            transaction.inverse(is_undone).text(),
            "*nat\n-N OWN\n-A OWN -j R\n-A OWN -j S\n\
             -I DISPATCH 3 -j A\n-I DISPATCH 5 -j B\nCOMMIT\n"
        );
    }
}
