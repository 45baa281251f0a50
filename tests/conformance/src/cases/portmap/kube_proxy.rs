//! Host ports beside a running kube-proxy in ipvs mode. Needs what [`super::ipvs`] needs, and the program.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use sandbox::api::Api;
use sandbox::probe::tcp;
use sandbox::{Namespace, Topology, wait_until};

use super::traffic::{nobody, reaches};
use super::{mapping, mappings};
use crate::case::Table;
use crate::failure::{Failure, Verdict, ensure};
use crate::kernel::script;
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// A host port of pod 0 that is a NodePort of the Service, too, whose only endpoint is pod 1.
const PORT: u16 = 8080;
/// Another one, which is the Service's port.
const SERVICE_PORT: u16 = 80;
/// Emulated it takes half a minute by the clock of that machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at whether it is up: each starts programs.
const PAUSE: Duration = Duration::from_millis(500);

/// Cases beside this kube-proxy.
pub fn cases(table: &mut Table, program: &Path) {
    let before = program.to_owned();
    table.case(
        "ipvs: beside a kube-proxy that runs, a host port wins over its NodePort until DEL",
        move |lab| {
            let beside = Beside::new(lab, &before)?;
            let _proxy = beside.start()?;
            beside.request().add()?.ok()?;
            beside.has_its_ports()?;
            beside.request().del()?.silent()?;
            for from in beside.pods.net.nodes() {
                reaches(from, beside.host(PORT), "pod 1")?;
            }
            nobody(beside.pods.net.client(), beside.host(SERVICE_PORT))
        },
    );
    let after = program.to_owned();
    table.case(
        "ipvs: a host port wins over the NodePort of a kube-proxy that starts, and starts again",
        move |lab| {
            let beside = Beside::new(lab, &after)?;
            beside.request().add()?.ok()?;
            let proxy = beside.start()?;
            beside.has_its_ports()?;
            drop(proxy);
            beside.has_its_ports()?;
            let _proxy = beside.start()?;
            beside.has_its_ports()
        },
    );
}

/// A node with pods and the API that kube-proxy reads.
struct Beside<'l> {
    pods: Pods<'l>,
    program: PathBuf,
    api: Api,
    _servers: [tcp::Server; 2],
}

/// It is killed when it is dropped. What it has set stays.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<'l> Beside<'l> {
    fn new(lab: &'l Lab, program: &Path) -> Result<Self, Failure> {
        let pods = lab.build(&Topology::new().containers(2).client())?;
        let [zero, one] = [0, 1].map(|pod| &pods.net.containers[pod]);
        let servers = [
            tcp::Server::start(zero, 80, "pod 0")?,
            tcp::Server::start(one, 8000, "pod 1")?,
        ];
        // The address of a Service needs a route of the node's, even though nothing takes it.
        let way = pods.net.client().v4(0).ip();
        script(&pods.net.host, &format!("ip route add default via {way}"))?;
        let api = Api::start(&pods.net.host)?;
        api.set_service(PORT, one.v4(0).ip());
        Ok(Self {
            pods,
            program: program.to_owned(),
            api,
            _servers: servers,
        })
    }

    fn request(&self) -> Request<'_> {
        let ports = [PORT, SERVICE_PORT].map(|port| mapping("tcp", port, 80));
        self.pods.request(mappings(&ports))
    }

    fn host(&self, port: u16) -> SocketAddr {
        self.pods.net.host.v4(port)
    }

    /// Starts it, and waits until it has written everything.
    fn start(&self) -> Result<Proxy, Failure> {
        let host = &self.pods.net.host;
        let log = self.pods.lab.dir().join("kube-proxy.log");
        let mut command = host.command(&self.program);
        command
            .args(["--proxy-mode=ipvs", "--hostname-override=node1"])
            .args(["--cluster-cidr=10.22.0.0/16", "--ipvs-min-sync-period=0s"])
            .args(["--conntrack-max-per-core=0", "--oom-score-adj=0"])
            .arg("--conntrack-tcp-timeout-established=0")
            .arg("--conntrack-tcp-timeout-close-wait=0")
            .arg(format!("--master={}", self.api.url()))
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let proxy = Proxy(command.spawn()?);
        let is_up = "busybox wget -q -O - http://127.0.0.1:10256/healthz
            ipvsadm -Ln | grep :8000
            iptables-nft -t nat -S KUBE-SERVICES | grep match-set";
        let came = wait_until(PATIENCE, || {
            sleep(PAUSE);
            script(host, is_up).is_ok()
        });
        ensure(came, || {
            format!(
                "kube-proxy: {}",
                fs::read_to_string(&log).unwrap_or_default()
            )
        })?;
        Ok(proxy)
    }

    /// Both ports lead to pod 0 from everywhere, the Service goes by the backend, and CHECK passes.
    fn has_its_ports(&self) -> Verdict {
        let net = &self.pods.net;
        for from in net.nodes() {
            for port in [PORT, SERVICE_PORT] {
                reaches(from, self.host(port), "pod 0")?;
            }
        }
        // An ACCEPT ends a chain, but not the other ones of its hook.
        let server = match self.pods.lab.group.backend() {
            "nftables" => "pod 0",
            _ => "pod 1",
        };
        for from in [net.client() as &Namespace, &net.host, &net.containers[0]] {
            reaches(from, self.api.service(), server)?;
        }
        self.request().check()?.silent()
    }
}
