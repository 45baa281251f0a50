//! Configurations of every shape are applied, pass CHECK, can be applied again, and leave nothing.

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request, request_of};

on_every_backend!(configurations_of_every_shape_pass_check_and_leave_nothing);

fn shapes(backend: Backend) -> Vec<String> {
    let one = mapping("tcp", 8080, 80);
    let many = |count: u16| {
        let list: Vec<String> = (0..count).map(|n| mapping("tcp", 9000 + n, 80)).collect();
        list.join(",")
    };
    let all = [
        one.clone(),
        mapping("udp", 8080, 81),
        mapping("sctp", 8080, 82),
    ]
    .join(",");
    let on = |ip: &str| mapping_on(ip, "tcp", 8080, 80);
    let mut shapes = vec![
        request("", &one),
        request("", &mapping("TCP", 8080, 80)),
        request("", &mapping("Udp", 1, 65535)),
        request("", &mapping("sctp", 65535, 1)),
        request("", &all),
        request("", &many(15)),
        request("", &many(16)),
        request("", &many(100)),
        request(r#""snat":false,"#, &all),
        request(r#""snat":true,"masqAll":true,"#, &all),
        request(r#""snat":false,"masqAll":true,"#, &one),
        request(
            r#""markMasqBit":null,"snat":null,"onConflict":"replace","#,
            &one,
        ),
        request(r#""onConflict":"error","#, &all),
        request("", &on("0.0.0.0")),
        request("", &on("::")),
        request("", &on("10.99.0.1")),
        request("", &on("127.0.0.1")),
        request("", &on("::ffff:10.99.0.1")),
        request("", &on("FD99:0000::0:1")),
        request(
            "",
            &[on("10.99.0.1"), on("10.22.0.1"), on("fd99::1")].join(","),
        ),
        request("", &[on("10.99.0.1"), one.clone()].join(",")),
        request("", &[one.clone(), one.clone()].join(",")),
        request("", ""),
        request_of("", &all, &["10.22.0.2/16"]),
        request_of("", &all, &["fd00:22::2/64"]),
        request_of("", &all, &["10.22.0.2/32", "fd00:22::2/128"]),
        request_of("", &all, &["10.22.0.2/0", "fd00:22::2/0"]),
        request_of(
            "",
            &all,
            &[
                "10.22.0.2/16",
                "10.22.0.7/16",
                "fd00:22::2/64",
                "fd00:22::7/64",
            ],
        ),
        request_of("", &on("::"), &["10.22.0.2/16"]),
    ];
    if backend.key() == "iptables" {
        shapes.extend([
            request(r#""markMasqBit":0,"#, &one),
            request(r#""markMasqBit":31,"#, &one),
            request(r#""externalSetMarkChain":"MISSING","#, &one),
            request(r#""conditionsV4":[""],"conditionsV6":[],"#, &one),
            request(
                r#""conditionsV4":["-s","10.0.0.0/8","!","-d","10.99.0.0/255.255.255.0"],"#,
                &all,
            ),
            request(
                r#""conditionsV4":["-m","conntrack","--ctstate","RELATED,NEW"],"#,
                &all,
            ),
            request(
                r#""conditionsV6":["-m","comment","--comment","it's \"a\" \\ b"],"#,
                &all,
            ),
            request(
                r#""conditionsV4":["-m","iprange","--src-range","10.0.0.1-10.0.0.9"],"#,
                &many(40),
            ),
        ]);
    }
    shapes
}

fn configurations_of_every_shape_pass_check_and_leave_nothing(backend: Backend) {
    let host = Host::usual(backend);
    for request in shapes(backend) {
        let call = |verb| {
            let answer = host.call(verb, &request).run(&host.net.host).unwrap();
            assert_eq!(answer.code, Some(0), "{verb} {request}: {}", answer.stdout);
        };
        call("ADD");
        let first = host.state();
        call("CHECK");
        call("ADD");
        assert_eq!(host.state(), first, "{request}");
        call("CHECK");
        call("DEL");
        host.is_clean();
        call("DEL");
    }
}
