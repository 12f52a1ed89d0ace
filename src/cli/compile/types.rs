//! The fields of the indices of a cluster, for `compile --backend URL`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::encoded;
use crate::cli::{CliError, Context};
use crate::elastic::Request;
use crate::query::compile::elastic::FieldList;

/// Field lists as a cluster tells them, asked once for each list of patterns.
#[derive(Default)]
pub(super) struct Types(HashMap<String, Arc<FieldList>>);

impl Types {
    /// The fields of the indices that `patterns` names on the cluster that was chosen with
    /// `--backend URL`; `None`: none was.
    ///
    /// # Errors
    /// When the cluster does not tell them, or has no such index.
    pub(super) fn of(
        &mut self,
        patterns: &[String],
        context: &Context,
    ) -> Result<Option<Arc<FieldList>>, CliError> {
        let Some(home) = context.app().home() else { return Ok(None) };
        let joined = patterns.join(",");
        if let Some(known) = self.0.get(&joined) {
            return Ok(Some(Arc::clone(known)));
        }
        let client = context.app().cluster(home).map_err(CliError::failed)?;
        let request = Request::read(format!("/{}/_field_caps", encoded(&joined)))
            .query("fields", "*")
            .query("ignore_unavailable", "true")
            .query("allow_no_indices", "true")
            .accept(404);
        let failed =
            |error: crate::elastic::ElasticError| CliError::failed(format!("{error}; {}", error.help()));
        let answer = context.block_on(client.send(&request))?.map_err(failed)?;
        let told: Value = answer.json().map_err(failed)?;
        let list = FieldList::from_capabilities(told.get("fields").unwrap_or(&Value::Null));
        if answer.status == 404 || list.fields.is_empty() {
            return Err(CliError::failed(format!(
                "no index of the cluster matches `{joined}`: types of fields are unknown"
            )));
        }
        let list = Arc::new(list);
        self.0.insert(joined, Arc::clone(&list));
        Ok(Some(list))
    }
}
