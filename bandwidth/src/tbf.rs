//! The numbers of a token bucket: what `tc qdisc … tbf rate R burst B limit L` holds.
//!
//! For ordinary limits they are those of the reference, digit for digit, so that either plugin's
//! CHECK passes on what the other's ADD made. Where the reference's arithmetic runs over 32 bits,
//! ours saturates.
//!
//! Where no burst was requested, the numbers keep a slow link responsive. A packet that is larger than
//! the bucket is cut into frames (`tbf_segment` in net/sched/sch_tbf.c), so that the bucket need not
//! hold the largest that segmentation offload hands over, and the queue counts frames. docs/bandwidth.md
//! has what was measured.

use std::fmt;

/// Ticks of the kernel's packet scheduler in 8 microseconds: a tick is 64 nanoseconds
/// (`PSCHED_SHIFT` in include/net/pkt_sched.h; /proc/net/psched says the same).
const TICKS_IN_8_MICROSECONDS: u64 = 125;
const MICROSECONDS: u64 = 1_000_000;
const NANOSECONDS: u64 = 1_000_000_000;
/// Nanoseconds in a tick.
const TICK: u64 = 64;
/// The highest rate, in bytes per second, at which a bucket of one tick holds what it says: beyond it the
/// product of time and rate wraps in the kernel (`psched_ns_t2l` in include/net/sch_generic.h). Faster is
/// not a limit in practice either.
const FASTEST: u64 = u64::MAX / TICK;
/// How long a packet may wait in the queue unless `latencyMs` says otherwise, in milliseconds.
pub const LATENCY: u64 = 25;
/// The largest packet that segmentation offload hands over by default, in bytes
/// (`GSO_LEGACY_MAX_SIZE` in include/linux/netdevice.h).
pub const GSO_DEFAULT: u32 = 65_536;

/// Frames for which a queue has room at least: with fewer, one TCP connection does not reach the rate.
const LEAST_FRAMES: u64 = 4;

/// Bytes of an Ethernet header, which a token bucket counts and an MTU does not (include/uapi/linux/if_ether.h).
const ETH_HLEN: u32 = 14;

/// Bursts that runtimes send where nobody requested one, in bits: kubelet (2^31 - 1), containerd
/// (2^32 - 1) and CRI-O (8 × (2^32 - 1) - 1, the most that the reference takes).
const UNSET_BURSTS: [u64; 3] = [2_147_483_647, 4_294_967_295, 34_359_738_359];

/// A limit, valid: the rate is at least one byte per second and the burst at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bits per second.
    pub rate: u64,
    /// Bits; 0 for none given.
    pub burst: u64,
}

/// What a burst means that runtimes send where nobody requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BurstPolicy {
    /// Not set: the burst follows the rate.
    Auto,
    /// What it says.
    Literal,
}

/// The packets that a link may be handed, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packets {
    /// The largest that goes out as it is: MTU and Ethernet header.
    pub frame: u32,
    /// The largest that segmentation offload hands over.
    pub gso: u32,
}

impl Packets {
    /// Those of a link with this MTU in bytes.
    pub fn new(mtu: u32, gso: u32) -> Packets {
        Packets {
            frame: frame(mtu),
            gso,
        }
    }
}

/// Bytes of the largest frame of a link with this MTU in bytes.
pub fn frame(mtu: u32) -> u32 {
    mtu.saturating_add(ETH_HLEN)
}

/// A token bucket as the kernel holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tbf {
    /// Bytes per second.
    pub rate: u64,
    /// The bucket's depth as the time to fill it at `rate`, in ticks of 64 nanoseconds.
    pub buffer: u32,
    /// The most that may wait for tokens, in bytes.
    pub limit: u32,
}

impl Tbf {
    /// The bucket for a limit on a link that is handed packets of these sizes; `latency` in milliseconds.
    pub fn new(limit: Limit, policy: BurstPolicy, latency: u64, packets: Packets) -> Tbf {
        let rate = (limit.rate / 8).min(FASTEST);
        let (frame, gso) = (u64::from(packets.frame), u64::from(packets.gso));
        let wait = rate.saturating_mul(latency) / 1000;
        let is_unset =
            limit.burst == 0 || policy == BurstPolicy::Auto && UNSET_BURSTS.contains(&limit.burst);
        // A queue that is shorter than the bucket is deep drops most of what the bucket lets TCP send.
        let (burst, queue) = match is_unset {
            true => (
                follows(rate, wait, (frame, gso)),
                wait.saturating_add(frame * 2),
            ),
            false => (limit.burst / 8, wait.saturating_add(limit.burst / 8)),
        };
        // A bucket that cannot hold a frame lets none through, whatever the queue.
        let least = if burst < frame {
            0
        } else {
            frame * LEAST_FRAMES
        };
        // In whole microseconds, which are many bytes at a high rate, a burst of some frames can be less
        // than one.
        let of_one = if burst < frame {
            0
        } else {
            ticks_until(rate, frame)
        };
        let shallowest = of_one.max(ticks_until(rate, 1));
        let buffer = fill_time(rate, burst)
            .max(shallowest)
            .min(most_buffer(rate));
        Tbf {
            rate,
            buffer: saturated(buffer),
            limit: saturated(queue.max(least)),
        }
    }

    /// The bucket that the reference makes for the same limit, with its arithmetic that wraps at
    /// 32 bits.
    pub fn of_the_reference(limit: Limit) -> Tbf {
        let rate = limit.rate / 8;
        let burst = limit.burst / 8;
        let microseconds = wrapped(burst.saturating_mul(MICROSECONDS) / rate.max(1));
        let ticks = u64::from(microseconds) * TICKS_IN_8_MICROSECONDS / 8;
        Tbf {
            rate,
            buffer: wrapped(ticks),
            limit: wrapped(rate / (1000 / LATENCY)).wrapping_add(wrapped(burst)),
        }
    }

    /// The bucket's depth in bytes, as `tc` prints it.
    pub fn burst(&self) -> u64 {
        let nanoseconds = u128::from(self.buffer) * u128::from(TICK);
        let bytes = nanoseconds * u128::from(self.rate) / u128::from(NANOSECONDS);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Tbf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tbf {
            rate,
            buffer,
            limit,
        } = self;
        let burst = self.burst();
        let bits = u128::from(*rate) * 8;
        write!(
            f,
            "tbf rate {bits}bit burst {burst}b ({buffer} ticks) limit {limit}b"
        )
    }
}

/// The burst in bytes that follows from a rate and from what may wait: 10 ms of the rate. Room for
/// several of the largest packets where they can wait as well, else they are cut.
fn follows(rate: u64, wait: u64, (frame, gso): (u64, u64)) -> u64 {
    let burst = (rate / 100).min(wait);
    let several = gso.saturating_mul(3);
    match wait >= several {
        true => burst.max(several),
        false => burst.min(gso.saturating_sub(1)).max(frame * 2),
    }
}

/// Ticks until `burst` bytes have come at `rate` bytes per second, in whole microseconds as the
/// reference counts them.
fn fill_time(rate: u64, burst: u64) -> u64 {
    let microseconds = burst.saturating_mul(MICROSECONDS) / rate.max(1);
    microseconds.saturating_mul(TICKS_IN_8_MICROSECONDS) / 8
}

/// Ticks until all of some bytes have come. The kernel refuses a bucket that holds less than one byte
/// (`tbf_change` in net/sched/sch_tbf.c), which small bursts do once their time is rounded down.
fn ticks_until(rate: u64, bytes: u64) -> u64 {
    let nanoseconds = bytes.saturating_mul(NANOSECONDS);
    nanoseconds.div_ceil(rate.max(1).saturating_mul(TICK))
}

/// The most ticks whose product with the rate does not wrap in the kernel, as for [`FASTEST`].
fn most_buffer(rate: u64) -> u64 {
    u64::MAX / rate.saturating_mul(TICK).max(1)
}

fn saturated(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn wrapped(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: Packets = Packets {
        frame: 1514,
        gso: GSO_DEFAULT,
    };

    fn auto(rate: u64, burst: u64) -> Tbf {
        Tbf::new(Limit { rate, burst }, BurstPolicy::Auto, LATENCY, PACKETS)
    }

    fn tbf(rate: u64, buffer: u32, limit: u32) -> Tbf {
        Tbf {
            rate,
            buffer,
            limit,
        }
    }

    #[test]
    fn ordinary_limits_have_the_reference_s_numbers() {
        // From `tc -raw qdisc` after the reference's ADD (testdata/bandwidth).
        let recorded = [
            (8_000_000, 800_000, tbf(1_000_000, 0x0017_d784, 125_000)),
            (16_000_000, 1_600_000, tbf(2_000_000, 0x0017_d784, 250_000)),
            (
                100_000_000_000,
                1_000_000_000,
                tbf(12_500_000_000, 0x0002_625a, 437_500_000),
            ),
        ];
        for (rate, burst, expected) in recorded {
            assert_eq!(auto(rate, burst), expected, "{rate} {burst}");
            assert_eq!(
                Tbf::of_the_reference(Limit { rate, burst }),
                expected,
                "{rate} {burst}"
            );
        }
    }

    #[test]
    fn the_reference_s_overruns_are_known_but_not_repeated() {
        // containerd's burst at 1 and 10 Mbit/s.
        let limit = Limit {
            rate: 1_000_000,
            burst: 4_294_967_295,
        };
        let wrapped = tbf(125_000, 0x9fff_ff83, 536_874_036);
        assert_eq!(Tbf::of_the_reference(limit), wrapped);
        let limit = Limit {
            rate: 10_000_000,
            ..limit
        };
        let wrapped = tbf(1_250_000, 0x8fff_ffe7, 536_902_161);
        assert_eq!(Tbf::of_the_reference(limit), wrapped);
        let literal = Tbf::new(limit, BurstPolicy::Literal, LATENCY, PACKETS);
        assert_eq!(literal, tbf(1_250_000, u32::MAX, 536_902_161));
    }

    #[test]
    fn a_burst_that_means_not_set_follows_the_rate() {
        for burst in UNSET_BURSTS.into_iter().chain([0]) {
            for (rate, bytes, limit) in [
                (1_000, 3_028, 6_056),
                (100_000, 3_028, 6_056),
                (1_000_000, 3_028, 6_153),
                (2_000_000, 3_028, 9_278),
                (10_000_000, 12_500, 34_278),
                (50_000_000, 62_500, 159_278),
                // The largest packet is no longer cut.
                (100_000_000, 196_608, 315_528),
                (1_000_000_000, 1_250_000, 3_128_028),
                (10_000_000_000, 12_500_000, 31_253_028),
                (100_000_000_000, 125_000_000, 312_503_028),
            ] {
                let made = auto(rate, burst);
                assert!(
                    made.burst().abs_diff(bytes) <= 2 + bytes / 10_000,
                    "{burst} {rate}: {made}"
                );
                assert_eq!(made.limit, limit, "{burst} {rate}");
            }
        }
        let limit = Limit {
            rate: 1_000_000_000,
            burst: UNSET_BURSTS[0],
        };
        let literal = Tbf::new(limit, BurstPolicy::Literal, LATENCY, PACKETS);
        assert!(literal.burst() > 100_000_000);
    }

    #[test]
    fn a_small_burst_that_was_requested_has_the_reference_s_numbers() {
        for (rate, burst) in [
            (1_000_000, 100_000),
            (10_000_000, 80_000),
            (1_000_000_000, 80_000),
        ] {
            let reference = Tbf::of_the_reference(Limit { rate, burst });
            assert_eq!(auto(rate, burst), reference, "{rate} {burst}");
        }
        // Except for a queue of less than four frames.
        assert_eq!(auto(1_000, 12_800).limit, 6_056);
    }

    #[test]
    fn a_bucket_that_lets_nothing_through_has_the_reference_s_queue() {
        // 1500 bytes are less than a frame of the usual MTU.
        for (rate, burst) in [(8, 8), (8_000, 80), (1_000_000, 12_000)] {
            let reference = Tbf::of_the_reference(Limit { rate, burst });
            assert_eq!(auto(rate, burst).limit, reference.limit, "{rate} {burst}");
        }
    }

    #[test]
    fn latency_is_the_time_that_a_full_queue_takes() {
        let with = |rate, burst, latency| {
            let limit = Limit { rate, burst };
            let made = Tbf::new(limit, BurstPolicy::Auto, latency, PACKETS);
            assert!(made.burst() <= made.limit.into(), "{made}");
            made.limit
        };
        // Beyond the burst, or beyond two frames where none was requested.
        assert_eq!(with(80_000_000, 8_000_000, 5), 1_050_000);
        assert_eq!(with(80_000_000, 8_000_000, 1000), 11_000_000);
        assert_eq!(with(1_000_000, 100_000, 25), 15_625);
        assert_eq!(with(10_000_000, 0, 5), 9_278);
        assert_eq!(with(1_000_000_000, 0, 1), 128_028);
        assert_eq!(with(1_000_000_000, 0, 5), 628_028);
    }

    #[test]
    fn every_bucket_holds_a_byte() {
        for rate in [8, 1_353, 7_999, 999_999, 12_345_678, 400_000_000_000] {
            assert!(auto(rate, 8).burst() >= 1, "{rate}");
        }
    }

    #[test]
    fn a_burst_of_a_frame_makes_a_bucket_of_one_at_every_rate() {
        for rate in [8_000, 1_000_000, 10_000_000_000, 100_000_000_000] {
            for burst in [1_514 * 8, 1_600 * 8, 10_000 * 8] {
                let made = auto(rate, burst);
                assert!(made.burst() >= 1_514, "{rate} {burst}: {made}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_saturate() {
        let slowest = auto(8, 8);
        assert_eq!((slowest.rate, slowest.buffer), (1, 15_625_000));
        let slow = auto(8, 34_359_738_351);
        assert_eq!((slow.buffer, slow.limit), (u32::MAX, 4_294_967_293));
        let full = auto(80_000_000_000, 34_359_738_351);
        assert_eq!(full.limit, u32::MAX);
        let fast = auto(400_000_000_000, 4_294_967_295);
        assert_eq!((fast.rate, fast.limit), (50_000_000_000, 1_250_003_028));
        assert_eq!(auto(400_000_000_000, 8).buffer, 1);
        // As if 64 bits did not end there: ticks times rate fit.
        for rate in [u64::MAX, 1 << 63, (1 << 61) + 800] {
            assert_eq!(auto(rate, 80_000).rate, (1 << 58) - 1);
        }
        for burst in [0, 8, 80_000, 34_359_738_351] {
            // Ten milliseconds of the first two are a few bytes if they wrap.
            for rate in [
                14_757_395_258_976,
                1 << 60,
                u64::MAX,
                1 << 63,
                (1 << 61) + 800,
            ] {
                let fast = auto(rate, burst);
                let product = u64::from(fast.buffer).checked_mul(TICK * fast.rate);
                assert!(
                    product.is_some_and(|product| product >= NANOSECONDS),
                    "{rate} {burst}"
                );
            }
        }
    }
}
