//! A packet's way through the rules of a chain, and of those that it leads to.

use portmap::firewall::OURS;

use super::{Chain, End, Firewall, Packet, Target, Verdict};

/// How deep chains are followed, and how many ends are looked at.
const DEEPEST: usize = 32;
const MOST: usize = 64;

/// The ends that a packet can have in a base chain, and whether it may come out at the end of it.
pub fn walk(firewall: &Firewall, chain: &Chain, packet: &Packet) -> (Vec<End>, bool) {
    let mut walk = Walk {
        firewall,
        packet,
        mark: Some(0),
        depth: 0,
        is_sure: true,
        ends: Vec::new(),
    };
    let goes_through = walk.follow(chain);
    (walk.ends, goes_through)
}

struct Walk<'a> {
    firewall: &'a Firewall,
    packet: &'a Packet,
    mark: Option<u32>,
    depth: usize,
    /// Whether a packet surely comes to the next rule.
    is_sure: bool,
    ends: Vec<End>,
}

impl Walk<'_> {
    /// Whether the packet may come out at the end of a chain.
    fn follow(&mut self, chain: &Chain) -> bool {
        if self.depth >= DEEPEST || self.ends.len() >= MOST {
            self.end(chain, Verdict::Unknown, "too many chains", false);
            return false;
        }
        self.depth += 1;
        let through = self.rules(chain);
        self.depth -= 1;
        through
    }

    fn rules(&mut self, chain: &Chain) -> bool {
        for rule in &chain.rules {
            let matches = rule.matches(self.packet, self.mark);
            if matches == Some(false) {
                continue;
            }
            let surely = matches == Some(true);
            if rule.marks {
                self.mark = None;
            }
            match &rule.target {
                Target::Nothing => {}
                Target::Marks => self.mark = None,
                Target::Return if self.depth == 1 => {
                    // The policy decides, and the rule is to be named.
                    let verdict = match chain.base.is_some_and(|base| base.drops) {
                        true => Verdict::Drop,
                        false => Verdict::Accept,
                    };
                    self.end(chain, verdict, &rule.words, surely);
                    if surely {
                        return false;
                    }
                }
                Target::Return if surely => return true,
                Target::Return => self.is_sure = false,
                Target::Ends(verdict) => {
                    self.end(chain, *verdict, &rule.words, surely);
                    if surely {
                        return false;
                    }
                }
                Target::Jump(name) if name == OURS => {
                    self.end(chain, Verdict::Translate, &rule.words, false);
                }
                Target::Jump(name) | Target::Goto(name) => {
                    let comes_back = self.into(chain, name, &rule.words, surely);
                    let stays = matches!(rule.target, Target::Goto(_));
                    if surely && (stays || !comes_back) {
                        return comes_back;
                    }
                }
            }
        }
        true
    }

    fn into(&mut self, from: &Chain, name: &str, words: &str, surely: bool) -> bool {
        let place = (from.table.clone(), name.to_owned());
        let place = self.firewall.places.get(&place);
        let Some(chain) = place.and_then(|place| self.firewall.chains.get(*place)) else {
            // An unknown target.
            self.end(from, Verdict::Unknown, words, false);
            return true;
        };
        let (before, count) = (self.is_sure, self.ends.len());
        self.is_sure = before && surely;
        let comes_back = self.follow(chain);
        self.is_sure = before && self.ends.len() == count;
        comes_back
    }

    fn end(&mut self, chain: &Chain, verdict: Verdict, rule: &str, surely: bool) {
        self.ends.push(End {
            verdict,
            place: chain.place(),
            rule: rule.to_owned(),
            is_sure: self.is_sure && surely,
        });
        self.is_sure &= surely;
    }
}
