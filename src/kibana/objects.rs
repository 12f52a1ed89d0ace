//! Saved objects: what the views are as Kibana and `OpenSearch` Dashboards keep them.
//!
//! Two forms. The common one has aggregation-based visualisations in the form of Kibana 7.10, which
//! every later Kibana migrates and `OpenSearch` Dashboards (whose fork is of that version) takes as
//! it is; Dashboards refuses the type `lens`, and either refuses objects of a version newer than its
//! own. The richer one has Lens in the form of 7.16, for Kibana 8 and 9.

use serde_json::{Map, Value, json};

use super::views::{DASHBOARDS, Dashboard, Measure, On, SEARCHES, Search, Shape, VIEWS, View};
use crate::cluster::Names;

/// Values shown of a field.
const TOP: u32 = 10;

/// A form of saved objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For Kibana 7.10 to 9 and `OpenSearch` Dashboards.
    Common,
    /// With Lens, for Kibana 8 and 9.
    Lens,
}

/// The objects as they are imported, one a line.
pub fn ndjson(names: &Names, form: Form) -> String {
    let lines: Vec<String> = objects(names, form).iter().map(ToString::to_string).collect();
    lines.join("\n") + "\n"
}

/// All objects of a space; what refers comes after what it refers to.
pub fn objects(names: &Names, form: Form) -> Vec<Value> {
    let writer = Writer { names, form };
    let patterns = [On::Alerts, On::Executions].map(|on| writer.pattern(on));
    patterns
        .into_iter()
        .chain(SEARCHES.iter().map(|search| writer.search(search)))
        .chain(VIEWS.iter().map(|view| match form {
            Form::Common => writer.visualization(view),
            Form::Lens => writer.lens(view),
        }))
        .chain(DASHBOARDS.iter().map(|dashboard| writer.dashboard(dashboard)))
        .collect()
}

struct Writer<'n> {
    names: &'n Names,
    form: Form,
}

impl Writer<'_> {
    fn id(&self, id: &str) -> String {
        format!("tocsin-{}-{id}", self.names.alerts.space)
    }

    fn pattern_id(&self, on: On) -> String {
        self.id(match on {
            On::Alerts => "alerts-index",
            On::Executions => "executions-index",
        })
    }

    /// Titles tell spaces apart where there are several.
    fn title(&self, title: &str) -> String {
        match self.names.alerts.space.as_str() {
            "default" => format!("[tocsin] {title}"),
            space => format!("[tocsin {space}] {title}"),
        }
    }

    fn object(kind: &str, version: &str, id: String, attributes: Value, references: Vec<Value>) -> Value {
        json!({
            "id": id,
            "type": kind,
            "migrationVersion": {kind: version},
            "attributes": attributes,
            "references": references,
        })
    }

    fn pattern(&self, on: On) -> Value {
        let title = match on {
            On::Alerts => &self.names.alerts.name,
            On::Executions => &self.names.executions,
        };
        let attributes = json!({"title": title, "timeFieldName": "@timestamp"});
        Self::object("index-pattern", "7.6.0", self.pattern_id(on), attributes, Vec::new())
    }

    fn source_reference(&self, on: On) -> Value {
        json!({
            "name": "kibanaSavedObjectMeta.searchSourceJSON.index",
            "type": "index-pattern",
            "id": self.pattern_id(on),
        })
    }

    fn search(&self, search: &Search) -> Value {
        let attributes = json!({
            "title": self.title(search.title),
            "description": "",
            "hits": 0,
            "version": 1,
            "columns": search.columns,
            "sort": [["@timestamp", "desc"]],
            "kibanaSavedObjectMeta": {"searchSourceJSON": source(search.query).to_string()},
        });
        Self::object(
            "search",
            "7.9.3",
            self.id(search.id),
            attributes,
            vec![self.source_reference(search.on)],
        )
    }

    fn visualization(&self, view: &View) -> Value {
        let title = self.title(view.title);
        let (kind, params) = drawn(view);
        let mut aggs: Vec<Value> = view
            .measures
            .iter()
            .enumerate()
            .map(|(place, (measure, label))| metric(place + 1, *measure, label))
            .collect();
        let first = view.measures.len() + 1;
        let table = matches!(view.shape, Shape::Table(_));
        for (place, field) in view.shape.fields().into_iter().enumerate() {
            let schema = match (table, place) {
                (true, _) => "bucket",
                (false, 0) => "segment",
                (false, _) => "group",
            };
            aggs.push(bucket(first + place, field, schema));
        }
        let state = json!({"title": title, "type": kind, "params": params, "aggs": aggs});
        let attributes = json!({
            "title": title,
            "description": "",
            "version": 1,
            "uiStateJSON": "{}",
            "visState": state.to_string(),
            "kibanaSavedObjectMeta": {"searchSourceJSON": source(view.query).to_string()},
        });
        let references = vec![self.source_reference(view.on)];
        Self::object("visualization", "7.10.0", self.id(view.id), attributes, references)
    }

    fn lens(&self, view: &View) -> Value {
        let mut columns = Map::new();
        let mut order = Vec::new();
        for (place, field) in view.shape.fields().into_iter().enumerate() {
            let id = format!("bucket{place}");
            columns.insert(id.clone(), lens_bucket(field));
            order.push(id);
        }
        for (place, (measure, label)) in view.measures.iter().enumerate() {
            let id = format!("measure{place}");
            columns.insert(id.clone(), lens_measure(*measure, label));
            order.push(id);
        }
        let (kind, drawn) = lens_drawn(view, &order);
        let layer = json!({"columnOrder": order, "columns": columns, "incompleteColumns": {}});
        let attributes = json!({
            "title": self.title(view.title),
            "description": "",
            "visualizationType": kind,
            "state": {
                "datasourceStates": {"indexpattern": {"layers": {"layer": layer}}},
                "visualization": drawn,
                "query": {"query": view.query, "language": "kuery"},
                "filters": [],
            },
        });
        let reference =
            |name: &str| json!({"type": "index-pattern", "id": self.pattern_id(view.on), "name": name});
        let references = vec![
            reference("indexpattern-datasource-current-indexpattern"),
            reference("indexpattern-datasource-layer-layer"),
        ];
        Self::object("lens", "7.16.0", self.id(view.id), attributes, references)
    }

    fn dashboard(&self, dashboard: &Dashboard) -> Value {
        let mut panels = Vec::new();
        let mut references = Vec::new();
        for (place, (id, x, y, w, h)) in dashboard.panels.iter().enumerate() {
            let (index, name) = ((place + 1).to_string(), format!("panel_{place}"));
            let kind = match self.form {
                _ if SEARCHES.iter().any(|search| search.id == *id) => "search",
                Form::Common => "visualization",
                Form::Lens => "lens",
            };
            panels.push(json!({
                "version": "7.9.3",
                "gridData": {"x": x, "y": y, "w": w, "h": h, "i": index},
                "panelIndex": index,
                "embeddableConfig": {},
                "panelRefName": name,
            }));
            references.push(json!({"name": name, "type": kind, "id": self.id(id)}));
        }
        let attributes = json!({
            "title": self.title(dashboard.title),
            "description": dashboard.description,
            "hits": 0,
            "version": 1,
            "panelsJSON": Value::Array(panels).to_string(),
            "optionsJSON": json!({"useMargins": true, "hidePanelTitles": false}).to_string(),
            "timeRestore": true,
            "timeFrom": dashboard.from,
            "timeTo": "now",
            "refreshInterval": {"pause": false, "value": 60_000},
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": json!({"query": {"query": "", "language": "kuery"}, "filter": []}).to_string(),
            },
        });
        Self::object("dashboard", "7.9.3", self.id(dashboard.id), attributes, references)
    }
}

fn source(query: &str) -> Value {
    json!({
        "query": {"query": query, "language": "kuery"},
        "filter": [],
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    })
}

fn metric(id: usize, measure: Measure, label: &str) -> Value {
    let kind = match measure {
        Measure::Count => "count",
        Measure::Sum(_) => "sum",
        Measure::Max(_) => "max",
        Measure::Average(_) => "avg",
        Measure::Unique(_) => "cardinality",
    };
    let mut params = json!({"customLabel": label});
    if let (Some(field), Some(params)) = (measure.field(), params.as_object_mut()) {
        params.insert("field".to_owned(), field.into());
    }
    json!({"id": id.to_string(), "enabled": true, "type": kind, "schema": "metric", "params": params})
}

fn bucket(id: usize, field: &str, schema: &str) -> Value {
    let (kind, params) = if field == "@timestamp" {
        (
            "date_histogram",
            json!({
                "field": field, "useNormalizedEsInterval": true, "scaleMetricValues": false,
                "interval": "auto", "drop_partials": false, "min_doc_count": 1, "extended_bounds": {},
            }),
        )
    } else {
        (
            "terms",
            json!({
                "field": field, "orderBy": "1", "order": "desc", "size": TOP,
                "otherBucket": false, "otherBucketLabel": "Other",
                "missingBucket": false, "missingBucketLabel": "Missing",
            }),
        )
    };
    json!({"id": id.to_string(), "enabled": true, "type": kind, "schema": schema, "params": params})
}

/// Type and parameters of an aggregation-based visualisation.
fn drawn(view: &View) -> (&'static str, Value) {
    let label = view.measures.first().map_or("", |(_, label)| *label);
    match view.shape {
        Shape::Timeline(_) => ("histogram", chart("histogram", label, false)),
        Shape::Bar(_) => ("horizontal_bar", chart("histogram", label, true)),
        Shape::Pie(_) => (
            "pie",
            json!({
                "type": "pie", "addTooltip": true, "addLegend": true, "legendPosition": "right", "isDonut": true,
                "labels": {"show": false, "values": true, "last_level": true, "truncate": 100},
            }),
        ),
        Shape::Table(_) => (
            "table",
            json!({
                "perPage": TOP, "showPartialRows": false, "showMetricsAtAllLevels": false, "showTotal": false,
                "totalFunc": "sum", "percentageCol": "", "sort": {"columnIndex": null, "direction": null},
            }),
        ),
        Shape::Number => (
            "metric",
            json!({
                "type": "metric", "addTooltip": true, "addLegend": false,
                "metric": {
                    "percentageMode": false, "useRanges": false, "colorSchema": "Green to Red",
                    "metricColorMode": "None", "colorsRange": [{"from": 0, "to": 10_000}],
                    "labels": {"show": true}, "invertColors": false,
                    "style": {"bgFill": "#000", "bgColor": false, "labelColor": false, "subText": "", "fontSize": 60},
                },
            }),
        ),
    }
}

fn chart(series: &str, label: &str, lying: bool) -> Value {
    let (category, value, kind) =
        if lying { ("left", "bottom", "horizontal_bar") } else { ("bottom", "left", "histogram") };
    json!({
        "type": kind,
        "grid": {"categoryLines": false},
        "categoryAxes": [{
            "id": "CategoryAxis-1", "type": "category", "position": category, "show": true, "style": {},
            "scale": {"type": "linear"}, "labels": {"show": true, "filter": true, "truncate": 100}, "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": value, "show": true,
            "style": {}, "scale": {"type": "linear", "mode": "normal"},
            "labels": {"show": true, "rotate": 0, "filter": true, "truncate": 100}, "title": {"text": label},
        }],
        "seriesParams": [{
            "show": true, "type": series, "mode": "stacked", "data": {"label": label, "id": "1"},
            "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": true, "lineWidth": 2, "showCircles": true,
        }],
        "addTooltip": true, "addLegend": true, "legendPosition": "right", "times": [], "addTimeMarker": false,
        "labels": {"show": false},
        "thresholdLine": {"show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
    })
}

fn lens_measure(measure: Measure, label: &str) -> Value {
    let (kind, field) = match measure {
        Measure::Count => ("count", "Records"),
        Measure::Sum(field) => ("sum", field),
        Measure::Max(field) => ("max", field),
        Measure::Average(field) => ("average", field),
        Measure::Unique(field) => ("unique_count", field),
    };
    let date = matches!(measure, Measure::Max("tocsin.execution.to"));
    json!({
        "label": label, "customLabel": true, "dataType": if date { "date" } else { "number" },
        "operationType": kind, "sourceField": field, "isBucketed": false, "scale": "ratio",
    })
}

fn lens_bucket(field: &str) -> Value {
    if field == "@timestamp" {
        return json!({
            "label": field, "dataType": "date", "operationType": "date_histogram", "sourceField": field,
            "isBucketed": true, "scale": "interval", "params": {"interval": "auto"},
        });
    }
    json!({
        "label": field, "dataType": "string", "operationType": "terms", "sourceField": field,
        "isBucketed": true, "scale": "ordinal",
        "params": {
            "size": TOP, "orderBy": {"type": "column", "columnId": "measure0"}, "orderDirection": "desc",
            "otherBucket": false, "missingBucket": false,
        },
    })
}

/// Type and state of a Lens visualisation.
fn lens_drawn(view: &View, order: &[String]) -> (&'static str, Value) {
    let bars = |series: &str, split: bool| {
        let mut layer = json!({
            "layerId": "layer", "layerType": "data", "accessors": ["measure0"], "xAccessor": "bucket0",
            "seriesType": series, "position": "top", "showGridlines": false,
        });
        if let (true, Some(layer)) = (split, layer.as_object_mut()) {
            layer.insert("splitAccessor".to_owned(), "bucket1".into());
        }
        json!({
            "legend": {"isVisible": true, "position": "right"}, "valueLabels": "hide",
            "fittingFunction": "None", "preferredSeriesType": series, "layers": [layer],
        })
    };
    match view.shape {
        Shape::Timeline(_) => ("lnsXY", bars("bar_stacked", true)),
        Shape::Bar(_) => ("lnsXY", bars("bar_horizontal", false)),
        Shape::Pie(_) => (
            "lnsPie",
            json!({"shape": "donut", "layers": [{
                "layerId": "layer", "layerType": "data", "groups": ["bucket0"], "metric": "measure0",
                "numberDisplay": "percent", "categoryDisplay": "default", "legendDisplay": "default",
                "nestedLegend": false,
            }]}),
        ),
        Shape::Table(_) => {
            let columns: Vec<Value> = order.iter().map(|id| json!({"columnId": id})).collect();
            ("lnsDatatable", json!({"layerId": "layer", "layerType": "data", "columns": columns}))
        }
        Shape::Number => {
            ("lnsMetric", json!({"layerId": "layer", "layerType": "data", "accessor": "measure0"}))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cluster::{AlertIndex, Mode, executions, fields};

    fn names() -> Names {
        Names::new(AlertIndex::new(Mode::Own, "tocsin-alerts-{space}", "default"))
    }

    /// Everything that a piece of JSON names as a field, JSON in texts included.
    fn named(value: &Value, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value) {
                        ("field" | "sourceField", Value::String(field)) => {
                            out.insert(field.clone());
                        }
                        ("columns", Value::Array(columns)) => {
                            out.extend(columns.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        ("query", Value::String(query)) => out.extend(of_kql(query)),
                        (_, Value::String(text)) if text.starts_with('{') => {
                            named(&serde_json::from_str(text).unwrap(), out);
                        }
                        _ => named(value, out),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| named(item, out)),
            _ => {}
        }
    }

    /// The fields of our queries: words before `:` or `>`.
    fn of_kql(query: &str) -> Vec<String> {
        let mut fields = Vec::new();
        for (at, _) in query.match_indices([':', '>']) {
            let (before, _) = query.split_at(at);
            fields.extend(before.trim_end().rsplit([' ', '(']).next().map(str::to_owned));
        }
        fields
    }

    #[test]
    fn every_field_of_a_view_is_in_the_mapping_of_its_index() {
        assert_eq!(of_kql("not a.b: x and c > 0"), ["a.b", "c"]);
        for form in [Form::Common, Form::Lens] {
            let mut checked = 0;
            for object in objects(&names(), form) {
                let references = object["references"].to_string();
                let of_alerts = references.contains("alerts-index");
                if !of_alerts && !references.contains("executions-index") {
                    continue;
                }
                let mut found = BTreeSet::new();
                named(&object["attributes"], &mut found);
                found.remove("Records");
                for field in found {
                    let known = if of_alerts { fields::mapped(&field) } else { executions::mapped(&field) };
                    assert!(known, "{}: `{field}` is not in the mapping", object["id"]);
                    checked += 1;
                }
            }
            assert!(checked > 40, "{checked}");
        }
        assert!(!fields::mapped("kibana.alert.nothing") && !executions::mapped("rule"));
    }

    #[test]
    fn references_are_complete_ids_unique_and_order_holds() {
        for form in [Form::Common, Form::Lens] {
            let mut there = BTreeSet::new();
            for object in objects(&names(), form) {
                let key = |object: &Value| {
                    (object["type"].as_str().unwrap().to_owned(), object["id"].as_str().unwrap().to_owned())
                };
                let mut reference_names = BTreeSet::new();
                for reference in object["references"].as_array().unwrap() {
                    assert!(there.contains(&key(reference)), "{} refers to {reference}", object["id"]);
                    assert!(reference_names.insert(reference["name"].as_str().unwrap().to_owned()));
                }
                // Every name that the object uses is among its references.
                let text = object["attributes"].to_string();
                for name in text.split("RefName").skip(1) {
                    let name = name.trim_start_matches(['\\', '"', ':']);
                    let name = name.split(['\\', '"']).next().unwrap();
                    assert!(reference_names.contains(name), "{}: {name}", object["id"]);
                }
                assert!(there.insert(key(&object)), "{} twice", object["id"]);
            }
            assert_eq!(there.len(), 2 + SEARCHES.len() + VIEWS.len() + DASHBOARDS.len());
        }
    }

    #[test]
    fn the_common_form_is_no_newer_than_the_oldest_product_and_has_no_lens() {
        let newest = [
            ("index-pattern", "7.6.0"),
            ("search", "7.9.3"),
            ("visualization", "7.10.0"),
            ("dashboard", "7.9.3"),
        ];
        for object in objects(&names(), Form::Common) {
            let kind = object["type"].as_str().unwrap();
            let (_, version) =
                newest.iter().find(|(name, _)| *name == kind).expect("a type both products have");
            assert_eq!(object["migrationVersion"], json!({kind: version}));
        }
        assert!(objects(&names(), Form::Lens).iter().any(|object| object["type"] == "lens"));
    }

    #[test]
    fn every_view_and_search_is_on_a_dashboard_and_panels_do_not_overlap() {
        let on: BTreeSet<&str> = DASHBOARDS.iter().flat_map(|d| d.panels).map(|panel| panel.0).collect();
        assert!(VIEWS.iter().all(|view| on.contains(view.id)));
        for dashboard in DASHBOARDS {
            let mut taken = BTreeSet::new();
            for (id, x, y, w, h) in dashboard.panels {
                assert!(x + w <= 48, "{id}");
                for cell in (*x..x + w).flat_map(|column| (*y..y + h).map(move |row| (column, row))) {
                    assert!(taken.insert(cell), "{}: {id} lies on another panel", dashboard.id);
                }
            }
        }
    }
}
