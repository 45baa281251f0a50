//! How a packet gets to a pod, with either backend.

use crate::sheet::Sheet;

/// The picture.
pub fn picture() -> String {
    let about = "A packet to port 8080 of the node: PREROUTING, then with iptables the chains \
                 CNI-HOSTPORT-DNAT and CNI-DN, with nftables one lookup in a map; FORWARD, POSTROUTING, \
                 the limit on the veth, the pod";
    Sheet::new(560, 730, "How a packet reaches a pod", about)
        .boxed(
            "box",
            [150, 50, 260, 54],
            &["client", "to the node's port 8080"],
        )
        .arrow((280, 104), (280, 128))
        .boxed(
            "box",
            [90, 130, 380, 54],
            &[
                "PREROUTING",
                "guard: nothing from outside to or from 127.0.0.0/8",
            ],
        )
        .arrow((200, 184), (144, 212))
        .arrow((360, 184), (416, 212))
        .words(20, 236, "title", "iptables")
        .anchored(540, 236, "title", "end", "nftables")
        .boxed(
            "ours",
            [20, 250, 248, 74],
            &[
                "`CNI-HOSTPORT-DNAT",
                "one rule per pod, in turn,",
                "until the port matches",
            ],
        )
        .arrow((144, 324), (144, 348))
        .boxed(
            "ours",
            [20, 350, 248, 74],
            &[
                "`CNI-DN-…",
                "chain of the pod: mark what is",
                "to be masqueraded, translate",
            ],
        )
        .boxed(
            "ours",
            [292, 250, 248, 74],
            &[
                "`@hairpin16 @localhost",
                "sets: mark what is",
                "to be masqueraded",
            ],
        )
        .arrow((416, 324), (416, 348))
        .boxed(
            "ours",
            [292, 350, 248, 74],
            &[
                "`map hostports",
                "one lookup, however many ports:",
                "8080 is 10.9.0.2:80",
            ],
        )
        .arrow((144, 424), (200, 452))
        .arrow((416, 424), (360, 452))
        .boxed(
            "box",
            [90, 454, 380, 54],
            &["FORWARD", "your firewall decides"],
        )
        .arrow((280, 508), (280, 532))
        .boxed(
            "ours",
            [90, 534, 380, 54],
            &[
                "POSTROUTING",
                "masquerade what is marked; the rest is unchanged",
            ],
        )
        .arrow((144, 588), (144, 612))
        .boxed(
            "ours",
            [20, 614, 248, 74],
            &[
                "veth on the node",
                "bandwidth: token bucket,",
                "the pod's limit",
            ],
        )
        .arrow((268, 651), (290, 651))
        .boxed(
            "ours",
            [292, 614, 248, 74],
            &[
                "eth0 in the pod, 10.9.0.2",
                "tuning: sysctls, MTU, MAC,",
                "offloads",
            ],
        )
        .words(
            20,
            714,
            "small",
            "Only the first packet of a connection is looked up; conntrack handles the rest.",
        )
        .text()
}
