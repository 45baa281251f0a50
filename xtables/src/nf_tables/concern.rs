//! Which rules of a chain that leads to many others are worth parsing.

use std::collections::BTreeSet;

use common::sys::netlink::{attribute, each_attribute};
use nft::uapi;

use super::words::{XT_INFO, XT_NAME};
use crate::xt;

/// What the rules of one long chain are read for. The rules of all other chains are always taken apart.
#[derive(Debug, Clone, Default)]
pub struct Concern {
    /// The long chain, of the nat table.
    pub dispatch: &'static str,
    /// How the names of the chains to which it leads begin.
    pub prefix: &'static str,
    /// Those of them that matter, whatever leads there.
    pub chains: Vec<String>,
    /// The ports that matter, whatever chain they lead to.
    pub ports: BTreeSet<u16>,
    /// With a comment, only rules that have it matter, whatever else is in here.
    pub mark: Option<String>,
    /// How many rules lead to the chains, where no rule after the last of them matters.
    pub jumps: Option<usize>,
}

impl Concern {
    /// Whether a rule may matter, from `NFTA_RULE_EXPRESSIONS`: every one but a jump to another of the chains,
    /// unless it may have one of the ports.
    pub fn has(&self, expressions: &[u8]) -> bool {
        if let Some(mark) = &self.mark {
            let mut places = expressions.windows(mark.len().max(1));
            return places.any(|bytes| bytes == mark.as_bytes());
        }
        let (mut is_of_another, mut has_port) = (false, !self.ports.is_empty());
        for (_, element) in each_attribute(expressions) {
            let name = attribute(element, uapi::EXPR_NAME);
            let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
            if is(name, b"match") && is(attribute(data, XT_NAME), b"multiport") {
                has_port &= self.may_have(attribute(data, XT_INFO).unwrap_or(&[]));
            } else if is(name, b"immediate") {
                is_of_another |= jumps_to(data).is_some_and(|chain| self.is_anothers(chain));
            }
        }
        has_port || !is_of_another
    }

    /// Whether a multiport match may let one of the ports through.
    fn may_have(&self, info: &[u8]) -> bool {
        let is_plain = xt::is_inverted(info) == Some(false);
        match xt::destination_ports(info).filter(|_| is_plain) {
            Some(ports) => ports.iter().any(|(first, last)| {
                let last = last.unwrap_or(*first).max(*first);
                self.ports.range(first..=&last).next().is_some()
            }),
            None => true,
        }
    }

    /// Whether a rule leads to one of the chains that matter, from `NFTA_RULE_EXPRESSIONS`.
    pub fn leads_there(&self, expressions: &[u8]) -> bool {
        each_attribute(expressions).any(|(_, element)| {
            let data = attribute(element, uapi::EXPR_DATA).unwrap_or(&[]);
            is(attribute(element, uapi::EXPR_NAME), b"immediate")
                && jumps_to(data).is_some_and(|chain| self.has_chain(chain))
        })
    }

    fn has_chain(&self, name: &[u8]) -> bool {
        self.chains.iter().any(|own| own.as_bytes() == name)
    }

    /// Whether this is another of the chains.
    fn is_anothers(&self, name: &[u8]) -> bool {
        name.starts_with(self.prefix.as_bytes()) && !self.has_chain(name)
    }
}

/// The chain to which this is a jump.
fn jumps_to(immediate: &[u8]) -> Option<&[u8]> {
    let verdict = attribute(
        attribute(immediate, uapi::IMMEDIATE_DATA)?,
        uapi::DATA_VERDICT,
    )?;
    let code = u32::from_be_bytes(attribute(verdict, uapi::VERDICT_CODE)?.try_into().ok()?);
    let chain = plain(attribute(verdict, uapi::VERDICT_CHAIN)?);
    (code.cast_signed() == uapi::VERDICT_JUMP).then_some(chain)
}

fn is(value: Option<&[u8]>, name: &[u8]) -> bool {
    value.map(plain) == Some(name)
}

/// A text without its closing NUL.
fn plain(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use common::Family;
    use common::sys::nla;

    use super::*;
    use crate::nf_tables::encode;

    fn expressions(rule: &str) -> Vec<u8> {
        let attributes = encode::rule(Family::V4, rule).unwrap();
        let all = nla::body(&[], &attributes).unwrap();
        attribute(&all, uapi::RULE_EXPRESSIONS).unwrap().to_vec()
    }

    fn of(ports: &[u16]) -> Concern {
        Concern {
            dispatch: "DISPATCH",
            prefix: "CNI-DN-",
            chains: vec!["CNI-DN-own".into()],
            ports: ports.iter().copied().collect(),
            mark: None,
            jumps: None,
        }
    }

    #[test]
    fn with_a_mark_no_rule_without_it_matters() {
        let concern = |mark: &str| Concern {
            mark: Some(mark.into()),
            ..of(&[])
        };
        let rule = expressions("-p tcp -m comment --comment mine -m multiport --dports 80 -j X");
        assert!(concern("mine").has(&rule) && !concern("yours").has(&rule));
        assert!(!concern("mine").has(&expressions("-j DROP")));
        assert!(!concern("mine").has(&[]));
    }

    #[test]
    fn jumps_of_others_matter_where_they_have_a_wanted_port() {
        let jump = |ports: &str, to: &str| {
            expressions(&format!(
                "-p tcp -m comment --comment c -m multiport --dports {ports} -j {to}"
            ))
        };
        for (rule, ports, matters) in [
            (jump("80,8080", "CNI-DN-x"), &[8080][..], true),
            (jump("80,8080", "CNI-DN-x"), &[81], false),
            (jump("80,8080", "CNI-DN-x"), &[], false),
            (jump("80,8080", "CNI-DN-own"), &[], true),
            (jump("80,8080", "CNI-DN-own"), &[81], true),
            (jump("80", "RETURN"), &[81], true),
            (jump("80", "KUBE-X"), &[], true),
            (expressions("-p tcp -j CNI-DN-x"), &[81], true),
            (expressions("-p tcp -j CNI-DN-x"), &[], false),
            (expressions("-j DROP"), &[], true),
            (Vec::new(), &[], true),
        ] {
            assert_eq!(of(ports).has(&rule), matters, "{rule:?} {ports:?}");
        }
        for (to, leads) in [("CNI-DN-own", true), ("CNI-DN-x", false), ("RETURN", false)] {
            assert_eq!(of(&[]).leads_there(&jump("80", to)), leads, "{to}");
        }
    }

    #[test]
    fn ranges_and_inversions_of_ports_are_understood() {
        let mut info = [0; 48];
        let three = |info: &mut [u8], ports: [u16; 3]| {
            info[..2].copy_from_slice(&[1, 3]);
            for (place, port) in ports.into_iter().enumerate() {
                info[2 + 2 * place..][..2].copy_from_slice(&port.to_ne_bytes());
            }
        };
        three(&mut info, [80, 90, 100]);
        info[32] = 1;
        for (port, may) in [(80, true), (85, true), (90, true), (95, false), (100, true)] {
            assert_eq!(of(&[port]).may_have(&info), may, "{port}");
        }
        let as_source = [&[0], &info[1..]].concat();
        info[47] = 1;
        assert!(of(&[95]).may_have(&info) && of(&[85]).may_have(&info));
        assert!(of(&[95]).may_have(&as_source) && of(&[95]).may_have(&[]));
    }
}
