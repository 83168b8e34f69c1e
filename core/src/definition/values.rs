//! Single values of a definition: each is read and checked; a faulty one is reported and replaced
//! by the default.

use serde_json::{Map, Value};

use super::{Faults, MAX_DAYS, MAX_LABEL, MAX_WEIGHT, MIN_WEIGHT, quoted};
use crate::name::{is_state_name, label_of};

pub(super) fn state_name<'a>(
    name: Option<&'a Value>,
    path: &str,
    faults: &mut Faults,
) -> Option<&'a str> {
    const EXPECTED: &str = "a name of the form [A-Z][A-Z0-9_]*, up to 63 characters";
    checked_name(name, path, EXPECTED, is_state_name, faults)
}

pub(super) fn checked_name<'a>(
    name: Option<&'a Value>,
    path: &str,
    expected: &str,
    is_valid: impl Fn(&str) -> bool,
    faults: &mut Faults,
) -> Option<&'a str> {
    let Some(value) = name else {
        faults.add(path, format!("is missing; expected {expected}"));
        return None;
    };
    let name = value.as_str().filter(|name| is_valid(name));
    if name.is_none() {
        faults.expected(path, expected, value);
    }
    name
}

pub(super) fn label(
    keys: &Map<String, Value>,
    name: &str,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> String {
    match present(keys, "label") {
        None => label_of(name),
        Some(Value::String(label))
            if !label.is_empty() && label.chars().count() <= MAX_LABEL && !label.contains('\0') =>
        {
            label.clone()
        }
        Some(other) => {
            faults.expected(
                at("label"),
                format_args!("a text of 1 to {MAX_LABEL} characters"),
                other,
            );
            String::new()
        }
    }
}

/// The written weight; `None` if there is none, or a faulty one.
pub(super) fn weight(
    keys: &Map<String, Value>,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Option<f64> {
    let value = present(keys, "weight")?;
    let is_valid = |weight: &f64| *weight == 0.0 || (MIN_WEIGHT..=MAX_WEIGHT).contains(weight);
    // A sum with 0 turns -0 into 0.
    let weight = value.as_f64().filter(is_valid).map(|weight| weight + 0.0);
    if weight.is_none() {
        faults.expected(
            at("weight"),
            format_args!("0, or a number from {MIN_WEIGHT} to {MAX_WEIGHT}"),
            value,
        );
    }
    weight
}

pub(super) fn max_attempts(
    keys: &Map<String, Value>,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Option<i32> {
    let value = present(keys, "max_attempts")?;
    let attempts = value
        .as_f64()
        .filter(|number| number.fract() == 0.0 && (1.0..=f64::from(i32::MAX)).contains(number));
    if attempts.is_none() {
        faults.expected(at("max_attempts"), "a whole number from 1", value);
    }
    // In range and whole, as just checked.
    attempts.map(|number| number as i32)
}

/// Seconds, from a text such as `2 minutes`.
pub(super) fn duration(
    keys: &Map<String, Value>,
    key: &str,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> Option<f64> {
    let value = present(keys, key)?;
    let seconds = value.as_str().and_then(seconds);
    if seconds.is_none() {
        let expected = format_args!(
            "a number above 0 and a unit (seconds, minutes, hours or days), \
             such as \"30 seconds\", up to {MAX_DAYS} days"
        )
        .to_string();
        faults.expected(at(key), expected, value);
    }
    seconds
}

fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let unit = match unit {
        "second" | "seconds" => 1.0,
        "minute" | "minutes" => 60.0,
        "hour" | "hours" => 3600.0,
        "day" | "days" => 86_400.0,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !(digits(whole) && digits(fraction)) {
        return None;
    }
    let seconds = number.parse::<f64>().ok()? * unit;
    (seconds > 0.0 && seconds <= MAX_DAYS * 86_400.0).then_some(seconds)
}

pub(super) fn boolean(
    keys: &Map<String, Value>,
    key: &str,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> bool {
    match present(keys, key) {
        None => false,
        Some(Value::Bool(value)) => *value,
        Some(other) => {
            faults.expected(at(key), "true or false", other);
            false
        }
    }
}

pub(super) fn array<'a>(
    keys: &'a Map<String, Value>,
    key: &str,
    expected: &str,
    at: &impl Fn(&str) -> String,
    faults: &mut Faults,
) -> &'a [Value] {
    match present(keys, key) {
        None => &[],
        Some(Value::Array(values)) => values,
        Some(other) => {
            faults.expected(at(key), expected, other);
            &[]
        }
    }
}

/// The value of an optional key; null counts as left out.
pub(super) fn present<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    keys.get(key).filter(|value| !value.is_null())
}

pub(super) fn unknown_keys(
    keys: &Map<String, Value>,
    known: &[&str],
    path: &str,
    faults: &mut Faults,
) {
    for key in keys.keys().filter(|key| !known.contains(&key.as_str())) {
        let plain =
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let path = if plain { format!("{path}.{key}") } else { format!("{path}[{}]", quoted(key)) };
        faults.add(path, format!("is no key that is known here; known are {}", known.join(", ")));
    }
}
