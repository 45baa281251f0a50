//! What attachments claim and the kernel does not have: `ports`, `who`, `limits` and `sysctls`.

use serde_json::{Value, json};

use super::place::{Backend, Place, on_every_backend};

on_every_backend!(
    what_a_flush_removed_is_missing_with_what_to_run,
    a_port_to_which_nothing_leads_is_missing_though_its_rules_stand,
    who_names_the_owner_of_a_port_that_is_missing,
    a_cache_that_makes_no_sense_is_an_error_and_never_nobody,
    what_two_attachments_claim_comes_back_for_the_newer_before_the_older,
    an_attachment_whose_namespace_is_gone_claims_nothing,
);

/// Takes the way to our chains out of a variant's table.
fn flush_prerouting(place: &Place, program: &str) {
    let lock = place.directory.join("lock");
    let mut command = place.net.host.command(program);
    command.args(["-t", "nat", "-F", "PREROUTING"]);
    let done = command.env("XTABLES_LOCKFILE", lock).status();
    assert!(done.unwrap().success());
}

/// The rows of a document.
#[track_caller]
fn rows(place: &Place, command: &str) -> Vec<Value> {
    let said = place.run("", &[command, "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let list = match command {
        "ports" => "portMappings",
        "limits" => "limits",
        _ => "changes",
    };
    said.json()[list].as_array().unwrap().clone()
}

fn what_a_flush_removed_is_missing_with_what_to_run(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    let told = |rows: Vec<Value>| -> Vec<Value> {
        let mut told: Vec<Value> = rows
            .iter()
            .map(|row| {
                let keys = [
                    "hostIP",
                    "hostPort",
                    "protocol",
                    "containerIP",
                    "containerPort",
                ];
                let mut names: Vec<Value> = keys.map(|key| row[key].clone()).into();
                names.extend(["network", "container", "interface"].map(|key| row[key].clone()));
                Value::Array(names)
            })
            .collect();
        told.sort_by_key(Value::to_string);
        told
    };
    let before = told(rows(&place, "ports"));
    place.reload();
    let all = rows(&place, "ports");
    for row in &all {
        assert_eq!(
            (&row["state"], &row["details"], &row["packets"]),
            (&json!("missing"), &json!("cnictl reconcile"), &Value::Null)
        );
    }
    assert_eq!(told(all), before);
    assert_eq!(place.run("portmap", &["reconcile"]).code, Some(10));
    let all = rows(&place, "ports");
    assert!(all.iter().all(|row| row["state"] == "active"), "{all:?}");
    assert_eq!(told(all), before);
}

fn a_port_to_which_nothing_leads_is_missing_though_its_rules_stand(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let before = rows(&place, "ports").len();
    match backend {
        Backend::IptablesNft => flush_prerouting(&place, "iptables-nft"),
        Backend::IptablesLegacy => flush_prerouting(&place, "iptables-legacy"),
        Backend::Nftables => {
            let flush = ["nft", "flush", "chain", "ip", "cni_portmap", "prerouting"];
            place.net.host.sh(flush);
        }
    }
    let all = rows(&place, "ports");
    assert_eq!(all.len(), before, "{all:?}");
    for row in &all {
        let told = (&row["state"], &row["details"]);
        assert_eq!(told, (&json!("missing"), &json!("cnictl reconcile")));
    }
    assert_eq!(place.run("portmap", &["reconcile"]).code, Some(10));
    let all = rows(&place, "ports");
    assert!(all.iter().all(|row| row["state"] == "active"), "{all:?}");
}

fn who_names_the_owner_of_a_port_that_is_missing(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    place.name_pod(0, "shop", "web-0");
    place.reload();
    let said = place.run("portmap", &["who", "8000"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let owner = format!(
        "0.0.0.0:8000/tcp -> 10.22.0.2:80  pod shop/web-0  net1/{}/eth0",
        place.id(0)
    );
    assert!(said.stdout.starts_with(&owner), "{said:?}");
    assert!(
        said.stdout.ends_with(", missing: cnictl reconcile)\n"),
        "{said:?}"
    );
}

fn a_cache_that_makes_no_sense_is_an_error_and_never_nobody(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    place.reload();
    let good = place.recall(0);
    let mut strange = good.clone();
    strange["capabilityArgs"]["portMappings"][0]["hostPort"] = json!(70_000);
    for (entry, named) in [(json!("torn"), "net1-0"), (strange, "70000")] {
        place.remember_as(0, &entry);
        for line in [&["who", "8000"][..], &["ports"]] {
            let said = place.run("portmap", line);
            assert_eq!(said.code, Some(1), "{said:?}");
            assert!(said.stderr.contains(named), "{said:?}");
            assert!(!said.stdout.contains("nobody"), "{said:?}");
        }
    }
}

fn what_two_attachments_claim_comes_back_for_the_newer_before_the_older(backend: Backend) {
    let place = Place::new(backend, 2);
    for index in 0..2 {
        place.attach("portmap", index, &place.asking(&[8080]));
    }
    place.reload();
    for row in rows(&place, "ports") {
        assert_eq!(
            (&row["state"], &row["details"]),
            (&json!("missing"), &json!("cnictl reconcile"))
        );
    }
    let said = place.run("portmap", &["explain", "8080/tcp"]);
    let broken = said
        .stdout
        .lines()
        .find(|line| line.contains("no rule exists"));
    let broken = broken.unwrap();
    assert!(broken.contains(&place.id(1)), "{said:?}");
    assert!(broken.contains("run: cnictl reconcile"), "{said:?}");
    assert!(!said.stdout.contains(&place.id(0)), "{said:?}");
    place.run("portmap", &["reconcile", "--grace", "0"]);
    let said = place.run("portmap", &["doctor"]);
    assert!(!said.stdout.contains("missing: "), "{said:?}");
    let states = rows(&place, "ports");
    let states = states.iter().map(|row| {
        let is_older = row["container"] == place.id(0);
        (is_older, row["state"].clone())
    });
    for (is_older, state) in states {
        assert_eq!(state, if is_older { "shadowed" } else { "active" });
    }
}

fn an_attachment_whose_namespace_is_gone_claims_nothing(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    place.reload();
    let mut gone = place.recall(0);
    gone["netns"] = json!("/nowhere");
    place.remember_as(0, &gone);
    assert_eq!(rows(&place, "ports"), [] as [Value; 0]);
}

#[test]
fn a_port_of_two_backends_is_contested_in_both_rows() {
    let place = Place::new(Backend::IptablesNft, 2);
    place.attach("portmap", 0, &place.asking(&[8080]));
    let mut conf = place.conf("portmap", 1, &place.asking(&[8080]));
    conf["backend"] = json!("nftables");
    let call = place
        .call("portmap", "ADD", 1, &json!({}))
        .stdin(conf.to_string());
    assert_eq!(call.run(&place.net.host).unwrap().code, Some(0));
    place.remember(1, &place.asking(&[8080]));
    let all = rows(&place, "ports");
    let tcp = all.iter().filter(|row| row["hostPort"] == 8080);
    let tcp: Vec<(&Value, &Value)> = tcp.map(|row| (&row["state"], &row["details"])).collect();
    let details = |index: usize, backend: &str| {
        json!(format!("also net1/{}/eth0 in {backend}", place.id(index)))
    };
    let contested = json!("contested");
    assert_eq!(
        tcp,
        [
            (&contested, &details(1, "nftables")),
            (&contested, &details(0, "iptables-nft")),
        ]
    );
}

#[test]
fn a_bucket_that_was_removed_is_a_limit_that_is_missing() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("bandwidth");
    let veth = place.pod(0).host_interface.clone();
    let host = &place.net.host;
    let states = || -> Vec<Value> {
        let all = rows(&place, "limits");
        let told = |row: &Value| {
            let keys = [
                "direction",
                "link",
                "rateBitsPerSecond",
                "container",
                "state",
            ];
            Value::Array(keys.map(|key| row[key].clone()).into())
        };
        all.iter().map(told).collect()
    };
    let row = |direction: &str, rate: u32, state: &str| {
        json!([direction, veth, rate, place.id(0), state])
    };
    let (egress, ingress) = (
        |state| row("egress", 16_000_000, state),
        |state| row("ingress", 8_000_000, state),
    );
    // The numbers of what is missing are those that ADD makes on this kernel.
    let numbers = || -> Vec<Value> {
        let keys = ["queue", "burstBytes", "latencyMicroseconds", "limitBytes"];
        let told = |row: &Value| Value::Array(keys.map(|key| row[key].clone()).into());
        rows(&place, "limits").iter().map(told).collect()
    };
    assert_eq!(states(), [egress("active"), ingress("active")]);
    let made = numbers();
    host.sh(["tc", "qdisc", "del", "dev", &veth, "root"]);
    assert_eq!(states(), [egress("active"), ingress("missing")]);
    assert_eq!(numbers(), made);
    // The bucket is there, and nothing leads to it.
    host.sh(["tc", "qdisc", "del", "dev", &veth, "clsact"]);
    assert_eq!(states(), [egress("missing"), ingress("missing")]);
    let all = rows(&place, "limits");
    assert!(
        all.iter().all(|row| row["details"] == "cnictl reconcile"),
        "{all:?}"
    );
    assert_eq!(place.run("bandwidth", &["reconcile"]).code, Some(10));
    assert_eq!(states(), [egress("active"), ingress("active")]);
    std::fs::remove_file(place.cache_file(0)).unwrap();
    assert_eq!(states(), [egress("stale"), ingress("stale")]);
}

#[test]
fn a_value_that_was_set_back_is_missing_with_what_was_wanted() {
    let place = Place::new(Backend::Nftables, 1);
    let before = place.pod(0).sysctl("net.core.somaxconn").unwrap();
    place.attach_all("tuning");
    let told = || -> Vec<Value> {
        let all = rows(&place, "sysctls");
        let told = |row: &Value| {
            let keys = ["what", "now", "wanted", "state", "details"];
            Value::Array(keys.map(|key| row[key].clone()).into())
        };
        all.iter().map(told).collect()
    };
    let active = [
        json!(["net/core/somaxconn", "500", null, "active", ""]),
        json!(["mtu", "1400", null, "active", ""]),
    ];
    assert_eq!(told(), active);
    // One to what it was before, which is no change any more, and one to something else.
    place.pod(0).sh([
        "sysctl",
        "-w",
        &format!("net.core.somaxconn={}", before.trim()),
    ]);
    place
        .pod(0)
        .sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
    let missing = [
        json!(["mtu", "1300", "1400", "missing", "cnictl reconcile"]),
        json!([
            "net/core/somaxconn",
            before.trim(),
            "500",
            "missing",
            "cnictl reconcile"
        ]),
    ];
    assert_eq!(told(), missing);
    assert_eq!(place.run("tuning", &["reconcile"]).code, Some(10));
    assert_eq!(told(), active);
}
