//! Index names that the cluster resolves: date math on a real node; other clusters as recorded,
//! for the nodes of the tests have none beside them.

use std::sync::Arc;

use chrono::Utc;
use serde_json::json;
use tocsin::backend::cluster::{ClusterBackend, ClusterOptions};
use tocsin::backend::{Backend, SearchRequest, TimeField};
use tocsin::base::clock::SystemClock;
use tocsin::elastic::{Client, Options};
use tocsin::query::lang::kql::parse_filter;

use crate::elastic::server::{Reply, Server};
use crate::nodes::{block, running};

fn request(pattern: &str, now: chrono::DateTime<Utc>) -> SearchRequest {
    SearchRequest {
        indices: Arc::from([pattern.to_owned()]),
        filter: Arc::new(parse_filter("user.name: eve").unwrap()),
        now,
        window: None,
        time: TimeField::timestamp(),
        event_clock: false,
        size: 10,
        after: None,
        descending: false,
    }
}

#[test]
fn date_math_in_a_name_means_the_index_of_that_day() {
    let mappings = json!({"properties": {"@timestamp": {"type": "date"}, "user": {"properties": {"name": {"type": "keyword"}}}}});
    for node in running() {
        let now = Utc::now();
        let stem = format!("t-days-{}", std::process::id());
        let day = |back| (now - chrono::Duration::days(back)).format("%Y.%m.%d").to_string();
        let indices = [0, 1].map(|back| node.index_named(format!("{stem}-{}", day(back)), &mappings));
        for index in &indices {
            index.fill([(index.name.as_str(), &json!({"@timestamp": 1, "user": {"name": "eve"}}))]);
        }
        for grouped in [false, true] {
            let options = ClusterOptions { grouped, ..ClusterOptions::default() };
            let backend = ClusterBackend::with_options(node.client(), options);
            let found = |pattern: String| {
                let pages = block(backend.search_many(vec![request(&pattern, now), request(&pattern, now)]));
                let page = pages.into_iter().next().unwrap().unwrap();
                page.hits.iter().map(|hit| hit.document.index.to_string()).collect::<Vec<_>>()
            };
            assert_eq!(found(format!("<{stem}-{{now/d}}>")), [indices[0].name.as_str()], "{}", node.name);
            assert_eq!(found(format!("<{stem}-{{now/d-1d}}>")), [indices[1].name.as_str()], "{}", node.name);
            assert_eq!(found(format!("<{stem}-{{now/d-5d}}>")), [""; 0], "{}", node.name);
        }
    }
}

/// A cluster with another one beside it, as Elasticsearch documents its answers.
#[test]
fn another_cluster_is_searched_through_this_one() {
    let server = Server::start(|asked, _| match asked.path() {
        "/" => Reply::json(
            200,
            &json!({"cluster_name": "c", "version": {"number": "8.19.2", "build_flavor": "default"}}),
        ),
        path if path.ends_with("/_field_caps") => Reply::json(
            200,
            &json!({"indices": ["far:logs-1"], "fields": {
                "@timestamp": {"date": {"type": "date"}},
                "user": {"object": {"type": "object"}},
                "user.name": {"keyword": {"type": "keyword"}},
            }}),
        ),
        path if path.ends_with("/_search") => Reply::json(
            200,
            &json!({"timed_out": false, "_shards": {"failed": 0}, "hits": {"total": {"value": 1}, "hits": [
                {"_index": "far:logs-1", "_id": "1", "_source": {"@timestamp": 5, "user": {"name": "eve"}}, "sort": [5]},
            ]}}),
        ),
        path => Reply::json(400, &json!({"error": {"reason": format!("not expected: {path}")}})),
    });
    let options = Options::new("prod", vec![server.url.clone()]);
    let options = (
        Client::new(options, Arc::new(SystemClock)).unwrap(),
        ClusterOptions { grouped: false, ..ClusterOptions::default() },
    );
    let backend = ClusterBackend::with_options(options.0, options.1);
    let page = block(backend.search(request("far:logs-*", Utc::now()))).unwrap();
    let hits: Vec<_> = page.hits.iter().map(|hit| (&*hit.document.index, &*hit.document.id)).collect();
    assert_eq!(hits, [("far:logs-1", "1")]);
    assert_eq!((page.total, page.indices), (1, 1));
    let asked: Vec<String> = server.asked().iter().map(|asked| asked.path().to_owned()).collect();
    assert!(
        !asked.iter().any(|path| path.ends_with("/_mapping")),
        "its mappings cannot be read from here: {asked:?}"
    );
    let search = server.asked().into_iter().find(|asked| asked.path().ends_with("/_search")).unwrap();
    assert_eq!(search.path(), "/far%3Alogs-%2A/_search");
    assert!(search.body.contains("\"user.name\""), "{}", search.body);
}
