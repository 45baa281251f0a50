//! What the configuration requests: limits, and how they are to be kept.

use common::Request;
use common::decode::Object;
use common::error::{Code, Error};

use crate::amount;
use crate::keys::LIMITS;
use crate::queue::QueuePolicy;
use crate::scaled::scaled;
use crate::subnets::Subnets;
use crate::tbf::{self, BurstPolicy, Limit};

/// The configuration, which cannot be wrong any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The limit towards the container.
    pub ingress: Option<Limit>,
    /// The limit from the container.
    pub egress: Option<Limit>,
    /// The traffic that both are for.
    pub subnets: Subnets,
    /// `burstPolicy`
    pub burst_policy: BurstPolicy,
    /// `latencyMs`: how long a packet may wait in the queue, in milliseconds.
    pub latency: u64,
    /// `queue`
    pub queue: QueuePolicy,
    /// `filterPriority`: where our filters are among others on the same hook.
    pub filter_priority: Option<u16>,
}

impl Config {
    /// Reads the request's keys. Limits of the configuration itself beat those of
    /// `runtimeConfig.bandwidth` as a whole, even where they say 0.
    ///
    /// # Errors
    /// Code 6 for values of the wrong type, code 7 for impossible ones.
    pub fn parse(request: &Request) -> Result<Config, Error> {
        let conf = request.conf.object();
        let own = Limits::parse(conf)?;
        let runtime = match conf.object("runtimeConfig")? {
            Some(runtime) => runtime
                .object("bandwidth")?
                .map(Limits::parse)
                .transpose()?,
            None => None,
        };
        let is_static = LIMITS.iter().any(|key| conf.get(key.name).is_some());
        let Limits {
            ingress,
            egress,
            subnets,
        } = match runtime {
            Some(runtime) if !is_static => runtime,
            _ => own,
        };
        Ok(Config {
            ingress: ingress.valid("ingress")?,
            egress: egress.valid("egress")?,
            subnets,
            burst_policy: choice(
                conf,
                "burstPolicy",
                &[
                    ("auto", BurstPolicy::Auto),
                    ("literal", BurstPolicy::Literal),
                ],
            )?
            .unwrap_or(BurstPolicy::Auto),
            queue: choice(
                conf,
                "queue",
                &[
                    ("fq_codel", QueuePolicy::FqCodel),
                    ("fifo", QueuePolicy::Fifo),
                ],
            )?
            .unwrap_or(QueuePolicy::Auto),
            latency: number(conf, "latencyMs", 1, 10_000)?.unwrap_or(tbf::LATENCY),
            filter_priority: number(conf, "filterPriority", 1, 65_530)?
                .and_then(|priority| u16::try_from(priority).ok()),
        })
    }

    /// The limits, for people: `ingress 10 Mbit/s, egress 5 Mbit/s`.
    pub fn limits(&self) -> String {
        let limits = [("ingress", self.ingress), ("egress", self.egress)];
        let rate = |limit: Limit| scaled(limit.rate.into(), 1000, "bit/s");
        let limits = limits
            .iter()
            .filter_map(|(name, limit)| limit.map(|limit| format!("{name} {}", rate(limit))));
        limits.collect::<Vec<_>>().join(", ")
    }

    /// Whether nothing is to be limited.
    pub fn is_off(&self) -> bool {
        self.ingress.is_none() && self.egress.is_none()
    }
}

/// The keys that may be in the configuration and in `runtimeConfig.bandwidth`.
struct Limits {
    ingress: Pair,
    egress: Pair,
    subnets: Subnets,
}

/// A rate in bits per second and a burst in bits, 0 for none, not yet judged.
struct Pair {
    rate: u64,
    burst: u64,
}

impl Limits {
    fn parse(from: Object<'_>) -> Result<Limits, Error> {
        let number = |key| from.get(key).map_or(Ok(0), |value| amount::bits(&value));
        Ok(Limits {
            ingress: Pair {
                rate: number("ingressRate")?,
                burst: number("ingressBurst")?,
            },
            egress: Pair {
                rate: number("egressRate")?,
                burst: number("egressBurst")?,
            },
            subnets: Subnets::parse(from)?,
        })
    }
}

impl Pair {
    /// The limit; none when both numbers are 0.
    fn valid(&self, direction: &str) -> Result<Option<Limit>, Error> {
        let Pair { rate, burst } = *self;
        let refuse = |why: String| Err(Error::new(Code::InvalidConfig, why));
        match (rate, burst) {
            (0, 0) => Ok(None),
            (0, _) => refuse(format!(
                "{direction}Burst is {burst}, {direction}Rate is missing: give a rate, or leave the burst out"
            )),
            (1..8, _) => refuse(format!(
                "{direction}Rate is {rate}: rate cannot be less than 8 bits per second"
            )),
            (_, 0) => Ok(Some(Limit { rate, burst })),
            (_, 1..8) => refuse(format!(
                "{direction}Burst is {burst}: burst cannot be less than 8 bits"
            )),
            _ if burst / 8 >= u64::from(u32::MAX) => refuse(format!(
                "{direction}Burst is {burst} bits: burst cannot be more than 4GB"
            )),
            _ => Ok(Some(Limit { rate, burst })),
        }
    }
}

/// The value that a key's text is for; none for an empty one.
fn choice<T: Copy>(
    conf: Object<'_>,
    key: &'static str,
    choices: &[(&str, T); 2],
) -> Result<Option<T>, Error> {
    let Some(value) = conf.get(key) else {
        return Ok(None);
    };
    let text = value.string()?;
    let [(first, _), (second, _)] = choices;
    match choices
        .iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
    {
        Some((_, choice)) => Ok(Some(*choice)),
        None if text.is_empty() => Ok(None),
        None => Err(value.refuse(format!("must be \"{first}\" or \"{second}\""))),
    }
}

fn number(
    conf: Object<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Error> {
    match conf.unsigned(key)? {
        Some(number) if !(least..=most).contains(&number) => Err(Error::new(
            Code::InvalidConfig,
            format!("{key} is {number}: must be from {least} to {most}"),
        )),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests;
