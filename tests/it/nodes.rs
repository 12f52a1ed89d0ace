//! The real nodes that `cargo xtask test` has started.

/// Each as `(product, address)`, from `TOCSIN_NODES` (`opensearch=http://…,es9=http://…`); none when
/// there is none, which is said.
///
/// With `TOCSIN_REQUIRE_NODES` set, none at all fails the test instead.
pub(crate) fn nodes() -> Vec<(String, String)> {
    let named = std::env::var("TOCSIN_NODES").unwrap_or_default();
    let nodes: Vec<(String, String)> = named
        .split(',')
        .filter_map(|one| one.split_once('='))
        .map(|(name, url)| (name.to_owned(), url.to_owned()))
        .collect();
    if nodes.is_empty() {
        assert!(std::env::var_os("TOCSIN_REQUIRE_NODES").is_none(), "no node in TOCSIN_NODES");
        eprintln!("left out: no node in TOCSIN_NODES");
    }
    nodes
}
