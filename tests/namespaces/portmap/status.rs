//! STATUS fails where every ADD of the network would.

use super::node::{Backend, Host, mapping, on_every_backend, request};

on_every_backend!(what_every_add_refuses_status_refuses);

fn what_every_add_refuses_status_refuses(backend: Backend) {
    let host = Host::usual(backend);
    let common = [
        (r#""snat":"x","#, 6),
        (r#""masqAll":7,"#, 6),
        (r#""markMasqBit":99,"#, 7),
        (r#""markMasqBit":"x","#, 6),
        (r#""markMasqBit":1,"externalSetMarkChain":"X","#, 7),
        (r#""externalSetMarkChain":"","#, 7),
        (r#""onConflict":"x","#, 7),
        (r#""conditionsV4":7,"#, 6),
        (r#""conditionsV6":["-s",7],"#, 6),
    ];
    let (conditions, sound): (&[&str], [&str; 2]) = match backend {
        Backend::Nftables => (
            &[
                r#""conditionsV4":["-s","10.0.0.1"],"#,
                r#""conditionsV4":["drop"],"#,
                r#""conditionsV6":["ip","saddr","10.0.0.1"],"#,
                r#""conditionsV4":["counter"],"#,
            ],
            [
                r#"["ip","saddr","10.0.0.0/8"]"#,
                r#"["ip6","saddr","fd00::/8"]"#,
            ],
        ),
        _ => (
            &[
                r#""conditionsV4":["ip","saddr","10.0.0.1"],"#,
                r#""conditionsV4":["-j","ACCEPT"],"#,
                r#""conditionsV4":["-m","no-such-match"],"#,
                r#""conditionsV6":["-s","10.0.0.1"],"#,
                r#""conditionsV4":["-m","recent","--set"],"#,
                // Which the kernel refuses for their hook alone.
                r#""conditionsV4":["-m","mac","--mac-source","02:00:00:00:00:01"],"#,
                r#""conditionsV6":["-m","mac","--mac-source","02:00:00:00:00:01"],"#,
                r#""conditionsV4":["-m","owner","--uid-owner","0"],"#,
                r#""conditionsV4":["-m","realm","--realm","1"],"#,
            ],
            [r#"["-s","10.0.0.0/8"]"#, r#"["-s","fd00::/8"]"#],
        ),
    };
    let network = |options: &str| {
        let backend = backend.key();
        format!(
            r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap","backend":"{backend}",{options}"x":1}}"#
        )
    };
    let conditions = conditions.iter().map(|options| (*options, 7));
    for (options, code) in common.into_iter().chain(conditions) {
        let add = request(options, &mapping("tcp", 8080, 80));
        host.fails(&host.call("ADD", &add), code);
        host.fails(&host.call("STATUS", &network(options)), code);
    }
    for (bad, code) in [
        ("7".to_owned(), 6),
        (mapping("tcp", 0, 80), 7),
        (mapping("icmp", 8080, 80), 7),
    ] {
        host.fails(&host.call("ADD", &request("", &bad)), code);
        let runtime = format!(r#""runtimeConfig":{{"portMappings":[{bad}]}},"#);
        host.fails(&host.call("STATUS", &network(&runtime)), code);
    }
    let [v4, v6] = sound;
    let options = format!(r#""conditionsV4":{v4},"conditionsV6":{v6},"markMasqBit":3,"#);
    host.run("STATUS", &network(&options));
    host.is_clean();
}
