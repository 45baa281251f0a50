//! What real runtimes do.

use serde_json::json;

use crate::case::Table;

/// Cases of runtimes.
pub fn cases(table: &mut Table) {
    table.case(
        "podman: VERSION with dummy variables and an empty container ID",
        |lab| {
            let pods = lab.pod()?;
            let mut request = pods.usual().raw("{\"cniVersion\":\"1.0.0\"}");
            for (key, value) in [
                ("CNI_NETNS", "dummy"),
                ("CNI_IFNAME", "dummy"),
                ("CNI_PATH", "dummy"),
                ("CNI_CONTAINERID", ""),
                ("CNI_ARGS", ""),
            ] {
                request = request.env(key, value);
            }
            request.call("VERSION")?.result().map(drop)
        },
    );
    table.case(
        "containerd: a second DEL without namespace, prevResult and runtimeConfig",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            request.del()?.silent()?;
            request.forgotten().del()?.silent()
        },
    );
    table.case(
        "containerd: DEL of a chain whose ADD failed before this plugin ran",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.usual().without("prevResult").del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "CRI-O: CHECK right after ADD, and again after a restart",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().version("1.1.0").added()?;
            for _ in 0..3 {
                request.check()?.silent()?;
            }
            Ok(())
        },
    );
    table.case(
        "CRI-O: GC with both lists and empty variables keeps what is valid",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().version("1.1.0").added()?;
            let list = json!([{"containerID": "cid-0001", "ifname": "eth0"}]);
            let call = request
                .clone()
                .with(json!({"cni.dev/attachments": list}))
                .env("CNI_ARGS", "");
            call.gc(&[("cid-0001", "eth0")])?.silent()?;
            request.check()?.silent()
        },
    );
    table.case(
        "libcni: CHECK of a plugin whose result a later plugin added to",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            let mut previous = request.conf()["prevResult"].clone();
            if let Some(list) = previous["interfaces"].as_array_mut() {
                list.push(json!({"name": "tap9", "mac": "02:00:00:00:09:09"}));
            }
            request.set("prevResult", previous).check()?.silent()
        },
    );
    table.case("libcni: DEL with the final result of the chain", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        let mut previous = request.conf()["prevResult"].clone();
        if let Some(list) = previous["interfaces"].as_array_mut() {
            list.push(json!({"name": "tap9", "mac": "02:00:00:00:09:09"}));
        }
        request.set("prevResult", previous).del()?.silent()
    });
}
