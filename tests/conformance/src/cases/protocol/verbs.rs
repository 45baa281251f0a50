//! VERSION, STATUS, GC, no verb and unknown verbs.

use serde_json::{Value, json};

use super::spoken;
use crate::case::Table;
use crate::failure::{ensure, equal};
use crate::group::Group;

/// Cases of verbs.
pub fn cases(table: &mut Table, group: Group) {
    version(table, group);
    status(table);
    gc(table);
    table.case(
        "without CNI_COMMAND it says what it is on stderr and succeeds",
        |lab| {
            let pods = lab.pod()?;
            let reply = pods.usual().no_env("CNI_COMMAND").call("")?;
            reply.silent()?;
            ensure(
                reply.stderr().contains(lab.group.plugin()) && reply.stderr().contains("1.0.0"),
                || reply.stderr().to_owned(),
            )
        },
    );
    for verb in [
        "UPDATE", "add", "ADD ", "DELETE", "", "VERSIONS", "ADD\nDEL",
    ] {
        table.case(
            format!("the verb {verb:?} is refused and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let reply = pods.usual().call(verb)?;
                // An empty verb may also count as none.
                if !verb.is_empty() {
                    reply.code(4)?
                }
                pods.unchanged(&before)
            },
        );
    }
}

fn version(table: &mut Table, group: Group) {
    table.case("VERSION names the spec versions on one line", move |lab| {
        let pods = lab.pod()?;
        let reply = pods
            .usual()
            .raw("{\"cniVersion\":\"1.0.0\"}")
            .call("VERSION")?;
        let result = reply.result()?;
        equal(
            "supportedVersions",
            &result["supportedVersions"],
            &json!(spoken(group)),
        )?;
        equal("lines", &reply.stdout().matches('\n').count(), &1)?;
        ensure(reply.stdout().ends_with('\n'), || reply.stdout().to_owned())
    });
    for (name, stdin) in [
        ("0.1.0", "{\"cniVersion\":\"0.1.0\"}"),
        ("1.1.0", "{\"cniVersion\":\"1.1.0\"}"),
        ("9.9.9", "{\"cniVersion\":\"9.9.9\"}"),
        ("nothing", ""),
    ] {
        table.case(format!("VERSION answers a stdin of {name}"), move |lab| {
            let pods = lab.pod()?;
            let result = pods.usual().raw(stdin).call("VERSION")?.result()?;
            ensure(result["supportedVersions"].is_array(), || {
                result.to_string()
            })
        });
    }
    table.case("VERSION needs no other variable", |lab| {
        let pods = lab.pod()?;
        let mut request = pods.usual().raw("{\"cniVersion\":\"1.0.0\"}");
        for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            request = request.no_env(key);
        }
        request.call("VERSION")?.result().map(drop)
    });
}

fn status(table: &mut Table) {
    table.case(
        "STATUS succeeds without a word where everything is there",
        |lab| {
            let pods = lab.pod()?;
            bare(pods.usual()).call("STATUS")?.silent()
        },
    );
    table.case("STATUS needs no CNI_PATH", |lab| {
        let pods = lab.pod()?;
        bare(pods.usual())
            .no_env("CNI_PATH")
            .call("STATUS")?
            .silent()
    });
    table.case(
        "STATUS with empty variables of an attachment succeeds",
        |lab| {
            let pods = lab.pod()?;
            let mut request = bare(pods.usual());
            for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"] {
                request = request.env(key, "");
            }
            request.call("STATUS")?.silent()
        },
    );
    table.case("STATUS changes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        bare(pods.usual()).call("STATUS")?.silent()?;
        pods.unchanged(&before)
    });
    table.case("STATUS of spec version 1.0.0 is refused", |lab| {
        let pods = lab.pod()?;
        bare(pods.usual())
            .set("cniVersion", json!("1.0.0"))
            .call("STATUS")?
            .code(1)
    });
}

fn gc(table: &mut Table) {
    for (name, lists) in [
        ("an empty list", json!({"cni.dev/valid-attachments": []})),
        (
            "the list under its old name as well",
            json!({"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}], "cni.dev/attachments": [{"containerID": "a", "ifname": "eth0"}]}),
        ),
    ] {
        table.case(
            format!("GC with {name} succeeds without a word"),
            move |lab| {
                let pods = lab.pod()?;
                bare(pods.usual()).with(lists.clone()).call("GC")?.silent()
            },
        );
    }
    table.case("GC needs no CNI_PATH", |lab| {
        let pods = lab.pod()?;
        bare(pods.usual())
            .with(json!({"cni.dev/valid-attachments": []}))
            .no_env("CNI_PATH")
            .call("GC")?
            .silent()
    });
    table.case("GC of spec version 1.0.0 is refused", |lab| {
        let pods = lab.pod()?;
        bare(pods.usual())
            .set("cniVersion", json!("1.0.0"))
            .call("GC")?
            .code(1)
    });
    for (name, list) in [
        ("text", json!("all")),
        ("a number", json!(5)),
        ("an object", json!({})),
        ("a list of text", json!(["a"])),
    ] {
        table.case(
            format!("GC refuses a list of attachments that is {name}, and removes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.usual().version("1.1.0").added()?;
                let before = pods.state()?;
                bare(request.clone())
                    .with(json!({"cni.dev/valid-attachments": list}))
                    .call("GC")?
                    .error()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case(
        "GC without a list of attachments is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            bare(pods.usual()).call("GC")?.orderly()?;
            bare(pods.usual())
                .set("cni.dev/valid-attachments", Value::Null)
                .call("GC")?
                .orderly()
        },
    );
    table.case(
        "GC with an attachment that is null removes nothing that is valid",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().version("1.1.0").added()?;
            let before = pods.state()?;
            let list = json!([null, {"containerID": "cid-0001", "ifname": "eth0"}, {}]);
            bare(request.clone())
                .with(json!({"cni.dev/valid-attachments": list}))
                .call("GC")?
                .orderly()?;
            pods.unchanged(&before)
        },
    );
}

/// A request as it is for STATUS and GC: of a network, without an attachment.
fn bare(request: crate::request::Request<'_>) -> crate::request::Request<'_> {
    let mut request = request
        .set("cniVersion", json!("1.1.0"))
        .without("prevResult")
        .without("runtimeConfig");
    for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"] {
        request = request.no_env(key);
    }
    request
}
