//! KQL against Kibana's recorded expectations, Elastic's rules, our own spec files and random text.

mod bounds;
mod compile;
mod dsl;
mod kibana;
mod roundtrip;
mod rules;
mod spec;
