use super::*;
use common::Protocol;

fn hides(rule: &str, forward: &Forward) -> bool {
    let meaning = Meaning::of(rule);
    ends(&meaning) && !Forwards::of(&[*forward]).matched(&meaning).is_empty()
}

fn forward(host_ip: Option<&str>) -> Forward {
    Forward {
        port: HostPort {
            protocol: Protocol::Tcp,
            address: host_ip.map(|text| text.parse().unwrap()),
            within: None,
            number: 8080,
        },
        to: "10.22.0.2:80".parse().unwrap(),
    }
}

#[test]
fn final_rules_hide_what_they_surely_match() {
    for rule in [
        "-j ACCEPT",
        "-p tcp -j RETURN",
        "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 1.1.1.1:1",
        "-p tcp -m tcp --dport 8000:9000 -j REDIRECT --to-ports 1",
        "-m addrtype --dst-type LOCAL -j ACCEPT",
        "-m addrtype --dst-type LOCAL -g ELSEWHERE",
        "-p tcp -m multiport --dports 1,8080 -m comment --comment x -j ACCEPT",
        "-p tcp -m tcp ! --dport 22 -j RETURN",
        "-p tcp -m multiport ! --dports 1:100,443 -j ACCEPT",
        "! -p udp -j ACCEPT",
        "-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
        "-p tcp -m state --state NEW -j RETURN",
    ] {
        assert!(hides(rule, &forward(None)), "{rule}");
    }
    assert!(hides(
        "-d 192.0.2.1/32 -j ACCEPT",
        &forward(Some("192.0.2.1"))
    ));
}

#[test]
fn rules_that_let_some_packets_through_do_not_hide() {
    for rule in [
        "-j LOG",
        "-j KUBE-SERVICES",
        "-g CNI-HOSTPORT-DNAT",
        "-p udp -j ACCEPT",
        "-s 10.0.0.0/8 -j ACCEPT",
        "-d 192.0.2.1/32 -j ACCEPT",
        "! -p tcp -j ACCEPT",
        "-p tcp -m tcp ! --dport 8080 -j RETURN",
        "-p tcp -m multiport ! --dports 8000:9000 -j RETURN",
        "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
        "-m conntrack ! --ctstate NEW -j ACCEPT",
        "-p tcp -m tcp --dport 8081 -j ACCEPT",
        "-i eth0 -j ACCEPT",
    ] {
        assert!(!hides(rule, &forward(None)), "{rule}");
    }
}
