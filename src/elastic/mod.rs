//! Layer 3: the client of Elasticsearch and `OpenSearch` clusters.
//!
//! What it is: requests to the nodes of one cluster with authentication, fail-over, retries,
//! bounds, and the cluster's own errors as values; what products and versions differ in lies in
//! [`flavour`].
//! What it is not: aware of events, rules or alerts; it knows paths and JSON.
//! Invariant: a request that changes something is sent again only when the cluster cannot have
//! taken it, or when taking it twice changes nothing.

mod answer;
mod auth;
mod carrier;
mod client;
mod error;
pub mod flavour;
mod hosts;
mod options;
mod request;
mod retry;
pub mod sigv4;

pub use answer::Answer;
pub use auth::Auth;
pub use carrier::{Astray, Carried, Carrier, Parcel};
pub use client::{Client, Traffic};
pub use error::{ElasticError, Refusal};
pub use flavour::{Flavour, Product, Version};
pub use options::{Options, SetupError};
pub use request::{Method, Request, segment};
pub use retry::RetryPolicy;
pub use sigv4::Credentials;
