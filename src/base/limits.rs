//! Every numeric guard in one place, so that what is bounded can be read at a glance.

/// Deepest nesting of brackets a query may have. Elastic's rules stay below 20.
pub const QUERY_NESTING: usize = 64;
/// Longest query text, bytes. Elastic's longest rule query is 46,906 characters.
pub const QUERY_BYTES: usize = 64 * 1024;
/// Longest regular expression of a query, characters (Elasticsearch: `index.max_regex_length`).
pub const REGEXP_CHARS: usize = 1_000;
/// Largest compiled regular expression, bytes.
pub const REGEXP_BYTES: usize = 2 * 1024 * 1024;
/// Memory for unfinished sequences of one EQL query, bytes; beyond it the oldest are given up, and
/// the execution says so.
pub const SEQUENCE_BYTES: usize = 128 * 1024 * 1024;
/// Memory for the complete sequences of one EQL query, bytes; some 400,000 of two stages. Beyond it
/// the latest are left out, and the execution says so.
pub const FOUND_BYTES: usize = 64 * 1024 * 1024;
/// Most events that the pipes of an EQL search are given.
pub const PIPED_EVENTS: usize = 100_000;
/// Deepest nesting of a JSON document that is read.
pub const JSON_NESTING: usize = 100;
/// Largest single event, bytes. CloudTrail caps a record at 256 KiB; other sources go further.
pub const EVENT_BYTES: usize = 4 * 1024 * 1024;
/// Largest file after decompression, bytes.
pub const DECODED_FILE_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Largest ratio of decompressed to compressed size that is believed, once past 64 MiB.
pub const DECODE_RATIO: u64 = 1_000;
/// Largest rule file, bytes.
pub const RULE_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Largest value list, bytes: some 100 million addresses.
pub const VALUE_LIST_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most memory that the distinct values of indicators may take during an execution, bytes; some 80
/// million addresses, or 20 million names.
pub const INDICATOR_BYTES: usize = 1024 * 1024 * 1024;
/// Most indicators that an alert tells of.
pub const INDICATORS_PER_ALERT: usize = 200;
/// Elastic's cap of alerts per execution across all rules (`xpack.alerting.rules.run.alerts.max`).
pub const MAX_SIGNALS_CLUSTER: u32 = 1_000;
/// Cap of alerts per execution when a rule names none.
pub const MAX_SIGNALS_DEFAULT: u32 = 100;
/// Most distinct field paths an index mapping learns by itself; further ones are kept in the
/// source but cannot be searched (Elasticsearch: `index.mapping.total_fields.limit`).
pub const MAPPING_FIELDS: usize = 10_000;
/// Size up to which the ratio of [`DECODE_RATIO`] is not looked at, bytes.
pub const DECODE_RATIO_FROM: u64 = 64 * 1024 * 1024;
/// Most rejected records that a report of `ingest` lists; the rest is counted.
pub const REJECTS_LISTED: usize = 1_000;
/// A file whose first records are all rejected is given up after this many.
pub const REJECTS_BEFORE_GIVING_UP: u64 = 1_000;
/// Largest mapping file, bytes. ECS whole is under 1 MiB.
pub const MAPPING_BYTES: u64 = 16 * 1024 * 1024;
/// Hits of one page of a search by an execution.
pub const PAGE_HITS: usize = 1_000;
/// Most matched events that an entry of the execution log names.
pub const LOGGED_SOURCES: usize = 100;
/// Hits of one page that are counted and not read.
pub const PAGE_PLACES: usize = 64 * 1024;
/// How many times the cap of alerts an execution may have its rule's backlog may hold.
pub const BACKLOG_CAPS: usize = 10;
/// How long a capped candidate is kept for later executions, hours.
pub const BACKLOG_HOURS: i64 = 24;
/// Largest answer of a cluster that is read, bytes after decompression: a page of events of the
/// largest kind is asked for again in parts.
pub const CLUSTER_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Alerts that a digest tells in full; the others are counted.
pub const DIGEST_ALERTS: usize = 100;
/// How long delivered notifications are remembered, days.
pub const DELIVERIES_DAYS: i64 = 30;
/// Longest template of a notification, bytes.
pub const TEMPLATE_BYTES: usize = 64 * 1024;
/// Longest text that a template makes, bytes.
pub const TEMPLATE_OUTPUT_BYTES: usize = 256 * 1024;
/// Steps that rendering a template may take.
pub const TEMPLATE_STEPS: u64 = 100_000;
/// Largest answer of a connector's target that is read, bytes.
pub const TARGET_ANSWER_BYTES: usize = 64 * 1024;
