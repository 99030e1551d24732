mod oracle;

use std::cmp::Ordering;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn n(text: &str) -> Numeric {
    Numeric::parse(text).unwrap()
}

#[test]
fn is_sixteen_bytes() {
    assert_eq!(size_of::<Numeric>(), 16);
}

#[test]
fn parse_and_show() {
    for (text, shown) in [
        ("1.50", "1.50"),
        ("-0.001", "-0.001"),
        ("  12 ", "12"),
        ("1e5", "100000"),
        ("1e-5", "0.00001"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.5e2", "-50"),
        ("1.2345e2", "123.45"),
        ("NaN", "NaN"),
        ("-inf", "-Infinity"),
        ("+Infinity", "Infinity"),
        ("0.000", "0.000"),
        ("-0", "0"),
        ("1e 5", "100000"),
        ("123456789012345678901234567890.1234567890", "123456789012345678901234567890.1234567890"),
        ("99999999999999999999", "99999999999999999999"),
        ("0.00000000000000000000001", "0.00000000000000000000001"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("10000.0001", "10000.0001"),
        ("1e30", "1000000000000000000000000000000"),
    ] {
        assert_eq!(n(text).to_string(), shown);
    }
    for bad in ["", " ", ".", "1x", "e5", "1e", "--1", "1.2.3", "infinit", "+nan", "0x10"] {
        let e = Numeric::parse(bad).unwrap_err();
        assert_eq!(e.code(), SqlState::INVALID_TEXT_REPRESENTATION, "{bad}");
        assert_eq!(e.message(), format!("invalid input syntax for type numeric: \"{bad}\""));
    }
    assert_eq!(Numeric::parse("1e131072").unwrap_err().message(), "value overflows numeric format");
    assert!(Numeric::parse("1e131071").is_ok());
    assert!(Numeric::parse("1e-16383").is_ok());
    assert!(Numeric::parse("1e-16384").is_err());
}

fn any_numeric() -> impl Strategy<Value = Numeric> {
    let small = (any::<i64>(), 0u32..19).prop_map(|(m, s)| Numeric::from_i128(i128::from(m), s));
    let tiny = (-1000i64..1000, 0u32..6).prop_map(|(m, s)| Numeric::from_i128(i128::from(m), s));
    let big = (any::<i128>(), 0u32..40).prop_map(|(m, s)| Numeric::from_i128(m, s));
    let text = "-?[0-9]{1,60}(\\.[0-9]{1,60})?".prop_map(|t| n(&t));
    let special = prop_oneof![
        Just(Numeric::NAN),
        Just(Numeric::INFINITY),
        Just(Numeric::NEG_INFINITY),
        Just(Numeric::ZERO)
    ];
    prop_oneof![4 => tiny, 3 => small, 3 => big, 3 => text, 1 => special]
}

/// Digit by digit, as on paper: aligned decimal digits and scale.
fn slow_parts(a: &Numeric, scale: usize) -> (bool, Vec<u8>) {
    let text = a.to_string();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.to_owned()),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    digits.extend(std::iter::repeat_n(0, scale - fraction.len()));
    (negative, digits)
}

fn slow_mul(a: &Numeric, b: &Numeric) -> Numeric {
    let (na, da) = slow_parts(a, a.scale() as usize);
    let (nb, db) = slow_parts(b, b.scale() as usize);
    let mut sums = vec![0u32; da.len() + db.len()];
    for (i, x) in da.iter().enumerate() {
        for (j, y) in db.iter().enumerate() {
            sums[i + j + 1] += u32::from(*x) * u32::from(*y);
        }
    }
    for i in (1..sums.len()).rev() {
        sums[i - 1] += sums[i] / 10;
        sums[i] %= 10;
    }
    let mut text: String = sums.iter().map(|d| char::from(b'0' + *d as u8)).collect();
    let scale = (a.scale() + b.scale()) as usize;
    text.insert(text.len() - scale, '.');
    n(&format!("{}{text}", if na == nb { "" } else { "-" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn text_round_trip(a in any_numeric()) {
        prop_assert_eq!(n(&a.to_string()).to_string(), a.to_string());
    }

    #[test]
    fn binary_round_trip(a in any_numeric()) {
        let mut out = BytesMut::new();
        a.to_binary(&mut out);
        prop_assert_eq!(Numeric::from_binary(&out).unwrap().to_string(), a.to_string());
    }

    #[test]
    fn key_order_is_compare_order(a in any_numeric(), b in any_numeric()) {
        let (mut ka, mut kb) = (Vec::new(), Vec::new());
        a.encode_key(&mut ka);
        b.encode_key(&mut kb);
        prop_assert_eq!(ka.cmp(&kb), a.cmp(&b));
        prop_assert!(ka == kb || !kb.starts_with(&ka));
        ka.push(7);
        let mut input = ka.as_slice();
        prop_assert_eq!(Numeric::decode_key(&mut input).unwrap().cmp(&a), Ordering::Equal);
        prop_assert_eq!(input, &[7]);
    }

    #[test]
    fn sums_and_products(a in any_numeric(), b in any_numeric()) {
        prop_assume!(a.is_finite() && b.is_finite());
        let sum = a.add(&b).unwrap();
        prop_assert_eq!(sum.scale(), a.scale().max(b.scale()));
        prop_assert_eq!(sum.sub(&b).unwrap().cmp(&a), Ordering::Equal);
        let product = a.mul(&b).unwrap();
        prop_assert_eq!(product.scale(), a.scale() + b.scale());
        prop_assert_eq!(product.to_string(), slow_mul(&a, &b).to_string());
        prop_assert_eq!(a.add(&b).unwrap().mul(&a).unwrap(), a.mul(&a).unwrap().add(&b.mul(&a).unwrap()).unwrap());
    }

    #[test]
    fn quotients(a in any_numeric(), b in any_numeric()) {
        prop_assume!(a.is_finite() && b.is_finite() && !b.is_zero());
        let whole = a.div_trunc(&b).unwrap();
        let rest = a.rem(&b).unwrap();
        prop_assert_eq!(whole.mul(&b).unwrap().add(&rest).unwrap(), a.clone());
        prop_assert!(rest.abs() < b.abs());
        let q = a.div(&b).unwrap();
        // No further from the truth than half of the last digit.
        let error = q.mul(&b).unwrap().sub(&a).unwrap().abs().mul(&Numeric::from_i64(2)).unwrap();
        let unit = Numeric::parse(&format!("1e-{}", q.scale())).unwrap();
        prop_assert!(error <= b.abs().mul(&unit).unwrap());
    }

    #[test]
    fn equal_hash_alike(a in any_numeric(), more in 0i32..30) {
        use std::collections::hash_map::DefaultHasher;
        let hash = |n: &Numeric| { let mut h = DefaultHasher::new(); n.hash(&mut h); h.finish() };
        let wider = a.round(a.scale() as i32 + more).unwrap();
        prop_assert_eq!(hash(&a), hash(&wider));
        prop_assert_eq!(hash(&a), hash(&a.trim_scale()));
    }
}
