//! `add --dry-run`.

use std::fs;

use sandbox::plugin::binary;
use serde_json::{Value, json};

use super::place::{Backend, NETWORK, Place, Said, on_every_backend};

on_every_backend!(
    what_add_would_make_is_what_it_makes_and_nothing_is_touched,
    each_entry_of_a_list_has_the_chain_that_it_gets,
);

fn list(place: &Place, portmaps: &[Value]) -> String {
    let file = place.directory.join("list.conflist");
    let mut plugins = vec![
        json!({"type": "veth", "addresses": [{"address": "10.22.0.2/16"}]}),
        json!({"type": "tuning", "mtu": 1400, "dataDir": place.data_dir(),
               "sysctl": {"net.core.somaxconn": "500"}}),
    ];
    plugins.extend_from_slice(portmaps);
    plugins.push(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}));
    let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": plugins});
    fs::write(&file, list.to_string()).unwrap();
    file.display().to_string()
}

/// The command for the first pod, with the request of its runtime.
fn dry(place: &Place, list: &str, line: &[&str]) -> Said {
    let (id, netns) = (place.id(0), place.pod(0).path().display().to_string());
    let asked = place.capabilities(0);
    let asked = ["portMappings", "bandwidth"].map(|name| format!("{name}={}", asked[name]));
    let programs = binary("portmap");
    let programs = programs.parent().unwrap().display().to_string();
    let line = [
        &["add", "--dry-run", list, &netns, "--container-id", &id][..],
        &[
            "--path",
            &programs,
            "--capability",
            &asked[0],
            "--capability",
            &asked[1],
        ],
        line,
    ]
    .concat();
    Said::of(place.tool(&line).run(&place.net.host).unwrap())
}

fn state(place: &Place) -> String {
    // The state of a new link settles by itself: UNKNOWN until the kernel has looked at it.
    let settled = |links: String| links.replace("state UNKNOWN", "state UP");
    let links = settled(place.net.host.sh(["ip", "-o", "link"]));
    let queues = place.net.host.sh(["tc", "qdisc"]);
    let pod = settled(place.pod(0).sh(["ip", "-o", "link"]));
    [links, queues, pod, place.rules()].concat()
}

fn what_add_would_make_is_what_it_makes_and_nothing_is_touched(backend: Backend) {
    let place = Place::new(backend, 1);
    let portmap = json!({"type": "portmap", "backend": backend.key(),
                         "capabilities": {"portMappings": true}});
    let list = list(&place, &[portmap]);
    let before = state(&place);
    let said = dry(&place, &list, &["--ip", "10.22.0.2/16"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(state(&place), before);
    assert_eq!(
        fs::read_dir(place.cache_dir().join("results"))
            .unwrap()
            .count(),
        0
    );
    assert!(!place.data_dir().exists());
    let plan = said.stdout;
    for line in [
        "veth: ",
        "tuning:\n  sysctl net/core/somaxconn = 500\n  link eth0 mtu 1400\n",
        "  qdisc root of VETH: tbf rate 8000000bit burst 100000b",
        "assumed: VETH",
    ] {
        assert!(plan.contains(line), "{line}: {plan}");
    }
    place.attach("portmap", 0, &place.capabilities(0));
    match backend {
        Backend::Nftables => {
            let elements = place.rules();
            for element in ["hostports: 8000/tcp to 10.22.0.2:80", "localhost: 8000/tcp"] {
                assert!(plan.contains(element), "{element}: {plan}");
            }
            assert!(elements.contains(": 10.22.0.2 . 80"), "{elements}");
        }
        _ => {
            let save = format!("iptables-{}-save", backend.infix());
            let rules = place.net.host.sh([save.as_str()]);
            let planned = plan.lines().filter_map(|line| {
                let (_, rule) = line.split_once("  iptables -t ")?;
                rule.split_once(' ').map(|(_, rule)| rule)
            });
            let planned: Vec<&str> = planned.collect();
            assert!(planned.len() > 8, "{plan}");
            for rule in planned {
                assert!(rules.contains(rule), "{rule}: {rules}");
            }
        }
    }
    // Attached already: the plan is by the result of that.
    let document: Value = serde_json::from_str(&dry(&place, &list, &["--json"]).stdout).unwrap();
    assert_eq!(document["assumed"], json!([]), "{document}");
    let plan = document["plugins"][2]["plan"].to_string();
    assert!(plan.contains("10.22.0.2:80"), "{plan}");
}

fn each_entry_of_a_list_has_the_chain_that_it_gets(backend: Backend) {
    let place = Place::new(backend, 1);
    let capabilities = place.capabilities(0);
    let portmap = place.conf("portmap", 0, &capabilities);
    let place = place.with_conditions();
    let conditional = place.conf("portmap", 0, &capabilities);
    let entry = |conf: &Value| {
        let keys = ["type", "backend", "capabilities", "conditionsV4"];
        let keys = keys
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), conf.get(key)?.clone())));
        keys.collect::<Value>()
    };
    // Whichever comes first has the reference's chain.
    let list = list(&place, &[entry(&conditional), entry(&portmap)]);
    let said = dry(&place, &list, &["--ip", "10.22.0.2/16", "--json"]);
    let document: Value = serde_json::from_str(&said.stdout).unwrap();
    for (plugin, conf) in [(2, conditional), (3, portmap)] {
        let call = place.call("portmap", "ADD", 0, &capabilities);
        let answer = call.stdin(conf.to_string()).run(&place.net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        if backend != Backend::Nftables {
            let save = format!("iptables-{}-save", backend.infix());
            let rules = place.net.host.sh([save.as_str()]);
            let plan = document["plugins"][plugin]["plan"].as_array().unwrap();
            for line in plan.iter().map(|line| line.as_str().unwrap()) {
                let Some((_, rule)) = line.split_once("iptables -t nat ") else {
                    continue;
                };
                // iptables prints the matches of conditions in an order of its own.
                let (_, target) = rule.split_once(" -j ").unwrap();
                let part = match rule.starts_with("-A CNI-HOSTPORT-DNAT ") {
                    true => format!(" -j {target}\n"),
                    false => format!("{rule}\n"),
                };
                assert!(rules.contains(&part), "{part}: {rules}");
            }
        }
    }
    // The same where they are there already.
    let said = dry(&place, &list, &["--ip", "10.22.0.2/16", "--json"]);
    let again: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(again["plugins"], document["plugins"]);
}

#[test]
fn what_add_would_refuse_is_refused() {
    let place = Place::new(Backend::Nftables, 1);
    let list = list(&place, &[json!({"type": "portmap", "backend": "none"})]);
    let said = dry(&place, &list, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.stderr.contains("plugin portmap: "), "{said:?}");
    let said = dry(&place, &list, &["--path", "/nonexistent"]);
    assert_eq!(said.code, Some(2), "{said:?}");
}
