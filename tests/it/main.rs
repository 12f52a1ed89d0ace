//! The one integration-test binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::format_collect,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking and says on stderr what it left out"
)]

mod alert_ids;
mod alert_index;
mod architecture;
mod cli;
mod cloudtrail;
mod cluster;
mod compat;
mod compose;
mod coverage;
mod elastic;
mod engine;
mod eql;
mod equivalence;
mod exceptions;
mod fields;
mod ingest;
mod kibana_engine;
mod kibana_objects;
mod kql;
mod lucene;
mod nodes;
mod notify;
mod preview;
mod query_specs;
mod rule_checks;
mod rule_types;
mod rules;
mod runners;
mod scenarios;
mod serve;
mod service;
mod shared;
mod shipped_rules;
mod sim;
mod store;
mod store_crash;
mod store_damage;
mod store_duckdb;
mod store_stream;
mod store_upkeep;
