//! Numbers with a unit, for people.

/// `10 Mbit/s`, `1.5 MiB`: with at most one decimal, cut off.
pub fn scaled(value: u128, step: u128, unit: &str) -> String {
    let (mut whole, mut tenths, mut prefix) = (value, 0, "");
    for next in ["K", "M", "G", "T"] {
        if whole < step {
            break;
        }
        tenths = whole * 10 / step % 10;
        whole /= step;
        prefix = next;
    }
    let binary = if step == 1024 && !prefix.is_empty() {
        "i"
    } else {
        ""
    };
    let prefix = if step == 1000 && prefix == "K" {
        "k"
    } else {
        prefix
    };
    match tenths {
        0 => format!("{whole} {prefix}{binary}{unit}"),
        tenths => format!("{whole}.{tenths} {prefix}{binary}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_scaled_and_cut() {
        let cases = [
            (0, 1000, "0 bit/s"),
            (999, 1000, "999 bit/s"),
            (1_500_000, 1000, "1.5 Mbit/s"),
            (10_000_000_000, 1000, "10 Gbit/s"),
            (2_000, 1000, "2 kbit/s"),
        ];
        for (value, step, expected) in cases {
            assert_eq!(scaled(value, step, "bit/s"), expected);
        }
        assert_eq!(scaled(1536, 1024, "B"), "1.5 KiB");
        assert_eq!(scaled(12, 1024, "B"), "12 B");
    }
}
