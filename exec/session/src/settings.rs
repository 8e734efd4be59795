//! Session settings: one record each, in one list.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use jiff::tz::TimeZone;
use spg_types::{
    ByteaFormat, DateFormat, DateOrder, Error, FormatSettings, IntervalFormat, Result, SqlState,
};

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum SettingKind {
    /// on/off, true/false, yes/no, 1/0.
    Bool,
    /// A whole number in this range; with a unit for display, in which the bare number counts.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// Unit.
        unit: Unit,
    },
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Anything that the function accepts; it returns the value as SHOW prints it.
    Text(fn(&str) -> Option<String>),
    /// Fixed by the server: SHOW only (55P02 on SET).
    Fixed,
}

/// Unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unit {
    None,
    Milliseconds,
    Kilobytes,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name, in the case that SHOW ALL prints.
    pub name: &'static str,
    /// Its default, as SHOW prints it.
    pub default: &'static str,
    /// What it takes.
    pub kind: SettingKind,
    /// Whether clients are told of changes (ParameterStatus).
    pub report: bool,
    /// What it does, one sentence.
    pub doc: &'static str,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    kind: SettingKind,
    report: bool,
    doc: &'static str,
) -> Setting {
    Setting { name, default, kind, report, doc }
}

const MS: SettingKind = SettingKind::Int { min: 0, max: i32::MAX as i64, unit: Unit::Milliseconds };

fn any(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn utf8_only(value: &str) -> Option<String> {
    let folded: String = value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    matches!(folded.as_str(), "utf8" | "unicode" | "sqlascii").then(|| "UTF8".to_owned())
}

fn time_zone(value: &str) -> Option<String> {
    parse_time_zone(value).map(|(_, name)| name)
}

fn date_style(value: &str) -> Option<String> {
    parse_date_style(value, (DateFormat::Iso, DateOrder::Mdy)).map(|(f, o)| date_style_name(f, o))
}

const ISOLATION: &[&str] = &["read uncommitted", "read committed", "repeatable read", "serializable"];

/// Every setting, by name in lower case.
pub static SETTINGS: &[Setting] = &[
    setting("application_name", "", SettingKind::Text(any), true, "Name of the client application."),
    setting("bytea_output", "hex", SettingKind::Enum(&["hex", "escape"]), false, "Output format of bytea."),
    setting("client_encoding", "UTF8", SettingKind::Text(utf8_only), true, "The client's encoding; UTF8."),
    setting(
        "client_min_messages",
        "notice",
        SettingKind::Enum(&[
            "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
        ]),
        false,
        "Least severe messages that are sent to the client.",
    ),
    setting("datestyle", "ISO, MDY", SettingKind::Text(date_style), true, "Format and field order of dates."),
    setting(
        "default_transaction_isolation",
        "read committed",
        SettingKind::Enum(ISOLATION),
        false,
        "Isolation level of new transactions.",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        SettingKind::Bool,
        true,
        "Whether new transactions are read-only.",
    ),
    setting(
        "extra_float_digits",
        "1",
        SettingKind::Int { min: -15, max: 3, unit: Unit::None },
        false,
        "Digits of floating-point output: above 0, the shortest that read back exactly.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        MS,
        false,
        "Ends a session that stays idle within a transaction for longer; 0 is never.",
    ),
    setting(
        "intervalstyle",
        "postgres",
        SettingKind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        true,
        "Output format of intervals.",
    ),
    setting("in_hot_standby", "off", SettingKind::Fixed, true, "Whether the server only follows another."),
    setting(
        "integer_datetimes",
        "on",
        SettingKind::Fixed,
        true,
        "Whether dates and times are stored as integers.",
    ),
    setting("is_superuser", "on", SettingKind::Fixed, true, "Whether the user is a superuser."),
    setting("lc_collate", "C", SettingKind::Fixed, false, "Collation of text."),
    setting("lc_ctype", "C", SettingKind::Fixed, false, "Character classes of text."),
    setting("lock_timeout", "0", MS, false, "Longest wait for other transactions that write; 0 is for ever."),
    setting("max_connections", "100", SettingKind::Fixed, false, "Connections accepted at a time."),
    setting(
        "search_path",
        "\"$user\", public",
        SettingKind::Text(any),
        false,
        "Schemas that unqualified names are looked up in.",
    ),
    setting("server_encoding", "UTF8", SettingKind::Fixed, true, "Encoding of the database."),
    setting(
        "server_version",
        "15.0",
        SettingKind::Fixed,
        true,
        "Version of PostgreSQL that the server is compatible with.",
    ),
    setting("server_version_num", "150000", SettingKind::Fixed, false, "server_version as a number."),
    setting("session_authorization", "", SettingKind::Fixed, true, "The session's user."),
    setting(
        "spg.batch_size",
        "8192",
        SettingKind::Int { min: 1, max: 131_072, unit: Unit::None },
        false,
        "Rows per batch in the executor.",
    ),
    setting(
        "spg.dialect",
        "postgres",
        SettingKind::Enum(&["postgres"]),
        false,
        "The SQL dialect that statements are read in.",
    ),
    setting(
        "spg.optimizer",
        "on",
        SettingKind::Bool,
        false,
        "Whether plans are optimized; off only decorrelates.",
    ),
    setting(
        "spg.workers",
        "0",
        SettingKind::Int { min: 0, max: 1024, unit: Unit::None },
        false,
        "Most workers that a query uses; 0 is all.",
    ),
    setting(
        "standard_conforming_strings",
        "on",
        SettingKind::Enum(&["on"]),
        true,
        "Whether backslashes in ordinary strings are literal.",
    ),
    setting("statement_timeout", "0", MS, false, "Ends a statement that runs longer; 0 is never."),
    setting("synchronous_commit", "on", SettingKind::Fixed, false, "Whether commits wait for the disk."),
    setting(
        "timezone",
        "Etc/UTC",
        SettingKind::Text(time_zone),
        true,
        "Time zone of timestamps with time zone.",
    ),
    setting(
        "transaction_isolation",
        "read committed",
        SettingKind::Enum(ISOLATION),
        false,
        "The current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        "off",
        SettingKind::Bool,
        false,
        "Whether the current transaction is read-only.",
    ),
    setting(
        "work_mem",
        "0",
        SettingKind::Int { min: 0, max: i64::MAX / 1024, unit: Unit::Kilobytes },
        false,
        "Memory budget of a query; 0 is a quarter of the machine's memory, shared by the running queries.",
    ),
];

/// Names as SHOW ALL and ParameterStatus spell them, where that is not lower case.
pub(crate) fn display_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

/// The setting of that name (any case; `time zone` is `timezone`).
pub(crate) fn find(name: &str) -> Result<&'static Setting> {
    let lower = name.to_lowercase();
    SETTINGS.iter().find(|s| s.name == lower).ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
    })
}

/// Whether a name is one of an application's own settings: several identifiers with dots between. 42602 where it has dots but is
/// no such name; the server's own prefix is not open.
fn is_custom(name: &str) -> Result<bool> {
    if !name.contains('.') || name.to_lowercase().starts_with("spg.") {
        return Ok(false);
    }
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
    };
    if name.split('.').all(identifier) {
        return Ok(true);
    }
    Err(Error::new(SqlState::INVALID_NAME, format!("invalid configuration parameter name \"{name}\""))
        .with_detail("Custom parameter names must be two or more simple identifiers separated by dots."))
}

/// Values at one moment; a copy is a pointer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    known: AHashMap<&'static str, String>,
    /// Applications' own settings, by name in lower case.
    custom: BTreeMap<String, String>,
}

/// The values of a session's settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: Arc<Values>,
    /// What RESET goes back to: the server's and the start-up packet's values.
    defaults: Arc<Values>,
    /// Settings whose change the client is yet to be told.
    changed: Vec<&'static str>,
}

impl Settings {
    /// Defaults, with the server's own values on top.
    pub(crate) fn new(overrides: &[(&str, String)]) -> Self {
        let mut known: AHashMap<&'static str, String> =
            SETTINGS.iter().map(|s| (s.name, s.default.to_owned())).collect();
        for (name, value) in overrides {
            if let Ok(s) = find(name) {
                known.insert(s.name, value.clone());
            }
        }
        let values = Arc::new(Values { known, custom: BTreeMap::new() });
        Self { values: values.clone(), defaults: values, changed: vec![] }
    }

    /// Makes the present values those that RESET goes back to: after the start-up packet's options.
    pub(crate) fn seal_defaults(&mut self) {
        self.defaults = self.values.clone();
        self.changed.clear();
    }

    /// A setting's value as SHOW prints it; 42704 when there is none of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&str> {
        if let Some(value) = self.values.custom.get(&name.to_lowercase()) {
            return Ok(value);
        }
        let s = find(name)?;
        Ok(self.values.known.get(s.name).map_or(s.default, String::as_str))
    }

    /// Sets a value; 22023 when it does not fit, 55P02 when it can't be changed, 42704 when there is none of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if is_custom(name)? {
            Arc::make_mut(&mut self.values).custom.insert(name.to_lowercase(), value.to_owned());
            return Ok(());
        }
        let s = find(name)?;
        // Dates keep the part of the style that is not named.
        let value = match s.name {
            "datestyle" if date_style(value).is_some() => format!("{}, {value}", self.get(name)?),
            _ => value.to_owned(),
        };
        let canonical = canonical(s, &value)?;
        self.store(s, canonical);
        Ok(())
    }

    /// Sets a value that only the server changes.
    pub(crate) fn set_fixed(&mut self, name: &'static str, value: String) {
        if let Ok(s) = find(name) {
            self.store(s, value);
        }
    }

    /// Back to the default; an application's own setting is empty then.
    pub(crate) fn reset(&mut self, name: &str) -> Result<()> {
        let lower = name.to_lowercase();
        if self.values.custom.contains_key(&lower) {
            let value = self.defaults.custom.get(&lower).cloned().unwrap_or_default();
            Arc::make_mut(&mut self.values).custom.insert(lower, value);
            return Ok(());
        }
        if is_custom(name)? {
            return Ok(());
        }
        let s = find(name)?;
        if matches!(s.kind, SettingKind::Fixed) {
            return Err(cannot_change(s));
        }
        let value = self.defaults.known.get(s.name).cloned().unwrap_or_else(|| s.default.to_owned());
        self.store(s, value);
        Ok(())
    }

    /// All back to their defaults.
    pub(crate) fn reset_all(&mut self) {
        self.restore(&self.defaults.clone());
    }

    fn store(&mut self, s: &'static Setting, value: String) {
        if self.values.known.get(s.name) == Some(&value) {
            return;
        }
        Arc::make_mut(&mut self.values).known.insert(s.name, value);
        if s.report && !self.changed.contains(&s.name) {
            self.changed.push(s.name);
        }
    }

    /// Names and values that clients are told, all of them.
    pub(crate) fn reported(&self) -> Vec<(String, String)> {
        SETTINGS.iter().filter(|s| s.report).map(|s| self.pair(s.name)).collect()
    }

    /// Names and values that have changed since the last call, of those that clients are told.
    pub(crate) fn take_changes(&mut self) -> Vec<(String, String)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|n| self.pair(n)).collect()
    }

    fn pair(&self, name: &'static str) -> (String, String) {
        (display_name(name).to_owned(), self.values.known.get(name).cloned().unwrap_or_default())
    }

    /// Puts back the values of an earlier copy (a transaction that rolled back).
    pub(crate) fn restore(&mut self, earlier: &Arc<Values>) {
        let fixed = |s: &Setting| matches!(s.kind, SettingKind::Fixed);
        for s in SETTINGS.iter().filter(|s| !fixed(s)) {
            if let Some(v) = earlier.known.get(s.name) {
                self.store(s, v.clone());
            }
        }
        if self.values.custom != earlier.custom {
            Arc::make_mut(&mut self.values).custom = earlier.custom.clone();
        }
    }

    /// A copy of the values.
    pub(crate) fn values(&self) -> Arc<Values> {
        self.values.clone()
    }

    /// Puts back one setting's value of an earlier copy (SET LOCAL, when its transaction ends).
    pub(crate) fn restore_one(&mut self, name: &str, earlier: &Values) {
        let lower = name.to_lowercase();
        match find(&lower) {
            Ok(s) => {
                if let Some(value) = earlier.known.get(s.name) {
                    self.store(s, value.clone());
                }
            }
            Err(_) => {
                // What an application set only for a transaction is empty afterwards, as in PostgreSQL.
                let value = earlier.custom.get(&lower).cloned().unwrap_or_default();
                Arc::make_mut(&mut self.values).custom.insert(lower, value);
            }
        }
    }

    /// A boolean setting.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|v| v == "on")
    }

    /// A whole-number setting in its unit.
    pub(crate) fn number(&self, name: &str) -> i64 {
        find(name)
            .ok()
            .and_then(|s| match s.kind {
                SettingKind::Int { unit, .. } => parse_number(self.get(name).ok()?, unit),
                _ => None,
            })
            .unwrap_or(0)
    }

    /// What text input and output go by.
    pub(crate) fn format(&self, now_us: i64) -> FormatSettings {
        let value = |name: &str| self.get(name).unwrap_or_default();
        let (date_format, date_order) =
            parse_date_style(value("datestyle"), (DateFormat::Iso, DateOrder::Mdy))
                .unwrap_or((DateFormat::Iso, DateOrder::Mdy));
        FormatSettings {
            date_order,
            date_format,
            interval_format: match value("intervalstyle") {
                "postgres_verbose" => IntervalFormat::PostgresVerbose,
                "sql_standard" => IntervalFormat::SqlStandard,
                "iso_8601" => IntervalFormat::Iso8601,
                _ => IntervalFormat::Postgres,
            },
            bytea_format: if value("bytea_output") == "escape" {
                ByteaFormat::Escape
            } else {
                ByteaFormat::Hex
            },
            extra_float_digits: self.number("extra_float_digits") as i32,
            time_zone: parse_time_zone(value("timezone")).map_or(TimeZone::UTC, |(tz, _)| tz),
            now_us,
        }
    }
}

fn cannot_change(s: &Setting) -> Error {
    Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, format!("parameter \"{}\" cannot be changed", s.name))
}

/// The value as SHOW prints it.
fn canonical(s: &'static Setting, value: &str) -> Result<String> {
    let shown = display_name(s.name);
    let invalid = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{shown}\": \"{value}\""),
        )
    };
    match s.kind {
        SettingKind::Fixed => Err(cannot_change(s)),
        SettingKind::Bool => match parse_bool(value) {
            Some(b) => Ok(if b { "on" } else { "off" }.to_owned()),
            None => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("parameter \"{shown}\" requires a Boolean value"),
            )),
        },
        SettingKind::Int { min, max, unit } => {
            let n = parse_number(value, unit).ok_or_else(invalid)?;
            if n < min || n > max {
                let unit = match unit {
                    Unit::None => "",
                    Unit::Milliseconds => " ms",
                    Unit::Kilobytes => " kB",
                };
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!(
                        "{n}{unit} is outside the valid range for parameter \"{shown}\" ({min} .. {max})"
                    ),
                ));
            }
            Ok(show_number(n, unit))
        }
        SettingKind::Enum(words) => {
            let lower = value.to_lowercase();
            let on_off =
                if words == ["on"] { parse_bool(value).map(|b| if b { "on" } else { "off" }) } else { None };
            let wanted = on_off.unwrap_or(&lower);
            words
                .iter()
                .find(|w| **w == wanted)
                .map(|w| (*w).to_owned())
                .ok_or_else(|| invalid().with_hint(format!("Available values: {}.", words.join(", "))))
        }
        SettingKind::Text(check) => check(value).ok_or_else(invalid),
    }
}

fn parse_bool(value: &str) -> Option<bool> {
    match value.trim().to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" | "tr" | "tru" | "ye" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" | "of" | "fa" | "fal" | "fals" => Some(false),
        _ => None,
    }
}

fn parse_number(value: &str, unit: Unit) -> Option<i64> {
    let value = value.trim();
    let split = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let (digits, suffix) = value.split_at(split);
    let number: f64 = digits.trim().parse().ok()?;
    let factor = match (unit, suffix.trim()) {
        (_, "") => 1.0,
        (Unit::Milliseconds, "us") => 0.001,
        (Unit::Milliseconds, "ms") => 1.0,
        (Unit::Milliseconds, "s") => 1e3,
        (Unit::Milliseconds, "min") => 6e4,
        (Unit::Milliseconds, "h") => 3.6e6,
        (Unit::Milliseconds, "d") => 8.64e7,
        (Unit::Kilobytes, "B") => 1.0 / 1024.0,
        (Unit::Kilobytes, "kB") => 1.0,
        (Unit::Kilobytes, "MB") => 1024.0,
        (Unit::Kilobytes, "GB") => 1024.0 * 1024.0,
        (Unit::Kilobytes, "TB") => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let n = (number * factor).round();
    (n.abs() <= 9e18).then_some(n as i64)
}

fn show_number(n: i64, unit: Unit) -> String {
    let units: &[(i64, &str)] = match unit {
        Unit::None => &[],
        Unit::Milliseconds => &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")],
        Unit::Kilobytes => &[(1 << 30, "TB"), (1 << 20, "GB"), (1 << 10, "MB"), (1, "kB")],
    };
    match units.iter().find(|(size, _)| n != 0 && n % size == 0) {
        Some((size, name)) => format!("{}{name}", n / size),
        None => n.to_string(),
    }
}

/// Milliseconds as SHOW prints them.
pub(crate) fn show_milliseconds(ms: u64) -> String {
    show_number(i64::try_from(ms).unwrap_or(i64::MAX), Unit::Milliseconds)
}

fn parse_date_style(value: &str, now: (DateFormat, DateOrder)) -> Option<(DateFormat, DateOrder)> {
    let (mut format, mut order) = now;
    for word in value.split(',').map(|w| w.trim().to_lowercase()) {
        match word.as_str() {
            "iso" => format = DateFormat::Iso,
            "sql" => format = DateFormat::Sql,
            "postgres" | "postgresql" => format = DateFormat::Postgres,
            "german" => {
                format = DateFormat::German;
                order = DateOrder::Dmy;
            }
            "mdy" | "us" | "noneuro" | "noneuropean" => order = DateOrder::Mdy,
            "dmy" | "euro" | "european" => order = DateOrder::Dmy,
            "ymd" => order = DateOrder::Ymd,
            "default" => (format, order) = (DateFormat::Iso, DateOrder::Mdy),
            _ => return None,
        }
    }
    Some((format, order))
}

fn date_style_name(format: DateFormat, order: DateOrder) -> String {
    let f = match format {
        DateFormat::Iso => "ISO",
        DateFormat::Sql => "SQL",
        DateFormat::Postgres => "Postgres",
        DateFormat::German => "German",
    };
    let o = match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{f}, {o}")
}

/// A time zone by name, by hours east of Greenwich or as POSIX writes it, with its name as SHOW prints it.
fn parse_time_zone(value: &str) -> Option<(TimeZone, String)> {
    let trimmed = value.trim();
    if let Ok(hours) = trimmed.parse::<f64>() {
        return fixed_zone((hours * 3600.0) as i32).map(|tz| (tz, offset_name((hours * 3600.0) as i32)));
    }
    match trimmed.to_lowercase().as_str() {
        "utc" => return Some((TimeZone::UTC, "UTC".to_owned())),
        "gmt" => return Some((TimeZone::UTC, "GMT".to_owned())),
        "default" | "local" => return Some((TimeZone::UTC, "Etc/UTC".to_owned())),
        _ => {}
    }
    if let Ok(tz) = TimeZone::get(trimmed) {
        let name = tz.iana_name().unwrap_or(trimmed).to_owned();
        return Some((tz, name));
    }
    let upper = trimmed.to_uppercase();
    // Without a name, POSIX's offset stands alone; it counts west of Greenwich.
    if upper.starts_with(['+', '-']) || upper.starts_with(|c: char| c.is_ascii_digit()) {
        return fixed_zone(-clock_seconds(&upper)?).map(|tz| (tz, upper));
    }
    let tz = TimeZone::posix(&upper).ok()?;
    Some((tz, upper))
}

fn fixed_zone(seconds_east: i32) -> Option<TimeZone> {
    jiff::tz::Offset::from_seconds(seconds_east).ok().map(TimeZone::fixed)
}

/// A fixed offset as POSIX writes it, named after itself: `<+05:30>-05:30`.
fn offset_name(seconds_east: i32) -> String {
    let s = seconds_east.unsigned_abs();
    let mut clock = format!("{:02}", s / 3600);
    if !s.is_multiple_of(3600) {
        clock += &format!(":{:02}", s / 60 % 60);
    }
    if !s.is_multiple_of(60) {
        clock += &format!(":{:02}", s % 60);
    }
    let (east, west) = if seconds_east < 0 { ('-', '+') } else { ('+', '-') };
    format!("<{east}{clock}>{west}{clock}")
}

/// The seconds of `[+-]h[:m[:s]]`.
fn clock_seconds(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let mut seconds = 0_i32;
    let mut unit = 3600;
    for part in digits.split(':') {
        let n: i32 = part.parse().ok().filter(|n| (0..168).contains(n))?;
        seconds += n * unit;
        unit /= 60;
    }
    Some(if negative { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_shown_as_postgresql_does() {
        let mut s = Settings::new(&[]);
        s.set("statement_timeout", "90s").unwrap();
        assert_eq!(s.get("Statement_Timeout").unwrap(), "90s");
        assert_eq!(s.number("statement_timeout"), 90_000);
        s.set("statement_timeout", "60000").unwrap();
        assert_eq!(s.get("statement_timeout").unwrap(), "1min");
        s.set("datestyle", "german").unwrap();
        assert_eq!(s.get("datestyle").unwrap(), "German, DMY");
        s.reset("datestyle").unwrap();
        assert_eq!(s.get("datestyle").unwrap(), "ISO, MDY");
        assert_eq!(s.set("spg.optimizer", "maybe").unwrap_err().state(), SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(s.set("server_version", "1").unwrap_err().state(), SqlState::CANT_CHANGE_RUNTIME_PARAM);
        assert_eq!(s.set("nonsense", "1").unwrap_err().state(), SqlState::UNDEFINED_OBJECT);
    }

    #[test]
    fn the_list_is_sorted_and_its_defaults_are_values() {
        assert!(
            SETTINGS
                .windows(2)
                .all(|w| w[0].name.to_lowercase() < w[1].name.to_lowercase() || w[0].name == "intervalstyle")
        );
        for s in SETTINGS.iter().filter(|s| !matches!(s.kind, SettingKind::Fixed)) {
            assert_eq!(canonical(s, s.default).unwrap(), s.default, "{}", s.name);
        }
    }
}
