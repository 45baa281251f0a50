use super::*;
use crate::tc::{HOOK_EGRESS, HOOK_INGRESS, HOOKS};
use common::sys::netlink::Message;

fn read_back(written: &Rule, parent: Handle) -> Filter {
    listed(written, parent, parent)
}

/// A filter of one hook as the kernel lists it under another.
fn listed(written: &Rule, of: Handle, under: Handle) -> Filter {
    let attributes = [Nla::text(TCA_KIND, "u32"), options(written, Flows::of(of))];
    let body = about(7, under, (1, 3)).body(&attributes).unwrap();
    let message = Message {
        kind: libc::RTM_NEWTFILTER,
        sequence: 1,
        body,
    };
    decode(&message, 7).unwrap()
}

#[test]
fn a_place_of_ours_alone_is_deleted_whole_and_one_that_is_shared_filter_by_filter() {
    let filter = |priority, handle| Filter {
        kind: "u32".into(),
        handle,
        priority,
        protocol: 3,
        chain: 0,
        rule: Some(Rule {
            keys: Vec::new(),
            verdict: Verdict::Pass,
        }),
    };
    let (a, b) = (filter(1, 0x8000_0800), filter(1, 0x8000_0801));
    let (c, d) = (filter(2, 0x8010_0800), filter(3, 0x8020_0800));
    // The second is in another hash table, and so on the other hook.
    let others = [filter(2, 0x8010_0801), filter(3, 0x8030_0800)];
    let others: Vec<&Filter> = others.iter().collect();
    let deletions = deletions(&[&a, &b, &c, &d], &others);
    let handles: Vec<u32> = deletions.iter().map(|d| d.handle).collect();
    assert_eq!(handles, [0, 0x8010_0800, 0]);
    assert!(deletions[0].takes(&a) && deletions[0].takes(&b) && !deletions[0].takes(&c));
}

#[test]
fn a_place_is_not_deleted_whole_for_a_filter_that_may_be_on_the_other_hook() {
    let filter = |handle| Filter {
        kind: "u32".into(),
        handle,
        priority: 1,
        protocol: 3,
        chain: 0,
        rule: Some(Rule {
            keys: Vec::new(),
            verdict: Verdict::Other("flowid 9:9".into(), Some(42)),
        }),
    };
    let (own, other) = (filter(0x8000_0800), filter(0x8010_0800));
    let handles = |others: &[&Filter]| -> Vec<u32> {
        let deletions = deletions(&[&own], others);
        deletions.iter().map(|d| d.handle).collect()
    };
    assert_eq!(handles(&[&other]), [0x8000_0800]);
    assert_eq!(handles(&[]), [0]);
}

#[test]
fn what_u32_lists_under_the_other_hook_too_is_told_by_its_flowid() {
    let hooks = [(Hook::Ingress, HOOK_INGRESS), (Hook::Egress, HOOK_EGRESS)];
    for verdict in [Verdict::Redirect(42), Verdict::Redirect(0), Verdict::Pass] {
        let rule = Rule {
            keys: Vec::new(),
            verdict,
        };
        for (hook, of) in hooks {
            let all = hooks.map(|(hook, under)| (hook, listed(&rule, of, under)));
            let left = without_shadows(all.to_vec());
            let [(found, filter)] = &left[..] else {
                panic!("{left:?}");
            };
            assert_eq!((found, &filter.rule), (&hook, &Some(rule.clone())));
        }
    }
}

#[test]
fn filters_are_read_as_they_were_written() {
    let key = Key {
        offset: 12,
        value: 0x0a00_0000,
        mask: 0xff00_0000,
    };
    for keys in [vec![], vec![key], vec![key, Key { offset: 16, ..key }]] {
        for verdict in [Verdict::Redirect(42), Verdict::Pass] {
            let rule = Rule {
                keys: keys.clone(),
                verdict,
            };
            for parent in [HOOKS, HOOK_INGRESS, HOOK_EGRESS] {
                let filter = read_back(&rule, parent);
                assert_eq!((filter.priority, filter.protocol), (1, 3));
                assert_eq!(filter.rule.as_ref(), Some(&rule));
            }
        }
    }
}
