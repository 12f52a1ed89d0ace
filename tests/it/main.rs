//! The one integration-test binary.

mod alert_ids;
mod architecture;
mod cli;
mod cloudtrail;
mod kql;
mod rules;
mod shared;
mod store;
