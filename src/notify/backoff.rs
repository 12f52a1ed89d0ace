//! How long to wait after failures.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_mins(5);

/// The pause after `failures` in a row: doubled each time, up to five minutes, and somewhere between
/// half and all of that, so that many do not come back at once. `random` lies in `0.0..1.0`.
pub(super) fn pause(failures: u32, random: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        assert_eq!(pause(1, 1.0), FIRST);
        assert_eq!(pause(1, 0.0), FIRST / 2);
        assert_eq!(pause(4, 1.0), FIRST * 8);
        for failures in [10, 32, 33, 64, u32::MAX] {
            assert_eq!(pause(failures, 1.0), LONGEST, "{failures}");
        }
    }
}
