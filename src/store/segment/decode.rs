//! From Arrow arrays to columns as searches use them.

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Int32Type, TimestampMillisecondType};
use rustc_hash::FxHashMap;

use crate::ecs::columns::MISSING;
use crate::store::batch::NO_TIME;
use crate::store::instant::Form;
use crate::store::rows::Coded;
use crate::store::texts::{Dictionary, Texts};

/// Codes of a text array, one a position, [`MISSING`] for null; distinct texts go to `values`.
fn codes(array: &dyn Array, values: &mut Dictionary) -> Result<Vec<u32>, String> {
    match array.data_type() {
        DataType::Utf8 => {
            let texts: &StringArray = array.as_string::<i32>();
            Ok(texts.iter().map(|text| text.map_or(MISSING, |text| values.insert(text).0)).collect())
        }
        DataType::Dictionary(_, _) => {
            let array: &DictionaryArray<Int32Type> =
                array.as_dictionary_opt().ok_or("a dictionary with keys of another type")?;
            let texts: &StringArray =
                array.values().as_string_opt::<i32>().ok_or("a dictionary of something else than text")?;
            // A dictionary may name one text twice where the writer gave up on dictionary pages.
            let mapped: Vec<u32> =
                texts.iter().map(|text| text.map_or(MISSING, |text| values.insert(text).0)).collect();
            Ok(array
                .keys()
                .iter()
                .map(|key| {
                    key.and_then(|key| usize::try_from(key).ok())
                        .and_then(|key| mapped.get(key).copied())
                        .unwrap_or(MISSING)
                })
                .collect())
        }
        other => Err(format!("a column of type {other} where text is expected")),
    }
}

/// Entries of `{key, value}` (or `{path, value}`): code pairs.
struct Pairs {
    keys: Dictionary,
    values: Dictionary,
    pairs: Vec<(u32, u32)>,
}

fn pairs(entries: &StructArray) -> Result<Pairs, String> {
    let (mut keys, mut values) = (Dictionary::default(), Dictionary::default());
    let [left, right] = entries.columns() else {
        return Err("entries with other parts than key and value".to_owned());
    };
    let left = codes(left, &mut keys)?;
    let right = codes(right, &mut values)?;
    Ok(Pairs { keys, values, pairs: left.into_iter().zip(right).collect() })
}

/// A list's offsets from 0, and its items.
fn list(array: &ArrayRef) -> Result<(Vec<u32>, ArrayRef), String> {
    let list = array.as_list_opt::<i32>().ok_or("a column that is neither text nor a list")?;
    let offsets = list.value_offsets();
    let first = offsets.first().copied().unwrap_or(0);
    let last = offsets.last().copied().unwrap_or(0);
    let from_zero: Option<Vec<u32>> = offsets.iter().map(|o| u32::try_from(o - first).ok()).collect();
    let start = usize::try_from(first).map_err(|e| e.to_string())?;
    let length = usize::try_from(last - first).map_err(|e| e.to_string())?;
    Ok((from_zero.ok_or("list offsets run backwards")?, list.values().slice(start, length)))
}

/// A field path's column.
pub(crate) fn column(array: &ArrayRef) -> Result<Coded, String> {
    let mut values = Dictionary::default();
    if !matches!(array.data_type(), DataType::List(_)) {
        let codes = codes(array, &mut values)?;
        return Ok(Coded { values: values.texts, codes, offsets: None, keyed: false });
    }
    let (offsets, items) = list(array)?;
    let Some(entries) = items.as_struct_opt() else {
        let codes = codes(&items, &mut values)?;
        return Ok(collapse(Coded { values: values.texts, codes, offsets: Some(offsets), keyed: false }));
    };
    let Pairs { keys, values: rights, pairs } = pairs(entries)?;
    let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    let mut text = String::new();
    let codes = pairs
        .into_iter()
        .map(|(key, value)| {
            *known.entry((key, value)).or_insert_with(|| {
                text.clear();
                if key != MISSING {
                    text.push_str(keys.texts.get(key as usize));
                    text.push('\0');
                }
                text.push_str(rights.texts.get(value as usize));
                values.insert(&text).0
            })
        })
        .collect();
    Ok(collapse(Coded { values: values.texts, codes, offsets: Some(offsets), keyed: true }))
}

/// Single-valued form where no row has more than one value.
fn collapse(coded: Coded) -> Coded {
    let Some(offsets) = &coded.offsets else { return coded };
    if !offsets.windows(2).all(|pair| matches!(pair, [a, b] if b.saturating_sub(*a) <= 1)) {
        return coded;
    }
    let code = |pair: &[u32]| match pair {
        [a, b] if a < b => coded.codes.get(*a as usize).copied().unwrap_or(MISSING),
        _ => MISSING,
    };
    let codes = offsets.windows(2).map(code).collect();
    Coded { codes, offsets: None, ..coded }
}

/// The paths that share one column, taken apart.
pub(crate) struct Others {
    keys: Dictionary,
    values: Dictionary,
    /// By number of the key: (row, value), rows ascending.
    entries: Vec<Vec<(u32, u32)>>,
    rows: usize,
}

impl Others {
    pub(crate) fn of(array: &ArrayRef) -> Result<Self, String> {
        let (offsets, items) = list(array)?;
        let entries = items.as_struct_opt().ok_or("`_other` does not hold entries")?;
        let Pairs { keys, values, pairs } = pairs(entries)?;
        let mut entries = vec![Vec::new(); keys.texts.len()];
        for (row, pair) in (0_u32..).zip(offsets.windows(2)) {
            let [a, b] = pair else { continue };
            for (key, value) in pairs.get(*a as usize..*b as usize).unwrap_or(&[]) {
                if let Some(of_key) = entries.get_mut(*key as usize)
                    && *value != MISSING
                {
                    of_key.push((row, *value));
                }
            }
        }
        Ok(Self { keys, values, entries, rows: offsets.len().saturating_sub(1) })
    }

    /// The column of `path`; `None` when no row has it.
    pub(crate) fn column(&self, path: &str) -> Option<Coded> {
        let key = self.keys.find(path)?;
        let entries = self.entries.get(key as usize).filter(|entries| !entries.is_empty())?;
        let mut values = Dictionary::default();
        let mut codes = Vec::with_capacity(entries.len());
        let mut ends = vec![0_u32; self.rows + 1];
        for (row, value) in entries {
            codes.push(values.insert(self.values.texts.get(*value as usize)).0);
            if let Some(end) = ends.get_mut(*row as usize + 1) {
                *end += 1;
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        Some(collapse(Coded { values: values.texts, codes, offsets: Some(ends), keyed: false }))
    }
}

/// Milliseconds, [`NO_TIME`] where there is none.
pub(crate) fn times(array: &ArrayRef) -> Result<Vec<i64>, String> {
    let times = array
        .as_primitive_opt::<TimestampMillisecondType>()
        .ok_or_else(|| format!("a time column of type {}", array.data_type()))?;
    Ok(times.iter().map(|ms| ms.unwrap_or(NO_TIME)).collect())
}

/// The texts that times had.
pub(crate) fn time_texts(times: &[i64], form: Form) -> Coded {
    let mut known: FxHashMap<i64, u32> = FxHashMap::default();
    let mut values = Texts::default();
    let mut text = String::new();
    let codes = times
        .iter()
        .map(|ms| {
            if *ms == NO_TIME {
                return MISSING;
            }
            *known.entry(*ms).or_insert_with(|| {
                text.clear();
                form.write(*ms, &mut text);
                values.push(&text);
                u32::try_from(values.len() - 1).unwrap_or(MISSING)
            })
        })
        .collect();
    Coded { values, codes, offsets: None, keyed: false }
}
