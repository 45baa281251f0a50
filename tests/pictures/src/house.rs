//! The crates, and what flows between them.

use crate::sheet::Sheet;

/// The picture.
pub fn picture() -> String {
    let about = "Runtimes and cnictl call the plugins tuning, portmap and bandwidth; portmap uses the \
                 crates nft and xtables; all use common, which speaks netlink to the kernel";
    let sheet = Sheet::new(560, 640, "Crates, and what flows between them", about);
    let sheet = kernel(libraries(plugins(callers(sheet))));
    let tests = "tests/: sandbox, namespaces, conformance, nodes, fuzz, bench";
    let packaging = "packaging/: tarball, Debian package, image, DaemonSets, units, schemas";
    sheet
        .words(20, 590, "small", tests)
        .words(20, 612, "small", packaging)
        .text()
}

fn callers(sheet: Sheet) -> Sheet {
    let runtimes = [
        "containerd, CRI-O, podman",
        "libcni: lists, cache of attachments",
    ];
    let tool = ["`cnictl", "for operators; reads the same cache"];
    sheet
        .boxed("box", [20, 50, 248, 54], &runtimes)
        .boxed("ours", [292, 50, 248, 54], &tool)
        .arrow((144, 104), (144, 152))
        .words(154, 124, "small", "a process per verb:")
        .words(154, 142, "small", "JSON in, JSON out")
        .arrow((416, 104), (416, 152))
        .words(426, 132, "small", "as libraries")
}

fn plugins(sheet: Sheet) -> Sheet {
    let steps = |name| [name, "config ▸ plan ▸ observe", "▸ diff ▸ apply"];
    sheet
        .boxed("ours", [20, 154, 166, 74], &steps("`tuning"))
        .boxed("ours", [197, 154, 166, 74], &steps("`portmap"))
        .boxed("ours", [374, 154, 166, 74], &steps("`bandwidth"))
        .arrow((70, 228), (70, 338))
        .arrow((240, 228), (210, 258))
        .arrow((320, 228), (350, 258))
        .arrow((490, 228), (490, 338))
}

fn libraries(sheet: Sheet) -> Sheet {
    let common = [
        "`common",
        "the protocol, results, errors, owners, the log, libcni's cache",
    ];
    let sys = [
        "`common/src/sys",
        "netlink, namespaces, files: the only unsafe code",
    ];
    sheet
        .boxed("ours", [130, 260, 146, 54], &["`nft", "nf_tables"])
        .boxed("ours", [284, 260, 146, 54], &["`xtables", "iptables rules"])
        .arrow((203, 314), (203, 338))
        .arrow((357, 314), (357, 338))
        .boxed("ours", [20, 340, 520, 54], &common)
        .arrow((280, 394), (280, 418))
        .boxed("ours", [20, 420, 520, 54], &sys)
}

fn kernel(sheet: Sheet) -> Sheet {
    sheet
        .arrow((103, 474), (103, 504))
        .arrow((280, 474), (280, 504))
        .arrow((457, 474), (457, 504))
        .boxed(
            "box",
            [20, 506, 166, 54],
            &["sysctls, links", "the pod's namespace"],
        )
        .boxed(
            "box",
            [197, 506, 166, 54],
            &["nf_tables, x_tables", "conntrack"],
        )
        .boxed("box", [374, 506, 166, 54], &["tc", "tbf, ifb, filters"])
}
