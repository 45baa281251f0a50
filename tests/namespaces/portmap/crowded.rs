//! Requests and tables that are large: work that grew with their square would take minutes here.

use std::io::Write;
use std::process::Stdio;

use super::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(thousands_of_host_ports_beside_thousands_of_rules_are_served);

fn thousands_of_host_ports_beside_thousands_of_rules_are_served(backend: Backend) {
    let host = Host::usual(backend);
    let rules: String = (0..6000)
        .map(|n| {
            format!(
                "-A OUTPUT -d 203.0.113.9/32 -p tcp -m tcp --dport {} -j RETURN\n",
                20_000 + n
            )
        })
        .collect();
    let mut command = host
        .net
        .host
        .command(format!("iptables-{}-restore", backend.infix()));
    let mut restore = command
        .arg("--noflush")
        .env("XTABLES_LOCKFILE", host.directory.join("lock"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("*nat\n{rules}COMMIT\n");
    restore
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(restore.wait().unwrap().success());
    let mappings: Vec<String> = (0..3000).map(|n| mapping("tcp", 2000 + n, 80)).collect();
    for options in ["", r#""onConflict":"error","#] {
        let request = request(options, &mappings.join(","));
        host.run("ADD", &request);
        host.run("CHECK", &request);
        host.run("ADD", &request);
        let other = host
            .call("ADD", &request)
            .env("CNI_CONTAINERID", "cid-0002");
        if !options.is_empty() {
            host.fails(&other, 102);
        }
        host.run("DEL", &request);
    }
}
