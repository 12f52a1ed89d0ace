//! tocsin: an Elastic-style, query-based SIEM rule runner.
//!
//! The layers, lowest first. A module may use what stands above it in this list and nothing
//! below it; `tests/it/architecture.rs` holds that rule.

/// L4: what an alert is, its id, its reason and where it is written.
pub mod alert;
/// Wiring: the only place that names concrete types of every layer.
pub mod app;
/// L4: where events are searched.
pub mod backend;
/// L0: time, windows, spans, diagnostics, limits, ids. No I/O.
pub mod base;
/// The command line: the only place that prints.
pub mod cli;
/// L4: what tocsin keeps on a cluster: the alert index, rule state, the execution log.
pub mod cluster;
/// The configuration file, its overlays and its secrets.
pub mod config;
/// L0: fields, types, values and documents as Elasticsearch understands them. No I/O.
pub mod ecs;
/// L3: the client of Elasticsearch and `OpenSearch` clusters.
pub mod elastic;
/// L5: executions: windows, candidates, de-duplication, caps, commit.
pub mod engine;
/// L6: from files and streams to ECS documents.
pub mod ingest;
/// L4: views of alerts for Kibana and `OpenSearch` Dashboards.
pub mod kibana;
/// L6: what is told to people, and how it reaches them.
pub mod notify;
/// L1: query languages, the shared plan, the reference evaluator and the compilers. No I/O.
pub mod query;
/// L2: detection rules as data: model, loading, checks, tests beside rules.
pub mod rule;
/// L5: slots, timers, reload.
pub mod schedule;
/// L7: HTTP endpoints of the running service.
pub mod server;
/// L3: the embedded event store and the state database.
pub mod store;
/// Logging set-up, metrics.
pub mod telemetry;
