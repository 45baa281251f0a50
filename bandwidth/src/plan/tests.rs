use super::*;
use crate::queue::QueuePolicy;
use crate::tbf::BurstPolicy;

fn facts(side: Side) -> Facts {
    Facts {
        side,
        link: "veth0".into(),
        mtu: 1500,
        gso: 65_536,
        ingress_ifb: "bwp1".into(),
        egress_ifb: "bwe1".into(),
    }
}

fn config(subnets: Subnets) -> Config {
    Config {
        ingress: Some(Limit {
            rate: 8_000_000,
            burst: 800_000,
        }),
        egress: Some(Limit {
            rate: 16_000_000,
            burst: 1_600_000,
        }),
        subnets,
        burst_policy: BurstPolicy::Auto,
        queue: QueuePolicy::Auto,
        latency: LATENCY,
        filter_priority: None,
    }
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts
        .iter()
        .map(|t| Prefix::from_text(t).unwrap())
        .collect()
}

fn printed(config: &Config, side: Side) -> String {
    Plan::new(config, &facts(side)).to_string()
}

#[test]
fn a_veth_has_a_root_qdisc_and_an_ifb() {
    let plan = "\
dev veth0 root tbf rate 8000000bit burst 100000b (1562500 ticks) limit 125000b
dev bwp1 type ifb mtu 1500 up
dev bwp1 root tbf rate 16000000bit burst 200000b (1562500 ticks) limit 250000b
dev veth0 ingress protocol all u32 match everything redirect bwp1
";
    assert_eq!(printed(&config(Subnets::All), Side::Host), plan);
}

#[test]
fn in_the_container_the_directions_are_swapped() {
    let plan = printed(&config(Subnets::All), Side::Container);
    assert!(
        plan.contains("dev veth0 root tbf rate 16000000bit"),
        "{plan}"
    );
    assert!(plan.contains("dev bwp1 root tbf rate 8000000bit"), "{plan}");
}

#[test]
fn subnets_need_a_detour_in_both_directions_and_match_the_far_end() {
    let except = Subnets::Except(prefixes(&["fd00::/72", "10.0.0.0/8"]));
    let plan = "\
dev bwp1 type ifb mtu 1500 up
dev bwp1 root tbf rate 16000000bit burst 200000b (1562500 ticks) limit 250000b
dev veth0 ingress protocol ip u32 match 0a000000/ff000000 at 16 pass bwp1
dev veth0 ingress protocol ipv6 u32 match fd000000/ffffffff at 24, 00000000/ffffffff at 28, 00000000/ff000000 at 32 pass bwp1
dev veth0 ingress protocol all u32 match everything redirect bwp1
dev bwe1 type ifb mtu 1500 up
dev bwe1 root tbf rate 8000000bit burst 100000b (1562500 ticks) limit 125000b
dev veth0 egress protocol ip u32 match 0a000000/ff000000 at 12 pass bwe1
dev veth0 egress protocol ipv6 u32 match fd000000/ffffffff at 8, 00000000/ffffffff at 12, 00000000/ff000000 at 16 pass bwe1
dev veth0 egress protocol all u32 match everything redirect bwe1
";
    assert_eq!(printed(&config(except), Side::Host), plan);
}

#[test]
fn shaped_subnets_redirect_nothing_else() {
    let only = Subnets::Only(prefixes(&["10.1.2.3/32", "0.0.0.0/0", "::/0"]));
    let plan = Plan::new(&config(only), &facts(Side::Container));
    let texts: Vec<String> = plan
        .detour(Hook::Egress)
        .unwrap()
        .filters
        .iter()
        .map(ToString::to_string)
        .collect();
    let expected = [
        "protocol ip u32 match 0a010203/ffffffff at 16 redirect",
        "protocol ip u32 match everything redirect",
        "protocol ipv6 u32 match everything redirect",
    ];
    assert_eq!(texts, expected);
    assert_eq!(plan.root, None);
}

#[test]
fn a_direction_without_limit_is_not_planned() {
    let mut one = config(Subnets::All);
    one.egress = None;
    let plan = Plan::new(&one, &facts(Side::Host));
    assert!(plan.root.is_some() && plan.detours.is_empty());
}

#[test]
fn a_bucket_that_holds_no_frame_is_remarked_upon() {
    let mut small = config(Subnets::All);
    assert!(Plan::new(&small, &facts(Side::Host)).too_small().is_empty());
    small.egress = Some(Limit {
        rate: 1_000_000,
        burst: 8_000,
    });
    let remarks = Plan::new(&small, &facts(Side::Host)).too_small();
    assert_eq!(
        remarks,
        ["bwp1: no frame of 1514 bytes ever passes, because the burst is 1000 bytes"]
    );
}
