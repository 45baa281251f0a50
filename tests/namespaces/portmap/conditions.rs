//! `conditionsV4` and `conditionsV6` with iptables: tests of packets and nothing else.

use super::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(
    conditions_that_do_more_than_test_are_refused_and_nothing_stays,
    a_condition_that_becomes_several_rules_is_one_condition,
    a_comment_in_conditions_owns_nothing,
    what_looks_like_a_part_of_a_jump_is_a_condition,
    what_iptables_saves_and_restores_is_the_same_condition,
    what_a_killed_try_left_goes_with_gc_and_with_the_next_try,
);

const SCRATCH: &str = "CNI-HOSTPORT-SCRATCH";
/// Gives the first jump another condition.
const CHANGED: &str = "-t nat -R CNI-HOSTPORT-DNAT 1 -s 10.9.0.9 -p tcp -m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\" -m multiport --dports 8080 -j CNI-DN-e3b332d931428973f7ef7";

fn of(words: &str) -> String {
    let options = format!(r#""conditionsV4":{words},"#);
    request(&options, &mapping("tcp", 8080, 80))
}

fn conditions_that_do_more_than_test_are_refused_and_nothing_stays(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request("", &mapping("tcp", 1000, 80)));
    let before = host.state();
    let marker = host.directory.join("ran");
    let modprobe = format!(r#"["--modprobe=touch {}","-m","set"]"#, marker.display());
    let list = (1..=17).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>();
    let list = list.join(",");
    let many = format!(r#"["-s","{list}","-d","{list}"]"#);
    for words in [
        &many,
        r#"["-h"]"#,
        r#"["-s","10.0.0.0/8","--help"]"#,
        r#"["-V"]"#,
        r#"["-L"]"#,
        r#"["-Z"]"#,
        r#"["-jACCEPT"]"#,
        r#"["--jum","ACCEPT"]"#,
        r#"["-g","CNI-HOSTPORT-DNAT"]"#,
        r#"["-tmangle"]"#,
        r#"["-vM","/bin/true"]"#,
        r#"["-m","recent","--set","--name","others"]"#,
        r#"["-m","recent","--remove","--name","others"]"#,
        r#"["-m","recent","--update","--name","others"]"#,
        r#"["-m","hashlimit","--hashlimit-upto","1/s","--hashlimit-name","others"]"#,
        &modprobe,
    ] {
        let call = host.call("ADD", &of(words));
        let said = host.fails(&call.env("CNI_CONTAINERID", "cid-0002"), 7);
        assert!(said.contains("conditionsV4"), "{said}");
        assert_eq!(host.state(), before, "{words}");
    }
    assert!(!marker.exists());
}

fn a_condition_that_becomes_several_rules_is_one_condition(backend: Backend) {
    let host = Host::usual(backend);
    for words in [
        r#"["-s","10.9.0.1,10.9.0.2"]"#,
        r#"["-s","10.9.0.1,10.9.0.2","-d","192.0.2.0/24,198.51.100.1"]"#,
        r#"["-m","mark","!","--mark","0x1"]"#,
        r#"["!","-f"]"#,
    ] {
        let request = of(words);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        let state = host.state();
        host.run("ADD", &request);
        assert_eq!(host.state(), state, "{words}");
        // The same rule, but for the condition.
        host.iptables("iptables", CHANGED);
        host.drifted(&request, "conditions of the rules of CNI-HOSTPORT-DNAT");
        host.run("ADD", &request);
        assert_eq!(host.state(), state, "{words}");
        host.iptables("iptables", "-t nat -D CNI-HOSTPORT-DNAT 1");
        host.fails(&host.call("CHECK", &request), 101);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        host.run("DEL", &request);
        host.is_clean();
    }
}

/// As a firewall's service does at a restart. A mask that nobody named has a name then.
fn what_iptables_saves_and_restores_is_the_same_condition(backend: Backend) {
    let host = Host::usual(backend);
    let infix = backend.infix();
    let lock = host.directory.join("lock").display().to_string();
    let script =
        format!("export XTABLES_LOCKFILE={lock}; iptables-{infix}-save | iptables-{infix}-restore");
    let others = "s/name x/name y/; s/upto 9/upto 8/; s/probability 0.5/probability 0.2/; s/-s 10.9/-s 10.8/";
    let changed = script.replace("|", &format!("| sed '{others}' |"));
    for words in [
        r#"["-m","recent","--rcheck","--name","x"]"#,
        r#"["-m","connlimit","--connlimit-upto","9"]"#,
        r#"["-m","statistic","--mode","random","--probability","0.5"]"#,
        r#"["-s","10.9.0.1,10.9.0.2"]"#,
    ] {
        let request = of(words);
        host.run("ADD", &request);
        host.net.host.sh(["sh", "-c", &script]);
        host.run("CHECK", &request);
        let before = host.state();
        host.run("ADD", &request);
        assert_eq!(host.state(), before, "{words}");
        host.net.host.sh(["sh", "-c", &changed]);
        host.drifted(&request, "conditions");
        host.run("DEL", &request);
        host.is_clean();
    }
}

fn a_comment_in_conditions_owns_nothing(backend: Backend) {
    let host = Host::usual(backend);
    let victim = r#"dnat name: \"a\" id: \"b\""#;
    let request = of(&format!(r#"["-m","comment","--comment","{victim}"]"#));
    host.run("ADD", &request);
    host.run("CHECK", &request);
    let state = host.state();
    // GC of the network that the comment names.
    let gc = r#"{"cniVersion":"1.1.0","name":"a","type":"portmap","x":1}"#;
    host.run("GC", gc);
    assert_eq!(host.state(), state);
    host.run("DEL", &request);
    host.is_clean();
}

fn what_looks_like_a_part_of_a_jump_is_a_condition(backend: Backend) {
    let host = Host::usual(backend);
    let older = host.call("ADD", &request("", &mapping("tcp", 8080, 80)));
    let older = |verb| {
        host.ok(&older
            .clone()
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", "older"))
    };
    older("ADD");
    let before = host.state();
    for words in [
        r#"["-m","string","--algo","bm","--string=-j"]"#,
        r#"["-m","comment","--comment=-g"]"#,
        r#"["-m","recent","--rcheck","--name=-m"]"#,
        r#"["-d","10.99.0.1"]"#,
        r#"["-m","multiport","!","--sports","1,2"]"#,
        r#"["-m","multiport","--dports","1"]"#,
    ] {
        let request = of(words);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        let state = host.state();
        host.run("ADD", &request);
        assert_eq!(host.state(), state, "{words}");
        host.run("DEL", &request);
        assert_eq!(host.state(), before, "{words}");
    }
    older("DEL");
    host.is_clean();
}

fn what_a_killed_try_left_goes_with_gc_and_with_the_next_try(backend: Backend) {
    let host = Host::usual(backend);
    let request = of(r#"["-s","10.9.0.0/24"]"#);
    let gc = r#"{"cniVersion":"1.1.0","name":"x","type":"portmap","x":1}"#;
    for (verb, input) in [("GC", gc), ("ADD", &request), ("CHECK", &request)] {
        host.iptables("iptables", &format!("-t nat -N {SCRATCH}"));
        host.iptables("iptables", &format!("-t nat -A {SCRATCH} -p tcp -j RETURN"));
        host.run(verb, input);
        let nat = host.nat("iptables");
        assert!(!nat.contains(SCRATCH), "{verb}: {nat}");
    }
}
