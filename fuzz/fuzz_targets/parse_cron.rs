//! A cron expression is refused, or its slots go forward and end.
#![no_main]

use chrono::DateTime;
use libfuzzer_sys::fuzz_target;
use tocsin::schedule::cron::Cron;

fuzz_target!(|text: &str| {
    for zone in [None, Some("Europe/Berlin")] {
        let Ok(cron) = Cron::parse(text, zone) else { continue };
        let Some(mut at) = DateTime::from_timestamp_millis(1_793_540_852_123) else { return };
        for _ in 0..3 {
            let Some(next) = cron.after(at) else { break };
            assert!(next > at, "{text}: {next} after {at}");
            at = next;
        }
    }
});
