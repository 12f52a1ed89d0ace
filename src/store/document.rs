//! From stored text back to documents.

use std::sync::Arc;

use serde_json::Value;

use crate::ecs::document::Document;

/// The document of a stored source and its original, which is put back to `event.original`.
pub(crate) fn build(
    index: &Arc<str>,
    id: &Arc<str>,
    source: &str,
    original: Option<&str>,
) -> Result<Document, String> {
    let mut source: Value =
        serde_json::from_str(source).map_err(|e| format!("the source of `{id}` is not JSON: {e}"))?;
    if let (Some(original), Value::Object(root)) = (original, &mut source) {
        let original = Value::String(original.to_owned());
        let dotted = root.keys().any(|key| key.starts_with("event."));
        match root.get_mut("event") {
            Some(Value::Object(event)) => {
                event.insert("original".to_owned(), original);
            }
            // `event` holds something else, or fields are spelled with dots.
            Some(_) => {
                root.insert("event.original".to_owned(), original);
            }
            None if dotted => {
                root.insert("event.original".to_owned(), original);
            }
            None => {
                root.insert("event".to_owned(), serde_json::json!({ "original": original }));
            }
        }
    }
    Ok(Document { index: Arc::clone(index), id: Arc::clone(id), source: Arc::new(source) })
}
