use super::*;

#[test]
fn spellings_of_one_rule_mean_the_same() {
    for (a, b) in [
        (
            "-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.2:80",
            "-p TCP -m tcp --destination-port 80 --jump DNAT --to-destination 10.22.0.2:80",
        ),
        ("-s 10.22.0.2/16 -p udp -j X", "-p udp -s 10.22.0.0/16 -j X"),
        ("-s 127.0.0.1 -j X", "-s 127.0.0.1/32 -j X"),
        ("-s 0.0.0.0/0 -p tcp -j X", "-p tcp -m tcp -j X"),
        ("-d 2001:DB8:0::1 -j X", "-d 2001:db8::1/128 -j X"),
        (
            "-j MARK --or-mark 8192",
            "-j MARK --set-xmark 0x2000/0x2000",
        ),
        (
            "-j DNAT --to-destination [fd00:0::2]:80",
            "-j DNAT --to-destination [fd00::2]:80",
        ),
        (
            "-j DNAT --to-destination fd00:0::2",
            "-j DNAT --to-destination fd00::2",
        ),
    ] {
        assert!(
            same(a, b),
            "{a} | {b}: {:?} {:?}",
            Meaning::of(a),
            Meaning::of(b)
        );
    }
}

#[test]
fn rules_that_differ_do_not_mean_the_same() {
    for (a, b) in [
        ("-p tcp -j X", "! -p tcp -j X"),
        ("-p tcp -j X", "-p tcp -g X"),
        (
            "-p tcp -m tcp --dport 80 -j X",
            "-p tcp -m tcp ! --dport 80 -j X",
        ),
        (
            "-p tcp -m tcp --dport 80 -j X",
            "-p tcp -m tcp --sport 80 -j X",
        ),
        (
            "-p tcp -m tcp --dport 80 -j X",
            "-p udp -m udp --dport 80 -j X",
        ),
        ("-s 10.0.0.0/8 -j X", "-d 10.0.0.0/8 -j X"),
        (
            "-j DNAT --to-destination 1.1.1.1:1",
            "-j DNAT --to-destination 1.1.1.1:1 --random",
        ),
        ("-j MARK --set-xmark 0x1/0x1", "-j MARK --set-xmark 0x2/0x2"),
        ("-i lo -j X", "! -i lo -j X"),
    ] {
        assert!(!same(a, b), "{a} | {b}");
    }
}

#[test]
fn the_value_of_a_text_is_no_option() {
    for option in TEXTS {
        for value in ["-j", "-g", "!", "-m", "-s", "--jump"] {
            let rule = format!("-p tcp -m x {option} {value} --y -j Z");
            let meaning = Meaning::of(&rule);
            let part = ["x", option, value, "--y"];
            assert_eq!(meaning.goes_to(), "Z", "{rule}");
            assert!(meaning.matches.iter().any(|p| *p == part), "{rule}");
        }
    }
}

#[test]
fn the_ports_of_a_rule_are_those_of_its_first_list() {
    for rule in [
        "-m multiport --dports 80,81 -m multiport ! --sports 1 -j X",
        "-m multiport ! --dports 1 -m multiport --dports 80,81 -m multiport --dports 8 -j X",
    ] {
        assert_eq!(Meaning::of(rule).ports(), Some("80,81"), "{rule}");
    }
    assert_eq!(Meaning::of("-m multiport ! --dports 80 -j X").ports(), None);
}

#[test]
fn no_text_is_too_strange_to_be_read() {
    for text in [
        "",
        "!",
        "-m",
        "-j",
        "-s",
        "\"",
        "-g -g",
        "--x",
        "-s a/b/c -d 1/99",
        "-m m ! !",
    ] {
        let _ = Meaning::of(text);
    }
}
