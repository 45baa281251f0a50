//! The queue of a token bucket: the kernel's FIFO, or `fq_codel`, in which no flow waits for another.

use std::fmt;

use crate::tbf::LATENCY;

/// Microseconds.
const SECOND: u64 = 1_000_000;
const MILLISECOND: u64 = 1_000;
/// A packet may stay in the queue for this part of `latencyMs`, for longer only for a while: 5 ms of the
/// usual 25, which RFC 8289, section 4.4, recommends.
const SHARE: u64 = 5;
/// The usual time in which a sender learns that it is to send less, in microseconds (RFC 8289, section
/// 4.3).
const ROUND_TRIP: u64 = 100_000;
/// The kernel's default for what may wait, in bytes (`fq_codel_init` in net/sched/sch_fq_codel.c).
const MOST_MEMORY: u64 = 32 << 20;
/// The kernel's default for how many packets may wait.
const MOST_PACKETS: u32 = 10 * 1024;
/// The least that we let wait, in bytes. What goes beyond is dropped 64 packets at a time, which does not
/// limit TCP well.
const LEAST_MEMORY: u64 = 256 << 10;

/// The configuration's `queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePolicy {
    /// Not given: `fq_codel` where the kernel has it, else a FIFO.
    Auto,
    /// `"fq_codel"`
    FqCodel,
    /// `"fifo"`
    Fifo,
}

/// The queue that a token bucket is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The bucket's own: as long as the bucket's limit.
    Fifo,
    /// These numbers, or the bucket's own where the kernel has no `fq_codel`.
    Best(FqCodel),
    /// These numbers.
    FqCodel(FqCodel),
}

/// The numbers of an `fq_codel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FqCodel {
    /// How many packets may wait.
    pub limit: u32,
    /// How long packets may stay in the queue all the time.
    pub target: Time,
    /// In what time a sender is to slow down.
    pub interval: Time,
    /// What may wait, in bytes of the kernel's memory.
    pub memory: u32,
}

/// A time as the kernel keeps it: in units of 1024 nanoseconds (`CODEL_SHIFT` in include/net/codel.h). It is
/// given and answered in microseconds, rounded down both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(u32);

impl Queue {
    /// The queue for a bucket that lets `rate` bytes per second pass; `latency` in milliseconds, `frame` in
    /// bytes.
    pub fn new(policy: QueuePolicy, rate: u64, latency: u64, frame: u32) -> Queue {
        let numbers = || FqCodel::new(rate, latency, frame.into());
        match policy {
            QueuePolicy::Auto => Queue::Best(numbers()),
            QueuePolicy::FqCodel => Queue::FqCodel(numbers()),
            QueuePolicy::Fifo => Queue::Fifo,
        }
    }

    /// The numbers of the `fq_codel`, if it is to be one.
    pub fn fq_codel(self) -> Option<FqCodel> {
        match self {
            Queue::Fifo => None,
            Queue::Best(numbers) | Queue::FqCodel(numbers) => Some(numbers),
        }
    }

    /// Whether the bucket's own queue will do.
    pub fn may_be_fifo(self) -> bool {
        !matches!(self, Queue::FqCodel(_))
    }
}

impl FqCodel {
    fn new(rate: u64, latency: u64, frame: u64) -> FqCodel {
        // With less than the time of one and a half frames codel drops from a queue that cannot be shorter.
        let frames = frame.saturating_mul(SECOND / 10 * 16) / rate.max(1);
        let target = frames.max(latency * MILLISECOND / SHARE);
        let interval = target.saturating_add(ROUND_TRIP - LATENCY * MILLISECOND / SHARE);
        // In memory a frame is about twice as long.
        let memory = rate.saturating_mul(2).clamp(LEAST_MEMORY, MOST_MEMORY);
        FqCodel {
            limit: MOST_PACKETS,
            target: Time::new(target),
            interval: Time::new(interval),
            memory: u32::try_from(memory).unwrap_or(u32::MAX),
        }
    }
}

impl Time {
    /// The kernel's for these microseconds.
    fn new(microseconds: u64) -> Time {
        Time::saturated(microseconds.saturating_mul(1000) / 1024)
    }

    /// The one that the kernel answers with these microseconds.
    pub fn answered(microseconds: u32) -> Time {
        Time::saturated((u64::from(microseconds) * 1000).div_ceil(1024))
    }

    /// The microseconds by which the kernel is given it.
    pub fn given(self) -> u32 {
        let microseconds = (u64::from(self.0) * 1024).div_ceil(1000);
        u32::try_from(microseconds).unwrap_or(u32::MAX)
    }

    /// Whole microseconds.
    pub fn microseconds(self) -> u64 {
        u64::from(self.0) * 1024 / 1000
    }

    fn saturated(units: u64) -> Time {
        // codel compares times by the sign of their difference (`codel_time_after`).
        const MOST: u32 = i32::MAX.cast_unsigned();
        Time(u32::try_from(units).map_or(MOST, |units| units.min(MOST)))
    }
}

impl fmt::Display for FqCodel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FqCodel {
            limit,
            target,
            interval,
            memory,
        } = self;
        let [target, interval] = [target, interval].map(|time| time.microseconds());
        write!(
            f,
            "fq_codel limit {limit}p target {target}us interval {interval}us memory_limit {memory}b"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fq_codel(rate: u64, latency: u64, frame: u32) -> FqCodel {
        let queue = Queue::new(QueuePolicy::Auto, rate, latency, frame);
        queue.fq_codel().unwrap()
    }

    #[test]
    fn a_time_survives_the_kernel() {
        for microseconds in [0, 1, 999, 5_000, 19_379, 100_000, 4_294_967_295, u64::MAX] {
            let time = Time::new(microseconds);
            // As fq_codel_change and fq_codel_dump in net/sched/sch_fq_codel.c.
            let kept = (u64::from(time.given()) * 1000) >> 10;
            let answered = u32::try_from((kept << 10) / 1000).unwrap();
            assert_eq!(Time::answered(answered), time, "{microseconds}");
            assert_eq!(u64::from(answered), time.microseconds());
        }
    }

    #[test]
    fn numbers_follow_rate_latency_and_frame() {
        let kilo = 1_000 / 8;
        for (rate, latency, frame, target, interval, memory) in [
            (1_000 * kilo, 25, 1514, 19_378, 114_378, 262_144),
            (10_000 * kilo, 25, 1514, 4_999, 99_999, 2_500_000),
            (10_000 * kilo, 25, 9014, 11_536, 106_536, 2_500_000),
            (10_000 * kilo, 100, 1514, 19_999, 114_999, 2_500_000),
            (100_000_000 * kilo, 25, 1514, 4_999, 99_999, 33_554_432),
            // A frame takes 12 seconds.
            (kilo, 25, 1514, 19_379_200, 19_474_199, 262_144),
        ] {
            let made = fq_codel(rate, latency, frame);
            let times = [made.target, made.interval].map(Time::microseconds);
            assert_eq!((times, made.memory), ([target, interval], memory), "{rate}");
        }
    }

    #[test]
    fn the_ends_of_the_range_saturate() {
        // Longer ones would be negative (`codel_time_after` in include/net/codel.h).
        let longest = Time((1 << 31) - 1);
        for (rate, frame) in [(1, u32::MAX), (1, 1514), (40, 65_549)] {
            let made = fq_codel(rate, 25, frame);
            assert_eq!([made.target, made.interval], [longest; 2], "{rate} {frame}");
        }
        assert_eq!(fq_codel(u64::MAX, 1, 1514).memory, 33_554_432);
    }
}
