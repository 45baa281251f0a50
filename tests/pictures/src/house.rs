//! The crates, and what flows between them.

use crate::sheet::Sheet;

/// The picture.
pub fn picture() -> String {
    let about = "Runtimes and cnictl call the plugins tuning, portmap and bandwidth; these use common, \
                 which speaks netlink to the kernel";
    let steps = ["config ▸ plan ▸ observe", "▸ diff ▸ apply"];
    let plugin = |name: &'static str| [name, steps[0], steps[1]];
    Sheet::new(560, 560, "Crates, and what flows between them", about)
        .boxed(
            "box",
            [20, 50, 248, 54],
            &[
                "containerd, CRI-O, podman",
                "libcni: lists, cache of attachments",
            ],
        )
        .boxed(
            "ours",
            [292, 50, 248, 54],
            &["`cnictl", "for operators; reads the same cache"],
        )
        .arrow((144, 104), (144, 152))
        .words(154, 124, "small", "a process per verb:")
        .words(154, 142, "small", "JSON in, JSON out")
        .arrow((416, 104), (416, 152))
        .words(426, 132, "small", "as libraries")
        .boxed("ours", [20, 154, 166, 74], &plugin("`tuning"))
        .boxed("ours", [197, 154, 166, 74], &plugin("`portmap"))
        .boxed("ours", [374, 154, 166, 74], &plugin("`bandwidth"))
        .arrow((103, 228), (103, 258))
        .arrow((280, 228), (280, 258))
        .arrow((457, 228), (457, 258))
        .boxed(
            "ours",
            [20, 260, 520, 54],
            &[
                "`common",
                "the protocol, results, errors, owners, the log, libcni's cache",
            ],
        )
        .arrow((280, 314), (280, 338))
        .boxed(
            "ours",
            [20, 340, 520, 54],
            &[
                "`common/src/sys",
                "netlink, namespaces, files: the only unsafe code",
            ],
        )
        .arrow((103, 394), (103, 424))
        .arrow((280, 394), (280, 424))
        .arrow((457, 394), (457, 424))
        .boxed(
            "box",
            [20, 426, 166, 54],
            &["sysctls, links", "the pod's namespace"],
        )
        .boxed(
            "box",
            [197, 426, 166, 54],
            &["nf_tables, x_tables", "conntrack"],
        )
        .boxed("box", [374, 426, 166, 54], &["tc", "tbf, ifb, filters"])
        .words(
            20,
            510,
            "small",
            "tests/: sandbox, namespaces, conformance, nodes, fuzz, bench",
        )
        .words(
            20,
            532,
            "small",
            "packaging/: tarball, Debian package, image, DaemonSets, units, schemas",
        )
        .text()
}
