//! STATUS fails where every ADD of the network would.

use super::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(what_every_add_refuses_status_refuses);

fn what_every_add_refuses_status_refuses(backend: Backend) {
    let host = Host::usual(backend);
    for (options, code) in [
        (r#""snat":"x","#, 6),
        (r#""masqAll":7,"#, 6),
        (r#""markMasqBit":99,"#, 7),
        (r#""markMasqBit":"x","#, 6),
        (r#""markMasqBit":1,"externalSetMarkChain":"X","#, 7),
        (r#""externalSetMarkChain":"","#, 7),
        (r#""onConflict":"x","#, 7),
        (r#""conditionsV4":7,"#, 6),
        (r#""conditionsV6":["-s",7],"#, 6),
        (r#""conditionsV4":["ip","saddr","10.0.0.1"],"#, 7),
        (r#""conditionsV4":["-j","ACCEPT"],"#, 7),
        (r#""conditionsV4":["-m","no-such-match"],"#, 7),
        (r#""conditionsV6":["-s","10.0.0.1"],"#, 7),
        (r#""conditionsV4":["-m","recent","--set"],"#, 7),
    ] {
        let add = request(options, &mapping("tcp", 8080, 80));
        host.fails(&host.call("ADD", &add), code);
        let mut network =
            format!(r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap",{options}"x":1}}"#);
        network.retain(|c| c != '\n');
        host.fails(&host.call("STATUS", &network), code);
    }
    let sound = r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","conditionsV4":["-s","10.0.0.0/8"],"conditionsV6":["-s","fd00::/8"],"markMasqBit":3}"#;
    host.run("STATUS", sound);
    host.is_clean();
}
