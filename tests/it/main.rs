//! The one integration-test binary.

mod alert_ids;
mod architecture;
mod cloudtrail;
mod equivalence;
mod kql;
mod rules;
mod shared;
