//! Wrong configurations, and what is found in them.

/// A file's name, what it holds, and the beginnings of what is found in it.
pub type Wrong = (&'static str, &'static str, &'static [&'static str]);

/// Parts, each with what is found; `@` stands for a portmap that gets its ports.
pub const PARTS: &[(&str, &[&str])] = &[
    // Keys that are close to one.
    (
        r#"{"type":"tuning","sysctls":{}}"#,
        &[r#"3:18: warning: "sysctls" is not a key of tuning and is ignored, write sysctl"#],
    ),
    (
        r#"{"type":"tuning","mtuu":1}"#,
        &["3:18: warning: \"mtuu\""],
    ),
    (
        r#"{"type":"tuning","promsic":true}"#,
        &["3:18: warning: \"promsic\""],
    ),
    (
        r#"{"type":"tuning","allmutli":true}"#,
        &["3:18: warning: \"allmutli\""],
    ),
    (
        r#"{"type":"tuning","txQueueLen":5}"#,
        &["3:18: warning: \"txQueueLen\""],
    ),
    (
        r#"{"type":"tuning","datadir_":"/x"}"#,
        &["3:18: warning: \"datadir_\""],
    ),
    (
        r#"{"type":"tuning","ofload":{}}"#,
        &["3:18: warning: \"ofload\""],
    ),
    (
        r#"{"type":"tuning","logLevl":"debug"}"#,
        &["3:18: warning: \"logLevl\""],
    ),
    (
        r#"{"type":"tuning","log_file":"/x"}"#,
        &["3:18: warning: \"log_file\""],
    ),
    (
        r#"{"type":"bandwidth","ingresRate":8}"#,
        &[
            "3:1: warning: bandwidth has no rate",
            "3:21: warning: \"ingresRate\" is not a key of bandwidth and is ignored, write ingressRate",
        ],
    ),
    (
        r#"{"type":"bandwidth","egressRate":8000,"unshapedSubnet":[]}"#,
        &["3:39: warning: \"unshapedSubnet\""],
    ),
    (
        r#"{"type":"bandwidth","egressRate":8000,"burstPolcy":"auto"}"#,
        &["3:39: warning: \"burstPolcy\""],
    ),
    (r#"{"masqall_":true,@}"#, &["3:2: warning: \"masqall_\""]),
    (
        r#"{"conditionV4":[],@}"#,
        &["3:2: warning: \"conditionV4\""],
    ),
    (
        r#"{"externalSetMarkChains":"X",@}"#,
        &["3:2: warning: \"externalSetMarkChains\""],
    ),
    (
        r#"{"type":"tuning","args":{"cni":{"sysctls":{}}}}"#,
        &["3:33: warning: \"sysctls\" is not a key of cni"],
    ),
    // Keys in the wrong place.
    (
        r#"{"type":"bandwidth","bandwidth":{"ingressRate":8}}"#,
        &[
            "3:1: warning: bandwidth has no rate",
            "3:21: warning: \"bandwidth\" is not a key of bandwidth",
        ],
    ),
    (
        r#"{"type":"bandwidth","trafficShaping":true}"#,
        &[
            "3:1: warning: bandwidth has no rate",
            "3:21: warning: \"trafficShaping\"",
        ],
    ),
    (
        r#"{"portMapping":[],@}"#,
        &["3:2: warning: \"portMapping\" is not a key of portmap"],
    ),
    (
        r#"{"portMappings":[],@}"#,
        &["3:2: warning: \"portMappings\" is not a key of portmap"],
    ),
    (r#"{"hostPort":80,@}"#, &["3:2: warning: \"hostPort\""]),
    (
        r#"{"sysctl":{},@}"#,
        &["3:2: warning: \"sysctl\" is a key of tuning; portmap ignores it"],
    ),
    (
        r#"{"type":"tuning","ingressRate":5}"#,
        &["3:18: warning: \"ingressRate\" is a key of bandwidth"],
    ),
    (
        r#"{"type":"tuning","snat":true}"#,
        &["3:18: warning: \"snat\" is a key of portmap"],
    ),
    (
        r#"{"type":"portmap","runtimeConfig":{"portMappings":[]}}"#,
        &["3:19: warning: runtimeConfig is for the runtime to send"],
    ),
    (
        r#"{"type":"tuning","prevResult":{}}"#,
        &["3:18: warning: prevResult is for the runtime"],
    ),
    (
        r#"{"type":"tuning","cni.dev/valid-attachments":[]}"#,
        &["3:18: warning: cni.dev/valid-attachments"],
    ),
    (
        r#"{"type":"tuning","mtu":1400,"MTU":1500}"#,
        &["3:18: warning: mtu appears twice"],
    ),
    // Capabilities.
    (
        r#"{"type":"portmap"}"#,
        &[
            "3:1: warning: portmap gets no ports from the runtime, write \"capabilities\": {\"portMappings\": true}",
        ],
    ),
    (
        r#"{"type":"portmap","capabilities":{"portMappings":false}}"#,
        &["3:19: warning: portmap gets no ports"],
    ),
    (
        r#"{"type":"portmap","capabilities":{"portMapping":true}}"#,
        &["3:35: warning: \"portMapping\" is not a capability"],
    ),
    (
        r#"{"type":"portmap","capabilities":{"portmappings":true}}"#,
        &["3:35: warning: \"portmappings\" is not a capability"],
    ),
    (
        r#"{"type":"portmap","capabilities":{"bandwidth":true}}"#,
        &["3:35: warning: bandwidth is a capability of bandwidth"],
    ),
    (
        r#"{"type":"portmap","capability":{"portMappings":true}}"#,
        &[
            "3:1: warning: portmap gets no ports",
            "3:19: warning: \"capability\" is not a key",
        ],
    ),
    (
        r#"{"type":"bandwidth"}"#,
        &["3:1: warning: bandwidth has no rate and gets none from the runtime"],
    ),
    (
        r#"{"type":"bandwidth","capabilities":{"bandwith":true}}"#,
        &["3:37: warning: \"bandwith\" is not a capability"],
    ),
    (
        r#"{"type":"bandwidth","capabilities":{"trafficShaping":true}}"#,
        &["3:37: warning: \"trafficShaping\" is not a capability"],
    ),
    (
        r#"{"type":"tuning","capabilities":["mac"]}"#,
        &["3:18: error: plugins[1]: plugin tuning: capabilities"],
    ),
    // What ADD refuses.
    (
        r#"{"type":"tuning","mtu":"big"}"#,
        &[
            "3:18: error: tuning: mtu: expected an integer of 64 bits, got \"big\", write a number from 0 to 4294967295",
        ],
    ),
    (
        r#"{"type":"tuning","mtu":-1}"#,
        &["3:18: error: tuning: mtu = -1"],
    ),
    (
        r#"{"type":"tuning","mac":"x"}"#,
        &["3:18: error: tuning: mac = \"x\""],
    ),
    (
        "{\"type\":\"tuning\",\n \"promisc\":1,\n\"txQLen\":\"1\"}",
        &[
            "4:2: error: tuning: promisc: expected a boolean, got 1, write true or false",
            "5:1: error: tuning: txQLen",
        ],
    ),
    (
        r#"{"type":"tuning","sysctl":{"net.core.somaxconn":"1","kernel.x":"1"}}"#,
        &["3:53: error: tuning: sysctl.\"kernel.x\""],
    ),
    (
        r#"{"type":"tuning","sysctl":{"net.core.a":[],"net.core.b":{}}}"#,
        &[
            "3:28: error: tuning: sysctl.net.core.a",
            "3:44: error: tuning: sysctl.net.core.b",
        ],
    ),
    (
        r#"{"type":"tuning","sysctl":[]}"#,
        &["3:18: error: tuning: sysctl: expected an object"],
    ),
    (
        r#"{"type":"tuning","args":{"cni":{"mtu":true}}}"#,
        &["3:33: error: tuning: args.cni.mtu"],
    ),
    (
        r#"{"type":"tuning","logLevel":"loud"}"#,
        &["3:18: error: tuning: logLevel = \"loud\""],
    ),
    (
        r#"{"type":"tuning","dataDir":5}"#,
        &["3:18: error: tuning: dataDir"],
    ),
    (
        r#"{"backend":"ipvs",@}"#,
        &["3:2: error: portmap: backend = \"ipvs\": expected iptables or nftables"],
    ),
    (
        r#"{"markMasqBit":32,@}"#,
        &["3:2: error: portmap: markMasqBit = 32"],
    ),
    (
        r#"{"markMasqBit":3,"externalSetMarkChain":"X",@}"#,
        &["3:2: error: portmap: markMasqBit"],
    ),
    (r#"{"snat":"yes",@}"#, &["3:2: error: portmap: snat"]),
    (
        r#"{"onConflict":"keep",@}"#,
        &["3:2: error: portmap: onConflict"],
    ),
    (
        r#"{"conditionsV4":["-s","10.0.0.0/8","-j","DROP"],@}"#,
        &["3:36: error: portmap: conditionsV4[2]"],
    ),
    (
        r#"{"backend":"nftables","conditionsV4":["-s","10.0.0.0/8"],@}"#,
        &["3:23: error: portmap: conditionsV4"],
    ),
    (
        r#"{"type":"bandwidth","ingressRate":[]}"#,
        &["3:21: error: bandwidth: ingressRate"],
    ),
    (
        r#"{"type":"bandwidth","egressRate":7}"#,
        &["3:21: error: bandwidth: egressRate is 7"],
    ),
    (
        r#"{"type":"bandwidth","egressRate":8000,"latencyMs":0}"#,
        &["3:39: error: bandwidth: latencyMs is 0"],
    ),
    (
        r#"{"type":"bandwidth","egressRate":8000,"shapedSubnets":["10.0.0.0"]}"#,
        &["3:56: error: bandwidth: shapedSubnets[0]"],
    ),
    // The plugin, and the order.
    (r#"{"type":"tunning"}"#, &["3:2: warning: type \"tunning\""]),
    (r#"{"type":"Portmap"}"#, &["3:2: warning: type \"Portmap\""]),
    ("{@},\n{@}", &["4:2: warning: portmap appears twice"]),
    (
        "{@,\"conditionsV4\":[]},\n{@,\"hostAddresses\":null}",
        &["4:2: warning: portmap appears twice"],
    ),
    (
        "{@},\n{\"type\":\"bridge\"}",
        &["4:2: warning: bridge starts a new result, after portmap"],
    ),
    (
        "{\"type\":\"bandwidth\",\"egressRate\":8000},\n{\"type\":\"tuning\",\"mtu\":1400}",
        &["4:2: warning: tuning sets the MTU after bandwidth"],
    ),
];

/// Whole files.
pub const FILES: &[Wrong] = &[
    ("a.conflist", "{\n \"name\": }", &["2:10: error: not JSON"]),
    ("a.conflist", "", &["1:1: error: not JSON"]),
    ("a.conflist", "[]", &["1:1: error: expected an object"]),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}"#,
        &["1:1: error: has no \"name\""],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"a b","plugins":[{"type":"ptp"}]}"#,
        &["1:23: error: network name"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.9.0","name":"n","plugins":[{"type":"ptp"}]}"#,
        &["1:2: error: cniVersion \"1.9.0\" is unknown, write \"1.1.0\""],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"ptp"},{"type":"bandwidth","egressRate":8000}]}"#,
        &["1:2: error: bandwidth does not know cniVersion \"0.2.0\""],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#,
        &["1:34: error: \"plugins\" is empty"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},{"mtu":5}]}"#,
        &["1:60: error: plugins[1]"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","type":"ptp"}"#,
        &["1:34: error: a .conflist holds a list, and this is one plugin"],
    ),
    (
        "a.conf",
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}"#,
        &["1:34: error: a .conf holds one plugin, and this is a list"],
    ),
    (
        "a.conf",
        r#"{"cniVersion":"1.0.0","name":"n","type":"tuning","mtu":5}"#,
        &["1:34: error: tuning is the first plugin"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"},
{"type":"tuning","mtu":1400,"promisc":false,"sysctl":{"net.core.somaxconn":"500","net.ipv4.conf.IFNAME.arp_filter":1},"offload":{"tx":true}},
{"type":"tuning","mtu":1300,"promisc":true,"sysctl":{"net/core/somaxconn":600,"net.ipv4.conf.IFNAME.arp_filter":"1"},"offload":{"tx":false}},
{"type":"tuning","MTU":1300,"mac":""}]}"#,
        &[
            "3:18: warning: mtu is 1300 here and 1400 in an earlier tuning: CHECK of that one fails, write it once",
            "3:54: warning: net/core/somaxconn is 600 here and 500",
            "3:129: warning: offload.tx is false here and true",
        ],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"tuning","mtu":5},{"type":"ptp"}]}"#,
        &[
            "1:46: error: tuning is the first plugin",
            "1:72: warning: ptp starts a new result",
        ],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","mtu":5,"plugins":[{"type":"ptp"}]}"#,
        &[
            "1:34: warning: \"mtu\" is not a key of a list and is ignored, write it in the entry of tuning",
        ],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","capabilities":{},"plugins":[{"type":"ptp"}]}"#,
        &["1:34: warning: \"capabilities\" is not a key of a list"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","disableChek":true,"plugins":[{"type":"ptp"}]}"#,
        &["1:34: warning: \"disableChek\" is not a key of a list"],
    ),
    (
        "a.conflist",
        r#"{"cniVersion":"1.0.0","name":"n","disablegc":true,"plugins":[{"type":"ptp"}]}"#,
        &["1:34: warning: \"disablegc\" is not read in this spelling, write \"disableGC\""],
    ),
];
