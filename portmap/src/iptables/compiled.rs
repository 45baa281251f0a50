//! What iptables makes of conditions, judged before it can act.
//!
//! Only iptables knows what their words mean. It writes the jumps into a chain that no packet passes; what
//! the kernel then has is read back. Each rule must consist of tests alone, and bear the owner's mark
//! first. The same bytes show whether existing rules are those that are wanted.

mod judge;

use common::Family;
use common::error::{Code, Error};
use common::sys::netlink::Refusal;
use nft::socket::Nft;
use xtables::legacy::edit::{self, Doomed};
use xtables::meaning::Meaning;
use xtables::nf_tables::concern::Concern;
use xtables::nf_tables::{self, Seen, batch};
use xtables::raw::{End, Raw, Test};
use xtables::transaction::{Command, Transaction};
use xtables::{Table, Variant};

use super::rules::{DNAT, Wanted, leading_to};
use super::tool::{Failure, Tool};
use super::{kernel, owner};
use crate::conditions;
use crate::nftables::transaction;
use crate::turn;

/// The chain that no packet passes. It is there for moments, in one turn after the other.
pub const SCRATCH: &str = "CNI-HOSTPORT-SCRATCH";

/// The rules that conditions become: the tests of each, in an order that says nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct Compiled {
    variant: Variant,
    rules: Vec<Vec<Test>>,
    /// `NFTA_RULE_EXPRESSIONS` of each, in the order made.
    expressions: Vec<Vec<u8>>,
}

impl Compiled {
    /// What the jumps of an attachment become.
    ///
    /// # Errors
    /// Code 7 for conditions that iptables refuses, or of which something other than a test comes; 11
    /// when others hold the lock, 103 without a nat table, 100 for anything else.
    pub fn of(tool: &Tool, wanted: &Wanted) -> Result<Compiled, Error> {
        Compiled::at(&[], tool, wanted)
    }

    /// The same, where packets would come to them: the kernel refuses some matches at some hooks.
    ///
    /// # Errors
    /// As [`Compiled::of`].
    pub fn in_hooks(tool: &Tool, wanted: &Wanted) -> Result<Compiled, Error> {
        let shared = wanted.shared.iter();
        let leading = shared.filter(|shared| Meaning::of(&shared.rule).goes_to() == DNAT);
        let hooks: Vec<&str> = leading.map(|shared| shared.chain).collect();
        Compiled::at(&hooks, tool, wanted)
    }

    fn at(hooks: &[&str], tool: &Tool, wanted: &Wanted) -> Result<Compiled, Error> {
        let jumps: Vec<String> = wanted.jumps.iter().map(|jump| jump.to("RETURN")).collect();
        let mark = owner::comment(&wanted.attachment);
        let (variant, rules) = tried(tool, wanted.family, &jumps, hooks)?;
        let refuse = |why: String| {
            let key = conditions::key(wanted.family);
            Error::new(Code::InvalidConfig, format!("{key}: {why}"))
        };
        if rules.len() < jumps.len() {
            return Err(refuse("iptables creates no rule from them".into()));
        }
        for rule in &rules {
            judge::fault(rule, &mark).map_or(Ok(()), |why| Err(refuse(why)))?;
        }
        Ok(Compiled {
            variant,
            expressions: rules.iter().map(|rule| rule.expressions.clone()).collect(),
            rules: sorted(wanted.family, rules),
        })
    }

    /// How many rules they are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether the rules that lead to a chain are these.
    ///
    /// # Errors
    /// Code 100 when the kernel does not say.
    pub fn stand(&self, family: Family, chain: &str) -> Result<bool, Error> {
        let concern = leading_to(vec![chain.to_owned()]);
        let standing = kernel::raw(self.variant, family, DNAT, &concern)?;
        Ok(self.are(family, standing, chain))
    }

    /// As [`Compiled::stand`], of rules that were read.
    pub fn are(&self, family: Family, mut standing: Vec<Raw>, chain: &str) -> bool {
        standing.retain(|rule| matches!(&rule.end, End::Chain(name) if name == chain));
        sorted(family, standing) == self.rules
    }

    /// What each jump became in the nf_tables variant.
    pub fn of_each_jump(&self, jumps: usize) -> impl Iterator<Item = &[Vec<u8>]> {
        let rules = self.expressions.len() / jumps.max(1);
        self.expressions.chunks(rules.max(1))
    }
}

fn sorted(family: Family, rules: Vec<Raw>) -> Vec<Vec<Test>> {
    let plain = |rule: Raw| rule.tests.into_iter().map(|test| test.plain(family));
    let mut tests: Vec<Vec<Test>> = rules
        .into_iter()
        .map(|rule| plain(rule).collect())
        .collect();
    tests.sort();
    tests
}

/// Writes rules into a chain of their own, and gives what the kernel made of them.
fn tried(
    tool: &Tool,
    family: Family,
    rules: &[String],
    hooks: &[&str],
) -> Result<(Variant, Vec<Raw>), Error> {
    let _turn = turn::to_try(family)?;
    sweep_now(tool.variant, family)?;
    let outcome = write_and_read(tool, family, rules, hooks);
    let is_variant_known = tool
        .variant
        .or(outcome.as_ref().ok().map(|(variant, _)| *variant));
    let sweep = || sweep_now(is_variant_known, family);
    // Once more: nobody but the next try would.
    match (outcome, sweep().or_else(|_| sweep())) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(error)) => Err(left(family, error)),
        (Err(error), Err(also)) => Err(error.and(left(family, also))),
    }
}

/// What a try leaves that cannot be rolled back.
fn left(family: Family, error: Error) -> Error {
    let msg = format!("roll back chain {SCRATCH} of table nat ({family}), which GC removes, too");
    Error::new(error.code, msg).with_details(error)
}

fn write_and_read(
    tool: &Tool,
    family: Family,
    rules: &[String],
    hooks: &[&str],
) -> Result<(Variant, Vec<Raw>), Error> {
    let lines: String = rules
        .iter()
        .map(|rule| format!("-A {SCRATCH} {rule}\n"))
        .collect();
    let text = format!("*nat\n-N {SCRATCH}\n{lines}COMMIT\n");
    let written = tool.restore(&text);
    written.map_err(|failure| refusal(&failure, family, ""))?;
    let variant = variant(tool, family)?;
    let made = kernel::raw(variant, family, SCRATCH, &Concern::default())?;
    let mut hooks = hooks.iter();
    hooks.try_for_each(|hook| hang(tool, variant, family, hook))?;
    Ok((variant, made))
}

/// Has the kernel judge the chain where a hook's packets would come to it; none does.
fn hang(tool: &Tool, variant: Variant, family: Family, hook: &str) -> Result<(), Error> {
    let place = format!(" in {hook}");
    if variant == Variant::Nft {
        return match refused(family, hook, &format!("-j {SCRATCH}"))? {
            None => Ok(()),
            Some(refused) => {
                let msg = format!(
                    "{}: the kernel refuses these matches",
                    conditions::key(family)
                );
                Err(Error::new(Code::InvalidConfig, msg + &place).with_details(refused))
            }
        };
    }
    // No mark has a bit of none.
    let text = format!("*nat\n-A {hook} -m mark --mark 0x1/0x0 -j {SCRATCH}\nCOMMIT\n");
    let hung = tool.restore(&text);
    hung.map(drop)
        .map_err(|failure| refusal(&failure, family, &place))
}

/// What the kernel has against a rule at the end of a chain of nat in nf_tables; nothing is changed.
fn refused(family: Family, chain: &str, rule: &str) -> Result<Option<Refusal>, Error> {
    let mut nft = Nft::open()?;
    let mut transaction = Transaction::default();
    let command = Command::Append(chain.to_owned(), rule.to_owned());
    transaction.push(Table::Nat, command);
    let mut seen = Seen::chains(
        &mut nft,
        family,
        &[(Table::Nat, chain)],
        &Concern::default(),
    )?;
    let refused = nft.check(&batch::commands(&mut seen, &transaction)?)?;
    Ok(refused.into_iter().next().map(|(_, refusal)| refusal))
}

fn refusal(failure: &Failure, family: Family, place: &str) -> Error {
    let key = conditions::key(family);
    let is_unjudged = (!failure.is_verdict()).then_some(Code::System);
    match failure.hopeless().or(is_unjudged) {
        Some(code) => failure.error(code, format!("try {key}{place}")),
        None => {
            let msg = format!("{key}: iptables refuses these matches{place}");
            failure.error(Code::InvalidConfig, msg)
        }
    }
}

/// The variant of a program, or else the one that it has just written to.
fn variant(tool: &Tool, family: Family) -> Result<Variant, Error> {
    if let Some(variant) = tool.variant {
        return Ok(variant);
    }
    Ok(if is_there(Variant::Legacy, family)? {
        Variant::Legacy
    } else {
        Variant::Nft
    })
}

/// Removes what tries left that were killed.
///
/// # Errors
/// Everything that could not be removed.
pub fn sweep() -> Result<(), Error> {
    let mut errors = Vec::new();
    for variant in [Variant::Nft, Variant::Legacy] {
        for family in Family::ALL {
            errors.extend(sweep_one(variant, family).err());
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

fn sweep_one(variant: Variant, family: Family) -> Result<(), Error> {
    if !is_there(variant, family)? {
        return Ok(());
    }
    let _turn = turn::to_try(family)?;
    sweep_now(Some(variant), family)
}

fn is_there(variant: Variant, family: Family) -> Result<bool, Error> {
    match variant {
        Variant::Legacy => Ok(!kernel::chains(family, &[SCRATCH.to_owned()])?.is_empty()),
        Variant::Nft => match Nft::open_if_any()? {
            Some(mut nft) => {
                let found = nf_tables::present(&mut nft, family, Table::Nat, &[SCRATCH])?;
                Ok(!found.is_empty())
            }
            None => Ok(false),
        },
    }
}

fn sweep_now(variant: Option<Variant>, family: Family) -> Result<(), Error> {
    let variants = [Variant::Nft, Variant::Legacy];
    for each in variants
        .into_iter()
        .filter(|v| variant.is_none_or(|of| of == *v))
    {
        if !is_there(each, family)? {
            continue;
        }
        match each {
            Variant::Legacy => drop(edit::remove(
                family,
                |name| name == SCRATCH,
                |_| Doomed {
                    chains: vec![SCRATCH.to_owned()],
                    rules: Vec::new(),
                },
            )?),
            Variant::Nft => remove_from_nft(family)?,
        }
    }
    Ok(())
}

fn remove_from_nft(family: Family) -> Result<(), Error> {
    transaction::run(&mut Nft::open()?, |nft| {
        let mut seen = Seen::chains(nft, family, &[(Table::Nat, SCRATCH)], &Concern::default())?;
        let mut transaction = Transaction::default();
        if let Some(rules) = seen.state.chain(SCRATCH) {
            let flush = Command::Flush(SCRATCH.to_owned(), rules.to_vec());
            transaction.push(Table::Nat, flush);
            transaction.push(Table::Nat, Command::Remove(SCRATCH.to_owned()));
        }
        Ok((batch::commands(&mut seen, &transaction)?, ()))
    })
}
