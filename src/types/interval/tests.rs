use super::*;

fn shown(i: Interval, style: IntervalStyle) -> String {
    let mut out = String::new();
    i.write_to(style, &mut out);
    out
}

#[test]
fn output_in_all_styles() {
    const H: i64 = HOUR;
    let time = 4 * H + 5 * MINUTE + 6_789_000;
    #[rustfmt::skip]
    let cases = [
        (14, 3, time, "1 year 2 mons 3 days 04:05:06.789", "@ 1 year 2 mons 3 days 4 hours 5 mins 6.789 secs", "+1-2 +3 +4:05:06.789", "P1Y2M3DT4H5M6.789S"),
        (-10, -3, 4 * H + 5 * MINUTE + 6_000_000, "-10 mons -3 days +04:05:06", "@ 10 mons 3 days -4 hours -5 mins -6 secs ago", "-0-10 -3 +4:05:06", "P-10M-3DT4H5M6S"),
        (0, -1, 0, "-1 days", "@ 1 day ago", "-1 0:00:00", "P-1D"),
        (0, 0, 0, "00:00:00", "@ 0", "0", "PT0S"),
        (1, -1, 0, "1 mon -1 days", "@ 1 mon -1 days", "+0-1 -1 +0:00:00", "P1M-1D"),
        (0, 0, -(4 * H + 5 * MINUTE + 6_500_000), "-04:05:06.5", "@ 4 hours 5 mins 6.5 secs ago", "-4:05:06.5", "PT-4H-5M-6.5S"),
        (0, 1, -1_000_000, "1 day -00:00:01", "@ 1 day -1 sec", "+0-0 +1 -0:00:01", "P1DT-1S"),
        (-1, 2, -3 * H, "-1 mons +2 days -03:00:00", "@ 1 mon -2 days 3 hours ago", "-0-1 +2 -3:00:00", "P-1M2DT-3H"),
        (0, 0, 100 * H, "100:00:00", "@ 100 hours", "100:00:00", "PT100H"),
        (0, 0, -500_000, "-00:00:00.5", "@ 0.5 secs ago", "-0:00:00.5", "PT-0.5S"),
        (13, 0, 0, "1 year 1 mon", "@ 1 year 1 mon", "1-1", "P1Y1M"),
        (-13, 5, 0, "-1 years -1 mons +5 days", "@ 1 year 1 mon -5 days ago", "-1-1 +5 +0:00:00", "P-1Y-1M5D"),
        (12, 0, 1_000_000, "1 year 00:00:01", "@ 1 year 1 sec", "+1-0 +0 +0:00:01", "P1YT1S"),
        (0, 3, 0, "3 days", "@ 3 days", "3 0:00:00", "P3D"),
    ];
    for (months, days, micros, postgres, verbose, sql, iso) in cases {
        let i = Interval::new(months, days, micros);
        assert_eq!(shown(i, IntervalStyle::Postgres), postgres);
        assert_eq!(shown(i, IntervalStyle::PostgresVerbose), verbose);
        assert_eq!(shown(i, IntervalStyle::SqlStandard), sql);
        assert_eq!(shown(i, IntervalStyle::Iso8601), iso);
    }
}

#[test]
fn order_counts_months_as_thirty_days() {
    assert_eq!(Interval::new(1, 0, 0), Interval::new(0, 30, 0));
    assert_eq!(Interval::new(0, 1, 0), Interval::new(0, 0, DAY));
    assert!(Interval::new(1, 0, 0) < Interval::new(0, 30, 1));
}

#[test]
fn modifiers() {
    assert_eq!(
        modifier_text(modifier(Some("day to second"), Some(3)).unwrap()),
        " day to second(3)"
    );
    assert_eq!(modifier_text(modifier(Some("year to month"), None).unwrap()), " year to month");
    assert_eq!(modifier(None, None).unwrap(), -1);
    assert!(modifier(Some("month to day"), None).is_err());
    let minutes = modifier(Some("hour to minute"), None).unwrap();
    let cut = Interval::new(1, 2, 3_723_999_999).apply_typmod(minutes);
    assert_eq!(shown(cut, IntervalStyle::Postgres), "1 mon 2 days 01:02:00");
    let two = modifier(None, Some(2)).unwrap();
    let cut = Interval::new(0, 0, -1_005_000).apply_typmod(two);
    assert_eq!(shown(cut, IntervalStyle::Postgres), "-00:00:01.01");
}
