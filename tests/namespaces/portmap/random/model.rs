//! Who answers, and what CHECK says, as docs/portmap.md has it: a port of one address comes before the same port
//! within limits, and both before that of all addresses. Of equals the newest is served, but a container does not
//! take a port from itself.

use std::collections::BTreeMap;

use super::super::order::{FIRST, SECOND};

/// Addresses of the node.
pub const ADDRESSES: [&str; 5] = [FIRST[0], FIRST[1], SECOND[0], SECOND[1], "127.0.0.1"];

/// Keys of a network, and the addresses that they mean. No two limits have one in common.
pub const LIMITS: [(&str, &[&str]); 4] = [
    ("", &ADDRESSES),
    (r#""hostAddresses":["10.99.0.1","fd99::1"],"#, &FIRST),
    (r#""hostAddresses":["10.99.0.77","fd99::77"],"#, &SECOND),
    (r#""hostInterfaces":["lo"],"#, &["127.0.0.1"]),
];

/// Adjacent host ports: one that leads to port 80, or many that lead to the same ports.
#[derive(Clone, Debug)]
pub struct Claim {
    pub host_ip: &'static str,
    pub protocol: &'static str,
    pub first: u16,
    pub count: u16,
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub number: usize,
    /// Of [`LIMITS`].
    pub limits: usize,
    pub claims: Vec<Claim>,
}

/// An address, the rank of a claim there, and a protocol and port.
pub type Key = (&'static str, u8, &'static str, u16);

/// The last attachment is the second network of the container before it.
pub fn container(number: usize) -> usize {
    number.min(2)
}

impl Claim {
    pub fn keys(&self, limits: usize) -> impl Iterator<Item = Key> {
        let at = move |address: &&str| match self.host_ip {
            "0.0.0.0" => !address.contains(':'),
            "::" => address.contains(':'),
            "" => LIMITS[limits].1.contains(address),
            one => *address == one,
        };
        let rank = match self.host_ip {
            "" if limits > 0 => 1,
            "" | "0.0.0.0" | "::" => 2,
            _ => 0,
        };
        let ports = self.first..self.first + self.count;
        let with_ports = move |address| {
            let ports = ports.clone();
            ports.map(move |port| (address, rank, self.protocol, port))
        };
        ADDRESSES.into_iter().filter(at).flat_map(with_ports)
    }
}

impl Attachment {
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.claims.iter().flat_map(|claim| claim.keys(self.limits))
    }
}

/// The attachments in the order of their last ADD, and those that claim each port: the last one is served.
#[derive(Default)]
pub struct Model {
    pub alive: Vec<Attachment>,
    queues: BTreeMap<Key, Vec<usize>>,
}

impl Model {
    pub fn find(&self, number: usize) -> Option<Attachment> {
        let mut alive = self.alive.iter();
        alive.find(|one| one.number == number).cloned()
    }

    pub fn add(&mut self, one: Attachment) {
        self.del(one.number);
        for key in one.keys() {
            let queue = self.queues.entry(key).or_default();
            let is_own = |served: &usize| container(*served) == container(one.number);
            let behind = queue.last().is_some_and(is_own);
            queue.insert(queue.len() - usize::from(behind), one.number);
        }
        self.alive.push(one);
    }

    pub fn del(&mut self, number: usize) {
        self.alive.retain(|one| one.number != number);
        for queue in self.queues.values_mut() {
            queue.retain(|one| *one != number);
        }
    }

    fn served(&self, key: Key) -> Option<usize> {
        self.queues.get(&key)?.last().copied()
    }

    pub fn server(&self, at: &'static str, protocol: &'static str, port: u16) -> Option<usize> {
        (0..3).find_map(|rank| self.served((at, rank, protocol, port)))
    }

    /// Whether CHECK passes.
    pub fn is_served(&self, one: &Attachment) -> bool {
        let own = Some(container(one.number));
        one.keys().all(|key| self.served(key).map(container) == own)
    }
}
