//! CHECK: everything that ADD would change.

use common::Drift;
use common::error::Error;
use common::sys::netlink::Refusal;

use super::layout::CONDITIONS;
use super::object::Rule;
use super::shared;
use super::socket::Nft;
use super::{add, claim, conditions, owner, private, unreadable};
use crate::host_port::HostPort;
use crate::plan::{Forwards, Plan};

/// Compares the kernel's state with the plan.
///
/// # Errors
/// Why it could not be found out; code 103 without nf_tables.
pub fn check(plan: &Plan) -> Result<Vec<Drift>, Error> {
    let mut nft = Nft::open()?;
    nft.generation()?;
    let mut drifts = Vec::new();
    for forwards in &plan.families {
        conditions::validate(forwards.family, &forwards.conditions)?;
        let found = compare(&mut nft, plan, forwards);
        drifts.extend(found.map_err(|refusal| unreadable(forwards.family, refusal))?);
        if !forwards.conditions.is_empty() {
            drifts.extend(condition(&mut nft, plan, forwards)?);
        }
    }
    Ok(drifts)
}

fn compare(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<Vec<Drift>, Refusal> {
    let family = forwards.family;
    let need = add::need(forwards, plan.masquerade);
    let seen = shared::observe(nft, need)?;
    let diff = shared::diff(need, &seen);
    let mut drifts = diff.drifts;
    drifts.extend(diff.obstacle.map(|why| {
        let object = shared::table_name(family);
        Drift::new(object, "our layout", why)
    }));
    let owner = owner::text(&plan.attachment);
    let wanted = add::wanted(forwards, plan.masquerade, &owner);
    let ports: Vec<HostPort> = forwards.ports.iter().map(HostPort::from).collect();
    let container = Some(forwards.container.addr);
    let mut found = claim::of_ports(nft, family, &seen.sets, &owner, &ports, container)?;
    if !forwards.conditions.is_empty() {
        found = claim::owned(&found, &owner);
    }
    drifts.extend(claim::drifts(family, &wanted, &found));
    Ok(drifts)
}

/// The rule with the conditions, and the chain that it leads to.
fn condition(nft: &mut Nft, plan: &Plan, forwards: &Forwards) -> Result<Vec<Drift>, Error> {
    let family = forwards.family;
    let failed = |refusal| unreadable(family, refusal);
    let place = shared::place(family);
    let table = shared::table_name(family);
    let (chain, owner) = (
        private::chain(&plan.attachment),
        owner::text(&plan.attachment),
    );
    let mut drifts = Vec::new();
    let object = format!("chain {chain} of {table}");
    let wanted = private::rules(forwards, plan.masquerade);
    match nft.chains(place, &[&chain]).map_err(failed)?.as_slice() {
        [Some(_)] => {
            let present = nft.rules(place, &chain).map_err(failed)?;
            if !add::same_rules(&present, &wanted) {
                drifts.push(Drift::new(object, shown(&wanted), shown(&present)));
            }
        }
        _ => {
            // Without it, nothing can lead there.
            drifts.push(Drift::new(object, "present", "missing"));
            return Ok(drifts);
        }
    }
    let mut rules = nft.rules(place, CONDITIONS).map_err(failed)?;
    rules.retain(|rule| rule.comment.as_deref() == Some(owner.as_str()));
    let object = format!("rule of {owner} in chain {CONDITIONS} of {table}");
    let words = &forwards.conditions;
    let expected = words.join(" ");
    match rules.as_slice() {
        [rule] if conditions::is_as_written(family, words, &chain, &owner, rule.handle)? => {}
        [rule] => drifts.push(Drift::new(object, expected, rule)),
        rules => drifts.push(Drift::new(
            object,
            expected,
            format!("{} rules", rules.len()),
        )),
    }
    Ok(drifts)
}

fn shown(rules: &[Rule]) -> String {
    let texts: Vec<String> = rules.iter().map(Rule::to_string).collect();
    format!("{} rules ({})", rules.len(), texts.join(", "))
}
