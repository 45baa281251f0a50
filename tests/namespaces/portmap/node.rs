//! A node with containers whose ports are mapped with one backend.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::plugin::{Answer, Call, binary};
use sandbox::topology::Net;
use sandbox::{Node, Topology, executable};

/// What rules are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// iptables, in nf_tables.
    IptablesNft,
    /// iptables, in x_tables.
    IptablesLegacy,
    /// nf_tables, over netlink.
    Nftables,
}

impl Backend {
    /// The programs' infix.
    pub fn infix(self) -> &'static str {
        match self {
            Backend::IptablesNft | Backend::Nftables => "nft",
            Backend::IptablesLegacy => "legacy",
        }
    }

    /// Makes the variant's programs the `iptables` and `ip6tables` of a directory.
    pub fn link_programs(self, directory: &Path) {
        for base in ["iptables", "ip6tables"] {
            for end in ["", "-restore", "-save"] {
                let program = format!("/usr/sbin/{base}-{}{end}", self.infix());
                assert!(Path::new(&program).exists(), "{program}: install iptables");
                symlink(program, directory.join(format!("{base}{end}"))).unwrap();
            }
        }
    }

    /// As `list` calls it.
    pub fn shown(self) -> &'static str {
        match self {
            Backend::IptablesNft => "iptables-nft",
            Backend::IptablesLegacy => "iptables-legacy",
            Backend::Nftables => "nftables",
        }
    }

    /// The configuration's `backend`.
    pub fn key(self) -> &'static str {
        match self {
            Backend::IptablesNft | Backend::IptablesLegacy => "iptables",
            Backend::Nftables => "nftables",
        }
    }
}

/// Makes a test of each function for each backend: `packets::iptables_nft::a_port_is_reached`.
macro_rules! on_every_backend {
    ($($test:ident),* $(,)?) => {
        on_every_backend!(@ iptables_nft IptablesNft $($test)*);
        on_every_backend!(@ iptables_legacy IptablesLegacy $($test)*);
        on_every_backend!(@ nftables Nftables $($test)*);
    };
    (@ $module:ident $backend:ident $($test:ident)*) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test($crate::portmap::node::Backend::$backend);
            })*
        }
    };
}
pub(crate) use on_every_backend;

/// The same for the two variants of iptables.
macro_rules! on_both_variants {
    ($($test:ident),* $(,)?) => {
        $crate::portmap::node::on_every_backend!(@ variant_nft IptablesNft $($test)*);
        $crate::portmap::node::on_every_backend!(@ variant_legacy IptablesLegacy $($test)*);
    };
}
pub(crate) use on_both_variants;

/// The reference of Debian.
pub const REFERENCE: &str = "/usr/lib/cni/portmap";

/// The network's name in requests.
pub const NETWORK: &str = "net1";

/// A built picture with a backend. The programs are found in a directory of its own, where `iptables`
/// is the wanted variant, and the legacy lock is a file there: the machine's is everybody's.
pub struct Host {
    pub net: Net,
    pub backend: Backend,
    pub directory: PathBuf,
}

impl Host {
    pub fn new(backend: Backend, topology: &Topology) -> Host {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("portmap-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        backend.link_programs(&directory);
        Host {
            net: topology.build().unwrap(),
            backend,
            directory,
        }
    }

    /// With one container and a client outside.
    pub fn usual(backend: Backend) -> Host {
        Host::new(backend, &Topology::new().client())
    }

    /// The first container.
    pub fn pod(&self) -> &Node {
        &self.net.containers[0]
    }

    /// A call of our plugin for the first container.
    pub fn call(&self, verb: &str, request: &str) -> Call {
        self.call_of("portmap", verb, request)
    }

    /// A call of any plugin for the first container. The request gets the backend's name.
    pub fn call_of(&self, plugin: &str, verb: &str, request: &str) -> Call {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.display());
        let lock = self.directory.join("lock").display().to_string();
        let typed = format!(r#""type":"portmap","backend":"{}","#, self.backend.key());
        Call::new(plugin, verb)
            .netns(self.pod())
            .env("PATH", &path)
            .env("XTABLES_LOCKFILE", &lock)
            .stdin(request.replacen(r#""type":"portmap","#, &typed, 1))
    }

    /// A call of our plugin by a shell script, in which `PLUGIN` is the plugin.
    pub fn call_by_script(&self, script: &str, verb: &str, request: &str) -> Call {
        let file = self.directory.join("script");
        let program = binary("portmap");
        let text = format!(
            "#!/bin/sh\n{}\n",
            script.replace("PLUGIN", &program.display().to_string())
        );
        executable::script(&file, &text).unwrap();
        self.call_of(&file.display().to_string(), verb, request)
    }

    /// Runs a call and expects success.
    #[track_caller]
    pub fn ok(&self, call: &Call) -> Answer {
        let answer = call.run(&self.net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{} {}", answer.stdout, answer.stderr);
        answer
    }

    /// Runs a call and expects an error of a code; gives the whole document.
    #[track_caller]
    pub fn fails(&self, call: &Call, code: u32) -> String {
        let answer = call.run(&self.net.host).unwrap();
        assert_eq!(answer.code, Some(1), "{} {}", answer.stdout, answer.stderr);
        let wanted = format!("\"code\": {code},");
        assert!(answer.stdout.contains(&wanted), "{}", answer.stdout);
        answer.stdout
    }

    /// Runs our plugin for the first container and expects success.
    #[track_caller]
    pub fn run(&self, verb: &str, request: &str) -> Answer {
        self.ok(&self.call(verb, request))
    }

    /// Expects CHECK to fail with a drift that names `what`.
    #[track_caller]
    pub fn drifted(&self, request: &str, what: &str) {
        let said = self.fails(&self.call("CHECK", request), 101);
        assert!(said.contains(what), "{what} in {said}");
    }

    /// The nat table as `iptables-save` prints it, without comments and counters.
    pub fn nat(&self, base: &str) -> String {
        self.table(base, "nat")
    }

    /// A table as `iptables-save` prints it, without comments.
    pub fn table(&self, base: &str, table: &str) -> String {
        let program = format!("{base}-{}-save", self.backend.infix());
        let all = self.net.host.try_sh(&[&program, "-t", table]).unwrap();
        let lines = all.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// All rules of the node, of every backend.
    pub fn state(&self) -> String {
        let nft = self.net.host.sh(["nft", "--stateless", "list", "ruleset"]);
        [self.nat("iptables"), self.nat("ip6tables"), nft].concat()
    }

    /// Runs iptables or ip6tables of the variant.
    #[track_caller]
    pub fn iptables(&self, base: &str, arguments: &str) {
        let program = format!("{base}-{}", self.backend.infix());
        let lock = self.directory.join("lock");
        let done = self
            .net
            .host
            .command(&program)
            .env("XTABLES_LOCKFILE", lock)
            .arg("-w")
            .args(arguments.split(' ').map(|word| word.replace('_', " ")))
            .output()
            .unwrap();
        assert!(done.status.success(), "{program} {arguments}: {done:?}");
    }

    /// Whether neither IP version has a chain of an attachment, or a rule that leads to one.
    #[track_caller]
    pub fn is_clean(&self) {
        for base in ["iptables", "ip6tables"] {
            let nat = self.nat(base);
            assert!(!nat.contains("CNI-DN-"), "{nat}");
            assert!(!nat.contains("dnat name:"), "{nat}");
        }
        let nft = self.net.host.sh(["nft", "list", "ruleset"]);
        assert!(
            !nft.contains("10.22.0.") && !nft.contains("fd00:22::"),
            "{nft}"
        );
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A request: options (each followed by a comma), mappings, and the container's addresses.
pub fn request_of(options: &str, mappings: &str, addresses: &[&str]) -> String {
    let ips: Vec<String> = addresses
        .iter()
        .map(|a| format!(r#"{{"address":"{a}","interface":1}}"#))
        .collect();
    format!(
        r#"{{"cniVersion":"1.0.0","name":"{NETWORK}","type":"portmap",{options}
            "runtimeConfig":{{"portMappings":[{mappings}]}},
            "prevResult":{{"cniVersion":"1.0.0",
                "interfaces":[{{"name":"veth0"}},{{"name":"eth0","sandbox":"/n"}}],
                "ips":[{}]}}}}"#,
        ips.join(",")
    )
}

/// A request for the first container.
pub fn request(options: &str, mappings: &str) -> String {
    request_of(options, mappings, &["10.22.0.2/16", "fd00:22::2/64"])
}

/// One mapping.
pub fn mapping(protocol: &str, host_port: u16, container_port: u16) -> String {
    format!(
        r#"{{"hostPort":{host_port},"containerPort":{container_port},"protocol":"{protocol}"}}"#
    )
}

/// One mapping of one address of the node.
pub fn mapping_on(host_ip: &str, protocol: &str, host_port: u16, container_port: u16) -> String {
    format!(
        r#"{{"hostPort":{host_port},"containerPort":{container_port},"protocol":"{protocol}","hostIP":"{host_ip}"}}"#
    )
}
