//! Storage parameters of tables: `CREATE TABLE ... WITH (name = value)`, `ALTER TABLE ... SET (name = value)`.

use crate::{Error, Result, SqlState};

/// What a table has set; `None` where it has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Its own budget of memory for rows, bytes.
    pub hot_tier_bytes: Option<u64>,
}

/// A storage parameter. All of them are whole numbers.
pub struct StorageParameter {
    /// Its name.
    pub name: &'static str,
    /// The smallest value.
    pub min: u64,
    /// The largest value.
    pub max: u64,
    /// What it does, for the documentation.
    pub doc: &'static str,
    /// Where it is kept.
    pub slot: fn(&mut TableOptions) -> &mut Option<u64>,
}

/// Every storage parameter.
pub const STORAGE_PARAMETERS: &[StorageParameter] = &[StorageParameter {
    name: "hot_tier_bytes",
    min: 0,
    max: i64::MAX as u64,
    doc: "The table's own budget of memory, bytes: past it, its oldest rows move to segments. Without it, the table shares \
          SPG_HOT_TIER_BYTES with all others that have none.",
    slot: |options| &mut options.hot_tier_bytes,
}];

/// What a parameter of PostgreSQL takes.
enum Takes {
    Integer(i64, i64),
    Real(f64, f64),
    Bool,
    /// `auto` or a boolean.
    AutoOrBool,
}

/// PostgreSQL's storage parameters of tables: they are checked and forgotten, since what they tune is not there. Those that end
/// the list may have `toast.` before them.
const OF_POSTGRES: &[(&str, Takes)] = {
    use Takes::{AutoOrBool, Bool, Integer, Real};
    const INT_MAX: i64 = i32::MAX as i64;
    &[
        ("fillfactor", Integer(10, 100)),
        ("toast_tuple_target", Integer(128, 8160)),
        ("parallel_workers", Integer(0, 1024)),
        ("user_catalog_table", Bool),
        ("autovacuum_analyze_threshold", Integer(0, INT_MAX)),
        ("autovacuum_analyze_scale_factor", Real(0.0, 100.0)),
        ("autovacuum_enabled", Bool),
        ("autovacuum_vacuum_threshold", Integer(0, INT_MAX)),
        ("autovacuum_vacuum_scale_factor", Real(0.0, 100.0)),
        ("autovacuum_vacuum_insert_threshold", Integer(-1, INT_MAX)),
        ("autovacuum_vacuum_insert_scale_factor", Real(0.0, 100.0)),
        ("autovacuum_vacuum_cost_delay", Real(-1.0, 100.0)),
        ("autovacuum_vacuum_cost_limit", Integer(1, 10_000)),
        ("autovacuum_freeze_min_age", Integer(0, 1_000_000_000)),
        ("autovacuum_freeze_max_age", Integer(100_000, 2_000_000_000)),
        ("autovacuum_freeze_table_age", Integer(0, 2_000_000_000)),
        ("autovacuum_multixact_freeze_min_age", Integer(0, 1_000_000_000)),
        ("autovacuum_multixact_freeze_max_age", Integer(10_000, 2_000_000_000)),
        ("autovacuum_multixact_freeze_table_age", Integer(0, 2_000_000_000)),
        ("log_autovacuum_min_duration", Integer(-1, INT_MAX)),
        ("vacuum_index_cleanup", AutoOrBool),
        ("vacuum_truncate", Bool),
    ]
};
/// How many of them are not for `toast.`.
const NOT_FOR_TOAST: usize = 6;

impl Takes {
    fn check(&self, name: &str, text: &str) -> Result<()> {
        let text = text.trim();
        let wrong = |kind: &str| Err(invalid(format!("invalid value for {kind} option \"{name}\": {text}")));
        let is_bool = |text: &str| {
            let words = ["true", "false", "yes", "no", "on", "off", "1", "0"];
            words.contains(&text.to_ascii_lowercase().as_str())
        };
        match self {
            Self::Integer(min, max) => integer(name, text, (*min).into(), (*max).into()).map(|_| ()),
            Self::Real(min, max) => match text.parse::<f64>() {
                Ok(n) if (min..=max).contains(&&n) => Ok(()),
                Ok(_) => Err(out_of_bounds(name, text, &format!("{min:.6}"), &format!("{max:.6}"))),
                Err(_) => wrong("floating point"),
            },
            Self::Bool if is_bool(text) => Ok(()),
            Self::Bool => wrong("boolean"),
            Self::AutoOrBool if is_bool(text) || text.eq_ignore_ascii_case("auto") => Ok(()),
            Self::AutoOrBool => Err(invalid(format!("invalid value for enum option \"{name}\": {text}"))
                .with_detail("Valid values are \"on\", \"off\", and \"auto\".")),
        }
    }

    /// What a parameter of that name takes, with what may stand before it.
    fn of(name: &str, toast: bool) -> Option<&'static Self> {
        let from = if toast { NOT_FOR_TOAST } else { 0 };
        OF_POSTGRES[from..].iter().find(|(n, _)| *n == name).map(|(_, takes)| takes)
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn out_of_bounds(name: &str, text: &str, min: &str, max: &str) -> Error {
    invalid(format!("value {text} out of bounds for option \"{name}\""))
        .with_detail(format!("Valid values are between \"{min}\" and \"{max}\"."))
}

fn integer(name: &str, text: &str, min: i128, max: i128) -> Result<i128> {
    let text = text.trim();
    let Ok(number) = text.parse::<i128>() else {
        return Err(invalid(format!("invalid value for integer option \"{name}\": {text}")));
    };
    let inside = (min..=max).contains(&number);
    if inside { Ok(number) } else { Err(out_of_bounds(name, text, &min.to_string(), &max.to_string())) }
}

impl TableOptions {
    /// Sets parameters from their text; PostgreSQL's change nothing. 22023 for a name that there is not, a name that comes twice, and a value that is no
    /// number within bounds.
    pub fn set<'a>(&mut self, written: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for (written, value) in written {
            let (toast, name) = match written.split_once('.') {
                Some(("toast", name)) => (true, name),
                Some((namespace, _)) => {
                    return Err(invalid(format!("unrecognized parameter namespace \"{namespace}\"")));
                }
                None => (false, written),
            };
            let parameter = STORAGE_PARAMETERS.iter().find(|p| p.name == name && !toast);
            let takes = Takes::of(name, toast);
            if parameter.is_none() && takes.is_none() {
                return Err(invalid(format!("unrecognized parameter \"{name}\"")));
            }
            if seen.contains(&written) {
                return Err(invalid(format!("parameter \"{name}\" specified more than once")));
            }
            seen.push(written);
            if let Some(takes) = takes {
                takes.check(name, value)?;
            }
            if let Some(parameter) = parameter {
                *(parameter.slot)(self) = Some(parameter.parse(value)?);
            }
        }
        Ok(())
    }

    /// Takes parameters back. Names that there are not are none of its business, as in PostgreSQL.
    pub fn reset<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            if let Some(parameter) = STORAGE_PARAMETERS.iter().find(|p| p.name == name) {
                *(parameter.slot)(self) = None;
            }
        }
    }

    /// What is set, by name.
    pub fn written(mut self) -> Vec<(&'static str, u64)> {
        STORAGE_PARAMETERS.iter().filter_map(|p| Some((p.name, (*(p.slot)(&mut self))?))).collect()
    }
}

impl StorageParameter {
    fn parse(&self, text: &str) -> Result<u64> {
        let number = integer(self.name, text, self.min.into(), self.max.into())?;
        u64::try_from(number).map_err(|_| Error::internal("the bounds of a parameter are below 0"))
    }
}
