//! KQL (kuery).

use crate::base::diagnostic::Diagnostic;
use crate::query::plan::Filter;

/// Parses KQL and lowers it to a [`Filter`].
///
/// # Errors
/// One diagnostic (`KQL…`) whose message is Kibana's.
pub fn parse_filter(text: &str) -> Result<Filter, Diagnostic> {
    let _ = text;
    Err(Diagnostic::error("KQL000", "not built yet"))
}
