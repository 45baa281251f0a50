//! Many adjacent host ports are a handful of rules of iptables.

use sandbox::probe::tcp;

use super::{NO, run};
use crate::portmap::node::{
    Backend, Host, REFERENCE, mapping, on_both_variants, request, request_of,
};

on_both_variants!(
    a_thousand_ports_take_as_many_rules_as_one,
    check_misses_a_rule_of_a_run_and_add_writes_it_again,
    fewer_ports_are_written_as_the_reference_writes_them,
    a_run_that_the_reference_added_passes_our_check_and_stays_as_it_is,
    the_reference_s_del_removes_a_run_of_ours,
    a_run_with_conditions_is_added_checked_and_removed,
);

/// The rules of attachments: those in their chains, and the jumps there.
fn rules(host: &Host) -> usize {
    let nat = ["iptables", "ip6tables"]
        .map(|base| host.nat(base))
        .concat();
    let rules = nat.lines().filter(|line| line.starts_with("-A"));
    rules.filter(|line| line.contains("CNI-DN-")).count()
}

fn a_thousand_ports_take_as_many_rules_as_one(backend: Backend) {
    let host = Host::usual(backend);
    let count = |mappings: &[String]| {
        let request = request("", &mappings.join(","));
        host.run("ADD", &request);
        let found = rules(&host);
        let before = host.state();
        host.run("CHECK", &request);
        host.run("ADD", &request);
        assert_eq!(host.state(), before);
        host.run("DEL", &request);
        host.is_clean();
        found
    };
    let one = count(&run("tcp", 20_000, 1));
    assert_eq!(count(&run("tcp", 20_000, 1000)), one);
    assert_eq!(count(&run("udp", 1, 65_534)), one);
    // Whatever the order in which they are written.
    let mut down = run("sctp", 20_000, 1000);
    down.reverse();
    assert_eq!(count(&down), one);
    // Beside others, which need no jump of their own.
    let mixed = [run("tcp", 20_000, 1000), run("tcp", 8080, 1)].concat();
    assert_eq!(count(&mixed), 2 * one - 2);
}

const OWN: &str = "CNI-DN-e3b332d931428973f7ef7";

fn check_misses_a_rule_of_a_run_and_add_writes_it_again(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &run("tcp", 20_000, 100).join(","));
    host.run("ADD", &request);
    let before = host.state();
    let range = "-p tcp -m tcp --dport 20000:20099";
    let damages = [
        format!("-D {OWN} {range} -j DNAT --to-destination 10.22.0.2"),
        format!("-D {OWN} -s 127.0.0.1/32 {range} -j CNI-HOSTPORT-SETMARK"),
        format!("-F {OWN}"),
        "-D CNI-HOSTPORT-DNAT 1".to_owned(),
        // All but one port of it.
        format!("-R {OWN} 3 -p tcp -m tcp --dport 20000:20098 -j DNAT --to-destination 10.22.0.2"),
        format!("-R {OWN} 3 {range} -j DNAT --to-destination 10.22.0.3"),
        format!("-R {OWN} 3 {range} -j DNAT --to-destination 10.22.0.2:20000"),
        "-I CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 20050 -j RETURN".to_owned(),
    ];
    for damage in damages {
        host.iptables("iptables", &format!("-t nat {damage}"));
        let said = host.fails(&host.call("CHECK", &request), 101);
        // However many ports miss it.
        assert!(said.len() < 4000, "{damage}: {said}");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        if !damage.starts_with("-I") {
            assert_eq!(host.state(), before, "{damage}");
        }
    }
    host.run("DEL", &request);
    host.is_clean();
}

fn fewer_ports_are_written_as_the_reference_writes_them(backend: Backend) {
    let host = Host::usual(backend);
    for mappings in [
        run("tcp", 20_000, 15),
        (0..40)
            .map(|n| mapping("tcp", 20_000 + 2 * n, 80))
            .collect(),
    ] {
        let request = request_of("", &mappings.join(","), &["10.22.0.2/16"]);
        let mut written = ["portmap", REFERENCE].map(|plugin| {
            host.ok(&host.call_of(plugin, "ADD", &request));
            let nat = host.nat("iptables");
            let rules = nat.lines().filter(|line| line.contains("CNI-DN-"));
            let rules: Vec<String> = rules.map(str::to_owned).collect();
            host.run("DEL", &request);
            rules
        });
        written.iter_mut().for_each(|rules| rules.sort());
        assert_eq!(written[0], written[1]);
    }
}

fn a_run_that_the_reference_added_passes_our_check_and_stays_as_it_is(backend: Backend) {
    let host = Host::usual(backend);
    for options in ["", r#""conditionsV4":["-s","10.99.0.0/24"],"#] {
        let mappings = run("tcp", 20_000, 20).join(",");
        let request = request_of(options, &mappings, &["10.22.0.2/16"]);
        host.ok(&host.call_of(REFERENCE, "ADD", &request));
        host.run("CHECK", &request);
        if options.is_empty() {
            host.run("ADD", &request);
            assert_eq!(rules(&host), 3 * 20 + 2);
        }
        // What misses is said of it, not of all others.
        let rule = "-p tcp -m tcp --dport 20019 -j DNAT --to-destination 10.22.0.2:20019";
        host.iptables("iptables", &format!("-t nat -D {OWN} {rule}"));
        let said = host.fails(&host.call("CHECK", &request), 101);
        assert!(said.contains("20019") && said.len() < 1000, "{said}");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        assert!(rules(&host) <= 5, "{}", host.nat("iptables"));
        host.run("DEL", &request);
        host.is_clean();
    }
}

fn the_reference_s_del_removes_a_run_of_ours(backend: Backend) {
    let host = Host::usual(backend);
    let request = request_of("", &run("tcp", 20_000, 1000).join(","), &["10.22.0.2/16"]);
    host.run("ADD", &request);
    host.ok(&host.call_of(REFERENCE, "DEL", &request));
    host.is_clean();
    host.run("DEL", &request);
}

fn a_run_with_conditions_is_added_checked_and_removed(backend: Backend) {
    let host = Host::usual(backend);
    let client = host.net.client();
    let _server = tcp::Server::start(host.pod(), 20_050, "pod").unwrap();
    let mappings = run("tcp", 20_000, 100).join(",");
    for (source, server) in [("10.99.0.0/24", Some("pod")), ("10.98.0.0/24", None)] {
        let options = format!(r#""conditionsV4":["-s","{source},192.0.2.1"],"#);
        let request = request_of(&options, &mappings, &["10.22.0.2/16"]);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        // With that of the entry, and one jump for each source.
        assert_eq!(rules(&host), 4 + 2);
        let [to, _] = host.net.host.both(20_050);
        let outcome = tcp::exchange_within(client, to, NO);
        assert_eq!(outcome.server(), server, "{source}");
        host.iptables("iptables", "-t nat -D CNI-HOSTPORT-DNAT 2");
        host.fails(&host.call("CHECK", &request), 101);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        host.run("DEL", &request);
        host.is_clean();
    }
}
