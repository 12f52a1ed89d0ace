//! Reading a segment's file: footer, columns, some rows' documents.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use hashbrown::HashTable;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use rustc_hash::FxHashMap;

use super::decode::{self, Others};
use super::layout::{
    ColumnPlan, FORM, ID, ORIGINAL, OTHER, Plan, SOURCE, TimePlan, column_name, dictionary, element,
    flattened_name, form_key,
};
use super::sums::{SummedFile, Sums};
use crate::ecs::columns::Column;
use crate::store::batch::{NO_TIME, ReadError};
use crate::store::cache::{Cache, Part};
use crate::store::instant::Form;
use crate::store::options::GROUP_ROWS;
use crate::store::rows::{Coded, INGESTED, Piece, TIMESTAMP};
use crate::store::texts::Texts;

/// A footer, and where each column is.
pub(crate) struct Footer {
    metadata: ArrowReaderMetadata,
    roots: FxHashMap<String, usize>,
}

impl Footer {
    /// The column that holds `path` and no other; `None` where the file has none.
    fn own(&self, path: &str) -> Option<String> {
        [column_name(path), flattened_name(path)]
            .into_iter()
            .find(|name| self.roots.contains_key(name) && !is_fixed(name))
    }
}

/// The file's columns as Arrow is to give them: texts that lie in dictionaries stay so. Files of
/// version 1 say it themselves.
fn schema(found: &Schema, metadata: &ParquetMetaData) -> Schema {
    let mut leaf = 0;
    let mut coded = || {
        let chunks = metadata.row_groups().iter().filter_map(|group| group.columns().get(leaf));
        let coded = chunks.into_iter().any(|chunk| chunk.dictionary_page_offset().is_some());
        leaf += 1;
        coded
    };
    let mut text = |kind: &DataType| {
        if coded() && *kind == DataType::Utf8 { dictionary() } else { kind.clone() }
    };
    let fields: Vec<Field> = found
        .fields()
        .iter()
        .map(|field| {
            let kind = match field.data_type() {
                DataType::List(item) => {
                    let kind = match item.data_type() {
                        DataType::Struct(parts) => DataType::Struct(
                            parts
                                .iter()
                                .map(|part| part.as_ref().clone().with_data_type(text(part.data_type())))
                                .collect(),
                        ),
                        kind => text(kind),
                    };
                    DataType::List(element(kind))
                }
                kind => text(kind),
            };
            let kind = if is_fixed(field.name()) { field.data_type().clone() } else { kind };
            Field::new(field.name(), kind, field.is_nullable())
        })
        .collect();
    Schema::new(fields)
}

/// Columns that were read, by name.
struct Columns {
    batch: RecordBatch,
    places: HashMap<String, usize>,
}

impl Columns {
    fn of(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let names = schema.fields().iter().enumerate();
        let places = names.map(|(place, field)| (field.name().clone(), place)).collect();
        Self { batch, places }
    }

    fn get(&self, name: &str) -> Option<&ArrayRef> {
        self.places.get(name).and_then(|place| self.batch.columns().get(*place))
    }

    fn others(&self) -> Result<Option<Others>, String> {
        self.get(OTHER).map(Others::of).transpose()
    }
}

/// All ids of a row group.
pub(crate) struct Ids {
    pub(crate) ids: Vec<Arc<str>>,
    table: HashTable<u32>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Ids {
    fn new(ids: Vec<Arc<str>>) -> Self {
        use std::hash::BuildHasher;
        let hasher = hashbrown::DefaultHashBuilder::default();
        let mut table = HashTable::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate() {
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            table.insert_unique(hasher.hash_one(&**id), row, |row| {
                hasher.hash_one(ids.get(*row as usize).map_or("", |id| &**id))
            });
        }
        Self { ids, table, hasher }
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        use std::hash::BuildHasher;
        let same = |row: &u32| self.ids.get(*row as usize).is_some_and(|found| &**found == id);
        self.table.find(self.hasher.hash_one(id), same).is_some()
    }
}

/// A document's stored parts.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: Arc<str>,
    pub(crate) source: String,
    pub(crate) original: Option<String>,
}

/// Rows of a page of documents, and of what is kept of one.
const BLOCK: u32 = super::write::DOCUMENT_PAGE_ROWS as u32;

/// The documents of one page.
struct Block {
    ids: StringArray,
    sources: StringArray,
    originals: Option<StringArray>,
}

impl Block {
    fn document(&self, row: usize) -> Option<Stored> {
        if row >= self.ids.len() {
            return None;
        }
        let original = self.originals.as_ref().filter(|originals| originals.is_valid(row));
        Some(Stored {
            id: Arc::from(self.ids.value(row)),
            source: self.sources.value(row).to_owned(),
            original: original.map(|originals| originals.value(row).to_owned()),
        })
    }
}

/// A segment's file with the cache in front of it.
#[derive(Clone)]
pub(crate) struct SegmentFile {
    pub(crate) path: PathBuf,
    /// Where the file is once it was merged or retired.
    pub(crate) aside: PathBuf,
    pub(crate) cache: Arc<Cache>,
    /// The segment's number, shifted to leave room for row groups.
    pub(crate) key: u64,
    /// Checksums of the file, where the manifest has them.
    pub(crate) sums: Option<Sums>,
}

/// Row groups a segment may have, so that every batch has a key of its own.
pub(crate) const GROUPS: u64 = 1 << 12;

impl SegmentFile {
    pub(crate) fn group_key(&self, group: usize) -> u64 {
        self.key + group as u64
    }

    fn failed(&self, reason: impl std::fmt::Display) -> ReadError {
        ReadError { batch: self.path.display().to_string(), reason: reason.to_string() }
    }

    fn open(&self) -> Result<SummedFile, ReadError> {
        let open = || match File::open(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => File::open(&self.aside).map_err(|_| e),
            found => found,
        };
        open().and_then(|file| SummedFile::new(file, self.sums.clone())).map_err(|e| self.failed(e))
    }

    /// Compares every byte of the file with its checksums.
    pub(crate) fn verify(&self) -> Result<(), ReadError> {
        self.open()?.verify().map_err(|e| self.failed(e))
    }

    /// The footer; with the places of pages when documents are to be read.
    pub(crate) fn footer(&self, pages: bool) -> Result<Arc<Footer>, ReadError> {
        let part = if pages { Part::Pages } else { Part::Footer };
        if let Some(footer) = self.cache.get::<Footer>(self.key, &part) {
            return Ok(footer);
        }
        let policy = if pages { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(policy);
        let mut metadata =
            ArrowReaderMetadata::load(&self.open()?, options.clone()).map_err(|e| self.failed(e))?;
        let known = metadata.metadata().file_metadata().key_value_metadata();
        if !known
            .is_some_and(|known| known.iter().any(|pair| pair.key == parquet::arrow::ARROW_SCHEMA_META_KEY))
        {
            let schema = schema(metadata.schema(), metadata.metadata());
            let options = options.with_schema(Arc::new(schema));
            metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
                .map_err(|e| self.failed(e))?;
        }
        let roots =
            metadata.schema().fields().iter().enumerate().map(|(at, f)| (f.name().clone(), at)).collect();
        let bytes = metadata.metadata().memory_size() + metadata.schema().fields().len() * 256;
        let footer = Arc::new(Footer { metadata, roots });
        self.cache.put(self.key, part, Arc::clone(&footer), bytes);
        Ok(footer)
    }

    /// Reads whole columns of a row group, or some rows of them. The decoder may panic on a
    /// damaged file, which is an error of this file and no reason to end a service.
    fn read(
        &self,
        footer: &Footer,
        group: usize,
        names: &[&str],
        selection: Option<RowSelection>,
    ) -> Result<RecordBatch, ReadError> {
        let read = || self.read_batch(footer, group, names, selection);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(self.failed("it is damaged: its pages cannot be decoded")))
    }

    fn read_batch(
        &self,
        footer: &Footer,
        group: usize,
        names: &[&str],
        selection: Option<RowSelection>,
    ) -> Result<RecordBatch, ReadError> {
        let rows = match footer.metadata.metadata().row_groups().get(group) {
            Some(group) => usize::try_from(group.num_rows()).map_err(|e| self.failed(e))?,
            None => return Err(self.failed(format!("has no row group {group}"))),
        };
        let roots = names.iter().filter_map(|name| footer.roots.get(*name).copied());
        let mask = ProjectionMask::roots(footer.metadata.parquet_schema(), roots);
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.open()?, footer.metadata.clone())
                .with_row_groups(vec![group])
                .with_projection(mask)
                .with_batch_size(rows.max(1));
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let reader = builder.build().map_err(|e| self.failed(e))?;
        let schema = arrow::record_batch::RecordBatchReader::schema(&reader);
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| self.failed(e))?;
        match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => Ok(batch),
            Err(batches) => arrow::compute::concat_batches(&schema, &batches).map_err(|e| self.failed(e)),
        }
    }

    fn array(&self, batch: &RecordBatch, name: &str) -> Result<ArrayRef, ReadError> {
        batch.column_by_name(name).cloned().ok_or_else(|| self.failed(format!("has no column `{name}`")))
    }

    /// A time column; empty when the file has none.
    pub(crate) fn times(&self, group: usize, path: &str) -> Result<Arc<[i64]>, ReadError> {
        let part = if path == TIMESTAMP { Part::Timestamps } else { Part::Ingested };
        let key = self.group_key(group);
        if let Some(times) = self.cache.get::<Arc<[i64]>>(key, &part) {
            return Ok(Arc::clone(&times));
        }
        let footer = self.footer(false)?;
        let times: Arc<[i64]> = if footer.roots.contains_key(path) {
            let batch = self.read(&footer, group, &[path], None)?;
            decode::times(&self.array(&batch, path)?).map_err(|e| self.failed(e))?.into()
        } else {
            Arc::from([])
        };
        self.cache.put(key, part, Arc::new(Arc::clone(&times)), times.len() * 8);
        Ok(times)
    }

    /// The columns of some field paths, in that order; `None` where the file has none.
    pub(crate) fn columns(
        &self,
        group: usize,
        paths: &[Arc<str>],
    ) -> Result<Vec<Option<Arc<Column>>>, ReadError> {
        let key = self.group_key(group);
        let mut found: Vec<Option<Arc<Column>>> =
            paths.iter().map(|path| self.cache.get(key, &Part::Column(Arc::clone(path)))).collect();
        if found.iter().all(Option::is_some) {
            return Ok(found);
        }
        let missing: Vec<Arc<str>> =
            paths.iter().zip(&found).filter(|(_, c)| c.is_none()).map(|(path, _)| Arc::clone(path)).collect();
        let read = self.decode(group, &missing)?;
        let mut read: FxHashMap<Arc<str>, Arc<Column>> = missing
            .into_iter()
            .zip(read)
            .filter_map(|(path, column)| column.map(|column| (path, Arc::new(column))))
            .collect();
        for (path, slot) in paths.iter().zip(&mut found) {
            if slot.is_none()
                && let Some(column) = read.remove(path)
            {
                let part = Part::Column(Arc::clone(path));
                self.cache.put(key, part, Arc::clone(&column), column.size());
                *slot = Some(column);
            }
        }
        Ok(found)
    }

    fn decode(&self, group: usize, paths: &[Arc<str>]) -> Result<Vec<Option<Column>>, ReadError> {
        let footer = self.footer(false)?;
        let coded = self.coded(&footer, group, paths)?;
        paths
            .iter()
            .zip(coded)
            .map(|(path, coded)| match coded {
                Some(coded) => Ok(Some(coded.into_column())),
                None => match form_of(&footer, path) {
                    Some(form) => Ok(Some(decode::time_texts(&self.times(group, path)?, form).into_column())),
                    None => Ok(None),
                },
            })
            .collect()
    }

    /// The stored columns of some field paths; times that are rebuilt are not among them.
    pub(crate) fn coded(
        &self,
        footer: &Footer,
        group: usize,
        paths: &[Arc<str>],
    ) -> Result<Vec<Option<Coded>>, ReadError> {
        let names: Vec<Option<String>> = paths.iter().map(|path| footer.own(path)).collect();
        let mut wanted: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
        if footer.roots.contains_key(OTHER) && wanted.len() < names.len() {
            wanted.push(OTHER);
        }
        if wanted.is_empty() {
            return Ok(vec![None; paths.len()]);
        }
        let read = Columns::of(self.read(footer, group, &wanted, None)?);
        let others = read.others().map_err(|e| self.failed(e))?;
        names
            .iter()
            .zip(paths)
            .map(|(name, path)| match name {
                Some(name) => {
                    let array =
                        read.get(name).ok_or_else(|| self.failed(format!("has no column `{name}`")))?;
                    decode::column(array).map(Some).map_err(|e| self.failed(e))
                }
                None if form_of(footer, path).is_some() => Ok(None),
                None => Ok(others.as_ref().and_then(|others| others.column(path))),
            })
            .collect()
    }

    /// All ids of a row group.
    pub(crate) fn ids(&self, group: usize) -> Result<Arc<Ids>, ReadError> {
        let key = self.group_key(group);
        if let Some(ids) = self.cache.get::<Ids>(key, &Part::Ids) {
            return Ok(ids);
        }
        let footer = self.footer(false)?;
        let batch = self.read(&footer, group, &[ID], None)?;
        let array = self.array(&batch, ID)?;
        let texts: &StringArray =
            array.as_any().downcast_ref().ok_or_else(|| self.failed("`_id` is not text"))?;
        let ids: Vec<Arc<str>> = texts.iter().map(|id| Arc::from(id.unwrap_or(""))).collect();
        let bytes = ids.iter().map(|id| id.len() + 40).sum();
        let ids = Arc::new(Ids::new(ids));
        self.cache.put(key, Part::Ids, Arc::clone(&ids), bytes);
        Ok(ids)
    }

    /// The bloom filter of a row group's ids.
    pub(crate) fn bloom(&self, group: usize) -> Result<Arc<Option<Sbbf>>, ReadError> {
        let key = self.group_key(group);
        if let Some(bloom) = self.cache.get::<Option<Sbbf>>(key, &Part::Bloom) {
            return Ok(bloom);
        }
        let footer = self.footer(false)?;
        let leaf = footer.metadata.parquet_schema().columns().iter().position(|c| c.path().parts() == [ID]);
        let bloom = match leaf {
            Some(leaf) => {
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.open()?, footer.metadata.clone())
                    .get_row_group_column_bloom_filter(group, leaf)
                    .map_err(|e| self.failed(e))?
            }
            None => None,
        };
        let bytes = bloom.as_ref().map_or(0, |bloom| bloom.num_blocks() * 32) + 64;
        let bloom = Arc::new(bloom);
        self.cache.put(key, Part::Bloom, Arc::clone(&bloom), bytes);
        Ok(bloom)
    }

    /// Documents of some rows, in the order asked. Whole pages are kept: rules that hit one event
    /// tend to hit its neighbours, and decompressing is what costs.
    pub(crate) fn documents(&self, group: usize, rows: &[u32]) -> Result<Vec<Stored>, ReadError> {
        let mut blocks: BTreeMap<u32, Arc<Block>> = BTreeMap::new();
        rows.iter()
            .map(|row| {
                let number = row / BLOCK;
                let block = match blocks.entry(number) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(free) => free.insert(self.block(group, number)?),
                };
                block
                    .document((row % BLOCK) as usize)
                    .ok_or_else(|| self.failed(format!("row group {group} has no row {row}")))
            })
            .collect()
    }

    fn block(&self, group: usize, number: u32) -> Result<Arc<Block>, ReadError> {
        let key = self.group_key(group);
        if let Some(block) = self.cache.get(key, &Part::Documents(number)) {
            return Ok(block);
        }
        let footer = self.footer(true)?;
        let rows = footer
            .metadata
            .metadata()
            .row_groups()
            .get(group)
            .map_or(0, parquet::file::metadata::RowGroupMetaData::num_rows);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let from = rows.min(number as usize * BLOCK as usize);
        let count = BLOCK as usize;
        let selectors = vec![RowSelector::skip(from), RowSelector::select(count.min(rows - from))];
        let batch = self.read(&footer, group, &[ID, SOURCE, ORIGINAL], Some(selectors.into()))?;
        let texts = |name: &str| -> Result<Option<StringArray>, ReadError> {
            match batch.column_by_name(name) {
                None => Ok(None),
                Some(array) => array
                    .as_any()
                    .downcast_ref::<StringArray>()
                    .map(|texts| Some(texts.clone()))
                    .ok_or_else(|| self.failed(format!("`{name}` is not text"))),
            }
        };
        let (Some(ids), Some(sources), originals) = (texts(ID)?, texts(SOURCE)?, texts(ORIGINAL)?) else {
            return Err(self.failed("has no `_id` or `_source`"));
        };
        let bytes = batch.get_array_memory_size();
        let block = Arc::new(Block { ids, sources, originals });
        self.cache.put(key, Part::Documents(number), Arc::clone(&block), bytes);
        Ok(block)
    }

    /// Rows `from..to` of a row group with all that is stored of them.
    pub(crate) fn piece(
        &self,
        group: usize,
        from: usize,
        to: usize,
        paths: &[Arc<str>],
    ) -> Result<Piece, ReadError> {
        let footer = self.footer(true)?;
        let mut selectors = vec![RowSelector::skip(from), RowSelector::select(to.saturating_sub(from))];
        selectors.retain(|selector| selector.row_count > 0);
        let names: Vec<&str> = footer.roots.keys().map(String::as_str).collect();
        let read = Columns::of(self.read(&footer, group, &names, Some(selectors.into()))?);
        let rows = read.batch.num_rows();
        let failed = |e: String| self.failed(e);
        let times = |name: &str| -> Result<Vec<i64>, ReadError> {
            match read.get(name) {
                Some(array) => decode::times(array).map_err(failed),
                None => Ok(vec![NO_TIME; rows]),
            }
        };
        let mut has_original = vec![false; rows];
        let mut texts = |name: &str| -> Result<Texts, ReadError> {
            let mut out = Texts::default();
            let Some(array) = read.get(name) else {
                (0..rows).for_each(|_| out.push(""));
                return Ok(out);
            };
            let array: &StringArray =
                array.as_any().downcast_ref().ok_or_else(|| self.failed(format!("`{name}` is not text")))?;
            for (text, has) in array.iter().zip(&mut has_original) {
                if text.is_some_and(|text| !out.fits(text.len())) {
                    return Err(self.failed("has more text than can be read at once"));
                }
                *has = text.is_some();
                out.push(text.unwrap_or(""));
            }
            Ok(out)
        };
        let (ids, sources) = (texts(ID)?, texts(SOURCE)?);
        // The last one read leaves its marks.
        let originals = texts(ORIGINAL)?;
        if !has_originals(&footer) {
            has_original = vec![false; rows];
        }
        let (timestamps, ingested) = (times(TIMESTAMP)?, times(INGESTED)?);
        let others = read.others().map_err(failed)?;
        let mut columns = Vec::with_capacity(paths.len());
        for path in paths {
            let own = footer.own(path);
            let coded = if let Some(array) = own.as_deref().and_then(|name| read.get(name)) {
                decode::column(array).map_err(failed)?
            } else if let Some(form) = form_of(&footer, path) {
                let of = if &**path == TIMESTAMP { &timestamps } else { &ingested };
                decode::time_texts(of, form)
            } else if let Some(coded) = others.as_ref().and_then(|others| others.column(path)) {
                coded
            } else {
                continue;
            };
            columns.push((Arc::clone(path), coded));
        }
        Ok(Piece { timestamps, ingested, ids, sources, originals, has_original, columns })
    }

    /// How the file's columns lie.
    pub(crate) fn plan(&self, paths: &[Arc<str>]) -> Result<Plan, ReadError> {
        let footer = self.footer(false)?;
        let groups = footer.metadata.metadata().row_groups();
        let rows: i64 = groups.iter().map(parquet::file::metadata::RowGroupMetaData::num_rows).sum();
        let mut columns = Vec::new();
        for path in paths {
            let place = footer.own(path).and_then(|name| footer.roots.get(&name).copied());
            let field = place.and_then(|place| footer.metadata.schema().fields().get(place));
            let item = match field.map(|field| field.data_type()) {
                Some(DataType::List(item)) => Some(item.data_type().clone()),
                Some(item) => Some(item.clone()),
                // Among the others, or a time that is rebuilt.
                None => None,
            };
            columns.push(ColumnPlan {
                path: Arc::clone(path),
                keyed: matches!(item, Some(DataType::Struct(_))),
                plain: item == Some(DataType::Utf8),
                distinct: GROUP_ROWS as u64,
                values: if item.is_some() { u64::try_from(rows).unwrap_or(0) } else { 0 },
            });
        }
        let time = |path: &str| match form_of(&footer, path) {
            Some(form) => TimePlan::Form(form),
            None if footer.roots.contains_key(&column_name(path)) => TimePlan::Text,
            None => TimePlan::Absent,
        };
        Ok(Plan::new(columns, time(TIMESTAMP), time(INGESTED), has_originals(&footer)))
    }

    /// Rows of each row group, from the footer.
    pub(crate) fn group_rows(&self) -> Result<Vec<u64>, ReadError> {
        let footer = self.footer(false)?;
        Ok(footer
            .metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn is_fixed(name: &str) -> bool {
    matches!(name, ID | SOURCE | ORIGINAL | TIMESTAMP | INGESTED)
}

/// How the texts of a time column are rebuilt.
pub(crate) fn form_of(footer: &Footer, path: &str) -> Option<Form> {
    if !matches!(path, TIMESTAMP | INGESTED) {
        return None;
    }
    let known = footer.metadata.metadata().file_metadata().key_value_metadata();
    let key = form_key(path);
    if let Some(pair) = known.and_then(|known| known.iter().find(|pair| pair.key == key)) {
        return Form::of_name(pair.value.as_deref()?);
    }
    let field = footer.roots.get(path).and_then(|at| footer.metadata.schema().fields().get(*at))?;
    Form::of_name(field.metadata().get(FORM)?)
}

/// Whether the file keeps originals.
pub(crate) fn has_originals(footer: &Footer) -> bool {
    footer.roots.contains_key(ORIGINAL)
}
