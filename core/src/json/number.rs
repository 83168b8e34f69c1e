//! Numbers of JSON in Postgres `numeric`: whether it can hold a number, and how long it prints it.

/// The most digits before the decimal point.
const MAX_WHOLE: i64 = 131_072;
/// The most digits after it.
const MAX_FRACTION: i64 = 16_383;
/// Postgres refuses an exponent of this size or more, whatever the digits.
const EXPONENT_LIMIT: i64 = 1_073_741_823;

/// Whether Postgres can hold the number. `NaN` and the infinities are not JSON.
pub(super) fn fits(number: &str) -> bool {
    printed_length(number).is_some()
}

/// How many bytes Postgres prints for the number; `None` if it cannot hold it.
pub(super) fn printed_length(number: &str) -> Option<usize> {
    let (is_negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (digits, 0),
    };
    if exponent.abs() >= EXPONENT_LIMIT {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut both = whole.bytes().chain(fraction.bytes());
    if !both.clone().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let scale = length(fraction).saturating_sub(exponent).max(0);
    let zeros = both.position(|byte| byte != b'0');
    // The digits before the point once the exponent has moved it; none for a number below 1.
    let digits = match zeros {
        None => 0,
        Some(zeros) => {
            length(whole).saturating_sub(i64::try_from(zeros).ok()?).saturating_add(exponent)
        }
    };
    if digits > MAX_WHOLE || scale > MAX_FRACTION {
        return None;
    }
    let sign = i64::from(is_negative && zeros.is_some());
    let point = if scale > 0 { 1 + scale } else { 0 };
    usize::try_from(sign + digits.max(1) + point).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_length_that_postgres_prints() {
        for (number, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("1.50", "1.50"),
            ("-7", "-7"),
            ("1e5", "100000"),
            ("1.5e-3", "0.0015"),
            ("0.001e2", "0.1"),
            ("12.5e1", "125"),
            ("0.0001e4", "1"),
            ("1E+2", "100"),
            ("-1.25E-1", "-0.125"),
            ("0e9", "0"),
            ("0e-3", "0.000"),
            ("147696713205860203665304570961189620315", "147696713205860203665304570961189620315"),
        ] {
            assert_eq!(printed_length(number), Some(printed.len()), "{number}");
        }
        assert_eq!(printed_length("1e300"), Some(301));
    }

    #[test]
    fn a_number_that_postgres_cannot_hold_does_not_fit() {
        for number in
            ["1e131071", "9.99e131071", "1e-16383", "0e-16383", "0e1073741822", "0.01e131073"]
        {
            assert!(fits(number), "{number}");
        }
        for number in [
            "1e131072",
            "10e131071",
            "1e-16384",
            "0e-16384",
            "0.1e-16383",
            "0e1073741823",
            "1e99999999999",
        ] {
            assert!(!fits(number), "{number}");
        }
        for number in
            ["NaN", "Infinity", "-Infinity", "1e99999999999999999999", "1e-99999999999999999999"]
        {
            assert!(!fits(number), "{number}");
        }
    }
}
