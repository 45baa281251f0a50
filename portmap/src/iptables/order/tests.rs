mod conditions;
mod drifts;
mod packets;
mod places;

use common::result::Prefix;
use common::{Attachment, Family, Protocol};
use xtables::Table;

use super::*;
use crate::config::Evidence;
use crate::host_port::Forward;
use crate::iptables::excerpt::Excerpts;
use crate::iptables::many::apply;
use crate::iptables::shadow::Forwards;
use crate::iptables::translation::translations;
use crate::iptables::{drift, rules, shadowed, write};
use crate::limits::{Allowed, Scope};
use crate::options::{Mark, Masquerade};
use crate::plan;

/// An attachment of a container on a network: `8080` and `1:8080` are ports of all addresses and of one.
fn of(network: &str, container: &str, ports: &[&str]) -> Wanted {
    limited(network, container, ports, &[])
}

/// The same, limited to some addresses.
fn limited(network: &str, container: &str, ports: &[&str], only: &[&str]) -> Wanted {
    made((network, container, "eth0"), ports, only, &[])
}

/// The same with a condition.
fn conditional(container: &str, ports: &[&str], condition: [&str; 2]) -> Wanted {
    made(
        ("n", container, "eth0/0123456789ab"),
        ports,
        &[],
        &condition,
    )
}

fn made(
    (network, container, ifname): (&str, &str, &str),
    ports: &[&str],
    only: &[&str],
    conditions: &[&str],
) -> Wanted {
    let forward = |text: &&str| {
        let (address, port) = match text.split_once(':') {
            Some((last, port)) => (Some(format!("192.0.2.{last}").parse().unwrap()), port),
            None => (None, *text),
        };
        let port = HostPort {
            protocol: Protocol::Tcp,
            address,
            within: None,
            number: port.parse().unwrap(),
        };
        let to = "10.22.0.2:80".parse().unwrap();
        Forward { port, to }
    };
    let ports: Vec<Forward> = ports.iter().map(forward).collect();
    let forwards = plan::Forwards {
        family: Family::V4,
        container: Prefix::from_text("10.22.0.2/16").unwrap(),
        conditions: conditions.iter().map(|word| (*word).to_owned()).collect(),
        only: (!only.is_empty()).then(|| Allowed {
            scope: Scope(1),
            interfaces: String::new(),
            prefixes: only
                .iter()
                .filter_map(|one| Prefix::from_text(one))
                .collect(),
        }),
        listed: ports
            .iter()
            .map(|forward| (forward.port.protocol, forward.port.number))
            .collect(),
        ports,
    };
    let attachment = Attachment {
        network: network.into(),
        container: container.into(),
        ifname: ifname.into(),
    };
    rules::wanted(&attachment, Masquerade::Nothing, &Mark::Bit(13), &forwards)
}

fn add(state: &mut State, wanted: &Wanted) {
    let transaction = write::repair(state, wanted, &Evidence::default());
    apply(state, &transaction);
    let mut wanted = wanted.clone();
    wanted.conditions_stand = true;
    let again = write::repair(state, &wanted, &Evidence::default());
    let rules = state.rules(DNAT);
    assert!(
        again.commands(Table::Nat).is_empty(),
        "{again:?} {rules:#?}"
    );
}

/// Who gets the packets to a port of an address, by what the rules test.
fn served(state: &State, address: &str, port: u16) -> Option<String> {
    served_to(state, address, port, true)
}

/// The same of packets that fulfil all conditions, or none but those on their destination.
fn served_to(state: &State, address: &str, port: u16, is_met: bool) -> Option<String> {
    let address: std::net::IpAddr = format!("192.0.2.{address}").parse().unwrap();
    let mut jumps = state.rules(DNAT).iter();
    jumps.find_map(|rule| {
        let (jump, meaning) = owner::jump(rule)?;
        let reach = Reach::of(&meaning);
        (is_met || !reach.is_conditional).then_some(())?;
        let made = Forwards::of(&translations(state.chain(&jump.chain)?));
        let takes = |to: &Behind| to.port.number == port && to.at.is_none_or(|at| at.has(address));
        made.behind(&reach).iter().any(takes).then_some(())?;
        let (_, id) = jump.comment.split_once("id: \"")?;
        Some(id.trim_end_matches('"').to_owned())
    })
}
