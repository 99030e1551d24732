//! Numbers: integers, floats, numeric, and the functions over them.

mod degrees;
pub(super) mod floats;
pub(super) mod ints;
mod math;
pub(super) mod numerics;
pub(super) mod table;

/// A float in a message, as C's `%g`: six digits, without trailing zeros.
pub(super) fn percent_g(x: f64) -> String {
    if !x.is_finite() || x == 0.0 {
        return match x {
            _ if x.is_nan() => "nan".to_owned(),
            _ if x.is_infinite() => if x > 0.0 { "inf" } else { "-inf" }.to_owned(),
            _ => if x.is_sign_negative() { "-0" } else { "0" }.to_owned(),
        };
    }
    let scientific = format!("{x:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..=5 => trim(&format!("{x:.*}", (5 - exponent) as usize)),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
        }
    }
}
