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

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

impl TableOptions {
    /// Sets parameters from their text. 22023 for a name that there is not, a name that comes twice, and a value that is no
    /// number within bounds.
    pub fn set<'a>(&mut self, written: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in written {
            if let Some((namespace, _)) = name.split_once('.') {
                return Err(invalid(format!("unrecognized parameter namespace \"{namespace}\"")));
            }
            let Some(parameter) = STORAGE_PARAMETERS.iter().find(|p| p.name == name) else {
                return Err(invalid(format!("unrecognized parameter \"{name}\"")));
            };
            if seen.contains(&name) {
                return Err(invalid(format!("parameter \"{name}\" specified more than once")));
            }
            seen.push(name);
            *(parameter.slot)(self) = Some(parameter.parse(value)?);
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
        let text = text.trim();
        let Ok(number) = text.parse::<i128>() else {
            return Err(invalid(format!("invalid value for integer option \"{}\": {text}", self.name)));
        };
        let (min, max) = (self.min, self.max);
        u64::try_from(number).ok().filter(|n| (min..=max).contains(n)).ok_or_else(|| {
            invalid(format!("value {text} out of bounds for option \"{}\"", self.name))
                .with_detail(format!("Valid values are between \"{min}\" and \"{max}\"."))
        })
    }
}
