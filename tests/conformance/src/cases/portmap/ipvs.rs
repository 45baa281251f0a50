//! Host ports beside kube-proxy in ipvs mode: Services and NodePorts are virtual services of the kernel, and rules of
//! iptables only mark and accept what goes to them. Needs `ip_vs` and `ip_set` of the kernel, ipvsadm and ipset.

use std::net::SocketAddr;

use sandbox::probe::tcp;
use sandbox::{Namespace, Topology};
use serde_json::{Value, json};

use super::traffic::{reaches, seen_as};
use super::web;
use crate::case::Table;
use crate::failure::{Failure, Verdict};
use crate::kernel::script;
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// The host port of pod 0, and a port and a NodePort of the Service, whose only endpoint is pod 1.
const PORT: u16 = 8080;
/// A NodePort of the Service that is nobody's host port.
const OTHER: u16 = 30_080;
/// The Service's address, on `kube-ipvs0`.
const SERVICE: [u8; 4] = [10, 96, 0, 10];

/// Cases beside ipvs.
pub fn cases(table: &mut Table) {
    for (when, is_first) in [("before", true), ("after", false)] {
        table.case(
            format!("ipvs: a host port wins over a NodePort of a kube-proxy that comes {when} ADD"),
            move |lab| {
                let beside = Beside::new(lab, json!({}), is_first)?;
                beside.host_port_and_node_port()?;
                // kube-proxy marks packets to its NodePorts for masquerading, whoever gets them then. Chains of nft
                // and of iptables have the same priority: the newest one runs first, and the one that translates last.
                let is_ours_first = lab.group.backend() == "nftables" && is_first;
                beside.seen_as(if is_ours_first {
                    "10.99.0.2"
                } else {
                    "10.22.0.1"
                })?;
                beside.write_rules()?;
                beside.host_port_and_node_port()
            },
        );
        table.case(
            format!("ipvs: CHECK passes beside a kube-proxy that comes {when} ADD"),
            move |lab| {
                let beside = Beside::new(lab, json!({}), is_first)?;
                beside.request().check()?.silent()?;
                beside.write_rules()?;
                beside.request().check()?.silent()
            },
        );
    }
    table.case(
        "ipvs: after DEL the NodePort of the same number serves",
        |lab| {
            let beside = Beside::new(lab, json!({}), true)?;
            beside.request().del()?.silent()?;
            let (host, client) = (&beside.pods.net.host, beside.pods.net.client());
            reaches(client, host.v4(PORT), "pod 1")?;
            reaches(host, host.v4(PORT), "pod 1")?;
            beside.service_leads_to("pod 1")
        },
    );
    table.case(
        "ipvs: with hostInterfaces !kube-ipvs0 a Service keeps its port",
        |lab| {
            let options = json!({"hostInterfaces": ["!kube-ipvs0"]});
            let beside = Beside::new(lab, options, true)?;
            beside.host_port_and_node_port()?;
            beside.service_leads_to("pod 1")
        },
    );
    table.case(
        "ipvs: without hostInterfaces a Service keeps its port from rules of iptables",
        |lab| {
            let beside = Beside::new(lab, json!({}), true)?;
            // An ACCEPT ends a chain, but not the other ones of its hook.
            beside.service_leads_to(match lab.group.backend() {
                "nftables" => "pod 0",
                _ => "pod 1",
            })
        },
    );
}

/// A node with a host port and kube-proxy's Service.
struct Beside<'l> {
    pods: Pods<'l>,
    options: Value,
    _servers: [tcp::Server; 2],
}

impl<'l> Beside<'l> {
    fn new(lab: &'l Lab, options: Value, is_kube_proxy_first: bool) -> Result<Self, Failure> {
        let pods = lab.build(&Topology::new().containers(2).client())?;
        let serve = |pod: usize, name| tcp::Server::start(&pods.net.containers[pod], 80, name);
        let servers = [serve(0, "pod 0")?, serve(1, "pod 1")?];
        let beside = Self {
            pods,
            options,
            _servers: servers,
        };
        if is_kube_proxy_first {
            beside.start_kube_proxy()?;
        }
        beside.request().add()?.ok()?;
        if !is_kube_proxy_first {
            beside.start_kube_proxy()?;
        }
        Ok(beside)
    }

    /// In a spec version that the reference of each of Debian's releases speaks.
    fn request(&self) -> Request<'_> {
        let request = self.pods.request(web()).version("0.4.0");
        request.with(self.options.clone())
    }

    /// What kube-proxy in ipvs mode sets for a Service with two NodePorts.
    fn start_kube_proxy(&self) -> Verdict {
        let service = service().ip();
        let lines = format!(
            "ip link add kube-ipvs0 type dummy; ip address add {service}/32 dev kube-ipvs0
            echo 1 > /proc/sys/net/ipv4/vs/conntrack
            ipset create KUBE-CLUSTER-IP hash:ip,port; ipset add KUBE-CLUSTER-IP {service},tcp:{PORT}
            ipset create KUBE-LOOP-BACK hash:ip,port,ip; ipset add KUBE-LOOP-BACK 10.22.0.3,tcp:80,10.22.0.3
            ipset create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
            ipset add KUBE-NODE-PORT-TCP {PORT}; ipset add KUBE-NODE-PORT-TCP {OTHER}
            for at in {service}:{PORT} 10.99.0.1:{PORT} 10.99.0.1:{OTHER}; do
                ipvsadm -A -t $at -s rr; ipvsadm -a -t $at -r 10.22.0.3:80 -m
            done"
        );
        script(&self.pods.net.host, &lines)?;
        self.write_rules()
    }

    /// Its rules in the table nat, as at every synchronisation: chains are filled anew, jumps come first if they are
    /// missing. Later releases begin KUBE-SERVICES with a RETURN for packets from 127.0.0.0/8.
    fn write_rules(&self) -> Verdict {
        let program = format!("iptables-{}", self.pods.lab.group.variant());
        let lines = format!(
            "{program}-restore -w --noflush <<'END'
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A KUBE-SERVICES ! -s 10.22.0.0/16 -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ
-A KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
COMMIT
END
            for jump in PREROUTING:SERVICES OUTPUT:SERVICES POSTROUTING:POSTROUTING; do
                rule=\"${{jump%:*}} -m comment --comment kubernetes -j KUBE-${{jump#*:}}\"
                {program} -w -t nat -C $rule 2>&1 || {program} -w -t nat -I $rule
            done"
        );
        script(&self.pods.net.host, &lines)?;
        Ok(())
    }

    /// From everywhere the host port leads to pod 0, and the other NodePort to pod 1.
    fn host_port_and_node_port(&self) -> Verdict {
        let net = &self.pods.net;
        for from in net.nodes() {
            reaches(from, net.host.v4(PORT), "pod 0")?;
        }
        reaches(&net.host, ([127, 0, 0, 1], PORT).into(), "pod 0")?;
        for from in [net.client() as &Namespace, &net.host, &net.containers[0]] {
            reaches(from, net.host.v4(OTHER), "pod 1")?;
        }
        Ok(())
    }

    /// As what pod 0 sees a client outside of the node.
    fn seen_as(&self, address: &str) -> Verdict {
        seen_as(address, self.pods.net.client(), self.pods.net.host.v4(PORT))
    }

    /// From everywhere the Service's port leads to that pod.
    fn service_leads_to(&self, server: &str) -> Verdict {
        let net = &self.pods.net;
        for from in [net.client() as &Namespace, &net.host, &net.containers[0]] {
            reaches(from, service(), server)?;
        }
        Ok(())
    }
}

fn service() -> SocketAddr {
    (SERVICE, PORT).into()
}
