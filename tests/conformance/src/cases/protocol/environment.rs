//! The variables.

use crate::case::Table;
use crate::failure::ensure;

/// Cases of the environment.
pub fn cases(table: &mut Table) {
    for verb in ["ADD", "CHECK"] {
        for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            missing(table, verb, key);
        }
    }
    for key in ["CNI_CONTAINERID", "CNI_IFNAME"] {
        missing(table, "DEL", key);
    }
    table.case("all missing variables are named in one error", |lab| {
        let pods = lab.pod()?;
        let mut request = pods.usual();
        for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            request = request.no_env(key);
        }
        let error = request.add()?.error()?;
        crate::failure::equal("code", &error.code, &4)?;
        for key in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            ensure(error.msg.contains(key), || error.msg.clone())?;
        }
        Ok(())
    });
    table.case("the environment is looked at before stdin", |lab| {
        let pods = lab.pod()?;
        pods.usual().raw("{").no_env("CNI_IFNAME").add()?.code(4)
    });
    for id in [
        "-a", ".a", "_a", "a/b", "a b", "a:b", "é", "a\n", "../x", "a\u{1}", " a", "a;b", "a\"b",
    ] {
        refused(table, "CNI_CONTAINERID", id);
    }
    for name in [
        ".",
        "..",
        "a/b",
        "a:b",
        "a b",
        "sixteen-bytes-xx",
        "a\tb",
        "a\nb",
        "eth0 ",
    ] {
        refused(table, "CNI_IFNAME", name);
    }
    table.case(
        "a container ID of 4000 characters is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods.usual().id(&"c".repeat(4000));
            let reply = request.add()?;
            reply.orderly()?;
            request.del()?.orderly()?;
            if reply.ok().is_err() {
                pods.unchanged(&before)?
            }
            Ok(())
        },
    );
    for args in [
        "IgnoreUnknown=1;K8S_POD_NAME=x",
        "K8S_POD_NAME=x;IgnoreUnknown=true",
        "K8S_POD_NAME=x;K8S_POD_UID=1",
        "IP=10.1.2.3;IgnoreUnknown=1",
        "",
    ] {
        table.case(format!("CNI_ARGS {args:?} is ignored"), move |lab| {
            let pods = lab.pod()?;
            pods.usual()
                .env("CNI_ARGS", args)
                .added()?
                .env("CNI_ARGS", args)
                .del()?
                .ok()
        });
    }
    table.case("unknown variables are ignored", |lab| {
        let pods = lab.pod()?;
        pods.usual()
            .env("CNI_SOMETHING", "else")
            .env("LANG", "xx_XX")
            .env("HOME", "/nonexistent")
            .added()
            .map(drop)
    });
}

fn missing(table: &mut Table, verb: &'static str, key: &'static str) {
    table.case(
        format!("{verb} without {key} is refused and changes nothing"),
        move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let reply = pods.usual().no_env(key).call(verb)?;
            reply.code(4)?;
            ensure(reply.error()?.msg.contains(key), || {
                format!("{key} is not named")
            })?;
            pods.unchanged(&before)
        },
    );
    if key == "CNI_PATH" {
        return;
    }
    table.case(
        format!("{verb} with an empty {key} is refused and changes nothing"),
        move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.usual().env(key, "").call(verb)?.code(4)?;
            pods.unchanged(&before)
        },
    );
}

fn refused(table: &mut Table, key: &'static str, value: &'static str) {
    table.case(
        format!("{key} {value:?} is refused and changes nothing"),
        move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.usual().env(key, value).add()?.error()?;
            pods.unchanged(&before)
        },
    );
}
