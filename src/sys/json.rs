//! JSON as Go's `encoding/json` reads it.

use serde_json::{Map, Value};

/// A value by its key, in any case; `null` is as good as none.
pub fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let spelled = || {
        let mut all = object.iter();
        all.find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    object
        .get(name)
        .or_else(spelled)
        .filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_any_case() {
        let value = serde_json::json!({"AUTH": 1, "auth": 2, "Null": null});
        let object = value.as_object().unwrap();
        assert_eq!(field(object, "auth"), Some(&Value::from(2)));
        assert_eq!(field(object, "Auth"), Some(&Value::from(1)));
        assert_eq!(field(object, "null"), None);
    }
}
