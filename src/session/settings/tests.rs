use super::*;

const USER: Source = Source::Session { superuser: false };

fn settings() -> Settings {
    Settings::server(&[("port", "5432".to_owned())])
}

fn set(s: &mut Settings, name: &str, value: &str, local: bool, level: u32) {
    s.set(name, Some(value), local, level, USER).unwrap();
}

fn refused(name: &str, value: &str) -> String {
    let error = settings().set(name, Some(value), false, 0, USER).unwrap_err();
    format!("{} {}", error.code(), error.message())
}

#[test]
fn a_rollback_takes_changes_back() {
    let mut s = settings();
    set(&mut s, "work_mem", "1MB", false, 0);
    set(&mut s, "work_mem", "2MB", false, 1);
    set(&mut s, "app.user", "me", false, 1);
    set(&mut s, "work_mem", "3MB", false, 2);
    s.rollback_to(2);
    assert_eq!(s.show("work_mem").unwrap().1, "2MB");
    s.rollback();
    assert_eq!(s.show("work_mem").unwrap().1, "1MB");
    assert!(s.show("app.user").is_err());
}

#[test]
fn a_local_value_ends_with_the_transaction() {
    let mut s = settings();
    set(&mut s, "work_mem", "2MB", true, 1);
    s.commit();
    assert_eq!(s.show("work_mem").unwrap().1, "4MB");

    set(&mut s, "work_mem", "2MB", false, 1);
    set(&mut s, "work_mem", "3MB", true, 1);
    assert_eq!(s.show("work_mem").unwrap().1, "3MB");
    s.commit();
    assert_eq!(s.show("work_mem").unwrap().1, "2MB");

    set(&mut s, "work_mem", "5MB", true, 1);
    set(&mut s, "work_mem", "6MB", false, 1);
    s.commit();
    assert_eq!(s.show("work_mem").unwrap().1, "6MB");

    set(&mut s, "work_mem", "9MB", true, 0);
    assert_eq!(s.show("work_mem").unwrap().1, "6MB");
}

#[test]
fn a_released_savepoint_belongs_to_its_parent() {
    let mut s = settings();
    set(&mut s, "work_mem", "1MB", false, 2);
    s.release(2);
    s.rollback_to(2);
    assert_eq!(s.show("work_mem").unwrap().1, "1MB");
    s.rollback_to(1);
    assert_eq!(s.show("work_mem").unwrap().1, "4MB");
}

#[test]
fn who_may_change_what() {
    assert_eq!(
        refused("server_version", "1"),
        "55P02 parameter \"server_version\" cannot be changed"
    );
    assert_eq!(
        refused("port", "1"),
        "55P02 parameter \"port\" cannot be changed without restarting the server"
    );
    assert_eq!(refused("ssl", "on"), "55P02 parameter \"ssl\" cannot be changed now");
    assert_eq!(
        refused("deadlock_timeout", "2s"),
        "42501 permission denied to set parameter \"deadlock_timeout\""
    );
    assert_eq!(refused("foo", "1"), "42704 unrecognized configuration parameter \"foo\"");
    assert_eq!(refused("a-b.c", "1"), "42602 invalid configuration parameter name \"a-b.c\"");
    assert_eq!(
        refused("standard_conforming_strings", "off"),
        "0A000 setting \"standard_conforming_strings\" to \"off\" is not supported"
    );
}

#[test]
fn checked_values() {
    let shown = |name: &str, value: &str| {
        let mut s = settings();
        match s.set(name, Some(value), false, 0, USER) {
            Ok(()) => s.show(name).unwrap().1,
            Err(e) => e.message().to_owned(),
        }
    };
    for (name, value, expected) in [
        ("timezone", "europe/paris", "Europe/Paris"),
        ("timezone", "3", "<+03>-03"),
        ("timezone", "-8", "<-08>+08"),
        ("timezone", "5.5", "<+05:30>-05:30"),
        ("timezone", "EST5EDT", "EST5EDT"),
        ("timezone", "<+05>-05", "<+05>-05"),
        ("timezone", "utc", "UTC"),
        ("timezone", "Foo/Bar", "invalid value for parameter \"TimeZone\": \"Foo/Bar\""),
        ("timezone", "1e99", "invalid value for parameter \"TimeZone\": \"1e99\""),
        ("datestyle", "german", "German, DMY"),
        ("datestyle", "dmy", "ISO, DMY"),
        ("datestyle", "sql,mdy", "SQL, MDY"),
        ("datestyle", "iso, sql", "invalid value for parameter \"DateStyle\": \"iso, sql\""),
        ("datestyle", "foo", "invalid value for parameter \"DateStyle\": \"foo\""),
        ("client_encoding", "utf-8", "UTF8"),
        ("client_encoding", "latin1", "client encoding \"latin1\" is not supported"),
        ("client_encoding", "xx", "invalid value for parameter \"client_encoding\": \"xx\""),
        ("application_name", "é", "??"),
        ("sluice.read_engines", "Columnar, row", "columnar,row"),
        (
            "sluice.read_engines",
            "disk",
            "invalid value for parameter \"sluice.read_engines\": \"disk\"",
        ),
    ] {
        assert_eq!(shown(name, value), expected, "{name} = {value}");
    }
}

#[test]
fn reset_all_goes_back_to_the_startup_values() {
    let mut s = settings();
    s.set("extra_float_digits", Some("3"), false, 0, Source::Startup).unwrap();
    s.fix_defaults();
    set(&mut s, "extra_float_digits", "0", false, 0);
    set(&mut s, "work_mem", "1MB", false, 1);
    s.reset_all(1);
    assert_eq!(s.value("extra_float_digits"), "3");
    assert_eq!(s.value("work_mem"), "4096");
    s.rollback();
    assert_eq!(s.value("extra_float_digits"), "0");
    assert_eq!(s.value("work_mem"), "4096");
}
