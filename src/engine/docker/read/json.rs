//! Picks values out of an engine's answer. A value that is missing, null or of
//! another type is `None`, so that one odd field never costs the whole answer.

use std::collections::BTreeMap;

use serde_json::Value;

pub(super) fn text(json: &Value, pointer: &str) -> Option<String> {
    json.pointer(pointer)?.as_str().map(str::to_owned)
}

pub(super) fn number(json: &Value, pointer: &str) -> Option<i64> {
    json.pointer(pointer)?.as_i64()
}

pub(super) fn unsigned(json: &Value, pointer: &str) -> u64 {
    json.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

pub(super) fn is_true(json: &Value, pointer: &str) -> bool {
    json.pointer(pointer) == Some(&Value::Bool(true))
}

/// The texts of a list; other elements are left out.
pub(super) fn texts(json: &Value, pointer: &str) -> Vec<String> {
    elements(json, pointer)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

pub(super) fn elements<'a>(json: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    json.pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn members<'a>(
    json: &'a Value,
    pointer: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    json.pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The texts of an object, by name.
pub(super) fn text_members(json: &Value, pointer: &str) -> BTreeMap<String, String> {
    members(json, pointer)
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
