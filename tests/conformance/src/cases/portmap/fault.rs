//! ADD of portmap that fails in the middle leaves nothing.

use serde_json::json;

use super::del::nothing_left;
use super::traces::none_of;
use super::{mapping, mappings, web};
use crate::case::Table;
use crate::failure::{Verdict, ensure, equal};
use crate::group::Group;
use crate::kernel::{chain, script};
use crate::lab::Lab;

/// Cases of faults.
pub fn cases(table: &mut Table, group: Group) {
    table.case(
        "ADD changes nothing when IPv6 conditions are refused after IPv4 was fine",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let conf = json!({"conditionsV6": ["--no-such-option", "x"]});
            pods.request(web()).with(conf).add()?.error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "a failed ADD of an attachment that exists leaves it as it was",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(web()).added()?;
            let before = pods.state()?;
            request
                .clone()
                .with(json!({"conditionsV6": ["--no-such-option", "x"]}))
                .add()?
                .error()?;
            pods.unchanged(&before)?;
            request.check()?.ok()
        },
    );
    table.case("DEL after a failed ADD leaves nothing", |lab| {
        let pods = lab.pod()?;

        let request = pods
            .request(web())
            .with(json!({"conditionsV6": ["--no-such-option", "x"]}));
        request.add()?.error()?;
        request.without("prevResult").del()?.ok()?;
        nothing_left(&pods)
    });
    table.case("ADD killed at any moment is cleaned by DEL", |lab| {
        let pods = lab.pod()?;
        for delay in [1, 2, 3, 5, 8, 12, 20, 30] {
            let kill = format!("( sleep 0.{delay:03}; kill -9 $$ ) >/dev/null 2>&1 </dev/null &");
            // The plugin ends by the signal or in time; either way DEL comes next.
            let _ = pods.usual().prepared(&kill).add()?;
            pods.usual().forgotten().del()?.silent()?;
            nothing_left(&pods)?;
        }
        Ok(())
    });
    table.case("a name of the attachment's that a foreign chain has is not fatal, and DEL leaves nothing", |lab| {
        let pods = lab.pod()?;
        let (variant, own) = (lab.group.variant(), chain("net1", "cid-0001"));
        script(&pods.net.host, &format!("iptables-{variant} -w -t nat -N {own}; iptables-{variant} -w -t nat -A {own} -j RETURN"))?;
        let request = pods.usual().added()?;
        request.check()?.silent()?;
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    match group {
        Group::PortmapNftables => nftables(table),
        _ => iptables(table),
    }
}

fn iptables(table: &mut Table) {
    table.case(
        "a held xtables lock ends in an error in bounded time, and nothing is changed",
        |lab| {
            if lab.group.variant() == "nft" {
                return Ok(()); // The nf_tables variant has no lock.
            }
            let pods = lab.pod()?;
            let before = pods.state()?;
            let lock = lab.dir().join("xtables.lock");
            let prepare = format!(
                "touch {0}; mount -t tmpfs tmpfs /run; touch /run/xtables.lock
            flock -x {0} sleep 22 </dev/null >/dev/null 2>&1 &
            flock -x /run/xtables.lock sleep 22 </dev/null >/dev/null 2>&1 &
            sleep 0.2",
                lock.display()
            );
            pods.usual().prepared(&prepare).add()?.code(11)?;
            script(&pods.net.host, "true")?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "without any iptables ADD is an error that changes nothing, or needs none",
        |lab| {
            let pods = lab.pod()?;
            let request = pods
                .usual()
                .set("backend", json!("iptables"))
                .env("PATH", "/nonexistent")
                .prepared("mount -t tmpfs tmpfs /usr/sbin");
            let reply = request.add()?;
            if reply.ok().is_ok() {
                request.check()?.ok()?;
                return request.del()?.ok();
            }
            reply.error()?;
            nothing_left(&pods)
        },
    );
    table.case(
        "without ip6tables a container with IPv4 alone is served",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual();
            let mut previous = request.conf()["prevResult"].clone();
            previous["ips"] = json!([previous["ips"][0].clone()]);
            let directory = lab.dir().join("sbin").display().to_string();
            let hide = format!(
                "rm -rf {directory}; mkdir {directory}; cp -a /usr/sbin/xtables-*-multi /usr/sbin/iptables* {directory}
                 mount --bind {directory} /usr/sbin"
            );
            let request = request.set("prevResult", previous).prepared(&hide);
            request.add()?.ok()?;
            request.check()?.ok()
        },
    );
    table.case("another program that rewrites the nat table all the time does not break ADD, CHECK and DEL", |lab| {
        amid(&noise(lab.group.variant()), lab)
    });
    table.case(
        "chains of the same names in the filter table are left alone",
        |lab| {
            let pods = lab.pod()?;
            let (variant, own) = (lab.group.variant(), chain("net1", "cid-0001"));
            script(
                &pods.net.host,
                &format!(
                    "iptables-{variant} -w -N {own}; iptables-{variant} -w -N CNI-HOSTPORT-DNAT"
                ),
            )?;
            let request = pods.usual().added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            let filter = script(
                &pods.net.host,
                &format!("iptables-{variant}-save -t filter"),
            )?;
            ensure(filter.contains(&own), || {
                "the chain in the filter table is gone".into()
            })
        },
    );
    table.case(
        "the nat table of the other variant is not made by ADD",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().added()?;
            let other = if lab.group.variant() == "nft" {
                "iptables-legacy-save; ip6tables-legacy-save"
            } else {
                "nft list ruleset"
            };
            let text = script(&pods.net.host, other)?;
            equal("rules of the other variant", &text.contains("CNI-"), &false)
        },
    );
}

fn nftables(table: &mut Table) {
    table.case("ADD works without any iptables and nft in PATH", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().env("PATH", "/nonexistent").added()?;
        request.check()?.silent()?;
        request.del()?.silent()?;
        nothing_left(&pods)
    });
    table.case(
        "without iptables in PATH the default backend is nftables",
        |lab| {
            let pods = lab.pod()?;
            let request = pods
                .usual()
                .without("backend")
                .env("PATH", "/nonexistent")
                .added()?;
            request.check()?.silent()?;
            super::traces::all_of(&pods.net.host, &["10.22.0.2"])?;
            request.del()?.silent()?;
            nothing_left(&pods)
        },
    );
    table.case("another program that rewrites the ruleset all the time does not break ADD, CHECK and DEL", |lab| {
        let noise = "while :; do nft 'add table ip noise; add chain ip noise c; flush chain ip noise c; add rule ip noise c tcp dport 1 accept; delete table ip noise'; done";
        amid(noise, lab)
    });
    table.case("the ruleset can be printed, and loaded again", |lab| {
        let pods = lab.pod()?;
        pods.usual().added()?;
        let text = crate::edit::save_nft(&pods)?;
        crate::edit::restore_nft(&pods, &text)?;
        equal("ruleset", &crate::edit::save_nft(&pods)?, &text)
    });
}

/// Four pods come and go while that shell command runs in the host.
fn amid(noise: &str, lab: &Lab) -> Verdict {
    let pods = lab.pods(4)?;
    let mut noise = pods.net.host.command("sh").args(["-c", noise]).spawn()?;
    let verdict = (0..4u16).try_for_each(|n| {
        let request = pods.request_for(n.into(), mappings(&[mapping("tcp", 8080 + n, 80)]));
        request.id(&format!("pod-{n}")).comes_and_goes()
    });
    noise.kill()?;
    noise.wait()?;
    verdict?;
    for n in 0..4 {
        none_of(&pods.net.host, &[&format!("10.22.0.{}", n + 2)])?;
    }
    Ok(())
}

/// Somebody like kube-proxy: builds chains in the nat table and removes them, for ever.
fn noise(variant: &str) -> String {
    format!(
        "while :; do printf '*nat\\n:KUBE-NOISE - [0:0]\\n-A KUBE-NOISE -p tcp --dport 1 -j RETURN\\nCOMMIT\\n' | iptables-{variant}-restore -w --noflush
        printf '*nat\\n:KUBE-NOISE - [0:0]\\n-X KUBE-NOISE\\nCOMMIT\\n' | iptables-{variant}-restore -w --noflush; done 2>/dev/null"
    )
}
