//! The client against servers that answer as recorded: what a node without security cannot show
//! (log-in, privileges), and what no node does on demand (dropped connections, a busy hour).

mod client;
mod eql;
pub(crate) mod server;
mod setup;
mod tls;
