//! Attachments that come and go in a random order, the same every time: with every backend, those answer that a
//! model of the documented order names.

mod model;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use common::base64;
use sandbox::plugin::Call;
use sandbox::probe::{PATIENCE, tcp, udp};
use serde_json::{Value, json};

use super::gc::gc;
use super::node::{Backend, mapping_on, on_every_backend};
use super::order::Node;
use crate::numbers::Numbers;
use model::{ADDRESSES, Attachment, Claim, Key, LIMITS, Model, container};

on_every_backend!(whatever_comes_and_goes_the_documented_one_answers);

const STEPS: usize = 16;
/// One of no range, one of both, and one of each.
const PORTS: [u16; 4] = [8080, 20_010, 20_004, 20_030];

struct World {
    seed: u64,
    steps: Vec<String>,
    numbers: Numbers,
    node: Node,
    _servers: Vec<(tcp::Server, udp::Server)>,
    model: Model,
    /// The programs that have put another tool's rule into PREROUTING.
    foreign: Vec<&'static str>,
    /// The source port of the latest datagram: conntrack knows it already.
    source: u16,
}

impl Drop for World {
    #[allow(clippy::print_stdout, reason = "a test says what failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, steps) = (self.seed, self.steps.join("\n"));
            println!("{steps}\nAgain: SEED={seed} make one T=portmap::random");
        }
    }
}

fn whatever_comes_and_goes_the_documented_one_answers(backend: Backend) {
    let seeds = std::env::var("SEED").unwrap_or("1..6".to_owned());
    let number = |text: &str| text.parse::<u64>().unwrap();
    let seeds = match seeds.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&seeds)..number(&seeds) + 1,
    };
    for seed in seeds {
        let mut world = World::new(backend, seed);
        for _ in 0..STEPS {
            world.step();
            world.verify();
        }
        let alive = world.model.alive.clone();
        alive.iter().for_each(|one| world.del(one.number));
        world.node.host.is_clean();
        let state = world.node.host.state();
        assert!(!state.contains("cid-"), "{state}");
    }
}

impl World {
    fn new(backend: Backend, seed: u64) -> World {
        let node = Node::of(backend, 4);
        let host = &node.host.net.host;
        // What nobody serves is refused at once.
        host.set_sysctl("net.ipv4.icmp_ratemask", "0").unwrap();
        host.set_sysctl("net.ipv6.icmp.ratelimit", "0").unwrap();
        for directory in ["results", "run"] {
            fs::create_dir(node.host.directory.join(directory)).unwrap();
        }
        let mut servers = Vec::new();
        for (pod, name) in node.host.net.containers.iter().zip(["0", "1", "2", "3"]) {
            for port in PORTS {
                // The node has servers on TCP port 80.
                let udp = if port == PORTS[0] { 80 } else { port };
                let tcp = tcp::Server::start(pod, port, name).unwrap();
                servers.push((tcp, udp::Server::start(pod, udp, name).unwrap()));
            }
        }
        World {
            seed,
            steps: Vec::new(),
            numbers: Numbers::new(seed),
            node,
            _servers: servers,
            model: Model::default(),
            foreign: Vec::new(),
            source: 1024,
        }
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.numbers.below(all.len())]
    }

    /// One to three claims, none of which has a port of another.
    fn claims(&mut self, limits: usize) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        let mut taken: BTreeSet<Key> = BTreeSet::new();
        let host_ips = [&["", "", "", "", "", "0.0.0.0", "::"][..], &ADDRESSES].concat();
        for _ in 0..=self.numbers.below(3) {
            let (first, count) = self.one_of(&[(8080, 1), (20_010, 1), (20_000, 24), (20_008, 24)]);
            let claim = Claim {
                host_ip: self.one_of(if limits == 0 { &host_ips } else { &[""] }),
                protocol: self.one_of(&["tcp", "udp"]),
                first,
                count,
            };
            if claim.keys(limits).all(|key| taken.insert(key)) {
                claims.push(claim);
            }
        }
        claims
    }

    fn step(&mut self) {
        let number = self.numbers.below(4);
        let known = self.model.find(number);
        // With other limits it would be another entry of the list.
        let limits = known.as_ref().map(|one| one.limits);
        let limits = limits.unwrap_or_else(|| self.one_of(&[0, 0, 0, 0, 1, 2, 3]));
        let claims = self.claims(limits);
        let new = Attachment {
            number,
            limits,
            claims,
        };
        // Which network of a container is its first cannot be told from files once one is added again.
        let is_alone = number < 2 || self.model.find(5 - number).is_none();
        match (self.numbers.below(10), known) {
            (0 | 1, Some(known)) if is_alone => self.add(known),
            (2, Some(known)) if is_alone => self.foreign(known),
            (3 | 4, _) => self.fail(&new),
            (5, _) => self.gc(number),
            (6, _) => self.reload(),
            (7, Some(_)) => self.del(number),
            (_, Some(_)) if !is_alone => self.del(number),
            _ => self.add(new),
        }
    }

    fn add(&mut self, one: Attachment) {
        self.steps.push(format!("ADD {one:?}"));
        self.node.host.ok(&self.call("ADD", &one));
        self.remember(&one);
        self.model.add(one);
    }

    /// An ADD that cannot print its result.
    fn fail(&mut self, one: &Attachment) {
        self.steps.push(format!("failed ADD {one:?}"));
        let call = self.call("ADD", one);
        let call = call.under(&["sh", "-c", "exec \"$0\" >/dev/full"]);
        let answer = call.run(&self.node.host.net.host).unwrap();
        assert_eq!(answer.code, Some(1), "{answer:?}");
    }

    fn del(&mut self, number: usize) {
        self.steps.push(format!("DEL {number}"));
        let one = self.model.find(number).unwrap();
        self.node.host.ok(&self.call("DEL", &one));
        self.forget(number);
    }

    /// Some of a network are dead.
    fn gc(&mut self, number: usize) {
        let network = network(number);
        let alive = self.model.alive.iter().map(|one| one.number);
        let mut valid: Vec<usize> = alive.filter(|one| self::network(*one) == network).collect();
        let dead = valid.split_off(self.numbers.below(valid.len() + 1));
        self.steps.push(format!("GC {network}, dead: {dead:?}"));
        let valid: Vec<_> = valid
            .into_iter()
            .map(|one| (id(one), ifname(one)))
            .collect();
        let valid: Vec<_> = valid
            .iter()
            .map(|(id, ifname)| (id.as_str(), *ifname))
            .collect();
        gc(&self.node.host, network, &valid);
        dead.into_iter().for_each(|one| self.forget(one));
    }

    /// `cnictl reconcile` after the reload of a firewall.
    fn reload(&mut self) {
        self.steps.push("flush, reconcile".to_owned());
        let host = &self.node.host;
        if host.backend == Backend::IptablesLegacy {
            for base in ["iptables", "ip6tables"] {
                host.iptables(base, "-t nat -F");
            }
        } else {
            host.net.host.sh(["nft", "flush", "ruleset"]);
        }
        self.foreign.clear();
        let cache = format!("--cache-dir={}", host.directory.display());
        let state = format!("--state-dir={}/state", host.directory.display());
        let line = ["reconcile", "--plugin=portmap", "--grace=0", &cache, &state];
        let call = host.call_of("cnictl", "", "").arguments(&line);
        let answer = call
            .with_run(&host.directory.join("run"))
            .run(&host.net.host)
            .unwrap();
        let expected = if self.model.alive.is_empty() { 0 } else { 10 };
        assert_eq!(answer.code, Some(expected), "{answer:?}");
        let alive = std::mem::take(&mut self.model).alive;
        alive.into_iter().for_each(|one| self.model.add(one));
    }

    /// Another tool's rule comes before ours until the next ADD of that IP version, or goes.
    fn foreign(&mut self, known: Attachment) {
        let (command, programs) = if self.foreign.is_empty() {
            let is_v6 = |key: Key| key.0.contains(':');
            let has = |program: &&str| known.keys().any(|key| is_v6(key) == program.contains('6'));
            let programs: Vec<_> = ["iptables", "ip6tables"].into_iter().filter(has).collect();
            self.foreign = programs.clone();
            ("-I", programs)
        } else {
            ("-D", std::mem::take(&mut self.foreign))
        };
        for program in programs {
            let rule = format!("-t nat {command} PREROUTING -j ACCEPT");
            self.steps.push(format!("{program} {rule}"));
            self.node.host.iptables(program, &rule);
        }
        self.add(known);
    }

    #[track_caller]
    fn verify(&mut self) {
        let net = &self.node.host.net;
        for address in ADDRESSES {
            let ip: IpAddr = address.parse().unwrap();
            let from = if ip.is_loopback() {
                &net.host
            } else {
                net.client()
            };
            let any = if ip.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            for port in PORTS {
                let to = SocketAddr::new(ip, port);
                self.source += 1;
                let source = SocketAddr::new(any, self.source);
                let outcomes = [
                    ("tcp", tcp::exchange(from, to)),
                    ("udp", udp::exchange_from(from, source, to, PATIENCE)),
                ];
                for (protocol, outcome) in outcomes {
                    let expected = self.model.server(address, protocol, port);
                    let expected = expected.map(|number| number.to_string());
                    assert_eq!(
                        outcome.server(),
                        expected.as_deref(),
                        "{to}/{protocol}: {outcome:?}"
                    );
                }
            }
        }
        for one in &self.model.alive {
            let call = self.call("CHECK", one);
            if self.model.is_served(one) {
                self.node.host.ok(&call);
            } else {
                self.node.host.fails(&call, 101);
            }
        }
    }

    fn request(&self, one: &Attachment) -> String {
        let mappings = |claim: &Claim| {
            let to = |port| if claim.count == 1 { 80 } else { port };
            let one = |port| mapping_on(claim.host_ip, claim.protocol, port, to(port));
            (claim.first..claim.first + claim.count).map(one).collect()
        };
        let ports: Vec<Vec<String>> = one.claims.iter().map(mappings).collect();
        let request = self.node.request(one.number, LIMITS[one.limits].0, &ports);
        let request = request.replacen("net1", network(one.number), 1);
        request.replace("eth0", ifname(one.number))
    }

    fn call(&self, verb: &str, one: &Attachment) -> Call {
        let call = self.node.host.call(verb, &self.request(one));
        let call = call.env("CNI_CONTAINERID", &id(one.number));
        call.env("CNI_IFNAME", ifname(one.number))
    }

    fn cached(&self, number: usize) -> PathBuf {
        let name = [network(number), &id(number), ifname(number)].join("-");
        self.node.host.directory.join("results").join(name)
    }

    /// Writes what libcni writes after ADD. Later ones are newer.
    fn remember(&self, one: &Attachment) {
        let mut conf: Value = serde_json::from_str(&self.request(one)).unwrap();
        conf["backend"] = json!(self.node.host.backend.key());
        conf["capabilities"] = json!({"portMappings": true});
        let list = json!({"cniVersion": "1.0.0", "name": conf["name"], "plugins": [conf]});
        let entry = json!({
            "kind": "cniCacheV1", "networkName": conf["name"], "containerId": id(one.number),
            "ifName": ifname(one.number), "netns": self.node.host.net.containers[one.number].path(),
            "config": base64::encode(list.to_string().as_bytes()),
            "capabilityArgs": conf["runtimeConfig"], "result": conf["prevResult"],
        });
        fs::write(self.cached(one.number), entry.to_string()).unwrap();
        let file = File::options()
            .write(true)
            .open(self.cached(one.number))
            .unwrap();
        let age = Duration::from_secs(1000 - u64::try_from(self.steps.len()).unwrap());
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    fn forget(&mut self, number: usize) {
        fs::remove_file(self.cached(number)).unwrap();
        self.model.del(number);
    }
}

fn id(number: usize) -> String {
    format!("cid-{}", container(number))
}

fn ifname(number: usize) -> &'static str {
    ["eth0", "eth0", "eth0", "eth1"][number]
}

fn network(number: usize) -> &'static str {
    ["net1", "net2"][number % 2]
}
