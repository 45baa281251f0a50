//! `CNI_NETNS`: what is a namespace, and what must not be one.

use std::fs;

use crate::case::Table;
use crate::failure::ensure;

/// Cases of the namespace.
pub fn cases(table: &mut Table) {
    for (name, path) in [
        ("a path that does not exist", "/run/netns/no-such-namespace"),
        ("a directory", "/tmp"),
        ("a device", "/dev/null"),
        ("a file of /proc that is no namespace", "/proc/self/status"),
        ("a namespace of another kind", "/proc/self/ns/uts"),
        ("a mount namespace", "/proc/self/ns/mnt"),
        ("a relative path", "no/such/path"),
        ("a path with a blank at its end", "/proc/self/ns/net "),
        ("a path of 5000 characters", ""),
    ] {
        table.case(
            format!("ADD refuses {name} as namespace and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let path = if path.is_empty() {
                    format!("/{}", "x".repeat(5000))
                } else {
                    path.to_owned()
                };
                let reply = pods.usual().env("CNI_NETNS", &path).add()?;
                // portmap needs no look at the namespace: what it does is then complete.
                if lab.group.plugin() == "portmap" && reply.ok().is_ok() {
                    return reply.result().map(drop);
                }
                reply.error()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case(
        "ADD refuses a plain file as namespace and changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let path = lab.dir().join("plain");
            fs::write(&path, "x")?;
            let before = pods.state()?;
            let reply = pods
                .usual()
                .env("CNI_NETNS", &path.display().to_string())
                .add()?;
            reply.orderly()?;
            if lab.group.plugin() != "portmap" {
                reply.error()?;
                pods.unchanged(&before)?
            }
            Ok(())
        },
    );
    for verb in ["ADD", "CHECK"] {
        table.case(
            format!("{verb} in the plugin's own namespace is refused before anything is changed"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let own = pods.net.host.path().display().to_string();
                let request = pods
                    .usual()
                    .env("CNI_NETNS", &own)
                    .env("CNI_IFNAME", "veth0");
                let reply = request.call(verb)?;
                if verb == "ADD" {
                    reply.code(8)?
                }
                reply.error()?;
                pods.unchanged(&before)
            },
        );
        table.case(
            format!("{verb} in the plugin's own namespace by /proc/self/ns/net is refused"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                pods.usual()
                    .env("CNI_NETNS", "/proc/self/ns/net")
                    .env("CNI_IFNAME", "veth0")
                    .call(verb)?
                    .error()?;
                pods.unchanged(&before)
            },
        );
    }
    for value in ["1", "true"] {
        table.case(
            format!("CNI_NETNS_OVERRIDE={value} permits the plugin's own namespace"),
            move |lab| {
                let pods = lab.pod()?;
                let own = pods.net.host.path().display().to_string();
                let reply = pods
                    .usual()
                    .env("CNI_NETNS", &own)
                    .env("CNI_IFNAME", "veth0")
                    .env("CNI_NETNS_OVERRIDE", value)
                    .add()?;
                reply.orderly()?;
                ensure(reply.code(8).is_err(), || "refused all the same".into())
            },
        );
    }
    for value in ["0", "false", ""] {
        table.case(
            format!("CNI_NETNS_OVERRIDE={value:?} permits nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let own = pods.net.host.path().display().to_string();
                pods.usual()
                    .env("CNI_NETNS", &own)
                    .env("CNI_IFNAME", "veth0")
                    .env("CNI_NETNS_OVERRIDE", value)
                    .add()?
                    .error()?;
                pods.unchanged(&before)
            },
        );
    }
    for (name, path) in [
        ("gone", "/run/netns/no-such-namespace"),
        ("a directory", "/tmp"),
        ("a device", "/dev/null"),
    ] {
        table.case(
            format!("DEL succeeds when the namespace is {name}"),
            move |lab| {
                let pods = lab.pod()?;
                pods.usual().env("CNI_NETNS", path).del()?.silent()
            },
        );
    }
}
