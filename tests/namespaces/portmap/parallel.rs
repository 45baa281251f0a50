//! Many attachments at once, while somebody else rewrites the nat table all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::node::{Backend, Host, mapping, on_every_backend, request_of};

on_every_backend!(
    many_at_once_are_added_checked_and_deleted_in_the_midst_of_noise,
    of_many_that_claim_a_port_at_once_one_has_it_in_both_ip_versions,
);

/// How many at once. Programs of iptables-legacy wait for its lock for five seconds.
fn count(backend: Backend) -> u16 {
    match backend {
        Backend::IptablesLegacy => 16,
        _ => 64,
    }
}

/// As many come and as many go when a node is drained and filled again.
const CROWD: u16 = 200;

fn many_at_once_are_added_checked_and_deleted_in_the_midst_of_noise(backend: Backend) {
    let host = Host::usual(backend);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&done);
        let noise = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                rewrite(&host, rounds);
                rounds += 1;
            }
            rounds
        });
        // Everybody adds, then everybody checks, then everybody deletes.
        for verb in ["ADD", "CHECK", "DEL"] {
            thread::scope(|inner| {
                for number in 0..count(backend) {
                    let host = &host;
                    inner.spawn(move || one(host, verb, number));
                }
            });
            if verb == "ADD" && backend != Backend::Nftables {
                for base in ["iptables", "ip6tables"] {
                    shared_rules_stand_once(&host, base);
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(noise.join().unwrap() > 2);
    });
    host.is_clean();
}

#[test]
fn two_hundred_come_and_two_hundred_go_at_once_and_each_is_served() {
    for backend in [Backend::IptablesNft, Backend::Nftables] {
        let host = Host::usual(backend);
        let run = |all: &[(&str, u16)]| {
            thread::scope(|scope| {
                for (verb, number) in all {
                    let host = &host;
                    scope.spawn(move || one(host, verb, *number));
                }
            });
        };
        let of = |verb, numbers: std::ops::Range<u16>| numbers.map(move |number| (verb, number));
        let (first, second) = (0..CROWD, CROWD..2 * CROWD);
        run(&of("ADD", first.clone()).collect::<Vec<_>>());
        // One comes, one goes, and so on.
        let both = of("ADD", second.clone()).zip(of("DEL", first));
        run(&both.flat_map(|(add, del)| [add, del]).collect::<Vec<_>>());
        of("CHECK", second)
            .step_by(20)
            .for_each(|(verb, number)| one(&host, verb, number));
        host.run("GC", GC);
        host.is_clean();
    }
}

fn of_many_that_claim_a_port_at_once_one_has_it_in_both_ip_versions(backend: Backend) {
    let host = Host::usual(backend);
    let call = |verb: &str, options: &str, number: u16| {
        let addresses = [
            format!("10.22.0.{}/16", number + 2),
            format!("fd00:22::{:x}/64", number + 2),
        ];
        let addresses = addresses.each_ref().map(String::as_str);
        let request = request_of(options, &mapping("tcp", 8080, 80), &addresses);
        let call = host.call(verb, &request);
        call.env("CNI_CONTAINERID", &format!("cid-{number}"))
    };
    let succeeded = |verb: &str, options: &str| {
        let run = |number| {
            call(verb, options, number)
                .run(&host.net.host)
                .unwrap()
                .code
        };
        let run = &run;
        thread::scope(|scope| {
            let runs = (0..8).map(|number| scope.spawn(move || run(number)));
            let runs: Vec<_> = runs.collect();
            let codes = runs.into_iter().map(|run| run.join().unwrap());
            codes.filter(|code| *code == Some(0)).count()
        })
    };
    for _ in 0..4 {
        assert_eq!(succeeded("ADD", ""), 8);
        assert_eq!(succeeded("CHECK", ""), 1);
        assert_eq!(succeeded("DEL", ""), 8);
        let careful = r#""onConflict":"error","#;
        assert_eq!(succeeded("ADD", careful), 1);
        assert_eq!(succeeded("CHECK", ""), 1);
        assert_eq!(succeeded("DEL", ""), 8);
    }
    host.is_clean();
}

/// GC of a network of which nothing is alive.
const GC: &str =
    r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[]}"#;

/// Ends the noise, also when an assertion fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn one(host: &Host, verb: &str, number: u16) {
    let address = format!("10.22.{}.{}/16", number / 200, number % 200 + 2);
    let v6 = format!("fd00:22::{:x}/64", number + 2);
    let ports = [
        mapping("tcp", 9000 + number, 80),
        mapping("udp", 9000 + number, 80),
    ]
    .join(",");
    let request = request_of("", &ports, &[&address, &v6]);
    host.ok(&host
        .call(verb, &request)
        .env("CNI_CONTAINERID", &format!("cid-{number}")));
}

/// What kube-proxy does: its chains are flushed and filled in one restore.
fn rewrite(host: &Host, round: usize) {
    let mut text = "*nat\n:KUBE-NOISE - [0:0]\n".to_owned();
    for rule in 0..50 {
        text += &format!(
            "-A KUBE-NOISE -p tcp -m tcp --dport {} -j RETURN\n",
            1000 + (round + rule) % 900
        );
    }
    text += "COMMIT\n";
    for base in ["iptables", "ip6tables"] {
        let program = format!("{base}-{}-restore", host.backend.infix());
        let input = host.directory.join(format!("noise-{base}"));
        std::fs::write(&input, &text).unwrap();
        let output = host
            .net
            .host
            .command(&program)
            .args(["--noflush", "-w", "10"])
            .env("XTABLES_LOCKFILE", host.directory.join("lock"))
            .stdin(std::fs::File::open(&input).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

fn shared_rules_stand_once(host: &Host, base: &str) {
    let nat = host.nat(base);
    for rule in [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-j CNI-HOSTPORT-MASQ",
        "-A CNI-HOSTPORT-SETMARK ",
        "-A CNI-HOSTPORT-MASQ ",
    ] {
        assert_eq!(nat.matches(rule).count(), 1, "{rule} in {nat}");
    }
}
