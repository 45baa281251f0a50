//! A packet's way through the rules of a chain, and of those that it leads to.

use super::{Chain, End, Firewall, OURS, Packet, Target, Verdict};

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
    ends: Vec<End>,
}

impl Walk<'_> {
    /// Whether the packet may come out at the end of a chain.
    fn follow(&mut self, chain: &Chain) -> bool {
        if self.depth >= DEEPEST || self.ends.len() >= MOST {
            self.end(chain, Verdict::Unknown, "too many chains");
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
            match &rule.target {
                Target::Nothing => {}
                Target::Marks => self.mark = None,
                Target::Return if self.depth == 1 => {
                    // The policy decides, and the rule is to be named.
                    let drops = chain.base.is_some_and(|base| base.drops);
                    self.end(
                        chain,
                        if drops {
                            Verdict::Drop
                        } else {
                            Verdict::Accept
                        },
                        &rule.words,
                    );
                    if surely {
                        return false;
                    }
                }
                Target::Return if surely => return true,
                Target::Return => {}
                Target::Ends(verdict) => {
                    self.end(chain, *verdict, &rule.words);
                    if surely {
                        return false;
                    }
                }
                Target::Jump(name) if name == OURS => {
                    self.end(chain, Verdict::Translate, &rule.words);
                }
                Target::Jump(name) | Target::Goto(name) => {
                    let comes_back = self.into(chain, name, &rule.words);
                    let stays = matches!(rule.target, Target::Goto(_));
                    if surely && (stays || !comes_back) {
                        return comes_back;
                    }
                }
            }
        }
        true
    }

    fn into(&mut self, from: &Chain, name: &str, words: &str) -> bool {
        let place = self
            .firewall
            .places
            .get(&(from.table.clone(), name.to_owned()));
        match place.and_then(|place| self.firewall.chains.get(*place)) {
            Some(chain) => self.follow(chain),
            // A target that is none of those known.
            None => {
                self.end(from, Verdict::Unknown, words);
                true
            }
        }
    }

    fn end(&mut self, chain: &Chain, verdict: Verdict, rule: &str) {
        self.ends.push(End {
            verdict,
            place: chain.place(),
            rule: rule.to_owned(),
        });
    }
}
