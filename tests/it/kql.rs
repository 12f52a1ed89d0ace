//! KQL against Kibana's recorded expectations, Elastic's rules, our own spec files and random text.

mod kibana;
mod roundtrip;
