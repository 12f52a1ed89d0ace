//! The one integration-test binary.

mod alert_ids;
mod architecture;
mod cli;
mod cloudtrail;
mod engine;
mod equivalence;
mod fields;
mod ingest;
mod kql;
mod rules;
mod shared;
mod store;
mod store_crash;
mod store_upkeep;
