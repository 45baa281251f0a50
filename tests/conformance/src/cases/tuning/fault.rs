//! ADD of tuning that fails in the middle leaves everything as it was.

use serde_json::{Value, json};

use crate::at_once::at_once;
use crate::case::Table;
use crate::failure::equal;
use crate::kernel::script;
use crate::request::Request;

/// What comes first in the request, and what then fails.
fn failing() -> Vec<(&'static str, Value)> {
    vec![
        (
            "the last sysctl is refused",
            json!({"sysctl": {
            "net.core.somaxconn": "500", "net.ipv4.conf.all.arp_filter": "nonsense"}}),
        ),
        (
            "a sysctl does not exist after others were set",
            json!({"sysctl": {
            "net.core.somaxconn": "500", "net.ipv4.zzz_no_such_key": "1"}}),
        ),
        (
            "the MTU is refused after a sysctl was set",
            json!({"sysctl": {"net.core.somaxconn": "500"}, "mtu": 1_000_000}),
        ),
        (
            "the MTU is refused after the MAC was set",
            json!({"mac": "02:aa:00:00:00:05", "mtu": 1_000_000}),
        ),
        (
            "the MTU is refused after promisc was set",
            json!({"promisc": true, "allmulti": true, "mtu": 1_000_000, "txQLen": 9}),
        ),
        (
            "the MAC is refused after everything else was set",
            json!({"mac": "01:00:5e:00:00:01", "mtu": 1400, "promisc": true, "sysctl": {"net.core.somaxconn": "500"}}),
        ),
    ]
}

/// Cases of faults.
pub fn cases(table: &mut Table) {
    for (name, conf) in failing() {
        let again = conf.clone();
        table.case(format!("ADD is undone when {name}"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(conf.clone()).add()?.error()?;
            pods.unchanged(&before)
        });
        table.case(
            format!("DEL after ADD failed because {name} leaves everything as it was"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let request = pods.request(again.clone());
                request.add()?.error()?;
                request.without("prevResult").del()?.orderly()?;
                pods.unchanged(&before)
            },
        );
    }
    for (name, prepare) in [
        (
            "is on a full disk",
            "mount -t tmpfs -o size=4k tmpfs DATA; dd if=/dev/zero of=DATA/fill bs=4k count=1 2>/dev/null || true",
        ),
        ("is read-only", "mount -t tmpfs -o ro tmpfs DATA"),
        (
            "cannot be made",
            "mount -t tmpfs tmpfs DATA; rmdir DATA/x 2>/dev/null || true; mount -o remount,ro DATA",
        ),
    ] {
        table.case(
            format!("ADD changes nothing when the data directory {name}"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let data = lab.data_dir().display().to_string();
                pods.usual()
                    .prepared(&prepare.replace("DATA", &data))
                    .add()?
                    .error()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case("ADD is undone when sysctls cannot be written", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let conf = json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}});
        let prepare = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
        pods.request(conf).prepared(prepare).add()?.error()?;
        pods.unchanged(&before)
    });
    table.case(
        "a data directory that is a file is an error that changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let path = lab.dir().join("file");
            std::fs::write(&path, "x")?;
            let before = pods.state()?;
            pods.usual().set("dataDir", json!(path)).add()?.error()?;
            pods.unchanged(&before)
        },
    );
    table.case("eight pods at once are added, checked and deleted", |lab| {
        let pods = lab.pods(8)?;
        let before = pods.state()?;
        let pod = |n| pods.request_for(n, lab.usual()).id(&format!("pod-{n}"));
        at_once((0..8).map(pod), Request::comes_and_goes)?;
        pods.unchanged(&before)
    });
    table.case(
        "sixteen ADDs of one attachment at once and one DEL restore what was there",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| pods.usual().add());
                }
            });
            pods.usual().add()?.ok()?;
            pods.usual().del()?.ok()?;
            pods.unchanged(&before)
        },
    );
    table.case("the second DEL of two at once succeeds as well", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        let replies = std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| request.del()?.ok()))
                .collect();
            tasks
                .into_iter()
                .map(|task| task.join().is_ok_and(|reply| reply.is_ok()))
                .collect::<Vec<_>>()
        });
        equal("successes", &replies, &vec![true; 4])?;
        script(
            &pods.net.containers[0],
            "ip link show eth0 | grep -q 'mtu 1500'",
        )
        .map(drop)
    });
}
